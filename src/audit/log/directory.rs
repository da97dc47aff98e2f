//! Where a log is read: its segments in order, and what lies beside them.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::audit::log::cursor::Cursor;
use crate::audit::log::error::{InputError, ReadError};
use crate::audit::log::lines::Lines;
use crate::audit::log::segment::Segment;
use crate::files::open_file;

/// The file beside the segments that holds the newest checkpoint.
pub(in crate::audit) const NEWEST_CHECKPOINT: &str = "checkpoint";

/// Files other than segments that are read whole have fewer bytes.
const SHORT_MAX: u64 = 64 * 1024;

/// A log to read: a directory of segment files. Needs no lock and changes nothing; a
/// gateway may be writing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReader {
    directory: PathBuf,
}

impl LogReader {
    /// The log in this directory. Nothing is read yet.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Its segments in order, of which there is one at least.
    pub(in crate::audit) fn segments(&self) -> Result<Vec<Segment>, ReadError> {
        let found = self.list()?;
        if found.is_empty() { Err(ReadError::Empty(self.directory.clone())) } else { Ok(found) }
    }

    /// Its segments in order. Where one is there both plain and compressed, because
    /// compressing it was cut short, the plain one counts. Empty ones are none: they were
    /// begun, and the log went on elsewhere.
    pub(in crate::audit) fn list(&self) -> Result<Vec<Segment>, InputError> {
        let mut found = self.files().map_err(|error| InputError::of(&self.directory, error))?;
        found.sort_by_key(|segment| (segment.first_seq, segment.compressed));
        found.dedup_by_key(|segment| segment.first_seq);
        let next: Vec<u64> = found.iter().skip(1).map(|segment| segment.first_seq).collect();
        for (segment, next) in found.iter_mut().zip(next) {
            segment.next_seq = Some(next);
        }
        Ok(found)
    }

    fn files(&self) -> io::Result<Vec<Segment>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let segment = name.to_str().and_then(|name| Segment::named(&self.directory, name));
            let Some(segment) = segment else { continue };
            if entry.metadata().is_ok_and(|metadata| metadata.len() > 0) {
                found.push(segment);
            }
        }
        Ok(found)
    }

    /// Reads a segment. It may have been compressed since it was listed.
    pub(in crate::audit) fn read(&self, segment: &Segment) -> Result<Cursor, InputError> {
        let source = || -> io::Result<Box<dyn Read + Send>> {
            let (file, compressed) = match File::open(&segment.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && !segment.compressed => {
                    (File::open(segment.compressed_path()).map_err(|_| error)?, true)
                }
                opened => (opened?, segment.compressed),
            };
            Ok(if compressed { Box::new(zstd::Decoder::new(file)?) } else { Box::new(file) })
        };
        let source = source().map_err(|error| InputError::of(&segment.path, error))?;
        Ok(Cursor::new(segment.clone(), Lines::new(source, 0)))
    }

    /// The same, or none when it was removed since it was listed.
    pub(in crate::audit) fn read_if_there(
        &self,
        segment: &Segment,
    ) -> Result<Option<Cursor>, InputError> {
        match self.read(segment) {
            Err(error) if error.is_gone() => Ok(None),
            cursor => cursor.map(Some),
        }
    }

    /// Reads a plain segment from a line on that begins at `offset`.
    pub(in crate::audit) fn resume(
        &self,
        segment: &Segment,
        offset: u64,
    ) -> Result<Cursor, InputError> {
        let source = || -> io::Result<File> {
            let mut file = File::open(&segment.path)?;
            file.seek(SeekFrom::Start(offset))?;
            Ok(file)
        };
        let source = source().map_err(|error| InputError::of(&segment.path, error))?;
        Ok(Cursor::new(segment.clone(), Lines::new(Box::new(source), offset)))
    }

    /// The text of the newest checkpoint; none where there is no such file.
    pub(in crate::audit) fn checkpoint(&self) -> io::Result<Option<String>> {
        let file = match open_file(&self.beside(NEWEST_CHECKPOINT)) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
                ) =>
            {
                return Ok(None);
            }
            opened => opened?,
        };
        let mut bytes = Vec::new();
        file.take(SHORT_MAX + 1).read_to_end(&mut bytes)?;
        let short = bytes.len() as u64 <= SHORT_MAX;
        Ok(String::from_utf8(bytes).ok().filter(|_| short))
    }

    /// The path of a file beside the segments.
    pub(in crate::audit) fn beside(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(in crate::audit) fn directory(&self) -> &Path {
        &self.directory
    }
}
