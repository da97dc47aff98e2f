//! What callers tried to grant, what became of it, and what was found out of it since: what a
//! start must know so that nothing is sent twice.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::audit::log::directory::LogReader;
use crate::audit::log::error::ReadError;
use crate::audit::record::event::Event;
use crate::audit::record::glance::Glance;
use crate::audit::record::parse::Record;
use crate::audit::search::recent::segments_since;
use crate::domain::{
    CallerId, EntranceId, GranteeKind, Operation, Outcome, Resolution, WorkspaceName,
};

/// A grant that was allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantAttempt {
    /// The decision's sequence number.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Who asked.
    pub caller: CallerId,
    /// In which workspace, where the record says so.
    pub workspace: Option<WorkspaceName>,
    /// For which entrance.
    pub entrance: EntranceId,
    /// For whom: in which form, and the id or its pseudonym.
    pub grantee: (GranteeKind, String),
    /// The caller's own name for the request.
    pub key: Option<String>,
}

/// One thing that the log says of attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptNews {
    /// One ended.
    Ended {
        /// Which.
        attempt: GrantAttempt,
        /// What became of it.
        outcome: Outcome,
        /// The decision whose outcome this is too.
        same_as: Option<u64>,
    },
    /// It was found out what became of an unknown one.
    Resolved {
        /// The number of its decision.
        seq: u64,
        /// What.
        resolution: Resolution,
    },
}

impl AttemptNews {
    /// The attempt, where some of it was sent, or may have been, for its own decision.
    #[must_use]
    pub fn sent(&self) -> Option<&GrantAttempt> {
        match self {
            Self::Ended { attempt, outcome, same_as: None } if *outcome != Outcome::NotSent => {
                Some(attempt)
            }
            Self::Ended { .. } | Self::Resolved { .. } => None,
        }
    }
}

/// Tells `each` of every attempt that was decided since a time, in the order in which they
/// ended. One that the log leaves open is unknown. Memory grows with what is in flight at one
/// time.
///
/// # Errors
/// [`ReadError`].
pub fn attempts(
    log: &LogReader,
    since: Timestamp,
    mut each: impl FnMut(AttemptNews),
) -> Result<(), ReadError> {
    let segments = segments_since(log, since)?;
    let (glance, mut open) = (Glance::new(), HashMap::new());
    let mut walk = log.walk(segments).over_gaps();
    while let Some(line) = walk.next()? {
        let Some(bytes) = line.whole() else { continue };
        let is_worth_it = match glance.event(bytes).and_then(Event::of_bytes) {
            Some(Event::Decision) => glance.may_allow(bytes),
            Some(Event::Outcome) => !open.is_empty(),
            Some(Event::Resolved) | None => true,
            Some(_) => false,
        };
        let Some(record) = line.record().filter(|_| is_worth_it) else { continue };
        if record.is(Event::Decision) && record.allows() {
            let attempt = attempt(&record).filter(|attempt| attempt.at >= since);
            open.extend(attempt.map(|attempt| (record.seq, attempt)));
        } else if record.is(Event::Outcome) {
            let Some(attempt) = record.decision_seq.and_then(|seq| open.remove(&seq)) else {
                continue;
            };
            // What another gateway sent says nothing of what was sent here.
            if record.same_as_replica().is_some() {
                continue;
            }
            let (outcome, same_as) = (outcome(&record), record.same_as());
            each(AttemptNews::Ended { attempt, outcome, same_as });
        } else if let Some((seq, resolution)) = record.resolution() {
            let known = Resolution::ALL.iter().find(|known| known.as_str() == resolution);
            let resolution = known.copied().unwrap_or(Resolution::CannotTell);
            each(AttemptNews::Resolved { seq, resolution });
        }
    }
    let mut left: Vec<_> = open.into_values().collect();
    left.sort_by_key(|attempt: &GrantAttempt| attempt.seq);
    for attempt in left {
        each(AttemptNews::Ended { attempt, outcome: Outcome::Unknown, same_as: None });
    }
    Ok(())
}

/// What was decided; none of another operation, or that this version does not understand.
fn attempt(record: &Record<'_>) -> Option<GrantAttempt> {
    if record.operation() != Some(Operation::GrantAccess) {
        return None;
    }
    Some(GrantAttempt {
        seq: record.seq,
        at: record.time()?,
        caller: CallerId::parse(record.caller()?).ok()?,
        workspace: record.workspace().map(WorkspaceName::parse).transpose().ok()?,
        entrance: EntranceId::parse(record.entrance_id()?).ok()?,
        grantee: (record.grantee_kind()?, record.grantee()?.to_owned()),
        key: record.idempotency_key(),
    })
}

/// One that this version does not know may have sent something.
fn outcome(record: &Record<'_>) -> Outcome {
    let known = Outcome::ALL.into_iter().find(|known| Some(known.as_str()) == record.outcome());
    known.unwrap_or(Outcome::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(seq: u64, minute: u8, more: &str) -> String {
        format!(
            "{{\"v\":1,\"seq\":{seq},\"time\":\"2026-11-28T10:{minute}:00.000000Z\",\"event\":\
             \"grant.decision\",\"caller\":\"desk\",\"entrance_id\":\
             \"d23d7180-c1ee-4bbe-8630-05df5031ce35\",\"acs_user_id\":\"x\",{more}}}\n"
        )
    }

    fn closing(seq: u64, of: u64, event: &str, more: &str) -> String {
        format!(
            "{{\"v\":1,\"seq\":{seq},\"time\":\"2026-11-28T10:59:00.000000Z\",\"event\":\
             \"{event}\",\"decision_seq\":{of},{more}}}\n"
        )
    }

    #[test]
    fn attempts_are_told_with_their_keys_ends_and_resolutions() {
        let allow = "\"decision\":\"allow\"";
        let keyed = "\"decision\":\"allow\",\"idempotency_key\":\"a \\\"b\\\"\"";
        let text = [
            decision(1, 10, keyed),
            decision(2, 30, keyed),
            decision(3, 31, allow),
            decision(4, 31, "\"decision\":\"deny\",\"idempotency_key\":\"c\""),
            decision(5, 31, "\"operation\":\"acs/entrances/get\",\"decision\":\"allow\""),
            decision(6, 32, allow),
            decision(7, 33, keyed),
            closing(8, 1, "grant.outcome", "\"outcome\":\"granted\""),
            closing(9, 3, "grant.outcome", "\"outcome\":\"unknown\""),
            closing(10, 2, "grant.outcome", "\"outcome\":\"granted\",\"same_as\":3"),
            closing(11, 3, "outcome.resolved", "\"resolution\":\"absent\""),
            closing(12, 7, "grant.outcome", "\"outcome\":\"of-a-later-version\""),
            decision(13, 34, allow),
            closing(14, 13, "grant.outcome", "\"outcome\":\"not-sent\""),
        ];
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("00000000000000000001.jsonl"), text.concat()).unwrap();
        let mut found = Vec::new();
        let since = "2026-11-28T10:30:00Z".parse().unwrap();
        attempts(&LogReader::new(directory.path()), since, |news| {
            found.push(match news {
                AttemptNews::Ended { ref attempt, outcome, same_as } => {
                    let key = attempt.key.as_deref().unwrap_or_default();
                    let sent = if news.sent().is_some() { " sent" } else { "" };
                    format!("{} {key:?} {} {same_as:?}{sent}", attempt.seq, outcome.as_str())
                }
                AttemptNews::Resolved { seq, resolution } => {
                    format!("{seq} {}", resolution.as_str())
                }
            });
        })
        .unwrap();
        assert_eq!(
            found,
            [
                "3 \"\" unknown None sent",
                "2 \"a \\\"b\\\"\" granted Some(3)",
                "3 absent",
                "7 \"a \\\"b\\\"\" unknown None sent",
                "13 \"\" not-sent None",
                "6 \"\" unknown None sent",
            ],
            "1 is too old, 4 denied, 5 reads, 6 was left open"
        );
    }
}
