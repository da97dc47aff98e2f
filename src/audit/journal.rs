//! The audit log as the rest of the program sees it.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Recorded;
use super::entry::{Evidence, OutcomeEntry, ReloadEntry, StrangerEntry};
use super::note::SigningKey;
use super::pseudonym::PseudonymKey;
use super::queue::{Item, JournalHealth, Observer, Published, Queue};
use super::record::{Draft, RecoveryEntry, not_sent};
use super::recovery::{Recovered, RecoveryReport};
use super::store::{Store, StoreError};
use super::strangers::{Place, Strangers};
use super::tree::{Frontier, Hash};
use super::writer::{Writer, checkpoint};
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

/// Bounds and keys of the journal.
#[derive(Debug)]
pub struct JournalSettings {
    /// Decisions that may wait to be written.
    pub queue_records_max: usize,
    /// How long a decision waits to be durable.
    pub commit_wait: Duration,
    /// A segment of this many bytes is closed, and a new one begun.
    pub segment_bytes_max: u64,
    /// So is a segment of this age.
    pub segment_age_max: Duration,
    /// At most so many records are without a checkpoint.
    pub checkpoint_records_max: u64,
    /// At most for so long.
    pub checkpoint_interval: Duration,
    /// Records of strangers in a minute; the others are counted.
    pub strangers_per_minute_max: u32,
    /// Signs checkpoints.
    pub signing_key: Option<SigningKey>,
    /// Hides grantees.
    pub pseudonym_key: Option<PseudonymKey>,
}

impl Default for JournalSettings {
    /// What the configuration's defaults are; without keys.
    fn default() -> Self {
        Self {
            queue_records_max: 4_096,
            commit_wait: Duration::from_secs(2),
            segment_bytes_max: 64 << 20,
            segment_age_max: Duration::from_secs(86_400),
            checkpoint_records_max: 1_000,
            checkpoint_interval: Duration::from_secs(60),
            strangers_per_minute_max: 60,
            signing_key: None,
            pseudonym_key: None,
        }
    }
}

/// The one way to record. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    queue: Arc<Queue>,
    settings: Arc<JournalSettings>,
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
        let settings = Arc::new(settings);
        let key = settings.signing_key.as_ref().map(SigningKey::verifier);
        let found = store.recover(key)?;
        store.begin(found.next_seq, 0)?;
        let now = clock.now();
        let (drafts, published) = first_records(&found, &settings, revision, now);
        let (mut bytes, mut tree) = (Vec::new(), found.tree);
        for (seq, draft) in (found.next_seq..).zip(&drafts) {
            let start = bytes.len();
            draft.write(seq, found.next_seq, &mut bytes);
            tree.push(Hash::of_leaf(bytes.get(start..bytes.len() - 1).unwrap_or_default()));
        }
        store.append(&bytes)?;
        store.sync()?;
        let uncovered = drafts.len() - usize::from(published.is_some());
        if let Some(published) = published {
            observer.checkpointed(published);
        }
        let strangers = Strangers::new(settings.strangers_per_minute_max);
        let queue = Arc::new(Queue::new(observer, clock, strangers));
        queue.set_durable(tree.size());
        let writer = Writer::new(store, queue.clone(), settings.clone(), tree, uncovered as u64);
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
        let draft = Draft::decision(&entry, self.settings.pseudonym_key.as_ref());
        let seq = self.commit(draft, permits).await?;
        Ok(Recorded::new(evidence, seq, since))
    }

    /// Records a reload and waits until the record is durable.
    ///
    /// # Errors
    /// [`AuditError`]. The record may still become durable.
    pub async fn record_reload(&self, entry: &ReloadEntry<'_>) -> Result<(), AuditError> {
        let draft = Draft::reload(entry, self.queue.clock.now());
        self.commit(draft, None).await.map(drop)
    }

    /// Records a reload that failed, without waiting: nothing depends on it.
    pub fn note_reload(&self, entry: &ReloadEntry<'_>) {
        let item = Item::note(Draft::reload(entry, self.queue.clock.now()));
        if let Err(error) = self.queue.submit(item, usize::MAX) {
            tracing::error!(%error, "a failed reload could not be recorded");
        }
    }

    async fn commit(&self, draft: Draft, permits: Option<RequestId>) -> Result<u64, AuditError> {
        let (ticket, told) = oneshot::channel();
        let item = Item { draft, ticket: Some(ticket), permits };
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

    /// Records that somebody was not believed, or counts it: within the limit for those
    /// who are nobody. Never waits, and fails nobody.
    pub fn note_stranger(&self, entry: &StrangerEntry<'_>) {
        let (now, reason) = (self.queue.clock.now(), entry.reason.as_str());
        match self.queue.strangers.admit(reason, now) {
            Place::Counted { first: false } => {}
            Place::Counted { first: true } => self.queue.nudge(),
            Place::Recorded => {
                let item = Item::note(Draft::stranger(entry, now));
                if self.queue.submit(item, usize::MAX).is_err() {
                    self.queue.strangers.count(reason, now);
                }
            }
        }
    }

    /// The number of the last record that is durable: all up to it are.
    #[must_use]
    pub fn durable_seq(&self) -> u64 {
        self.queue.durable()
    }

    /// Whether records can be made durable.
    #[must_use]
    pub fn health(&self) -> JournalHealth {
        self.queue.health()
    }
}

/// What a process begins with: a checkpoint of all that was there, outcomes for what an
/// earlier process left open, and `log.start`. All in one write: a segment with the last
/// of them has closed all that was open before it.
fn first_records(
    found: &Recovered,
    settings: &JournalSettings,
    revision: &Revision,
    now: jiff::Timestamp,
) -> (Vec<Draft>, Option<Published>) {
    let mut drafts = Vec::new();
    let mut published = None;
    if found.tree != Frontier::default() {
        let oldest = found.open.first().map(|open| open.seq);
        let (draft, news) = checkpoint(&found.tree, oldest, settings, now);
        drafts.push(draft);
        published = Some(news);
    }
    let closed = found.open.iter().map(|open| Draft::recovered(&open.request_id, open.seq, now));
    drafts.extend(closed);
    let cut = found.cut.as_ref().map(|cut| (cut.bytes, cut.kept_in.as_str()));
    if cut.is_some() || !found.open.is_empty() {
        let entry = RecoveryEntry { closed_decisions: found.open.len(), cut };
        drafts.push(Draft::recovery(&entry, now));
    }
    drafts.push(Draft::start(revision.as_str(), now));
    (drafts, published)
}

impl Queue {
    fn complete(&self, outcome: &OutcomeEntry) {
        let item = Item::note(Draft::outcome(outcome, self.clock.now()));
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
    /// Writes what still waits, then `log.stop` and a checkpoint that covers it, and ends
    /// the writer.
    pub fn close(self) {
        let item = Item::note(Draft::stop(self.queue.clock.now()));
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
mod checkpoints;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;
