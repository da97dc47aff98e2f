//! The audit log's one writer: what is recorded, in which order, and when it is durable.

pub(in crate::audit) mod error;
mod group;
mod outbox;
pub(in crate::audit) mod queue;
pub(in crate::audit) mod recorded;
pub(in crate::audit) mod recovery;
pub(in crate::audit) mod settings;
pub(in crate::audit) mod store;
mod strangers;
mod writer;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use error::{AuditError, OpenError};
use settings::JournalSettings;

use crate::audit::journal::group::{Group, Ticket};
use crate::audit::journal::outbox::Outbox;
use crate::audit::journal::queue::{JournalHealth, Observer, Published, Queue};
use crate::audit::journal::recorded::Recorded;
use crate::audit::journal::recovery::{Recovered, RecoveryReport};
use crate::audit::journal::store::{Batch, Store};
use crate::audit::journal::strangers::{Place, Strangers};
use crate::audit::journal::writer::{Writer, checkpoint};
use crate::audit::record::encode::{
    DecisionRecord, Draft, OutcomeRecord, Permitted, RecoveryEntry, Unnumbered, not_sent,
};
use crate::audit::record::entry::{
    Evidence, OrderEntry, OutcomeEntry, ReloadEntry, ResolvedEntry, StrangerEntry,
};
use crate::audit::record::mark::GranteeMark;
use crate::audit::tree::{Frontier, Hash};
use crate::domain::{Clock, Grantee, GranteeKind, Reason, Revision};
use crate::note::SigningKey;

/// The one way to record. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    queue: Arc<Queue>,
    settings: Arc<JournalSettings>,
    /// Of a worker; without, each record is handed to the writer by itself.
    outbox: Option<Arc<Outbox>>,
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
        let (mut bytes, root, mut tree) = (Vec::new(), found.tree.root(), found.tree);
        for (seq, draft) in (found.next_seq..).zip(&drafts) {
            let start = bytes.len();
            draft.write(seq, found.next_seq, &mut bytes);
            tree.push(Hash::of_leaf(bytes.get(start..bytes.len() - 1).unwrap_or_default()));
        }
        let first_seq = found.next_seq;
        let count = u32::try_from(drafts.len()).unwrap_or(u32::MAX);
        store.commit(&Batch { first_seq, count, lines: &bytes, root })?;
        store.settle()?;
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
        let journal = Self { queue: queue.clone(), settings, outbox: None };
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
        let waiting = {
            let entry = evidence.decision();
            let permits = entry
                .allow
                .then_some(Permitted { request_id: entry.request_id, operation: entry.operation });
            self.submit(&DecisionRecord(&entry, self.settings.pseudonym_key.as_ref()), permits)?
        };
        let seq = self.durable(waiting).await?;
        Ok(Recorded::new(evidence, seq, since))
    }

    /// How the log tells this person from others.
    #[must_use]
    pub fn mark(&self, grantee: Grantee) -> GranteeMark {
        GranteeMark::new(grantee, self.settings.pseudonym_key.as_ref())
    }

    /// What records call the person of this id, where they do not call it so.
    #[must_use]
    pub fn pseudonym(&self, id: &str) -> Option<String> {
        self.settings.pseudonym_key.as_ref().map(|key| key.pseudonym(id))
    }

    /// The same of a person as a record names it; none where it names nobody that can be.
    #[must_use]
    pub fn mark_of_record(&self, kind: GranteeKind, text: &str) -> Option<GranteeMark> {
        GranteeMark::of_record(kind, text, self.settings.pseudonym_key.as_ref())
    }

    /// Records a reload and waits until the record is durable.
    ///
    /// # Errors
    /// [`AuditError`]. The record may still become durable.
    pub async fn record_reload(&self, entry: &ReloadEntry<'_>) -> Result<(), AuditError> {
        let draft = Draft::reload(entry, self.queue.clock.now());
        let waiting = self.submit(&draft, None)?;
        self.durable(waiting).await.map(drop)
    }

    /// Records what became of an order, and waits until the record is durable.
    ///
    /// # Errors
    /// [`AuditError`]. The record may still become durable.
    pub async fn record_order(&self, entry: &OrderEntry<'_>) -> Result<(), AuditError> {
        let draft = Draft::order(entry, self.queue.clock.now());
        let waiting = self.submit(&draft, None)?;
        self.durable(waiting).await.map(drop)
    }

    /// Records a reload that failed, without waiting: nothing depends on it.
    pub fn note_reload(&self, entry: &ReloadEntry<'_>) {
        let draft = Draft::reload(entry, self.queue.clock.now());
        if let Err(error) = self.note(&draft) {
            tracing::error!(%error, "a failed reload could not be recorded");
        }
    }

    fn submit(
        &self,
        record: &impl Unnumbered,
        permits: Option<Permitted>,
    ) -> Result<Waiting<'_>, AuditError> {
        let decisions_max = self.settings.queue_records_max;
        let ticket = match &self.outbox {
            Some(outbox) => outbox.decision(record, permits, decisions_max)?,
            None => {
                let mut group = Group::default();
                let ticket = group.waited_for(record, permits)?;
                self.queue.admit_decision(decisions_max)?;
                self.queue.hand_over(group);
                ticket
            }
        };
        Ok(Waiting { ticket: Some(ticket), permits, journal: self })
    }

    async fn durable(&self, waiting: Waiting<'_>) -> Result<u64, AuditError> {
        if self.outbox.is_some() {
            // Which keeps the time for all who wait there.
            return waiting.await;
        }
        let answer = tokio::time::timeout(self.settings.commit_wait, waiting).await;
        answer.map_err(|_| AuditError::TimedOut)?
    }

    fn note(&self, record: &impl Unnumbered) -> Result<(), AuditError> {
        match &self.outbox {
            Some(outbox) => outbox.note(record),
            None => {
                let mut group = Group::default();
                group.note(record)?;
                self.queue.admit_note()?;
                self.queue.hand_over(group);
                Ok(())
            }
        }
    }

    /// Records what became of a forwarded grant. Never blocks and never fails the
    /// caller; written with the next batch.
    pub fn complete(&self, outcome: &OutcomeEntry) {
        if let Err(error) = self.note(&OutcomeRecord(outcome, self.queue.clock.now())) {
            tracing::error!(
                request_id = %outcome.request_id,
                outcome = outcome.outcome.as_str(),
                %error,
                "an outcome could not be recorded; the next start closes its decision as unknown"
            );
        }
    }

    /// Records what was found out of an unknown outcome, without waiting: should it be lost, it
    /// is found out again.
    pub fn note_resolved(&self, entry: &ResolvedEntry) {
        if let Err(error) = self.note(&Draft::resolved(entry, self.queue.clock.now())) {
            tracing::error!(request_id = %entry.request_id, %error, "a resolution was not recorded");
        }
    }

    /// Records checkpoints of other logs, without waiting: nothing depends on it. False where they are
    /// not recorded.
    pub fn note_witnessed(&self, checkpoints: &[String]) -> bool {
        let noted = self.note(&Draft::witness(checkpoints, self.queue.clock.now()));
        if let Err(error) = &noted {
            tracing::warn!(%error, "checkpoints of other logs were not recorded");
        }
        noted.is_ok()
    }

    /// The same journal for one worker: what is recorded through it goes to the writer in
    /// groups, by [`Self::deliver`].
    #[must_use]
    pub fn for_worker(&self) -> Self {
        self.with_outbox(outbox::AGE_MAX)
    }

    fn with_outbox(&self, age_max: Duration) -> Self {
        let outbox = Outbox::new(self.queue.clone(), self.settings.commit_wait, age_max);
        let outbox = Arc::new(outbox);
        self.queue.add_outbox(outbox.clone());
        Self { outbox: Some(outbox), ..self.clone() }
    }

    /// Hands over what a worker records, and wakes who waits for it: on the worker's own
    /// runtime, as long as anything is recorded there. Where this does not run, records
    /// become durable late and nobody is told.
    pub async fn deliver(&self) {
        match &self.outbox {
            Some(outbox) => outbox.run().await,
            None => std::future::pending().await,
        }
    }

    /// Records that somebody was not believed, or counts it: within the limit for those
    /// who are nobody. Never waits, and fails nobody.
    pub fn note_stranger(&self, entry: &StrangerEntry<'_>) {
        let (now, reason) = (self.queue.clock.now(), entry.reason.as_str());
        match self.queue.strangers.admit(reason, now) {
            Place::Counted { first: false } => {}
            Place::Counted { first: true } => self.queue.nudge(),
            Place::Recorded => {
                if self.note(&Draft::stranger(entry, now)).is_err() {
                    let _ = self.queue.strangers.count(reason, now);
                }
            }
        }
    }

    /// Counts somebody who was not believed and is not worth a record of his own.
    pub fn count_stranger(&self, reason: Reason) {
        if self.queue.strangers.count(reason.as_str(), self.queue.clock.now()) {
            self.queue.nudge();
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
    let closed = found
        .open
        .iter()
        .map(|open| Draft::recovered(&open.request_id, open.operation.as_deref(), open.seq, now));
    drafts.extend(closed);
    let cut = found.cut.as_ref().map(|cut| (cut.bytes, cut.kept_in.as_str()));
    if cut.is_some() || !found.open.is_empty() {
        let entry = RecoveryEntry { closed_decisions: found.open.len(), cut };
        drafts.push(Draft::recovery(&entry, now));
    }
    drafts.push(Draft::start(revision.as_str(), now));
    (drafts, published)
}

impl JournalCloser {
    /// Writes what still waits, then `log.stop` and a checkpoint that covers it, and ends
    /// the writer.
    pub fn close(self) {
        let mut last = Group::default();
        if let Err(error) = last.note(&Draft::stop(self.queue.clock.now())) {
            tracing::error!(%error, "the end of the log could not be recorded");
        }
        self.queue.close(last);
        if self.writer.join().is_err() {
            tracing::error!("the audit writer panicked");
        }
    }
}

/// Waits for one record. When it is given up, exactly one side closes the permit: the
/// writer if it comes later, else this one, which then has the number.
struct Waiting<'a> {
    ticket: Option<Ticket>,
    permits: Option<Permitted>,
    journal: &'a Journal,
}

impl Future for Waiting<'_> {
    type Output = Result<u64, AuditError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(ticket) = &self.ticket else { return Poll::Ready(Err(AuditError::TimedOut)) };
        let answer = ready!(ticket.poll(context));
        self.ticket = None;
        Poll::Ready(answer)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(ticket) = &self.ticket else { return };
        if let (Some(seq), Some(permitted)) = (ticket.leave(), self.permits) {
            self.journal.complete(&not_sent(permitted, seq));
        }
    }
}

#[cfg(test)]
mod checkpoints;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod lags;
#[cfg(test)]
mod rings;
#[cfg(test)]
mod tests;
