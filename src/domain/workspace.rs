//! Workspaces of Seam's: each has its own key, entrances and users.

use std::fmt;
use std::sync::Arc;

use super::{CallerId, IdError};

/// What configuration, policy, records and commands call a workspace. A gateway with only one
/// need not name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkspaceName(Arc<str>);

impl WorkspaceName {
    /// Workspaces are named like callers.
    ///
    /// # Errors
    /// [`IdError::NotACallerId`], whose text fits.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        CallerId::parse(text).map(|_| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkspaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What Seam calls a workspace, and callers in the header `seam-workspace`: a uuid, but that is
/// Seam's business. It is compared byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkspaceId(String);

impl WorkspaceId {
    /// The most bytes of an id.
    const BYTES_MAX: usize = 128;

    /// 1 to 128 visible ASCII characters other than quotes and backslashes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=Self::BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'));
        fits.then(|| Self(text.to_owned()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
