//! The decisions of a log, one after the other: for judging them again.

use jiff::Timestamp;

use crate::audit::log::directory::LogReader;
use crate::audit::log::error::ReadError;
use crate::audit::log::walk::Progress;
use crate::audit::record::event::Event;
use crate::audit::record::parse::Record;
use crate::domain::{CallerId, EntranceId, GranteeKind, Operation, Problem, WorkspaceName};

/// Damaged lines beyond this number are counted and not named.
const DAMAGED_NAMED_MAX: usize = 20;

/// A `grant.decision` record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedDecision {
    /// Its sequence number.
    pub seq: u64,
    /// When it was decided.
    pub time: Timestamp,
    /// The request.
    pub request_id: String,
    /// Who asked.
    pub caller: CallerId,
    /// For what; none when this version does not know it.
    pub operation: Option<Operation>,
    /// In which workspace, where workspaces have names.
    pub workspace: Option<WorkspaceName>,
    /// For which entrance; none when the request was malformed, or is for a list.
    pub entrance: Option<EntranceId>,
    /// In which form the grantee was named.
    pub grantee: Option<GranteeKind>,
    /// Whether it was allowed.
    pub allowed: bool,
    /// The reason code.
    pub reason: String,
}

/// What was read.
#[derive(Debug, Default)]
pub struct DecisionsSummary {
    /// Decisions.
    pub decisions: u64,
    /// Lines that are no records, in all.
    pub damaged_lines: u64,
    /// The first of them.
    pub damaged: Vec<Problem>,
}

/// Gives every decision of the log to `each`, in order. `progress` is told now and then how
/// many bytes were read, of how many.
///
/// # Errors
/// [`ReadError`].
pub fn decisions(
    log: &LogReader,
    progress: impl FnMut(u64, u64),
    mut each: impl FnMut(AuditedDecision),
) -> Result<DecisionsSummary, ReadError> {
    decisions_while(log, progress, |decision| {
        each(decision);
        true
    })
}

/// The same until `each` wants no more.
///
/// # Errors
/// [`ReadError`].
pub fn decisions_while(
    log: &LogReader,
    progress: impl FnMut(u64, u64),
    mut each: impl FnMut(AuditedDecision) -> bool,
) -> Result<DecisionsSummary, ReadError> {
    walk(log, progress, |decision, _| each(decision))
}

/// The last decision about this request, and the policy that decided.
///
/// # Errors
/// [`ReadError`].
pub fn decision_about(
    log: &LogReader,
    request_id: &str,
) -> Result<Option<(AuditedDecision, String)>, ReadError> {
    let mut found = None;
    walk(
        log,
        |_, _| {},
        |decision, record| {
            if decision.request_id == request_id {
                found = Some((decision, record.revision().unwrap_or_default()));
            }
            true
        },
    )?;
    Ok(found)
}

fn walk(
    log: &LogReader,
    progress: impl FnMut(u64, u64),
    mut each: impl FnMut(AuditedDecision, &Record<'_>) -> bool,
) -> Result<DecisionsSummary, ReadError> {
    let segments = log.segments()?;
    let mut progress = Progress::of(&segments, progress);
    let mut summary = DecisionsSummary::default();
    let mut walk = log.walk(segments);
    while let Some(line) = walk.next()? {
        progress.at(&line);
        let record = line.record().ok_or(());
        match record.and_then(|record| Ok((decision(&record)?, record))) {
            Ok((Some(decision), record)) => {
                summary.decisions += 1;
                if !each(decision, &record) {
                    break;
                }
            }
            Ok((None, _)) => {}
            // It may still be being written.
            Err(()) if line.is_torn() => {}
            Err(()) => {
                summary.damaged_lines += 1;
                if summary.damaged.len() < DAMAGED_NAMED_MAX {
                    summary.damaged.push(line.problem());
                }
            }
        }
    }
    Ok(summary)
}

/// A decision; none for another record.
fn decision(record: &Record<'_>) -> Result<Option<AuditedDecision>, ()> {
    if !record.is(Event::Decision) {
        return Ok(None);
    }
    let entrance = record.entrance_id().map(EntranceId::parse).transpose().map_err(|_| ())?;
    let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Ok(Some(AuditedDecision {
        seq: record.seq,
        time: record.time().ok_or(())?,
        request_id: owned(record.request_id()),
        caller: CallerId::parse(record.caller().unwrap_or_default()).map_err(|_| ())?,
        operation: record.operation(),
        workspace: record.workspace().map(WorkspaceName::parse).transpose().map_err(|_| ())?,
        entrance,
        grantee: record.grantee_kind(),
        allowed: record.allows(),
        reason: owned(record.reason()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_read_and_damage_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let decision = r#"{"seq":1,"time":"2026-11-25T10:00:00.000001Z","event":"grant.decision","request_id":"r","caller":"desk","credential":"token:a","entrance_id":"d23d7180-c1ee-4bbe-8630-05df5031ce35","acs_user_id":"x","decision":"deny","reason":"no-rule-matches","rules":[],"revision":"sha256:0"}"#;
        let malformed = r#"{"seq":2,"time":"2026-11-25T10:00:00Z","event":"grant.decision","caller":"desk","decision":"deny","reason":"body-empty"}"#;
        let other = r#"{"seq":3,"time":"2026-11-25T10:00:00Z","event":"log.stop"}"#;
        let bad_time = decision.replace("T10", "T99");
        let text = format!("{decision}\n{malformed}\n{other}\nxx\n{bad_time}\n{{\"seq\":4,");
        std::fs::write(directory.path().join("00000000000000000001.jsonl"), text).unwrap();
        let mut found = Vec::new();
        let summary =
            decisions(&LogReader::new(directory.path()), |_, _| {}, |d| found.push(d)).unwrap();
        assert_eq!(summary.decisions, 2);
        let lines: Vec<_> = summary.damaged.iter().filter_map(|p| p.line).collect();
        assert_eq!(lines, [4, 5], "the last is still being written");
        assert_eq!(found[0].grantee, Some(GranteeKind::AcsUser));
        assert_eq!(found[0].time.to_string(), "2026-11-25T10:00:00.000001Z");
        assert!(found[1].entrance.is_none() && found[1].reason == "body-empty");
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("00000000000000000001.jsonl"), bytes).unwrap();
            let _ = decisions(&LogReader::new(directory.path()), |_, _| {}, |_| {});
        }
    }
}
