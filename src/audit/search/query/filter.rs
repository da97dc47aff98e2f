//! What is searched for.

use jiff::Timestamp;
use memchr::memmem;

use super::bloom::Kind;
use crate::audit::record::event::{Event, verdict};
use crate::audit::record::glance::{Glance, has_escapes};
use crate::audit::record::parse::Record;
use crate::domain::{
    Act, CallerId, EntranceId, Operation, Outcome, Reason, WorkspaceName, rfc3339_micros,
};

/// What a record must be to be found. All that is given must hold. A decision and its
/// outcome are one: what an outcome says is searched for in the decision's row.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Who asked.
    pub caller: Option<CallerId>,
    /// To do what.
    pub act: Option<Act>,
    /// In which workspace.
    pub workspace: Option<WorkspaceName>,
    /// For which entrance.
    pub entrance: Option<EntranceId>,
    /// For whom, in any of these spellings; empty for anybody.
    pub grantees: Vec<String>,
    /// Whether it was allowed.
    pub allowed: Option<bool>,
    /// Why: the decision's reason, or its outcome's.
    pub reason: Option<Reason>,
    /// What became of it.
    pub outcome: Option<Outcome>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Only records before the one of this number: where the next page of a list begins.
    pub before: Option<u64>,
    /// The gateway's id of the request.
    pub request_id: Option<String>,
    /// Seam's id of the request.
    pub seam_request_id: Option<String>,
    /// The caller's own name for the request.
    pub idempotency_key: Option<String>,
    /// Records of these events; empty for decisions, for failures to authenticate that name
    /// the caller, and for whatever else has the reason or the request id that is searched for.
    pub events: Vec<Event>,
}

/// Alternatives, of which one must be there, for each thing that must be.
pub(super) type Keys = Vec<Vec<(Kind, String)>>;

impl Filter {
    /// Whether a record of this number comes too late.
    pub(super) fn is_behind(&self, seq: u64) -> bool {
        self.before.is_some_and(|before| seq >= before)
    }

    /// Why this finds nothing, whatever the log holds.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            return Some(format!("nothing is both after `{since}` and before `{until}`"));
        }
        let events = &self.events;
        let had_by = |of: &[Event]| events.is_empty() || of.iter().any(|e| events.contains(e));
        let given = [
            (
                self.caller.is_some(),
                "caller",
                &[Event::Decision, Event::Order, Event::Stranger][..],
            ),
            (self.act.is_some(), "act", &[Event::Decision]),
            (self.workspace.is_some(), "workspace", &[Event::Decision, Event::Order]),
            (self.entrance.is_some(), "entrance", &[Event::Decision, Event::Order]),
            (!self.grantees.is_empty(), "grantee", &[Event::Decision]),
            (self.allowed.is_some(), "decision", &[Event::Decision]),
            (self.idempotency_key.is_some(), "idempotency key", &[Event::Decision]),
            (self.outcome.is_some(), "outcome", &[Event::Decision, Event::Outcome]),
            (self.seam_request_id.is_some(), "Seam request id", &[Event::Decision, Event::Outcome]),
            (
                self.request_id.is_some(),
                "request id",
                &[Event::Decision, Event::Outcome, Event::Resolved, Event::Stranger],
            ),
            (
                self.reason.is_some(),
                "reason",
                &[Event::Decision, Event::Outcome, Event::Stranger, Event::Suppressed],
            ),
        ];
        let (_, what, _) = given.iter().find(|(given, _, of)| *given && !had_by(of))?;
        let events: Vec<&str> = events.iter().map(|event| event.as_str()).collect();
        let events = events.join("` or `");
        Some(format!("no record of `{events}` has a {what}; leave one of the two out"))
    }

    pub(super) fn wants_decisions(&self) -> bool {
        self.events.is_empty() || self.events.contains(&Event::Decision)
    }

    /// Whether records of this event are rows of their own.
    pub(super) fn wants_single(&self, event: Event) -> bool {
        if event == Event::Decision {
            return false;
        }
        let widened = matches!(event, Event::Stranger | Event::Suppressed)
            && (self.reason.is_some() || self.request_id.is_some())
            || event == Event::Stranger && self.caller.is_some()
            || event == Event::Resolved && self.request_id.is_some();
        if self.events.is_empty() { widened } else { self.events.contains(&event) }
    }

    pub(super) fn wants_other_singles(&self) -> bool {
        !self.events.is_empty()
            || self.caller.is_some()
            || self.reason.is_some()
            || self.request_id.is_some()
    }

    /// Whether a decision is judged by its outcome too.
    pub(super) fn needs_outcome(&self) -> bool {
        self.only_outcome() || self.reason.is_some()
    }

    /// Whether it must have an outcome.
    pub(super) fn only_outcome(&self) -> bool {
        self.outcome.is_some() || self.seam_request_id.is_some()
    }

    /// Whether anything is searched for that an index knows.
    pub(super) fn narrows(&self) -> bool {
        self.only_decision()
            || self.needs_outcome()
            || self.request_id.is_some()
            || self.since.is_some()
            || self.until.is_some()
            || !self.events.is_empty()
    }

    fn only_decision(&self) -> bool {
        self.caller.is_some()
            || self.workspace.is_some()
            || self.entrance.is_some()
            || self.narrows_grants()
    }

    /// Whether anything is searched for that only a decision has.
    fn narrows_grants(&self) -> bool {
        self.act.is_some()
            || !self.grantees.is_empty()
            || self.allowed.is_some()
            || self.idempotency_key.is_some()
    }

    pub(super) fn decision_keys(&self) -> Keys {
        let mut keys = vec![vec![(Kind::Event, Event::Decision.as_str().to_owned())]];
        if let Some(caller) = &self.caller {
            keys.push(vec![(Kind::Caller, caller.to_string())]);
        }
        if let Some(name) = &self.workspace {
            keys.push(vec![(Kind::Workspace, name.to_string())]);
        }
        if let Some(key) = &self.idempotency_key {
            keys.push(vec![(Kind::IdempotencyKey, key.clone())]);
        }
        if let Some(entrance) = &self.entrance {
            keys.push(vec![(Kind::Entrance, entrance.to_string())]);
        }
        if !self.grantees.is_empty() {
            keys.push(self.grantees.iter().map(|id| (Kind::Grantee, id.clone())).collect());
        }
        if let Some(allowed) = self.allowed {
            keys.push(vec![(Kind::Decision, verdict(allowed).to_owned())]);
        }
        keys.extend(self.request_id.iter().map(|id| vec![(Kind::RequestId, id.clone())]));
        keys
    }

    pub(super) fn outcome_keys(&self) -> Keys {
        let mut keys = vec![vec![(Kind::Event, Event::Outcome.as_str().to_owned())]];
        keys.extend(self.outcome.iter().map(|o| vec![(Kind::Outcome, o.as_str().to_owned())]));
        let seam = self.seam_request_id.iter();
        keys.extend(seam.map(|id| vec![(Kind::SeamRequestId, id.clone())]));
        keys.extend(self.request_id.iter().map(|id| vec![(Kind::RequestId, id.clone())]));
        keys
    }

    pub(super) fn reason_key(&self, kind: Kind) -> Keys {
        self.reason.iter().map(|reason| vec![(kind, reason.as_str().to_owned())]).collect()
    }

    /// Of records that are rows of their own.
    pub(super) fn single_keys(&self) -> Keys {
        let events: &[Event] = match self.events.as_slice() {
            [] => &[Event::Resolved, Event::Stranger, Event::Suppressed],
            events => events,
        };
        let singles = events.iter().filter(|event| **event != Event::Decision);
        let mut keys =
            vec![singles.map(|event| (Kind::Event, event.as_str().to_owned())).collect()];
        keys.extend(self.caller.iter().map(|caller| vec![(Kind::Caller, caller.to_string())]));
        keys.extend(self.request_id.iter().map(|id| vec![(Kind::RequestId, id.clone())]));
        keys.extend(self.reason.iter().map(|reason| {
            let kinds = [Kind::OtherReason, Kind::OutcomeReason];
            kinds.map(|kind| (kind, reason.as_str().to_owned())).to_vec()
        }));
        keys
    }

    fn in_time(&self, record: &Record<'_>) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        record.time().is_some_and(|time| {
            self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|u| time < u)
        })
    }

    /// Whether the decision, with what became of it, is searched for.
    pub(super) fn finds(&self, decision: &Record<'_>, outcome: Option<&Record<'_>>) -> bool {
        let reason = |record: &Record<'_>| is(record.reason(), self.reason.map(Reason::as_str));
        is(decision.caller(), self.caller.as_ref().map(CallerId::as_str))
            && is(decision.request_id(), self.request_id.as_deref())
            && is(decision.decision(), self.allowed.map(verdict))
            && (self.idempotency_key.is_none()
                || decision.idempotency_key() == self.idempotency_key)
            && (self.grantees.is_empty()
                || decision.grantee().is_some_and(|id| self.grantees.iter().any(|g| g == id)))
            && (reason(decision) || outcome.is_some_and(reason))
            && (!self.only_outcome() || outcome.is_some_and(|outcome| self.fits_outcome(outcome)))
            && self.in_time(decision)
            && self.act.is_none_or(|act| decision.operation().map(Operation::act) == Some(act))
            && self.is_about(decision)
    }

    fn is_about(&self, record: &Record<'_>) -> bool {
        let entrance = self.entrance.map(|entrance| entrance.to_string());
        is(record.entrance_id(), entrance.as_deref())
            && is(record.workspace(), self.workspace.as_ref().map(WorkspaceName::as_str))
    }

    fn fits_outcome(&self, record: &Record<'_>) -> bool {
        is(record.outcome(), self.outcome.map(Outcome::as_str))
            && is(record.seam_request_id(), self.seam_request_id.as_deref())
    }

    /// Whether this outcome is reason enough to look for its decision.
    pub(super) fn tells_alone(&self, outcome: &Record<'_>) -> bool {
        self.fits_outcome(outcome)
            && (self.only_outcome() || is(outcome.reason(), self.reason.map(Reason::as_str)))
    }

    /// Whether a record of another event is searched for.
    pub(super) fn finds_single(&self, record: &Record<'_>) -> bool {
        let reason = self.reason.map(Reason::as_str);
        let counted =
            || reason.is_some_and(|r| record.reasons.as_ref().is_some_and(|m| m.contains_key(r)));
        let of_caller = (record.is(Event::Order) || record.is(Event::Stranger))
            && is(record.caller(), self.caller.as_ref().map(CallerId::as_str))
            && self.is_about(record)
            && !self.narrows_grants();
        (!self.only_decision() || of_caller)
            && record.known_event().is_some_and(|event| self.wants_single(event))
            && is(record.request_id(), self.request_id.as_deref())
            && (is(record.reason(), reason) || counted())
            && self.fits_outcome(record)
            && self.in_time(record)
    }

    /// Whether an outcome whose decision is no longer in the log is searched for.
    pub(super) fn finds_orphan(&self, record: &Record<'_>) -> bool {
        self.wants_decisions()
            && !self.wants_single(Event::Outcome)
            && (self.only_outcome() || self.request_id.is_some())
            && !self.only_decision()
            && is(record.request_id(), self.request_id.as_deref())
            && is(record.reason(), self.reason.map(Reason::as_str))
            && self.fits_outcome(record)
            && self.in_time(record)
    }
}

/// Whether the field is what is wanted, if anything is.
fn is(field: Option<&str>, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| field == Some(wanted))
}

/// Bytes that a line must have, to be told before it is parsed.
pub(super) struct Needles {
    groups: Vec<Vec<memmem::Finder<'static>>>,
    since: Option<String>,
    until: Option<String>,
}

impl Needles {
    /// Of a decision.
    pub(super) fn of_decision(filter: &Filter) -> Self {
        Self::new(filter.decision_keys(), Some(filter))
    }

    /// Of an outcome.
    pub(super) fn of_outcome(filter: &Filter) -> Self {
        Self::new(filter.outcome_keys(), None)
    }

    fn new(keys: Keys, times: Option<&Filter>) -> Self {
        let finder =
            |(_, value): (Kind, String)| memmem::Finder::new(value.as_bytes()).into_owned();
        // Which event it is, is known already.
        let worth = keys.into_iter().filter(|group| group.iter().all(|(k, _)| *k != Kind::Event));
        let groups = worth.map(|group| group.into_iter().map(finder).collect()).collect();
        // Stored times have no more than six digits: what is between two of them is after
        // the earlier one.
        let since = times.and_then(|filter| filter.since).map(rfc3339_micros);
        let until = times.and_then(|filter| filter.until).map(rfc3339_micros);
        Self { groups, since, until }
    }

    /// Whether the line may be one. A no is certain.
    pub(super) fn may_match(&self, glance: &Glance, line: &[u8]) -> bool {
        let has = |group: &Vec<memmem::Finder<'_>>| group.iter().any(|n| n.find(line).is_some());
        if has_escapes(line) {
            return true;
        }
        let early = |time: &[u8]| self.since.as_ref().is_some_and(|since| time < since.as_bytes());
        let late = |time: &[u8]| self.until.as_ref().is_some_and(|until| time > until.as_bytes());
        self.groups.iter().all(has)
            && (self.since.is_none() && self.until.is_none()
                || glance.time(line).is_none_or(|time| !early(time) && !late(time)))
    }
}
