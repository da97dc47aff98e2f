use super::*;
use crate::audit::journal::store::FileStore;
use crate::audit::log::directory::NEWEST_CHECKPOINT;
use crate::audit::log::segment::segment_name;
use crate::audit::testing::{asked, fill, outcome, small};
use crate::audit::tree::Hash;
use crate::audit::{Journal, JournalSettings, NoObserver, Started, Store};
use crate::domain::{Revision, SystemClock};
use crate::note::SigningKey;
use proptest::prelude::*;
use std::sync::Arc;

const START_1: &str = r#"{"seq":1,"event":"log.start"}"#;
const ALLOW_2: &str = r#"{"seq":2,"event":"grant.decision","request_id":"r2","decision":"allow"}"#;
const ALLOW_3: &str = r#"{"seq":3,"event":"grant.decision","request_id":"r3","decision":"allow"}"#;
const DONE_4: &str = r#"{"seq":4,"event":"grant.outcome","decision_seq":2,"outcome":"granted"}"#;
const DENY_5: &str = r#"{"seq":5,"event":"grant.decision","request_id":"r5","decision":"deny"}"#;

fn log() -> String {
    [START_1, ALLOW_2, ALLOW_3, DONE_4, DENY_5].map(|line| format!("{line}\n")).concat()
}

fn directory(segments: &[(u64, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (first, bytes) in segments {
        std::fs::write(directory.path().join(segment_name(*first)), bytes).unwrap();
    }
    directory
}

fn recover_in(
    directory: &tempfile::TempDir,
    key: Option<&VerifierKey>,
) -> Result<Recovered, OpenError> {
    recover(&LogReader::new(directory.path()), key, None)
}

fn open_seqs(recovered: &Recovered) -> Vec<u64> {
    recovered.open.iter().map(|decision| decision.seq).collect()
}

#[test]
fn decisions_without_outcome_are_found() {
    let directory = directory(&[(1, log().as_bytes())]);
    let recovered = recover_in(&directory, None).unwrap();
    assert_eq!(recovered.next_seq, 6);
    assert_eq!(recovered.open, [OpenDecision { seq: 3, request_id: "r3".into(), operation: None }]);
    assert_eq!(recovered.cut, None);
}

/// What only reads has changed nothing at Seam, whatever became of it.
#[test]
fn a_start_closes_each_decision_by_what_it_was_for() {
    let read = |seq: u64, operation: &str| {
        format!(
            r#"{{"seq":{seq},"event":"grant.decision","request_id":"r","operation":"{operation}","decision":"allow"}}"#
        )
    };
    let text = [ALLOW_2.replace(":2,", ":1,"), read(2, "acs/entrances/list"), read(3, "acs/new")];
    let directory = directory(&[(1, (text.join("\n") + "\n").as_bytes())]);
    let started = Journal::open(
        FileStore::open(directory.path()).unwrap(),
        JournalSettings::default(),
        &Revision::from_sha256(&[0]),
        Arc::new(SystemClock),
        Arc::new(NoObserver),
    );
    started.unwrap().closer.close();
    let mut closed = Vec::new();
    for segment in LogReader::new(directory.path()).list().unwrap() {
        for line in std::fs::read_to_string(&segment.path).unwrap().lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            if record["event"] == "grant.outcome" {
                closed.push((record["operation"].clone(), record["outcome"].clone()));
            }
        }
    }
    let pair = |operation: serde_json::Value, outcome: &str| (operation, outcome.into());
    assert_eq!(
        closed,
        [
            pair(serde_json::Value::Null, "unknown"),
            pair("acs/entrances/list".into(), "unanswered"),
            // Of a later version: it may have changed something.
            pair("acs/new".into(), "unknown"),
        ]
    );
}

#[test]
fn every_kind_of_torn_tail_is_kept_aside_and_cut() {
    let mut tails: Vec<(String, Vec<u8>)> = (1..ALLOW_3.len())
        .map(|length| (format!("{length} bytes of a line"), ALLOW_3.as_bytes()[..length].to_vec()))
        .collect();
    tails.push(("no newline".into(), br#"{"seq":6,"event":"log.stop"}"#.to_vec()));
    tails.push(("zeros".into(), vec![0; 5000]));
    tails.push(("garbage".into(), (0..=255).cycle().take(3000).collect()));
    tails.push(("garbage lines".into(), b"\xff\n\xfe\n{\n".to_vec()));
    tails.push(("longer than a record".into(), vec![b'x'; 200_000]));
    for (name, tail) in tails {
        let whole = log();
        let directory = directory(&[(1, &[whole.as_bytes(), &tail].concat())]);
        let recovered = recover_in(&directory, None).unwrap();
        assert_eq!(recovered.next_seq, 6, "{name}");
        let cut = recovered.cut.unwrap();
        assert_eq!(cut.bytes, tail.len() as u64, "{name}");
        assert_eq!(std::fs::read(directory.path().join(cut.kept_in)).unwrap(), tail, "{name}");
        let left = std::fs::read_to_string(directory.path().join(segment_name(1))).unwrap();
        assert_eq!(left, whole, "{name}");
        let again = recover_in(&directory, None).unwrap().cut.map(|cut| cut.bytes);
        assert_eq!(again, Some(tail.len() as u64), "{name}: nobody has recorded it yet");
    }
}

#[test]
fn holes_in_the_last_batch_are_a_crashs_work() {
    let of_batch = |seq: u64| format!("{{\"seq\":{seq},\"batch\":6,\"event\":\"log.stop\"}}\n");
    let first = "{\"seq\":6,\"event\":\"log.stop\"}\n";
    let zeros = "\0".repeat(40);
    for tail in [
        // Its first page did not reach the disk.
        format!("{zeros}{}{}", of_batch(7), of_batch(8)),
        format!("{zeros}\n{}{}", of_batch(7), of_batch(8)),
        format!("{first}{zeros}\n{}", of_batch(8)),
        format!("{first}{}{zeros}\n{}", of_batch(7), of_batch(9)),
    ] {
        let directory = directory(&[(1, format!("{}{tail}", log()).as_bytes())]);
        let recovered = recover_in(&directory, None).unwrap();
        let whole = tail.split(&zeros).next().unwrap().len() as u64;
        assert_eq!(recovered.cut.unwrap().bytes, tail.len() as u64 - whole);
    }
    // A batch after it: it was on the disk, and is not any more.
    let next = "{\"seq\":9,\"event\":\"log.stop\"}\n";
    let inside = "{\"seq\":8,\"batch\":7,\"event\":\"log.stop\"}\n";
    for after in [format!("{}{next}", of_batch(8)), inside.to_owned()] {
        let directory = directory(&[(1, format!("{}{zeros}\n{after}", log()).as_bytes())]);
        assert!(matches!(recover_in(&directory, None), Err(OpenError::Damaged { line: 6, .. })));
    }
}

#[test]
fn what_no_crash_explains_stops_the_start() {
    let swap = format!("{START_1}\n{ALLOW_3}\n{ALLOW_2}\n");
    let gap = format!("{START_1}\n{ALLOW_3}\n");
    let inside = format!("{START_1}\nxx\n{ALLOW_2}\n");
    let wrong_name = format!("{ALLOW_2}\n");
    for (name, text, line) in [
        ("reordered", &swap, 2),
        ("gap", &gap, 2),
        ("damaged inside", &inside, 2),
        ("name and content differ", &wrong_name, 1),
    ] {
        let directory = directory(&[(1, text.as_bytes())]);
        match recover_in(&directory, None) {
            Err(OpenError::Damaged { line: found, .. }) => assert_eq!(found, line, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        let left = std::fs::read_to_string(directory.path().join(segment_name(1))).unwrap();
        assert_eq!(&left, text, "{name}: left as it is");
    }
}

#[test]
fn a_start_that_died_before_its_first_record_loses_no_open_decision() {
    let closing = r#"{"seq":6,"event":"grant.outcome","decision_seq":3,"outcome":"unknown"}"#;
    let start = r#"{"seq":7,"event":"log.start"}"#;
    let table: [(&str, String, Vec<u64>); 4] = [
        ("empty segment", String::new(), vec![3]),
        ("torn closing", closing[..20].to_owned(), vec![3]),
        ("closed, no start", format!("{closing}\n"), vec![]),
        ("closed and started", format!("{closing}\n{start}\n"), vec![]),
    ];
    for (name, second, expected) in table {
        let directory = directory(&[(1, log().as_bytes()), (6, second.as_bytes())]);
        assert_eq!(open_seqs(&recover_in(&directory, None).unwrap()), expected, "{name}");
    }
}

#[test]
fn a_start_closes_what_was_open_and_the_next_finds_nothing() {
    let torn = [log().as_bytes(), b"{"].concat();
    let directory = directory(&[(1, &torn)]);
    let open = || -> Started {
        let store = FileStore::open(directory.path()).unwrap();
        let settings = JournalSettings { queue_records_max: 1, ..JournalSettings::default() };
        let revision = Revision::from_sha256(&[1]);
        Journal::open(store, settings, &revision, Arc::new(SystemClock), Arc::new(NoObserver))
            .unwrap()
    };
    let first = open();
    assert_eq!(first.recovery.closed_decisions, 1);
    first.closer.close();
    let text = std::fs::read_to_string(directory.path().join(segment_name(6))).unwrap();
    assert!(
        text.contains(
            r#""decision_seq":3,"outcome":"unknown","reason":"gateway-restarted","recovered":true"#
        ),
        "{text}"
    );
    let second = open();
    assert!(!second.recovery.needs_attention(), "{:?}", second.recovery);
    second.closer.close();
}

/// A start that cut a tail and died before its first record: the next one tells of it, once.
#[test]
fn a_cut_that_was_not_recorded_is_told_of_by_the_next_start() {
    let torn = [log().as_bytes(), b"{\"se"].concat();
    let directory = directory(&[(1, &torn)]);
    let cut = recover_in(&directory, None).unwrap().cut.unwrap();
    let start = || {
        let store = FileStore::open(directory.path()).unwrap();
        let revision = Revision::from_sha256(&[1]);
        let (clock, observer) = (Arc::new(SystemClock), Arc::new(NoObserver));
        let settings = JournalSettings::default();
        let started = Journal::open(store, settings, &revision, clock, observer).unwrap();
        started.closer.close();
        started.recovery
    };
    assert_eq!(start().cut, Some(cut));
    let records = std::fs::read_to_string(directory.path().join(segment_name(6))).unwrap();
    assert_eq!(records.matches(r#""event":"log.recovery""#).count(), 1, "{records}");
    assert_eq!(start().cut, None);
}

#[test]
fn a_segment_is_not_begun_over_another() {
    let directory = directory(&[(1, log().as_bytes())]);
    let mut store = FileStore::open(directory.path()).unwrap();
    assert!(store.begin(1, 0).is_err());
    assert!(store.reserve(1).is_err(), "there is no segment");
}

proptest! {
    /// Wherever a crash cuts the log, every whole record before the cut stays.
    #[test]
    fn any_prefix_recovers(length in 0..log().len(), junk in proptest::collection::vec(any::<u8>(), 0..40)) {
        let whole = log();
        let bytes = [&whole.as_bytes()[..length], &junk].concat();
        let directory = directory(&[(1, &bytes)]);
        let records = whole[..length].matches('\n').count() as u64;
        match recover_in(&directory, None) {
            Ok(recovered) => prop_assert!(recovered.next_seq > records),
            Err(error) => prop_assert!(matches!(error, OpenError::Damaged { .. }), "{error}"),
        }
    }
}

/// A signed log of several segments whose process ended in order, and its keys.
fn signed(grants: usize) -> (tempfile::TempDir, SigningKey, String) {
    let (key, private) = SigningKey::generate("example.org/doors").unwrap();
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), small(&private), grants);
    (directory, key, private.to_string())
}

fn last_segment(directory: &Path) -> Segment {
    LogReader::new(directory).list().unwrap().pop().unwrap()
}

#[test]
fn a_log_that_contradicts_its_checkpoints_is_not_gone_on_with() {
    type Change = fn(&str) -> String;
    let changes: [(&str, bool, Change); 4] = [
        ("a record", false, |text| text.replacen("\"desk\"", "\"disk\"", 1)),
        ("the root", false, |text| text.replacen("\"root\":\"", "\"root\":\"A", 1)),
        ("the signed text", true, |text| {
            let at = text.rfind("\\n\"}").unwrap();
            let other = if text[at - 4..].starts_with('A') { 'B' } else { 'A' };
            format!("{}{other}{}", &text[..at - 4], &text[at - 3..])
        }),
        ("the size", false, |text| text.replacen("\"size\":", "\"size\":1", 1)),
    ];
    for (name, needs_key, change) in changes {
        let (directory, key, _) = signed(30);
        let last = last_segment(directory.path());
        let text = std::fs::read_to_string(&last.path).unwrap();
        let changed = change(&text);
        assert_ne!(changed, text, "{name}");
        std::fs::write(&last.path, &changed).unwrap();
        let found = recover_in(&directory, Some(key.verifier()));
        assert!(matches!(found, Err(OpenError::Damaged { .. })), "{name}: {found:?}");
        assert_eq!(std::fs::read_to_string(&last.path).unwrap(), changed, "{name}: left as it is");
        assert_eq!(recover_in(&directory, None).is_ok(), needs_key, "{name}: without a key");
    }
}

#[test]
fn a_log_whose_end_was_removed_is_not_gone_on_with() {
    let (directory, key, _) = signed(30);
    let last = last_segment(directory.path());
    let text = std::fs::read_to_string(&last.path).unwrap();
    let found = recover_in(&directory, Some(key.verifier())).unwrap();
    std::fs::write(directory.path().join(NEWEST_CHECKPOINT), Checkpoint::sign(&found.tree, &key))
        .unwrap();
    assert!(recover_in(&directory, Some(key.verifier())).is_ok());
    let shorter: Vec<&str> = text.lines().collect();
    let shorter = shorter[..shorter.len() - 3].join("\n") + "\n";
    std::fs::write(&last.path, &shorter).unwrap();
    match recover_in(&directory, Some(key.verifier())) {
        Err(OpenError::Damaged { text, .. }) => {
            assert!(text.contains("its end was removed"), "{text}")
        }
        other => panic!("{other:?}"),
    }
    // One that somebody else wrote says nothing.
    let (other, _) = SigningKey::generate("example.org/doors").unwrap();
    std::fs::write(directory.path().join(NEWEST_CHECKPOINT), Checkpoint::sign(&found.tree, &other))
        .unwrap();
    assert!(recover_in(&directory, Some(key.verifier())).is_ok());
}

#[test]
fn a_start_reads_no_more_than_it_needs_and_finds_what_is_open_in_earlier_segments() {
    let (key, private) = SigningKey::generate("example.org/doors").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // One permit stays open while segments come and go.
    let (first, open) = runtime.block_on(async {
        let Started { journal, closer, .. } =
            crate::audit::testing::open(directory.path(), small(&private));
        let mut permits = Vec::new();
        for number in 0..60 {
            let recorded = journal.record(asked(true)).await.unwrap();
            if number != 30 {
                journal.complete(&outcome(&recorded));
            }
            permits.push(recorded.seq());
        }
        closer.close();
        (permits[0], permits[30])
    });
    let all = LogReader::new(directory.path()).list().unwrap();
    assert!(all.len() > 4 && all[1].first_seq < open && open < all[all.len() - 2].first_seq);
    // Nothing of the first segment is needed.
    let path = &all[0].path;
    let text = std::fs::read_to_string(path).unwrap();
    assert!(all[1].first_seq > first);
    std::fs::write(path, text.replace("desk", "disk")).unwrap();
    let found = recover_in(&directory, Some(key.verifier())).unwrap();
    assert_eq!(open_seqs(&found), [open]);
    // The one in which it was decided is.
    let holding = all.iter().rev().find(|segment| segment.first_seq <= open).unwrap();
    let text = std::fs::read_to_string(&holding.path).unwrap();
    std::fs::write(&holding.path, text.replacen("\"desk\"", "\"disk\"", 1)).unwrap();
    assert!(recover_in(&directory, Some(key.verifier())).is_err());
    std::fs::remove_file(&holding.path).unwrap();
    assert!(recover_in(&directory, Some(key.verifier())).is_err());
}

#[test]
fn a_log_of_version_0_goes_on_as_version_1() {
    let directory = directory(&[(1, log().as_bytes())]);
    let (key, private) = SigningKey::generate("a").unwrap();
    fill(directory.path(), small(&private), 10);
    let report = crate::audit::proof::verify(
        &LogReader::new(directory.path()),
        &[key.verifier().clone()],
        &[],
        |_, _| {},
    )
    .unwrap();
    assert!(!report.is_damaged(), "{:?}", report.findings);
    assert_eq!((report.first_seq, report.uncovered), (1, 1));
}

#[test]
fn a_newer_version_is_not_gone_on_with() {
    let directory = directory(&[(1, format!("{START_1}\n{{\"v\":2,\"seq\":2}}\n").as_bytes())]);
    match recover_in(&directory, None) {
        Err(OpenError::Damaged { text, .. }) => assert!(text.contains("newer grantgate"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_start_of_which_only_the_first_record_reached_the_disk_closes_nothing() {
    let directory = directory(&[(1, log().as_bytes())]);
    let (_, private) = SigningKey::generate("a").unwrap();
    crate::audit::testing::open(directory.path(), small(&private)).closer.close();
    let second = last_segment(directory.path());
    let text = std::fs::read_to_string(&second.path).unwrap();
    let head = text.lines().next().unwrap();
    assert!(head.contains("log.checkpoint"), "{head}");
    std::fs::write(&second.path, format!("{head}\n")).unwrap();
    assert_eq!(open_seqs(&recover_in(&directory, None).unwrap()), [3]);
}

/// Somebody without the key can make everything in a segment fit, but for what was signed.
#[test]
fn another_history_is_not_signed_although_nothing_in_it_is_signed_wrongly() {
    let (directory, key, _) = signed(30);
    let newest = |tree: &Frontier| {
        std::fs::write(directory.path().join(NEWEST_CHECKPOINT), Checkpoint::sign(tree, &key))
            .unwrap();
    };
    let found = recover_in(&directory, Some(key.verifier())).unwrap();
    newest(&found.tree);
    let last = last_segment(directory.path());
    let text = std::fs::read_to_string(&last.path).unwrap();
    let mut tree =
        crate::audit::proof::prove::tree_before(&LogReader::new(directory.path()), &last)
            .unwrap()
            .unwrap();
    let mut forged = String::new();
    for (number, line) in text.lines().enumerate() {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        if number > 0 && record["event"] == "log.checkpoint" {
            record["root"] = tree.root().to_base64().into();
            record["hashes"] =
                tree.nodes().iter().map(|h| h.to_base64()).collect::<Vec<_>>().into();
            record.as_object_mut().unwrap().remove("checkpoint");
        } else if number == 1 {
            record["caller"] = "nobody".into();
        }
        let line = record.to_string();
        tree.push(Hash::of_leaf(line.as_bytes()));
        forged += &(line + "\n");
    }
    std::fs::write(&last.path, &forged).unwrap();
    // The signed head stands beside checkpoints that are not signed.
    let some = recover_in(&directory, Some(key.verifier()));
    assert!(matches!(some, Err(OpenError::Damaged { .. })), "{some:?}");
    // Without that one, the newest checkpoint beside the segments tells.
    let (head, rest) = forged.split_once('\n').unwrap();
    let mut record: serde_json::Value = serde_json::from_str(head).unwrap();
    record.as_object_mut().unwrap().remove("checkpoint");
    let all = format!("{record}\n{rest}");
    std::fs::write(&last.path, all).unwrap();
    let none = recover_in(&directory, Some(key.verifier()));
    assert!(matches!(none, Err(OpenError::Damaged { .. })), "{none:?}");
}

/// A `log.stop` may be in the page cache and not on the disk.
#[test]
fn a_segment_is_written_anew_whatever_it_ends_with() {
    use std::os::unix::fs::MetadataExt as _;
    let (directory, _, private) = signed(3);
    let last = last_segment(directory.path());
    let before = std::fs::metadata(&last.path).unwrap().ino();
    crate::audit::testing::open(directory.path(), small(&private)).closer.close();
    assert_ne!(std::fs::metadata(&last.path).unwrap().ino(), before);
}

/// One key would sign two histories of the same log.
#[test]
fn a_log_all_of_whose_segments_are_gone_is_not_begun_anew() {
    let (directory, key, _) = signed(3);
    let found = recover_in(&directory, Some(key.verifier())).unwrap();
    let text = Checkpoint::sign(&found.tree, &key);
    std::fs::write(directory.path().join(NEWEST_CHECKPOINT), text).unwrap();
    for segment in LogReader::new(directory.path()).list().unwrap() {
        std::fs::remove_file(segment.path).unwrap();
    }
    let gone = recover_in(&directory, Some(key.verifier()));
    assert!(matches!(gone, Err(OpenError::Damaged { .. })), "{gone:?}");
    // With another key it is another log.
    let (other, _) = SigningKey::generate("example.org/doors").unwrap();
    assert_eq!(recover_in(&directory, Some(other.verifier())).unwrap().next_seq, 1);
}
