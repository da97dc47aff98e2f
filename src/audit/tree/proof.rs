//! Inclusion and consistency proofs (RFC 6962, sections 2.1.1 and 2.1.2), made in one
//! pass over the leaves, and checked as RFC 9162, sections 2.1.3.2 and 2.1.4.2, says.

use std::ops::Range;

use super::{Frontier, Hash};

/// Whose hashes prove that leaf `index` is in a tree of `size` leaves: the leaf's sibling
/// first. `index` must be below `size`.
pub(in crate::audit) fn inclusion_ranges(index: u64, size: u64) -> Vec<Range<u64>> {
    let (mut low, mut high) = (0, size);
    let mut ranges = Vec::new();
    while high - low > 1 {
        let middle = low + largest_power_below(high - low);
        if index < middle {
            ranges.push(middle..high);
            high = middle;
        } else {
            ranges.push(low..middle);
            low = middle;
        }
    }
    ranges.reverse();
    ranges
}

/// Whose hashes prove that a tree of `new` leaves begins with that of `old` leaves.
/// `old` must not be above `new`.
pub(in crate::audit) fn consistency_ranges(old: u64, new: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    if old == 0 || old >= new {
        return ranges;
    }
    let (mut low, mut high) = (0, new);
    while old != high {
        let middle = low + largest_power_below(high - low);
        if old <= middle {
            ranges.push(middle..high);
            high = middle;
        } else {
            ranges.push(low..middle);
            low = middle;
        }
    }
    // The whole old tree is known to who asks.
    if low != 0 {
        ranges.push(low..high);
    }
    ranges.reverse();
    ranges
}

/// The largest power of two that is smaller than `number`, which is above 1.
fn largest_power_below(number: u64) -> u64 {
    1 << (63 - (number - 1).leading_zeros())
}

/// Hashes of subtrees, filled in while leaves go by in order.
pub(in crate::audit) struct RangeHashes {
    /// In the order of the proof.
    parts: Vec<(Range<u64>, Frontier)>,
    next: u64,
}

impl RangeHashes {
    /// For these subtrees of a tree of which `before` is known already.
    pub(in crate::audit) fn new(ranges: Vec<Range<u64>>, before: &Frontier) -> Self {
        let parts = ranges.into_iter().map(|range| (range, Frontier::default())).collect();
        let mut hashes = Self { parts, next: 0 };
        for (height, hash) in before.subtrees() {
            hashes.take(height, hash);
        }
        hashes
    }

    pub(in crate::audit) fn push(&mut self, leaf: Hash) {
        self.take(0, leaf);
    }

    fn take(&mut self, height: u32, hash: Hash) {
        let end = self.next + (1 << height);
        let own = self.parts.iter_mut().find(|(range, _)| {
            // What is known already is never cut by a subtree that is asked for, or the
            // subtree is not to be had.
            range.start <= self.next && end <= range.end
        });
        if let Some((_, part)) = own {
            part.push_subtree(height, hash);
        }
        self.next = end;
    }

    /// The hashes; none when leaves of them were missing.
    pub(in crate::audit) fn finish(self) -> Option<Vec<Hash>> {
        let whole = |(range, part): (Range<u64>, Frontier)| {
            (part.size() == range.end - range.start).then(|| part.root())
        };
        self.parts.into_iter().map(whole).collect()
    }
}

/// Whether `proof` shows that `leaf` is number `index` (from 0) of the tree of `size`
/// leaves with this root (RFC 9162, section 2.1.3.2).
pub(in crate::audit) fn proves_inclusion(
    index: u64,
    size: u64,
    leaf: Hash,
    proof: &[Hash],
    root: Hash,
) -> bool {
    if index >= size {
        return false;
    }
    let (mut first, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if first & 1 == 1 || first == last {
            hash = Hash::of_node(*sibling, hash);
            while first & 1 == 0 && first != 0 {
                first >>= 1;
                last >>= 1;
            }
        } else {
            hash = Hash::of_node(hash, *sibling);
        }
        first >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// Whether `proof` shows that the tree of `new` leaves begins with that of `old` leaves
/// (RFC 9162, section 2.1.4.2). Every tree begins with the empty one.
pub(in crate::audit) fn proves_consistency(
    (old, old_root): (u64, Hash),
    (new, new_root): (u64, Hash),
    proof: &[Hash],
) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && old_root == Frontier::default().root();
    }
    let mut path = proof.iter().copied();
    let start = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(start) = start else { return false };
    let (mut first, mut last) = (old - 1, new - 1);
    while first & 1 == 1 {
        first >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (start, start);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if first & 1 == 1 || first == last {
            old_hash = Hash::of_node(sibling, old_hash);
            new_hash = Hash::of_node(sibling, new_hash);
            while first & 1 == 0 && first != 0 {
                first >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = Hash::of_node(new_hash, sibling);
        }
        first >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == old_root && new_hash == new_root
}
