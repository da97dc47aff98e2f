//! The authenticated identity of one request.

use std::sync::Arc;

use crate::domain::CallerId;

/// Who is calling, proven by a credential. Only [`crate::authn`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    caller: CallerId,
    credential: Arc<str>,
}

impl Principal {
    pub(super) fn new(caller: CallerId, credential: Arc<str>) -> Self {
        Self { caller, credential }
    }

    /// The configured service.
    #[must_use]
    pub fn caller(&self) -> &CallerId {
        &self.caller
    }

    /// Which of its credentials it used: `token:<name>` or `certificate:<name>`.
    /// Never the credential itself.
    #[must_use]
    pub fn credential(&self) -> &str {
        &self.credential
    }
}
