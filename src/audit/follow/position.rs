//! How far a log was sent, kept beside its segments.
//!
//! The file holds the number of the next record to send. If the process dies before it is
//! replaced, records are sent once more, and none is left out.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::files::install;

/// The file's name in the audit directory, for the collector.
pub const OF_EXPORT: &str = "export.position";

/// And for the database.
pub const OF_DATABASE: &str = "database.position";

/// It holds a number and a newline.
const BYTES_MAX: u64 = 64;

/// The file that says how far a log was sent.
#[derive(Debug, Clone)]
pub struct Position {
    directory: PathBuf,
    file: &'static str,
}

/// Why there is no position.
#[derive(Debug, thiserror::Error)]
pub enum PositionError {
    /// The file cannot be read or replaced.
    #[error("`{path}`: {1}", path = .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// It holds something else.
    #[error("`{path}` holds no record's number", path = .0.display())]
    Nonsense(PathBuf),
}

impl Position {
    /// That of the log in this directory, in the file of this name.
    #[must_use]
    pub fn of(directory: &Path, file: &'static str) -> Self {
        Self { directory: directory.to_owned(), file }
    }

    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.file
    }

    fn path(&self) -> PathBuf {
        self.directory.join(self.file)
    }

    /// The next record to send; none where nothing was sent yet.
    ///
    /// # Errors
    /// [`PositionError`].
    pub fn load(&self) -> Result<Option<u64>, PositionError> {
        let path = self.path();
        let read = || -> io::Result<String> {
            let mut text = String::new();
            let file = std::fs::File::open(&path)?;
            io::Read::read_to_string(&mut io::Read::take(file, BYTES_MAX), &mut text)?;
            Ok(text)
        };
        let text = match read() {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(PositionError::Nonsense(path));
            }
            Err(error) => return Err(PositionError::Io(path, error)),
        };
        match text.trim_end().parse() {
            Ok(next) if next > 0 => Ok(Some(next)),
            _ => Err(PositionError::Nonsense(path)),
        }
    }

    /// Replaces it, durably.
    ///
    /// # Errors
    /// [`PositionError::Io`]; the one before may stand, or this one.
    pub fn store(&self, next: u64) -> Result<(), PositionError> {
        let anew = self.directory.join(format!("{}.new", self.file));
        let written = install(&anew, &self.path(), |file| writeln!(file, "{next}"));
        written.map_err(|error| PositionError::Io(self.path(), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_loaded_and_nothing_else_counts() {
        let directory = tempfile::tempdir().unwrap();
        let position = Position::of(directory.path(), OF_EXPORT);
        assert_eq!(position.load().unwrap(), None);
        for next in [1, 41, u64::MAX] {
            position.store(next).unwrap();
            assert_eq!(position.load().unwrap(), Some(next));
        }
        for nonsense in ["", "0\n", "-1\n", "4 1\n", "\u{e9}\n"] {
            std::fs::write(position.path(), nonsense).unwrap();
            let error = position.load().unwrap_err();
            assert!(matches!(error, PositionError::Nonsense(_)), "{nonsense:?}");
        }
        std::fs::write(position.path(), [0xff, 0xfe]).unwrap();
        assert!(position.load().unwrap_err().to_string().contains("holds no record's number"));
    }

    #[test]
    fn a_position_that_cannot_be_kept_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let position = Position::of(&directory.path().join("missing"), OF_EXPORT);
        assert!(position.store(1).unwrap_err().to_string().contains("export.position`: "));
    }
}
