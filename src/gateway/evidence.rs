//! What the audit log is told, made from what was decided.

use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::digest;
use jiff::Timestamp;

use super::Worker;
use crate::audit::{CandidateEntry, DecisionEntry, Evidence, OutcomeEntry, Recorded};
use crate::authn::Principal;
use crate::domain::{IdempotencyKey, Operation, Reason, RequestId, Revision};
use crate::policy::{Attempt, Denial, Permit, RuleRef};
use crate::upstream::Forwarded;

/// A request of an authenticated caller that is not one of the operation's.
pub(super) struct Refused {
    pub(super) request_id: RequestId,
    pub(super) peer: SocketAddr,
    pub(super) principal: Principal,
    pub(super) operation: Operation,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) reason: Reason,
    pub(super) revision: Revision,
    pub(super) at: Timestamp,
}

impl Evidence for Refused {
    fn decision(&self) -> DecisionEntry<'_> {
        DecisionEntry {
            request_id: self.request_id,
            caller: self.principal.caller().as_str(),
            credential: self.principal.credential(),
            peer: self.peer,
            operation: self.operation,
            workspace: self.principal.workspace(),
            entrance: None,
            grantee: None,
            allow: false,
            reason: self.reason,
            rules: &[],
            revision: self.revision.as_str(),
            body_sha256: None,
            at: self.at,
            candidate: None,
            idempotency_key: self.key.as_ref().map(IdempotencyKey::as_str),
            is_key_unconfirmed: false,
        }
    }
}

impl Evidence for Permit {
    fn decision(&self) -> DecisionEntry<'_> {
        entry(self.attempt(), true, self.reason(), self.rules(), self.revision())
    }
}

impl Evidence for Denial {
    fn decision(&self) -> DecisionEntry<'_> {
        entry(self.attempt(), false, self.reason(), self.rules(), self.revision())
    }
}

fn entry<'a>(
    attempt: &'a Attempt,
    allow: bool,
    reason: Reason,
    rules: &'a [RuleRef],
    revision: &'a Revision,
) -> DecisionEntry<'a> {
    DecisionEntry {
        request_id: attempt.request_id,
        caller: attempt.principal.caller().as_str(),
        credential: attempt.principal.credential(),
        peer: attempt.peer,
        operation: attempt.request.operation(),
        workspace: attempt.principal.workspace(),
        entrance: attempt.request.entrance(),
        grantee: attempt.request.grantee(),
        allow,
        reason,
        rules,
        revision: revision.as_str(),
        body_sha256: Some(attempt.body_sha256),
        at: attempt.at,
        candidate: attempt.trial.as_ref().map(|opinion| CandidateEntry {
            revision: opinion.revision.as_str(),
            decision: opinion.as_str(),
            reason: opinion.reason,
        }),
        idempotency_key: attempt.key.as_ref().map(IdempotencyKey::as_str),
        is_key_unconfirmed: attempt.is_key_unconfirmed,
    }
}

/// Makes a decision durable.
pub(super) async fn record<E: Evidence>(
    worker: &Worker,
    evidence: E,
) -> Result<Recorded<E>, Reason> {
    worker.journal.record(evidence).await.map_err(|error| {
        tracing::error!(%error, "a decision could not be made durable");
        Reason::AuditUnavailable
    })
}

/// The record of what became of a forwarded request, of which so many entrances were shown.
pub(super) fn outcome_of(
    request_id: RequestId,
    operation: Operation,
    decision_seq: u64,
    forwarded: &Forwarded,
    entrances: Option<usize>,
) -> OutcomeEntry {
    let millis = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    OutcomeEntry {
        request_id,
        operation,
        decision_seq,
        entrances,
        outcome: forwarded.outcome,
        reason: forwarded.reason,
        status: forwarded.status.map(|status| status.as_u16()),
        seam_request_id: forwarded.seam_request_id.clone(),
        upstream_ms: forwarded.took.map(millis),
        same_as: None,
        same_as_replica: None,
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}
