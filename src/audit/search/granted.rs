//! The grants of a time, as far as anything of them was sent.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::audit::log::directory::LogReader;
use crate::audit::log::error::ReadError;
use crate::audit::record::event::Event;
use crate::audit::record::glance::Glance;
use crate::audit::search::recent::segments_since;
use crate::domain::{CallerId, EntranceId, Operation, Outcome};

/// A grant that was allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedGrant {
    /// Who asked.
    pub caller: CallerId,
    /// For which entrance.
    pub entrance: EntranceId,
    /// When it was decided.
    pub at: Timestamp,
}

/// Gives every grant that was allowed between two times to `each`, but those of which not a byte was
/// sent, and those that were answered with the outcome of another. Memory grows with what is in flight at one time.
///
/// # Errors
/// [`ReadError`].
pub fn granted(
    log: &LogReader,
    (since, until): (Timestamp, Timestamp),
    mut each: impl FnMut(AllowedGrant),
) -> Result<(), ReadError> {
    let segments = segments_since(log, since)?;
    let (glance, mut open) = (Glance::new(), HashMap::new());
    let mut walk = log.walk(segments).over_gaps();
    while let Some(line) = walk.next()? {
        let Some(bytes) = line.whole() else { continue };
        let event = glance.event(bytes).and_then(Event::of_bytes);
        let is_worth_it = match event {
            Some(Event::Decision) => glance.may_allow(bytes),
            Some(Event::Outcome) => !open.is_empty(),
            Some(_) => false,
            None => true,
        };
        let Some(record) = line.record().filter(|_| is_worth_it) else { continue };
        if record.is(Event::Decision) && record.allows() {
            let grant = record.time().filter(|at| *at >= since && *at < until).and_then(|at| {
                let caller = CallerId::parse(record.caller()?).ok()?;
                let entrance = EntranceId::parse(record.entrance_id()?).ok()?;
                Some(AllowedGrant { caller, entrance, at })
            });
            if record.operation() == Some(Operation::GrantAccess) {
                open.extend(grant.map(|grant| (record.seq, grant)));
            }
        } else if record.is(Event::Outcome) {
            let grant = record.decision_seq.and_then(|seq| open.remove(&seq));
            let sent = record.outcome() != Some(Outcome::NotSent.as_str());
            let sent = sent && record.same_as().is_none();
            grant.filter(|_| sent).into_iter().for_each(&mut each);
        }
    }
    open.into_values().for_each(each);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_counts_and_what_was_not_does_not() {
        let decision = |seq: u64, day: u8, more: &str| {
            format!(
                "{{\"v\":1,\"seq\":{seq},\"time\":\"2026-11-{day}T10:00:00.000000Z\",\"event\":\
                 \"grant.decision\",\"caller\":\"desk\",\"entrance_id\":\
                 \"d23d7180-c1ee-4bbe-8630-05df5031ce35\",{more}}}\n"
            )
        };
        let outcome = |seq: u64, of: u64, what: &str| {
            format!(
                "{{\"v\":1,\"seq\":{seq},\"time\":\"2026-11-28T10:00:01.000000Z\",\"event\":\
                 \"grant.outcome\",\"decision_seq\":{of},\"outcome\":\"{what}\"}}\n"
            )
        };
        let allow = "\"decision\":\"allow\"";
        let text = [
            decision(1, 27, allow),
            decision(2, 28, allow),
            decision(3, 28, "\"decision\":\"deny\""),
            decision(4, 28, allow),
            decision(5, 28, allow),
            decision(6, 28, "\"operation\":\"acs/entrances/get\",\"decision\":\"allow\""),
            outcome(7, 1, "granted"),
            outcome(8, 2, "granted"),
            outcome(9, 4, "not-sent"),
            outcome(10, 6, "answered"),
            decision(11, 28, allow),
            outcome(12, 11, "unknown"),
            decision(13, 28, allow),
            outcome(14, 13, "granted\",\"same_as\":2,\"reason\":\"x"),
        ];
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("00000000000000000001.jsonl"), text.concat()).unwrap();
        let mut found = 0;
        let since = "2026-11-28T00:00:00Z".parse().unwrap();
        let until = "2026-11-29T00:00:00Z".parse().unwrap();
        granted(&LogReader::new(directory.path()), (since, until), |grant| {
            assert_eq!(grant.caller.as_str(), "desk");
            found += 1;
        })
        .unwrap();
        assert_eq!(found, 3, "2, 11, and 5, of which nobody knows yet; 13 is the same as 2");
    }
}
