//! What is recorded of the month, one thing after the other.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::audit::{DecisionEntry, Evidence};
use crate::domain::{
    CallerId, EntranceId, Grantee, Operation, Outcome, Reason, RequestId, Resolution, Revision,
    RuleRef,
};

/// One record, and its time.
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) what: What,
}

pub(super) enum What {
    /// A decision.
    Decided(Arc<Asked>),
    /// What became of a request.
    Answered { of: RequestId, answer: Answer },
    /// What was found out of it later, asked so many times.
    Resolved { of: RequestId, resolution: Resolution, asked: u32 },
    /// Somebody whom nobody knows.
    Stranger { request_id: RequestId, peer: SocketAddr, reason: Reason },
}

impl Entry {
    /// Of which request it is, where it is of one that was decided.
    pub(super) fn request_id(&self) -> Option<RequestId> {
        match &self.what {
            What::Decided(asked) => Some(asked.request_id),
            What::Answered { of, .. } | What::Resolved { of, .. } => Some(*of),
            What::Stranger { .. } => None,
        }
    }
}

/// What Seam said, or did not.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) reason: Reason,
    pub(super) status: Option<u16>,
    pub(super) seam_request_id: Option<String>,
    pub(super) upstream_ms: Option<u64>,
}

/// A request that nobody made, and what the policy says of it. It is no permit: nothing can be
/// sent for it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request_id: RequestId,
    pub(super) caller: CallerId,
    pub(super) credential: String,
    pub(super) peer: SocketAddr,
    pub(super) operation: Operation,
    /// None where the request is malformed.
    pub(super) entrance: Option<EntranceId>,
    pub(super) grantee: Option<Grantee>,
    pub(super) key: Option<String>,
    pub(super) body_sha256: Option<[u8; 32]>,
    pub(super) reason: Reason,
    pub(super) rules: Arc<[RuleRef]>,
    pub(super) revision: Revision,
    pub(super) at: Timestamp,
}

impl Evidence for Arc<Asked> {
    fn decision(&self) -> DecisionEntry<'_> {
        DecisionEntry {
            request_id: self.request_id,
            caller: self.caller.as_str(),
            credential: &self.credential,
            peer: self.peer,
            operation: self.operation,
            workspace: None,
            entrance: self.entrance,
            grantee: self.grantee,
            allow: self.reason.permits(),
            reason: self.reason,
            rules: &self.rules,
            revision: self.revision.as_str(),
            body_sha256: self.body_sha256,
            at: self.at,
            candidate: None,
            idempotency_key: self.key.as_deref(),
            is_key_unconfirmed: false,
        }
    }
}
