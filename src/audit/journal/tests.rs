use std::time::Duration;

use super::*;
use crate::audit::testing::{Asked, Before, Call, asked, outcome};
use crate::audit::{FileStore, MemoryStore, NoObserver, Stage};
use crate::domain::{Operation, Outcome, Reason, RequestId, RuleRef, SystemClock};

fn open_with(store: impl Store, queue: usize, wait_ms: u64) -> Started {
    let settings = JournalSettings {
        queue_records_max: queue,
        commit_wait: Duration::from_millis(wait_ms),
        ..JournalSettings::default()
    };
    let revision = Revision::from_sha256(&[0]);
    Journal::open(store, settings, &revision, Arc::new(SystemClock), Arc::new(NoObserver)).unwrap()
}

/// What a journal makes of a store, whichever it is.
fn lives_in(open: impl Fn() -> Box<dyn FnOnce() -> Started>, read: impl Fn() -> String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Started { journal, closer, .. } = open()();
        let first = journal.record(asked(true)).await.unwrap();
        assert!(read().contains(&first.evidence().request_id.to_string()), "durable once returned");
        journal.complete(&outcome(&first));
        let second = journal.record(asked(false)).await.unwrap();
        assert!(second.seq() > first.seq());
        closer.close();
        let text = read();
        let seqs: Vec<u64> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap()
            })
            .collect();
        assert_eq!(seqs, (1..=6).collect::<Vec<u64>>(), "start, …, stop, checkpoint");
        let last_two: Vec<&str> = text.lines().rev().take(2).collect();
        assert!(last_two[1].ends_with("\"event\":\"log.stop\"}"), "{text}");
        assert!(last_two[0].contains("\"event\":\"log.checkpoint\",\"size\":5,"), "{text}");
    });
}

#[test]
fn a_journal_lives_in_both_stores() {
    let memory = MemoryStore::default();
    lives_in(
        || {
            let store = memory.clone();
            Box::new(move || open_with(store, 10, 1000))
        },
        || memory.durable(),
    );
    let directory = tempfile::tempdir().unwrap();
    lives_in(
        || {
            let path = directory.path().to_owned();
            Box::new(move || open_with(FileStore::open(&path).unwrap(), 10, 1000))
        },
        || std::fs::read_to_string(directory.path().join("00000000000000000001.jsonl")).unwrap(),
    );
}

#[tokio::test]
async fn a_record_is_not_made_before_the_sync_returns() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = open_with(store.clone(), 10, 60_000);
    let gate = store.hold();
    let recording = tokio::spawn({
        let journal = journal.clone();
        async move { journal.record(asked(true)).await.map(|r| r.seq()) }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!recording.is_finished());
    assert!(!store.durable().contains("grant.decision"));
    drop(gate);
    assert_eq!(recording.await.unwrap(), Ok(2));
    closer.close();
}

#[tokio::test]
async fn records_that_wait_together_share_a_sync() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = open_with(store.clone(), 1000, 60_000);
    let before = store.commits();
    let gate = store.hold();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.record(asked(false)).await.is_ok() })
        })
        .collect();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    drop(gate);
    for task in tasks {
        assert!(task.await.unwrap());
    }
    let commits = store.commits() - before;
    assert!(commits <= 3, "{commits} commits for 100 records");
    closer.close();
}

#[tokio::test]
async fn decisions_beyond_the_queue_are_refused_and_outcomes_are_not() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = open_with(store.clone(), 1, 60_000);
    let first = journal.record(asked(true)).await.unwrap();
    let gate = store.hold();
    let mut waiting = Vec::new();
    let mut full = false;
    // One may be with the writer already and one wait; a third finds the queue full.
    for _ in 0..3 {
        let journal = journal.clone();
        waiting.push(tokio::spawn(async move { journal.record(asked(false)).await.err() }));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    journal.complete(&outcome(&first));
    drop(gate);
    for task in waiting {
        full |= task.await.unwrap() == Some(AuditError::QueueFull);
    }
    assert!(full);
    closer.close();
    assert!(store.durable().contains("grant.outcome"));
}

#[tokio::test]
async fn a_permit_that_nobody_waits_for_any_more_is_closed_as_not_sent() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = open_with(store.clone(), 10, 20);
    let gate = store.hold();
    assert_eq!(journal.record(asked(true)).await.err(), Some(AuditError::TimedOut));
    let cancelled = tokio::spawn({
        let journal = journal.clone();
        async move { journal.record(asked(true)).await.is_ok() }
    });
    tokio::task::yield_now().await;
    cancelled.abort();
    let _ = cancelled.await;
    drop(gate);
    closer.close();
    let text = store.durable();
    assert_eq!(text.matches("\"decision\":\"allow\"").count(), 2, "{text}");
    assert_eq!(text.matches("\"outcome\":\"not-sent\"").count(), 2, "{text}");
}

#[tokio::test]
async fn a_permit_whose_waiter_went_away_after_it_was_told_is_closed_as_not_sent() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = open_with(store.clone(), 10, 60_000);
    let gate = store.hold();
    let mut told_too_late = Box::pin(journal.record(asked(true)));
    std::future::poll_fn(|context| {
        assert!(told_too_late.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(gate);
    // A later record: by now the writer has told the first waiter.
    let _ = journal.record(asked(false)).await.unwrap();
    let _ = journal.record(asked(false)).await.unwrap();
    drop(told_too_late);
    closer.close();
    let text = store.durable();
    assert_eq!(text.matches("\"outcome\":\"not-sent\"").count(), 1, "{text}");
}

#[tokio::test]
async fn after_a_failed_write_the_next_record_succeeds_and_no_outcome_is_lost() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = open_with(store.clone(), 10, 60_000);
    let first = journal.record(asked(true)).await.unwrap();
    store.fail(Stage::Append, 1);
    journal.complete(&outcome(&first));
    // Either this or the outcome's own batch meets the failure.
    let second = journal.record(asked(false)).await;
    let third = journal.record(asked(false)).await;
    assert!(second.is_ok() || matches!(second, Err(AuditError::Failed(_))));
    assert!(third.is_ok());
    closer.close();
    let text = store.durable();
    assert_eq!(text.matches("\"outcome\":\"granted\"").count(), 1, "{text}");
    for (line, seq) in text.lines().zip(1..) {
        assert!(line.starts_with(&format!("{{\"v\":1,\"seq\":{seq},")), "no gap: {line}");
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

#[tokio::test]
async fn an_outage_ends_without_a_request_and_is_recorded() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = open_with(store.clone(), 10, 60_000);
    store.fail(Stage::Append, 3);
    assert!(matches!(journal.record(asked(true)).await, Err(AuditError::Failed(_))));
    assert!(matches!(journal.health(), JournalHealth::Failing(_)));
    until("it is healthy again", || journal.health() == JournalHealth::Healthy).await;
    let after = journal.record(asked(true)).await.unwrap();
    assert_eq!(after.seq(), 3);
    closer.close();
    let text = store.durable();
    let outage = text.lines().nth(1).unwrap();
    assert!(outage.contains("\"event\":\"log.outage\""), "{text}");
    assert!(outage.contains("\"refused_decisions\":1"), "{outage}");
}

#[tokio::test]
async fn a_full_disk_refuses_decisions_and_takes_the_outcomes_that_it_has_room_for() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = open_with(store.clone(), 10, 60_000);
    let first = journal.record(asked(true)).await.unwrap();
    store.fail(Stage::Reserve, u32::MAX);
    assert!(matches!(journal.record(asked(true)).await, Err(AuditError::Failed(_))));
    // A note may not take the room of an outcome.
    let problems = ["policy.csv:1: no".to_owned()];
    let note = ReloadEntry {
        parts: &[],
        revision_before: "a",
        revision: "a",
        problems: &problems,
        bundle: None,
    };
    journal.note_reload(&note);
    journal.complete(&outcome(&first));
    until("the outcome is written", || store.durable().contains("\"outcome\":\"granted\"")).await;
    assert!(matches!(journal.health(), JournalHealth::Failing(_)), "still full");
    assert!(!store.durable().contains("log.outage"), "it is not over");
    assert!(!store.durable().contains("config.reload"), "it waits");
    assert!(matches!(journal.record(asked(false)).await, Err(AuditError::Failed(_))));
    store.fail(Stage::Reserve, 0);
    until("it is healthy again", || journal.health() == JournalHealth::Healthy).await;
    closer.close();
    let text = store.durable();
    let events: Vec<&str> =
        text.lines().map(|line| line.split("\"event\":\"").nth(1).unwrap()).collect();
    assert!(
        events[2].starts_with("grant.outcome") && events[3].starts_with("log.outage"),
        "{text}"
    );
    assert!(text.contains("\"refused_decisions\":2"), "{text}");
    assert_eq!(text.matches("config.reload").count(), 1, "{text}");
    for (line, seq) in text.lines().zip(1..) {
        assert!(line.starts_with(&format!("{{\"v\":1,\"seq\":{seq},")), "no gap: {line}");
    }
}

#[tokio::test]
async fn room_is_taken_for_the_outcome_of_every_permit_and_for_the_longest() {
    let (store, asked_for) = (MemoryStore::default(), Arc::<std::sync::Mutex<Vec<u64>>>::default());
    let rooms = asked_for.clone();
    let roomy = Before(store.clone(), move |_: &mut MemoryStore, call| {
        if let Call::Reserve(bytes) = call {
            rooms.lock().unwrap().push(bytes);
        }
        Ok(())
    });
    let Started { journal, closer, .. } = open_with(roomy, 10, 60_000);
    let mut permits = Vec::new();
    for _ in 0..3 {
        permits.push(journal.record(asked(true)).await.unwrap());
    }
    let decision = store.durable().lines().last().unwrap().len() as u64;
    let longest = OutcomeEntry {
        decision_seq: u64::MAX,
        outcome: Outcome::Unanswered,
        reason: Reason::UpstreamAnswerInvalid,
        status: Some(599),
        seam_request_id: Some("\"".repeat(100)),
        upstream_ms: Some(u64::MAX),
        same_as: Some(u64::MAX),
        same_as_replica: Some((uuid::Uuid::max(), Some(u64::MAX))),
        operation: Operation::ListEntrances,
        entrances: Some(usize::MAX),
        request_id: RequestId::generate(),
    };
    let mut line = Vec::new();
    Draft::outcome(&longest, SystemClock.now()).write(u64::MAX, 1, &mut line);
    let room = asked_for.lock().unwrap().clone();
    for (permits, room) in (1..).zip(room) {
        assert!(room >= decision + permits * line.len() as u64, "{permits}: {room}");
    }
    for permit in &permits {
        journal.complete(&outcome(permit));
    }
    let _ = journal.record(asked(false)).await.unwrap();
    let _ = journal.record(asked(false)).await.unwrap();
    let last = *asked_for.lock().unwrap().last().unwrap();
    assert!(last < decision + line.len() as u64, "nothing is owed any more: {last}");
    closer.close();
}

#[tokio::test]
async fn a_commit_that_does_not_end_is_no_health() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = open_with(store.clone(), 10, 10);
    let gate = store.hold();
    assert_eq!(journal.record(asked(true)).await.err(), Some(AuditError::TimedOut));
    assert_eq!(journal.health(), JournalHealth::Healthy, "it has its time");
    until("it is taken for a fault", || journal.health() != JournalHealth::Healthy).await;
    drop(gate);
    until("it is over", || journal.health() == JournalHealth::Healthy).await;
    closer.close();
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_recorded_any_more() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = open_with(store.clone(), 10, 60_000);
    store.fail(Stage::Sync, 1);
    assert!(matches!(journal.record(asked(true)).await, Err(AuditError::Broken(_))));
    assert!(matches!(journal.record(asked(true)).await, Err(AuditError::Broken(_))));
    assert!(matches!(journal.health(), JournalHealth::Broken(_)));
    closer.close();
    assert!(!store.durable().contains("grant.decision"));
}

#[test]
fn a_journal_whose_first_record_fails_does_not_open() {
    for stage in [Stage::Begin, Stage::Append, Stage::Sync] {
        let store = MemoryStore::default();
        store.fail(stage, 1);
        let settings = JournalSettings::default();
        let revision = Revision::from_sha256(&[0]);
        let opened =
            Journal::open(store, settings, &revision, Arc::new(SystemClock), Arc::new(NoObserver));
        assert!(matches!(opened.err(), Some(OpenError::Store(_))), "{stage:?}");
    }
}

#[test]
fn every_stage_but_that_of_a_new_segment_is_counted_as_a_failure_of_records() {
    let others: Vec<Stage> =
        Stage::ALL.iter().copied().filter(|stage| *stage != Stage::Begin).collect();
    assert_eq!(Stage::OF_RECORDS.as_slice(), others);
}

#[test]
fn a_second_process_is_kept_out() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open(directory.path()).unwrap();
    assert!(matches!(FileStore::open(directory.path()), Err(OpenError::Locked)));
    drop(store);
    assert!(FileStore::open(directory.path()).is_ok());
}

#[test]
fn what_is_told_as_durable_is_on_the_disk() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = MemoryStore::default();
        let Started { journal, closer, .. } = open_with(store.clone(), 10, 50);
        assert_eq!(journal.durable_seq(), 1, "log.start");
        let recorded = journal.record(asked(true)).await.unwrap();
        journal.complete(&outcome(&recorded));
        let gate = store.hold();
        assert!(journal.record(asked(false)).await.is_err(), "its sync is held back");
        let durable = journal.durable_seq();
        let on_disk = || store.durable().lines().count() as u64;
        // It may come a little later.
        assert!((1..=on_disk()).contains(&durable) && on_disk() < 4);
        drop(gate);
        closer.close();
        assert_eq!(journal.durable_seq(), on_disk());
        assert!(journal.durable_seq() > durable);
    });
}

/// One of these would make the log unreadable from there on.
#[tokio::test]
async fn a_record_that_no_reader_would_take_is_not_written() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = open_with(store.clone(), 10, 60_000);
    let of = |bytes: usize| Asked {
        rules: vec![RuleRef::new("x".repeat(bytes).into(), 1)],
        ..asked(true)
    };
    assert_eq!(journal.record(of(64 * 1024)).await.unwrap_err(), AuditError::TooLong);
    let recorded = journal.record(of(64 * 1024 - 600)).await.unwrap();
    assert_eq!(recorded.seq(), 2, "the first that was written after the start");
    journal.complete(&outcome(&recorded));
    closer.close();
}
