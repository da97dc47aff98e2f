//! Why a log was not read.

use std::io;
use std::path::{Path, PathBuf};

use crate::audit::log::wal::WalError;

/// A directory or a file of a log that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` cannot be read: {error}", path = .path.display())]
pub struct InputError {
    pub(in crate::audit) path: PathBuf,
    #[source]
    pub(in crate::audit) error: io::Error,
}

impl InputError {
    pub(in crate::audit) fn of(path: &Path, error: io::Error) -> Self {
        Self { path: path.to_owned(), error }
    }

    /// Whether there is no such file any more: it was removed, or compressed.
    pub(in crate::audit) fn is_gone(&self) -> bool {
        self.error.kind() == io::ErrorKind::NotFound
    }
}

impl ReadError {
    /// Whether the write-ahead log is damaged: with it, the end of the log.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        let Self::Input(InputError { error, .. }) = self else { return false };
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        matches!(inner, Some(WalError::Damaged(_)))
    }
}

/// Why a log was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The directory or a segment cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// There is no segment.
    #[error("`{}` holds no audit log", .0.display())]
    Empty(PathBuf),
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[source] io::Error),
}
