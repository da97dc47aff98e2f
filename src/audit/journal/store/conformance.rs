//! What the contract of [`Store`] says, sentence by sentence, held against every store.

mod on_disk;
mod places;

use super::*;
use crate::audit::Evidence as _;
use crate::audit::record::encode::{CheckpointEntry, Draft};
use crate::audit::testing::asked;
use crate::audit::tree::checkpoint::Checkpoint;
use crate::audit::tree::{Frontier, Hash};
use crate::note::SigningKey;
use places::{Ahead, Files, Memory, Place};

/// More room than there is anywhere.
const TOO_MUCH: u64 = u64::MAX;

/// An allow decision, as it is in a log.
fn decision(seq: u64) -> String {
    let mut line = Vec::new();
    Draft::decision(&asked(true).decision(), None).write(seq, seq, &mut line);
    String::from_utf8(line).unwrap()
}

/// A record that does not fit where a part of it does.
fn long(seq: u64) -> String {
    let mut line = Vec::new();
    let rules: Vec<_> =
        (0..500).map(|n| crate::domain::RuleRef::new("policies/policy.csv".into(), n)).collect();
    let asked = asked(false);
    let entry = crate::audit::DecisionEntry { rules: &rules, ..asked.decision() };
    Draft::decision(&entry, None).write(seq, seq, &mut line);
    String::from_utf8(line).unwrap()
}

/// What a writer keeps beside its store.
#[derive(Default)]
struct Writer(Frontier);

impl Writer {
    /// Commits these lines together, and brings them to where readers look.
    fn write(&mut self, store: &mut impl Store, lines: &[&str]) -> Result<(), StoreError> {
        self.commit(store, lines)?;
        store.settle()
    }

    fn commit(&mut self, store: &mut impl Store, lines: &[&str]) -> Result<(), StoreError> {
        let text = lines.concat();
        store.commit(&Batch {
            first_seq: self.0.size() + 1,
            count: u32::try_from(lines.len()).unwrap(),
            lines: text.as_bytes(),
            root: self.0.root(),
        })?;
        lines.iter().for_each(|line| self.0.push(Hash::of_leaf(line.trim_end().as_bytes())));
        Ok(())
    }
}

/// With one record in it that is durable.
fn begun<P: Place>() -> (P, P::Store, String, Writer) {
    let place = P::new();
    let mut store = place.open();
    store.recover(None).unwrap();
    store.begin(1, 0).unwrap();
    let (first, mut writer) = (decision(1), Writer::default());
    writer.write(&mut store, &[&first]).unwrap();
    (place, store, first, writer)
}

fn commit_takes_all_records_or_none<P: Place>() {
    let (mut place, mut store, first, mut writer) = begun::<P>();
    place.fail(&mut store, Stage::Append, 0);
    let error = writer.write(&mut store, &[&long(2), &decision(3)]).unwrap_err();
    assert!(!error.broken && error.stage == Stage::Append, "{error}");
    assert_eq!(place.text(&store), first, "as it was before the call");
    assert_eq!(store.length(), first.len() as u64);
    place.heal(&mut store);
    let second = decision(2);
    writer.write(&mut store, &[&second]).unwrap();
    assert_eq!(place.text(&store), [first, second].concat());
}

fn what_was_committed_the_next_process_has<P: Place>() {
    for settled in [true, false] {
        let (place, mut store, first, mut writer) = begun::<P>();
        let (second, third, fourth) = (decision(2), decision(3), long(4));
        writer.commit(&mut store, &[&second, &third]).unwrap();
        if settled {
            store.settle().unwrap();
        }
        writer.commit(&mut store, &[&fourth]).unwrap();
        if settled {
            store.settle().unwrap();
        }
        drop(store);
        let mut next = place.open();
        assert_eq!(next.recover(None).unwrap().next_seq, 5);
        assert_eq!(place.text(&next), [first, second, third, fourth].concat());
    }
}

fn after_a_commit_that_is_broken_what_was_committed_before_is_there<P: Place>() {
    for stage in P::BREAKS {
        let (mut place, mut store, first, mut writer) = begun::<P>();
        place.fail(&mut store, *stage, 0);
        let error = writer.commit(&mut store, &[&decision(2)]).unwrap_err();
        assert!(error.broken && error.stage == *stage, "{stage:?}: {error}");
        drop(store);
        let mut next = place.open();
        let found = next.recover(None).unwrap();
        assert!((2..=3).contains(&found.next_seq), "of the second nothing is known");
        assert!(place.text(&next).starts_with(&first));
    }
}

fn settle_brings_what_was_committed_to_where_readers_look<P: Place>() {
    let (place, mut store, first, mut writer) = begun::<P>();
    let (second, third) = (decision(2), decision(3));
    writer.commit(&mut store, &[&second]).unwrap();
    writer.commit(&mut store, &[&third]).unwrap();
    assert_eq!(store.length(), (first.len() + second.len() + third.len()) as u64);
    store.settle().unwrap();
    let all = [first, second, third].concat();
    assert_eq!(place.text(&store), all);
    store.settle().unwrap();
    assert_eq!(place.text(&store), all, "once");
    assert_eq!(store.length(), all.len() as u64);
}

fn after_close_segments_alone_hold_the_log<P: Place>() {
    let (place, mut store, first, mut writer) = begun::<P>();
    let second = decision(2);
    writer.commit(&mut store, &[&second]).unwrap();
    let end = Batch { first_seq: 3, count: 0, lines: &[], root: writer.0.root() };
    store.close(&end).unwrap();
    assert_eq!(store.due(), None);
    drop(store);
    place.forget_all_but_segments();
    let mut next = place.open();
    assert_eq!(next.recover(None).unwrap().next_seq, 3);
    assert_eq!(place.text(&next), [first, second].concat());
}

fn upkeep_does_what_is_due<P: Place>() {
    let (place, mut store, first, mut writer) = begun::<P>();
    while let Some(due) = store.due() {
        let wait = due.saturating_duration_since(std::time::Instant::now());
        std::thread::park_timeout(wait);
        store.upkeep().unwrap();
    }
    let second = decision(2);
    writer.write(&mut store, &[&second]).unwrap();
    assert_eq!(place.text(&store), [first, second].concat());
}

fn after_an_error_that_is_broken_no_later_call_succeeds<P: Place>() {
    for stage in P::BREAKS {
        let (mut place, mut store, _, mut writer) = begun::<P>();
        place.fail(&mut store, *stage, 0);
        assert!(writer.commit(&mut store, &[&decision(2)]).unwrap_err().broken, "{stage:?}");
        place.heal(&mut store);
        let second = decision(2);
        let later = [
            writer.commit(&mut store, &[&second]),
            store.reserve(1),
            store.begin(2, 0),
            writer.commit(&mut store, &[&second]),
        ];
        for (nth, result) in later.into_iter().enumerate() {
            assert!(result.unwrap_err().broken, "{stage:?}: call {nth}");
        }
    }
}

fn where_no_segment_was_begun_nothing_is_committed<P: Place>() {
    let mut place = P::new();
    let mut store = place.open();
    store.recover(None).unwrap();
    let nothing = |store: &mut P::Store, when: &str| {
        let results = [Writer::default().commit(store, &[&decision(1)]), store.reserve(1)];
        for result in results {
            assert!(!result.unwrap_err().broken, "{when}");
        }
        assert_eq!(store.length(), 0, "{when}");
    };
    nothing(&mut store, "at first");
    place.fail(&mut store, Stage::Begin, 1);
    assert!(!store.begin(1, 0).unwrap_err().broken);
    nothing(&mut store, "after one that failed");
    place.heal(&mut store);
    store.begin(1, 0).unwrap();
    Writer::default().write(&mut store, &[&decision(1)]).unwrap();
}

fn recover_tells_what_was_found<P: Place>() {
    let place = P::new();
    let mut store = place.open();
    let nothing = store.recover(None).unwrap();
    assert_eq!((nothing.next_seq, nothing.open, nothing.cut), (1, Vec::new(), None));
    drop(store);
    let (place, store, first, _) = begun::<P>();
    drop(store);
    let found = place.open().recover(None).unwrap();
    let mut tree = Frontier::default();
    tree.push(Hash::of_leaf(first.trim_end().as_bytes()));
    assert_eq!((found.next_seq, found.tree, found.cut), (2, tree, None));
    assert_eq!(found.open.iter().map(|open| open.seq).collect::<Vec<_>>(), [1]);
}

fn recover_brings_the_log_into_a_state_to_go_on_from<P: Place>() {
    let (place, store, first, _) = begun::<P>();
    drop(store);
    place.leave(b"{\"v\":1,\"se");
    let mut next = place.open();
    let found = next.recover(None).unwrap();
    assert_eq!((found.next_seq, found.cut.as_ref().map(|cut| cut.bytes)), (2, Some(10)));
    assert_eq!(place.text(&next), first);
    next.begin(2, 0).unwrap();
    let second = decision(2);
    Writer(found.tree).write(&mut next, &[&second]).unwrap();
    drop(next);
    let mut last = place.open();
    assert_eq!(last.recover(None).unwrap().next_seq, 3);
    assert_eq!(place.text(&last), [first, second].concat());
}

/// A checkpoint that fits, with the signed text of another tree.
fn forged(first: &str, key: &SigningKey) -> String {
    let (mut tree, mut other) = (Frontier::default(), Frontier::default());
    tree.push(Hash::of_leaf(first.trim_end().as_bytes()));
    other.push(Hash::of_leaf(b"another"));
    let text = Checkpoint::sign(&other, key);
    let entry = CheckpointEntry { tree: &tree, open_from: Some(1), checkpoint: Some(&text) };
    let mut line = Vec::new();
    Draft::checkpoint(&entry, jiff::Timestamp::now()).write(2, 2, &mut line);
    String::from_utf8(line).unwrap()
}

fn recover_checks_signatures_with_a_key_and_leaves_a_false_log_as_it_is<P: Place>() {
    let (key, _) = SigningKey::generate("example.org/doors").unwrap();
    let (place, store, first, _) = begun::<P>();
    drop(store);
    place.leave(forged(&first, &key).as_bytes());
    let mut next = place.open();
    let before = place.text(&next);
    let error = next.recover(Some(key.verifier())).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { line: 2, .. }), "{error}");
    assert_eq!(place.text(&next), before);
    assert_eq!(next.recover(None).unwrap().next_seq, 3, "there is nothing else to find fault with");
}

fn recover_that_fails_leaves_the_log_as_it_is<P: Place>() {
    let (place, store, _, _) = begun::<P>();
    drop(store);
    place.leave(format!("xx\n{}", decision(3)).as_bytes());
    let mut next = place.open();
    let before = place.text(&next);
    assert!(matches!(next.recover(None), Err(OpenError::Damaged { line: 2, .. })));
    assert_eq!(place.text(&next), before);
}

fn begin_begins_a_segment_of_this_number_and_closes_the_one_before<P: Place>() {
    let (place, mut store, first, mut writer) = begun::<P>();
    store.begin(2, 0).unwrap();
    assert_eq!(store.length(), 0);
    let second = decision(2);
    writer.write(&mut store, &[&second]).unwrap();
    assert_eq!(place.segments(), [1, 2]);
    assert_eq!(place.text(&store), [first, second].concat());
}

fn begin_that_fails_breaks_nothing_and_the_segment_before_goes_on<P: Place>() {
    let (mut place, mut store, first, mut writer) = begun::<P>();
    place.fail(&mut store, Stage::Begin, 2);
    let error = store.begin(2, 0).unwrap_err();
    assert!(!error.broken && error.stage == Stage::Begin, "{error}");
    place.heal(&mut store);
    assert_eq!(store.length(), first.len() as u64);
    let second = decision(2);
    writer.write(&mut store, &[&second]).unwrap();
    assert_eq!(place.segments(), [1]);
    assert_eq!(place.text(&store), [first, second].concat());
}

fn length_is_the_bytes_in_the_segment<P: Place>() {
    let (_place, mut store, first, mut writer) = begun::<P>();
    assert_eq!(store.length(), first.len() as u64);
    let second = decision(2);
    writer.commit(&mut store, &[&second]).unwrap();
    assert_eq!(store.length(), (first.len() + second.len()) as u64, "settled or not");
    store.begin(3, 0).unwrap();
    assert_eq!(store.length(), 0);
}

fn records_that_need_no_more_than_was_reserved_do_not_fail<P: Place>() {
    let (place, mut store, first, mut writer) = begun::<P>();
    let lines: Vec<String> = (2..40).map(decision).collect();
    let all = lines.concat();
    store.reserve(all.len() as u64).unwrap();
    assert_eq!(store.length(), first.len() as u64, "no filler");
    lines.iter().for_each(|line| writer.write(&mut store, &[line]).unwrap());
    assert_eq!(place.text(&store), [first, all].concat());
}

fn reserve_that_fails_breaks_nothing<P: Place>() {
    let (mut place, mut store, first, mut writer) = begun::<P>();
    place.fail(&mut store, Stage::Reserve, 0);
    let error = store.reserve(TOO_MUCH).unwrap_err();
    assert!(!error.broken && error.stage == Stage::Reserve, "{error}");
    let second = decision(2);
    writer.write(&mut store, &[&second]).unwrap();
    assert_eq!(place.text(&store), [first, second].concat());
}

macro_rules! held_by {
    ($($store:ident: $place:ty, $cases:tt;)+) => {
        $(mod $store {
            use super::*;
            held_by!(@cases $place, $cases);
        })+
    };
    (@cases $place:ty, [$($case:ident,)+]) => {
        $(#[test]
        fn $case() {
            super::$case::<$place>();
        })+
    };
}

macro_rules! every_store_holds {
    ($($case:ident,)+) => {
        held_by! {
            memory: Memory, [$($case,)+];
            file: Files, [$($case,)+];
            wal: Ahead, [$($case,)+];
        }
    };
}

every_store_holds! {
    commit_takes_all_records_or_none,
    what_was_committed_the_next_process_has,
    after_a_commit_that_is_broken_what_was_committed_before_is_there,
    settle_brings_what_was_committed_to_where_readers_look,
    upkeep_does_what_is_due,
    after_close_segments_alone_hold_the_log,
    after_an_error_that_is_broken_no_later_call_succeeds,
    where_no_segment_was_begun_nothing_is_committed,
    recover_tells_what_was_found,
    recover_brings_the_log_into_a_state_to_go_on_from,
    recover_checks_signatures_with_a_key_and_leaves_a_false_log_as_it_is,
    recover_that_fails_leaves_the_log_as_it_is,
    begin_begins_a_segment_of_this_number_and_closes_the_one_before,
    begin_that_fails_breaks_nothing_and_the_segment_before_goes_on,
    length_is_the_bytes_in_the_segment,
    records_that_need_no_more_than_was_reserved_do_not_fail,
    reserve_that_fails_breaks_nothing,
}
