//! What casbin said before of the same question, so that it need not be asked again.
//!
//! A verdict is kept only where no rule that could match has a condition: then it depends on
//! caller, act and entrance, and on the policy, whose identity each place of the memo
//! remembers. A verdict of another policy, such as the one before a reload, is never found.
//! What the index says is not kept: it costs no more to find out again, and whoever asks about
//! entrances that no rule reaches takes up no room here.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::names::{Hashing, Name};
use super::{Evaluation, Question};
use crate::domain::{Act, CallerId, EntranceId};

/// Any verdict has its place in one of these sets, and no other: a question is looked for
/// among few, and nothing grows.
const SETS: usize = 8_192;
const ENTRIES_PER_SET: usize = 8;

/// One policy in memory: no two have the same, even when their texts are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64);

impl Identity {
    /// One that no policy has had.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Verdicts of casbin's, at most 65,536.
///
/// It is meant for one thread: its lock is for the compiler, and costs little while nobody
/// else wants it.
pub struct Memo(Mutex<Held>);

struct Held {
    hashing: Hashing,
    /// How many sets there are to be.
    count: usize,
    /// None before the first verdict.
    sets: Vec<Set>,
    /// Counts questions that were found, and verdicts that were put in.
    clock: u64,
}

/// Verdicts of one policy.
#[derive(Default)]
struct Set {
    of: Option<Identity>,
    entries: Vec<Entry>,
}

/// All that casbin's verdict depends on in one policy where no condition is looked at.
type Key<C> = (EntranceId, Act, C, Option<Name>);

/// What is asked of one policy: of the workspace its number, where its rules name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) question: Question<'a>,
    pub(super) workspace: Option<Name>,
}

fn key(asked: Asked<'_>) -> Key<&CallerId> {
    let Question { entrance, act, caller, .. } = asked.question;
    (entrance, act, caller, asked.workspace)
}

struct Entry {
    key: Key<CallerId>,
    /// The clock when it was last of use.
    used: u64,
    evaluation: Evaluation,
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memo").finish_non_exhaustive()
    }
}

impl Default for Memo {
    fn default() -> Self {
        Self::with_sets(SETS)
    }
}

impl Memo {
    pub(super) fn with_sets(count: usize) -> Self {
        let hashing = Hashing::default();
        Self(Mutex::new(Held { hashing, count, sets: Vec::new(), clock: 0 }))
    }

    /// What this policy's casbin said of the question.
    pub(super) fn get(&self, policy: Identity, asked: Asked<'_>) -> Option<Evaluation> {
        let mut held = self.0.lock();
        let place = held.place(asked);
        let Held { sets, clock, .. } = &mut *held;
        let set = sets.get_mut(place).filter(|set| set.of == Some(policy))?;
        let entry = set.entries.iter_mut().find(|entry| entry.key() == key(asked))?;
        *clock += 1;
        entry.used = *clock;
        Some(entry.evaluation.clone())
    }

    /// Keeps what this policy's casbin said, whatever the moment of the question.
    pub(super) fn put(&self, policy: Identity, asked: Asked<'_>, evaluation: Evaluation) {
        let mut held = self.0.lock();
        if held.sets.is_empty() {
            let count = held.count;
            held.sets.resize_with(count, Set::default);
        }
        let place = held.place(asked);
        let Held { sets, clock, .. } = &mut *held;
        let Some(set) = sets.get_mut(place) else { return };
        if set.of != Some(policy) {
            // Set by set, so that no request waits for all of them after a reload.
            set.entries.clear();
            set.of = Some(policy);
        }
        *clock += 1;
        let (entrance, act, caller, workspace) = key(asked);
        let key = (entrance, act, caller.clone(), workspace);
        set.put(Entry { key, used: *clock, evaluation });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().sets.iter().map(|set| set.entries.len()).sum()
    }
}

impl Held {
    fn place(&self, asked: Asked<'_>) -> usize {
        let hash = self.hashing.hash_one(key(asked));
        usize::try_from(hash % self.count as u64).unwrap_or(0)
    }
}

impl Set {
    /// Where there is no room, the caller that has most of the set loses what was of no use
    /// for longest. So a caller that asks about ever new entrances ends up replacing its own.
    fn put(&mut self, entry: Entry) {
        let share = |of: &Entry| {
            self.entries.iter().chain([&entry]).filter(|held| held.key.2 == of.key.2).count()
        };
        let same = self.entries.iter().position(|held| held.key == entry.key);
        let full = self.entries.len() >= ENTRIES_PER_SET;
        let place = same.or_else(|| {
            let of = self.entries.iter().enumerate().filter(|_| full);
            let of = of.max_by_key(|(_, held)| (share(held), u64::MAX - held.used));
            of.map(|(place, _)| place)
        });
        match place.and_then(|place| self.entries.get_mut(place)) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
    }
}

impl Entry {
    fn key(&self) -> Key<&CallerId> {
        let (entrance, act, caller, workspace) = &self.key;
        (*entrance, *act, caller, *workspace)
    }
}
