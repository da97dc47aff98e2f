//! What an earlier process left behind.
//!
//! A crash can leave a torn, zero-filled or garbage tail, and holes in the last batch.
//! From the first such place on the log is kept aside and cut. A damaged line before
//! records of a later batch is not a crash's work: the log is left as it is and nothing
//! starts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::OpenError;
use super::entry::{DECISION, OUTCOME, START, STOP};

/// A line longer than this is no record, in bytes.
pub(super) const LINE_BYTES_MAX: u64 = 64 * 1024;

/// A state to go on from.
#[derive(Debug)]
pub struct Recovered {
    /// The sequence number of the next record.
    pub next_seq: u64,
    /// Allow decisions without an outcome, in order.
    pub open: Vec<OpenDecision>,
    /// What was cut.
    pub cut: Option<Cut>,
}

impl Default for Recovered {
    fn default() -> Self {
        Self { next_seq: 1, open: Vec::new(), cut: None }
    }
}

/// An allow decision without an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDecision {
    /// Its sequence number.
    pub seq: u64,
    /// Its request.
    pub request_id: String,
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

/// The file name of a segment.
pub(super) fn segment_name(first_seq: u64) -> String {
    format!("{first_seq:020}.jsonl")
}

/// The segments of a log in order, with the sequence number in each name.
pub(super) fn segments(directory: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let Some(digits) = name.to_str().and_then(|name| name.strip_suffix(".jsonl")) else {
            continue;
        };
        if let (20, Ok(first)) = (digits.len(), digits.parse::<u64>()) {
            found.insert(first, directory.join(name));
        }
    }
    Ok(found)
}

/// The fields of a record that recovery looks at.
#[derive(Deserialize)]
struct Record<'a> {
    seq: u64,
    batch: Option<u64>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    decision: Option<Cow<'a, str>>,
    decision_seq: Option<u64>,
}

/// What one segment says.
#[derive(Default)]
struct Segment {
    next_seq: u64,
    opened: BTreeMap<u64, OpenDecision>,
    closed: Vec<u64>,
    /// Has closed all that was open before it.
    started: bool,
    /// Its process ended in order.
    stopped: bool,
    /// Length of the whole records, in bytes.
    length: u64,
    /// Length with the tail.
    total: u64,
}

/// Reads the end of the log, mends its tail, and finds what is open.
pub(super) fn recover(directory: &Path) -> Result<Recovered, OpenError> {
    let segments = segments(directory)?;
    let Some((first, path)) = segments.last_key_value() else { return Ok(Recovered::default()) };
    let last = read_segment(*first, path)?;
    let cut = mend(directory, path, &last)?;
    let next_seq = last.next_seq;
    // Back to the segment that has closed all before it. There are several only when
    // processes died before their first records were durable.
    let mut read = vec![last];
    for (first, path) in segments.iter().rev().skip(1) {
        if read.last().is_some_and(|segment| segment.started) {
            break;
        }
        read.push(read_segment(*first, path)?);
    }
    let mut open = BTreeMap::new();
    for segment in read.into_iter().rev() {
        open.extend(segment.opened);
        for seq in segment.closed {
            open.remove(&seq);
        }
    }
    Ok(Recovered { next_seq, open: open.into_values().collect(), cut })
}

fn read_segment(first_seq: u64, path: &Path) -> Result<Segment, OpenError> {
    let file = File::open(path)?;
    let total = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut segment = Segment { next_seq: first_seq, total, ..Segment::default() };
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        number += 1;
        reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(segment);
        }
        let whole = line.strip_suffix(b"\n").and_then(|text| serde_json::from_slice(text).ok());
        let damaged = |text: &str| OpenError::Damaged {
            file: path.display().to_string(),
            line: number,
            offset: segment.length,
            text: text.to_owned(),
        };
        match whole {
            Some(Record { seq, .. }) if seq != segment.next_seq => {
                let text = format!("record {seq} stands where {} belongs", segment.next_seq);
                return Err(damaged(&text));
            }
            Some(record) => {
                let length = line.len() as u64;
                segment.take(&record, length);
            }
            None => {
                // A tail, unless a record of a later batch follows: then this one was on
                // the disk once. Within a batch a power loss may keep later pages only.
                while reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? > 0 {
                    let after = line.strip_suffix(b"\n").unwrap_or(&line);
                    let after = after.rsplit(|b| *b == b'\n').next().unwrap_or_default();
                    let after = serde_json::from_slice::<Record<'_>>(after);
                    let later = |r: Record<'_>| r.batch.is_none_or(|b| b > segment.next_seq);
                    if after.is_ok_and(later) {
                        return Err(damaged("not a record, but records follow it"));
                    }
                    line.clear();
                }
                return Ok(segment);
            }
        }
    }
}

impl Segment {
    /// Nearly always a decision of this segment, which then needs no memory.
    fn close(&mut self, seq: u64) {
        if self.opened.remove(&seq).is_none() {
            self.closed.push(seq);
        }
    }

    fn take(&mut self, record: &Record<'_>, length: u64) {
        self.length += length;
        self.next_seq = record.seq + 1;
        self.stopped = record.event == STOP;
        match (record.event.as_ref(), record.decision.as_deref(), record.decision_seq) {
            (START, ..) => self.started = true,
            (DECISION, Some("allow"), _) => {
                let request_id = record.request_id.as_deref().unwrap_or_default().to_owned();
                self.opened.insert(record.seq, OpenDecision { seq: record.seq, request_id });
            }
            (OUTCOME, _, Some(seq)) => self.close(seq),
            _ => {}
        }
    }
}

/// Cuts the tail of the last segment, and writes the segment anew when its process did
/// not end in order: after a failed fsync what the page cache shows may not be on the
/// disk.
fn mend(directory: &Path, path: &Path, segment: &Segment) -> Result<Option<Cut>, OpenError> {
    if segment.stopped && segment.total == segment.length {
        return Ok(None);
    }
    let mut source = File::open(path)?;
    let cut = if segment.total > segment.length {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("segment");
        // The same for every try: a start that fails must not fill the disk.
        let kept_in = format!("{name}.torn-{}", segment.length);
        source.seek(io::SeekFrom::Start(segment.length))?;
        // If the process dies here the tail is still there, and is kept once more.
        copy_durably(&mut source, &directory.join(&kept_in))?;
        Some(Cut { bytes: segment.total - segment.length, kept_in })
    } else {
        None
    };
    let anew = path.with_extension("recovering");
    source.seek(io::SeekFrom::Start(0))?;
    copy_durably(&mut source.take(segment.length), &anew)?;
    // If the process dies here the old file stands, and all of this is done again.
    std::fs::rename(&anew, path)?;
    super::store::sync_directory(directory)?;
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
