//! Why nobody was authenticated, and whose credential it was where that is known.

use std::sync::Arc;

use super::Principal;
use crate::domain::{CallerId, Reason};

/// Why a request has no [`Principal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The reason to record.
    pub reason: Reason,
    /// Whose credential it is.
    pub known: Option<Known>,
}

/// Whose credential was good and is refused all the same. For the record only: it is no
/// [`Principal`], and proves nothing to anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The configured service.
    pub caller: CallerId,
    /// Which of its credentials, as [`Principal::credential`] names it.
    pub credential: Arc<str>,
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason, known: None }
    }
}

impl Failure {
    /// A caller that is suspended.
    pub(super) fn suspended(principal: Principal) -> Self {
        Self { reason: Reason::CallerSuspended, known: Some(principal.into_known()) }
    }
}
