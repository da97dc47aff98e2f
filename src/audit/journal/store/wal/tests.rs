use super::*;
use crate::audit::tree::Hash;

#[test]
fn a_frame_begins_at_a_slot_in_memory_and_has_nothing_of_the_one_before() {
    let mut frame = Frame::default();
    for length in [1, 9 * SLOT, 0, SLOT, SLOT - HEADER, SLOT - HEADER + 1, 100 * SLOT, 5] {
        let lines = vec![b'x'; length];
        frame.fill(&lines);
        frame.bytes_mut().iter_mut().take(HEADER).for_each(|byte| *byte = 1);
        let bytes = frame.bytes();
        assert_eq!(bytes.as_ptr().align_offset(SLOT), 0);
        assert_eq!(bytes.len(), frame_bytes(length));
        let (header, rest) = bytes.split_at(HEADER);
        let (text, filler) = rest.split_at(length);
        assert!(header.iter().all(|byte| *byte == 1) && text == lines);
        assert!(filler.len() < SLOT && filler.iter().all(|byte| *byte == 0));
    }
}

#[test]
fn what_the_disk_does_not_take_directly_goes_through_the_page_cache() {
    let directory = tempfile::tempdir().unwrap();
    let mut wal = Wal::open(directory.path(), 64 * SLOT as u64, None, 0).unwrap();
    if !wal.direct {
        // This file system takes nothing so.
        return;
    }
    // No multiple of any disk's blocks.
    wal.head = 100;
    let batch = Batch { first_seq: 1, count: 1, lines: b"a line\n", root: Hash([0; 32]) };
    wal.write(&batch).unwrap();
    let mut found = vec![0; SLOT];
    File::open(directory.path().join(WAL)).unwrap().read_exact_at(&mut found, 100).unwrap();
    assert_eq!(found, wal.frame.bytes());
    assert!(wal.durable_writes && !wal.is_broken());
    let direct = fcntl_getfl(&wal.file).unwrap().contains(OFlags::DIRECT);
    assert_eq!(direct, wal.direct, "it is not asked for again");
    // Where a disk does take any place, all went directly.
    wal.head = SLOT as u64 * 2;
    wal.write(&Batch { first_seq: 2, ..batch }).unwrap();
}
