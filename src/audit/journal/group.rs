//! Records that go to the writer together, and what those who wait for them are told.
//!
//! Who waits and who tells may be on different threads and may leave or be late: both look at
//! one state under one lock, so that exactly one of them closes a permit that nobody uses.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::audit::journal::error::AuditError;
use crate::audit::journal::outbox::Outbox;
use crate::audit::record::encode::{Kind, Permitted, Unnumbered, fits};
use crate::audit::record::event::Event;

/// One record on its way to the disk, without its text.
pub(in crate::audit) struct Item {
    pub(in crate::audit) kind: Kind,
    /// The request of an allow decision, which must get an outcome.
    pub(in crate::audit) permits: Option<Permitted>,
    /// Who waits for it; nobody does for outcomes.
    waiter: Option<usize>,
    /// Its place in the group's text.
    text: std::ops::Range<usize>,
}

impl Item {
    /// Whether somebody waits for it.
    pub(in crate::audit) fn is_waited_for(&self) -> bool {
        self.waiter.is_some()
    }
}

/// Records in their order. Should it be dropped before those who wait were told, they are
/// told that there is no writer.
#[derive(Default)]
pub(in crate::audit) struct Group {
    text: Vec<u8>,
    items: Vec<Item>,
    /// How many of them are waited for.
    waited: usize,
    waiters: Option<Arc<Waiters>>,
    /// Where those who wait are woken; without, each is woken by itself.
    outbox: Option<Arc<Outbox>>,
}

/// A place in a group, to wait for its record.
pub(in crate::audit) struct Ticket {
    waiters: Arc<Waiters>,
    number: usize,
}

/// All who wait for the records of one group.
#[derive(Default)]
pub(in crate::audit) struct Waiters(Mutex<Vec<Waiter>>);

enum Waiter {
    Waits(Option<Waker>),
    Told(Result<u64, AuditError>),
    /// Its record took too long, and it was or will be told so.
    TimedOut,
    Left,
}

impl Group {
    /// A record for which nobody waits.
    pub(in crate::audit) fn note(&mut self, record: &impl Unnumbered) -> Result<(), AuditError> {
        self.push(record, None).map(drop)
    }

    /// A record that somebody will wait for.
    pub(in crate::audit) fn waited_for(
        &mut self,
        record: &impl Unnumbered,
        permits: Option<Permitted>,
    ) -> Result<Ticket, AuditError> {
        let item = self.push(record, permits)?;
        let waiters = self.waiters.get_or_insert_default().clone();
        let number = waiters.add();
        if let Some(item) = self.items.get_mut(item) {
            item.waiter = Some(number);
        }
        self.waited += 1;
        Ok(Ticket { waiters, number })
    }

    /// Where it is among the records.
    fn push(
        &mut self,
        record: &impl Unnumbered,
        permits: Option<Permitted>,
    ) -> Result<usize, AuditError> {
        let start = self.text.len();
        record.write(&mut self.text);
        let text = start..self.text.len();
        if !fits(text.len()) {
            self.text.truncate(start);
            return Err(AuditError::TooLong);
        }
        self.items.push(Item { kind: record.kind(), permits, waiter: None, text });
        Ok(self.items.len() - 1)
    }

    /// Takes a record over that nobody waits for.
    pub(in crate::audit) fn adopt(&mut self, item: &Item, text: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        let text = start..self.text.len();
        self.items.push(Item { kind: item.kind, permits: item.permits, waiter: None, text });
    }

    pub(in crate::audit) fn len(&self) -> usize {
        self.items.len()
    }

    pub(in crate::audit) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The bytes of all records.
    pub(in crate::audit) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// How many of its records are waited for.
    pub(in crate::audit) fn waited(&self) -> usize {
        self.waited
    }

    /// The records and their lines from `time` on.
    pub(in crate::audit) fn records(&self) -> impl Iterator<Item = (&Item, &[u8])> {
        let text = |item: &Item| self.text.get(item.text.clone()).unwrap_or_default();
        self.items.iter().map(move |item| (item, text(item)))
    }

    /// Those who wait for it, and from now on are woken there.
    pub(in crate::audit) fn waiters_at(&mut self, outbox: &Arc<Outbox>) -> Option<Arc<Waiters>> {
        self.outbox = Some(outbox.clone());
        self.waiters.clone()
    }

    /// Moves the outcomes into a group of their own.
    pub(in crate::audit) fn take_outcomes(&mut self, into: &mut Self) {
        for (item, text) in self.records().filter(|(item, _)| item.kind.event == Event::Outcome) {
            into.adopt(item, text);
        }
        self.items.retain(|item| item.kind.event != Event::Outcome);
    }

    /// Tells those who wait that the records are durable, the first with this number. Gives
    /// the permits for which nobody waits any more, so that they are closed.
    pub(in crate::audit) fn committed(self, first_seq: u64) -> Vec<(Permitted, u64)> {
        self.tell(|position| Ok(first_seq + position))
    }

    /// Says which records are lost to the log, where nobody waits to be told.
    pub(in crate::audit) fn log_notes(&self, why: &AuditError) {
        for (_, text) in self.records().filter(|(item, _)| !item.is_waited_for()) {
            tracing::error!(
                record = %String::from_utf8_lossy(text),
                error = %why,
                "an outcome could not be recorded; the next start closes its decision as unknown"
            );
        }
    }

    /// Tells those who wait that there is no record.
    pub(in crate::audit) fn refused(self, why: &AuditError) {
        self.tell(|_| Err(why.clone()));
    }

    fn tell(mut self, answer: impl Fn(u64) -> Result<u64, AuditError>) -> Vec<(Permitted, u64)> {
        let mut abandoned = Vec::new();
        let Some(waiters) = self.waiters.take() else { return abandoned };
        let mut wakers = Vec::new();
        {
            let mut all = waiters.0.lock();
            for (position, item) in (0..).zip(&self.items) {
                let Some(waiter) = item.waiter.and_then(|number| all.get_mut(number)) else {
                    continue;
                };
                let answer = answer(position);
                match waiter {
                    Waiter::Waits(waker) => {
                        wakers.extend(waker.take());
                        *waiter = Waiter::Told(answer);
                    }
                    Waiter::TimedOut | Waiter::Left => {
                        abandoned.extend(item.permits.zip(answer.ok()));
                    }
                    Waiter::Told(_) => {}
                }
            }
        }
        match self.outbox.take() {
            Some(outbox) => outbox.told(wakers),
            None => wakers.into_iter().for_each(Waker::wake),
        }
        abandoned
    }
}

impl Ticket {
    /// What becomes of the record, once that is known.
    pub(in crate::audit) fn poll(&self, context: &Context<'_>) -> Poll<Result<u64, AuditError>> {
        let mut all = self.waiters.0.lock();
        match all.get_mut(self.number) {
            Some(Waiter::Waits(waker)) => {
                if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                    *waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
            Some(Waiter::Told(answer)) => Poll::Ready(answer.clone()),
            Some(Waiter::TimedOut | Waiter::Left) | None => Poll::Ready(Err(AuditError::TimedOut)),
        }
    }

    /// Waits no longer. If the record is durable already, this is its number: whoever leaves
    /// has to close what it permits. Else the writer does.
    pub(in crate::audit) fn leave(&self) -> Option<u64> {
        let mut all = self.waiters.0.lock();
        let waiter = all.get_mut(self.number)?;
        match std::mem::replace(waiter, Waiter::Left) {
            Waiter::Told(answer) => answer.ok(),
            Waiter::Waits(_) | Waiter::TimedOut | Waiter::Left => None,
        }
    }
}

impl Waiters {
    fn add(&self) -> usize {
        let mut all = self.0.lock();
        all.push(Waiter::Waits(None));
        all.len() - 1
    }

    /// Whether nobody waits any more.
    pub(in crate::audit) fn are_told(&self) -> bool {
        self.0.lock().iter().all(|waiter| !matches!(waiter, Waiter::Waits(_)))
    }

    /// Those who still wait have waited long enough.
    pub(in crate::audit) fn time_out(&self) {
        let mut wakers = Vec::new();
        for waiter in self.0.lock().iter_mut() {
            if let Waiter::Waits(waker) = waiter {
                wakers.extend(waker.take());
                *waiter = Waiter::TimedOut;
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.waiters.is_some() {
            let error = AuditError::Broken("the writer has ended".into());
            std::mem::take(self).refused(&error);
        }
    }
}
