//! Lines of whatever is read, with bounded memory.

use std::io::{self, Read};
use std::ops::Range;

use memchr::memchr;

use crate::audit::record::limits::LINE_BYTES_MAX;

/// Read at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) enum Ending {
    /// With a newline.
    Newline,
    /// With what is read: it has no newline yet, or never had one.
    Missing,
    /// Not here: it is longer than a record may be, and comes in pieces.
    Later,
}

/// Lines one after the other.
pub(in crate::audit) struct Lines {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// What of the buffer is not given out yet.
    start: usize,
    end: usize,
    /// Before here no newline was found.
    searched: usize,
    ended: bool,
    /// The last line that was found: where in the buffer, where in the source, and how it
    /// ends.
    line: (Range<usize>, u64, Ending),
    number: u64,
    offset: u64,
}

impl Lines {
    /// Of a source whose first byte is at `offset` of its file.
    pub(in crate::audit) fn new(source: Box<dyn Read + Send>, offset: u64) -> Self {
        Self {
            source,
            buffer: vec![0; CHUNK + LINE_BYTES_MAX],
            start: 0,
            end: 0,
            searched: 0,
            ended: false,
            line: (0..0, offset, Ending::Missing),
            number: 0,
            offset,
        }
    }

    /// Goes to the next line; false at the end.
    pub(in crate::audit) fn advance(&mut self) -> io::Result<bool> {
        let (length, ending) = loop {
            let unsearched = self.buffer.get(self.searched..self.end).unwrap_or_default();
            let newline = memchr(b'\n', unsearched).map(|at| self.searched + at - self.start);
            let waiting = self.end - self.start;
            match newline {
                Some(length) if length < LINE_BYTES_MAX => break (length, Ending::Newline),
                _ if waiting >= LINE_BYTES_MAX => break (LINE_BYTES_MAX, Ending::Later),
                _ if self.ended && waiting == 0 => return Ok(false),
                _ if self.ended => break (waiting, Ending::Missing),
                _ => {
                    self.searched = self.end;
                    self.fill()?;
                }
            }
        };
        let begin = self.start;
        self.line = (begin..begin + length, self.offset, ending);
        let newline = usize::from(ending == Ending::Newline);
        self.start += length + newline;
        self.searched = self.start;
        self.offset += (length + newline) as u64;
        self.number += 1;
        Ok(true)
    }

    /// The line, without its newline.
    pub(in crate::audit) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.line.0.clone()).unwrap_or_default()
    }

    /// Where it begins, in bytes.
    pub(in crate::audit) fn offset(&self) -> u64 {
        self.line.1
    }

    pub(in crate::audit) fn ending(&self) -> Ending {
        self.line.2
    }

    /// Its number, from 1.
    pub(in crate::audit) fn number(&self) -> u64 {
        self.number
    }

    /// Goes on as if so many lines had been read.
    pub(super) fn count_from(&mut self, number: u64) {
        self.number = number;
    }

    /// Where the next one begins, in bytes.
    pub(in crate::audit) fn end(&self) -> u64 {
        self.offset
    }

    /// Looks again for more after the end: the file may have grown.
    pub(super) fn look_again(&mut self) {
        self.ended = false;
    }

    /// Takes back the line without an end that was read last: it comes again, whole.
    pub(super) fn put_back(&mut self) {
        let length = self.line.0.len();
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

    fn all(mut lines: Lines) -> Vec<(Vec<u8>, u64, u64, Ending)> {
        let mut found = Vec::new();
        while lines.advance().unwrap() {
            let place = (lines.number(), lines.offset());
            found.push((lines.bytes().to_vec(), place.0, place.1, lines.ending()));
        }
        found
    }

    #[test]
    fn lines_longer_than_a_record_come_in_pieces() {
        let long = vec![b'x'; 2 * LINE_BYTES_MAX + 5];
        let text = [b"a\n\n".as_slice(), &long, b"\nb"].concat();
        let found = all(Lines::new(Box::new(Slowly(text, 0, 1000)), 0));
        let shape: Vec<_> = found.iter().map(|(b, n, o, w)| (b.len(), *n, *o, *w)).collect();
        let max = LINE_BYTES_MAX as u64;
        let expected = [
            (1, 1, 0, Ending::Newline),
            (0, 2, 2, Ending::Newline),
            (LINE_BYTES_MAX, 3, 3, Ending::Later),
            (LINE_BYTES_MAX, 4, 3 + max, Ending::Later),
            (5, 5, 3 + 2 * max, Ending::Newline),
            (1, 6, 9 + 2 * max, Ending::Missing),
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
            let found = all(Lines::new(Box::new(Slowly(text.clone(), 0, step)), 0));
            let again: Vec<u8> = found
                .iter()
                .flat_map(|(bytes, _, _, ending)| {
                    let newline = (*ending == Ending::Newline).then_some(b'\n');
                    bytes.iter().copied().chain(newline)
                })
                .collect();
            prop_assert_eq!(again, text);
        }
    }
}
