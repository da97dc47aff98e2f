//! Segment files: their names, and their lines one after the other.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use memchr::memchr;

use crate::audit::record::line::{LINE_BYTES_MAX, Line, SEQ_MAX};
use crate::files::open_file;

/// The file beside the segments that holds the newest checkpoint.
pub(in crate::audit) const NEWEST_CHECKPOINT: &str = "checkpoint";

/// Files other than segments that are read whole have fewer bytes.
const SHORT_MAX: u64 = 64 * 1024;

/// Read at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// A file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::audit) struct Segment {
    /// The sequence number in its name: that of its first record.
    pub(in crate::audit) first_seq: u64,
    pub(in crate::audit) path: PathBuf,
    pub(in crate::audit) compressed: bool,
}

/// The file name of a segment that can be written to.
pub(in crate::audit) fn segment_name(first_seq: u64) -> String {
    format!("{first_seq:020}.jsonl")
}

/// The segments of a log in order. Where one is there both plain and compressed, because
/// compressing it was cut short, the plain one counts. Empty ones are none: they were begun,
/// and the log went on elsewhere.
pub(in crate::audit) fn segments(directory: &Path) -> io::Result<Vec<Segment>> {
    let mut found: Vec<Segment> = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let (plain, compressed) = match name.strip_suffix(".zst") {
            Some(plain) => (plain, true),
            None => (name, false),
        };
        let Some(digits) = plain.strip_suffix(".jsonl") else { continue };
        if let (20, Ok(first_seq @ 1..=SEQ_MAX)) = (digits.len(), digits.parse())
            && entry.metadata().is_ok_and(|metadata| metadata.len() > 0)
        {
            found.push(Segment { first_seq, path: directory.join(name), compressed });
        }
    }
    found.sort_by_key(|segment| (segment.first_seq, segment.compressed));
    found.dedup_by_key(|segment| segment.first_seq);
    Ok(found)
}

impl Segment {
    /// The one that a writer begins with this record.
    pub(in crate::audit) fn plain(directory: &Path, first_seq: u64) -> Self {
        Self { first_seq, path: directory.join(segment_name(first_seq)), compressed: false }
    }

    /// How many bytes it takes on disk.
    pub(in crate::audit) fn stored_bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// Its lines. It may have been compressed since it was listed.
    pub(in crate::audit) fn lines(&self) -> io::Result<Lines> {
        let (file, compressed) = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.compressed => {
                (File::open(self.compressed_path()).map_err(|_| error)?, true)
            }
            opened => (opened?, self.compressed),
        };
        let source: Box<dyn Read + Send> =
            if compressed { Box::new(zstd::Decoder::new(file)?) } else { Box::new(file) };
        Ok(Lines::new(source))
    }

    /// The same, or none when it was removed since it was listed.
    pub(in crate::audit) fn lines_if_there(&self) -> io::Result<Option<Lines>> {
        match self.lines() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            lines => lines.map(Some),
        }
    }

    /// The file that compressing a plain segment makes.
    pub(in crate::audit) fn compressed_path(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".zst");
        path.into()
    }

    /// How messages name it.
    pub(in crate::audit) fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// The text of a short file; none where there is no such file, or it is something else.
pub(in crate::audit) fn read_short(path: &Path) -> io::Result<Option<String>> {
    let file = match open_file(path) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) =>
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

/// Lines of whatever is read, with bounded memory.
pub(in crate::audit) struct Lines {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// What of the buffer is not given out yet.
    start: usize,
    end: usize,
    /// Before here no newline was found.
    searched: usize,
    ended: bool,
    number: u64,
    offset: u64,
}

impl Lines {
    pub(in crate::audit) fn new(source: Box<dyn Read + Send>) -> Self {
        let buffer = vec![0; CHUNK + LINE_BYTES_MAX];
        Self { source, buffer, start: 0, end: 0, searched: 0, ended: false, number: 0, offset: 0 }
    }

    /// The next line; none at the end.
    pub(in crate::audit) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let (length, whole) = loop {
            let unsearched = self.buffer.get(self.searched..self.end).unwrap_or_default();
            let newline = memchr(b'\n', unsearched).map(|at| self.searched + at - self.start);
            let waiting = self.end - self.start;
            match newline {
                Some(length) if length < LINE_BYTES_MAX => break (length, true),
                _ if waiting >= LINE_BYTES_MAX => break (LINE_BYTES_MAX, false),
                _ if self.ended && waiting == 0 => return Ok(None),
                _ if self.ended => break (waiting, false),
                _ => {
                    self.searched = self.end;
                    self.fill()?;
                }
            }
        };
        let (start, offset) = (self.start, self.offset);
        self.start += length + usize::from(whole);
        self.searched = self.start;
        self.offset += length as u64 + u64::from(whole);
        self.number += 1;
        let bytes = self.buffer.get(start..start + length).unwrap_or_default();
        Ok(Some(Line { bytes, number: self.number, offset, whole }))
    }

    /// Looks again for more after the end: the file may have grown.
    pub(in crate::audit) fn look_again(&mut self) {
        self.ended = false;
    }

    /// What was read of a line that has no end yet goes back: it comes again, whole.
    pub(in crate::audit) fn put_back(&mut self, length: usize) {
        self.start -= length;
        self.searched = self.start;
        self.offset -= length as u64;
        self.number -= 1;
    }

    fn fill(&mut self) -> io::Result<()> {
        // There is room for a chunk behind less than a line.
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.searched -= self.start;
        self.start = 0;
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.source.read(room) {
            Ok(0) => self.ended = true,
            Ok(read) => self.end += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives as many bytes at once as it is told.
    struct Slowly(Vec<u8>, usize, usize);

    impl Read for Slowly {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let left = &self.0[self.1..];
            let count = left.len().min(to.len()).min(self.2);
            to[..count].copy_from_slice(&left[..count]);
            self.1 += count;
            Ok(count)
        }
    }

    fn all(mut lines: Lines) -> Vec<(Vec<u8>, u64, u64, bool)> {
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push((line.bytes.to_vec(), line.number, line.offset, line.whole));
        }
        found
    }

    #[test]
    fn lines_longer_than_a_record_come_in_pieces() {
        let long = vec![b'x'; 2 * LINE_BYTES_MAX + 5];
        let text = [b"a\n\n".as_slice(), &long, b"\nb"].concat();
        let found = all(Lines::new(Box::new(Slowly(text, 0, 1000))));
        let shape: Vec<_> = found.iter().map(|(b, n, o, w)| (b.len(), *n, *o, *w)).collect();
        let max = LINE_BYTES_MAX as u64;
        let expected = [
            (1, 1, 0, true),
            (0, 2, 2, true),
            (LINE_BYTES_MAX, 3, 3, false),
            (LINE_BYTES_MAX, 4, 3 + max, false),
            (5, 5, 3 + 2 * max, true),
            (1, 6, 9 + 2 * max, false),
        ];
        assert_eq!(shape, expected);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_however_they_come(
            lines in proptest::collection::vec(proptest::collection::vec(0_u8..12, 0..40), 0..60),
            step in 1_usize..97,
        ) {
            let text: Vec<u8> = lines.into_iter().flatten().map(|b| b + 5).collect();
            let found = all(Lines::new(Box::new(Slowly(text.clone(), 0, step))));
            let again: Vec<u8> = found
                .iter()
                .flat_map(|(bytes, _, _, whole)| bytes.iter().copied().chain(whole.then_some(b'\n')))
                .collect();
            prop_assert_eq!(again, text);
        }
    }
}
