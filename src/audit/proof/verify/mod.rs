//! Verifying a log offline, from its files and public keys alone, in one pass with bounded
//! memory.
//!
//! A checkpoint binds every record before it: when the tree over the lines is the one that
//! a trusted checkpoint describes, none of them was altered, removed, moved or added. Where
//! it is not, the checkpoints around it say which records are in doubt, and verifying goes
//! on behind them.

mod beginning;
mod range;
mod report;
mod trust;

use crate::audit::log::cursor::Line;
use crate::audit::log::directory::LogReader;
use crate::audit::log::error::ReadError;
use crate::audit::log::segment::Segment;
use crate::audit::log::walk::Progress;
use crate::audit::record::event::Event;
use crate::audit::record::glance::Peek;
use crate::audit::record::parse::{Parsed, Record};
use crate::audit::tree::checkpoint::Checkpoint;
use crate::audit::tree::{Frontier, Hash};
use crate::note::VerifierKey;
use range::Range;
pub use report::{AnchorFinding, Damage, Finding, Verdict, VerifyReport};
use trust::{Keys, Trust};

/// Verifies a log. With keys, only checkpoints that one of them has signed
/// are trusted; without, the log is compared with itself. Each of the `anchored` ones,
/// and the newest beside the segments, must be part of it. `progress` is told now and then
/// how many bytes were read, of how many.
///
/// # Errors
/// [`ReadError`]. Damage is no error: the report has it.
pub fn verify(
    log: &LogReader,
    keys: &[VerifierKey],
    anchored: &[Checkpoint],
    mut progress: impl FnMut(u64, u64),
) -> Result<VerifyReport, ReadError> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        match once(log, keys, anchored, &mut progress) {
            // A segment was removed, or compressed, by the gateway meanwhile.
            Err(ReadError::Input(error)) if error.is_gone() && tries > 0 => {}
            result => return result,
        }
    }
}

fn once(
    log: &LogReader,
    keys: &[VerifierKey],
    anchored: &[Checkpoint],
    progress: &mut impl FnMut(u64, u64),
) -> Result<VerifyReport, ReadError> {
    // Before the segments: a log that is being written may only be ahead of it.
    let newest = log.checkpoint().ok().flatten();
    let newest = newest.and_then(|text| trusted(&text, keys));
    let segments = log.segments()?;
    let mut progress = Progress::of(&segments, progress);
    let mut anchored: Vec<&Checkpoint> = anchored.iter().chain(newest.as_ref()).collect();
    anchored.sort_by_key(|checkpoint| checkpoint.size);
    let mut pass = Pass::new(log, keys, anchored);
    for segment in &segments {
        pass.segment(segment, &mut |line| progress.at(line))?;
    }
    Ok(pass.finish())
}

/// How often it begins anew when files go while it reads.
const TRIES: u32 = 3;

/// A checkpoint that one of these keys has signed.
fn trusted(text: &str, keys: &[VerifierKey]) -> Option<Checkpoint> {
    keys.iter().find_map(|key| Checkpoint::verify(text, key).ok())
}

/// The state of the one pass.
struct Pass<'a> {
    log: &'a LogReader,
    keys: Keys<'a>,
    /// Not reached yet, the smallest first.
    anchored: std::collections::VecDeque<&'a Checkpoint>,
    report: VerifyReport,
    /// The sequence number that belongs here.
    expected: u64,
    /// Over all lines so far; none where what was before is not known.
    tree: Option<Frontier>,
    /// Since the last trusted checkpoint: what of the order is wrong.
    range: Range,
    /// Lines just read that are no records: the first's number, and how many.
    foreign: Option<(u64, u64)>,
    started: bool,
    /// The first checkpoint without a signature behind one that had one.
    unsigned: Option<(u64, u64, String)>,
}

impl<'a> Pass<'a> {
    fn new(log: &'a LogReader, keys: &'a [VerifierKey], anchored: Vec<&'a Checkpoint>) -> Self {
        Self {
            log,
            keys: Keys(keys),
            anchored: anchored.into(),
            report: VerifyReport { signed: !keys.is_empty(), ..VerifyReport::default() },
            expected: 1,
            tree: Some(Frontier::default()),
            range: Range { from: 1, ..Range::default() },
            foreign: None,
            started: false,
            unsigned: None,
        }
    }

    fn segment(
        &mut self,
        segment: &Segment,
        progress: &mut dyn FnMut(&Line<'_>),
    ) -> Result<(), ReadError> {
        let mut cursor = self.log.read(segment)?;
        self.report.segments += 1;
        self.range.file = segment.name();
        while let Some(line) = match cursor.next() {
            Ok(line) => line,
            // What is compressed and does not open is as good as gone.
            Err(error) if segment.compressed => {
                self.unreadable(segment, &error.error.to_string());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        } {
            progress(&line);
            if !self.started {
                self.begin(&line)?;
            } else if line.number == 1 && segment.first_seq > self.expected {
                self.skip_to(segment.first_seq, segment, line.number);
            }
            self.line(segment, &line);
        }
        self.settle_foreign(None, segment);
        Ok(())
    }

    /// A number of another segment is not that of a record of this one.
    fn line(&mut self, segment: &Segment, line: &Line<'_>) {
        if let Some(peek) = line.whole().and_then(Peek::at)
            && !peek.is(Event::Checkpoint)
            && segment.is_home_of(peek.seq)
        {
            return self.record(segment, line, peek.seq, None);
        }
        match line.parsed() {
            Parsed::Record(record) if segment.is_home_of(record.seq) => {
                let checkpoint = record.is(Event::Checkpoint).then_some(&record);
                self.record(segment, line, record.seq, checkpoint);
            }
            Parsed::Newer(version) => {
                self.report.newer.get_or_insert(version);
            }
            // It is being written, or its gateway was killed while it did.
            Parsed::Nothing if line.is_torn() => {
                self.report.torn_bytes += line.length();
            }
            Parsed::Nothing | Parsed::Record(_) => {
                let (first, _) = self.foreign.unwrap_or((line.number, 0));
                self.foreign = Some((first, self.foreign.map_or(0, |(_, count)| count) + 1));
                self.report.foreign_lines += 1;
                self.tree = None;
            }
        }
    }

    fn record(
        &mut self,
        segment: &Segment,
        line: &Line<'_>,
        seq: u64,
        checkpoint: Option<&Record<'_>>,
    ) {
        self.settle_foreign(Some(seq), segment);
        self.report.records += 1;
        self.report.last_seq = self.report.last_seq.max(seq);
        if seq < self.expected && checkpoint.is_some_and(|record| self.keys.trust_record(record)) {
            self.back_to(seq);
        }
        if seq > self.expected {
            self.skip_to(seq, segment, line.number);
        } else if seq < self.expected {
            let text = format!("record {seq} stands where {} belongs", self.expected);
            let was_missing = self.range.found(seq);
            let damage = if was_missing { Damage::Reordered } else { Damage::Added };
            self.name(damage, seq, seq, segment, line.number, &text);
            // It takes no other's place.
            self.tree = None;
            return;
        }
        if let Some(record) = checkpoint {
            self.checkpoint(segment, line, record);
        }
        self.push(line);
    }

    /// The line that belongs here.
    fn push(&mut self, line: &Line<'_>) {
        self.expected += 1;
        if let Some(tree) = &mut self.tree {
            tree.push(Hash::of_leaf(line.bytes));
        }
        self.at_size();
    }

    fn skip_to(&mut self, seq: u64, segment: &Segment, line: u64) {
        self.range.missing.push(self.expected..=seq - 1);
        if self.range.missing.len() > report::NAMED_MAX {
            self.settle(&segment.name(), line);
        }
        self.expected = seq;
        self.tree = None;
    }

    /// A number before it was too high: a trusted checkpoint is where it belongs.
    fn back_to(&mut self, seq: u64) {
        self.range.forget_from(seq);
        self.expected = seq;
    }

    fn checkpoint(&mut self, segment: &Segment, line: &Line<'_>, record: &Record<'_>) {
        let tree = record.tree().filter(|tree| tree.size() == record.seq - 1);
        let Some(theirs) = tree else {
            let text = "the parts of the checkpoint do not fit together";
            return self.name(Damage::Altered, record.seq, record.seq, segment, line.number, text);
        };
        match self.keys.trust(record.checkpoint().as_deref(), &theirs) {
            Trust::Trusted => {}
            Trust::OfAnotherKey(name) => {
                self.report.see_other_key(name);
                return;
            }
            Trust::Unsigned => {
                self.report.unsigned_checkpoints += 1;
                if self.report.checkpoints > 0 {
                    self.unsigned.get_or_insert((record.seq, line.number, segment.name()));
                }
                return;
            }
            Trust::False(text) => {
                return self.name(
                    Damage::Altered,
                    record.seq,
                    record.seq,
                    segment,
                    line.number,
                    &text,
                );
            }
        }
        self.report.checkpoints += 1;
        if let Some((seq, number, file)) = self.unsigned.take() {
            let text = "checkpoints are not signed from here on, although those before and behind \
                        are: before the next signed one, nothing vouched for these records";
            self.damage(Damage::Unsigned, seq, record.seq - 1, &file, Some(number), text);
        }
        if self.tree.as_ref() != Some(&theirs) {
            self.settle(&segment.name(), line.number);
            if !self.range.named {
                let text = "what is in the log is not what the checkpoint behind it covers";
                let (from, to) = (self.range.from, record.seq - 1);
                self.damage(Damage::Altered, from, to, &self.range.file.clone(), None, text);
            }
        }
        self.report.verified_to = theirs.size();
        self.tree = Some(theirs);
        self.range = Range { from: record.seq, file: segment.name(), ..Range::default() };
    }

    /// Lines that are no records stand for as many records as their neighbours leave room
    /// for, or for none.
    fn settle_foreign(&mut self, next: Option<u64>, segment: &Segment) {
        let Some((line, count)) = self.foreign.take() else { return };
        let seq = self.expected;
        if next == Some(seq) {
            let text = format!("{count} line(s) here are not records");
            return self.name(Damage::Added, seq, seq, segment, line, &text);
        }
        let text =
            if count == 1 { "the line is not a record" } else { "the lines are not records" };
        // So many numbers are free; the rest of the lines is pieces of these records.
        let count = next.map_or(count, |next| count.min(next.saturating_sub(seq)).max(1));
        self.name(Damage::Altered, seq, seq + count - 1, segment, line, text);
        self.expected += count;
    }

    /// Names what is still missing where a range ends.
    fn settle(&mut self, file: &str, line: u64) {
        for missing in std::mem::take(&mut self.range.missing) {
            let (from, to) = (*missing.start(), *missing.end());
            let text = "the records are not there";
            self.range.named = true;
            self.damage(Damage::Missing, from, to, file, Some(line), text);
        }
    }

    fn unreadable(&mut self, segment: &Segment, text: &str) {
        let seq = self.expected;
        let text = format!("what follows cannot be decompressed: {text}");
        self.name(Damage::Altered, seq, seq, segment, 0, &text);
        self.tree = None;
    }

    /// Damage that is seen where it is.
    fn name(
        &mut self,
        damage: Damage,
        from: u64,
        to: u64,
        segment: &Segment,
        line: u64,
        text: &str,
    ) {
        self.range.named = true;
        self.damage(damage, from, to, &segment.name(), Some(line), text);
    }

    fn damage(
        &mut self,
        damage: Damage,
        from_seq: u64,
        to_seq: u64,
        file: &str,
        line: Option<u64>,
        text: &str,
    ) {
        let (file, text) = (file.to_owned(), text.to_owned());
        self.report.find(Finding { damage, from_seq, to_seq, file, line, text });
    }

    /// Compares anchored checkpoints of as many records as there were so far.
    fn at_size(&mut self) {
        let size = self.expected - 1;
        while let Some(anchor) = self.anchored.front().filter(|anchor| anchor.size <= size) {
            let found = match &self.tree {
                Some(tree) if anchor.size == size && tree.root() == anchor.root => {
                    AnchorFinding::Agrees
                }
                Some(_) if anchor.size == size => AnchorFinding::Differs,
                _ => AnchorFinding::InDoubt,
            };
            self.anchor(found);
        }
    }

    fn anchor(&mut self, found: AnchorFinding) {
        let Some(anchor) = self.anchored.pop_front() else { return };
        if found == AnchorFinding::Agrees {
            self.report.verified_to = self.report.verified_to.max(anchor.size);
        }
        self.report.anchors.push((anchor.size, found));
    }

    fn finish(mut self) -> VerifyReport {
        self.settle(&self.range.file.clone(), 0);
        let end = self.expected - 1;
        while let Some(anchor) = self.anchored.front() {
            let size = anchor.size;
            let text =
                format!("the log ends with record {end}; an anchored checkpoint covers {size}");
            self.damage(Damage::Truncated, end + 1, size, &self.range.file.clone(), None, &text);
            self.anchor(AnchorFinding::Gone);
        }
        self.report.uncovered = end.saturating_sub(self.report.verified_to);
        self.report
    }
}

#[cfg(test)]
mod tests;
