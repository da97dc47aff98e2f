//! Rings that do not belong to the segments beside them, or a part of which does not.

use super::*;

#[test]
fn the_ring_of_another_log_is_refused_wherever_it_ends() {
    let rings = [1, 3, 4, 5, 9].map(|records| {
        let mut other = Log::new(Some(RING));
        (0..records).for_each(|_| other.write(1));
        (records, std::fs::read(other.wal()).unwrap())
    });
    for settled in [true, false] {
        for (records, ring) in &rings {
            let mut log = Log::new(Some(RING));
            (0..4).for_each(|_| log.write(1));
            // After an end in order, or after a crash.
            if settled {
                log.go_on(None);
            }
            log.store = None;
            std::fs::write(log.wal(), ring).unwrap();
            let text = log.in_segments();
            let error = log.open(Some(RING)).unwrap_err();
            let other = matches!(error, OpenError::OtherWal { .. } | OpenError::Damaged { .. });
            assert!(other, "{records}: {error}");
            assert_eq!(log.in_segments(), text, "{records}: as it was");
        }
    }
}

/// Its last frame begins right where this log ends: the numbers alone would fit.
#[test]
fn a_ring_whose_numbers_fit_is_known_by_the_tree() {
    let mut other = Log::new(Some(RING));
    (0..4).for_each(|_| other.write(1));
    let end = Batch { first_seq: 5, count: 0, lines: &[], root: other.tree.root() };
    other.store().close(&end).unwrap();
    other.go_on(Some(RING));
    other.commit(1);
    let mut log = Log::new(None);
    (0..4).for_each(|_| log.write(1));
    log.store = None;
    std::fs::copy(other.wal(), log.wal()).unwrap();
    let error = log.open(Some(RING)).unwrap_err();
    assert!(matches!(error, OpenError::OtherWal { .. }), "{error}");
    assert!(error.to_string().contains("another record 4"), "{error}");
}

/// The log was pruned: nothing in it says whether that ring was ever its own.
#[test]
fn a_ring_of_which_nothing_can_be_compared_is_refused() {
    let mut other = Log::new(Some(RING));
    other.write(1);
    let (_, private) = SigningKey::generate("a").unwrap();
    let directory = tempfile::tempdir().unwrap();
    crate::audit::testing::fill(directory.path(), crate::audit::testing::small(&private), 30);
    let oldest = LogReader::new(directory.path()).list().unwrap().remove(0);
    std::fs::remove_file(oldest.path).unwrap();
    std::fs::copy(other.wal(), directory.path().join(WAL)).unwrap();
    let mut store = FileStore::open(directory.path()).unwrap().with_wal(Some(RING));
    let error = store.recover(None).unwrap_err();
    assert!(error.to_string().contains("it ends with record 1, long before"), "{error}");
}

/// Whole by its own check, and still not what the next one was written behind.
#[test]
fn a_frame_in_the_place_of_another_is_damage() {
    let mut log = Log::new(Some(RING));
    (0..3).for_each(|_| log.commit(1));
    let at = usize::try_from(log.frames()[1]).unwrap();
    let mut ring = std::fs::read(log.wal()).unwrap();
    let length = log.lines.lines().nth(1).unwrap().len() + 1;
    ring[at + HEADER + length - 20] ^= 1;
    let sealed = [&ring[at..at + 88], &ring[at + HEADER..at + HEADER + length]].concat();
    let check = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &sealed);
    ring[at + 88..at + HEADER].copy_from_slice(&check.as_ref()[..16]);
    std::fs::write(log.wal(), &ring).unwrap();
    let error = log.open(Some(RING)).unwrap_err();
    assert!(matches!(error, OpenError::DamagedWal { .. }), "{error}");
}

/// The first frame of a new process is torn: what the last one of the old process needs is
/// still there.
#[test]
fn a_new_process_overwrites_nothing_that_the_old_one_may_still_be_read_for() {
    let bytes = Some(16 * SLOT as u64);
    let mut log = Log::new(bytes);
    let root = log.tree.root();
    let one = Batch { first_seq: 1, count: 1, lines: b"x\n", root };
    while log.store().has_room_for(&one) {
        log.commit(1);
    }
    log.go_on(bytes);
    let before = std::fs::read(log.wal()).unwrap();
    let promised = log.lines.clone();
    log.commit(1);
    let after = std::fs::read(log.wal()).unwrap();
    log.store = None;
    let page_of = |bytes: &[u8], at: usize| bytes[at..at + SLOT].to_vec();
    let pages = (0..after.len()).step_by(SLOT);
    let changed: Vec<usize> =
        pages.filter(|at| page_of(&before, *at) != page_of(&after, *at)).collect();
    // What is written first: one without records, if there is one.
    let is_mark = |at: &&usize| after[**at..].starts_with(b"ggwal") && after[**at + 24] == 0;
    let first = *changed.iter().find(is_mark).unwrap_or(&changed[0]);
    let mut torn = before;
    torn[first..first + SLOT].fill(7);
    std::fs::write(log.wal(), torn).unwrap();
    assert_eq!(log.readable(), promised);
    log.open(bytes).unwrap();
    assert_eq!(log.in_segments(), promised);
}

#[test]
fn segments_that_are_gone_are_not_made_up_for_in_silence() {
    let mut log = Log::new(Some(RING));
    log.write(3);
    log.go_on(Some(RING));
    log.write(3);
    log.store = None;
    std::fs::remove_file(log.path().join(segment_name(1))).unwrap();
    std::fs::remove_file(log.path().join(segment_name(4))).unwrap();
    let error = log.open(Some(RING)).unwrap_err();
    assert!(error.to_string().contains("the log ends with record 0"), "{error}");
}
