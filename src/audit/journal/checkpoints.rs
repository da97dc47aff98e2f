//! When checkpoints are written, and where segments begin.

use std::time::Duration;

use super::*;
use crate::audit::log::directory::LogReader;
use crate::audit::testing::{asked, outcome};
use crate::audit::{FileStore, MemoryStore, NoObserver, Stage};
use crate::domain::SystemClock;

fn opened(store: &MemoryStore, settings: JournalSettings) -> Started {
    let revision = Revision::from_sha256(&[0]);
    let (clock, observer) = (Arc::new(SystemClock), Arc::new(NoObserver));
    Journal::open(store.clone(), settings, &revision, clock, observer).unwrap()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}

fn checkpoints(store: &MemoryStore) -> usize {
    store.durable().matches("log.checkpoint").count()
}

#[tokio::test]
async fn a_checkpoint_comes_in_time_by_itself_and_none_covers_only_the_one_before() {
    let store = MemoryStore::default();
    let checkpoint_interval = Duration::from_millis(60);
    let settings = JournalSettings { checkpoint_interval, ..JournalSettings::default() };
    let Started { journal, closer, .. } = opened(&store, settings);
    until("the start is covered", || checkpoints(&store) == 1).await;
    tokio::time::sleep(5 * checkpoint_interval).await;
    assert_eq!(checkpoints(&store), 1, "nothing new: nothing to cover");
    let _ = journal.record(asked(false)).await.unwrap();
    until("the decision is covered", || checkpoints(&store) == 2).await;
    tokio::time::sleep(5 * checkpoint_interval).await;
    assert_eq!(checkpoints(&store), 2);
    closer.close();
    assert_eq!(checkpoints(&store), 3, "one that covers the stop");
}

#[tokio::test]
async fn so_many_records_are_without_a_checkpoint_at_most() {
    let store = MemoryStore::default();
    let settings = JournalSettings { checkpoint_records_max: 5, ..JournalSettings::default() };
    let Started { journal, closer, .. } = opened(&store, settings);
    for _ in 0..40 {
        let _ = journal.record(asked(false)).await.unwrap();
    }
    closer.close();
    let text = store.durable();
    let longest = text.split("log.checkpoint").map(|part| part.matches("grant.decision").count());
    assert_eq!(longest.max(), Some(5), "{text}");
}

#[tokio::test]
async fn a_segment_begins_with_a_checkpoint_on_a_full_disk_too() {
    let store = MemoryStore::default();
    // Each commit begins a new segment.
    let settings = JournalSettings { segment_bytes_max: 1, ..JournalSettings::default() };
    let Started { journal, closer, .. } = opened(&store, settings);
    let permit = journal.record(asked(true)).await.unwrap();
    store.fail(Stage::Reserve, 1);
    journal.complete(&outcome(&permit));
    until("the outcome is written", || store.durable().contains("grant.outcome")).await;
    closer.close();
    let text = store.durable();
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.contains("grant.outcome")).unwrap();
    assert!(lines[at - 1].contains("log.checkpoint"), "{text}");
}

/// Counts what the writer says of failures.
#[derive(Default)]
struct Failures(std::sync::atomic::AtomicU32);

impl Observer for Failures {
    fn committed(&self, _: &mut dyn Iterator<Item = crate::audit::Event>, _: Duration) {}
    fn failed(&self, _: &'static str) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    fn waiting(&self, _: usize) {}
    fn checkpointed(&self, _: Published) {}
    fn rotated(&self) {}
    fn rotation_failed(&self) {}
}

#[tokio::test]
async fn after_a_failed_sync_neither_a_rotation_nor_a_checkpoint_touches_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let settings = JournalSettings {
        segment_age_max: Duration::from_millis(50),
        checkpoint_interval: Duration::from_millis(50),
        ..JournalSettings::default()
    };
    let failures = Arc::new(Failures::default());
    let revision = Revision::from_sha256(&[0]);
    let store = FileStore::open(directory.path()).unwrap();
    let opened = Journal::open(store, settings, &revision, Arc::new(SystemClock), failures.clone());
    let Started { journal, closer, .. } = opened.unwrap();
    let permit = journal.record(asked(true)).await.unwrap();
    let files = || {
        let all = LogReader::new(directory.path()).list().unwrap();
        all.into_iter()
            .map(|s| (s.path.clone(), std::fs::read(&s.path).unwrap()))
            .collect::<Vec<_>>()
    };
    // What something else writes makes every later sync worthless.
    for segment in LogReader::new(directory.path()).list().unwrap() {
        let mut file = std::fs::OpenOptions::new().append(true).open(&segment.path).unwrap();
        std::io::Write::write_all(&mut file, b"x").unwrap();
    }
    while journal.record(asked(true)).await.is_ok() {}
    let after = files();
    journal.complete(&outcome(&permit));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(matches!(journal.record(asked(true)).await, Err(AuditError::Broken(_))));
    assert!(matches!(journal.health(), JournalHealth::Broken(_)));
    assert_eq!(failures.0.load(std::sync::atomic::Ordering::Relaxed), 1, "said once");
    closer.close();
    assert_eq!(files(), after);
}

#[test]
fn a_segment_that_failed_is_not_left_for_another() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(directory.path()).unwrap();
    store.begin(1, 0).unwrap();
    let path = directory.path().join(crate::audit::log::segment::segment_name(1));
    std::fs::write(path, "something else").unwrap();
    let root = crate::audit::tree::Frontier::default().root();
    let batch = Batch { first_seq: 1, count: 1, lines: b"x\n", root };
    assert!(store.commit(&batch).unwrap_err().broken);
    assert!(store.begin(2, 0).unwrap_err().broken);
    assert_eq!(LogReader::new(directory.path()).list().unwrap().len(), 1);
}
