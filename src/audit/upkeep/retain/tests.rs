use super::*;
use crate::audit::Checkpoint;
use crate::audit::follow::{OF_DATABASE, OF_EXPORT, Position};
use crate::audit::proof::AnchorFinding;
use crate::audit::testing::Log;
use crate::audit::upkeep::lacked;

/// Other tests of this process start programs: between fork and exec a child has all our files, with a lock
/// that was given back meanwhile.
#[expect(clippy::disallowed_methods, reason = "there is no runtime around it")]
fn patient<T>(mut act: impl FnMut() -> Result<T, RetainError>) -> Result<T, RetainError> {
    for _ in 0..100 {
        match act() {
            Err(RetainError::Busy(_)) => std::thread::sleep(std::time::Duration::from_millis(10)),
            done => return done,
        }
    }
    act()
}

fn compress(directory: &Path) -> Result<Retained, RetainError> {
    patient(|| super::compress(directory))
}

fn prune(directory: &Path, retention: &Retention) -> Result<Retained, RetainError> {
    patient(|| super::prune(directory, retention))
}

impl Log {
    /// Every checkpoint that is in a segment now.
    fn checkpoints(&self) -> Vec<Checkpoint> {
        let mut found = Vec::new();
        for segment in self.reader().list().unwrap() {
            let mut lines = self.reader().read(&segment).unwrap();
            while let Some(line) = lines.next().unwrap() {
                if let Some(text) = line.record().and_then(|record| record.checkpoint()) {
                    found.push(Checkpoint::verify(&text, self.key.verifier()).unwrap());
                }
            }
        }
        found
    }

    fn all_bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for segment in self.reader().list().unwrap() {
            let mut lines = self.reader().read(&segment).unwrap();
            while let Some(line) = lines.next().unwrap() {
                all.extend_from_slice(line.bytes);
                all.push(b'\n');
            }
        }
        all
    }
}

/// Removes this many segments.
fn prune_some(log: &Log, count: usize) -> Retained {
    let all = log.reader().list().unwrap();
    let bytes_max = all.iter().skip(count).map(Segment::stored_bytes).sum::<u64>();
    prune(
        log.path(),
        &Retention { before: None, bytes_max: Some(bytes_max), ..Retention::default() },
    )
    .unwrap()
}

#[test]
fn compressed_segments_hold_the_same_and_verify() {
    let log = Log::new(60);
    let (before, count) = (log.all_bytes(), log.reader().list().unwrap().len());
    let done = compress(log.path()).unwrap();
    assert_eq!(done.segments, count as u64 - 1);
    assert!(done.freed_bytes > 0);
    let after = log.reader().list().unwrap();
    assert_eq!(after.iter().filter(|s| s.compressed).count(), count - 1);
    assert!(!after.last().unwrap().compressed);
    assert_eq!(log.all_bytes(), before);
    assert!(!log.verify(&log.checkpoints()).is_damaged());
    assert_eq!(compress(log.path()).unwrap().segments, 0);
    // It goes on behind them.
    log.go_on(5);
    assert!(!log.verify(&[]).is_damaged());
    let closed = &after[1].path;
    let mut bytes = std::fs::read(closed).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(closed, bytes).unwrap();
    assert!(log.verify(&[]).is_damaged());
}

#[test]
fn after_pruning_the_rest_verifies_against_every_checkpoint_that_there_ever_was() {
    let log = Log::new(80);
    let mut all = log.checkpoints();
    compress(log.path()).unwrap();
    // In several steps, with the log going on between them.
    for count in [1, 2] {
        let before = log.verify(&[]).records;
        let done = prune_some(&log, count);
        assert_eq!(done.segments, count as u64);
        let report = log.verify(&all);
        assert!(!report.is_damaged(), "{:?}", report.findings);
        assert_eq!(report.first_seq, done.first_seq);
        assert!(report.records < before);
        assert_eq!(report.pruned.unwrap().0, done.first_seq - 1);
        assert!(report.anchors.iter().all(|(_, found)| *found == AnchorFinding::Agrees));
        assert!(report.anchors.len() >= all.len());
        log.go_on(10);
        all = [all, log.checkpoints()].concat();
    }
    // One that never was of this log is not.
    let other = Log::new(20);
    let strange = Checkpoint { size: all[0].size, ..other.checkpoints()[1].clone() };
    assert!(log.verify(&[strange]).is_damaged());
}

#[test]
fn a_link_that_was_changed_or_removed_shows() {
    for change in ["root", "checkpoint", "gone", "proof", "first", "all"] {
        let log = Log::new(60);
        prune_some(&log, 2);
        let path = log.path().join(pruned::FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut links: Vec<Link> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let other = links[1].clone();
        match change {
            "root" => links[2].root = other.root,
            "checkpoint" => links[2].checkpoint = other.checkpoint,
            "gone" => drop(links.remove(2)),
            "first" => drop(links.remove(0)),
            "all" => links.clear(),
            _ => drop(links[2].proof.pop()),
        }
        std::fs::remove_file(&path).unwrap();
        pruned::End::of(&log.reader()).unwrap().append(&links).unwrap();
        let report = log.verify(&[]);
        assert_eq!(report.findings_total, 1, "{change}");
        assert!(report.findings[0].file.ends_with(pruned::FILE), "{change}");
    }
}

#[test]
fn a_prune_that_was_cut_short_is_done_again_without_harm() {
    let log = Log::new(90);
    let all = log.checkpoints();
    for step in 0..3 {
        let first = log.reader().list().unwrap().remove(0);
        let copy = std::fs::read(&first.path).unwrap();
        prune_some(&log, 1);
        // As if it had died before the file was gone.
        std::fs::write(&first.path, copy).unwrap();
        let report = log.verify(&all);
        assert!(!report.is_damaged(), "{step}: {:?} {:?}", report.findings, report.anchors);
        prune_some(&log, 1);
        let report = log.verify(&all);
        assert!(!report.is_damaged(), "{step}: {:?}", report.findings);
    }
}

#[test]
fn what_is_damaged_is_not_removed() {
    let log = Log::new(60);
    let first = log.reader().list().unwrap().remove(0);
    let text = std::fs::read_to_string(&first.path).unwrap();
    std::fs::write(&first.path, text.replacen("\"desk\"", "\"disk\"", 1)).unwrap();
    let all = Retention { before: Some(Timestamp::MAX), bytes_max: None, ..Retention::default() };
    assert!(matches!(prune(log.path(), &all), Err(RetainError::Damaged { .. })));
    assert!(first.path.exists());
}

#[test]
fn by_age_the_newest_stays_and_what_is_young_too() {
    let log = Log::new(60);
    let count = log.reader().list().unwrap().len();
    let old =
        Retention { before: Some(Timestamp::UNIX_EPOCH), bytes_max: None, ..Retention::default() };
    assert_eq!(prune(log.path(), &old).unwrap().segments, 0);
    let all =
        Retention { before: Some(Timestamp::MAX), bytes_max: Some(0), ..Retention::default() };
    assert_eq!(prune(log.path(), &all).unwrap().segments, count as u64 - 1);
    log.go_on(3);
    assert!(!log.verify(&[]).is_damaged());
}

#[test]
fn only_one_process_does_it() {
    let log = Log::new(3);
    let held = lock(log.path()).unwrap();
    assert!(matches!(compress(log.path()), Err(RetainError::Busy(_))));
    drop(held);
    assert!(compress(log.path()).is_ok());
}

/// As on a disk that gets full, which is when people prune.
#[test]
fn a_link_that_was_not_written_to_its_end_is_taken_away() {
    let log = Log::new(90);
    let all = log.checkpoints();
    prune_some(&log, 1);
    let path = log.path().join(pruned::FILE);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole, &b"{\"size\":30,\"ro"[..]].concat()).unwrap();
    assert!(!log.verify(&all).is_damaged());
    prune_some(&log, 1);
    let report = log.verify(&all);
    assert!(!report.is_damaged(), "{:?}", report.findings);
    // In the middle it is no crash's work, and nothing more is removed.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"size\"", "\"sixe\"", 2)).unwrap();
    let count = log.reader().list().unwrap().len();
    let all = Retention { before: Some(Timestamp::MAX), bytes_max: None, ..Retention::default() };
    assert!(prune(log.path(), &all).is_err());
    assert_eq!(log.reader().list().unwrap().len(), count);
}

#[test]
fn a_compressed_copy_that_was_left_behind_goes_with_its_segment() {
    let log = Log::new(60);
    let plain = log.reader().list().unwrap();
    let copies: Vec<Vec<u8>> = plain.iter().map(|s| std::fs::read(&s.path).unwrap()).collect();
    compress(log.path()).unwrap();
    // As if it had died between making each and removing what it was made from.
    for (segment, bytes) in plain.iter().zip(copies) {
        std::fs::write(&segment.path, bytes).unwrap();
    }
    prune_some(&log, 2);
    let left = std::fs::read_dir(log.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    for gone in &plain[..2] {
        let name = format!("{:020}", gone.first_seq);
        assert!(left.iter().all(|file| !file.to_str().unwrap().starts_with(&name)), "{left:?}");
    }
    assert!(!log.verify(&[]).is_damaged());
    assert_eq!(prune_some(&log, 1).segments, 1);
}

#[test]
fn a_segment_that_is_compressed_between_list_and_read_is_read() {
    let log = Log::new(60);
    let listed = log.reader().list().unwrap();
    compress(log.path()).unwrap();
    let mut lines = log.reader().read(&listed[0]).unwrap();
    assert!(lines.next().unwrap().unwrap().whole().is_some());
}

#[test]
fn what_somebody_lacks_and_what_may_be_lacked_again_stays() {
    let log = Log::new(60);
    let all = Retention { before: Some(Timestamp::MAX), ..Retention::default() };
    let young = Retention { keep_since: Some(Timestamp::UNIX_EPOCH), ..all };
    assert_eq!(prune(log.path(), &young).unwrap().segments, 0);
    let second = log.reader().list().unwrap()[1].first_seq;
    for (keep_from, gone) in [(1, 0), (second - 1, 0), (second, 1)] {
        let lacked = Retention { keep_from: Some(keep_from), ..all };
        assert_eq!(prune(log.path(), &lacked).unwrap().segments, gone, "{keep_from}");
    }
    assert_eq!(lacked(log.path()), None, "nothing was ever sent");
    Position::of(log.path(), OF_EXPORT).store(40).unwrap();
    Position::of(log.path(), OF_DATABASE).store(20).unwrap();
    assert_eq!(lacked(log.path()), Some(20));
}
