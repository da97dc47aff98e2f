//! The Merkle tree over the lines of the log, as RFC 6962, section 2.1, has it.
//!
//! A leaf is the bytes of one line without its newline; record `seq` is leaf `seq - 1`.
//! Only the right edge of the tree is held, so that a log of any length costs a few
//! hashes.

pub(in crate::audit) mod checkpoint;
mod proof;

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(in crate::audit) use proof::{
    RangeHashes, consistency_ranges, inclusion_ranges, proves_consistency, proves_inclusion,
};

/// A SHA-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::audit) struct Hash(pub(in crate::audit) [u8; 32]);

impl Hash {
    /// Of bytes as they are.
    fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        Self::from_digest(context.finish().as_ref())
    }

    fn from_digest(digest: &[u8]) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(digest) {
            *to = *from;
        }
        Self(bytes)
    }

    /// Of a leaf (RFC 6962, section 2.1: `0x00` before the entry).
    pub(in crate::audit) fn of_leaf(line: &[u8]) -> Self {
        Self::of(&[&[0], line])
    }

    /// Of an inner node (`0x01` before both children).
    pub(in crate::audit) fn of_node(left: Self, right: Self) -> Self {
        let mut bytes = [1; 65];
        let inputs = left.0.iter().chain(&right.0);
        for (to, from) in bytes.iter_mut().skip(1).zip(inputs) {
            *to = *from;
        }
        Self::from_digest(digest(&SHA256, &bytes).as_ref())
    }

    /// Standard base64 (RFC 4648, section 4).
    pub(in crate::audit) fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }

    pub(in crate::audit) fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

/// The right edge of a tree: its complete subtrees, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::audit) struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

impl Frontier {
    /// The edge of a tree that others have built; none when there are not as many
    /// subtrees as a tree of this size has.
    pub(in crate::audit) fn from_nodes(size: u64, nodes: Vec<Hash>) -> Option<Self> {
        (nodes.len() == size.count_ones() as usize).then_some(Self { size, nodes })
    }

    /// Leaves.
    pub(in crate::audit) fn size(&self) -> u64 {
        self.size
    }

    pub(in crate::audit) fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// Each complete subtree with its height, from the left.
    pub(in crate::audit) fn subtrees(&self) -> impl Iterator<Item = (u32, Hash)> + '_ {
        let heights = (0..64).rev().filter(|height| self.size >> height & 1 == 1);
        heights.zip(self.nodes.iter().copied())
    }

    pub(in crate::audit) fn push(&mut self, leaf: Hash) {
        self.push_subtree(0, leaf);
    }

    /// Appends a complete subtree of 2^`height` leaves, where one may stand.
    fn push_subtree(&mut self, height: u32, mut hash: Hash) {
        let mut left = self.size >> height;
        while left & 1 == 1 {
            let Some(sibling) = self.nodes.pop() else { break };
            hash = Hash::of_node(sibling, hash);
            left >>= 1;
        }
        self.nodes.push(hash);
        self.size += 1 << height;
    }

    /// The tree's hash; that of no leaves is the hash of nothing.
    pub(in crate::audit) fn root(&self) -> Hash {
        let mut from_right = self.nodes.iter().rev();
        let Some(last) = from_right.next() else { return Hash::of(&[]) };
        from_right.fold(*last, |right, left| Hash::of_node(*left, right))
    }
}

#[cfg(test)]
mod tests;
