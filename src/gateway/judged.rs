//! What is left of an attempt when its permit has been sent.

use jiff::Timestamp;

use crate::domain::{CallerId, EntranceId, Grantee, Operation, Reason, RequestId, WorkspaceName};
use crate::policy::{Asking, Moment, Orders, Permit, Question};
use crate::seam;
use crate::snapshot::Snapshot;

/// What is left of an attempt when its permit has been sent.
pub(super) struct Judged {
    pub(super) request_id: RequestId,
    pub(super) operation: Operation,
    pub(super) caller: CallerId,
    pub(super) workspace: Option<WorkspaceName>,
    pub(super) entrance: Option<EntranceId>,
    pub(super) grantee: Option<Grantee>,
    pub(super) moment: Moment,
    /// Why it was permitted.
    pub(super) permitted_by: Reason,
}

impl Judged {
    pub(super) fn of(permit: &Permit) -> Self {
        let attempt = permit.attempt();
        Self {
            request_id: attempt.request_id,
            operation: attempt.request.operation(),
            caller: attempt.principal.caller().clone(),
            workspace: attempt.principal.workspace().cloned(),
            entrance: attempt.request.entrance(),
            grantee: attempt.request.grantee(),
            moment: attempt.moment(),
            permitted_by: permit.reason(),
        }
    }

    /// Why it must not be sent any more, where an order stops it by now.
    pub(super) fn stopped(
        &self,
        snapshot: &Snapshot,
        orders: &Orders,
        now: Timestamp,
    ) -> Option<Reason> {
        let (caller, act, entrance) = (&self.caller, self.operation.act(), self.entrance?);
        let moment = Moment { at: now, ..self.moment };
        let workspace = self.workspace.as_ref();
        let question = Question { caller, act, entrance, workspace, moment };
        snapshot.policy.stopped_since(orders, question, self.permitted_by)
    }

    /// What of a confirmation this caller may see: each entrance is judged, by the policy and
    /// at the time by which the request was.
    pub(super) fn filter(
        &self,
        snapshot: &Snapshot,
        found: seam::Confirmation,
    ) -> Result<Option<seam::Shown>, Reason> {
        let (caller, act, moment) = (&self.caller, self.operation.act(), self.moment);
        let asking = Asking { caller, act, workspace: self.workspace.as_ref(), moment };
        let mut judge = snapshot.policy.judge_many(asking);
        found.filtered(|entrance| {
            let reason = judge.about(entrance).reason;
            let failed = [Reason::PolicyError, Reason::PolicyPanic].contains(&reason);
            if failed { Err(reason) } else { Ok(reason == Reason::AllowedByRule) }
        })
    }
}
