//! Records are durable in the write-ahead log and not in a segment yet.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::crashes::{RING, in_segments};
use super::*;
use crate::audit::journal::store::{FileStore, Stage, StoreError};
use crate::audit::record::event::Event;
use crate::audit::testing::{Before, Call, asked};
use crate::audit::{NoObserver, Observer, Published};
use crate::domain::SystemClock;

#[tokio::test]
async fn those_who_follow_are_told_of_nothing_that_is_not_in_a_segment() {
    let directory = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let store = FileStore::open(directory.path()).unwrap().with_wal(Some(RING));
    let revision = Revision::from_sha256(&[0]);
    // Lines find no place in the segment while it is told so; what did not is tried again with
    // the next commit.
    let (told, mut lags) = (fails.clone(), false);
    let lagging = Before(store, move |store: &mut FileStore, call| {
        let tries = matches!(call, Call::Settle) || (matches!(call, Call::Reserve(_)) && lags);
        if !tries {
            return Ok(());
        }
        lags = told.load(Ordering::SeqCst);
        if lags {
            return Err(StoreError::passing(Stage::Append, std::io::Error::from_raw_os_error(28)));
        }
        store.settle()
    });
    let opened = Journal::open(
        lagging,
        JournalSettings::default(),
        &revision,
        Arc::new(SystemClock),
        Arc::new(NoObserver),
    );
    let Started { journal, closer, .. } = opened.unwrap();
    let _ = journal.record(asked(false)).await.unwrap();
    // Told first, settled then.
    while journal.durable_seq() < 2 {
        tokio::task::yield_now().await;
    }
    fails.store(true, Ordering::SeqCst);
    let told = journal.record(asked(false)).await.unwrap();
    assert_eq!(told.seq(), 3, "it is durable");
    while journal.health() == JournalHealth::Healthy {
        tokio::task::yield_now().await;
    }
    assert!(journal.record(asked(false)).await.is_err(), "the next one waits for it");
    assert_eq!(journal.durable_seq(), 2);
    assert_eq!(in_segments(directory.path()).iter().filter(|byte| **byte == b'\n').count(), 2);
    fails.store(false, Ordering::SeqCst);
    // By itself, with the end of the outage.
    while journal.durable_seq() < 4 {
        tokio::task::yield_now().await;
    }
    closer.close();
    let text = String::from_utf8(in_segments(directory.path())).unwrap();
    for (line, seq) in text.lines().zip(1..) {
        assert!(line.starts_with(&format!("{{\"v\":1,\"seq\":{seq},")), "{text}");
    }
    assert!(text.contains("log.outage"));
}

/// Looks for what a checkpoint covers, as whoever is told of one may.
struct Looks {
    directory: PathBuf,
    /// For each checkpoint what it covers, and how many lines the segments had then.
    found: Mutex<Vec<(u64, usize)>>,
}

impl Observer for Looks {
    fn checkpointed(&self, checkpoint: Published) {
        let lines = in_segments(&self.directory).iter().filter(|byte| **byte == b'\n').count();
        self.found.lock().push((checkpoint.size, lines));
    }

    fn committed(&self, _: &mut dyn Iterator<Item = Event>, _: Duration) {}
    fn failed(&self, _: &'static str) {}
    fn waiting(&self, _: usize) {}
    fn rotated(&self) {}
    fn rotation_failed(&self) {}
}

#[tokio::test]
async fn what_a_checkpoint_covers_is_in_segments_when_it_is_given_away() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open(directory.path()).unwrap().with_wal(Some(RING));
    let looks = Looks { directory: directory.path().to_owned(), found: Mutex::default() };
    let looks = Arc::new(looks);
    let settings = JournalSettings { checkpoint_records_max: 1, ..JournalSettings::default() };
    let revision = Revision::from_sha256(&[0]);
    let opened = Journal::open(store, settings, &revision, Arc::new(SystemClock), looks.clone());
    let Started { journal, closer, .. } = opened.unwrap();
    for _ in 0..5 {
        let _ = journal.record(asked(false)).await.unwrap();
    }
    closer.close();
    let found = looks.found.lock();
    assert!(found.len() >= 5, "{found:?}");
    for (covers, lines) in found.iter() {
        assert!(*lines as u64 > *covers, "these and the checkpoint: {found:?}");
    }
}
