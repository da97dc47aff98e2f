//! What is wrong with the order of records between two checkpoints.

use std::ops::RangeInclusive;

/// The records behind the last checkpoint that is trusted.
#[derive(Default)]
pub(super) struct Range {
    /// Its first record.
    pub(super) from: u64,
    /// Numbers that were skipped.
    pub(super) missing: Vec<RangeInclusive<u64>>,
    /// Found what cannot be, and said so.
    pub(super) named: bool,
    pub(super) file: String,
}

impl Range {
    /// Whether this number was taken for missing; it is not any more.
    pub(super) fn found(&mut self, seq: u64) -> bool {
        let Some(at) = self.missing.iter().position(|missing| missing.contains(&seq)) else {
            return false;
        };
        let missing = self.missing.swap_remove(at);
        let (start, end) = (*missing.start(), *missing.end());
        if start < seq {
            self.missing.push(start..=seq - 1);
        }
        if seq < end {
            self.missing.push(seq + 1..=end);
        }
        true
    }

    /// A number before this one was too high: nothing from here on is missing.
    pub(super) fn forget_from(&mut self, seq: u64) {
        self.missing.retain(|missing| *missing.start() < seq);
        for missing in &mut self.missing {
            *missing = *missing.start()..=seq.saturating_sub(1).min(*missing.end());
        }
    }
}
