//! Requests for what was asked for before, and their answers.

use std::pin::pin;
use std::time::Instant;

use http::HeaderMap;
use http::header::HeaderName;
use tokio::sync::oneshot;

use super::shared::claim;
use super::table::{Asked, Begun, Grant};
use super::{Place, Repeat, Told};
use crate::audit::{Journal, OutcomeEntry};
use crate::domain::{Effect, IdempotencyKey, Operation, Outcome, Reason};
use crate::gateway::account::Account;
use crate::gateway::evidence::record;
use crate::gateway::judged::Judged;
use crate::gateway::{Answer, Gateway, Refusal, Worker};
use crate::policy::{Decision, Permit};
use crate::seam::Shown;
use crate::upstream::Forwarded;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// What a decided request does.
#[derive(Debug)]
pub(in crate::gateway) enum Turn<'d> {
    /// It goes its own way: with the place of its grant, where it is for one.
    Own(Option<Place<'d>>),
    /// Nothing is sent for it.
    Again(Again),
}

/// Why nothing is sent for a request, and how it is answered.
#[derive(Debug)]
pub(in crate::gateway) enum Again {
    /// As what is in flight.
    Joins(Box<Grant>, oneshot::Receiver<Told>),
    /// At once.
    Known(Box<Told>),
}

/// The caller's own name for a request that changes something; others need none, and what they
/// have is not looked at.
///
/// # Errors
/// [`Reason::IdempotencyKeyMalformed`].
pub(in crate::gateway) fn key_of(
    operation: Operation,
    headers: &HeaderMap,
) -> Result<Option<IdempotencyKey>, Reason> {
    let mut fields = headers.get_all(HEADER).iter();
    match (operation.effect(), fields.next(), fields.next()) {
        (Effect::Reads, ..) | (Effect::Changes, None, _) => Ok(None),
        (Effect::Changes, Some(field), None) => {
            let key = IdempotencyKey::parse_item(field.as_bytes());
            key.map(Some).ok_or(Reason::IdempotencyKeyMalformed)
        }
        (Effect::Changes, Some(_), Some(_)) => Err(Reason::IdempotencyKeyMalformed),
    }
}

impl Turn<'_> {
    /// It is not sent after all.
    pub(in crate::gateway) fn refused(self, reason: Reason) {
        match self {
            Self::Own(Some(place)) => place.refused(reason),
            Self::Own(None) | Self::Again(_) => {}
        }
    }
}

impl Gateway {
    /// Looks up what was decided: a key never makes a permit, so a denial stays one.
    /// Where keys count for all gateways, others are asked, too.
    pub(in crate::gateway) async fn turn(
        &self,
        journal: &Journal,
        decision: Decision,
        deadline: Instant,
    ) -> (Decision, Turn<'_>) {
        let Decision::Permit(permit) = decision else { return (decision, Turn::Own(None)) };
        let Some(grant) = grant_of(&permit, journal) else {
            return (Decision::Permit(permit), Turn::Own(None));
        };
        let turn = match self.duplicates.begin(&grant, permit.attempt().key.as_ref()) {
            Begun::Leads => {
                let place = Place { duplicates: &self.duplicates, grant: Some(grant) };
                let key = permit.attempt().key.clone();
                if let Some((keys, key)) = self.duplicates.keys.as_ref().zip(key) {
                    // Boxed: seldom, and it may wait.
                    return Box::pin(claim(keys, (permit, &key), place, deadline)).await;
                }
                Turn::Own(Some(place))
            }
            Begun::Joins(told) => Turn::Again(Again::Joins(Box::new(grant), told)),
            Begun::Known(known) => Turn::Again(Again::Known(Box::new(Told::known(known)))),
            Begun::Refused(reason) => {
                return (Decision::Denial(permit.refuse(reason)), Turn::Own(None));
            }
        };
        (Decision::Permit(permit), turn)
    }

    /// Answers a permitted request without sending it: its decision is recorded as any, and its
    /// outcome is that of the one that was sent.
    pub(in crate::gateway) async fn answer_again(
        &self,
        worker: &Worker,
        permit: Permit,
        again: Again,
        deadline: Instant,
        account: &mut Account,
    ) -> Result<Answer, Refusal> {
        let judged = Judged::of(&permit);
        // Durable before it is answered. If the process dies after this line, the next start
        // closes the decision as unknown: nothing of it was sent, and nobody was told that it was.
        let recorded = account.record(pin!(record(worker, permit))).await?;
        let (repeat, told) = match again {
            Again::Known(told) if told.outcome == Outcome::Granted => (Repeat::Granted, *told),
            Again::Known(told) => (Repeat::Unknown, *told),
            Again::Joins(grant, told) => {
                (Repeat::InFlight, self.wait(&grant, told, deadline).await)
            }
        };
        let Told { seq, replica, outcome, reason, status, error, retry_after_s } = told;
        let granted = outcome == Outcome::Granted;
        let reason = if granted { judged.permitted_by } else { reason };
        worker.journal.complete(&OutcomeEntry {
            request_id: judged.request_id,
            operation: judged.operation,
            decision_seq: recorded.seq(),
            entrances: None,
            outcome,
            reason,
            status: status.map(|status| status.as_u16()),
            seam_request_id: None,
            upstream_ms: None,
            same_as: seq.filter(|_| replica.is_none()),
            same_as_replica: replica.map(|replica| (replica, seq)),
        });
        // The log line is about numbers of this log.
        (account.outcome, account.same_as) = (Some(outcome), seq.filter(|_| replica.is_none()));
        self.metrics.duplicates.answered.with_label_values(&[repeat.as_str()]).inc();
        let forwarded = Forwarded {
            outcome,
            reason,
            status,
            confirmation: None,
            error: error.map(|error| (*error).clone()),
            retry_after_s,
            seam_request_id: None,
            took: None,
        };
        Ok(Answer::forwarded(judged.operation, forwarded, granted.then_some(Shown::Granted)))
    }

    /// Waits for what comes of what is in flight, which has its own deadline before this one.
    async fn wait(&self, grant: &Grant, told: oneshot::Receiver<Told>, deadline: Instant) -> Told {
        match tokio::time::timeout_at(deadline.into(), told).await {
            Ok(Ok(told)) => told,
            // Nobody knows yet, and it is not sent by this one.
            Ok(Err(_)) | Err(_) => Told {
                seq: self.duplicates.table.lock().seq(grant),
                outcome: Outcome::Unknown,
                ..Told::not_sent(Reason::UpstreamTimeout)
            },
        }
    }
}

/// What a permit is for, where it changes something.
fn grant_of(permit: &Permit, journal: &Journal) -> Option<Grant> {
    let attempt = permit.attempt();
    let (request, caller) = (&attempt.request, attempt.principal.caller());
    let operation = request.operation();
    let (Effect::Changes, Some(entrance), Some(grantee)) =
        (operation.effect(), request.entrance(), request.grantee())
    else {
        return None;
    };
    let workspace = attempt.principal.workspace().cloned();
    let asked = Asked { operation, workspace, entrance, grantee: journal.mark(grantee) };
    Some(Grant { caller: caller.clone(), asked })
}
