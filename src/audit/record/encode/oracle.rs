//! The two records of every request as serde encodes them: what `hot.rs` writes by hand is
//! compared with it. Whoever adds a field adds it in both.

use std::net::SocketAddr;

use jiff::Timestamp;
use proptest::prelude::*;
use serde::Serialize;

use super::UNCONFIRMED;
use super::lines::{Head, OutcomeLine};
use super::{DecisionRecord, Draft, OutcomeRecord, Unnumbered, named};
use crate::audit::record::entry::{CandidateEntry, DecisionEntry, OutcomeEntry};
use crate::audit::record::event::{Event, verdict};
use crate::audit::record::pseudonym::PseudonymKey;
use crate::domain::{
    AcsUserId, EntranceId, Grantee, Operation, Outcome, Reason, RequestId, RuleRef, UserIdentityId,
    WorkspaceName,
};

#[derive(Serialize)]
pub(super) struct DecisionLine<'a> {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) request_id: String,
    pub(super) caller: &'a str,
    pub(super) credential: &'a str,
    pub(super) peer: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workspace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entrance_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) acs_user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_identity_id: Option<String>,
    pub(super) decision: &'static str,
    pub(super) reason: &'static str,
    pub(super) rules: Vec<String>,
    pub(super) revision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) candidate: Option<Candidate<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idempotency_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idempotency_scope: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct Candidate<'a> {
    pub(super) revision: &'a str,
    pub(super) decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
}

impl Draft {
    /// What [`DecisionRecord`] writes, made another way.
    pub(in crate::audit) fn decision(
        entry: &DecisionEntry<'_>,
        key: Option<&PseudonymKey>,
    ) -> Self {
        let known_as = |id: String| key.map_or_else(|| id.clone(), |key| key.pseudonym(&id));
        let (acs_user_id, user_identity_id) = match entry.grantee {
            Some(Grantee::AcsUser(id)) => (Some(known_as(id.to_string())), None),
            Some(Grantee::UserIdentity(id)) => (None, Some(known_as(id.to_string()))),
            None => (None, None),
        };
        Self::new(Event::Decision, entry.at, |head| DecisionLine {
            head,
            request_id: entry.request_id.to_string(),
            caller: entry.caller,
            credential: entry.credential,
            peer: entry.peer,
            operation: named(entry.operation),
            workspace: entry.workspace.map(WorkspaceName::as_str),
            entrance_id: entry.entrance.map(|entrance| entrance.to_string()),
            acs_user_id,
            user_identity_id,
            decision: verdict(entry.allow),
            reason: entry.reason.as_str(),
            rules: entry.rules.iter().map(ToString::to_string).collect(),
            revision: entry.revision,
            body_sha256: entry.body_sha256.filter(|_| key.is_none()).map(|digest| hex(&digest)),
            candidate: entry.candidate.map(|candidate| Candidate {
                revision: candidate.revision,
                decision: candidate.decision,
                reason: candidate.reason.map(Reason::as_str),
            }),
            idempotency_key: entry.idempotency_key,
            idempotency_scope: entry.is_key_unconfirmed.then_some(UNCONFIRMED),
        })
    }

    /// What [`OutcomeRecord`] writes, made another way.
    pub(in crate::audit) fn outcome(entry: &OutcomeEntry, time: Timestamp) -> Self {
        let request_id = entry.request_id.to_string();
        let draft = Self::new(Event::Outcome, time, |head| OutcomeLine {
            head,
            request_id: &request_id,
            operation: named(entry.operation),
            entrances: entry.entrances,
            decision_seq: entry.decision_seq,
            outcome: entry.outcome.as_str(),
            reason: entry.reason.as_str(),
            status: entry.status,
            seam_request_id: entry.seam_request_id.as_deref(),
            upstream_ms: entry.upstream_ms,
            same_as: entry.same_as,
            same_as_replica: entry.same_as_replica.map(|(replica, _)| replica.to_string()),
            same_as_replica_seq: entry.same_as_replica.and_then(|(_, seq)| seq),
            recovered: false,
        });
        draft.closing(entry.decision_seq)
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn written(record: &impl Unnumbered) -> String {
    // Behind something else, as in a buffer of several.
    let mut out = b"before".to_vec();
    record.write(&mut out);
    String::from_utf8(out.split_off(6)).unwrap()
}

fn uuid() -> impl Strategy<Value = uuid::Uuid> {
    any::<u128>().prop_map(uuid::Uuid::from_u128)
}

/// With everything that JSON escapes, and much that it does not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9.:/-]{0,40}",
        proptest::collection::vec(any::<char>(), 0..30).prop_map(|all| all.into_iter().collect()),
        proptest::collection::vec(0..0x80_u8, 0..30)
            .prop_map(|all| all.into_iter().map(char::from).collect()),
        Just("x".repeat(70_000)),
    ]
}

fn time() -> impl Strategy<Value = Timestamp> {
    (-377_705_023_201_i64..=253_402_207_200, 0..1_000_000_000_i32)
        .prop_map(|(seconds, nanos)| Timestamp::new(seconds, nanos).unwrap())
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(all)
}

fn grantee() -> impl Strategy<Value = Option<Grantee>> {
    proptest::option::of((any::<bool>(), uuid()).prop_map(|(user, id)| {
        if user {
            Grantee::AcsUser(AcsUserId::from(id))
        } else {
            Grantee::UserIdentity(UserIdentityId::from(id))
        }
    }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_decision_is_written_as_serde_encodes_it(
        (request, entrance, grantee) in (uuid(), proptest::option::of(uuid()), grantee()),
        workspace in proptest::option::of("[a-z][a-z0-9._-]{0,20}"),
        (caller, credential, revision) in (text(), text(), text()),
        peer in any::<SocketAddr>(),
        operation in one_of(Operation::ALL),
        (allow, reason) in (any::<bool>(), one_of(Reason::ALL)),
        rules in proptest::collection::vec((text(), any::<u32>()), 0..4),
        body_sha256 in proptest::option::of(any::<[u8; 32]>()),
        at in time(),
        candidate in proptest::option::of((text(), proptest::option::of(one_of(Reason::ALL)))),
        (idempotency_key, is_key_unconfirmed) in (proptest::option::of(text()), any::<bool>()),
        secret in proptest::option::of("[a-z]{32}"),
    ) {
        let rules: Vec<RuleRef> =
            rules.into_iter().map(|(file, line)| RuleRef::new(file.into(), line)).collect();
        let workspace = workspace.map(|name| WorkspaceName::parse(&name).unwrap());
        let entry = DecisionEntry {
            request_id: RequestId::from(request),
            caller: &caller,
            credential: &credential,
            peer,
            operation,
            workspace: workspace.as_ref(),
            entrance: entrance.map(EntranceId::from),
            grantee,
            allow,
            reason,
            rules: &rules,
            revision: &revision,
            body_sha256,
            at,
            candidate: candidate.as_ref().map(|(revision, reason)| CandidateEntry {
                revision,
                decision: "deny",
                reason: *reason,
            }),
            idempotency_key: idempotency_key.as_deref(),
            is_key_unconfirmed,
        };
        let key = secret.map(|secret| PseudonymKey::new(&secret).unwrap());
        let draft = Draft::decision(&entry, key.as_ref());
        let expected = String::from_utf8(draft.rest).unwrap();
        prop_assert_eq!(written(&DecisionRecord(&entry, key.as_ref())), expected);
    }

    #[test]
    fn an_outcome_is_written_as_serde_encodes_it(
        request in uuid(),
        operation in one_of(Operation::ALL),
        (outcome, reason) in (one_of(&Outcome::ALL), one_of(Reason::ALL)),
        (decision_seq, entrances) in (any::<u64>(), any::<Option<usize>>()),
        (status, upstream_ms) in (any::<Option<u16>>(), any::<Option<u64>>()),
        (same_as, same_as_replica) in (any::<Option<u64>>(), proptest::option::of((uuid(), any::<Option<u64>>()))),
        seam_request_id in proptest::option::of(text()),
        at in time(),
    ) {
        let entry = OutcomeEntry {
            request_id: RequestId::from(request),
            operation,
            decision_seq,
            entrances,
            outcome,
            reason,
            status,
            seam_request_id,
            upstream_ms,
            same_as,
            same_as_replica,
        };
        let draft = Draft::outcome(&entry, at);
        let expected = String::from_utf8(draft.rest).unwrap();
        prop_assert_eq!(written(&OutcomeRecord(&entry, at)), expected);
    }
}
