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
use crate::domain::{CallerId, Effect, Reason};

/// Refused requests whose body is taken off the connection at the same time.
const DISCARDS_MAX: usize = 256;

/// Of the places of all, and of those of one caller, requests that only read may take one in
/// so many: their answers are large, and they must not keep grants out.
const READS_SHARE: usize = 8;

/// Decides who may go on.
pub struct Admission {
    places: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    discards: Semaphore,
    in_flight: Arc<Mutex<HashMap<CallerId, InFlight>>>,
    in_flight_max: usize,
    rates: RateLimiter<CallerId, HashMapStateStore<CallerId>, MonotonicClock>,
}

/// What one caller has in flight.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct InFlight {
    all: usize,
    reads: usize,
}

/// One request's place among those in flight; given back when it is dropped.
pub(super) struct Seat {
    _of_all: OwnedSemaphorePermit,
    of_reads: Option<OwnedSemaphorePermit>,
    of_caller: (CallerId, Arc<Mutex<HashMap<CallerId, InFlight>>>),
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}

fn share(places: usize) -> usize {
    (places / READS_SHARE).max(1)
}

impl Admission {
    /// As the settings say.
    #[must_use]
    pub fn new(limits: &RequestLimits) -> Self {
        let quota = Quota::per_second(limits.caller_requests_per_second)
            .allow_burst(limits.caller_requests_burst);
        Self {
            places: Arc::new(Semaphore::new(limits.requests_in_flight_max)),
            reads: Arc::new(Semaphore::new(share(limits.requests_in_flight_max))),
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
    pub(super) fn admit(&self, caller: &CallerId, effect: Effect) -> Result<Seat, Refusal> {
        if let Err(early) = self.rates.check_key(caller) {
            let wait = early.wait_time_from(MonotonicClock.now());
            return Err(Refusal::retry_after(Reason::RateLimited, whole_seconds(wait)));
        }
        let place = |places: &Arc<Semaphore>| {
            let place = places.clone().try_acquire_owned();
            place.map_err(|_| Refusal::retry_after(Reason::Overloaded, 1))
        };
        let of_reads = match effect {
            Effect::Changes => None,
            Effect::Reads => Some(place(&self.reads)?),
        };
        let of_all = place(&self.places)?;
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        // Callers that have nothing in flight are not kept: callers come and go.
        let mut own = in_flight.get(caller).copied().unwrap_or_default();
        own.all += 1;
        own.reads += usize::from(of_reads.is_some());
        if own.all > self.in_flight_max || own.reads > share(self.in_flight_max) {
            return Err(Refusal::retry_after(Reason::CallerBusy, 1));
        }
        in_flight.insert(caller.clone(), own);
        let of_caller = (caller.clone(), self.in_flight.clone());
        Ok(Seat { _of_all: of_all, of_reads, of_caller })
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
            Some(own) if own.all > 1 => {
                own.all -= 1;
                own.reads -= usize::from(self.of_reads.is_some());
            }
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
    use crate::domain::{Operation, Outcome, RequestId};
    use crate::gateway::Answer;
    use crate::seam;
    use crate::upstream::Forwarded;
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
        admission.admit(caller, Effect::Changes).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn each_limit_has_its_own_reason_and_places_come_back() {
        let [a, b] = ["a", "b"].map(|id| CallerId::parse(id).unwrap());
        let limits = admission(3, 2, 100);
        let places =
            [limits.admit(&a, Effect::Changes).ok(), limits.admit(&a, Effect::Changes).ok()];
        assert!(places.iter().all(Option::is_some));
        assert_eq!(refused(&limits, &a), Some(Reason::CallerBusy));
        let last = limits.admit(&b, Effect::Changes).ok();
        assert!(last.is_some(), "one caller does not use up another's");
        assert_eq!(refused(&limits, &b), Some(Reason::Overloaded));
        drop((places, last));
        assert_eq!(refused(&limits, &a), None);
        assert!(limits.in_flight.lock().unwrap().is_empty());
    }

    #[test]
    fn reads_have_a_share_and_leave_the_rest_to_grants() {
        let [a, b] = ["a", "b"].map(|id| CallerId::parse(id).unwrap());
        let limits = admission(24, 16, 100);
        let read = |caller: &CallerId| limits.admit(caller, Effect::Reads);
        let reason = |refused: Result<Seat, Refusal>| refused.err().map(|refusal| refusal.reason);
        let mut seats = vec![read(&a).ok(), read(&a).ok()];
        assert!(seats.iter().all(Option::is_some));
        assert_eq!(reason(read(&a)), Some(Reason::CallerBusy));
        seats.push(read(&b).ok());
        assert_eq!(reason(read(&b)), Some(Reason::Overloaded), "three of twenty-four");
        assert_eq!(refused(&limits, &a), None, "grants go on");
        drop(seats.remove(0));
        assert_eq!(reason(read(&a)), None);
        drop(seats);
        assert!(limits.in_flight.lock().unwrap().is_empty());
    }

    /// An answer that nobody reads keeps its caller from asking for more of them.
    #[test]
    fn a_read_has_its_seat_until_its_answer_is_sent() {
        let caller = CallerId::parse("a").unwrap();
        let limits = admission(8, 8, 100);
        let forwarded = Forwarded {
            outcome: Outcome::Answered,
            reason: Reason::AllowedByRule,
            status: Some(http::StatusCode::OK),
            confirmation: None,
            error: None,
            retry_after_s: None,
            seam_request_id: None,
            took: None,
        };
        let shown = seam::Shown::Read { entrances: 0, body: b"{}".to_vec() };
        let answer = Answer::forwarded(Operation::ListEntrances, forwarded, Some(shown));
        let seat = limits.admit(&caller, Effect::Reads).ok().unwrap();
        let response = answer.holding(seat).into_response(RequestId::generate());
        assert!(limits.admit(&caller, Effect::Reads).is_err());
        drop(response);
        assert!(limits.admit(&caller, Effect::Reads).is_ok());
    }

    #[test]
    fn a_caller_that_is_too_fast_is_told_when_to_come_back() {
        let [a, b] = ["a", "b"].map(|id| CallerId::parse(id).unwrap());
        let limits = admission(100, 100, 3);
        for _ in 0..3 {
            assert_eq!(refused(&limits, &a), None);
        }
        let refusal = limits.admit(&a, Effect::Changes).err().unwrap();
        assert_eq!(refusal.reason, Reason::RateLimited);
        assert!(matches!(refusal.retry_after_s, Some(1..=2)));
        assert_eq!(refused(&limits, &b), None);
    }
}
