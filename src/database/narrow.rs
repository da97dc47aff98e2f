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
        let decided = match filter.events.is_empty() || filter.events.contains(&Event::Decision) {
            true => made.decided(filter, take),
            false => vec!["false".to_owned()],
        };
        let decided: Vec<String> = decided
            .iter()
            .map(|what| format!("SELECT seq, line FROM audit_record WHERE log_id = $1 AND {what}"))
            .collect();
        let decided = decided.join(" UNION ");
        // Each by itself, so that each goes by its own index.
        let others: String = made
            .others(filter)
            .iter()
            .map(|what| {
                format!("UNION SELECT seq, line FROM audit_record r WHERE log_id = $1 AND {what} ")
            })
            .collect();
        made.statement = format!(
            "WITH decided AS MATERIALIZED ({decided}) \
             SELECT seq, line FROM decided \
             UNION SELECT r.seq, r.line FROM decided d JOIN audit_record r \
                   ON r.log_id = $1 AND r.decision_seq = d.seq \
             {others}ORDER BY seq"
        );
        made
    }

    /// Decisions, by themselves and by their outcomes: each of these finds some.
    fn decided(&mut self, filter: &Filter, take: Take) -> Vec<String> {
        let mut decided = self.decisions(filter);
        // A decision is known by its outcome too, where that is searched for.
        let of_outcomes = |what: &str| {
            format!("seq IN (SELECT decision_seq FROM audit_record WHERE log_id = $1 AND {what})")
        };
        if let Some(outcomes) = self.outcomes(filter) {
            decided += &format!(" AND {}", of_outcomes(&outcomes));
        }
        if let Some(reason) = filter.reason {
            let reason = format!("reason = '{}'", reason.as_str());
            let outcome = is_of(Event::Outcome);
            let by_outcome = of_outcomes(&format!("{outcome} AND {reason}"));
            // Apart: together no index finds them.
            return [reason, by_outcome].map(|what| format!("{decided} AND {what}")).into();
        }
        let is_exact = filter.act.is_none() && filter.events.is_empty();
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
        vec![decided]
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
        let mut all = is_of(Event::Decision);
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
            and(format!("decision = '{}'", if allowed { "allow" } else { "deny" }));
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
        let mut all = is_of(Event::Outcome);
        if filter.outcome.is_none() && filter.seam_request_id.is_none() {
            return None;
        }
        if let Some(outcome) = filter.outcome {
            all += &format!(" AND {}", is_outcome(outcome));
        }
        if let Some(id) = &filter.seam_request_id {
            all += &format!(" AND seam_request_id = {}", self.value(id.clone()));
        }
        Some(all)
    }

    /// Records that are rows of their own, and outcomes whose decisions are not there any more.
    fn others(&mut self, filter: &Filter) -> Vec<String> {
        let mut all = Vec::new();
        let events: &[Event] = match filter.events.as_slice() {
            [] => &[Event::Resolved, Event::Stranger, Event::Suppressed],
            events => events,
        };
        let wants = !filter.events.is_empty()
            || filter.caller.is_some()
            || filter.reason.is_some()
            || filter.request_id.is_some();
        // Decisions are looked for apart. An index has all events but those of grants.
        for event in events.iter().filter(|event| wants && **event != Event::Decision) {
            let mut what = is_of(*event);
            if let Some(caller) = &filter.caller {
                what += &format!(" AND caller = {}", self.value(caller.to_string()));
            }
            if let Some(id) = &filter.request_id {
                what += &format!(" AND request_id = {}", self.value(id.clone()));
            }
            what += &self.times(filter);
            all.push(what);
        }
        // Outcomes whose decisions are not there any more.
        let orphan = format!(
            "{} AND NOT EXISTS (SELECT FROM audit_record d WHERE d.log_id = $1 AND d.seq = r.decision_seq)",
            is_of(Event::Outcome)
        );
        if let Some(id) = &filter.request_id {
            all.push(format!("{orphan} AND request_id = {}", self.value(id.clone())));
        } else if let Some(id) = &filter.seam_request_id {
            all.push(format!("{orphan} AND seam_request_id = {}", self.value(id.clone())));
        } else if let Some(of) = filter.outcome {
            all.push(format!("{orphan} AND {}{}", is_outcome(of), self.times(filter)));
        }
        // What was found out of another decision's outcome is that of its duplicates too.
        if filter.outcome == Some(Outcome::Unknown) {
            all.push(is_of(Event::Resolved));
        }
        all
    }

    fn times(&mut self, filter: &Filter) -> String {
        let mut all = String::new();
        if let Some(before) = filter.before.and_then(|before| i64::try_from(before).ok()) {
            all += &format!(" AND seq < {}", self.value(before));
        }
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

/// Written out, as the conditions of indexes are: a value that comes later may be any.
fn is_of(event: Event) -> String {
    format!("event = '{}'", event.as_str())
}

fn is_outcome(outcome: Outcome) -> String {
    format!("outcome = '{}'", outcome.as_str())
}
