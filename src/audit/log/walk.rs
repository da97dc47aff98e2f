//! The one walk over the lines of a log.

use std::vec::IntoIter;

use crate::audit::log::cursor::{Cursor, Line};
use crate::audit::log::directory::LogReader;
use crate::audit::log::error::InputError;
use crate::audit::log::segment::Segment;

/// Progress is told after so many bytes.
const PROGRESS_BYTES: u64 = 1 << 24;

/// The lines of several segments, one after the other.
pub(in crate::audit) struct Walk<'l> {
    log: &'l LogReader,
    waiting: IntoIter<Segment>,
    cursor: Option<Cursor>,
    over_gaps: bool,
}

impl LogReader {
    /// Reads these segments one after the other.
    pub(in crate::audit) fn walk(&self, segments: Vec<Segment>) -> Walk<'_> {
        Walk { log: self, waiting: segments.into_iter(), cursor: None, over_gaps: false }
    }
}

impl Walk<'_> {
    /// Passes over segments that were removed since they were listed.
    pub(in crate::audit) fn over_gaps(self) -> Self {
        Self { over_gaps: true, ..self }
    }

    /// The next line; none at the end.
    pub(in crate::audit) fn next(&mut self) -> Result<Option<Line<'_>>, InputError> {
        loop {
            if let Some(cursor) = &mut self.cursor
                && cursor.advance()?
            {
                break;
            }
            let Some(segment) = self.waiting.next() else { return Ok(None) };
            self.cursor = if self.over_gaps {
                self.log.read_if_there(&segment)?
            } else {
                Some(self.log.read(&segment)?)
            };
        }
        Ok(self.cursor.as_ref().map(Cursor::line))
    }
}

/// Tells now and then how many bytes of a log were read, of how many.
pub(in crate::audit) struct Progress<F> {
    tell: F,
    all: u64,
    /// Those of the segments before this one, and of this one.
    before: u64,
    stored: u64,
    told: u64,
}

impl<F: FnMut(u64, u64)> Progress<F> {
    pub(in crate::audit) fn of(segments: &[Segment], tell: F) -> Self {
        let all = segments.iter().map(Segment::stored_bytes).sum();
        Self { tell, all, before: 0, stored: 0, told: 0 }
    }

    /// This line was read.
    pub(in crate::audit) fn at(&mut self, line: &Line<'_>) {
        if line.number == 1 {
            self.before += self.stored;
            self.stored = line.segment.stored_bytes();
        }
        let read = self.before + line.offset.min(self.stored);
        if read - self.told > PROGRESS_BYTES {
            self.told = read;
            (self.tell)(read, self.all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::log::cursor::LineState;
    use crate::audit::log::segment::segment_name;
    use crate::audit::record::limits::LINE_BYTES_MAX;

    fn log(segments: &[(u64, &str)]) -> (tempfile::TempDir, LogReader) {
        let directory = tempfile::tempdir().unwrap();
        for (first_seq, text) in segments {
            std::fs::write(directory.path().join(segment_name(*first_seq)), text).unwrap();
        }
        let log = LogReader::new(directory.path());
        (directory, log)
    }

    fn states(mut walk: Walk<'_>) -> Vec<(u64, u64, LineState)> {
        let mut found = Vec::new();
        while let Some(line) = walk.next().unwrap() {
            found.push((line.segment.first_seq, line.number, line.state));
        }
        found
    }

    #[test]
    fn a_line_without_an_end_is_torn_at_the_end_of_the_log_and_damage_elsewhere() {
        let (_directory, log) = log(&[(1, "a\nb"), (3, "c\n"), (4, "d\ne")]);
        let found = states(log.walk(log.segments().unwrap()));
        let (whole, damaged, torn) = (LineState::Whole, LineState::Damaged, LineState::Torn);
        let expected = [(1, 1, whole), (1, 2, damaged), (3, 1, whole), (4, 1, whole), (4, 2, torn)];
        assert_eq!(found, expected);
        let next: Vec<_> = log.list().unwrap().iter().map(|segment| segment.next_seq).collect();
        assert_eq!(next, [Some(3), Some(4), None]);
    }

    #[test]
    fn a_line_that_is_too_long_is_damage_also_at_the_end_of_the_log() {
        let long = "x".repeat(LINE_BYTES_MAX);
        let (_directory, log) = log(&[(1, &long)]);
        assert_eq!(states(log.walk(log.segments().unwrap())), [(1, 1, LineState::Damaged)]);
    }

    #[test]
    fn segments_that_are_gone_are_passed_over_only_where_they_may_be() {
        let (directory, log) = log(&[(1, "a\n"), (2, "b\n"), (3, "c\n")]);
        let listed = log.segments().unwrap();
        std::fs::remove_file(directory.path().join(segment_name(2))).unwrap();
        let found = states(log.walk(listed.clone()).over_gaps());
        assert_eq!(found, [(1, 1, LineState::Whole), (3, 1, LineState::Whole)]);
        let mut walk = log.walk(listed);
        assert!(walk.next().unwrap().is_some());
        assert!(walk.next().unwrap_err().is_gone());
    }

    #[test]
    fn progress_counts_over_segments_and_never_more_than_there_is() {
        let text = "x\n".repeat(5 << 20);
        let (_directory, log) = log(&[(1, &text), (2, &text), (3, &text)]);
        let segments = log.segments().unwrap();
        let mut told = Vec::new();
        let mut progress = Progress::of(&segments, |read, all| told.push((read, all)));
        let mut walk = log.walk(segments);
        while let Some(line) = walk.next().unwrap() {
            progress.at(&line);
        }
        assert_eq!(told, [((16 << 20) + 2, 30 << 20)]);
    }
}
