//! Why the journal refuses.

use std::io;

use crate::audit::journal::store::error::StoreError;
use crate::audit::log::error::InputError;

/// Why a record was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Too many decisions wait already.
    #[error("too many decisions wait to be recorded")]
    QueueFull,
    /// The record is longer than a line of the log may be.
    #[error("the record is longer than 64 KiB: no reader would take it for one")]
    TooLong,
    /// The record was not durable in time.
    #[error("the record was not durable in time")]
    TimedOut,
    /// Writing failed; the next record may succeed.
    #[error("{0}")]
    Failed(String),
    /// Nothing will be recorded any more until the process is started anew.
    #[error("the audit log is broken until restarted: {0}")]
    Broken(String),
}

/// Why an audit log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("another process uses it")]
    Locked,
    /// It is damaged in a way that no crash explains.
    #[error(
        "`{file}` is damaged at line {line} (byte {offset}): {text}; move the log away and keep it"
    )]
    Damaged {
        /// The segment.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// Where the line begins, in bytes.
        offset: u64,
        /// What is wrong.
        text: String,
    },
    /// The write-ahead log is damaged in a way that no crash explains, or not understood.
    #[error("`{file}` cannot be used: {text}")]
    DamagedWal {
        /// Its path.
        file: String,
        /// What is wrong.
        text: String,
    },
    /// The write-ahead log and the segments do not belong together.
    #[error(
        "`{file}` does not fit the segments beside it: {text}. If it was put here from another \
         directory, move it back; if segments are missing, put them back; else move the whole \
         log away and keep it"
    )]
    OtherWal {
        /// Its path.
        file: String,
        /// What does not fit.
        text: String,
    },
    /// There is no room for the write-ahead log, or it cannot be made.
    #[error(
        "`{file}` of {bytes} bytes cannot be made: {error}; make room, lower `audit.wal_bytes`, \
         or set `audit.wal` = \"off\""
    )]
    NoWal {
        /// Its path.
        file: String,
        /// Its size.
        bytes: u64,
        /// What the operating system said.
        #[source]
        error: io::Error,
    },
    /// The first record could not be written.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The directory or a file cannot be used.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<InputError> for OpenError {
    fn from(InputError { error, .. }: InputError) -> Self {
        Self::Io(error)
    }
}
