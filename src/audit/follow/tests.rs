use std::io::Write as _;
use std::path::PathBuf;

use super::*;
use crate::audit::record::limits::LINE_BYTES_MAX;

/// A log whose segments a test writes as it likes.
struct Log(tempfile::TempDir);

fn line(seq: u64) -> String {
    format!("{{\"v\":1,\"seq\":{seq},\"event\":\"e\",\"filler\":\"{}\"}}\n", "x".repeat(40))
}

impl Log {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn segment(&self, first: u64) -> PathBuf {
        self.0.path().join(format!("{first:020}.jsonl"))
    }

    fn append(&self, segment: u64, text: &str) {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.create(true).append(true).open(self.segment(segment)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn records(&self, segment: u64, seqs: std::ops::RangeInclusive<u64>) {
        self.append(segment, &seqs.map(line).collect::<String>());
    }

    fn compress(&self, segment: u64) {
        let plain = std::fs::read(self.segment(segment)).unwrap();
        let packed = zstd::encode_all(&plain[..], 3).unwrap();
        std::fs::write(self.segment(segment).with_extension("jsonl.zst"), packed).unwrap();
        std::fs::remove_file(self.segment(segment)).unwrap();
    }

    fn follow(&self, next: Option<u64>) -> Follower {
        Follower::new(LogReader::new(self.0.path()), next)
    }
}

fn seqs(passage: &Passage) -> Vec<u64> {
    for record in &passage.records {
        assert_eq!(String::from_utf8_lossy(&record.line) + "\n", line(record.seq));
    }
    passage.records.iter().map(|record| record.seq).collect()
}

fn range(from: u64, to: u64) -> Vec<u64> {
    (from..=to).collect()
}

const ALL: usize = usize::MAX;

#[test]
fn records_come_in_order_across_segments_of_both_kinds() {
    for compressed in [&[][..], &[1], &[1, 6, 7]] {
        let log = Log::new();
        for (first, last) in [(1, 5), (6, 6), (7, 20), (21, 30)] {
            log.records(first, first..=last);
        }
        // A start that wrote nothing yet.
        log.append(31, "");
        for first in compressed {
            log.compress(*first);
        }
        for batch in [1, 3, 7, ALL] {
            let (mut follower, mut found) = (log.follow(None), Vec::new());
            loop {
                let passage = follower.read(30, batch, ALL).unwrap();
                assert!(passage.records.len() <= batch && passage.lost == 0);
                if passage.records.is_empty() {
                    break;
                }
                found.extend(seqs(&passage));
                assert_eq!(passage.next, found.last().unwrap() + 1);
            }
            assert_eq!(found, range(1, 30), "{compressed:?}, {batch} at once");
        }
        let from = log.follow(Some(12)).read(30, ALL, ALL).unwrap();
        assert_eq!(seqs(&from), range(12, 30));
        assert_eq!(log.follow(None).read(30, ALL, 200).unwrap().records.len(), 3, "bytes");
    }
}

#[test]
fn what_is_not_durable_is_not_read_and_may_change() {
    let log = Log::new();
    let mut follower = log.follow(None);
    assert_eq!(follower.read(0, ALL, ALL).unwrap().next, 0);
    log.records(1, 1..=4);
    assert_eq!(seqs(&follower.read(2, ALL, ALL).unwrap()), [1, 2]);
    // A write that failed is taken back, and others come in its place.
    let kept = [line(1), line(2)].concat();
    std::fs::write(log.segment(1), &kept).unwrap();
    log.append(1, &line(3)[..20]);
    assert_eq!(follower.read(2, ALL, ALL).unwrap().records, []);
    std::fs::write(log.segment(1), kept).unwrap();
    log.records(1, 3..=5);
    log.append(1, &line(6)[..20]);
    assert_eq!(seqs(&follower.read(5, ALL, ALL).unwrap()), [3, 4, 5]);
    log.append(1, &line(6)[20..]);
    log.records(7, 7..=8);
    assert_eq!(seqs(&follower.read(8, ALL, ALL).unwrap()), [6, 7, 8]);
}

#[test]
fn a_segment_that_is_compressed_or_removed_meanwhile_is_no_loss_of_the_rest() {
    let log = Log::new();
    for (first, last) in [(1, 5), (6, 10), (11, 15), (16, 20)] {
        log.records(first, first..=last);
    }
    let mut follower = log.follow(None);
    assert_eq!(seqs(&follower.read(20, 3, ALL).unwrap()), [1, 2, 3]);
    log.compress(1);
    assert_eq!(seqs(&follower.read(20, 3, ALL).unwrap()), [4, 5, 6]);
    for gone in [6, 11] {
        std::fs::remove_file(log.segment(gone)).unwrap();
    }
    std::fs::remove_file(log.segment(1).with_extension("jsonl.zst")).unwrap();
    let passage = follower.read(20, 3, ALL).unwrap();
    assert_eq!((seqs(&passage), passage.lost), (vec![16, 17, 18], 9));
    let passage = log.follow(Some(3)).read(20, ALL, ALL).unwrap();
    assert_eq!((seqs(&passage), passage.lost), (range(16, 20), 13));
}

#[test]
fn damaged_lines_are_counted_and_do_not_stop_it() {
    let log = Log::new();
    log.append(1, &[&line(1), "nonsense\n", &line(3), &"x".repeat(2 * LINE_BYTES_MAX)].concat());
    log.append(1, &["\n", &line(5)].concat());
    // The end of the first segment is gone.
    log.records(9, 9..=9);
    let mut follower = log.follow(None);
    let passage = follower.read(9, ALL, ALL).unwrap();
    assert_eq!((seqs(&passage), passage.lost), (vec![1, 3, 5, 9], 5));
    // The last durable record is damaged, and one that is being written follows it.
    log.append(9, "nonsense\n");
    log.append(9, &line(11)[..20]);
    assert_eq!(follower.read(10, ALL, ALL).unwrap().records, []);
    log.append(9, &line(11)[20..]);
    assert_eq!(follower.read(10, ALL, ALL).unwrap().records, []);
    let passage = follower.read(11, ALL, ALL).unwrap();
    assert_eq!((seqs(&passage), passage.lost), (vec![11], 1));
}

#[test]
fn what_cannot_be_read_is_said_and_tried_again() {
    let log = Log::new();
    let mut follower = log.follow(None);
    std::fs::create_dir(log.segment(1)).unwrap();
    let error = follower.read(3, ALL, ALL).unwrap_err().to_string();
    assert!(error.contains("00000000000000000001.jsonl` cannot be read: "), "{error}");
    std::fs::remove_dir(log.segment(1)).unwrap();
    log.records(1, 1..=3);
    assert_eq!(seqs(&follower.read(3, ALL, ALL).unwrap()), [1, 2, 3]);
    let missing = log.0.path().join("missing");
    assert!(Follower::new(LogReader::new(&missing), None).read(1, 1, 1).is_err());
}
