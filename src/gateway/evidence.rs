//! What the audit log is told, made from what was decided.

use std::net::SocketAddr;

use crate::audit::{DecisionEntry, Evidence, OutcomeEntry};
use crate::authn::Principal;
use crate::domain::{Reason, RequestId, Revision};
use crate::policy::{Denial, Permit};
use crate::upstream::Forwarded;

/// A request of an authenticated caller that is no grant request.
pub(super) struct Refused {
    pub(super) request_id: RequestId,
    pub(super) peer: SocketAddr,
    pub(super) principal: Principal,
    pub(super) reason: Reason,
    pub(super) revision: Revision,
}
