//! Where the journal's bytes go.

#[cfg(test)]
mod conformance;
pub(in crate::audit::journal) mod error;
mod file;
mod memory;

use crate::audit::journal::error::OpenError;
use crate::audit::journal::recovery::Recovered;
use crate::audit::tree::note::VerifierKey;
pub use error::Stage;
pub(in crate::audit) use error::StoreError;
pub use file::FileStore;
pub use memory::{Gate, MemoryStore};

/// A place for an append-only log with one writer.
///
/// The contract, which one suite of tests (`conformance.rs`) holds against every
/// implementation, sentence by sentence:
/// - `append` takes all bytes or none: after an error that is not `broken` the log is
///   as it was before the call.
/// - `sync` makes everything that was appended durable before it returns `Ok`. After
///   an error nothing is known of what was appended since the last good `sync`.
/// - After an error that is `broken` no later call may succeed.
/// - Where no segment was begun nothing may be appended: all but `begin` fail, and break
///   nothing.
pub trait Store: Send + 'static {
    /// Brings the log into a state to go on from and tells what was found. With a key,
    /// signatures in it are checked.
    ///
    /// # Errors
    /// [`OpenError`]: the log is left as it is.
    fn recover(&mut self, key: Option<&VerifierKey>) -> Result<Recovered, OpenError>;

    /// Begins a segment whose first record will have this sequence number, with room for
    /// as many bytes as are given, and closes the one before, which must be synced.
    ///
    /// # Errors
    /// [`StoreError`], `broken` only where the log was broken before: else the segment
    /// before goes on.
    fn begin(&mut self, first_seq: u64, room: u64) -> Result<(), StoreError>;

    /// Bytes in the segment.
    fn length(&self) -> u64;

    /// Takes room for as many bytes as are given, behind what was appended: appends that
    /// need no more do not fail for want of it. Where the place cannot promise room,
    /// this does nothing.
    ///
    /// # Errors
    /// [`StoreError`], `broken` only where the log was broken before: there is no room.
    fn reserve(&mut self, bytes: u64) -> Result<(), StoreError>;

    /// Appends whole lines.
    ///
    /// # Errors
    /// [`StoreError`], `broken` where it could not be undone.
    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Makes what was appended durable.
    ///
    /// # Errors
    /// [`StoreError`], always `broken` where there is a segment.
    fn sync(&mut self) -> Result<(), StoreError>;
}
