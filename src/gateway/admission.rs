//! How much work is taken on: in all, for one caller, and for strangers.
//!
//! A place is taken once the caller is known, so that those who are nobody cannot use
//! up what belongs to those who are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::Refusal;
use crate::config::RequestLimits;
use crate::domain::{CallerId, Reason};

/// Refused requests whose body is taken off the connection at the same time.
const DISCARDS_MAX: usize = 256;

/// Decides who may go on.
pub struct Admission {
    places: Arc<Semaphore>,
    discards: Semaphore,
    in_flight: Arc<Mutex<HashMap<CallerId, usize>>>,
    in_flight_max: usize,
    rates: RateLimiter<CallerId, HashMapStateStore<CallerId>, MonotonicClock>,
}

/// One request's place among those in flight; given back when it is dropped.
pub(super) struct Seat {
    _of_all: OwnedSemaphorePermit,
    of_caller: (CallerId, Arc<Mutex<HashMap<CallerId, usize>>>),
}

impl Admission {
    /// As the settings say.
    #[must_use]
    pub fn new(limits: &RequestLimits) -> Self {
        let quota = Quota::per_second(limits.caller_requests_per_second)
            .allow_burst(limits.caller_requests_burst);
        Self {
            places: Arc::new(Semaphore::new(limits.requests_in_flight_max)),
            discards: Semaphore::new(DISCARDS_MAX),
            in_flight: Arc::default(),
            in_flight_max: limits.caller_requests_in_flight_max,
            rates: RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock),
        }
    }

    /// Takes a place for a request of this caller.
    ///
    /// # Errors
    /// [`Reason::RateLimited`], [`Reason::CallerBusy`] or [`Reason::Overloaded`].
    pub(super) fn admit(&self, caller: &CallerId) -> Result<Seat, Refusal> {
        if let Err(early) = self.rates.check_key(caller) {
            let wait = early.wait_time_from(MonotonicClock.now());
            return Err(Refusal::retry_after(Reason::RateLimited, whole_seconds(wait)));
        }
        let of_all = self.places.clone().try_acquire_owned();
        let of_all = of_all.map_err(|_| Refusal::retry_after(Reason::Overloaded, 1))?;
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        // Callers that have nothing in flight are not kept: callers come and go.
        let own = in_flight.get(caller).copied().unwrap_or(0);
        if own >= self.in_flight_max {
            return Err(Refusal::retry_after(Reason::CallerBusy, 1));
        }
        in_flight.insert(caller.clone(), own + 1);
        Ok(Seat { _of_all: of_all, of_caller: (caller.clone(), self.in_flight.clone()) })
    }

    /// A place to take the body of a refused request off its connection; without one
    /// the body is left there.
    pub(super) fn discard(&self) -> Option<SemaphorePermit<'_>> {
        self.discards.try_acquire().ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let (caller, in_flight) = &self.of_caller;
        let mut in_flight = in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        match in_flight.get_mut(caller) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                in_flight.remove(caller);
            }
        }
    }
}

/// Rounded up: `Retry-After` has whole seconds (RFC 9110, section 10.2.3).
fn whole_seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX).saturating_add(1).min(3600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn admission(all: usize, own: usize, burst: u32) -> Admission {
        Admission::new(&RequestLimits {
            body_bytes_max: 1,
            headers_max: 64,
            body_timeout: Duration::ZERO,
            requests_in_flight_max: all,
            answer_deadline: Duration::ZERO,
            caller_requests_in_flight_max: own,
            caller_requests_per_second: NonZeroU32::MIN,
            caller_requests_burst: NonZeroU32::new(burst).unwrap(),
        })
    }

    fn refused(admission: &Admission, caller: &CallerId) -> Option<Reason> {
        admission.admit(caller).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn each_limit_has_its_own_reason_and_places_come_back() {
        let [a, b] = ["a", "b"].map(|id| CallerId::parse(id).unwrap());
        let limits = admission(3, 2, 100);
        let places = [limits.admit(&a).ok(), limits.admit(&a).ok()];
        assert!(places.iter().all(Option::is_some));
        assert_eq!(refused(&limits, &a), Some(Reason::CallerBusy));
        let last = limits.admit(&b).ok();
        assert!(last.is_some(), "one caller does not use up another's");
        assert_eq!(refused(&limits, &b), Some(Reason::Overloaded));
        drop((places, last));
        assert_eq!(refused(&limits, &a), None);
        assert!(limits.in_flight.lock().unwrap().is_empty());
    }

    #[test]
    fn a_caller_that_is_too_fast_is_told_when_to_come_back() {
        let [a, b] = ["a", "b"].map(|id| CallerId::parse(id).unwrap());
        let limits = admission(100, 100, 3);
        for _ in 0..3 {
            assert_eq!(refused(&limits, &a), None);
        }
        let refusal = limits.admit(&a).err().unwrap();
        assert_eq!(refusal.reason, Reason::RateLimited);
        assert!(matches!(refusal.retry_after_s, Some(1..=2)));
        assert_eq!(refused(&limits, &b), None);
    }
}
