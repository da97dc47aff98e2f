use super::*;
use crate::audit::record::entry::{
    BundleEntry, CandidateEntry, CertificateEntry, OrderChange, ResolvedEntry,
};
use crate::audit::tree::Hash;
use crate::domain::{
    EntranceId, Grantee, Order, OrderKind, Resolution, RuleRef, Scope, Signature, UserIdentityId,
};

/// One of each kind, frozen: what a published version wrote is written still.
const GOLDEN: &str = include_str!("../../../../tests/golden/audit/records-v1.jsonl");

const SCHEMA: &str = include_str!("../../../../docs/audit-format.schema.json");

fn decision(candidate: bool) -> DecisionEntry<'static> {
    DecisionEntry {
        request_id: RequestId::parse("01890a5d-ac96-774b-bcce-b302099a8057").unwrap(),
        caller: "desk",
        credential: "token:a",
        peer: "127.0.0.1:4711".parse().unwrap(),
        operation: Operation::GrantAccess,
        workspace: None,
        entrance: EntranceId::parse("d23d7180-c1ee-4bbe-8630-05df5031ce35").ok(),
        grantee: UserIdentityId::parse("c6247b75-f1cb-493a-9915-a85a0b9639ae")
            .ok()
            .map(Grantee::UserIdentity),
        allow: true,
        reason: Reason::AllowedByRule,
        rules: rules(),
        revision: "sha256:00",
        body_sha256: Some([0xab; 32]),
        at: time(),
        candidate: candidate.then_some(CandidateEntry {
            revision: "sha256:01",
            decision: "deny",
            reason: Some(Reason::NoRuleMatches),
        }),
        idempotency_key: None,
        is_key_unconfirmed: false,
    }
}

fn rules() -> &'static [RuleRef] {
    static RULES: std::sync::OnceLock<[RuleRef; 1]> = std::sync::OnceLock::new();
    RULES.get_or_init(|| [RuleRef::new("policy.csv".into(), 12)])
}

fn time() -> Timestamp {
    "2026-11-23T09:00:00.1234567Z".parse().unwrap()
}

/// Every kind of record with every field that it can have, and without those it can lack.
#[expect(clippy::too_many_lines, reason = "one table")]
fn every_kind() -> Vec<Draft> {
    let key = PseudonymKey::new(&"k".repeat(32)).unwrap();
    let request_id = decision(false).request_id;
    let outcome = |status, more: bool| OutcomeEntry {
        request_id,
        operation: Operation::GrantAccess,
        entrances: None,
        decision_seq: 1,
        outcome: Outcome::Granted,
        reason: Reason::AllowedByRule,
        status,
        seam_request_id: more.then(|| "r1".into()),
        upstream_ms: more.then_some(87),
        same_as: None,
        same_as_replica: None,
    };
    let malformed = DecisionEntry {
        workspace: None,
        entrance: None,
        grantee: None,
        allow: false,
        reason: Reason::BodyEmpty,
        rules: &[],
        body_sha256: None,
        ..decision(false)
    };
    let read =
        DecisionEntry { operation: Operation::GetEntrance, grantee: None, ..decision(false) };
    let keyed = DecisionEntry { idempotency_key: Some("visit \"7\""), ..decision(false) };
    let elsewhere = OutcomeEntry {
        same_as_replica: Some((uuid::Uuid::from_u128(7), Some(7))),
        ..outcome(None, false)
    };
    let answered = |what| OutcomeEntry {
        operation: Operation::ListEntrances,
        outcome: what,
        ..outcome(None, false)
    };
    let reload = |problems| ReloadEntry {
        parts: &["policy"],
        revision_before: "sha256:00",
        revision: "sha256:01",
        problems,
        bundle: None,
    };
    let signers = ["alice".to_owned(), "bob".to_owned()];
    let bundle = BundleEntry { number: 43, digest: "sha256:02", signers: &signers };
    let mut tree = Frontier::default();
    for leaf in 0..3_u8 {
        tree.push(Hash::of_leaf(&[leaf]));
    }
    let checkpoint = |open_from, checkpoint| CheckpointEntry { tree: &tree, open_from, checkpoint };
    let stranger = StrangerEntry {
        request_id,
        peer: "[::1]:9".parse().unwrap(),
        caller: None,
        credential: None,
        reason: Reason::TokenUnknown,
        certificate: None,
    };
    let names = ["spiffe://example.org/desk".to_owned(), "dns:desk.internal".to_owned()];
    let refused = |certificate| StrangerEntry {
        reason: Reason::CertificateRefused,
        certificate: Some(certificate),
        ..stranger
    };
    let full = CertificateEntry {
        fault: Some("expired"),
        names: &names,
        serial: Some("07"),
        issuer: Some("CN=callers"),
    };
    let empty = CertificateEntry { fault: None, names: &[], serial: None, issuer: None };
    let reasons = BTreeMap::from([("token-expired", 2), ("token-unknown", 40)]);
    let problems = ["policy.csv:3: no".to_owned()];
    let order = |number, kind, until| Order {
        number,
        kind,
        given: Signature { at: time(), by: "ada".into(), why: "token stolen".into() },
        until,
        lifted: None,
        directive: None,
    };
    let everything = order(1, OrderKind::Freeze(Scope::Everything), None);
    let lab = WorkspaceName::parse("lab").unwrap();
    let workspace = order(4, OrderKind::Freeze(Scope::Workspace(lab.clone())), None);
    let zone = order(2, OrderKind::Drill(Scope::Zone("zone:lobby".into())), None);
    let desk = CallerId::parse("desk").unwrap();
    let suspended = Draft::stranger(
        &StrangerEntry {
            caller: Some(&desk),
            credential: Some("token:a"),
            reason: Reason::CallerSuspended,
            ..stranger
        },
        time(),
    );
    let lobby = EntranceId::parse("d23d7180-c1ee-4bbe-8630-05df5031ce35").unwrap();
    let exception = order(3, OrderKind::Exception(desk, lobby), Some(time()));
    let lifted = Signature { at: time(), by: "grace".into(), why: "replaced".into() };
    let resolved = |resolution, status: Option<u16>| ResolvedEntry {
        request_id,
        decision_seq: 1,
        resolution,
        asked: 5,
        reason: status.map(|_| Reason::UpstreamKeyRefused),
        status,
    };
    let of_all = Order { directive: Some(DirectiveId::of([7; 16])), ..everything.clone() };
    let given = |order| OrderEntry { order, change: OrderChange::Given };
    vec![
        Draft::decision(&decision(true), None),
        Draft::decision(&decision(false), Some(&key)),
        Draft::decision(&malformed, None),
        Draft::outcome(&outcome(Some(200), true), time()),
        Draft::outcome(&outcome(None, false), time()),
        Draft::recovered("r", None, 1, time()),
        Draft::stranger(&stranger, time()),
        Draft::suppressed(&Suppressed { since: time(), reasons }, time()),
        Draft::reload(&reload(&[]), time()),
        Draft::reload(&reload(&problems), time()),
        Draft::start("sha256:00", time()),
        Draft::recovery(&RecoveryEntry { closed_decisions: 1, cut: Some((7, "x.torn-9")) }, time()),
        Draft::recovery(&RecoveryEntry { closed_decisions: 0, cut: None }, time()),
        Draft::checkpoint(&checkpoint(None, None), time()),
        Draft::checkpoint(&checkpoint(Some(1), Some("a\n3\nAAAA\n\n\u{2014} a AAAA\n")), time()),
        Draft::outage(&Outage { since: time(), refused: 3, cause: "full".into() }, time()),
        Draft::stop(time()),
        Draft::stranger(&refused(full), time()),
        Draft::stranger(&refused(empty), time()),
        Draft::decision(&read, None),
        Draft::decision(&DecisionEntry { entrance: None, ..read }, None),
        Draft::outcome(&OutcomeEntry { entrances: Some(3), ..answered(Outcome::Answered) }, time()),
        Draft::outcome(&answered(Outcome::Unanswered), time()),
        Draft::recovered("r", Some("acs/entrances/list"), 1, time()),
        Draft::order(&given(&everything), time()),
        Draft::order(&given(&exception), time()),
        Draft::order(&OrderEntry { change: OrderChange::Lifted(&lifted), ..given(&zone) }, time()),
        Draft::order(&OrderEntry { change: OrderChange::Expired, ..given(&exception) }, time()),
        Draft::resolved(&resolved(Resolution::Granted, None), time()),
        Draft::resolved(&resolved(Resolution::CannotTell, Some(403)), time()),
        Draft::decision(&DecisionEntry { workspace: Some(&lab), ..decision(false) }, None),
        Draft::order(&given(&workspace), time()),
        Draft::decision(&keyed, None),
        Draft::outcome(&OutcomeEntry { same_as: Some(1), ..outcome(None, false) }, time()),
        suspended,
        Draft::reload(&ReloadEntry { bundle: Some(bundle), ..reload(&[]) }, time()),
        Draft::order(&given(&of_all), time()),
        Draft::decision(&DecisionEntry { is_key_unconfirmed: true, ..keyed }, None),
        Draft::outcome(&elsewhere, time()),
        Draft::witness(&["south\n7\nAAAA\n\n\u{2014} south BBBB\n".to_owned()], time()),
    ]
}

fn lines() -> String {
    let mut out = Vec::new();
    for (draft, seq) in every_kind().iter().zip(1..) {
        // In batches of two.
        draft.write(seq, seq - (seq + 1) % 2, &mut out);
    }
    let pid = format!("\"pid\":{}", std::process::id());
    let version = format!("\"version\":\"{VERSION}\"");
    String::from_utf8(out)
        .unwrap()
        .replace(&pid, "\"pid\":1")
        .replace(&version, "\"version\":\"0\"")
}

#[test]
fn records_are_written_as_their_version_was_frozen() {
    let written = lines();
    for (line, golden) in written.lines().zip(GOLDEN.lines()) {
        assert_eq!(line, golden);
    }
    assert_eq!(written.lines().count(), GOLDEN.lines().count());
}

#[test]
fn every_kind_of_record_is_as_the_schema_says() {
    let mut compiler = boon::Compiler::new();
    let schema = serde_json::from_str(SCHEMA).unwrap();
    compiler.add_resource("schema.json", schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let schema = compiler.compile("schema.json", &mut schemas).unwrap();
    let mut events = std::collections::BTreeSet::new();
    for line in lines().lines().chain(GOLDEN.lines()) {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        events.insert(record["event"].as_str().unwrap().to_owned());
        if let Err(error) = schemas.validate(&record, schema) {
            panic!("{line}\n{error}");
        }
        // Nor does it allow anything: no field may be added, none left out.
        let mut more = record.clone();
        more["another"] = 1.into();
        assert!(schemas.validate(&more, schema).is_err(), "{line}");
        let mut less = record.clone();
        less.as_object_mut().unwrap().remove("time");
        assert!(schemas.validate(&less, schema).is_err(), "{line}");
        let mut other = record;
        other["event"] = "log.other".into();
        assert!(schemas.validate(&other, schema).is_err(), "{line}");
    }
    assert_eq!(events, Event::CODES.iter().map(|code| (*code).to_owned()).collect());
}

#[test]
fn with_a_key_neither_the_grantee_nor_a_digest_of_the_body_is_in_the_record() {
    let key = PseudonymKey::new(&"k".repeat(32)).unwrap();
    let draft = Draft::decision(&decision(true), Some(&key));
    let line = String::from_utf8(draft.rest).unwrap();
    let id = "c6247b75-f1cb-493a-9915-a85a0b9639ae";
    assert!(!line.contains(id) && !line.contains("body_sha256"), "{line}");
    assert!(line.contains(&format!("\"user_identity_id\":\"{}\"", key.pseudonym(id))), "{line}");
}
