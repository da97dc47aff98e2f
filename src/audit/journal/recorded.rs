//! Proof that something is on disk.

use std::time::{Duration, Instant};

/// Evidence whose record is durable. Only [`crate::audit::Journal::record`] makes one,
/// after the write that makes the record durable.
///
/// Using one compiles:
/// ```
/// # use grantgate::audit::Recorded;
/// fn seq<E>(recorded: &Recorded<E>) -> u64 { recorded.seq() }
/// ```
/// Making one does not:
/// ```compile_fail,E0451
/// # use grantgate::audit::Recorded;
/// fn forge<E>(evidence: E) -> Recorded<E> {
///     Recorded { evidence, seq: 1, since: std::time::Instant::now() }
/// }
/// ```
/// Nor does copying one, so that it cannot be used twice:
/// ```compile_fail,E0599
/// # use grantgate::audit::Recorded;
/// struct Evidence;
/// fn copy(recorded: &Recorded<Evidence>) -> Recorded<Evidence> {
///     Recorded::clone(recorded)
/// }
/// ```
#[derive(Debug)]
#[must_use = "a recorded decision needs an outcome"]
pub struct Recorded<E> {
    evidence: E,
    seq: u64,
    since: Instant,
}

impl<E> Recorded<E> {
    pub(in crate::audit) fn new(evidence: E, seq: u64, since: Instant) -> Self {
        Self { evidence, seq, since }
    }

    /// What was recorded.
    pub fn evidence(&self) -> &E {
        &self.evidence
    }

    /// The record's sequence number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Time since the record was handed to the journal.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }
}
