//! Where the journal's bytes go.

#[cfg(test)]
mod conformance;
mod file;
mod memory;

use std::fmt;
use std::io;

use crate::audit::journal::error::OpenError;
use crate::audit::journal::recovery::Recovered;
use crate::audit::tree::note::VerifierKey;
use crate::domain::closed_set;
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

closed_set! {
    /// What the store was doing when it failed.
    pub enum Stage {
        /// Making a segment.
        Begin = "begin",
        /// Taking room.
        Reserve = "reserve",
        /// Writing.
        Append = "append",
        /// Making durable.
        Sync = "sync",
        /// Undoing a failed write.
        Truncate = "truncate",
    }
}

impl Stage {
    /// Those of which a failure keeps a record from being written.
    pub const OF_RECORDS: [Self; 4] = [Self::Reserve, Self::Append, Self::Sync, Self::Truncate];
}

/// A failure of a store.
#[derive(Debug)]
pub struct StoreError {
    /// What it was doing.
    pub stage: Stage,
    /// What the operating system said.
    pub error: io::Error,
    /// Whether the store can never be used again.
    pub broken: bool,
}

impl StoreError {
    fn no_segment(stage: Stage) -> Self {
        Self { stage, error: io::Error::other("no segment was begun"), broken: false }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.stage.as_str(), self.error)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
