//! The single writer: takes all that waits, writes it once, syncs it once, tells all.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::AuditError;
use super::entry::{Line, OUTCOME, Outage, OutcomeEntry};
use super::store::{Store, StoreError};
use crate::domain::{Clock, Outcome, Reason, RequestId};

/// A commit that takes longer than this is a fault of the disk, in whatever it ends.
const COMMIT_TIME_MAX: Duration = Duration::from_secs(2);

/// An outcome's record is not longer than this, in bytes.
const OUTCOME_BYTES_MAX: u64 = 768;

/// An outage is over when there is room for so much more, in bytes: not when one more
/// record fits, only to begin again with the next.
const ROOM_AFTER_OUTAGE: u64 = 64 * 1024;

/// How long records that could not be written wait for the next try.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// How long outcomes, for which nobody waits, may wait for decisions to share a commit
/// with. A commit of their own would also be in the way of the next decision.
const LINGER: Duration = Duration::from_millis(10);

/// A writer that had nothing to do for this many times [`LINGER`] goes to sleep.
const LINGERS_MAX: u32 = 100;

/// Whether records can be made durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalHealth {
    /// Yes.
    Healthy,
    /// The last batch failed; the next may succeed.
    Failing(String),
    /// No, until the process is started anew.
    Broken(String),
}

impl fmt::Display for JournalHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Failing(why) => write!(f, "failing: {why}"),
            Self::Broken(why) => write!(f, "broken until restarted: {why}"),
        }
    }
}

/// Told of what the writer does, on the writer's thread.
pub trait Observer: Send + Sync + 'static {
    /// A batch is durable; `events` names its records.
    fn committed(&self, events: &mut dyn Iterator<Item = &'static str>, took: Duration);
    /// A stage failed.
    fn failed(&self, stage: &'static str);
    /// How many records wait.
    fn waiting(&self, records: usize);
}

/// An observer that looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn committed(&self, _: &mut dyn Iterator<Item = &'static str>, _: Duration) {}
    fn failed(&self, _: &'static str) {}
    fn waiting(&self, _: usize) {}
}

/// Told the sequence number once the record is durable.
pub(super) type Ticket = oneshot::Sender<Result<u64, AuditError>>;

/// One record on its way to the disk.
pub(super) struct Item {
    pub(super) line: Line,
    /// Present for decisions; outcomes wait for nobody.
    pub(super) ticket: Option<Ticket>,
    /// The request of an allow decision, which must get an outcome.
    pub(super) permits: Option<RequestId>,
}

/// What submitters and the writer share.
pub(super) struct Queue {
    state: Mutex<State>,
    work: Condvar,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What the writer waits for. A submitter wakes it only where it must: a wake-up costs
/// more than all else in submitting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Nothing: it is writing, and will look at the queue again.
    No,
    /// A decision, or the end of [`LINGER`].
    Briefly,
    /// Any record.
    Asleep,
}

struct State {
    items: VecDeque<Item>,
    decisions: usize,
    writer: Waits,
    closing: bool,
    health: JournalHealth,
    /// When the commit that is under way began.
    committing: Option<Instant>,
}

impl Queue {
    pub(super) fn new(observer: Arc<dyn Observer>, clock: Arc<dyn Clock>) -> Self {
        let state = State {
            items: VecDeque::new(),
            decisions: 0,
            writer: Waits::No,
            closing: false,
            health: JournalHealth::Healthy,
            committing: None,
        };
        Self { state: Mutex::new(state), work: Condvar::new(), observer, clock }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a record. Decisions beyond `decisions_max` are refused; outcomes never
    /// are: there are no more of them than permitted decisions.
    pub(super) fn submit(&self, item: Item, decisions_max: usize) -> Result<(), AuditError> {
        let mut state = self.lock();
        if let JournalHealth::Broken(why) = &state.health {
            return Err(AuditError::Broken(why.clone()));
        }
        if state.closing {
            return Err(AuditError::Broken("the journal is closed".into()));
        }
        let waited_for = item.ticket.is_some();
        if waited_for {
            if state.decisions >= decisions_max {
                return Err(AuditError::QueueFull);
            }
            state.decisions += 1;
        }
        state.items.push_back(item);
        let wake = match state.writer {
            Waits::No => false,
            Waits::Briefly => waited_for,
            Waits::Asleep => true,
        };
        if wake {
            state.writer = Waits::No;
            drop(state);
            self.work.notify_one();
        }
        Ok(())
    }

    pub(super) fn health(&self) -> JournalHealth {
        let state = self.lock();
        let took = state.committing.map_or(Duration::ZERO, |since| since.elapsed());
        if state.health == JournalHealth::Healthy && took > COMMIT_TIME_MAX {
            return JournalHealth::Failing(format!("a commit has taken {} s", took.as_secs()));
        }
        state.health.clone()
    }

    /// Lets the writer end once nothing waits any more.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }

    /// Everything that waits, or `None` when the journal is closed and nothing does.
    fn take(&self, retained: bool) -> Option<VecDeque<Item>> {
        let mut state = self.lock();
        let mut lingers = 0;
        while state.decisions == 0 && !state.closing {
            let asleep = lingers == LINGERS_MAX && !retained;
            state.writer = if asleep { Waits::Asleep } else { Waits::Briefly };
            if asleep {
                lingers = 0;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                let time = if retained { RETRY_AFTER } else { LINGER };
                let waited = self.work.wait_timeout(state, time);
                let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                state = guard;
                lingers += 1;
                if timeout.timed_out() && (retained || !state.items.is_empty()) {
                    break;
                }
            }
        }
        state.writer = Waits::No;
        state.decisions = 0;
        let items = std::mem::take(&mut state.items);
        (!items.is_empty() || !state.closing || retained).then_some(items)
    }

    fn set_committing(&self, since: Option<Instant>) {
        self.lock().committing = since;
    }

    fn set_health(&self, health: JournalHealth) {
        self.lock().health = health;
    }
}

/// Owns the store, on a thread of its own.
pub(super) struct Writer<S> {
    pub(super) store: S,
    pub(super) next_seq: u64,
    pub(super) queue: Arc<Queue>,
    /// Permits whose outcome is not written yet: there is room for it.
    owed: u64,
    /// Outcomes that could not be written yet.
    retained: VecDeque<Item>,
    /// Since when nothing can be written. Recorded with the first write that succeeds,
    /// and tried for its sake: while it is there readiness is refused, and no decision
    /// may come to try.
    outage: Option<Outage>,
    buffer: Vec<u8>,
}

impl<S: Store> Writer<S> {
    pub(super) fn new(store: S, next_seq: u64, queue: Arc<Queue>) -> Self {
        let (retained, buffer) = (VecDeque::new(), Vec::new());
        Self { store, next_seq, queue, owed: 0, retained, outage: None, buffer }
    }

    /// Runs until the queue is closed and empty. Should it panic, whoever waits is
    /// told by the drop of its ticket.
    pub(super) fn run(mut self) {
        struct Ending(Arc<Queue>);
        impl Drop for Ending {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.set_health(JournalHealth::Broken("the writer panicked".into()));
                    self.0.lock().items.clear();
                }
            }
        }
        let _ending = Ending(self.queue.clone());
        let mut last_try = false;
        while let Some(items) = self.queue.take(!self.retained.is_empty() || self.outage.is_some())
        {
            let closing = self.queue.lock().closing;
            if closing && items.is_empty() && std::mem::replace(&mut last_try, true) {
                tracing::error!(lost = self.retained.len(), "outcomes could not be recorded");
                return;
            }
            let mut batch = std::mem::take(&mut self.retained);
            batch.extend(items);
            if !batch.is_empty() || self.outage.is_some() {
                self.commit(batch);
            }
        }
    }

    /// Writes and syncs one batch, then tells all who wait.
    pub(super) fn commit(&mut self, mut batch: VecDeque<Item>) {
        self.queue.observer.waiting(batch.len());
        let started = Instant::now();
        let mut note = self.outage.as_ref().map(|o| Line::outage(o, self.queue.clock.now()));
        self.encode(note.as_ref(), &batch);
        self.queue.set_committing(Some(started));
        // Of these records, and of the outcomes of all permits: a grant that was forwarded
        // must not lack its outcome because the disk is full.
        let permits = batch.iter().filter(|item| item.permits.is_some()).count() as u64;
        let more = if note.is_some() { ROOM_AFTER_OUTAGE } else { 0 };
        let room = self.buffer.len() as u64 + (self.owed + permits) * OUTCOME_BYTES_MAX + more;
        let full = self.store.reserve(room).err();
        if let Some(error) = &full {
            self.queue.set_committing(None);
            // The room that was kept is for outcomes only; other notes wait.
            let (others, outcomes) = batch.into_iter().partition(|i| i.line.event != OUTCOME);
            self.fail(others, error);
            if VecDeque::is_empty(&outcomes) {
                return;
            }
            (batch, note) = (outcomes, None);
            self.encode(None, &batch);
            self.queue.set_committing(Some(started));
        }
        // If the process dies before the sync returns, no one was told: nothing was
        // forwarded and nothing answered on the strength of these records.
        let written = self.store.append(&self.buffer).and_then(|()| self.store.sync());
        self.queue.set_committing(None);
        if let Err(error) = written {
            return self.fail(batch, &error);
        }
        let mut events = note.iter().chain(batch.iter().map(|item| &item.line)).map(|l| l.event);
        self.queue.observer.committed(&mut events, started.elapsed());
        if full.is_none() {
            self.queue.set_health(JournalHealth::Healthy);
            if self.outage.take().is_some() {
                self.next_seq += 1;
                tracing::info!("the audit log can be written again");
            }
        }
        for item in batch {
            self.owed += u64::from(item.permits.is_some());
            self.owed = self.owed.saturating_sub(u64::from(item.line.event == OUTCOME));
            let seq = self.next_seq;
            self.next_seq += 1;
            // If the process dies from here on, the records are there, and the next
            // start closes those that got no outcome.
            let told = item.ticket.map(|ticket| ticket.send(Ok(seq)).is_ok());
            if let (Some(false), Some(request_id)) = (told, item.permits) {
                self.close_abandoned(request_id, seq);
            }
        }
    }

    /// Puts the lines of one batch into the buffer.
    fn encode(&mut self, note: Option<&Line>, batch: &VecDeque<Item>) {
        self.buffer.clear();
        let lines = note.into_iter().chain(batch.iter().map(|item| &item.line));
        for (seq, line) in (self.next_seq..).zip(lines) {
            line.write(seq, self.next_seq, &mut self.buffer);
        }
    }

    /// Whoever asked for this permit has given up: nobody will forward it.
    fn close_abandoned(&mut self, request_id: RequestId, decision_seq: u64) {
        let entry = not_sent(request_id, decision_seq);
        let line = Line::outcome(&entry, self.queue.clock.now());
        self.retained.push_back(Item { line, ticket: None, permits: None });
    }

    fn fail(&mut self, batch: VecDeque<Item>, error: &StoreError) {
        if self.outage.is_none() {
            tracing::error!(stage = error.stage.as_str(), %error, broken = error.broken, "audit log");
        }
        self.queue.observer.failed(error.stage.as_str());
        let why = error.to_string();
        self.queue.set_health(if error.broken {
            JournalHealth::Broken(why.clone())
        } else {
            JournalHealth::Failing(why.clone())
        });
        if !error.broken {
            let refused = batch.iter().filter(|item| item.ticket.is_some()).count();
            let since = self.queue.clock.now();
            let outage = Outage { since, refused: 0, cause: why.clone() };
            self.outage.get_or_insert(outage).refused += refused as u64;
        }
        for item in batch {
            match item.ticket {
                Some(ticket) if error.broken => {
                    let _ = ticket.send(Err(AuditError::Broken(why.clone())));
                }
                Some(ticket) => {
                    let _ = ticket.send(Err(AuditError::Failed(why.clone())));
                }
                None if error.broken => tracing::error!(
                    record = %String::from_utf8_lossy(&item.line.rest),
                    "an outcome could not be recorded; the next start closes its decision as unknown"
                ),
                None => self.retained.push_back(item),
            }
        }
    }
}

/// The outcome of a permit that was recorded and then not used.
pub(super) fn not_sent(request_id: RequestId, decision_seq: u64) -> OutcomeEntry {
    OutcomeEntry {
        request_id,
        decision_seq,
        outcome: Outcome::NotSent,
        reason: Reason::AuditUnavailable,
        status: None,
        seam_request_id: None,
        upstream_ms: None,
    }
}
