//! What the records of a log say of how it goes on.

use std::collections::BTreeMap;

use super::{Cut, OpenDecision, Recovered};
use crate::audit::journal::error::OpenError;
use crate::audit::log::cursor::Cursor;
use crate::audit::log::directory::NEWEST_CHECKPOINT;
use crate::audit::log::error::InputError;
use crate::audit::log::lines::Lines;
use crate::audit::log::segment::Segment;
use crate::audit::log::wal::{Held, WAL};
use crate::audit::record::event::Event;
use crate::audit::record::parse::{Parsed, Record};
use crate::audit::tree::checkpoint::Checkpoint;
use crate::audit::tree::{Frontier, Hash};
use crate::note::VerifierKey;

/// What the first records of a segment say.
#[derive(Default)]
pub(super) struct Head {
    pub(super) tree: Option<Frontier>,
    /// Whatever is open is this or later.
    pub(super) open_from: Option<u64>,
}

impl Head {
    pub(super) fn of(cursor: &mut Cursor) -> Result<Self, InputError> {
        let first_seq = cursor.segment().first_seq;
        let mut head = Self::default();
        let mut first = true;
        while let Some(line) = cursor.next()? {
            let Some(record) = line.record() else { break };
            if first && record.is(Event::Checkpoint) {
                head.tree = record.tree().filter(|tree| tree.size() == first_seq - 1);
                head.open_from = Some(record.open_from.unwrap_or(first_seq));
                break;
            }
            // Version 0: a start closes all that was open before, then says so.
            if record.is(Event::Start) {
                head.open_from = Some(first_seq);
            }
            if !record.is(Event::Outcome) {
                break;
            }
            first = false;
        }
        Ok(head)
    }
}

/// Where the whole records of a segment end although its bytes go on.
#[derive(Default, Clone, Copy)]
pub(super) struct Tail {
    line: u64,
    offset: u64,
}

impl Tail {
    pub(super) fn damaged(&self, segment: &Segment, text: &str) -> OpenError {
        OpenError::Damaged {
            file: segment.name(),
            line: self.line.max(1),
            offset: self.offset,
            text: text.to_owned(),
        }
    }
}

/// What was read so far.
pub(super) struct Scan<'k> {
    pub(super) next_seq: u64,
    pub(super) tree: Frontier,
    pub(super) key: Option<&'k VerifierKey>,
    /// The newest that was given away.
    pub(super) newest: Option<Checkpoint>,
    /// What the write-ahead log holds.
    pub(super) held: Option<&'k Held>,
    /// Whether the tree was what a frame of it says.
    fits: bool,
    /// Whether this segment's checkpoints are signed by the key; none before the first.
    signed: Option<bool>,
    open: BTreeMap<u64, OpenDecision>,
    /// Whole records of the last segment, in bytes.
    pub(super) length: u64,
}

impl<'k> Scan<'k> {
    /// Begins with the record of this number, where the tree over those before is known.
    pub(super) fn new(next_seq: u64, tree: Frontier, key: Option<&'k VerifierKey>) -> Self {
        Self {
            next_seq,
            tree,
            key,
            newest: None,
            held: None,
            fits: false,
            signed: None,
            open: BTreeMap::new(),
            length: 0,
        }
    }

    pub(super) fn not_truncated(&self, last: &Segment) -> Result<(), OpenError> {
        let records = self.next_seq - 1;
        match &self.newest {
            Some(newest) if newest.size > records => {
                let text = format!(
                    "the log ends with record {records}, but `{NEWEST_CHECKPOINT}` covers {}: its \
                     end was removed",
                    newest.size
                );
                Err(Tail { line: 0, offset: self.length }.damaged(last, &text))
            }
            _ => Ok(()),
        }
    }

    /// Reads one segment, up to where it ends or is torn.
    pub(super) fn read(&mut self, mut cursor: Cursor) -> Result<Option<Tail>, OpenError> {
        self.length = 0;
        self.signed = None;
        while let Some(line) = cursor.next()? {
            let place = Tail { line: line.number, offset: line.offset };
            let damaged = |text: &str| place.damaged(line.segment, text);
            match line.parsed() {
                Parsed::Record(record) if record.seq != self.next_seq => {
                    let text =
                        format!("record {} stands where {} belongs", record.seq, self.next_seq);
                    return Err(damaged(&text));
                }
                Parsed::Record(record) => {
                    self.fits_held(line.segment)?;
                    let held = self.held.and_then(|held| held.line(record.seq));
                    if held.is_some_and(|held| held != line.bytes) {
                        let text = format!("the write-ahead log `{WAL}` has another record here");
                        return Err(damaged(&text));
                    }
                    self.take(&record).map_err(|text| damaged(&text))?;
                    self.tree.push(Hash::of_leaf(line.bytes));
                    self.length += line.length();
                    let newest = self.newest.as_ref().filter(|c| c.size == self.tree.size());
                    if newest.is_some_and(|newest| newest.root != self.tree.root()) {
                        let text =
                            format!("what is before is not what `{NEWEST_CHECKPOINT}` covers");
                        return Err(damaged(&text));
                    }
                }
                Parsed::Newer(version) => {
                    let text = format!("format version {version}: a newer grantgate wrote it");
                    return Err(damaged(&text));
                }
                // Whatever follows: the write-ahead log has it too.
                Parsed::Nothing if self.makes_up() => return Ok(Some(place)),
                Parsed::Nothing => {
                    let follows = later_batch_follows(&mut cursor, self.next_seq)?;
                    let text = "not a record, but records follow it";
                    return if follows {
                        Err(place.damaged(cursor.segment(), text))
                    } else {
                        Ok(Some(place))
                    };
                }
            }
        }
        Ok(None)
    }

    /// Whether a crash may have kept the next record from its segment, and the write-ahead
    /// log has it.
    pub(super) fn makes_up(&self) -> bool {
        self.held.is_some_and(|held| held.makes_up_for(self.next_seq))
    }

    /// A frame says what the tree is before its first record: of another log it is not.
    fn fits_held(&mut self, segment: &Segment) -> Result<(), OpenError> {
        match self.held.and_then(|held| held.root_before(self.next_seq)) {
            Some(root) if root != self.tree.root() => Err(other_wal(
                segment,
                format!("it holds records of a log with another record {}", self.next_seq - 1),
            )),
            Some(_) => {
                self.fits = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Goes on from the end of the segments with what only the write-ahead log holds: its
    /// lines.
    pub(super) fn read_held(&mut self, last: &Segment) -> Result<&'k [u8], OpenError> {
        let Some(held) = self.held else { return Ok(&[]) };
        let records = self.next_seq - 1;
        if records < held.synced {
            let text = format!(
                "the log ends with record {records}, and records up to {} were in segments",
                held.synced
            );
            return Err(other_wal(last, text));
        }
        let lines = held.lines_from(self.next_seq);
        let wal = Segment { path: last.path.with_file_name(WAL), ..last.clone() };
        let length = self.length;
        let source = Lines::new(Box::new(std::io::Cursor::new(lines.to_vec())), 0);
        if let Some(tail) = self.read(Cursor::new(wal.clone(), source))? {
            return Err(tail.damaged(&wal, "not a record"));
        }
        self.length = length;
        self.fits_held(last)?;
        if !self.fits {
            let text = format!("it ends with record {}, long before", held.next_seq() - 1);
            return Err(other_wal(last, text));
        }
        Ok(lines)
    }

    /// What there is to go on from.
    pub(super) fn into_recovered(self, cut: Option<Cut>) -> Recovered {
        let open = self.open.into_values().collect();
        Recovered { next_seq: self.next_seq, open, cut, tree: self.tree }
    }

    fn take(&mut self, record: &Record<'_>) -> Result<(), String> {
        self.next_seq += 1;
        if record.is(Event::Checkpoint) {
            self.check(record)?;
        }
        match (record.known_event(), record.decision_seq) {
            (Some(Event::Decision), _) if record.allows() => {
                let request_id = record.request_id().unwrap_or_default().to_owned();
                let operation = record.operation_name().map(str::to_owned);
                let open = OpenDecision { seq: record.seq, request_id, operation };
                self.open.insert(record.seq, open);
            }
            (Some(Event::Outcome), Some(seq)) => {
                self.open.remove(&seq);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a checkpoint agrees with the records before it.
    fn check(&mut self, record: &Record<'_>) -> Result<(), String> {
        let agrees = record.tree().is_some_and(|tree| tree == self.tree);
        if !agrees {
            return Err("the records before this checkpoint are not those that it covers".into());
        }
        let Some(key) = self.key else { return Ok(()) };
        let text = record.checkpoint();
        let signed = match text.map(|text| Checkpoint::verify(&text, key)) {
            None => false,
            Some(Ok(own)) if (own.size, own.root) == (self.tree.size(), self.tree.root()) => true,
            Some(Ok(_)) => return Err("the checkpoint's signed text says something else".into()),
            // Of a time before this key.
            Some(Err(error)) if error.is_of_another_key() => false,
            Some(Err(error)) => return Err(format!("the checkpoint is false: {error}")),
        };
        // One process wrote this segment, and had one key or none.
        if self.signed.replace(signed).is_some_and(|before| before != signed) {
            return Err(
                "of this segment's checkpoints some are signed by the key, and some are not".into(),
            );
        }
        Ok(())
    }
}

fn other_wal(segment: &Segment, text: String) -> OpenError {
    let file = segment.path.with_file_name(WAL).display().to_string();
    OpenError::OtherWal { file, text }
}

/// Whether a record of a later batch follows: then the damaged one was on the disk once.
/// Within a batch a power loss may keep later pages only.
fn later_batch_follows(cursor: &mut Cursor, ahead: u64) -> Result<bool, InputError> {
    while let Some(line) = cursor.next()? {
        // Zeros of a hole have no newline before the record behind them.
        let bytes = line.bytes.rsplit(|byte| *byte == 0).next().unwrap_or_default();
        if let Some(record) = line.whole().and_then(|_| Record::parse(bytes))
            && record.batch().is_none_or(|batch| batch > ahead)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
