//! How much work is taken on: in all, for one caller, and for strangers.
//!
//! A place is taken once the caller is known, so that those who are nobody cannot use
//! up what belongs to those who are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Refusal;
use super::failures::Failures;
use crate::config::RequestLimits;
use crate::domain::{CallerId, Effect, Reason};
use crate::fleet::Gateways;

/// Refused requests whose body is taken off the connection at the same time.
const DISCARDS_MAX: usize = 256;

/// Of the places of all, and of those of one caller, requests that only read may take one in
/// so many: their answers are large, and they must not keep grants out.
const READS_SHARE: usize = 8;

/// Callers that have gone are looked for when so many are known, and then at twice as many as
/// are left.
const KNOWN_MIN: usize = 64;

/// Decides who may go on.
pub struct Admission {
    places: Arc<Places>,
    reads: Arc<Places>,
    discards: Semaphore,
    failures: Failures,
    in_flight_max: usize,
    /// Of one caller, a second and at once.
    rate: (NonZeroU32, NonZeroU32),
    gateways: Arc<Gateways>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    callers: HashMap<CallerId, Arc<KnownCaller>>,
    forget_at: usize,
}

/// What is kept of a caller from one request to the next.
struct KnownCaller {
    in_flight: Mutex<InFlight>,
}

/// A caller's rate, where so many gateways share it.
struct Rate {
    gateways: u32,
    limiter: RateLimiter<NotKeyed, InMemoryState, MonotonicClock>,
}

/// What one caller has in flight.
struct InFlight {
    rate: Rate,
    all: usize,
    reads: usize,
    /// When it asked last.
    asked: Instant,
}

/// Places that are taken, of so many.
struct Places {
    taken: AtomicUsize,
    max: usize,
}

/// Given back when it is dropped.
struct Place(Arc<Places>);

/// One request's place among those in flight; given back when it is dropped.
pub(super) struct Seat {
    _of_all: Place,
    of_reads: Option<Place>,
    caller: Arc<KnownCaller>,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}

fn share(places: usize) -> usize {
    (places / READS_SHARE).max(1)
}

impl Rate {
    fn new(quota: Quota, gateways: u32) -> Self {
        Self { gateways, limiter: RateLimiter::direct_with_clock(quota, MonotonicClock) }
    }

    /// Nobody gains anything by gateways that come and go: of what may be sent at once after a pause
    /// only one is left.
    fn used_up(quota: Quota, gateways: u32) -> Self {
        let own = Self::new(quota, gateways);
        if let Some(all_but_one) = NonZeroU32::new(quota.burst_size().get() - 1) {
            let _ = own.limiter.check_n(all_but_one);
        }
        own
    }
}

impl KnownCaller {
    /// Whether it would be the same if it were new: nothing of it is in flight, and its rate
    /// is all its own again.
    fn can_be_forgotten(self: &Arc<Self>, quota: Quota) -> bool {
        let unused = Arc::strong_count(self) == 1;
        unused && self.in_flight.lock().asked.elapsed() > quota.burst_size_replenished_in()
    }
}

impl Places {
    fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), max })
    }

    fn take(self: &Arc<Self>) -> Option<Place> {
        let more = |taken| (taken < self.max).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
        taken.is_ok().then(|| Place(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Admission {
    /// As the settings say; rates are divided among so many gateways.
    #[must_use]
    pub fn new(limits: &RequestLimits, gateways: Arc<Gateways>) -> Self {
        Self {
            places: Places::new(limits.requests_in_flight_max),
            reads: Places::new(share(limits.requests_in_flight_max)),
            discards: Semaphore::new(DISCARDS_MAX),
            failures: Failures::new(limits.authentication_failures_per_minute),
            in_flight_max: limits.caller_requests_in_flight_max,
            rate: (limits.caller_requests_per_second, limits.caller_requests_burst),
            gateways,
            known: Mutex::new(Known { forget_at: KNOWN_MIN, ..Known::default() }),
        }
    }

    /// The part of the rate that this gateway has.
    fn quota(&self, gateways: u32) -> Quota {
        let (per_second, burst) = self.rate;
        let quota = Quota::per_second(per_second);
        let one_each = quota.replenish_interval().saturating_mul(gateways);
        let quota = Quota::with_period(one_each).unwrap_or(quota);
        quota.allow_burst(NonZeroU32::new(burst.get() / gateways).unwrap_or(NonZeroU32::MIN))
    }

    fn caller(&self, id: &CallerId) -> Arc<KnownCaller> {
        let gateways = self.gateways.count();
        let mut known = self.known.lock();
        if let Some(caller) = known.callers.get(id) {
            return caller.clone();
        }
        // Callers come and go.
        if known.callers.len() >= known.forget_at {
            known.callers.retain(|_, caller| !caller.can_be_forgotten(self.quota(gateways)));
            known.forget_at = KNOWN_MIN.max(2 * known.callers.len());
        }
        let caller = Arc::new(KnownCaller {
            in_flight: Mutex::new(InFlight {
                rate: Rate::new(self.quota(gateways), gateways),
                all: 0,
                reads: 0,
                asked: Instant::now(),
            }),
        });
        known.callers.insert(id.clone(), caller.clone());
        caller
    }

    /// Takes a place for a request of this caller.
    ///
    /// # Errors
    /// [`Reason::RateLimited`], [`Reason::CallerBusy`] or [`Reason::Overloaded`].
    pub(super) fn admit(&self, caller: &CallerId, effect: Effect) -> Result<Seat, Refusal> {
        let caller = self.caller(caller);
        let mut own = caller.in_flight.lock();
        own.asked = Instant::now();
        let gateways = self.gateways.count();
        if own.rate.gateways != gateways {
            own.rate = Rate::used_up(self.quota(gateways), gateways);
        }
        if let Err(early) = own.rate.limiter.check() {
            let wait = early.wait_time_from(MonotonicClock.now());
            return Err(Refusal::retry_after(Reason::RateLimited, whole_seconds(wait)));
        }
        let place = |places: &Arc<Places>| {
            places.take().ok_or_else(|| Refusal::retry_after(Reason::Overloaded, 1))
        };
        let of_reads = match effect {
            Effect::Changes => None,
            Effect::Reads => Some(place(&self.reads)?),
        };
        let of_all = place(&self.places)?;
        let (all, reads) = (own.all + 1, own.reads + usize::from(of_reads.is_some()));
        if all > self.in_flight_max || reads > share(self.in_flight_max) {
            return Err(Refusal::retry_after(Reason::CallerBusy, 1));
        }
        (own.all, own.reads) = (all, reads);
        drop(own);
        Ok(Seat { _of_all: of_all, of_reads, caller })
    }

    /// Counts a failure to authenticate. Where its network has used up its budget: when to
    /// come back, in seconds.
    pub(super) fn count_failure(&self, from: IpAddr) -> Option<u32> {
        self.failures.count(from)
    }

    /// A place to take the body of a refused request off its connection; without one
    /// the body is left there.
    pub(super) fn discard(&self) -> Option<SemaphorePermit<'_>> {
        self.discards.try_acquire().ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut own = self.caller.in_flight.lock();
        own.all -= 1;
        own.reads -= usize::from(self.of_reads.is_some());
    }
}

/// Rounded up: `Retry-After` has whole seconds (RFC 9110, section 10.2.3).
pub(super) fn whole_seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX).saturating_add(1).min(3600)
}

#[cfg(test)]
mod tests;
