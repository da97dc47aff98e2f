//! A search as SQL that leaves out what cannot be found. It may give more than is found: what
//! decides is the line, and the same search over lines.

use std::time::Duration;

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::gateway::there;
use crate::audit::Event;
use crate::audit::search::{Filter, Take};
use crate::domain::Outcome;

/// One value of a statement.
type Value = Box<dyn ToSql + Sync + Send>;

/// A statement with its values.
pub(super) struct Narrowed {
    pub(super) statement: String,
    values: Vec<Value>,
}

impl Narrowed {
    /// Of one log.
    pub(super) fn new(log: i32, filter: &Filter, take: Take) -> Self {
        let mut made = Self { statement: String::new(), values: vec![Box::new(log)] };
        let singles = made.singles(filter);
        let decided = match filter.events.is_empty() || filter.events.contains(&Event::Decision) {
            true => made.decided(filter, take),
            false => "false".to_owned(),
        };
        made.statement = format!(
            "WITH decided AS MATERIALIZED (SELECT seq, line FROM audit_record WHERE log_id = $1 AND \
             {decided}) \
             SELECT seq, line FROM decided \
             UNION SELECT r.seq, r.line FROM decided d JOIN audit_record r \
                   ON r.log_id = $1 AND r.decision_seq = d.seq \
             UNION SELECT seq, line FROM audit_record r WHERE log_id = $1 AND ({singles}) \
             ORDER BY seq"
        );
        made
    }

    /// Decisions, by themselves and by their outcomes.
    fn decided(&mut self, filter: &Filter, take: Take) -> String {
        let mut decided = self.decisions(filter);
        // A decision is known by its outcome too, where that is searched for.
        let of_outcomes = |what: &str| {
            format!("seq IN (SELECT decision_seq FROM audit_record WHERE log_id = $1 AND {what})")
        };
        if let Some(outcomes) = self.outcomes(filter) {
            decided += &format!(" AND {}", of_outcomes(&outcomes));
        }
        if let Some(reason) = filter.reason {
            let reason = self.value(reason.as_str().to_owned());
            let event = Event::Outcome.as_str();
            let by_outcome = of_outcomes(&format!("event = '{event}' AND reason = {reason}"));
            decided += &format!(" AND (reason = {reason} OR {by_outcome})");
        }
        let is_exact = filter.act.is_none() && filter.reason.is_none() && filter.events.is_empty();
        // A few more, for what is of the same microsecond as the end.
        let limit = |most: usize| most.saturating_add(16);
        match take {
            Take::First(most) if is_exact => {
                decided += &format!(" ORDER BY seq LIMIT {}", limit(most));
            }
            Take::Last(most) if is_exact => {
                decided += &format!(" ORDER BY seq DESC LIMIT {}", limit(most));
            }
            Take::All | Take::First(_) | Take::Last(_) => {}
        }
        decided
    }

    pub(super) fn values(&self) -> impl ExactSizeIterator<Item = &(dyn ToSql + Sync)> {
        self.values.iter().map(|value| value.as_ref() as &(dyn ToSql + Sync))
    }

    /// Its place in the statement.
    fn value(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.values.push(Box::new(value));
        format!("${}", self.values.len())
    }

    fn decisions(&mut self, filter: &Filter) -> String {
        let mut all = format!("event = '{}'", Event::Decision.as_str());
        let mut and = |text: String| all += &format!(" AND {text}");
        if let Some(caller) = &filter.caller {
            and(format!("caller = {}", self.value(caller.to_string())));
        }
        if let Some(name) = &filter.workspace {
            and(format!("workspace = {}", self.value(name.to_string())));
        }
        if let Some(entrance) = filter.entrance {
            let id = Uuid::try_parse(&entrance.to_string()).unwrap_or_default();
            and(format!("entrance = {}", self.value(id)));
        }
        if !filter.grantees.is_empty() {
            and(format!("grantee = ANY({})", self.value(filter.grantees.clone())));
        }
        if let Some(allowed) = filter.allowed {
            let decision = if allowed { "allow" } else { "deny" };
            and(format!("decision = {}", self.value(decision.to_owned())));
        }
        if let Some(id) = &filter.request_id {
            and(format!("request_id = {}", self.value(id.clone())));
        }
        if let Some(key) = &filter.idempotency_key {
            and(format!("idempotency_key = {}", self.value(key.clone())));
        }
        all.push_str(&self.times(filter));
        all
    }

    /// What an outcome must be, where any must be something.
    fn outcomes(&mut self, filter: &Filter) -> Option<String> {
        let mut all = format!("event = '{}'", Event::Outcome.as_str());
        if filter.outcome.is_none() && filter.seam_request_id.is_none() {
            return None;
        }
        if let Some(outcome) = filter.outcome {
            all += &format!(" AND outcome = {}", self.value(outcome.as_str().to_owned()));
        }
        if let Some(id) = &filter.seam_request_id {
            all += &format!(" AND seam_request_id = {}", self.value(id.clone()));
        }
        Some(all)
    }

    /// Records that are rows of their own, and outcomes whose decisions are not there any more.
    fn singles(&mut self, filter: &Filter) -> String {
        let events: Vec<String> = match filter.events.as_slice() {
            [] => [Event::Resolved, Event::Stranger, Event::Suppressed]
                .map(|e| e.as_str().to_owned())
                .into(),
            events => events.iter().map(|event| event.as_str().to_owned()).collect(),
        };
        let wants = !filter.events.is_empty()
            || filter.caller.is_some()
            || filter.reason.is_some()
            || filter.request_id.is_some();
        // A value that is not used is refused.
        let mut all = "false".to_owned();
        if wants {
            all = format!("event = ANY({})", self.value(events));
            if let Some(caller) = &filter.caller {
                all += &format!(" AND caller = {}", self.value(caller.to_string()));
            }
            all.push_str(&self.times(filter));
        }
        // Outcomes whose decisions are not there any more.
        let orphan = format!(
            "event = '{}' AND NOT EXISTS (SELECT FROM audit_record d WHERE d.log_id = $1 AND d.seq = \
             r.decision_seq)",
            Event::Outcome.as_str()
        );
        if let Some(id) = &filter.request_id {
            let id = self.value(id.clone());
            all = format!("({all} OR {orphan}) AND request_id = {id}");
        } else if let Some(id) = &filter.seam_request_id {
            let id = self.value(id.clone());
            all = format!("({all}) OR ({orphan} AND seam_request_id = {id})");
        } else if let Some(of) = filter.outcome {
            let of = self.value(of.as_str().to_owned());
            let times = self.times(filter);
            all = format!("({all}) OR ({orphan} AND outcome = {of}{times})");
        }
        // What was found out of another decision's outcome is that of its duplicates too.
        if filter.outcome == Some(Outcome::Unknown) {
            all = format!("({all}) OR event = '{}'", Event::Resolved.as_str());
        }
        all
    }

    fn times(&mut self, filter: &Filter) -> String {
        let mut all = String::new();
        if let Some(since) = filter.since {
            all += &format!(" AND time >= {}", self.value(there(since)));
        }
        if let Some(until) = filter.until {
            // The log has microseconds: a record of the one that has begun is before its end.
            let end = until.as_nanosecond() % 1_000 != 0;
            let place = self.value(there(until) + Duration::from_micros(end.into()));
            all += &format!(" AND time < {place}");
        }
        all
    }
}
