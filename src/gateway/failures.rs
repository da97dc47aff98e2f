//! Failures to authenticate, counted by the network that they come from.
//!
//! What is over the budget of a network is answered with less work, and nothing else changes:
//! a credential is always looked at first, so a caller whose network somebody else has used up
//! is served as before. Neither is a network kept from connecting: a handshake costs the same
//! with or without a failure after it, and callers behind the same address need theirs.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;

use governor::clock::{Clock as _, MonotonicClock};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;

use super::admission::whole_seconds;
use crate::domain::network_of;

/// Networks that are remembered, in sets of so many. The least recently seen of a set makes
/// room for one more.
const SETS: usize = 4096;
const WAYS: usize = 8;

/// The budgets of networks. Takes 1 MiB at most, however many networks there are.
pub(super) struct Failures(Option<RateLimiter<u128, Remembered, MonotonicClock>>);

impl Failures {
    /// So many a minute, and at once, of each network; 0 is no limit.
    pub(super) fn new(per_minute: u32) -> Self {
        let quota = std::num::NonZeroU32::new(per_minute).map(Quota::per_minute);
        Self(quota.map(|quota| RateLimiter::new(quota, Remembered::new(), MonotonicClock)))
    }

    /// Counts a failure. Where it is over the budget: when to come back, in seconds.
    pub(super) fn count(&self, from: IpAddr) -> Option<u32> {
        let limiter = self.0.as_ref()?;
        let early = limiter.check_key(&key(from)).err()?;
        Some(whole_seconds(early.wait_time_from(MonotonicClock.now())))
    }
}

/// One number for each network, IPv4 among IPv6 (RFC 4291, section 2.5.5.2).
fn key(address: IpAddr) -> u128 {
    match network_of(address) {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// When each network's budget is whole again, for those that were seen last.
struct Remembered {
    sets: Mutex<Sets>,
    hasher: RandomState,
}

struct Sets {
    sets: Vec<Vec<Entry>>,
    /// Grows with each look.
    now: u64,
}

struct Entry {
    key: u128,
    state: Nanos,
    seen: u64,
}

impl Remembered {
    fn new() -> Self {
        let sets = std::iter::repeat_with(Vec::new).take(SETS).collect();
        Self { sets: Mutex::new(Sets { sets, now: 0 }), hasher: RandomState::new() }
    }

    /// Where a network is: nobody outside can choose networks of one set.
    fn set_of(&self, key: u128) -> usize {
        usize::try_from(self.hasher.hash_one(key) % SETS as u64).unwrap_or(0)
    }
}

impl StateStore for Remembered {
    type Key = u128;

    fn measure_and_replace<T, F, E>(&self, key: &u128, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let at = self.set_of(*key);
        let mut sets = self.sets.lock();
        sets.now += 1;
        let now = sets.now;
        let Some(set) = sets.sets.get_mut(at) else { return measure(None).map(|(done, _)| done) };
        if let Some(known) = set.iter_mut().find(|entry| entry.key == *key) {
            known.seen = now;
            let (done, state) = measure(Some(known.state))?;
            known.state = state;
            return Ok(done);
        }
        let (done, state) = measure(None)?;
        let entry = Entry { key: *key, state, seen: now };
        if set.len() < WAYS {
            set.push(entry);
        } else if let Some(oldest) = set.iter_mut().min_by_key(|entry| entry.seen) {
            *oldest = entry;
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_network_has_a_budget_of_its_own() {
        let failures = Failures::new(3);
        let counted = |from: &str| failures.count(address(from)).is_none();
        let found: Vec<bool> = (0..5).map(|_| counted("192.0.2.1")).collect();
        assert_eq!(found, [true, true, true, false, false]);
        assert!(counted("192.0.2.2"), "another address");
        // The whole of a network of 64 bits is one customer's.
        let found: Vec<bool> = (1..5).map(|host| counted(&format!("2001:db8::{host}"))).collect();
        assert_eq!(found, [true, true, true, false]);
        assert!(counted("2001:db8:0:1::1") && counted("::1"));
        assert!(!counted("::ffff:192.0.2.1"), "one form of an address");
        let wait = failures.count(address("192.0.2.1"));
        assert!(wait.is_some_and(|wait| (1..=21).contains(&wait)), "{wait:?}");
        let without = Failures::new(0);
        assert!((0..1000).all(|_| without.count(address("192.0.2.1")).is_none()));
    }

    #[test]
    fn a_million_networks_take_no_more_room_than_some() {
        let failures = Failures::new(1);
        for number in 0..500_000_u32 {
            assert_eq!(failures.count(Ipv4Addr::from_bits(number).into()), None);
            let network = u128::from(number) << 64 | 0x2001 << 112;
            assert_eq!(failures.count(Ipv6Addr::from_bits(network).into()), None);
        }
        let sets = failures.0.unwrap().into_state_store().sets.into_inner().sets;
        let entries: usize = sets.iter().map(Vec::len).sum();
        let room: usize = sets.iter().map(Vec::capacity).sum();
        assert!(entries <= SETS * WAYS && entries > SETS * WAYS / 2, "{entries}");
        assert!(room <= SETS * WAYS, "{room}");
        assert!(room * size_of::<Entry>() <= 1 << 20, "{room} of {}", size_of::<Entry>());
    }

    #[test]
    fn a_network_that_keeps_failing_is_not_forgotten_for_those_that_failed_once() {
        let failures = Failures::new(1);
        let busy = address("192.0.2.1");
        assert_eq!(failures.count(busy), None);
        for number in 0..100_000_u32 {
            failures.count(Ipv4Addr::from_bits(0x0a00_0000 + number).into());
            if number % 1000 == 0 {
                assert!(failures.count(busy).is_some(), "forgotten after {number}");
            }
        }
    }
}
