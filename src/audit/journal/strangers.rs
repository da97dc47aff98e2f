//! The lane of those whom the gateway does not know: so many records a minute, and one
//! that counts the rest. Whatever they send, they neither fill the disk nor make a caller
//! wait: nobody waits for their records, and those that cannot be written are counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::audit::record::encode::Suppressed;

/// The time that the limit is about.
const WINDOW: Duration = Duration::from_secs(60);

pub(in crate::audit) struct Strangers {
    records_max: u32,
    state: Mutex<State>,
}

struct State {
    window: Instant,
    recorded: u32,
    suppressed: Option<(Instant, Suppressed)>,
}

/// What becomes of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) enum Place {
    /// It gets a record.
    Recorded,
    /// It is counted; `first` of those that the next record will count.
    Counted { first: bool },
}

impl Strangers {
    pub(in crate::audit) fn new(records_max: u32) -> Self {
        let state = State { window: Instant::now(), recorded: 0, suppressed: None };
        Self { records_max, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place in this minute, or counts.
    pub(in crate::audit) fn admit(&self, reason: &'static str, time: Timestamp) -> Place {
        let mut state = self.lock();
        if state.window.elapsed() >= WINDOW {
            (state.window, state.recorded) = (Instant::now(), 0);
        }
        if state.recorded < self.records_max {
            state.recorded += 1;
            return Place::Recorded;
        }
        Place::Counted { first: state.count(reason, time) }
    }

    /// Counts one that gets no record. Whether it is the first of those that the next record
    /// will count.
    pub(in crate::audit) fn count(&self, reason: &'static str, time: Timestamp) -> bool {
        self.lock().count(reason, time)
    }

    /// When the count is to be recorded.
    pub(in crate::audit) fn due(&self) -> Option<Instant> {
        self.lock().suppressed.as_ref().map(|(since, _)| *since + WINDOW)
    }

    /// The count, when it is due or `now`, which begins anew.
    pub(in crate::audit) fn take(&self, now: bool) -> Option<Suppressed> {
        let mut state = self.lock();
        let (since, _) = state.suppressed.as_ref()?;
        (now || since.elapsed() >= WINDOW).then(|| state.suppressed.take())?.map(|(_, count)| count)
    }

    /// A count that could not be recorded goes on.
    pub(in crate::audit) fn put_back(&self, count: Suppressed) {
        let mut state = self.lock();
        let (_, into) = state.suppressed.get_or_insert_with(|| {
            (Instant::now(), Suppressed { since: count.since, reasons: BTreeMap::new() })
        });
        into.since = into.since.min(count.since);
        for (reason, number) in count.reasons {
            *into.reasons.entry(reason).or_default() += number;
        }
    }
}

impl State {
    fn count(&mut self, reason: &'static str, time: Timestamp) -> bool {
        let first = self.suppressed.is_none();
        let (_, count) = self.suppressed.get_or_insert_with(|| {
            (Instant::now(), Suppressed { since: time, reasons: BTreeMap::new() })
        });
        *count.reasons.entry(reason).or_default() += 1;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_limit_is_counted_by_reason_and_none_is_lost() {
        let lane = Strangers::new(2);
        let time = Timestamp::UNIX_EPOCH;
        let places: Vec<Place> = ["a", "b", "a", "a", "b"].map(|r| lane.admit(r, time)).into();
        let counted = |first| Place::Counted { first };
        let expected =
            [Place::Recorded, Place::Recorded, counted(true), counted(false), counted(false)];
        assert_eq!(places, expected);
        assert_eq!(lane.take(false), None, "not yet");
        assert!(lane.due().is_some());
        let count = lane.take(true).unwrap();
        assert_eq!(count.reasons, BTreeMap::from([("a", 2), ("b", 1)]));
        assert_eq!((lane.take(true), lane.due()), (None, None));
        lane.put_back(count.clone());
        lane.count("b", time);
        let count = lane.take(true).unwrap();
        assert_eq!(count.reasons, BTreeMap::from([("a", 2), ("b", 2)]));
        assert_eq!(Strangers::new(0).admit("a", time), counted(true));
    }
}
