use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::*;
use crate::audit::follow::{OF_EXPORT, Position};
use crate::audit::{FileStore, JournalSettings, NoObserver, Started};
use crate::domain::{Revision, SystemClock};

/// What a sink was asked, in order: the numbers of a batch, or to read its files again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Send(Vec<u64>),
    Renew,
}

/// Answers as a test says, then accepts.
#[derive(Clone)]
struct Scripted {
    answers: Arc<Mutex<Vec<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// What is to be asked in all.
    expected: usize,
}

impl Sink for Scripted {
    fn what(&self) -> &'static str {
        "a script"
    }

    fn host(&self) -> &str {
        "scripted"
    }

    fn records_max(&self) -> usize {
        10
    }

    async fn place(&mut self, _: Option<u64>, _: u64) -> Result<Place, Answer> {
        Ok(Place::Kept)
    }

    async fn send(&self, batch: Batch) -> Answer {
        let seqs = batch.records.iter().map(|record| record.seq).collect();
        self.asked.lock().push(Asked::Send(seqs));
        self.answers.lock().pop().unwrap_or(Answer::Accepted)
    }

    async fn renew(&mut self) {
        self.asked.lock().push(Asked::Renew);
    }
}

impl Scripted {
    fn new(mut answers: Vec<Answer>, expected: usize) -> Self {
        answers.reverse();
        let (answers, asked) = (Arc::new(Mutex::new(answers)), Arc::default());
        Self { answers, asked, expected }
    }

    async fn wait(&self) -> Vec<Asked> {
        let begun = Instant::now();
        while self.asked.lock().len() < self.expected && begun.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.asked.lock().clone()
    }
}

/// A log with its first record, `log.start`.
fn log(directory: &Path) -> Started {
    let store = FileStore::open(directory).unwrap();
    let (settings, revision) = (JournalSettings::default(), Revision::from_sha256(&[0; 32]));
    Journal::open(store, settings, &revision, Arc::new(SystemClock), Arc::new(NoObserver)).unwrap()
}

/// A batch is sent until it is accepted, and only then the position moves; what a sink will
/// never take is lost once, and no more records than there were.
#[tokio::test]
async fn each_answer_of_a_sink_has_its_consequence() {
    let directory = tempfile::tempdir().unwrap();
    let started = log(directory.path());
    let metrics = ExportMetrics::unregistered().unwrap();
    let (cause, text) = (Cause::Timeout, "late".to_owned());
    let after = Some(Duration::from_millis(700));
    let sink = Scripted::new(
        vec![
            Answer::TryAgain { cause, text, after },
            Answer::Stop { text: "no".into(), after: None },
            Answer::RejectedInPart { records: 9, message: "never".into() },
        ],
        4,
    );
    let shipper =
        Shipper::new(sink.clone(), (directory.path(), OF_EXPORT), &started.journal, &metrics);
    let (begun, state) = (Instant::now(), shipper.state());
    let shipping = shipper.start();
    let first = Asked::Send(vec![1]);
    let expected = [first.clone(), first.clone(), Asked::Renew, first];
    assert_eq!(sink.wait().await, expected);
    assert!(begun.elapsed() > Duration::from_millis(1_700), "as it asked, then longer");
    Shipping::finish(Some(shipping), Duration::from_secs(5)).await;
    assert_eq!((metrics.lost.get(), metrics.exported.get()), (1, 0));
    for (kind, count) in [("timeout", 1), ("refused", 1), ("rejected", 1), ("position", 0)] {
        assert_eq!(metrics.failures.with_label_values(&[kind]).get(), count, "{kind}");
    }
    assert_eq!(state.status().next_seq, 2);
    assert_eq!(Position::of(directory.path(), OF_EXPORT).load().unwrap(), Some(2));
}

/// What was not accepted at the end is sent by the next process.
#[tokio::test]
async fn a_position_does_not_move_before_the_sink_has_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let started = log(directory.path());
    let metrics = ExportMetrics::unregistered().unwrap();
    let no = || Answer::Stop { text: "no".into(), after: None };
    let sink = Scripted::new(vec![no(), no()], 1);
    let shipper =
        Shipper::new(sink.clone(), (directory.path(), OF_EXPORT), &started.journal, &metrics);
    let shipping = shipper.start();
    sink.wait().await;
    Shipping::finish(Some(shipping), Duration::from_secs(5)).await;
    assert_eq!(Position::of(directory.path(), OF_EXPORT).load().unwrap(), None);
    assert_eq!(metrics.exported.get(), 0);

    let again = Scripted::new(Vec::new(), 1);
    let shipper =
        Shipper::new(again.clone(), (directory.path(), OF_EXPORT), &started.journal, &metrics);
    let shipping = shipper.start();
    assert_eq!(again.wait().await, [Asked::Send(vec![1])]);
    Shipping::finish(Some(shipping), Duration::from_secs(5)).await;
    assert_eq!(Position::of(directory.path(), OF_EXPORT).load().unwrap(), Some(2));
}
