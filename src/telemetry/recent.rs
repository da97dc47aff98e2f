//! Counters of answered requests that were looked up before.
//!
//! A look-up by labels hashes and compares their words under a lock of the whole family. The
//! same few callers and reasons come again and again.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use parking_lot::Mutex;
use prometheus::IntCounter;

use crate::domain::{CallerId, Reason};

/// More callers than these at a time are looked up as before. A caller that is gone is kept
/// until another takes its place, and no more than so many are.
const PLACES: usize = 64;

/// What a counter of answered requests is for; no caller is a stranger.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Answered<'a> {
    pub(super) caller: Option<&'a CallerId>,
    pub(super) allowed: bool,
    pub(super) reason: Reason,
}

/// Remembers counters, each in the one place that it may have.
pub(super) struct Recent {
    places: Vec<Mutex<Option<Found>>>,
    hasher: BuildHasherDefault<DefaultHasher>,
}

struct Found {
    caller: Option<CallerId>,
    allowed: bool,
    reason: Reason,
    counter: IntCounter,
}

impl Found {
    fn is(&self, of: &Answered<'_>) -> bool {
        let known =
            Answered { caller: self.caller.as_ref(), allowed: self.allowed, reason: self.reason };
        known == *of
    }
}

impl Default for Recent {
    fn default() -> Self {
        let places = std::iter::repeat_with(Mutex::default).take(PLACES).collect();
        Self { places, hasher: BuildHasherDefault::new() }
    }
}

impl Recent {
    /// Counts one; `find` looks the counter up where it is not remembered.
    pub(super) fn count(&self, of: &Answered<'_>, find: impl FnOnce() -> IntCounter) {
        let hash = self.hasher.hash_one(of);
        let place = usize::try_from(hash % PLACES as u64).ok().and_then(|n| self.places.get(n));
        // Whoever finds the place taken does not wait for it.
        let Some(mut place) = place.and_then(Mutex::try_lock) else { return find().inc() };
        match &*place {
            Some(found) if found.is(of) => found.counter.inc(),
            Some(_) | None => {
                let counter = find();
                counter.inc();
                let (caller, allowed, reason) = (of.caller.cloned(), of.allowed, of.reason);
                *place = Some(Found { caller, allowed, reason, counter });
            }
        }
    }
}
