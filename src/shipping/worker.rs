//! The loop of one sink: read what is durable, send it, remember that it was sent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::sink::{Answer, Batch, Place, Sink};
use super::state::{Failure, Kind, ShippingState};
use crate::audit::follow::{Follower, Passage, Position};
use crate::audit::{Journal, LogReader, Record};

/// A request gets no further record once its lines have so many bytes.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// While records come the position is written this often: each time is two fsyncs on the
/// disk that decisions wait for.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// Where it cannot be written, it is tried again after this.
const KEEP_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What sends, and all that it knows.
pub(super) struct Worker<S> {
    sink: S,
    directory: PathBuf,
    journal: Journal,
    state: Arc<ShippingState>,
    /// None while a thread reads with it, or after one panicked.
    follower: Option<Follower>,
    position: Position,
    /// Whether it is known where to go on.
    placed: bool,
    /// Whether the sink says so.
    knows_place: bool,
    /// The next record to send; none before the first was read.
    next: Option<u64>,
    /// What of it is on the disk, and since when.
    kept: (Option<u64>, Instant),
    keep_after: Instant,
    backoff: Backoff,
    ending: CancellationToken,
}

/// What was read of the log.
struct Reading {
    batch: Batch,
    first: u64,
    /// When the first record was made.
    time: Option<Timestamp>,
    /// The record after the last.
    next: u64,
    lost: u64,
    line_bytes: usize,
}

/// Whether there is more to do.
#[derive(PartialEq, Eq)]
enum Go {
    On,
    Home,
}

impl<S: Sink> Worker<S> {
    pub(super) fn new(
        sink: S,
        (directory, position): (PathBuf, Position),
        journal: Journal,
        state: Arc<ShippingState>,
        ending: CancellationToken,
    ) -> Self {
        Self {
            sink,
            journal,
            state,
            follower: None,
            position,
            placed: false,
            knows_place: false,
            next: None,
            kept: (None, Instant::now()),
            keep_after: Instant::now(),
            backoff: Backoff::default(),
            ending,
            directory,
        }
    }

    /// Runs until it is told to end; then until all is sent, or once something fails.
    pub(super) async fn run(mut self) {
        self.begin().await;
        loop {
            // Asked before the log is read: all that will ever be durable is durable then.
            let ending = self.ending.is_cancelled();
            if !self.placed {
                match self.find_place().await {
                    Go::On => continue,
                    Go::Home => break,
                }
            }
            let go = match self.read().await {
                Ok(None) if ending => break,
                Ok(None) => {
                    self.keep().await;
                    self.pause(self.sink.every()).await;
                    Go::On
                }
                Ok(Some(reading)) => self.deliver(reading).await,
                Err(failure) => self.failed(&failure).await,
            };
            if go == Go::Home {
                break;
            }
        }
        self.keep().await;
    }

    /// Goes on where an earlier process ended.
    async fn begin(&mut self) {
        let position = self.position.clone();
        let load = spawn_blocking(move || position.load()).await;
        let durable = self.journal.durable_seq();
        self.next = match load {
            Ok(Ok(Some(next))) if next > durable + 1 => {
                tracing::error!(
                    next,
                    last = durable,
                    file = self.position.name(),
                    "the position is of another log: its next record is not in this one; \
                     sending begins with the oldest record"
                );
                None
            }
            Ok(Ok(next)) => next,
            Ok(Err(error)) => {
                tracing::error!(%error, "sending begins with the oldest record");
                None
            }
            Err(_) => None,
        };
        self.kept.0 = self.next;
    }

    /// Asks the sink where to go on.
    async fn find_place(&mut self) -> Go {
        let failure = match self.sink.place(self.next, self.journal.durable_seq()).await {
            Ok(Place::Kept) => {
                self.placed = true;
                return Go::On;
            }
            Ok(Place::Known(resumed)) => {
                self.placed = true;
                self.backoff.reset();
                self.state.placed(resumed);
                (self.next, self.follower) = (resumed.next, None);
                self.knows_place = true;
                return Go::On;
            }
            Err(Answer::TryAgain { cause, text, after }) => {
                Failure { kind: Kind::Again(cause), text, after }
            }
            Err(Answer::Stop { text, after }) => Failure { kind: Kind::Stopped, text, after },
            // It was not asked to take anything.
            Err(Answer::Accepted | Answer::RejectedInPart { .. } | Answer::Behind) => {
                return Go::On;
            }
        };
        let go = self.failed(&failure).await;
        if go == Go::On && failure.kind == Kind::Stopped {
            self.sink.renew().await;
        }
        go
    }

    /// The next records, ready to be sent; none where all that is durable was sent.
    async fn read(&mut self) -> Result<Option<Reading>, Failure> {
        let follower = self.follower.take();
        let mut follower = follower
            .unwrap_or_else(|| Follower::new(LogReader::new(self.directory.clone()), self.next));
        let (durable, records_max) = (self.journal.durable_seq(), self.sink.records_max());
        let read = spawn_blocking(move || {
            let passage = follower.read(durable, records_max, BATCH_BYTES_MAX);
            (follower, passage.map(Reading::of))
        });
        let failure = |text: String| Failure { kind: Kind::Read, text, after: None };
        let (follower, reading) = read.await.map_err(|error| failure(error.to_string()))?;
        self.follower = Some(follower);
        let reading = reading.map_err(|error| failure(error.to_string()))?;
        self.state.read(reading.first, reading.time, reading.lost);
        // What counts here are failures to read: a batch is sent until it is accepted.
        self.backoff.reset();
        if reading.batch.records.is_empty() {
            self.next = Some(reading.next).filter(|next| *next > 0);
            return Ok(None);
        }
        Ok(Some(reading))
    }

    /// Sends a batch until the sink has accepted it.
    async fn deliver(&mut self, reading: Reading) -> Go {
        let Reading { batch, next, line_bytes, .. } = reading;
        let count = batch.records.len() as u64;
        let rejected = loop {
            let failure = match self.sink.send(batch.clone()).await {
                Answer::Accepted => break 0,
                Answer::RejectedInPart { records, message } => {
                    let rejected = records.min(count);
                    self.state.rejected(next, rejected, &message);
                    break rejected;
                }
                Answer::Behind => {
                    self.placed = false;
                    // One that says this again and again is not asked without end.
                    self.pause(self.sink.every()).await;
                    return Go::On;
                }
                Answer::TryAgain { cause, text, after } => {
                    Failure { kind: Kind::Again(cause), text, after }
                }
                Answer::Stop { text, after } => Failure { kind: Kind::Stopped, text, after },
            };
            if self.failed(&failure).await == Go::Home {
                return Go::Home;
            }
            if failure.kind == Kind::Stopped {
                self.sink.renew().await;
                if self.knows_place {
                    // It may be another one by now, which never heard of this log.
                    self.placed = false;
                    return Go::On;
                }
            }
        };
        self.backoff.reset();
        self.state.accepted(next, count - rejected);
        // If the process dies before the position is kept, the next one sends these again.
        self.next = Some(next);
        let full = batch.records.len() >= self.sink.records_max() || line_bytes >= BATCH_BYTES_MAX;
        if self.kept.1.elapsed() >= KEEP_EVERY {
            self.keep().await;
        }
        if !full {
            self.pause(self.sink.every()).await;
        }
        Go::On
    }

    async fn failed(&mut self, failure: &Failure) -> Go {
        self.state.failed(failure);
        if self.ending.is_cancelled() {
            return Go::Home;
        }
        let wait = self.backoff.wait(failure);
        self.pause(wait).await;
        Go::On
    }

    /// Not after the end was asked for.
    async fn pause(&mut self, time: Duration) {
        tokio::select! {
            () = sleep(time) => {}
            () = self.ending.cancelled() => {}
        }
    }

    /// Writes down what the sink has.
    async fn keep(&mut self) {
        let Some(next) = self.next.filter(|next| Some(*next) != self.kept.0) else { return };
        if !self.ending.is_cancelled() && Instant::now() < self.keep_after {
            return;
        }
        let position = self.position.clone();
        match spawn_blocking(move || position.store(next)).await {
            Ok(Ok(())) => self.kept = (Some(next), Instant::now()),
            Ok(Err(error)) => {
                self.state.not_kept(&error);
                self.keep_after = Instant::now() + KEEP_AGAIN_AFTER;
            }
            // The runtime ends.
            Err(_) => {}
        }
    }
}

impl Reading {
    fn of(passage: Passage) -> Self {
        let first = passage.records.first();
        Self {
            first: first.map_or(passage.next, |record| record.seq),
            time: first.and_then(|record| Record::parse(&record.line)?.time()),
            next: passage.next,
            lost: passage.lost,
            line_bytes: passage.records.iter().map(|record| record.line.len()).sum(),
            batch: Batch { records: passage.records.into(), read: Timestamp::now() },
        }
    }
}
