//! Grants of which nobody knows what became, and whether it was found out since.

use std::collections::BTreeSet;

use jiff::Timestamp;
use memchr::memmem;

use crate::audit::log::directory::LogReader;
use crate::audit::log::error::ReadError;
use crate::audit::log::segment::Segment;
use crate::audit::record::event::Event;
use crate::audit::record::glance;
use crate::audit::record::parse::Record;
use crate::audit::search::recent::segments_since;
use crate::domain::{
    AcsUserId, EntranceId, Grantee, GranteeKind, Operation, Outcome, RequestId, UserIdentityId,
    WorkspaceName,
};

/// A grant whose outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownGrant {
    /// The request.
    pub request_id: RequestId,
    /// The decision's sequence number.
    pub decision_seq: u64,
    /// In which workspace, where the record says so.
    pub workspace: Option<WorkspaceName>,
    /// The entrance.
    pub entrance: EntranceId,
    /// Who was to get access; none where the record has a pseudonym.
    pub grantee: Option<Grantee>,
    /// When it was decided.
    pub at: Timestamp,
}

/// Grants since a time whose outcome is unknown and was not resolved, the oldest first. A log
/// without records has none.
///
/// # Errors
/// [`ReadError`].
pub fn unresolved(log: &LogReader, since: Timestamp) -> Result<Vec<UnknownGrant>, ReadError> {
    let open = still_unknown(log, segments_since(log, since)?)?;
    let Some(first) = open.first() else { return Ok(Vec::new()) };
    let from = |segment: &Segment| segment.next_seq.is_none_or(|next| next > *first);
    // The decision may stand in a segment before.
    let homes: Vec<Segment> = log.list()?.into_iter().filter(from).collect();
    let mut found = Vec::new();
    let mut walk = log.walk(homes).over_gaps();
    while let Some(line) = walk.next()? {
        let of_these = line.whole().and_then(glance::seq);
        if of_these.is_some_and(|seq| !open.contains(&seq)) {
            continue;
        }
        let grant = line.record().filter(|r| open.contains(&r.seq)).and_then(|r| grant(&r));
        found.extend(grant.filter(|grant| grant.at >= since));
    }
    Ok(found)
}

/// The numbers of decisions whose outcome is unknown and not resolved.
fn still_unknown(log: &LogReader, segments: Vec<Segment>) -> Result<BTreeSet<u64>, ReadError> {
    let unknown = memmem::Finder::new(Outcome::Unknown.as_str());
    let resolved = memmem::Finder::new(Event::Resolved.as_str());
    let (mut open, mut closed) = (BTreeSet::new(), BTreeSet::new());
    let mut walk = log.walk(segments).over_gaps();
    while let Some(line) = walk.next()? {
        let bytes = line.bytes;
        if unknown.find(bytes).is_none() && resolved.find(bytes).is_none() {
            continue;
        }
        let Some(record) = line.record() else { continue };
        let Some(seq) = record.decision_seq else { continue };
        let is_grant = record.operation() == Some(Operation::GrantAccess);
        if record.is(Event::Outcome) && record.outcome() == Some(Outcome::Unknown.as_str()) {
            // Of one that was answered from another, that one is asked about.
            if is_grant && !record.is_of_another() {
                open.insert(seq);
            }
        } else if record.is(Event::Resolved) {
            closed.insert(seq);
        }
    }
    open.retain(|seq| !closed.contains(seq));
    Ok(open)
}

/// What was decided; none that this version does not understand.
fn grant(record: &Record<'_>) -> Option<UnknownGrant> {
    let text = record.grantee();
    let grantee = record.grantee_kind().zip(text).and_then(|(kind, text)| match kind {
        GranteeKind::AcsUser => AcsUserId::parse(text).ok().map(Grantee::AcsUser),
        GranteeKind::UserIdentity => UserIdentityId::parse(text).ok().map(Grantee::UserIdentity),
    });
    Some(UnknownGrant {
        request_id: RequestId::parse(record.request_id()?).ok()?,
        decision_seq: record.seq,
        workspace: record.workspace().map(WorkspaceName::parse).transpose().ok()?,
        entrance: EntranceId::parse(record.entrance_id()?).ok()?,
        grantee,
        at: record.time()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(seq: u64, day: u8, grantee: &str) -> String {
        format!(
            "{{\"v\":1,\"seq\":{seq},\"time\":\"2026-11-{day}T10:00:00.000000Z\",\"event\":\
             \"grant.decision\",\"request_id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"caller\":\
             \"desk\",\"entrance_id\":\"d23d7180-c1ee-4bbe-8630-05df5031ce35\",\"acs_user_id\":\
             \"{grantee}\",\"decision\":\"allow\",\"reason\":\"allowed-by-rule\"}}\n"
        )
    }

    fn closing(seq: u64, of: u64, event: &str, more: &str) -> String {
        format!(
            "{{\"v\":1,\"seq\":{seq},\"time\":\"2026-11-28T10:00:01.000000Z\",\"event\":\"{event}\",\
             \"decision_seq\":{of},{more}}}\n"
        )
    }

    #[test]
    fn what_is_unknown_and_not_resolved_is_found_with_its_decision() {
        let directory = tempfile::tempdir().unwrap();
        let person = "c6247b75-f1cb-493a-9915-a85a0b9639ae";
        let unknown = "\"outcome\":\"unknown\",\"reason\":\"upstream-timeout\"";
        let read = format!("\"operation\":\"acs/entrances/list\",{unknown}");
        let first: String =
            [(1, 28, person), (2, 28, "hmac-sha256:00"), (3, 28, person), (4, 26, person)]
                .map(|(seq, day, grantee)| decision(seq, day, grantee))
                .concat();
        let second = [
            closing(5, 1, "grant.outcome", unknown),
            closing(6, 2, "grant.outcome", unknown),
            closing(7, 3, "grant.outcome", unknown),
            closing(8, 4, "grant.outcome", unknown),
            closing(9, 3, "outcome.resolved", "\"resolution\":\"absent\",\"asked\":3"),
            closing(10, 99, "grant.outcome", &read),
            closing(11, 3, "grant.outcome", &format!("{unknown},\"same_as\":1")),
        ];
        for (name, text) in [(1, first), (5, second.concat())] {
            let path = directory.path().join(format!("{name:020}.jsonl"));
            std::fs::write(path, text).unwrap();
        }
        let log = LogReader::new(directory.path());
        let since = "2026-11-27T10:00:00Z".parse().unwrap();
        let found = unresolved(&log, since).unwrap();
        let seqs: Vec<u64> = found.iter().map(|grant| grant.decision_seq).collect();
        assert_eq!(seqs, [1, 2], "3 is resolved, 4 is too old, 99 only read");
        assert!(found[0].grantee.is_some() && found[1].grantee.is_none(), "{found:?}");
        assert!(unresolved(&LogReader::new(directory.path().join("none")), since).is_err());
    }
}
