//! What only a disk can show of the contract.

use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::audit::log::segment::segment_name;

/// The blocks are taken, where the file system can promise them.
#[test]
fn room_that_was_asked_for_is_taken() {
    let place = Files::new();
    let mut store = place.open();
    store.recover(None).unwrap();
    store.begin(1, 300_000).unwrap();
    let path = place.directory.path().join(segment_name(1));
    let blocks = || std::fs::metadata(&path).unwrap().blocks() * 512;
    let begun = blocks();
    if begun == 0 {
        return;
    }
    assert!(begun >= 300_000, "{begun}");
    store.reserve(3_000_000).unwrap();
    assert!(blocks() >= 3_000_000, "{}", blocks());
}

/// What is durable must find its place in the segment, and what comes after it too.
#[test]
fn room_is_taken_behind_lines_that_are_not_in_the_segment_yet() {
    let place = Files::new();
    let mut store = place.open().with_wal(Some(2 << 20));
    store.recover(None).unwrap();
    store.begin(1, 0).unwrap();
    let mut writer = Writer::default();
    while store.length() < 600_000 {
        writer.commit(&mut store, &[&long(writer.0.size() + 1)]).unwrap();
    }
    let path = place.directory.path().join(segment_name(1));
    store.reserve(3_000).unwrap();
    let found = std::fs::metadata(&path).unwrap();
    assert_eq!(found.len(), 0, "the lines are in the write-ahead log alone");
    let taken = found.blocks() * 512;
    assert!(taken == 0 || taken >= 603_000, "{taken}");
}

/// Else an outage would end and begin anew with every commit, and readers would fall behind.
#[test]
fn what_could_not_be_settled_is_tried_before_more_is_taken() {
    let (mut place, mut store, first, mut writer) = begun::<Ahead>();
    let lines: Vec<String> = (2..12).map(decision).collect();
    lines.iter().for_each(|line| writer.commit(&mut store, &[line]).unwrap());
    place.fail(&mut store, Stage::Append, 0);
    assert_eq!(store.settle().unwrap_err().stage, Stage::Append);
    let error = store.reserve(1).unwrap_err();
    assert!(!error.broken && error.stage == Stage::Append, "{error}");
    place.heal(&mut store);
    store.reserve(1).unwrap();
    assert_eq!(place.text(&store), [first, lines.concat()].concat());
}
