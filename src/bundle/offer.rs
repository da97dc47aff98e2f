//! What becomes of a bundle that somebody offers.

use super::Digest;

/// A bundle by number and the digest of its text: one in force, or one that is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Its number, which only rises.
    pub number: u64,
    /// Of its text.
    pub digest: Digest,
}

/// What an offer is beside the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// The one in force.
    Same,
    /// One to look at.
    Newer,
    /// One of before, which is never taken: whoever offers it has lost newer ones, or hides them.
    Older,
    /// Another one of the same number. Neither this one nor that is taken from there.
    Forked,
}

impl Offer {
    /// What `other` is beside this one, which is in force.
    #[must_use]
    pub fn beside(&self, other: &Self) -> Offered {
        match other.number.cmp(&self.number) {
            std::cmp::Ordering::Greater => Offered::Newer,
            std::cmp::Ordering::Less => Offered::Older,
            std::cmp::Ordering::Equal if self.digest == other.digest => Offered::Same,
            std::cmp::Ordering::Equal => Offered::Forked,
        }
    }
}
