//! A log that is kept elsewhere, and whose beginning is let go: what vouches for the rest stays.

use std::io::{self, Write as _};
use std::path::Path;

use jiff::Timestamp;

use super::retain::{RetainError, Retention, prune};
use crate::audit::log::directory::LogReader;
use crate::audit::proof::pruned;
use crate::files::open_to_append;

/// Puts beside the files of a log what vouches for its beginning, as [`let_go`] gave it.
///
/// # Errors
/// When it cannot be written.
pub fn vouch(directory: &Path, text: &str) -> io::Result<()> {
    open_to_append(&directory.join(pruned::FILE))?.write_all(text.as_bytes())
}

/// What vouches for the beginning of the log in this directory; none where it begins with its first
/// record, or it is longer than so many bytes.
///
/// # Errors
/// When it cannot be read.
pub fn vouching(directory: &Path, bytes_max: u64) -> io::Result<Option<String>> {
    match directory.join(pruned::FILE).metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(file) if file.len() > bytes_max => Ok(None),
        Ok(_) => pruned::text(&LogReader::new(directory)).map(Some),
    }
}

/// Removes all files of a log but the last, which begins with a checkpoint, and gives what vouches
/// for them: every checkpoint that was in them, each with the proof that the next continues it.
///
/// # Errors
/// [`RetainError`]: also where records do not agree with their checkpoints. Some may be gone then.
pub fn let_go(directory: &Path) -> Result<String, RetainError> {
    let all = Retention { before: Some(Timestamp::MAX), ..Retention::default() };
    prune(directory, &all)?;
    pruned::text(&LogReader::new(directory))
        .map_err(|error| RetainError::Io(directory.join(pruned::FILE), error))
}
