//! What an earlier process left behind.
//!
//! A crash can leave a torn, zero-filled or garbage tail, and holes in the last batch.
//! From the first such place on the log is kept aside and cut. Nothing else is a crash's
//! work: a damaged line before records of a later batch, a tree that differs from what a
//! checkpoint says, fewer records than a checkpoint covers. Then the log is left as it is
//! and nothing starts; a log that goes on would sign what it contradicts.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::audit::journal::error::OpenError;
use crate::audit::log::cursor::Cursor;
use crate::audit::log::directory::{LogReader, NEWEST_CHECKPOINT};
use crate::audit::log::error::InputError;
use crate::audit::log::segment::Segment;
use crate::audit::record::event::Event;
use crate::audit::record::parse::{Parsed, Record};
use crate::audit::tree::checkpoint::Checkpoint;
use crate::audit::tree::note::VerifierKey;
use crate::audit::tree::{Frontier, Hash};
use crate::files::install;

/// A state to go on from.
#[derive(Debug)]
pub struct Recovered {
    /// The sequence number of the next record.
    pub next_seq: u64,
    /// Allow decisions without an outcome, in order.
    pub open: Vec<OpenDecision>,
    /// What was cut.
    pub cut: Option<Cut>,
    /// The tree over all records.
    pub(in crate::audit) tree: Frontier,
}

impl Default for Recovered {
    fn default() -> Self {
        Self { next_seq: 1, open: Vec::new(), cut: None, tree: Frontier::default() }
    }
}

/// An allow decision without an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDecision {
    /// Its sequence number.
    pub seq: u64,
    /// Its request.
    pub request_id: String,
    /// What was asked for, where its record says so.
    pub operation: Option<String>,
}

/// A tail that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// How many bytes.
    pub bytes: u64,
    /// The file beside the segments that holds them now.
    pub kept_in: String,
}

/// What was mended at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Decisions that were closed as unknown.
    pub closed_decisions: usize,
    /// What was cut.
    pub cut: Option<Cut>,
}

impl RecoveryReport {
    /// Whether there is something to tell.
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        self.closed_decisions > 0 || self.cut.is_some()
    }
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} decision(s) closed as unknown", self.closed_decisions)?;
        match &self.cut {
            Some(cut) => write!(f, ", {} torn byte(s) kept in `{}`", cut.bytes, cut.kept_in),
            None => Ok(()),
        }
    }
}

/// Reads the end of the log, mends its tail, and finds what is open. With a key, the
/// signatures of checkpoints are checked too.
pub(in crate::audit) fn recover(
    log: &LogReader,
    key: Option<&VerifierKey>,
) -> Result<Recovered, OpenError> {
    let segments = log.list()?;
    let (needed, mut scan) = where_to_begin(log, &segments, key)?;
    scan.newest = newest_checkpoint(log, key)?;
    let Some((last, before)) = needed.split_last() else {
        let nothing = Segment::plain(log.directory(), 1);
        return scan.not_truncated(&nothing).map(|()| Recovered::default());
    };
    for segment in before {
        let tail = scan.read(log, segment)?;
        if let Some(tail) = tail {
            return Err(tail.damaged(segment, "not a record, but a later segment follows it"));
        }
    }
    let tail = scan.read(log, last)?;
    if let (true, Some(tail)) = (last.compressed, tail) {
        return Err(tail.damaged(last, "not a record, in a compressed segment"));
    }
    scan.not_truncated(last)?;
    let cut = mend(log, last, &scan, tail.as_ref())?;
    Ok(Recovered {
        next_seq: scan.next_seq,
        open: scan.open.into_values().collect(),
        cut,
        tree: scan.tree,
    })
}

/// The segments that tell what is open and how the tree goes on: from one on whose first
/// record says how the tree stands there (or that is the first of all), and that begins
/// before whatever may be open.
fn where_to_begin<'a, 'k>(
    log: &LogReader,
    segments: &'a [Segment],
    key: Option<&'k VerifierKey>,
) -> Result<(&'a [Segment], Scan<'k>), OpenError> {
    let scan = |next_seq, tree| Scan { next_seq, tree, key, ..Scan::default() };
    let mut bound = None;
    for (at, segment) in segments.iter().enumerate().rev() {
        let head = Head::read(log, segment)?;
        bound = bound.or(head.open_from);
        let tree = match head.tree {
            None if segment.first_seq == 1 => Some(Frontier::default()),
            tree => tree,
        };
        let everything = bound.is_some_and(|seq| segment.first_seq <= seq);
        let first = at == 0;
        if let Some(tree) = tree.filter(|_| everything || first) {
            return Ok((segments.get(at..).unwrap_or_default(), scan(segment.first_seq, tree)));
        }
        if first {
            let text = "the log begins here, and no checkpoint says what was before";
            return Err(Tail::default().damaged(segment, text));
        }
    }
    Ok((&[], scan(1, Frontier::default())))
}

/// What the first records of a segment say.
#[derive(Default)]
struct Head {
    tree: Option<Frontier>,
    /// Whatever is open is this or later.
    open_from: Option<u64>,
}

impl Head {
    fn read(log: &LogReader, segment: &Segment) -> Result<Self, OpenError> {
        let mut cursor = log.read(segment)?;
        let mut head = Self::default();
        let mut first = true;
        while let Some(line) = cursor.next()? {
            let Some(record) = line.record() else { break };
            if first && record.is(Event::Checkpoint) {
                let size = segment.first_seq - 1;
                head.tree = record.tree().filter(|tree| tree.size() == size);
                head.open_from = Some(record.open_from.unwrap_or(segment.first_seq));
                break;
            }
            // Version 0: a start closes all that was open before, then says so.
            if record.is(Event::Start) {
                head.open_from = Some(segment.first_seq);
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
struct Tail {
    line: u64,
    offset: u64,
}

impl Tail {
    fn damaged(&self, segment: &Segment, text: &str) -> OpenError {
        OpenError::Damaged {
            file: segment.name(),
            line: self.line.max(1),
            offset: self.offset,
            text: text.to_owned(),
        }
    }
}

/// What was read so far.
#[derive(Default)]
struct Scan<'k> {
    next_seq: u64,
    tree: Frontier,
    key: Option<&'k VerifierKey>,
    newest: Option<Checkpoint>,
    /// Whether this segment's checkpoints are signed by the key; none before the first.
    signed: Option<bool>,
    open: BTreeMap<u64, OpenDecision>,
    /// Whole records of the last segment, in bytes.
    length: u64,
}

impl Scan<'_> {
    fn not_truncated(&self, last: &Segment) -> Result<(), OpenError> {
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
    fn read(&mut self, log: &LogReader, segment: &Segment) -> Result<Option<Tail>, OpenError> {
        let mut cursor = log.read(segment)?;
        self.length = 0;
        self.signed = None;
        while let Some(line) = cursor.next()? {
            let place = Tail { line: line.number, offset: line.offset };
            let damaged = |text: &str| place.damaged(segment, text);
            match line.parsed() {
                Parsed::Record(record) if record.seq != self.next_seq => {
                    let text =
                        format!("record {} stands where {} belongs", record.seq, self.next_seq);
                    return Err(damaged(&text));
                }
                Parsed::Record(record) => {
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
                Parsed::Nothing => {
                    if later_batch_follows(&mut cursor, self.next_seq)? {
                        return Err(damaged("not a record, but records follow it"));
                    }
                    return Ok(Some(place));
                }
            }
        }
        Ok(None)
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

/// The newest checkpoint of this key that was given away. It covers records that were on
/// the disk: a log that has others, or fewer, has lost them otherwise than by a crash.
fn newest_checkpoint(
    log: &LogReader,
    key: Option<&VerifierKey>,
) -> Result<Option<Checkpoint>, OpenError> {
    let text = log.checkpoint()?;
    // Whoever damaged it gains nothing but that it says nothing.
    Ok(text.zip(key).and_then(|(text, key)| Checkpoint::verify(&text, key).ok()))
}

/// Cuts the tail of the last segment, and writes the segment anew: after a failed fsync
/// what the page cache shows may not be on the disk, and a `log.stop` at its end may be a
/// part of that.
fn mend(
    log: &LogReader,
    segment: &Segment,
    scan: &Scan<'_>,
    tail: Option<&Tail>,
) -> Result<Option<Cut>, OpenError> {
    if segment.compressed {
        return Ok(None);
    }
    let mut source = File::open(&segment.path)?;
    let name = segment.path.file_name().and_then(|name| name.to_str()).unwrap_or("segment");
    // The same for every try: a start that fails must not fill the disk.
    let kept_in = format!("{name}.torn-{}", scan.length);
    let aside = log.beside(&kept_in);
    if tail.is_some() {
        source.seek(io::SeekFrom::Start(scan.length))?;
        // If the process dies here the tail is still there, and is kept once more.
        copy_durably(&mut source, &aside)?;
    }
    // Also of a start that cut the tail and died, or failed, before it could record that: the
    // log still ends where it cut.
    let bytes = std::fs::metadata(&aside).map(|metadata| metadata.len()).ok();
    let cut = bytes.map(|bytes| Cut { bytes, kept_in });
    let anew = segment.path.with_extension("recovering");
    source.seek(io::SeekFrom::Start(0))?;
    // If the process dies before the new file has its name, the old one stands, and all of
    // this is done again.
    let mut whole = io::Read::take(source, scan.length);
    install(&anew, &segment.path, |file| io::copy(&mut whole, file))?;
    Ok(cut)
}

fn copy_durably(source: &mut impl io::Read, to: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(to)?;
    let copied = io::copy(source, &mut file).and_then(|_| file.sync_all());
    copied.inspect_err(|_| {
        let _ = std::fs::remove_file(to);
    })
}

#[cfg(test)]
mod tests;
