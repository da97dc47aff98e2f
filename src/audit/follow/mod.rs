//! Following a log that is being written: its records in order, across segments.
//!
//! Takes nothing from the writer and holds no lock. What is durable the caller says, and
//! no line behind it is looked at: it might still be taken back, or written anew. No
//! record is left out in silence: those that are gone are counted.

mod position;

use crate::audit::log::cursor::Cursor;
use crate::audit::log::directory::LogReader;
use crate::audit::log::error::InputError;
use crate::audit::log::segment::Segment;
use crate::audit::record::parse::seq_of;
pub use position::{OF_DATABASE, OF_EXPORT, Position, PositionError};

/// One record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Its number.
    pub seq: u64,
    /// Its line, without the newline.
    pub line: Vec<u8>,
}

/// Records that follow one another.
#[derive(Debug, Default)]
pub struct Passage {
    /// In the order of their numbers; one that is missing is in `lost`.
    pub records: Vec<Followed>,
    /// How many records before the last of these are not in the log any more: removed, or
    /// damaged.
    pub lost: u64,
    /// Where the next passage begins.
    pub next: u64,
}

/// A place in a log, from which its records are read.
#[derive(Debug)]
pub struct Follower {
    log: LogReader,
    /// The next record; none before the oldest is known.
    next: Option<u64>,
    /// Where it is looked for.
    place: Option<Place>,
}

/// A segment, and what of it was read.
struct Place {
    segment: Segment,
    /// Of a plain segment, in bytes.
    offset: u64,
    /// Of a compressed one, which does not change any more.
    cursor: Option<Cursor>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("segment", &self.segment).finish_non_exhaustive()
    }
}

/// What a look into a segment came to.
enum Look {
    /// All that was asked for is there.
    Enough,
    /// The segment ends.
    End,
}

/// What limits a passage.
#[derive(Clone, Copy)]
struct Bounds {
    durable: u64,
    records_max: usize,
    bytes_max: usize,
}

impl Follower {
    /// Begins with the record `next`, or with the oldest that there is.
    #[must_use]
    pub fn new(log: LogReader, next: Option<u64>) -> Self {
        // What only the write-ahead log holds is not given out before it is in a segment.
        Self { log: log.segments_only(), next, place: None }
    }

    /// What comes next, none of it behind the record `durable`: at most `records_max`
    /// records, and no further one once there are `bytes_max` bytes.
    ///
    /// # Errors
    /// [`InputError`]; the next call tries again from the same record.
    pub fn read(
        &mut self,
        durable: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Passage, InputError> {
        let began = self.next;
        let bounds = Bounds { durable, records_max, bytes_max };
        self.passage(bounds).inspect_err(|_| {
            self.next = began;
            self.place = None;
        })
    }

    fn passage(&mut self, bounds: Bounds) -> Result<Passage, InputError> {
        let mut passage = Passage::default();
        let mut vanished = 0;
        while self.next.is_none_or(|next| next <= bounds.durable) {
            let Some(place) = &mut self.place else {
                if self.find_place()? {
                    continue;
                }
                break;
            };
            let next = self.next.unwrap_or(place.segment.first_seq);
            passage.next = next;
            let look = match place.look(&self.log, bounds, &mut passage) {
                Ok(look) => look,
                // Compressed or removed meanwhile: looked for anew.
                Err(error) if error.is_gone() && vanished < 3 => {
                    vanished += 1;
                    self.place = None;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.next = Some(passage.next);
            match look {
                Look::Enough => break,
                Look::End if self.move_on(&mut passage)? => {}
                // It was promised and is not there: whoever changed the log knows why.
                Look::End => break,
            }
        }
        passage.next = self.next.unwrap_or_default();
        Ok(passage)
    }

    /// Finds the segment that the next record is in: the oldest there is where the record
    /// is gone, or none was asked for. False where there is none.
    fn find_place(&mut self) -> Result<bool, InputError> {
        let mut found = self.log.list()?;
        let of = found.iter().rposition(|s| self.next.is_some_and(|next| s.first_seq <= next));
        let at = of.unwrap_or(0);
        if at >= found.len() {
            return Ok(false);
        }
        let segment = found.swap_remove(at);
        self.next = self.next.or(Some(segment.first_seq));
        self.place = Some(Place { segment, offset: 0, cursor: None });
        Ok(true)
    }

    /// From the end of a segment to the one behind it; false where there is none.
    fn move_on(&mut self, passage: &mut Passage) -> Result<bool, InputError> {
        let here = self.place.as_ref().map_or(0, |place| place.segment.first_seq);
        let found = self.log.list()?;
        let Some(segment) = found.into_iter().find(|segment| segment.first_seq > here) else {
            return Ok(false);
        };
        let next = passage.next.max(segment.first_seq);
        // Whatever is durable was there before the first segment was looked at: none of it
        // can have come into that one since.
        passage.lost += next - passage.next;
        passage.next = next;
        self.next = Some(next);
        self.place = Some(Place { segment, offset: 0, cursor: None });
        Ok(true)
    }
}

impl Place {
    /// Reads on. What was read of a plain segment behind the last durable line is
    /// forgotten: it may have been taken back when it is looked at again.
    fn look(
        &mut self,
        log: &LogReader,
        bounds: Bounds,
        passage: &mut Passage,
    ) -> Result<Look, InputError> {
        let mut cursor = match self.cursor.take() {
            Some(cursor) => cursor,
            None if self.segment.compressed => log.read(&self.segment)?,
            None => log.resume(&self.segment, self.offset)?,
        };
        let mut bytes: usize = passage.records.iter().map(|record| record.line.len()).sum();
        let look = loop {
            let full = passage.records.len() >= bounds.records_max || bytes >= bounds.bytes_max;
            if full || passage.next > bounds.durable {
                break Look::Enough;
            }
            let Some(line) = cursor.next()? else { break Look::End };
            if line.is_torn() {
                // It is being written; its beginning comes again.
                break Look::End;
            }
            if let Some(seq) = line.whole().and_then(seq_of).filter(|seq| *seq >= passage.next) {
                if seq > bounds.durable {
                    // Behind a gap, and not durable yet: it comes again.
                    return Ok(Look::Enough);
                }
                passage.lost += seq - passage.next;
                passage.next = seq + 1;
                bytes += line.bytes.len();
                passage.records.push(Followed { seq, line: line.bytes.to_vec() });
            }
            self.offset = line.offset + line.length();
        };
        if self.segment.compressed {
            self.cursor = Some(cursor);
        }
        Ok(look)
    }
}

#[cfg(test)]
mod tests;
