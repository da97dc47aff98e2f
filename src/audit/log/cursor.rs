//! The lines of a segment.
//!
//! Each line is whole, torn or damaged, and knows its segment and its place in it. What
//! such a line means its reader decides: whether it is skipped, named, or the end. Lines
//! that the newest segment lacks, because a crash kept them from it, come from the
//! write-ahead log as if they stood there.

use std::io;
use std::path::{Path, PathBuf};

use memchr::memchr;

use crate::audit::log::error::InputError;
use crate::audit::log::lines::{Ending, Lines};
use crate::audit::log::segment::Segment;
use crate::audit::log::wal::{Held, WAL};
use crate::audit::record::glance;
use crate::audit::record::parse::{Parsed, Record, seq_of};
use crate::domain::Problem;

/// What can be said of a line before it is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) enum LineState {
    /// It may be a record.
    Whole,
    /// The end of the log, without a newline: it is being written, or its gateway was killed
    /// while it was.
    Torn,
    /// It is no record: too long for one, or without an end although the log goes on.
    Damaged,
}

/// One line of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) struct Line<'a> {
    pub(in crate::audit) segment: &'a Segment,
    /// Without its newline.
    pub(in crate::audit) bytes: &'a [u8],
    /// Counted from 1. What is too long comes in pieces, each with a number.
    pub(in crate::audit) number: u64,
    /// Where it begins, in bytes of the uncompressed segment.
    pub(in crate::audit) offset: u64,
    pub(in crate::audit) state: LineState,
}

impl<'a> Line<'a> {
    /// Its bytes, where it may be a record.
    pub(in crate::audit) fn whole(&self) -> Option<&'a [u8]> {
        (self.state == LineState::Whole).then_some(self.bytes)
    }

    pub(in crate::audit) fn is_torn(&self) -> bool {
        self.state == LineState::Torn
    }

    /// What it is.
    pub(in crate::audit) fn parsed(&self) -> Parsed<'a> {
        self.whole().map_or(Parsed::Nothing, Parsed::of)
    }

    /// The record that it is.
    pub(in crate::audit) fn record(&self) -> Option<Record<'a>> {
        self.whole().and_then(Record::parse)
    }

    /// Its bytes with its newline.
    pub(in crate::audit) fn length(&self) -> u64 {
        self.bytes.len() as u64 + u64::from(self.state == LineState::Whole)
    }

    /// Whether the segment ends before it by now: a start has cut it off.
    pub(in crate::audit) fn was_cut_off(&self) -> bool {
        let plain = !self.segment.compressed;
        self.state != LineState::Whole && plain && self.segment.stored_bytes() <= self.offset
    }

    /// What people are told of a line that is no record.
    pub(in crate::audit) fn problem(&self) -> Problem {
        problem_at(self.segment, self.number)
    }
}

/// What people are told of a line that is no record.
pub(in crate::audit) fn problem_at(segment: &Segment, line: u64) -> Problem {
    Problem {
        file: segment.name(),
        line: Some(u32::try_from(line).unwrap_or(u32::MAX)),
        column: None,
        text: "not a whole record".into(),
    }
}

/// The lines of one segment.
pub(in crate::audit) struct Cursor {
    segment: Segment,
    lines: Lines,
    more: Option<More>,
}

/// Where the lines are that the newest segment lacks.
struct More {
    directory: PathBuf,
    /// The next record.
    next: u64,
    given: Option<Given>,
}

/// Lines of the write-ahead log, from where the segment has no more.
struct Given {
    held: Held,
    /// The place of the line that was given last, as it will be in the segment.
    number: u64,
    offset: u64,
    end: u64,
}

/// How often the segment is looked at again before what it lacks counts as missing.
const LOOKS_MAX: u32 = 20;

impl Cursor {
    pub(in crate::audit) fn new(segment: Segment, lines: Lines) -> Self {
        Self { segment, lines, more: None }
    }

    /// Goes on, where the segment lacks lines, with those of the write-ahead log.
    pub(super) fn with_more(self, directory: &Path) -> Self {
        let next = self.segment.first_seq;
        let more = More { directory: directory.to_owned(), next, given: None };
        Self { more: Some(more), ..self }
    }

    pub(in crate::audit) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The next line; none at the end.
    pub(in crate::audit) fn next(&mut self) -> Result<Option<Line<'_>>, InputError> {
        Ok(if self.advance()? { Some(self.line()) } else { None })
    }

    pub(super) fn advance(&mut self) -> Result<bool, InputError> {
        let mut looks = 0;
        loop {
            let (number, end) = (self.lines.number(), self.lines.end());
            if let Some(More { next, given: Some(given), .. }) = &mut self.more {
                return Ok(given.advance(next));
            }
            let any = self.lines.advance();
            let any = any.map_err(|error| InputError::of(&self.segment.path, error))?;
            let Some(more) = &mut self.more else { return Ok(any) };
            let whole = any && self.lines.ending() == Ending::Newline;
            let seq = if whole { seq_if_whole(self.lines.bytes()) } else { None };
            if seq == Some(more.next) {
                more.next += 1;
                return Ok(true);
            }
            // The ring after the segment: a line that is in neither was durable in none.
            let held = Held::look(&more.directory).map_err(|error| {
                InputError::of(&more.directory.join(WAL), io::Error::other(error))
            })?;
            match held {
                Some(held) if held.makes_up_for(more.next) => {
                    more.given = Some(Given { held, number, offset: end, end });
                }
                // Its frame was overwritten meanwhile, so that it is in the segment by now.
                Some(held) if !whole && held.first_seq() > more.next && looks < LOOKS_MAX => {
                    looks += 1;
                    if any {
                        self.lines.put_back();
                    }
                    self.lines.look_again();
                }
                _ => {
                    more.next = seq.map_or(more.next, |seq| seq.saturating_add(1));
                    return Ok(any);
                }
            }
        }
    }

    /// The line that was read last.
    pub(super) fn line(&self) -> Line<'_> {
        if let Some(More { next, given: Some(given), .. }) = &self.more
            && let Some(bytes) = given.held.line(*next - 1)
        {
            let (number, offset) = (given.number, given.offset);
            return Line { segment: &self.segment, bytes, number, offset, state: LineState::Whole };
        }
        let state = match self.lines.ending() {
            Ending::Newline => LineState::Whole,
            Ending::Missing if !self.segment.is_closed() => LineState::Torn,
            Ending::Missing | Ending::Later => LineState::Damaged,
        };
        Line {
            segment: &self.segment,
            bytes: self.lines.bytes(),
            number: self.lines.number(),
            offset: self.lines.offset(),
            state,
        }
    }

    /// Counts its lines on from where another one of the same segment is.
    pub(super) fn numbered_as(mut self, other: &Self) -> Self {
        self.lines.count_from(other.lines.number());
        self
    }

    /// Where the line behind the last one begins, in bytes.
    pub(in crate::audit) fn end(&self) -> u64 {
        self.lines.end()
    }

    /// Looks again for more after the end: the segment may have grown.
    pub(in crate::audit) fn look_again(&mut self) {
        self.lines.look_again();
    }

    /// Takes back the torn line that was read last: it comes again, whole.
    pub(in crate::audit) fn put_back(&mut self) {
        self.lines.put_back();
    }

    /// This segment was begun after it: a line without an end is not torn any more.
    pub(in crate::audit) fn close(&mut self, next: &Segment) {
        self.segment.next_seq = Some(next.first_seq);
    }
}

impl Given {
    fn advance(&mut self, next: &mut u64) -> bool {
        let Some(line) = self.held.line(*next) else { return false };
        self.number += 1;
        self.offset = self.end;
        self.end += line.len() as u64 + 1;
        *next += 1;
        true
    }
}

/// The number of a line without a hole: a power loss leaves zeros.
fn seq_if_whole(line: &[u8]) -> Option<u64> {
    let whole = memchr(0, line).is_none();
    glance::seq(line).or_else(|| seq_of(line)).filter(|_| whole)
}
