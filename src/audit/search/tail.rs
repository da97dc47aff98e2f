//! The end of a log, and what is appended to it, across segments.
//!
//! No record is left out or given twice: the next segment is begun only after the one
//! before was read to its end, and a line counts once it has its newline. The write-ahead log
//! is not looked at: what it holds comes to the segments.

use std::collections::{HashSet, VecDeque};

use crate::audit::log::cursor::Cursor;
use crate::audit::log::directory::LogReader;
use crate::audit::log::error::ReadError;
use crate::audit::log::segment::Segment;
use crate::audit::record::event::Event;
use crate::audit::record::parse::Record;
use crate::domain::{CallerId, EntranceId, WorkspaceName};

/// Decisions whose outcomes are still shown.
const REMEMBERED_MAX: usize = 100_000;

/// Which records are shown. With any of these, only decisions that fit, and their
/// outcomes.
#[derive(Debug, Clone, Default)]
pub struct TailFilter {
    /// Who asked.
    pub caller: Option<CallerId>,
    /// In which workspace.
    pub workspace: Option<WorkspaceName>,
    /// For which entrance.
    pub entrance: Option<EntranceId>,
    /// Whether it was allowed.
    pub allowed: Option<bool>,
}

/// Which records of one log are shown, as they come one after the other.
#[derive(Debug, Clone)]
pub struct Chosen {
    filter: TailFilter,
    /// Decisions whose outcomes are still to be shown.
    shown: HashSet<u64>,
}

/// What comes out of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tailed {
    /// A record as it is stored, without its newline.
    Record(Vec<u8>),
    /// A line that is none.
    Damaged {
        /// The segment.
        file: String,
        /// The line, counted from 1.
        line: u64,
    },
}

/// A place in a log, at the end of what was read.
pub struct Tail {
    log: LogReader,
    chosen: Chosen,
    cursor: Cursor,
}

impl Tail {
    /// Reads the last `count` records, and stays behind them.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(
        log: &LogReader,
        filter: TailFilter,
        count: usize,
    ) -> Result<(Self, Vec<Tailed>), ReadError> {
        let log = &log.segments_only();
        let found = log.segments()?;
        let mut few = 1;
        loop {
            let from = found.len().saturating_sub(few);
            let some = found.get(from..).unwrap_or_default();
            let Some((first, more)) = some.split_first() else { continue };
            let (tail, kept) = Self::last(log, &filter, (first, more), count)?;
            let records = kept.iter().filter(|t| matches!(t, Tailed::Record(_))).count();
            if from == 0 || records >= count {
                return Ok((tail, kept.into()));
            }
            few *= 2;
        }
    }

    fn last(
        log: &LogReader,
        filter: &TailFilter,
        (first, more): (&Segment, &[Segment]),
        count: usize,
    ) -> Result<(Self, VecDeque<Tailed>), ReadError> {
        let mut tail = Self {
            log: log.clone(),
            chosen: Chosen::new(filter.clone()),
            cursor: log.read(first)?,
        };
        let mut kept = VecDeque::new();
        let mut keep = |tailed| {
            kept.push_back(tailed);
            if kept.len() > count {
                kept.pop_front();
            }
        };
        tail.rest(&mut keep)?;
        for segment in more {
            tail.cursor = log.read(segment)?;
            tail.rest(&mut keep)?;
        }
        Ok((tail, kept))
    }

    /// Gives what was appended since to `each`, and tells whether there was anything.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn more(&mut self, each: &mut dyn FnMut(Tailed)) -> Result<bool, ReadError> {
        let mut any = self.rest(each)?;
        while let Some(next) = self.next_segment()? {
            // It holds records, so that nothing is appended to the one before any more;
            // but something may have been, before it was begun.
            // A start may have written it anew, with what only the write-ahead log held.
            if let Some(anew) = self.log.read_on(&self.cursor)? {
                self.cursor = anew;
            }
            self.cursor.close(&next);
            any |= self.rest(each)?;
            self.cursor = self.log.read(&next)?;
            any |= self.rest(each)?;
        }
        Ok(any)
    }

    fn next_segment(&self) -> Result<Option<Segment>, ReadError> {
        let here = self.cursor.segment().first_seq;
        Ok(self.log.list()?.into_iter().find(|segment| segment.first_seq > here))
    }

    /// Reads to the end of the segment.
    fn rest(&mut self, each: &mut dyn FnMut(Tailed)) -> Result<bool, ReadError> {
        self.cursor.look_again();
        let mut any = false;
        while let Some(line) = self.cursor.next()? {
            match line.record() {
                None if line.is_torn() => {
                    self.cursor.put_back();
                    return Ok(any);
                }
                // Its gateway was killed while it wrote it, and the next start has cut it off.
                None if line.was_cut_off() => return Ok(any),
                None => each(Tailed::Damaged { file: line.segment.name(), line: line.number }),
                Some(record) if self.chosen.takes(&record) => {
                    each(Tailed::Record(line.bytes.to_vec()));
                }
                Some(_) => {}
            }
            any = true;
        }
        Ok(any)
    }
}

impl Chosen {
    /// By this filter.
    #[must_use]
    pub fn new(filter: TailFilter) -> Self {
        Self { filter, shown: HashSet::new() }
    }

    /// Whether this record, which comes next, is shown.
    pub fn takes(&mut self, record: &Record<'_>) -> bool {
        fits(&self.filter, record, &mut self.shown)
    }
}

fn fits(filter: &TailFilter, record: &Record<'_>, shown: &mut HashSet<u64>) -> bool {
    let TailFilter { caller, workspace, entrance, allowed } = filter;
    if caller.is_none() && workspace.is_none() && entrance.is_none() && allowed.is_none() {
        return true;
    }
    match record.known_event() {
        Some(Event::Outcome) => record.decision_seq.is_some_and(|seq| shown.remove(&seq)),
        Some(Event::Decision) => {
            let allow = record.allows();
            let fits = caller.as_ref().is_none_or(|c| record.caller() == Some(c.as_str()))
                && workspace.as_ref().is_none_or(|w| record.workspace() == Some(w.as_str()))
                && allowed.is_none_or(|allowed| allowed == allow)
                && entrance.is_none_or(|entrance| {
                    record.entrance_id().and_then(|id| EntranceId::parse(id).ok()) == Some(entrance)
                });
            if fits && allow && shown.len() < REMEMBERED_MAX {
                shown.insert(record.seq);
            }
            fits
        }
        // Somebody who was not believed, and whose credential it was.
        Some(Event::Stranger) if workspace.is_none() && entrance.is_none() && allowed.is_none() => {
            caller.as_ref().is_some_and(|c| record.caller() == Some(c.as_str()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::path::Path;

    fn line(seq: u64) -> String {
        format!("{{\"v\":1,\"seq\":{seq},\"event\":\"log.stop\"}}\n")
    }

    fn append(directory: &Path, first: u64, text: &str) {
        let path = directory.join(format!("{first:020}.jsonl"));
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn seqs(tailed: &[Tailed]) -> Vec<u64> {
        let record = |tailed: &Tailed| match tailed {
            Tailed::Record(line) => Record::parse(line).unwrap().seq,
            Tailed::Damaged { .. } => 0,
        };
        tailed.iter().map(record).collect()
    }

    fn more(tail: &mut Tail) -> Vec<u64> {
        let mut found = Vec::new();
        let any = tail.more(&mut |tailed| found.push(tailed)).unwrap();
        assert_eq!(any, !found.is_empty());
        seqs(&found)
    }

    #[test]
    fn what_is_appended_comes_once_across_segments_and_half_lines() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path();
        append(log, 1, &(line(1) + line(2).as_str()));
        append(log, 3, &line(3));
        let (mut tail, last) = Tail::open(&LogReader::new(log), TailFilter::default(), 2).unwrap();
        assert_eq!(seqs(&last), [2, 3]);
        assert!(more(&mut tail).is_empty());
        let four = line(4);
        append(log, 3, &four[..10]);
        assert!(more(&mut tail).is_empty(), "half a line");
        append(log, 3, &four[10..]);
        assert_eq!(more(&mut tail), [4]);
        // A segment that could not be begun, and was taken back.
        append(log, 5, "");
        append(log, 3, &line(5));
        assert_eq!(more(&mut tail), [5]);
        std::fs::remove_file(log.join(format!("{:020}.jsonl", 5))).unwrap();
        // Several segments at once, the middle one compressed meanwhile.
        append(log, 3, &line(6));
        let seven = zstd::encode_all(line(7).as_bytes(), 1).unwrap();
        std::fs::write(log.join(format!("{:020}.jsonl.zst", 7)), seven).unwrap();
        append(log, 8, &(line(8) + "{\"se"));
        assert_eq!(more(&mut tail), [6, 7, 8]);
        append(log, 10, &line(10));
        assert_eq!(more(&mut tail), [0, 10], "the torn line is told of");
        let (_, all) = Tail::open(&LogReader::new(log), TailFilter::default(), 100).unwrap();
        assert_eq!(seqs(&all), [1, 2, 3, 4, 5, 6, 7, 8, 0, 10]);
        assert!(matches!(
            Tail::open(&LogReader::new(log.join("none")), TailFilter::default(), 1),
            Err(ReadError::Input(..))
        ));
    }

    #[test]
    fn a_torn_line_that_a_start_has_mended_is_no_damage() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path();
        append(log, 1, &(line(1) + "{\"v\":1,"));
        let (mut tail, last) = Tail::open(&LogReader::new(log), TailFilter::default(), 5).unwrap();
        assert_eq!(seqs(&last), [1]);
        std::fs::write(log.join(format!("{:020}.jsonl", 1)), line(1)).unwrap();
        append(log, 2, &line(2));
        assert_eq!(more(&mut tail), [2]);
    }

    /// The write-ahead log had the rest; the start has written the segment anew.
    #[test]
    fn what_a_start_adds_to_a_segment_is_shown_before_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path();
        append(log, 1, &(line(1) + &line(2)[..9]));
        let (mut tail, last) = Tail::open(&LogReader::new(log), TailFilter::default(), 5).unwrap();
        assert_eq!(seqs(&last), [1]);
        let (anew, segment) = (log.join("anew"), log.join(format!("{:020}.jsonl", 1)));
        std::fs::write(&anew, [line(1), line(2), line(3)].concat()).unwrap();
        std::fs::rename(anew, segment).unwrap();
        append(log, 4, &line(4));
        assert_eq!(more(&mut tail), [2, 3, 4]);
        assert!(more(&mut tail).is_empty());
    }

    #[test]
    fn a_filter_shows_decisions_and_their_outcomes() {
        let golden = include_str!("../../../tests/golden/audit/records-v1.jsonl");
        let directory = tempfile::tempdir().unwrap();
        append(directory.path(), 1, golden);
        let of =
            |filter| seqs(&Tail::open(&LogReader::new(directory.path()), filter, 100).unwrap().1);
        let caller = |id| TailFilter { caller: CallerId::parse(id).ok(), ..TailFilter::default() };
        assert_eq!(of(caller("desk")), [1, 2, 3, 4, 20, 21, 31, 33, 35, 38]);
        assert!(of(caller("kiosk")).is_empty());
        assert_eq!(of(TailFilter { allowed: Some(false), ..TailFilter::default() }), [3]);
        let entrance = EntranceId::parse("d23d7180-c1ee-4bbe-8630-05df5031ce35").ok();
        assert_eq!(of(TailFilter { entrance, ..TailFilter::default() }), [1, 2, 4, 20, 31, 33, 38]);
        let workspace = WorkspaceName::parse("lab").ok();
        assert_eq!(of(TailFilter { workspace, ..TailFilter::default() }), [31]);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            some in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
            more in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("00000000000000000001.jsonl");
            std::fs::write(&path, &some).unwrap();
            let opened = Tail::open(&LogReader::new(directory.path()), TailFilter::default(), 5);
            // An empty segment is none.
            let Ok((mut tail, _)) = opened else { return Ok(()) };
            std::fs::write(&path, [some, more].concat()).unwrap();
            let _ = tail.more(&mut |_| {});
        }
    }
}
