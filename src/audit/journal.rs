//! The audit log as the rest of the program sees it.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Recorded;
use super::entry::{Evidence, Line, OutcomeEntry, ReloadEntry, StartEntry};
use super::recovery::RecoveryReport;
use super::store::{Store, StoreError};
use super::writer::{Item, JournalHealth, Observer, Queue, Writer, not_sent};
use crate::domain::{Clock, RequestId, Revision};

/// Why a record was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Too many decisions wait already.
    #[error("too many decisions wait to be recorded")]
    QueueFull,
    /// The record was not durable in time.
    #[error("the record was not durable in time")]
    TimedOut,
    /// Writing failed; the next record may succeed.
    #[error("{0}")]
    Failed(String),
    /// Nothing will be recorded any more until the process is started anew.
    #[error("the audit log is broken until restarted: {0}")]
    Broken(String),
}

/// Why an audit log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("another process uses it")]
    Locked,
    /// It is damaged in a way that no crash explains.
    #[error(
        "`{file}` is damaged at line {line} (byte {offset}): {text}; move the log away and keep it"
    )]
    Damaged {
        /// The segment.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// Where the line begins, in bytes.
        offset: u64,
        /// What is wrong.
        text: String,
    },
    /// The first record could not be written.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The directory or a file cannot be used.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Bounds of the journal.
#[derive(Debug, Clone)]
pub struct JournalSettings {
    /// Decisions that may wait to be written.
    pub queue_records_max: usize,
    /// How long a decision waits to be durable.
    pub commit_wait: Duration,
}

/// The one way to record. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    queue: Arc<Queue>,
    settings: JournalSettings,
}

/// Ends the journal in order.
pub struct JournalCloser {
    queue: Arc<Queue>,
    writer: JoinHandle<()>,
}

/// What an opened journal consists of.
pub struct Started {
    /// For recording.
    pub journal: Journal,
    /// For ending it.
    pub closer: JournalCloser,
    /// What was found at the start.
    pub recovery: RecoveryReport,
}

impl Journal {
    /// Recovers the log, closes the decisions that an earlier process left open, and
    /// starts the writer. When this returns, `log.start` is durable.
    ///
    /// # Errors
    /// [`OpenError`]; nothing can be recorded then, so nothing may be served.
    pub fn open<S: Store>(
        mut store: S,
        settings: JournalSettings,
        revision: &Revision,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Result<Started, OpenError> {
        let found = store.recover()?;
        store.begin(found.next_seq)?;
        let now = clock.now();
        let mut lines: Vec<Line> = found
            .open
            .iter()
            .map(|open| Line::recovered(&open.request_id, open.seq, now))
            .collect();
        // Last, and in the same write: a segment with this record has closed all that
        // was open before it.
        lines.push(Line::start(
            &StartEntry {
                revision: revision.as_str(),
                closed_decisions: found.open.len(),
                cut: found.cut.as_ref().map(|cut| (cut.bytes, cut.kept_in.as_str())),
            },
            now,
        ));
        let mut bytes = Vec::new();
        let mut next_seq = found.next_seq;
        for line in &lines {
            line.write(next_seq, found.next_seq, &mut bytes);
            next_seq += 1;
        }
        store.append(&bytes)?;
        store.sync()?;
        let queue = Arc::new(Queue::new(observer, clock));
        let writer = Writer::new(store, next_seq, queue.clone());
        let writer =
            std::thread::Builder::new().name("audit-writer".into()).spawn(|| writer.run())?;
        let recovery = RecoveryReport { closed_decisions: found.open.len(), cut: found.cut };
        let journal = Self { queue: queue.clone(), settings };
        Ok(Started { journal, closer: JournalCloser { queue, writer }, recovery })
    }

    /// Records a decision and waits until the record is durable, for at most
    /// `commit_wait`.
    ///
    /// # Errors
    /// [`AuditError`]. The record may still become durable; a permit in it then gets
    /// the outcome `not-sent`.
    pub async fn record<E: Evidence>(&self, evidence: E) -> Result<Recorded<E>, AuditError> {
        let since = Instant::now();
        let entry = evidence.decision();
        let permits = entry.allow.then_some(entry.request_id);
        let line = Line::decision(&entry);
        let seq = self.commit(line, permits).await?;
        Ok(Recorded::new(evidence, seq, since))
    }

    /// Records a reload and waits until the record is durable.
    ///
    /// # Errors
    /// [`AuditError`]. The record may still become durable.
    pub async fn record_reload(&self, entry: &ReloadEntry<'_>) -> Result<(), AuditError> {
        let line = Line::reload(entry, self.queue.clock.now());
        self.commit(line, None).await.map(drop)
    }

    /// Records a reload that failed, without waiting: nothing depends on it.
    pub fn note_reload(&self, entry: &ReloadEntry<'_>) {
        let line = Line::reload(entry, self.queue.clock.now());
        let item = Item { line, ticket: None, permits: None };
        if let Err(error) = self.queue.submit(item, usize::MAX) {
            tracing::error!(%error, "a failed reload could not be recorded");
        }
    }

    async fn commit(&self, line: Line, permits: Option<RequestId>) -> Result<u64, AuditError> {
        let (ticket, told) = oneshot::channel();
        let item = Item { line, ticket: Some(ticket), permits };
        self.queue.submit(item, self.settings.queue_records_max)?;
        let mut waiting = Waiting { told: Some(told), permits, queue: &self.queue };
        let answer = tokio::time::timeout(self.settings.commit_wait, waiting.told()).await;
        answer.map_err(|_| AuditError::TimedOut)?
    }

    /// Records what became of a forwarded grant. Never blocks and never fails the
    /// caller; written with the next batch.
    pub fn complete(&self, outcome: &OutcomeEntry) {
        self.queue.complete(outcome);
    }

    /// Whether records can be made durable.
    #[must_use]
    pub fn health(&self) -> JournalHealth {
        self.queue.health()
    }
}

impl Queue {
    fn complete(&self, outcome: &OutcomeEntry) {
        let line = Line::outcome(outcome, self.clock.now());
        let item = Item { line, ticket: None, permits: None };
        if let Err(error) = self.submit(item, usize::MAX) {
            tracing::error!(
                request_id = %outcome.request_id,
                outcome = outcome.outcome.as_str(),
                %error,
                "an outcome could not be recorded; the next start closes its decision as unknown"
            );
        }
    }
}

impl JournalCloser {
    /// Writes what still waits, then `log.stop`, and ends the writer.
    pub fn close(self) {
        let line = Line::stop(self.queue.clock.now());
        let item = Item { line, ticket: None, permits: None };
        if let Err(error) = self.queue.submit(item, usize::MAX) {
            tracing::error!(%error, "the end of the log could not be recorded");
        }
        self.queue.close();
        if self.writer.join().is_err() {
            tracing::error!("the audit writer panicked");
        }
    }
}

/// Waits for one record. When it is given up, exactly one side closes the permit: the
/// writer if it finds the channel closed, else this one, which then holds the answer.
struct Waiting<'a> {
    told: Option<oneshot::Receiver<Result<u64, AuditError>>>,
    permits: Option<RequestId>,
    queue: &'a Queue,
}

impl Waiting<'_> {
    async fn told(&mut self) -> Result<u64, AuditError> {
        let Some(told) = &mut self.told else { return Err(AuditError::TimedOut) };
        let answer = told.await;
        self.told = None;
        answer.unwrap_or_else(|_| Err(AuditError::Broken("the writer has ended".into())))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(told) = &mut self.told else { return };
        told.close();
        if let (Ok(Ok(seq)), Some(request_id)) = (told.try_recv(), self.permits) {
            self.queue.complete(&not_sent(request_id, seq));
        }
    }
}

#[cfg(test)]
mod tests;
