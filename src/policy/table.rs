//! A table that is filled once and then only read: a key is looked for in one place of memory
//! and in what is beside it. In a large policy a decision that no rule makes is little else
//! than waiting for memory.

use std::hash::{BuildHasher as _, Hash};

use super::names::Hashing;

/// Values by small keys.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    hashing: Hashing,
    /// An entry has the first slot that was free from where its hash points, and round the end.
    slots: Vec<Option<(K, V)>>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { hashing: Hashing::default(), slots: Vec::new() }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Table<K, V> {
    /// Holds these; no key comes twice.
    pub(super) fn new(entries: Vec<(K, V)>) -> Self {
        // Half stays free: a key that is not there is soon seen to be missing.
        let slots = vec![None; 2 * entries.len()];
        let mut table = Self { hashing: Hashing::default(), slots };
        for (key, value) in entries {
            let start = table.start(&key);
            let (before, after) = table.slots.split_at_mut(start);
            if let Some(free) = after.iter_mut().chain(before).find(|slot| slot.is_none()) {
                *free = Some((key, value));
            }
        }
        table
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        let (before, after) = self.slots.split_at(self.start(key));
        let mut taken = after.iter().chain(before).map_while(Option::as_ref);
        taken.find(|(other, _)| other == key).map(|(_, value)| value)
    }

    /// The slot that the hash of a key points to.
    fn start(&self, key: &K) -> usize {
        let place = (u128::from(self.hashing.hash_one(key)) * self.slots.len() as u128) >> 64;
        usize::try_from(place).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        for count in [0, 1, 2, 3, 1_000] {
            let table = Table::new((0..count).map(|n: u32| (3 * n, n)).collect());
            for key in 0..3 * count + 10 {
                let expected = (key % 3 == 0 && key < 3 * count).then_some(key / 3);
                assert_eq!(table.get(&key), expected.as_ref(), "{key} of {count}");
            }
        }
    }
}
