//! How a store fails.

use std::{fmt, io};

use crate::domain::closed_set;

closed_set! {
    /// What the store was doing when it failed.
    pub enum Stage {
        /// Making a segment.
        Begin = "begin",
        /// Taking room.
        Reserve = "reserve",
        /// Writing to the write-ahead log.
        Commit = "commit",
        /// Writing to a segment.
        Append = "append",
        /// Making durable.
        Sync = "sync",
        /// Undoing a failed write.
        Truncate = "truncate",
    }
}

impl Stage {
    /// Those of which a failure keeps a record from being written.
    pub const OF_RECORDS: [Self; 5] =
        [Self::Reserve, Self::Commit, Self::Append, Self::Sync, Self::Truncate];
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
    pub(super) fn no_segment(stage: Stage) -> Self {
        Self::passing(stage, io::Error::other("no segment was begun"))
    }

    /// The next call may succeed.
    pub(in crate::audit::journal) fn passing(stage: Stage, error: io::Error) -> Self {
        Self { stage, error, broken: false }
    }

    pub(super) fn not_trusted(stage: Stage, what: &str) -> Self {
        let text = format!("{what} failed before and is not trusted again");
        Self { stage, error: io::Error::other(text), broken: true }
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
