//! Where the journal's bytes go.

#[cfg(test)]
mod conformance;
pub(in crate::audit::journal) mod error;
mod file;
mod memory;
mod segment;
mod syncer;
mod wal;

use std::time::Instant;

use crate::audit::journal::error::OpenError;
use crate::audit::journal::recovery::Recovered;
use crate::audit::tree::Hash;
use crate::note::VerifierKey;
pub use error::Stage;
pub(in crate::audit) use error::StoreError;
pub use file::FileStore;
pub use memory::{Gate, MemoryStore};

/// Records that become durable together.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The sequence number of the first.
    pub first_seq: u64,
    /// How many.
    pub count: u32,
    /// Their lines, each with its newline.
    pub lines: &'a [u8],
    /// The tree's hash over all records before the first.
    pub(in crate::audit) root: Hash,
}

impl Batch<'_> {
    /// The sequence number of the last.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        (self.first_seq + u64::from(self.count)).saturating_sub(1)
    }
}

/// A place for an append-only log with one writer.
///
/// A record is durable first, and then where readers look: its writer tells those who wait
/// in between. The contract, which one suite of tests (`conformance.rs`) holds against every
/// implementation, sentence by sentence:
/// - `commit` takes all records or none, and they are durable when it returns `Ok`: the next
///   process that recovers the log has them. After an error that is not `broken` the log is
///   as it was before the call; after one that is, nothing is known of its records, and those
///   before are there.
/// - `settle` brings what was committed to where readers of segments look. Until it has
///   returned `Ok`, they may not find it.
/// - `upkeep` does what is due, as `due` says, and keeps commits waiting for no disk.
/// - After `close` segments alone hold the log.
/// - After an error that is `broken` no later call may succeed.
/// - Where no segment was begun, `commit` and `reserve` fail, and break nothing.
pub trait Store: Send + 'static {
    /// Brings the log into a state to go on from and tells what was found. With a key,
    /// signatures in it are checked.
    ///
    /// # Errors
    /// [`OpenError`]: no record is changed or removed.
    fn recover(&mut self, key: Option<&VerifierKey>) -> Result<Recovered, OpenError>;

    /// Begins a segment whose first record will have this sequence number, with room for
    /// as many bytes as are given, and syncs and closes the one before.
    ///
    /// # Errors
    /// [`StoreError`]: where it is not `broken` the segment before goes on.
    fn begin(&mut self, first_seq: u64, room: u64) -> Result<(), StoreError>;

    /// Bytes of all records that were committed since the segment was begun.
    fn length(&self) -> u64;

    /// Takes room for as many bytes as are given, behind what was committed: records that
    /// need no more do not fail for want of it. Where the place cannot promise room, this
    /// does nothing. What could not be settled before is tried again.
    ///
    /// # Errors
    /// [`StoreError`]: there is no room, or what was committed cannot be settled.
    fn reserve(&mut self, bytes: u64) -> Result<(), StoreError>;

    /// Makes records durable that follow those that were committed before.
    ///
    /// # Errors
    /// [`StoreError`].
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError>;

    /// Brings what was committed to where readers look.
    ///
    /// # Errors
    /// [`StoreError`]. It is durable all the same, and the next call tries again.
    fn settle(&mut self) -> Result<(), StoreError>;

    /// When `upkeep` is to be called; none where there is nothing to do.
    fn due(&self) -> Option<Instant>;

    /// Syncs what was settled.
    ///
    /// # Errors
    /// [`StoreError`], always `broken`.
    fn upkeep(&mut self) -> Result<(), StoreError>;

    /// Settles and syncs everything. Nothing is committed afterwards. `end` has no records:
    /// it says what the next ones would begin with.
    ///
    /// # Errors
    /// [`StoreError`]. What was committed is durable all the same.
    fn close(&mut self, end: &Batch<'_>) -> Result<(), StoreError>;
}
