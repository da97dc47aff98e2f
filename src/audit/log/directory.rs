//! Where a log is read: its segments in order, and what lies beside them.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::audit::log::cursor::Cursor;
use crate::audit::log::error::{InputError, ReadError};
use crate::audit::log::lines::Lines;
use crate::audit::log::segment::Segment;
use crate::audit::log::wal::{Held, WAL};
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
    /// Whether what the newest segment lacks is read from the write-ahead log.
    whole: bool,
}

impl LogReader {
    /// The log in this directory. Nothing is read yet.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), whole: true }
    }

    /// The same without what only the write-ahead log holds: for whoever follows the
    /// segments as they grow, to which it will come, and for whoever brings it there.
    pub(in crate::audit) fn segments_only(&self) -> Self {
        Self { whole: false, ..self.clone() }
    }

    /// Its segments in order, of which there is one at least.
    pub(in crate::audit) fn segments(&self) -> Result<Vec<Segment>, ReadError> {
        let found = self.list()?;
        if found.is_empty() { Err(ReadError::Empty(self.directory.clone())) } else { Ok(found) }
    }

    /// Its segments in order. Where one is there both plain and compressed, because
    /// compressing it was cut short, the plain one counts. Empty ones are none: they were
    /// begun, and the log went on elsewhere; or its lines are in the write-ahead log only.
    pub(in crate::audit) fn list(&self) -> Result<Vec<Segment>, InputError> {
        let files = self.files().map_err(|error| InputError::of(&self.directory, error))?;
        let (mut found, mut empty) = (Vec::new(), Vec::new());
        for (segment, has_bytes) in files.into_iter().map(Segment::looked_at_again) {
            if has_bytes { &mut found } else { &mut empty }.push(segment);
        }
        found.extend(self.only_in_wal(empty, &found)?);
        found.sort_by_key(|segment| (segment.first_seq, segment.compressed));
        found.dedup_by_key(|segment| segment.first_seq);
        let next: Vec<u64> = found.iter().skip(1).map(|segment| segment.first_seq).collect();
        for (segment, next) in found.iter_mut().zip(next) {
            segment.next_seq = Some(next);
        }
        Ok(found)
    }

    /// One that is compressed meanwhile may be missed by a look in both forms, but not by two; and
    /// what was plain when it was seen may be compressed by now.
    fn files(&self) -> io::Result<Vec<Segment>> {
        let mut found = self.look()?;
        found.extend(self.look()?);
        Ok(found)
    }

    fn look(&self) -> io::Result<Vec<Segment>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let segment = name.to_str().and_then(|name| Segment::named(&self.directory, name));
            found.extend(segment);
        }
        Ok(found)
    }

    /// The newest segment, where it is empty and its first record is in the write-ahead log.
    fn only_in_wal(
        &self,
        empty: Vec<Segment>,
        others: &[Segment],
    ) -> Result<Option<Segment>, InputError> {
        let newest = empty.into_iter().filter(|s| !s.compressed).max_by_key(|s| s.first_seq);
        let last = others.iter().map(|segment| segment.first_seq).max();
        let Some(newest) = newest.filter(|s| self.whole && Some(s.first_seq) > last) else {
            return Ok(None);
        };
        let held = Held::look(&self.directory)
            .map_err(|error| InputError::of(&self.beside(WAL), io::Error::other(error)))?;
        Ok(held.filter(|held| held.makes_up_for(newest.first_seq)).map(|_| newest))
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
        let cursor = Cursor::new(segment.clone(), Lines::new(source, 0));
        let may_lack = self.whole && !segment.is_closed() && self.beside(WAL).exists();
        Ok(if may_lack { cursor.with_more(&self.directory) } else { cursor })
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

    /// Reads on in the file that has the segment's name now; none when it was removed, or
    /// compressed, which none is before it has all its lines.
    pub(in crate::audit) fn read_on(&self, cursor: &Cursor) -> Result<Option<Cursor>, InputError> {
        let segment = cursor.segment();
        if segment.compressed {
            return Ok(None);
        }
        match self.resume(segment, cursor.end()) {
            Err(error) if error.is_gone() => Ok(None),
            anew => anew.map(|anew| Some(anew.numbered_as(cursor))),
        }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// As a gateway does that compresses while somebody lists.
    #[test]
    fn a_segment_that_is_being_compressed_is_never_missing() {
        const SEGMENTS: u64 = 2_000;
        let directory = tempfile::tempdir().unwrap();
        let segment = |first_seq| Segment::plain(directory.path(), first_seq);
        for first_seq in 1..=SEGMENTS {
            std::fs::write(segment(first_seq).path, "x\n").unwrap();
        }
        let (log, done) = (LogReader::new(directory.path()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let making = directory.path().join("making");
                for first_seq in 1..=SEGMENTS {
                    std::fs::write(&making, "x").unwrap();
                    std::fs::rename(&making, segment(first_seq).compressed_path()).unwrap();
                    std::fs::remove_file(segment(first_seq).path).unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                let found = log.list().unwrap();
                assert!(found.iter().map(|s| s.first_seq).eq(1..=SEGMENTS), "{}", found.len());
            }
        });
    }
}
