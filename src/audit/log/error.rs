//! Why a log was not read.

use std::io;
use std::path::PathBuf;

/// Why a log was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The directory or a segment cannot be read.
    #[error("`{path}` cannot be read: {1}", path = .0.display())]
    Input(PathBuf, #[source] io::Error),
    /// There is no segment.
    #[error("`{}` holds no audit log", .0.display())]
    Empty(PathBuf),
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[source] io::Error),
}
