//! The records of one worker on their way to the writer.
//!
//! A worker serves many connections on one thread. What its requests record is put here and
//! handed over as one group when there is nothing else to do: the writer is woken once for
//! all of them, and they share a commit. Those who wait are told the same way back: the
//! writer wakes one task of the worker's, which wakes them.
//!
//! While the worker has something else to do, a record waits for others: a worker that is busy
//! would not answer sooner, and a commit costs it less the more share it. But never for long:
//! whatever the worker is busy with, after [`AGE_MAX`] the task hands over when it has its turn
//! among the others, or the next record does.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::audit::journal::error::AuditError;
use crate::audit::journal::group::{Group, Ticket, Waiters};
use crate::audit::journal::queue::Queue;
use crate::audit::record::encode::{Permitted, Unnumbered};

/// So many records are handed over at once, whatever else there is to do.
const RECORDS_MAX: usize = 512;

/// So are so many bytes.
const BYTES_MAX: usize = 128 * 1024;

/// And what has been here for longer than this.
pub(in crate::audit::journal) const AGE_MAX: Duration = Duration::from_millis(4);

/// A look at all that can run now takes less than this when nothing can.
const IDLE_ROUND_MAX: Duration = Duration::from_micros(30);

/// What waits to be handed over, and who waits for it.
pub(in crate::audit) struct Outbox {
    queue: Arc<Queue>,
    /// How long a decision waits to be durable.
    commit_wait: Duration,
    age_max: Duration,
    filling: Mutex<Filling>,
    /// Whom the writer has told and the worker has to wake.
    told: Mutex<Vec<Waker>>,
    /// The task that hands over and wakes.
    task: Mutex<Option<Waker>>,
}

#[derive(Default)]
struct Filling {
    group: Group,
    since: Option<Instant>,
    /// Until when the groups that were handed over may wait, the oldest first.
    waiting: VecDeque<(Instant, Arc<Waiters>)>,
}

impl Outbox {
    pub(in crate::audit) fn new(
        queue: Arc<Queue>,
        commit_wait: Duration,
        age_max: Duration,
    ) -> Self {
        Self {
            queue,
            commit_wait,
            age_max,
            filling: Mutex::default(),
            told: Mutex::default(),
            task: Mutex::default(),
        }
    }

    /// Takes a record for which nobody waits.
    pub(in crate::audit) fn note(
        self: &Arc<Self>,
        record: &impl Unnumbered,
    ) -> Result<(), AuditError> {
        let mut filling = self.filling.lock();
        self.queue.admit_note()?;
        filling.group.note(record)?;
        self.taken(filling);
        Ok(())
    }

    /// Takes a record for which somebody will wait.
    pub(in crate::audit) fn decision(
        self: &Arc<Self>,
        record: &impl Unnumbered,
        permits: Option<Permitted>,
        decisions_max: usize,
    ) -> Result<Ticket, AuditError> {
        let mut filling = self.filling.lock();
        self.queue.admit_decision(decisions_max)?;
        let ticket = filling.group.waited_for(record, permits);
        let ticket = ticket.inspect_err(|_| self.queue.withdraw_decision())?;
        self.taken(filling);
        Ok(ticket)
    }

    fn taken(self: &Arc<Self>, mut filling: parking_lot::MutexGuard<'_, Filling>) {
        let now = Instant::now();
        let group = &filling.group;
        let full = group.len() >= RECORDS_MAX || group.bytes() >= BYTES_MAX;
        match filling.since {
            Some(since) if full || now.duration_since(since) >= self.age_max => {
                self.hand_over(&mut filling, now);
            }
            Some(_) => {}
            None => {
                filling.since = Some(now);
                drop(filling);
                self.wake();
            }
        }
    }

    /// Gives the writer what is here.
    pub(in crate::audit) fn flush(self: &Arc<Self>) {
        self.hand_over(&mut self.filling.lock(), Instant::now());
    }

    fn hand_over(self: &Arc<Self>, filling: &mut Filling, now: Instant) {
        filling.since = None;
        let mut group = std::mem::take(&mut filling.group);
        if group.is_empty() {
            return;
        }
        if let Some(waiters) = group.waiters_at(self) {
            filling.waiting.push_back((now + self.commit_wait, waiters));
        }
        self.queue.hand_over(group);
    }

    /// Called by the writer: these have been told.
    pub(in crate::audit) fn told(&self, wakers: Vec<Waker>) {
        let first = {
            let mut told = self.told.lock();
            let first = told.is_empty();
            told.extend(wakers);
            first
        };
        if first {
            self.wake();
        }
    }

    fn wake(&self) {
        let task = self.task.lock().clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Hands over and wakes, for as long as it is polled: on the worker's own runtime.
    pub(in crate::audit) async fn run(self: &Arc<Self>) {
        let mut timer = pin!(sleep_until(Instant::now()));
        loop {
            std::future::poll_fn(|context| self.poll_work(context, timer.as_mut())).await;
            self.wake_told();
            self.gather().await;
            self.flush();
        }
    }

    fn wake_told(&self) {
        let told = std::mem::take(&mut *self.told.lock());
        told.into_iter().for_each(Waker::wake);
    }

    /// Waits behind all that can run now and what the sockets bring without waiting, until
    /// that is nothing.
    async fn gather(&self) {
        let decisions = || self.filling.lock().group.waited();
        let began = Instant::now();
        let (mut known, mut now, mut idle) = (decisions(), began, false);
        while known > 0 && !idle && now.duration_since(began) < self.age_max {
            tokio::task::yield_now().await;
            self.wake_told();
            let (before, round) = (known, now);
            (known, now) = (decisions(), Instant::now());
            idle = known <= before && now.duration_since(round) < IDLE_ROUND_MAX;
        }
    }

    /// Ready when there is something to hand over or somebody to wake.
    fn poll_work(&self, context: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<()> {
        {
            let mut task = self.task.lock();
            if !task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
                *task = Some(context.waker().clone());
            }
        }
        let mut filling = self.filling.lock();
        while filling.waiting.front().is_some_and(|(_, waiters)| waiters.are_told()) {
            filling.waiting.pop_front();
        }
        while let Some((until, _)) = filling.waiting.front() {
            if timer.as_mut().poll(context).is_pending() {
                break;
            }
            let (until, now) = (*until, Instant::now());
            if until > now {
                timer.as_mut().reset(until);
            } else if let Some((_, waiters)) = filling.waiting.pop_front() {
                waiters.time_out();
            }
        }
        let idle = filling.since.is_none() && self.told.lock().is_empty();
        if idle { Poll::Pending } else { Poll::Ready(()) }
    }
}

#[cfg(test)]
mod tests;
