//! The exporter's loop: read what is durable, send it, remember that it was sent.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::encode;
use super::sender::{Failure, Kind, Sender};
use super::state::ExportState;
use crate::audit::follow::{Follower, Passage, Position};
use crate::audit::{Journal, LogReader};
use crate::config::Settings;

/// How often the log is looked at.
const POLL: Duration = Duration::from_millis(500);

/// A request gets no further record once its lines have so many bytes.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// While records come the position is written this often: each time is two fsyncs on the
/// disk that decisions wait for.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// Where it cannot be written, it is tried again after this.
const KEEP_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What sends, and all that it knows.
pub(super) struct Worker {
    settings: Arc<Settings>,
    sender: Sender,
    resource: Arc<Resource>,
    records_max: usize,
    journal: Journal,
    state: Arc<ExportState>,
    /// None while a thread reads with it, or after one panicked.
    follower: Option<Follower>,
    position: Position,
    /// The next record to send; none before the first was read.
    next: Option<u64>,
    /// What of it is on the disk, and since when.
    kept: (Option<u64>, Instant),
    keep_after: Instant,
    backoff: Backoff,
    ending: CancellationToken,
}

/// One request.
struct Batch {
    body: Bytes,
    records: u64,
    first: u64,
    time: Option<Timestamp>,
    next: u64,
    lost: u64,
}

/// Whether there is more to do.
#[derive(PartialEq, Eq)]
enum Go {
    On,
    Home,
}

impl Worker {
    pub(super) fn new(
        settings: Arc<Settings>,
        sender: Sender,
        journal: Journal,
        state: Arc<ExportState>,
        ending: CancellationToken,
    ) -> Self {
        let export = settings.audit.export.as_ref();
        Self {
            sender,
            resource: Arc::new(encode::resource()),
            records_max: export.map_or(1, |export| export.batch_records_max),
            journal,
            state,
            follower: None,
            position: Position::of(&settings.audit.directory),
            next: None,
            kept: (None, Instant::now()),
            keep_after: Instant::now(),
            backoff: Backoff::default(),
            ending,
            settings,
        }
    }

    fn directory(&self) -> &Path {
        &self.settings.audit.directory
    }

    /// Runs until it is told to end; then until all is sent, or once something fails.
    pub(super) async fn run(mut self) {
        self.begin().await;
        loop {
            // Asked before the log is read: all that will ever be durable is durable then.
            let ending = self.ending.is_cancelled();
            let go = match self.read().await {
                Ok(None) if ending => break,
                Ok(None) => {
                    self.keep().await;
                    self.pause(POLL).await;
                    Go::On
                }
                Ok(Some(batch)) => self.deliver(batch).await,
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
                    "`export.position` is of another log: its next record is not in this one; \
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

    /// The next records, ready to be sent; none where all that is durable was sent.
    async fn read(&mut self) -> Result<Option<Batch>, Failure> {
        let directory = self.directory().to_owned();
        let next = self.next;
        let mut follower =
            self.follower.take().unwrap_or_else(|| Follower::new(LogReader::new(directory), next));
        let (durable, records_max) = (self.journal.durable_seq(), self.records_max);
        let resource = self.resource.clone();
        let read = spawn_blocking(move || {
            let passage = follower.read(durable, records_max, BATCH_BYTES_MAX);
            (follower, passage.map(|passage| Batch::of(passage, &resource)))
        });
        let failure = |text: String| Failure::new(Kind::Read, text);
        let (follower, batch) = read.await.map_err(|error| failure(error.to_string()))?;
        self.follower = Some(follower);
        let batch = batch.map_err(|error| failure(error.to_string()))?;
        self.state.read(batch.first, batch.time, batch.lost);
        // What counts here are failures to read: a request is tried until it succeeds.
        self.backoff.reset();
        if batch.records == 0 {
            self.next = Some(batch.next).filter(|next| *next > 0);
            return Ok(None);
        }
        Ok(Some(batch))
    }

    /// Sends one request until the collector has taken it.
    async fn deliver(&mut self, batch: Batch) -> Go {
        loop {
            match self.sender.send(batch.body.clone()).await {
                Ok(accepted) => {
                    self.backoff.reset();
                    self.state.accepted(batch.next, batch.records, &accepted);
                    break;
                }
                Err(failure) => {
                    if self.failed(&failure).await == Go::Home {
                        return Go::Home;
                    }
                    if failure.kind == Kind::Refused {
                        self.renew().await;
                    }
                }
            }
        }
        // If the process dies before the position is kept, the next one sends these again.
        self.next = Some(batch.next);
        let full = batch.records >= self.records_max as u64 || batch.body.len() >= BATCH_BYTES_MAX;
        if self.kept.1.elapsed() >= KEEP_EVERY {
            self.keep().await;
        }
        if !full {
            self.pause(POLL).await;
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

    /// Reads the files of the settings again: one of them may have been mended.
    async fn renew(&mut self) {
        let settings = self.settings.clone();
        let renewed = spawn_blocking(move || settings.audit.export.as_ref().map(Sender::new));
        match renewed.await {
            Ok(Some(Ok(sender))) => self.sender = sender,
            Ok(Some(Err(problems))) => {
                for problem in problems {
                    tracing::warn!("{problem}");
                }
            }
            Ok(None) | Err(_) => {}
        }
    }

    /// Writes down what the collector has.
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

impl Batch {
    fn of(passage: Passage, resource: &Resource) -> Self {
        let first = passage.records.first();
        Self {
            first: first.map_or(passage.next, |record| record.seq),
            time: first.and_then(encode::time_of),
            next: passage.next,
            lost: passage.lost,
            records: passage.records.len() as u64,
            body: match first {
                None => Bytes::new(),
                Some(_) => encode::request(passage.records, resource, Timestamp::now()),
            },
        }
    }
}
