//! A Bloom filter: a small set that may say yes wrongly and never says no wrongly.
//!
//! Its keys are hashed with SHA-256 under a salt of the index's own, so that nobody can
//! choose ids that fill it, and so that the hash stays the same from build to build
//! (foldhash, which the program has too, does not promise that).

use aws_lc_rs::digest::{SHA256, digest};

/// Bits for each key: with seven hashes one answer in a hundred is a wrong yes.
const BITS_PER_KEY: usize = 10;
const HASHES: u32 = 7;

/// A smaller filter saves nothing, and with few keys says yes wrongly more often: 512 bytes.
const WORDS_MIN: usize = 64;

/// Bytes of the salt.
pub(super) const SALT_BYTES: usize = 16;

/// What a key is a value of. The numbers are part of the index's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Kind {
    RequestId = 1,
    SeamRequestId = 2,
    Caller = 3,
    Entrance = 4,
    Grantee = 5,
    DecisionReason = 6,
    OutcomeReason = 7,
    /// The reasons of all other records.
    OtherReason = 8,
    Event = 9,
    Outcome = 10,
    Decision = 11,
    Workspace = 12,
    IdempotencyKey = 13,
}

/// The hash of a value, for one index.
pub(super) fn key(salt: &[u8; SALT_BYTES], kind: Kind, value: &str) -> u128 {
    let mut text = Vec::with_capacity(SALT_BYTES + 1 + value.len());
    text.extend_from_slice(salt);
    text.push(kind as u8);
    text.extend_from_slice(value.as_bytes());
    let hash = digest(&SHA256, &text);
    hash.as_ref().iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// The filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bloom {
    hashes: u32,
    words: Vec<u64>,
}

impl Bloom {
    /// An empty one with room for so many keys.
    pub(super) fn for_keys(count: usize) -> Self {
        let words = count.saturating_mul(BITS_PER_KEY).div_ceil(64).max(WORDS_MIN);
        Self { hashes: HASHES, words: vec![0; words] }
    }

    /// One that was stored; none when it could not answer.
    pub(super) fn from_parts(hashes: u32, words: Vec<u64>) -> Option<Self> {
        (!words.is_empty() && (1..=32).contains(&hashes)).then_some(Self { hashes, words })
    }

    pub(super) fn hashes(&self) -> u32 {
        self.hashes
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(super) fn insert(&mut self, key: u128) {
        let (hashes, length) = (self.hashes, self.words.len());
        for (word, mask) in places(key, hashes, length) {
            if let Some(word) = self.words.get_mut(word) {
                *word |= mask;
            }
        }
    }

    /// Whether the key may have been put in. A no is certain.
    pub(super) fn may_contain(&self, key: u128) -> bool {
        places(key, self.hashes, self.words.len())
            .all(|(word, mask)| self.words.get(word).is_none_or(|word| word & mask != 0))
    }
}

/// The bits of a key: of the two halves of its hash as many as are needed are made
/// (Kirsch and Mitzenmacher, 2006).
fn places(key: u128, hashes: u32, words: usize) -> impl Iterator<Item = (usize, u64)> {
    let halves = [key >> 64, key & u128::from(u64::MAX)];
    let [first, step] = halves.map(|half| u64::try_from(half).unwrap_or_default());
    let bits = u64::try_from(words).unwrap_or(u64::MAX).saturating_mul(64).max(1);
    (0..u64::from(hashes)).map(move |nth| {
        let bit = first.wrapping_add(nth.wrapping_mul(step | 1)) % bits;
        (usize::try_from(bit / 64).unwrap_or(usize::MAX), 1 << (bit % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_little_else_is() {
        let salt = [7; SALT_BYTES];
        let mut bloom = Bloom::for_keys(10_000);
        let id = |n: u32| key(&salt, Kind::RequestId, &n.to_string());
        (0..10_000).for_each(|n| bloom.insert(id(n)));
        assert!((0..10_000).all(|n| bloom.may_contain(id(n))));
        let wrong = (10_000..30_000).filter(|n| bloom.may_contain(id(*n))).count();
        assert!(wrong < 400, "{wrong} of 20,000, where 200 are expected");
    }

    #[test]
    fn a_key_depends_on_the_salt_and_the_kind_and_is_the_same_for_ever() {
        let of = |salt: u8, kind| key(&[salt; SALT_BYTES], kind, "desk");
        assert_ne!(of(0, Kind::Caller), of(1, Kind::Caller));
        assert_ne!(of(0, Kind::Caller), of(0, Kind::Entrance));
        // `printf '\0%.0s' {1..16}; printf '\3desk'`, through sha256sum.
        assert_eq!(format!("{:032x}", of(0, Kind::Caller)), "aae26878e3323c3b590b9cdd44e10ed3");
    }
}
