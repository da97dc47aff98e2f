use super::*;
use crate::audit::log::directory::NEWEST_CHECKPOINT;
use crate::audit::proof::pruned;
use crate::audit::record::limits::LINE_BYTES_MAX;
use crate::audit::testing::{Log, fill};
use crate::note::SigningKey;
use proptest::prelude::*;

impl Log {
    /// The file in which a record stands, all its lines, and at which of them it stands.
    fn place_of(&self, seq: u64) -> (std::path::PathBuf, Vec<String>, usize) {
        let segments = self.reader().list().unwrap();
        let segment = segments.iter().rev().find(|s| s.first_seq <= seq).unwrap();
        let text = std::fs::read_to_string(&segment.path).unwrap();
        let lines = text.lines().map(str::to_owned).collect();
        (segment.path.clone(), lines, usize::try_from(seq - segment.first_seq).unwrap())
    }

    /// Changes the lines around a record.
    fn edit(&self, seq: u64, change: impl FnOnce(&mut Vec<String>, usize)) {
        let (path, mut lines, at) = self.place_of(seq);
        change(&mut lines, at);
        std::fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>())
            .unwrap();
    }

    fn event(&self, seq: u64) -> String {
        let (_, lines, at) = self.place_of(seq);
        let record: serde_json::Value = serde_json::from_str(&lines[at]).unwrap();
        record["event"].as_str().unwrap().to_owned()
    }

    /// The last record of this event at or before a number.
    fn at_or_before(&self, seq: u64, event: &str) -> u64 {
        (1..=seq).rev().find(|seq| self.event(*seq) == event).unwrap()
    }

    fn checkpoint(&self, size: u64) -> Checkpoint {
        let mut tree = Frontier::default();
        for seq in 1..=size {
            let (_, lines, at) = self.place_of(seq);
            tree.push(Hash::of_leaf(lines[at].as_bytes()));
        }
        Checkpoint::verify(&Checkpoint::sign(&tree, &self.key), self.key.verifier()).unwrap()
    }
}

fn found(report: &VerifyReport) -> Vec<(Damage, u64, u64)> {
    report.findings.iter().map(|f| (f.damage, f.from_seq, f.to_seq)).collect()
}

#[test]
fn a_log_of_several_processes_and_segments_verifies_to_its_end() {
    let log = Log::new(30);
    log.go_on(30);
    let report = log.verify(&[]);
    assert_eq!(found(&report), []);
    assert!(!report.is_damaged() && report.segments > 3, "{report:?}");
    assert_eq!((report.first_seq, report.last_seq), (1, report.records));
    // Its last record is the checkpoint that covers all others.
    assert_eq!((report.verified_to, report.uncovered), (report.records - 1, 1));
    let middle = log.checkpoint(report.records / 2);
    let report = log.verify(&[middle]);
    assert_eq!(report.anchors.len(), 1);
    assert!(!report.is_damaged());
}

#[test]
fn every_kind_of_damage_is_named_with_the_records_in_doubt() {
    type Change = fn(&mut Vec<String>, usize);
    let table: [(&str, Damage, Change); 6] = [
        ("no record any more", Damage::Altered, |lines, at| lines[at] = "xx".into()),
        ("cut out", Damage::Missing, |lines, at| {
            lines.remove(at);
        }),
        ("twice", Damage::Added, |lines, at| lines.insert(at, lines[at].clone())),
        ("something before it", Damage::Added, |lines, at| lines.insert(at, "xx".into())),
        ("of a far number", Damage::Altered, |lines, at| {
            lines[at] = lines[at].replacen("\"seq\":", "\"seq\":9", 1);
        }),
        ("with a half line more", Damage::Altered, |lines, at| lines[at].truncate(20)),
    ];
    for (name, damage, change) in table {
        let log = Log::new(60);
        let seq = log.at_or_before(70, "grant.decision");
        log.edit(seq, change);
        let report = log.verify(&[]);
        let (first, rest) = (found(&report)[0], &report.findings[1..]);
        assert_eq!((first.0, first.1), (damage, seq), "{name}: {:?}", report.findings);
        let places: Vec<u64> = rest.iter().map(|f| f.from_seq).collect();
        assert!(
            places.iter().all(|p| p.abs_diff(seq) < 15 || *p > 900),
            "{name}: {:?}",
            report.findings
        );
        assert!(report.is_damaged());
    }
}

/// In the last segment, whose end nothing bounds.
#[test]
fn a_number_that_is_too_high_does_not_put_all_after_it_in_doubt() {
    let log = Log::new(60);
    let all = log.verify(&[]).records;
    let seq = log.at_or_before(all - 5, "grant.decision");
    log.edit(seq, |lines, at| lines[at] = lines[at].replacen("\"seq\":", "\"seq\":9", 1));
    let report = log.verify(&[]);
    assert!(report.findings_total < 12 && report.uncovered == 1, "{:?}", report.findings);
}

#[test]
fn an_altered_word_shows_between_two_checkpoints_and_nowhere_else() {
    let log = Log::new(60);
    let seq = log.at_or_before(70, "grant.decision");
    log.edit(seq, |lines, at| lines[at] = lines[at].replace("\"allow\"", "\"deny\""));
    let report = log.verify(&[]);
    assert_eq!(report.findings_total, 1, "{:?}", report.findings);
    let (damage, from, to) = found(&report)[0];
    assert_eq!(damage, Damage::Altered);
    assert!((from..=to).contains(&seq) && to - from < 10, "{from} {to}");
    assert_eq!(report.uncovered, 1, "verifying goes on behind it");
}

#[test]
fn two_records_that_changed_places_are_reordered() {
    let log = Log::new(60);
    let seq = log.at_or_before(70, "grant.decision");
    log.edit(seq, |lines, at| lines.swap(at, at + 1));
    let report = log.verify(&[]);
    assert_eq!(found(&report), [(Damage::Reordered, seq, seq)]);
}

#[test]
fn a_checkpoint_that_was_forged_is_altered_and_so_is_what_it_hid() {
    let log = Log::new(60);
    let seq = log.at_or_before(70, "grant.decision");
    let covering = (seq..).find(|seq| log.event(*seq) == "log.checkpoint").unwrap();
    let start =
        log.reader().list().unwrap().iter().map(|s| s.first_seq).filter(|f| *f <= seq).max();
    // Whoever has no key can make everything fit but the signature.
    log.edit(seq, |lines, at| lines[at] = lines[at].replace("\"allow\"", "\"deny\""));
    let (_, lines, _) = log.place_of(seq);
    let first = start.unwrap();
    let head = Record::parse(lines[0].as_bytes()).unwrap();
    let mut tree = head.tree().unwrap();
    for line in &lines[..usize::try_from(covering - first).unwrap()] {
        tree.push(Hash::of_leaf(line.as_bytes()));
    }
    log.edit(covering, |lines, at| {
        let mut record: serde_json::Value = serde_json::from_str(&lines[at]).unwrap();
        record["root"] = tree.root().to_base64().into();
        record["hashes"] = tree.nodes().iter().map(|h| h.to_base64()).collect::<Vec<_>>().into();
        let text = record["checkpoint"].as_str().unwrap();
        let mut parts: Vec<String> = text.split('\n').map(str::to_owned).collect();
        parts[2] = tree.root().to_base64();
        record["checkpoint"] = parts.join("\n").into();
        lines[at] = record.to_string();
    });
    let report = log.verify(&[]);
    assert!(
        found(&report).contains(&(Damage::Altered, covering, covering)),
        "{:?}",
        report.findings
    );
    assert!(report.findings[0].text.contains("false"), "{}", report.findings[0]);
    // Without a key it does not show: such a log is compared with itself only.
    let unkeyed = verify(&log.reader(), &[], &[], |_, _| {}).unwrap();
    assert!(!unkeyed.signed);
}

#[test]
fn truncation_shows_by_an_anchored_checkpoint() {
    let log = Log::new(60);
    let all = log.verify(&[]).records;
    let anchored = log.checkpoint(all - 2);
    let last = log.reader().list().unwrap().pop().unwrap();
    std::fs::remove_file(&last.path).unwrap();
    let alone = log.verify(&[]);
    assert!(!alone.is_damaged(), "nothing else shows it: {:?}", alone.findings);
    let report = log.verify(std::slice::from_ref(&anchored));
    assert_eq!(found(&report), [(Damage::Truncated, last.first_seq, all - 2)]);
    assert_eq!(report.anchors, [(all - 2, AnchorFinding::Gone)]);
    // The copy beside the segments is one.
    std::fs::write(
        log.path().join(NEWEST_CHECKPOINT),
        log.key.sign(&format!("example.org/doors\n{}\n{}\n", anchored.size, anchored.root())),
    )
    .unwrap();
    assert_eq!(found(&log.verify(&[])), [(Damage::Truncated, last.first_seq, all - 2)]);
}

#[test]
fn another_history_of_the_same_length_shows_by_an_anchored_checkpoint() {
    let log = Log::new(30);
    let anchored = log.checkpoint(40);
    let other = Log { directory: tempfile::tempdir().unwrap(), ..log };
    other.go_on(30);
    assert!(!other.verify(&[]).is_damaged());
    let report = other.verify(&[anchored]);
    assert_eq!(report.anchors, [(40, AnchorFinding::Differs)]);
    assert!(report.is_damaged());
}

#[test]
fn a_segment_in_the_middle_that_is_gone_is_missing_and_the_rest_verifies() {
    let log = Log::new(60);
    let all = log.reader().list().unwrap();
    assert!(all.len() > 3);
    std::fs::remove_file(&all[1].path).unwrap();
    let report = log.verify(&[]);
    assert_eq!(found(&report), [(Damage::Missing, all[1].first_seq, all[2].first_seq - 1)]);
    assert_eq!(report.uncovered, 1);
    std::fs::remove_file(&all[0].path).unwrap();
    let report = log.verify(&[]);
    assert_eq!(found(&report), [(Damage::Missing, 1, all[2].first_seq - 1)]);
}

#[test]
fn keys_of_others_vouch_for_nothing() {
    let log = Log::new(20);
    let (other, _) = SigningKey::generate("example.org/others").unwrap();
    let report = verify(&log.reader(), &[other.verifier().clone()], &[], |_, _| {}).unwrap();
    assert!(report.is_not_vouched_for() && !report.is_damaged());
    assert_eq!(report.other_keys.iter().collect::<Vec<_>>(), ["example.org/doors"]);
    assert_eq!(report.verified_to, 0);
    let unsigned = tempfile::tempdir().unwrap();
    fill(unsigned.path(), crate::audit::JournalSettings::default(), 3);
    let report =
        verify(&LogReader::new(unsigned.path()), &[other.verifier().clone()], &[], |_, _| {})
            .unwrap();
    assert!(report.is_not_vouched_for() && report.unsigned_checkpoints > 0);
    let report = verify(&LogReader::new(unsigned.path()), &[], &[], |_, _| {}).unwrap();
    assert!(!report.is_damaged() && !report.signed && report.checkpoints == 1);
}

#[test]
fn a_newer_version_is_no_damage() {
    let log = Log::new(5);
    let last = log.reader().list().unwrap().pop().unwrap();
    let mut text = std::fs::read_to_string(&last.path).unwrap();
    text.push_str("{\"v\":2,\"seq\":99,\"what\":\"ever\"}\n");
    std::fs::write(&last.path, text).unwrap();
    let report = log.verify(&[]);
    assert_eq!(report.newer, Some(2));
    assert_eq!(found(&report), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// No change of a byte goes unnoticed, and none makes it panic.
    #[test]
    fn any_changed_byte_is_damage(place in any::<prop::sample::Index>(), with in any::<u8>()) {
        let log = Log::new(25);
        let all = log.reader().list().unwrap();
        let bytes: Vec<Vec<u8>> = all.iter().map(|s| std::fs::read(&s.path).unwrap()).collect();
        // But for the last record, which no checkpoint covers.
        let covered: usize = bytes.iter().map(Vec::len).sum::<usize>()
            - bytes.last().unwrap().rsplit(|b| *b == b'\n').nth(1).unwrap().len() - 1;
        let mut at = place.index(covered);
        for (segment, mut bytes) in all.iter().zip(bytes) {
            if at >= bytes.len() {
                at -= bytes.len();
                continue;
            }
            prop_assume!(bytes[at] != with);
            bytes[at] = with;
            std::fs::write(&segment.path, bytes).unwrap();
            break;
        }
        let report = log.verify(&[]);
        prop_assert!(report.is_damaged() || report.newer.is_some(), "{report:?}");
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 1..400), first in 1_u64..3) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(crate::audit::log::segment::segment_name(first)), &bytes).unwrap();
        std::fs::write(directory.path().join(pruned::FILE), &bytes).unwrap();
        std::fs::write(directory.path().join(NEWEST_CHECKPOINT), &bytes).unwrap();
        let (key, _) = SigningKey::generate("a").unwrap();
        let _ = verify(&LogReader::new(directory.path()), &[key.verifier().clone()], &[], |_, _| {}).unwrap();
    }
}

/// What comes in pieces is as foreign as anything else.
#[test]
fn a_line_of_any_length_in_front_of_a_record_is_damage() {
    for length in [LINE_BYTES_MAX - 1, LINE_BYTES_MAX, LINE_BYTES_MAX + 1, 3 * LINE_BYTES_MAX] {
        let log = Log::new(20);
        let last = log.reader().list().unwrap().pop().unwrap();
        let text = std::fs::read_to_string(&last.path).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        let forged = format!("{first}\n{}{rest}", "x".repeat(length));
        std::fs::write(&last.path, forged).unwrap();
        assert!(log.verify(&[]).is_damaged(), "{length}");
    }
}

#[test]
fn numbers_at_their_extremes_never_panic() {
    let (key, _) = SigningKey::generate("a").unwrap();
    let keys = [key.verifier().clone()];
    for seq in ["0", "1", "9007199254740991", "9007199254740992", "18446744073709551615"] {
        for event in ["log.stop", "log.checkpoint"] {
            for name in ["00000000000000000000", "00000000000000000001", "18446744073709551615"] {
                let directory = tempfile::tempdir().unwrap();
                let time = "2026-11-23T09:00:00.123456Z";
                let line = format!(
                    "{{\"v\":1,\"seq\":{seq},\"time\":\"{time}\",\"event\":\"{event}\",\"size\":{seq},\
                     \"root\":\"\",\"hashes\":[],\"open_from\":{seq}}}\n"
                );
                let path = directory.path().join(format!("{name}.jsonl"));
                std::fs::write(path, line.repeat(3)).unwrap();
                let _ = verify(&LogReader::new(directory.path()), &keys, &[], |_, _| {});
                let _ = crate::audit::proof::prove(&LogReader::new(directory.path()), 1, None);
                let _ = crate::audit::journal::recovery::recover(
                    &LogReader::new(directory.path()),
                    Some(&keys[0]),
                    None,
                );
            }
        }
    }
}

#[test]
fn checkpoints_that_lost_their_signatures_between_others_are_damage() {
    let log = Log::new(60);
    let all = log.reader().list().unwrap();
    // Another process, which had no key, or somebody who has none.
    let text = std::fs::read_to_string(&all[1].path).unwrap();
    let stripped: String = text
        .lines()
        .map(|line| match line.split_once(",\"checkpoint\":") {
            Some((before, _)) => format!("{before}}}\n"),
            None => format!("{line}\n"),
        })
        .collect();
    std::fs::write(&all[1].path, stripped).unwrap();
    let report = log.verify(&[]);
    assert!(report.findings.iter().any(|f| f.damage == Damage::Unsigned), "{:?}", report.findings);
}
