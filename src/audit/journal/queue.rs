//! What submitters and the writer share.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::audit::journal::error::AuditError;
use crate::audit::journal::group::Group;
use crate::audit::journal::outbox::Outbox;
use crate::audit::journal::strangers::Strangers;
use crate::audit::record::event::Event;
use crate::domain::Clock;

/// A commit that takes longer than this is a fault of the disk, in whatever it ends.
const COMMIT_TIME_MAX: Duration = Duration::from_secs(2);

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

/// A checkpoint that is durable in the log: to be kept where who could change the log
/// cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// How many records it covers.
    pub size: u64,
    /// The tree's hash in base64.
    pub root: String,
    /// The signed text; none when the log is not signed.
    pub text: Option<String>,
}

/// Told of what the writer does, on the writer's thread.
pub trait Observer: Send + Sync + 'static {
    /// A batch is durable; `events` names its records.
    fn committed(&self, events: &mut dyn Iterator<Item = Event>, took: Duration);
    /// A stage failed.
    fn failed(&self, stage: &'static str);
    /// How many records wait.
    fn waiting(&self, records: usize);
    /// A checkpoint is durable.
    fn checkpointed(&self, checkpoint: Published);
    /// A segment is closed and will not change any more.
    fn rotated(&self);
    /// A segment could not be closed and goes on.
    fn rotation_failed(&self);
}

/// Ignores every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn committed(&self, _: &mut dyn Iterator<Item = Event>, _: Duration) {}
    fn failed(&self, _: &'static str) {}
    fn waiting(&self, _: usize) {}
    fn checkpointed(&self, _: Published) {}
    fn rotated(&self) {}
    fn rotation_failed(&self) {}
}

pub(in crate::audit) struct Queue {
    state: Mutex<State>,
    work: Condvar,
    pub(in crate::audit) observer: Arc<dyn Observer>,
    pub(in crate::audit) clock: Arc<dyn Clock>,
    pub(in crate::audit) strangers: Strangers,
    /// The last record that is durable.
    durable: AtomicU64,
    /// Decisions that wait for the writer, here and in all outboxes.
    waiting: AtomicUsize,
    /// Nothing is taken any more: the log is broken, or it is being closed.
    shut: AtomicBool,
    outboxes: Mutex<Vec<Arc<Outbox>>>,
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
    groups: Vec<Group>,
    /// How many records in them are waited for.
    decisions: usize,
    writer: Waits,
    closing: bool,
    health: JournalHealth,
    /// When the commit that is under way began.
    committing: Option<Instant>,
}

impl Queue {
    pub(in crate::audit) fn new(
        observer: Arc<dyn Observer>,
        clock: Arc<dyn Clock>,
        strangers: Strangers,
    ) -> Self {
        let state = State {
            groups: Vec::new(),
            decisions: 0,
            writer: Waits::No,
            closing: false,
            health: JournalHealth::Healthy,
            committing: None,
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            observer,
            clock,
            strangers,
            durable: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            shut: AtomicBool::new(false),
            outboxes: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a record is taken for which nobody waits. Those are never too many: there are
    /// no more outcomes than permitted decisions.
    pub(in crate::audit) fn admit_note(&self) -> Result<(), AuditError> {
        if self.shut.load(Ordering::Acquire) { Err(self.why_shut()) } else { Ok(()) }
    }

    /// Whether a decision is taken: no more than `decisions_max` wait, in whatever place.
    pub(in crate::audit) fn admit_decision(&self, decisions_max: usize) -> Result<(), AuditError> {
        self.admit_note()?;
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= decisions_max {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(AuditError::QueueFull);
        }
        Ok(())
    }

    /// One that was admitted does not come.
    pub(in crate::audit) fn withdraw_decision(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    fn why_shut(&self) -> AuditError {
        match self.lock().health.clone() {
            JournalHealth::Broken(why) => AuditError::Broken(why),
            JournalHealth::Healthy | JournalHealth::Failing(_) => {
                AuditError::Broken("the journal is closed".into())
            }
        }
    }

    /// Gives the writer records that were admitted.
    pub(in crate::audit) fn hand_over(&self, group: Group) {
        let mut state = self.lock();
        if state.closing || matches!(state.health, JournalHealth::Broken(_)) {
            drop(state);
            self.waiting.fetch_sub(group.waited(), Ordering::AcqRel);
            let error = self.why_shut();
            group.log_notes(&error);
            group.refused(&error);
            return;
        }
        let waited = group.waited();
        state.decisions += waited;
        state.groups.push(group);
        let wake = match state.writer {
            Waits::No => false,
            Waits::Briefly => waited > 0,
            Waits::Asleep => true,
        };
        if wake {
            state.writer = Waits::No;
            drop(state);
            self.work.notify_one();
        }
    }

    /// From now on what is in this outbox is handed over before the journal is closed.
    pub(in crate::audit) fn add_outbox(&self, outbox: Arc<Outbox>) {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner).push(outbox);
    }

    pub(in crate::audit) fn health(&self) -> JournalHealth {
        let state = self.lock();
        let took = state.committing.map_or(Duration::ZERO, |since| since.elapsed());
        if state.health == JournalHealth::Healthy && took > COMMIT_TIME_MAX {
            return JournalHealth::Failing(format!("a commit has taken {} s", took.as_secs()));
        }
        state.health.clone()
    }

    /// Lets the writer end once nothing waits any more. What outboxes hold goes before
    /// `last`, and nothing is taken after it.
    pub(in crate::audit) fn close(&self, last: Group) {
        // Whoever saw it open has put its record into the outbox before that is emptied.
        self.shut.store(true, Ordering::Release);
        let outboxes =
            std::mem::take(&mut *self.outboxes.lock().unwrap_or_else(PoisonError::into_inner));
        for outbox in outboxes {
            outbox.flush();
        }
        self.hand_over(last);
        self.lock().closing = true;
        self.work.notify_one();
    }

    pub(in crate::audit) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Lets the writer look again when something is due.
    pub(in crate::audit) fn nudge(&self) {
        // Not between its look and its sleep.
        drop(self.lock());
        self.work.notify_one();
    }

    /// Everything that waits, or `None` when the journal is closed and nothing does.
    /// `due` says when the writer has something of its own to write.
    pub(in crate::audit) fn take(
        &self,
        retained: bool,
        due: impl Fn() -> Option<Instant>,
    ) -> Option<Vec<Group>> {
        let mut state = self.lock();
        let mut lingers = 0;
        while state.decisions == 0 && !state.closing {
            let until_due = due().map(|due| due.saturating_duration_since(Instant::now()));
            if until_due.is_some_and(|time| time.is_zero()) {
                break;
            }
            let asleep = lingers == LINGERS_MAX && !retained;
            state.writer = if asleep { Waits::Asleep } else { Waits::Briefly };
            let most = if retained { RETRY_AFTER } else { LINGER };
            let most = if asleep { until_due } else { Some(until_due.unwrap_or(most).min(most)) };
            let Some(time) = most else {
                lingers = 0;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waited = self.work.wait_timeout(state, time);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            lingers = if asleep { 0 } else { lingers + 1 };
            if timeout.timed_out() && (retained || !state.groups.is_empty()) {
                break;
            }
        }
        state.writer = Waits::No;
        self.waiting.fetch_sub(std::mem::take(&mut state.decisions), Ordering::AcqRel);
        let groups = std::mem::take(&mut state.groups);
        (!groups.is_empty() || !state.closing || retained).then_some(groups)
    }

    /// All records up to this one are durable.
    pub(in crate::audit) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(in crate::audit) fn set_durable(&self, seq: u64) {
        self.durable.store(seq, Ordering::Release);
    }

    pub(in crate::audit) fn set_committing(&self, since: Option<Instant>) {
        self.lock().committing = since;
    }

    pub(in crate::audit) fn set_health(&self, health: JournalHealth) {
        let broken = matches!(health, JournalHealth::Broken(_));
        self.lock().health = health;
        if broken {
            self.shut.store(true, Ordering::Release);
        }
    }

    /// The writer is gone: whoever waits is told by the drop of its ticket.
    pub(in crate::audit) fn abandon(&self) {
        self.set_health(JournalHealth::Broken("the writer panicked".into()));
        let groups = std::mem::take(&mut self.lock().groups);
        drop(groups);
    }
}
