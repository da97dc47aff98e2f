//! A write-ahead log beside segments: torn, damaged, of another log, lost, or new.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::audit::NoObserver;
use crate::audit::journal::store::{Batch, FileStore};
use crate::audit::log::directory::LogReader;
use crate::audit::log::segment::segment_name;
use crate::audit::log::wal::{HEADER, Held, SLOT, WAL};
use crate::audit::proof::verify;
use crate::audit::testing::asked;
use crate::domain::SystemClock;
use crate::note::SigningKey;

const RING: u64 = 64 * SLOT as u64;

/// A log that a test writes record by record.
struct Log {
    directory: tempfile::TempDir,
    store: Option<FileStore>,
    tree: Frontier,
    lines: String,
}

impl Log {
    fn new(wal_bytes: Option<u64>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut log =
            Self { directory, store: None, tree: Frontier::default(), lines: String::new() };
        log.open(wal_bytes).unwrap();
        log.store().begin(1, 0).unwrap();
        log
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn store(&mut self) -> &mut FileStore {
        self.store.as_mut().unwrap()
    }

    fn open(&mut self, wal_bytes: Option<u64>) -> Result<Recovered, OpenError> {
        self.store = None;
        let mut store = FileStore::open(self.path()).unwrap().with_wal(wal_bytes);
        let found = store.recover(None)?;
        self.tree = found.tree.clone();
        self.store = Some(store);
        Ok(found)
    }

    /// A new process goes on in a segment of its own.
    fn go_on(&mut self, wal_bytes: Option<u64>) {
        let next = self.open(wal_bytes).unwrap().next_seq;
        self.store().begin(next, 0).unwrap();
    }

    /// Durable, and not in the segment yet.
    fn commit(&mut self, records: u32) {
        let (first_seq, root) = (self.tree.size() + 1, self.tree.root());
        let mut lines = Vec::new();
        for seq in (first_seq..).take(records as usize) {
            let begin = lines.len();
            Draft::decision(&asked(false).decision(), None).write(seq, first_seq, &mut lines);
            self.tree.push(Hash::of_leaf(&lines[begin..lines.len() - 1]));
        }
        let batch = Batch { first_seq, count: records, lines: &lines, root };
        self.store.as_mut().unwrap().commit(&batch).unwrap();
        self.lines += std::str::from_utf8(&lines).unwrap();
    }

    fn write(&mut self, records: u32) {
        self.commit(records);
        self.store().settle().unwrap();
    }

    fn wal(&self) -> std::path::PathBuf {
        self.path().join(WAL)
    }

    fn in_segments(&self) -> String {
        let segments = LogReader::new(self.path()).segments_only().list().unwrap();
        segments.iter().map(|s| std::fs::read_to_string(&s.path).unwrap()).collect()
    }

    /// What readers find, the ring's lines among it.
    fn readable(&self) -> String {
        let log = LogReader::new(self.path());
        let (mut all, mut numbers) = (String::new(), 1..);
        let mut walk = log.walk(log.list().unwrap());
        while let Some(line) = walk.next().unwrap() {
            assert_eq!(line.record().unwrap().seq, numbers.next().unwrap(), "no gap, none twice");
            all += std::str::from_utf8(line.bytes).unwrap();
            all.push('\n');
        }
        all
    }

    fn frames(&self) -> Vec<u64> {
        let bytes = std::fs::read(self.wal()).unwrap();
        let at = (0..bytes.len()).step_by(SLOT).filter(|at| bytes[*at..].starts_with(b"ggwal"));
        at.map(|at| at as u64).collect()
    }
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

#[test]
fn a_last_frame_that_is_torn_at_any_byte_is_as_if_it_had_not_been() {
    let mut log = Log::new(Some(RING));
    log.write(2);
    let before = std::fs::read(log.wal()).unwrap();
    let promised = log.lines.clone();
    log.commit(2);
    let (after, both) = (std::fs::read(log.wal()).unwrap(), log.lines.clone());
    log.store = None;
    let start = usize::try_from(log.frames()[1]).unwrap();
    let length = HEADER + both.len() - promised.len();
    let segment = log.path().join(segment_name(1));
    let whole = std::fs::read(&segment).unwrap();
    for cut in 0..=length {
        let mut torn = before.clone();
        torn[start..start + cut].copy_from_slice(&after[start..start + cut]);
        std::fs::write(log.wal(), torn).unwrap();
        std::fs::write(&segment, &whole).unwrap();
        let expected = if cut == length { &both } else { &promised };
        assert_eq!(&log.readable(), expected, "{cut} of {length}");
        // A start takes longer.
        if cut % 16 == 0 || length - cut < 3 {
            log.open(Some(RING)).unwrap();
            assert_eq!(&log.in_segments(), expected, "{cut} of {length}");
        }
    }
}

#[test]
fn any_byte_of_a_frame_that_was_changed_is_seen() {
    let mut log = Log::new(Some(RING));
    log.commit(1);
    let whole = std::fs::read(log.wal()).unwrap();
    let length = HEADER + log.lines.len();
    for at in 0..length {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(log.wal(), changed).unwrap();
        let held = Held::read(log.path());
        assert!(matches!(held, Ok(None)), "byte {at}: {held:?}");
    }
    let mut newer = whole;
    newer[7] = 2;
    std::fs::write(log.wal(), newer).unwrap();
    let error = log.open(Some(RING)).unwrap_err().to_string();
    assert!(error.contains("a newer grantgate wrote it"), "{error}");
}

#[test]
fn a_frame_that_is_damaged_before_a_whole_one_stops_the_start() {
    for lost in 0..3 {
        let mut log = Log::new(Some(RING));
        (0..4).for_each(|_| log.write(1));
        log.store = None;
        let frames = log.frames();
        assert_eq!(frames.len(), 4);
        overwrite(&log.wal(), frames[lost] + 200, b"damage");
        let text = log.in_segments();
        let error = log.open(Some(RING)).unwrap_err();
        assert!(matches!(error, OpenError::DamagedWal { .. }), "frame {lost}: {error}");
        assert!(error.to_string().contains("damaged or missing"), "{error}");
        assert_eq!(log.in_segments(), text, "as it was");
        let error = verify(&LogReader::new(log.path()), &[], &[], |_, _| {}).unwrap_err();
        assert!(error.is_damage(), "{lost}: {error}");
    }
}

#[test]
fn a_segment_that_lags_is_brought_up_wherever_it_ends() {
    let mut log = Log::new(Some(RING));
    (0..6).for_each(|_| log.write(1));
    log.store = None;
    let (ring, all) = (std::fs::read(log.wal()).unwrap(), log.lines.clone());
    let segment = log.path().join(segment_name(1));
    for length in (0..all.len()).step_by(37) {
        std::fs::write(log.wal(), &ring).unwrap();
        std::fs::write(&segment, &all[..length]).unwrap();
        assert_eq!(log.readable(), all, "{length}");
        let report = verify(&LogReader::new(log.path()), &[], &[], |_, _| {}).unwrap();
        assert!(!report.is_damaged() && report.torn_bytes == 0, "{length}: {:?}", report.findings);
        let found = log.open(Some(RING)).unwrap();
        assert_eq!((found.next_seq, found.cut), (7, None), "{length}");
        assert_eq!(log.in_segments(), all, "{length}");
    }
}

#[test]
fn a_record_in_the_segment_that_the_ring_has_otherwise_stops_the_start() {
    let mut log = Log::new(Some(RING));
    log.write(3);
    log.store = None;
    let segment = log.path().join(segment_name(1));
    let other = log.lines.replacen("\"deny\"", "\"Deny\"", 1);
    std::fs::write(&segment, &other).unwrap();
    let error = log.open(Some(RING)).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { line: 1, .. }), "{error}");
    assert_eq!(log.in_segments(), other);
}

#[test]
fn a_log_goes_on_without_a_ring_and_with_a_new_one() {
    let mut log = Log::new(None);
    let expected = |log: &mut Log, wal_bytes: Option<u64>, there: bool| {
        log.commit(3);
        // Not settled: the process dies.
        log.go_on(wal_bytes);
        assert_eq!(log.in_segments(), log.lines, "{wal_bytes:?}");
        assert_eq!(log.wal().exists(), there);
    };
    for (wal_bytes, there) in [
        // An old directory gets one.
        (Some(RING), true),
        // It is turned off.
        (None, false),
        (Some(RING), true),
        // And of another size.
        (Some(2 * RING), true),
        (Some(RING), true),
    ] {
        expected(&mut log, wal_bytes, there);
    }
    assert_eq!(std::fs::metadata(log.wal()).unwrap().len(), RING);
    // It was removed while nobody had the log; all was in segments.
    log.write(1);
    let end = Batch { first_seq: log.tree.size() + 1, count: 0, lines: &[], root: log.tree.root() };
    log.store().close(&end).unwrap();
    log.store = None;
    std::fs::remove_file(log.wal()).unwrap();
    log.go_on(Some(RING));
    log.write(1);
    assert_eq!(log.in_segments(), log.lines);
}

#[test]
fn a_file_that_is_no_ring_is_replaced_and_a_link_is_not_followed() {
    let mut log = Log::new(None);
    log.write(2);
    log.store = None;
    let elsewhere = log.path().join("elsewhere");
    std::fs::write(&elsewhere, "x").unwrap();
    std::os::unix::fs::symlink(&elsewhere, log.wal()).unwrap();
    log.go_on(Some(RING));
    log.write(1);
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"x");
    assert!(std::fs::symlink_metadata(log.wal()).unwrap().is_file());
}

/// Far more than it holds, in batches of all sizes, some too large for a frame; with a crash
/// now and then.
#[test]
fn a_ring_that_goes_round_many_times_has_no_gap() {
    let mut log = Log::new(Some(16 * SLOT as u64));
    for round in 0..300_u32 {
        log.commit(1 + round * 7 % 40);
        if round % 3 > 0 {
            log.store().settle().unwrap();
        }
        if round % 5 == 0 {
            log.store().upkeep().unwrap();
        }
        if round % 50 == 49 {
            assert_eq!(log.readable(), log.lines, "{round}");
            log.go_on(Some(16 * SLOT as u64));
            assert_eq!(log.in_segments(), log.lines, "{round}");
        }
    }
    assert!(log.lines.len() > 10 * 16 * SLOT, "{}", log.lines.len());
}

/// What waits in it is not overwritten: it is brought to the segment first.
#[test]
fn a_full_ring_makes_room_by_what_it_brings_to_the_segment() {
    let mut log = Log::new(Some(16 * SLOT as u64));
    let mut emptied = 0;
    while emptied < 3 {
        let before = log.in_segments().len();
        log.commit(1);
        if log.in_segments().len() > before {
            emptied += 1;
            assert!(log.in_segments().len() < log.lines.len(), "the last one waits");
        }
        assert_eq!(log.readable(), log.lines);
        assert!(log.tree.size() < 100, "it is never full");
    }
    log.store().settle().unwrap();
    assert_eq!(log.in_segments(), log.lines);
}

/// Else one sync would follow another for as long as there is load.
#[test]
fn lines_that_come_during_a_sync_have_their_own_time_to_wait() {
    let mut log = Log::new(Some(RING));
    let upkeep = |log: &mut Log| {
        let due = log.store().due().unwrap();
        std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        log.store().upkeep().unwrap();
    };
    log.write(1);
    upkeep(&mut log);
    log.write(1);
    let rested = (0..500).any(|_| {
        upkeep(&mut log);
        log.store().due().unwrap() > Instant::now() + Duration::from_millis(500)
    });
    assert!(rested);
}

#[test]
fn without_durable_writes_of_the_kernel_it_syncs() {
    let mut log = Log::new(Some(RING));
    log.store().without_durable_writes();
    (0..5).for_each(|_| log.commit(2));
    log.open(Some(RING)).unwrap();
    assert_eq!(log.in_segments(), log.lines);
}

/// The journal as a whole: each start, signed, with the ring and without.
#[test]
fn starts_with_and_without_a_ring_make_one_log() {
    let (key, private) = SigningKey::generate("a").unwrap();
    let directory = tempfile::tempdir().unwrap();
    for (start, bytes) in [None, Some(RING), Some(RING), None, Some(RING)].into_iter().enumerate() {
        let store = FileStore::open(directory.path()).unwrap().with_wal(bytes);
        let revision = Revision::from_sha256(&[0]);
        let (clock, observer) = (Arc::new(SystemClock), Arc::new(NoObserver));
        let settings = crate::audit::testing::small(&private);
        let started = Journal::open(store, settings, &revision, clock, observer).unwrap();
        assert!(!started.recovery.needs_attention(), "{start}");
        started.closer.close();
        let log = LogReader::new(directory.path());
        let report = verify(&log, &[key.verifier().clone()], &[], |_, _| {}).unwrap();
        assert!(!report.is_damaged(), "{start}: {:?}", report.findings);
        // At the end segments alone hold the log, and the ring says so.
        let held = Held::read(directory.path()).unwrap();
        assert!(held.is_none_or(|held| held.synced + 1 == held.next_seq()), "{start}");
        let segments = verify(&log.segments_only(), &[], &[], |_, _| {}).unwrap();
        assert_eq!(segments.records, report.records, "{start}");
    }
}

mod others;
