//! Tokens that were verified: what is known of them by the SHA-256 of their text.
//!
//! The table has a fixed size and its rows are short, so that it costs the same empty and
//! full. Only tokens that prove a caller are in it: others that an issuer signs push out none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::claims::Checked;
use super::jwk::Key;
use crate::authn::Principal;

/// Tokens in all, at most.
pub const TOKENS_MAX: usize = 10_000;

const ROW: usize = 8;
const ROWS: usize = TOKENS_MAX / ROW;

/// A token that proved a caller.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) token: [u8; 32],
    /// Which issuer's it is.
    pub(super) issuer: usize,
    /// What verified it.
    pub(super) key: Arc<Key>,
    pub(super) checked: Checked,
    /// The callers file by which it names its caller.
    pub(super) callers: [u8; 32],
    pub(super) principal: Principal,
}

/// The table.
pub(super) struct Cache {
    rows: Box<[Mutex<Row>]>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Default)]
struct Row {
    tokens: Vec<Verified>,
    /// Which is overwritten next when the row is full.
    next: usize,
}

/// What the cache counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheCounts {
    /// Tokens in it.
    pub tokens: usize,
    /// Tokens that were found in it.
    pub hits: u64,
    /// Tokens that had to be verified.
    pub misses: u64,
}

impl Cache {
    pub(super) fn new() -> Self {
        let rows = (0..ROWS).map(|_| Mutex::default()).collect();
        Self { rows, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// What is known of a token, if `holds` says that it still is so.
    pub(super) fn find(
        &self,
        token: &[u8; 32],
        holds: impl FnOnce(&Verified) -> bool,
    ) -> Option<Verified> {
        let row = self.row(token)?.lock();
        let found = row.tokens.iter().find(|known| known.token == *token);
        let found = found.filter(|known| holds(known)).cloned();
        drop(row);
        let count = if found.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Takes the place of what is known of the same token, of one that has expired, or of the
    /// one that is longest in a full row.
    pub(super) fn keep(&self, verified: Verified, now: f64) {
        let Some(row) = self.row(&verified.token) else { return };
        let row = &mut *row.lock();
        let is_free =
            |known: &Verified| known.token == verified.token || known.checked.expires <= now;
        if let Some(known) = row.tokens.iter_mut().find(|known| is_free(known)) {
            *known = verified;
        } else if row.tokens.len() < ROW {
            row.tokens.reserve_exact(ROW - row.tokens.len());
            row.tokens.push(verified);
        } else if let Some(known) = row.tokens.get_mut(row.next) {
            *known = verified;
            row.next = (row.next + 1) % ROW;
        }
    }

    pub(super) fn counts(&self) -> CacheCounts {
        CacheCounts {
            tokens: self.rows.iter().map(|row| row.lock().tokens.len()).sum(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }

    fn row(&self, token: &[u8; 32]) -> Option<&Mutex<Row>> {
        let [a, b, c, d, ..] = *token;
        let number = u32::from_be_bytes([a, b, c, d]) as usize;
        self.rows.get(number % ROWS)
    }
}
