//! What there is room for, and what is forgotten.

use std::collections::HashMap;
use std::time::Instant;

use super::{Bounds, Doubt, End, Grant, Latest, Table};
use crate::domain::{CallerId, IdempotencyKey};

/// What is past its time is forgotten by the way, at most this much for each request.
const FORGOTTEN_AT_ONCE: usize = 64;

impl Table {
    pub(super) fn has_room_for_key(&mut self, caller: &CallerId, now: Instant) -> bool {
        let Bounds { of_caller, of_all, .. } = self.bounds;
        let fits = |table: &Self| {
            let own = table.keys.get(caller).map_or(0, HashMap::len);
            own < of_caller && table.keys_of_all < of_all
        };
        fits(self) || (self.forget(now, usize::MAX) && fits(self))
    }

    pub(super) fn has_room_for_doubt(&mut self, caller: &CallerId, now: Instant) -> bool {
        let Bounds { of_caller, of_all, .. } = self.bounds;
        let fits = |table: &Self| {
            let own = table.doubts.get(caller).copied().unwrap_or_default();
            own < of_caller && table.doubts_of_all < of_all
        };
        fits(self) || (self.forget(now, usize::MAX) && fits(self))
    }

    pub(super) fn forget_some(&mut self, now: Instant) {
        self.forget(now, FORGOTTEN_AT_ONCE);
    }

    /// Forgets what is past its time; true where there was anything.
    fn forget(&mut self, now: Instant, most: usize) -> bool {
        let mut forgotten = 0;
        while forgotten < most && self.ends.front().is_some_and(|(until, _)| *until <= now) {
            forgotten += 1;
            match self.ends.pop_front() {
                Some((_, End::Key(caller, key))) => self.forget_key(&caller, &key, now),
                Some((_, End::Doubt(grant, seq))) => self.forget_doubt(&grant, seq),
                None => {}
            }
        }
        forgotten > 0
    }

    /// Unless it was used again since.
    fn forget_key(&mut self, caller: &CallerId, key: &IdempotencyKey, now: Instant) {
        if self.kept(caller, key, now).is_some() {
            return;
        }
        if let Some(keys) = self.keys.get_mut(caller) {
            self.keys_of_all -= usize::from(keys.remove(key).is_some());
            if keys.is_empty() {
                self.keys.remove(caller);
            }
        }
    }

    fn forget_doubt(&mut self, grant: &Grant, seq: u64) {
        self.found.remove(&seq);
        match self.grants.get_mut(grant) {
            Some(Latest::InDoubt(doubt)) if doubt.seq == seq => {
                self.grants.remove(grant);
            }
            Some(Latest::Flying(flight)) if flight.before.is_some_and(|b| b.seq == seq) => {
                flight.before = None;
            }
            Some(Latest::InDoubt(_) | Latest::Flying(_)) | None => return,
        }
        self.undo_doubt(&grant.caller);
    }

    pub(super) fn undoubt(&mut self, caller: &CallerId, doubt: Option<Doubt>) {
        if doubt.is_some() {
            self.undo_doubt(caller);
        }
    }

    pub(super) fn undo_doubt(&mut self, caller: &CallerId) {
        self.doubts_of_all = self.doubts_of_all.saturating_sub(1);
        if let Some(count) = self.doubts.get_mut(caller) {
            *count -= 1;
            if *count == 0 {
                self.doubts.remove(caller);
            }
        }
    }
}
