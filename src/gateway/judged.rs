//! What is left of an attempt when its permit has been sent.

use super::Budgets;
use crate::domain::{CallerId, EntranceId, Grantee, Operation, Reason, RequestId};
use crate::policy::{Asking, Attempt, Moment};
use crate::seam;
use crate::snapshot::Snapshot;

/// What is left of an attempt when its permit has been sent.
pub(super) struct Judged {
    pub(super) request_id: RequestId,
    pub(super) operation: Operation,
    pub(super) caller: CallerId,
    pub(super) entrance: Option<EntranceId>,
    pub(super) grantee: Option<Grantee>,
    pub(super) moment: Moment,
}

impl Judged {
    pub(super) fn of(attempt: &Attempt) -> Self {
        Self {
            request_id: attempt.request_id,
            operation: attempt.request.operation(),
            caller: attempt.principal.caller().clone(),
            entrance: attempt.request.entrance(),
            grantee: attempt.request.grantee(),
            moment: attempt.moment(),
        }
    }

    /// Not a byte of it was sent.
    pub(super) fn give_back(&self, budgets: &Budgets) {
        budgets.give_back(&self.caller, self.entrance, self.moment.at);
    }

    /// What of a confirmation this caller may see: each entrance is judged, by the policy and
    /// at the time by which the request was.
    pub(super) fn filter(
        &self,
        snapshot: &Snapshot,
        found: seam::Confirmation,
    ) -> Result<Option<seam::Shown>, Reason> {
        let (caller, act, moment) = (&self.caller, self.operation.act(), self.moment);
        let mut judge = snapshot.policy.judge_many(Asking { caller, act, moment });
        found.filtered(|entrance| {
            let reason = judge.about(entrance).reason;
            let failed = [Reason::PolicyError, Reason::PolicyPanic].contains(&reason);
            if failed { Err(reason) } else { Ok(reason == Reason::AllowedByRule) }
        })
    }
}
