//! What an earlier process left behind.
//!
//! A crash can leave a torn, zero-filled or garbage tail, and holes in the last batch.
//! Where the write-ahead log holds the records from there on, they are put in their place.
//! Else the log is kept aside from there on and cut. Nothing else is a crash's
//! work: a damaged line before records of a later batch, a tree that differs from what a
//! checkpoint says, fewer records than a checkpoint covers. Then the log is left as it is
//! and nothing starts; a log that goes on would sign what it contradicts.

mod scan;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::audit::journal::error::OpenError;
use crate::audit::log::cursor::Cursor;
use crate::audit::log::directory::LogReader;
use crate::audit::log::lines::Lines;
use crate::audit::log::segment::Segment;
use crate::audit::log::wal::Held;
use crate::audit::tree::Frontier;
use crate::audit::tree::checkpoint::Checkpoint;
use crate::files::install;
use crate::note::VerifierKey;
use scan::{Head, Scan, Tail};

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

/// Reads the end of the log, mends its tail, brings what only the write-ahead log holds into
/// a segment, and finds what is open. All that was found is on the disk in segments then.
/// With a key, the signatures of checkpoints are checked too.
pub(in crate::audit) fn recover(
    log: &LogReader,
    key: Option<&VerifierKey>,
    held: Option<&Held>,
) -> Result<Recovered, OpenError> {
    let log = &log.segments_only();
    let segments = log.list()?;
    let (needed, mut scan) = where_to_begin(log, &segments, key, held)?;
    scan.newest = newest_checkpoint(log, key)?;
    scan.held = held;
    let Some((last, before)) = needed.split_last() else {
        let nothing = Segment::plain(log.directory(), 1);
        let surplus = scan.read_held(&nothing)?;
        scan.not_truncated(&nothing)?;
        bring(&nothing, surplus)?;
        return Ok(scan.into_recovered(None));
    };
    for segment in before {
        let tail = scan.read(log.read(segment)?)?;
        if let Some(tail) = tail {
            return Err(tail.damaged(segment, "not a record, but a later segment follows it"));
        }
    }
    let tail = scan.read(log.read(last)?)?;
    if let (true, Some(tail)) = (last.compressed, tail) {
        return Err(tail.damaged(last, "not a record, in a compressed segment"));
    }
    let next_seq = scan.next_seq;
    // What is torn or missing there is no loss.
    let tail = tail.filter(|_| !scan.makes_up());
    let surplus = scan.read_held(last)?;
    scan.not_truncated(last)?;
    let home = Segment::plain(log.directory(), next_seq);
    // A segment that was begun, and whose first record the crash kept from it.
    let begun = last.compressed || (home.path != last.path && home.path.exists());
    let (here, there) = if begun { (&[][..], surplus) } else { (surplus, &[][..]) };
    let cut = mend(log, last, scan.length, tail.as_ref(), here)?;
    bring(&home, there)?;
    Ok(scan.into_recovered(cut))
}

/// The same of a segment that is not a file: what there is to go on from, and how many of
/// its bytes are whole records.
pub(in crate::audit) fn recover_bytes(
    bytes: Vec<u8>,
    key: Option<&VerifierKey>,
) -> Result<(Recovered, u64), OpenError> {
    let all = bytes.len() as u64;
    let source = Lines::new(Box::new(io::Cursor::new(bytes)), 0);
    let mut scan = Scan::new(1, Frontier::default(), key);
    scan.read(Cursor::new(Segment::plain(Path::new("memory"), 1), source))?;
    let length = scan.length;
    let cut = Cut { bytes: all - length, kept_in: "memory".into() };
    Ok((scan.into_recovered((length < all).then_some(cut)), length))
}

/// The segments that tell what is open and how the tree goes on: from one on whose first
/// record says how the tree stands there (or that is the first of all), and that begins
/// before whatever may be open.
fn where_to_begin<'a, 'k>(
    log: &LogReader,
    segments: &'a [Segment],
    key: Option<&'k VerifierKey>,
    held: Option<&Held>,
) -> Result<(&'a [Segment], Scan<'k>), OpenError> {
    let scan = |next_seq, tree| Scan::new(next_seq, tree, key);
    let mut bound: Option<u64> = None;
    for (at, segment) in segments.iter().enumerate().rev() {
        let head = Head::of(&mut log.read(segment)?)?;
        bound = bound.or(head.open_from);
        let tree = match head.tree {
            None if segment.first_seq == 1 => Some(Frontier::default()),
            tree => tree,
        };
        // Of the write-ahead log, the oldest frame that is needed: it must fit.
        let from = bound.map(|seq| held.map_or(seq, |held| held.first_seq().min(seq)));
        let everything = from.is_some_and(|seq| segment.first_seq <= seq);
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

/// Makes a segment of these lines, if there are any.
fn bring(segment: &Segment, lines: &[u8]) -> Result<(), OpenError> {
    if lines.is_empty() {
        return Ok(());
    }
    let anew = segment.path.with_extension("recovering");
    install(&anew, &segment.path, |file| io::Write::write_all(file, lines))?;
    Ok(())
}

/// Cuts the tail of the last segment, and writes the segment anew, with `more` at its end:
/// after a failed fsync what the page cache shows may not be on the disk, and a `log.stop` at
/// its end may be a part of that.
fn mend(
    log: &LogReader,
    segment: &Segment,
    length: u64,
    tail: Option<&Tail>,
    more: &[u8],
) -> Result<Option<Cut>, OpenError> {
    if segment.compressed {
        return Ok(None);
    }
    let mut source = File::open(&segment.path)?;
    let name = segment.path.file_name().and_then(|name| name.to_str()).unwrap_or("segment");
    // The same for every try: a start that fails must not fill the disk.
    let kept_in = format!("{name}.torn-{length}");
    let aside = log.beside(&kept_in);
    if tail.is_some() {
        source.seek(io::SeekFrom::Start(length))?;
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
    let mut whole = io::Read::take(source, length);
    install(&anew, &segment.path, |file| {
        io::copy(&mut whole, file)?;
        io::Write::write_all(file, more)
    })?;
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
