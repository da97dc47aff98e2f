//! What a worker records: handed over in groups, told as one, and never lost between the two.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::thread::ThreadId;

use super::*;
use crate::audit::journal::{Journal, JournalHealth, JournalSettings, Started};
use crate::audit::testing::{Asked, Before, Call, asked, outcome};
use crate::audit::{MemoryStore, NoObserver};
use crate::domain::{Revision, RuleRef, SystemClock};

fn opened(store: &MemoryStore, settings: JournalSettings) -> Started {
    let revision = Revision::from_sha256(&[0]);
    let (clock, observer) = (Arc::new(SystemClock), Arc::new(NoObserver));
    Journal::open(store.clone(), settings, &revision, clock, observer).unwrap()
}

fn waiting(wait_ms: u64) -> JournalSettings {
    let commit_wait = Duration::from_millis(wait_ms);
    JournalSettings { commit_wait, ..JournalSettings::default() }
}

fn deliver(journal: &Journal) -> tokio::task::JoinHandle<()> {
    let journal = journal.clone();
    tokio::spawn(async move { journal.deliver().await })
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}

/// Counts how often another thread wakes it.
struct Counting {
    here: ThreadId,
    woken: AtomicUsize,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        let elsewhere = std::thread::current().id() != self.here;
        self.woken.fetch_add(usize::from(elsewhere), Ordering::SeqCst);
    }
}

/// Starts something, as far as it goes without waiting.
fn begin(future: Pin<&mut impl Future>) {
    let _ = future.poll(&mut Context::from_waker(Waker::noop()));
}

fn decisions(store: &MemoryStore) -> usize {
    store.durable().matches("grant.decision").count()
}

#[tokio::test]
async fn what_is_recorded_together_shares_a_commit_and_a_wake_up() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = opened(&store, waiting(60_000));
    let worker = journal.with_outbox(Duration::MAX);
    let before = store.commits();
    let mut all: Vec<_> = (0..100).map(|_| Box::pin(worker.record(asked(false)))).collect();
    all.iter_mut().for_each(|one| begin(one.as_mut()));
    assert_eq!(decisions(&store), 0, "nothing is handed over yet");

    let here = std::thread::current().id();
    let woken = Arc::new(Counting { here, woken: AtomicUsize::new(0) });
    let waker = Waker::from(woken.clone());
    let mut delivering = pin!(worker.deliver());
    let mut poll = || {
        let context = &mut Context::from_waker(&waker);
        assert!(delivering.as_mut().poll(context).is_pending());
    };
    poll();
    assert_eq!(store.commits(), before, "it lets others go first");
    // Who bring nothing.
    let end = Instant::now() + Duration::from_secs(5);
    while woken.woken.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < end, "all of them are told");
        poll();
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(woken.woken.load(Ordering::SeqCst), 1, "once for a hundred");
    poll();
    assert_eq!(store.commits() - before, 1);
    for (one, number) in all.into_iter().zip(2..) {
        assert_eq!(one.await.unwrap().seq(), number, "in their order");
    }
    closer.close();
}

/// Keeps the worker busy for so many rounds, each longer than one in which nothing can run.
/// True if what it waits for came before their end.
async fn busy(rounds: usize, until: impl Fn() -> bool) -> bool {
    for _ in 0..rounds {
        if until() {
            return true;
        }
        let since = Instant::now();
        while since.elapsed() < 20 * IDLE_ROUND_MAX {
            std::hint::spin_loop();
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test]
async fn what_comes_while_the_worker_is_busy_shares_a_commit() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = opened(&store, waiting(60_000));
    let worker = journal.with_outbox(Duration::from_secs(60));
    let delivering = deliver(&worker);
    tokio::task::yield_now().await;
    let before = store.commits();
    let later = async {
        busy(5, || false).await;
        worker.record(asked(false)).await
    };
    let (first, second) = tokio::join!(worker.record(asked(false)), later);
    assert_eq!((first.unwrap().seq(), second.unwrap().seq()), (2, 3));
    assert_eq!(store.commits() - before, 1);
    delivering.abort();
    closer.close();
}

#[tokio::test]
async fn who_is_told_while_others_gather_goes_on_at_once() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = opened(&store, waiting(60_000));
    let worker = journal.with_outbox(Duration::from_secs(60));
    let delivering = deliver(&worker);
    let record = || {
        let worker = worker.clone();
        tokio::spawn(async move { worker.record(asked(false)).await })
    };
    let gathered = || worker.outbox.as_ref().unwrap().filling.lock().group.waited();
    let gate = store.hold();
    let first = record();
    tokio::task::yield_now().await;
    until("it is handed over", || gathered() == 0).await;
    let second = record();
    busy(3, || false).await;
    drop(gate);
    assert!(busy(5_000, || first.is_finished()).await, "while the worker is busy");
    assert_eq!(gathered(), 1, "the other one still gathers");
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    delivering.abort();
    closer.close();
}

#[tokio::test]
async fn a_worker_that_stays_busy_hands_over_all_the_same() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = opened(&store, waiting(60_000));
    let worker = journal.with_outbox(AGE_MAX);
    let delivering = deliver(&worker);
    let told = std::cell::Cell::new(false);
    let record = async {
        let recorded = worker.record(asked(false)).await;
        told.set(true);
        recorded
    };
    let (recorded, while_busy) = tokio::join!(record, busy(5_000, || told.get()));
    assert!(recorded.is_ok() && while_busy);
    delivering.abort();
    closer.close();
}

/// The task that hands over never has its turn here.
#[tokio::test]
async fn a_worker_that_is_never_idle_hands_over_by_number_by_size_and_by_age() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = opened(&store, waiting(60_000));
    let worker = journal.with_outbox(Duration::MAX);
    let aging = journal.with_outbox(AGE_MAX);
    let record = |rules: Vec<RuleRef>| Box::pin(worker.record(Asked { rules, ..asked(false) }));
    let permit = journal.record(asked(true)).await.unwrap();
    for _ in 0..RECORDS_MAX {
        worker.complete(&outcome(&permit));
    }
    until("so many", || store.durable().matches("grant.outcome").count() == RECORDS_MAX).await;

    let long = "x".repeat(BYTES_MAX / 4);
    let mut large: Vec<_> =
        (0..4).map(|_| record(vec![RuleRef::new(long.as_str().into(), 1)])).collect();
    for one in &mut large {
        begin(one.as_mut());
    }
    until("so large", || decisions(&store) == 5).await;

    let mut last: Vec<_> = (0..2).map(|_| Box::pin(aging.record(asked(false)))).collect();
    begin(last[0].as_mut());
    tokio::time::sleep(2 * AGE_MAX).await;
    begin(last[1].as_mut());
    until("so old", || decisions(&store) == 7).await;
    drop((large, last));
    closer.close();
}

#[tokio::test]
async fn what_is_in_an_outbox_at_the_end_is_written_before_the_end() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = opened(&store, waiting(60_000));
    let workers = [journal.for_worker(), journal.for_worker()];
    let delivering = deliver(&workers[0]);
    let permit = workers[0].record(asked(true)).await.unwrap();
    delivering.abort();
    let _ = delivering.await;
    workers[0].complete(&outcome(&permit));
    let mut waits = pin!(workers[1].record(asked(false)));
    begin(waits.as_mut());
    closer.close();
    let text = store.durable();
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
    assert!(at("\"outcome\":\"granted\"") < at("log.stop"), "{text}");
    assert!(at("\"decision\":\"deny\"") < at("log.stop"), "{text}");
    assert!(matches!(workers[0].record(asked(true)).await, Err(AuditError::Broken(_))));
}

#[tokio::test]
async fn the_bound_of_the_queue_is_one_for_all_workers() {
    let store = MemoryStore::default();
    let settings = JournalSettings { queue_records_max: 3, ..waiting(60_000) };
    let Started { journal, closer, .. } = opened(&store, settings);
    let workers = [journal.for_worker(), journal.for_worker()];
    let mut waiting: Vec<_> =
        [0, 1, 0].map(|at: usize| Box::pin(workers[at].record(asked(false)))).into();
    for one in &mut waiting {
        begin(one.as_mut());
    }
    assert_eq!(workers[1].record(asked(false)).await.unwrap_err(), AuditError::QueueFull);
    assert_eq!(journal.record(asked(false)).await.unwrap_err(), AuditError::QueueFull);
    drop(waiting);
    let delivering = deliver(&workers[1]);
    closer.close();
    delivering.abort();
    assert_eq!(decisions(&store), 3);
}

/// For each permit exactly one side says what became of it, whoever is late: the caller that
/// has it, or the log that says that it was not sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_permit_is_used_or_closed_whoever_gives_up_and_when() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = opened(&store, waiting(3));
    let workers: Vec<Journal> = (0..2).map(|_| journal.for_worker()).collect();
    let delivering: Vec<_> = workers.iter().map(deliver).collect();
    let mut used = 0;
    for round in 0..150_u64 {
        let gate = (round % 3 == 0).then(|| store.hold());
        let asking: Vec<_> = (0..8)
            .map(|number| {
                let journal = workers[number % 2].clone();
                tokio::spawn(async move {
                    let recorded = journal.record(asked(true)).await.ok()?;
                    journal.complete(&outcome(&recorded));
                    Some(recorded.seq())
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_micros(round * 37 % 4_000)).await;
        if round % 2 == 0 {
            asking.iter().for_each(tokio::task::JoinHandle::abort);
        }
        drop(gate);
        for one in asking {
            used += usize::from(matches!(one.await, Ok(Some(_))));
        }
    }
    closer.close();
    delivering.iter().for_each(tokio::task::JoinHandle::abort);
    let text = store.durable();
    let mut outcomes: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (line, seq) in text.lines().zip(1..) {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["seq"], seq, "no gap");
        if record["decision"] == "allow" {
            outcomes.insert(seq, Vec::new());
        }
        if let Some(of) = record["decision_seq"].as_u64() {
            outcomes.get_mut(&of).unwrap().push(record["outcome"].as_str().unwrap().to_owned());
        }
    }
    for (seq, of) in &outcomes {
        assert_eq!(of.len(), 1, "{seq}: {of:?}");
    }
    let granted = outcomes.values().filter(|of| of[0] == "granted").count();
    assert!(granted >= used, "{granted} {used}");
    assert!(granted > 100 && outcomes.len() - granted > 100, "{granted} of {}", outcomes.len());
}

#[tokio::test]
async fn a_writer_that_stalls_costs_a_time_out_and_all_waiters_are_told_of_it() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = opened(&store, waiting(30));
    let worker = journal.for_worker();
    let delivering = deliver(&worker);
    let gate = store.hold();
    let asking: Vec<_> = (0..20)
        .map(|number| {
            let worker = worker.clone();
            tokio::spawn(async move { worker.record(asked(number % 2 == 0)).await.err() })
        })
        .collect();
    for one in asking {
        assert_eq!(one.await.unwrap(), Some(AuditError::TimedOut));
    }
    drop(gate);
    until("it goes on", || journal.health() == JournalHealth::Healthy).await;
    assert!(worker.record(asked(true)).await.is_ok());
    closer.close();
    delivering.abort();
    let text = store.durable();
    assert_eq!(text.matches("\"decision\":\"allow\"").count(), 11);
    assert_eq!(text.matches("\"outcome\":\"not-sent\"").count(), 10, "{text}");
}

#[tokio::test]
async fn once_the_log_is_broken_a_worker_is_told_so() {
    let store = MemoryStore::default();
    let Started { journal, closer, .. } = opened(&store, waiting(60_000));
    let worker = journal.for_worker();
    let delivering = deliver(&worker);
    store.fail(crate::audit::Stage::Sync, 1);
    for _ in 0..2 {
        assert!(matches!(worker.record(asked(true)).await, Err(AuditError::Broken(_))));
    }
    closer.close();
    delivering.abort();
}

#[tokio::test]
async fn a_writer_that_panics_tells_all_who_wait_and_nothing_is_recorded_any_more() {
    let (store, now) = (MemoryStore::default(), Arc::<std::sync::atomic::AtomicBool>::default());
    let (clock, observer) = (Arc::new(SystemClock), Arc::new(NoObserver));
    let revision = Revision::from_sha256(&[0]);
    let is_now = now.clone();
    let panics = Before(store.clone(), move |_: &mut MemoryStore, call| {
        let commits = matches!(call, Call::Commit);
        assert!(!(commits && is_now.load(Ordering::SeqCst)), "on purpose");
        Ok(())
    });
    let opened = Journal::open(panics, waiting(60_000), &revision, clock, observer);
    let Started { journal, closer, .. } = opened.unwrap();
    let worker = journal.for_worker();
    let delivering = deliver(&worker);
    now.store(true, Ordering::SeqCst);
    let mut asking: Vec<_> = [&journal, &worker, &worker]
        .map(|journal| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.record(asked(true)).await.err() })
        })
        .into();
    for one in asking.drain(..) {
        assert!(matches!(one.await.unwrap(), Some(AuditError::Broken(_))));
    }
    until("it is known", || matches!(journal.health(), JournalHealth::Broken(_))).await;
    for journal in [&journal, &worker] {
        assert!(matches!(journal.record(asked(true)).await, Err(AuditError::Broken(_))));
    }
    closer.close();
    delivering.abort();
    assert_eq!(decisions(&store), 0);
}
