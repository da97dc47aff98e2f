//! Proofs about single records, for those who may not see the others.
//!
//! An inclusion proof is text as C2SP's tlog-proof says; its `extra` line holds the record
//! itself. What is in `extra` is believed only because the proof is about its hash.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::audit::log::directory::LogReader;
use crate::audit::log::error::{InputError, ReadError};
use crate::audit::log::segment::Segment;
use crate::audit::record::event::Event;
use crate::audit::record::glance::Peek;
use crate::audit::record::parse::{Record, seq_of};
use crate::audit::tree::checkpoint::{Checkpoint, CheckpointError};
use crate::audit::tree::{
    Frontier, Hash, RangeHashes, consistency_ranges, inclusion_ranges, proves_consistency,
    proves_inclusion,
};
use crate::note::VerifierKey;

/// The first line of a proof.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The first line of a file that proves that one checkpoint continues another.
const CONSISTENCY_HEADER: &str = "grantgate consistency proof v1";

/// Why there is no proof, or why one is none.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The log cannot be read.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// No such record.
    #[error("the log has no record {0}")]
    NoRecord(u64),
    /// Nothing signed covers it.
    #[error("no signed checkpoint covers record {0} yet")]
    NotCovered(u64),
    /// A checkpoint of more records than there are.
    #[error("the checkpoint covers {0} records, and the log has only {1}")]
    Truncated(u64, u64),
    /// Records that the proof needs are not there, or are not what they were.
    #[error("the log is damaged: it does not have the tree that the checkpoint describes")]
    Damaged,
    /// The older one is the larger.
    #[error("the old checkpoint covers {0} records, the new one only {1}")]
    WrongWay(u64, u64),
    /// Not a proof.
    #[error("line {0}: {1}")]
    Malformed(usize, &'static str),
    /// The checkpoint in it is not to be believed.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// It proves nothing.
    #[error("the proof is false: {0}")]
    False(&'static str),
}

/// That a record is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The record's line.
    pub record: String,
    /// Its number.
    pub seq: u64,
    hashes: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// Proves that record `seq` is in the log: under the first signed checkpoint that covers
/// it, or under the one that is given.
///
/// # Errors
/// [`ProofError`].
pub fn prove(log: &LogReader, seq: u64, under: Option<&str>) -> Result<InclusionProof, ProofError> {
    let walk = Leaves::up_to(log, seq)?;
    let mut record = None;
    let (mut size, mut checkpoint) = (None, under.map(str::to_owned));
    if let Some(text) = under {
        size = Some(Checkpoint::unverified(text).ok_or(CheckpointError::Malformed)?.size);
    }
    let last = walk.each(|number, line| {
        if number == seq {
            record = Some(String::from_utf8_lossy(line).into_owned());
        }
        if number > seq && size.is_none() {
            let text = signed_text(line);
            checkpoint = text.map(|(covered, text)| {
                size = Some(covered);
                text
            });
        }
        // The whole of it is behind its last record.
        size.is_none_or(|size| number < size.max(seq))
    })?;
    let record = record.ok_or(ProofError::NoRecord(seq))?;
    let (Some(size), Some(checkpoint)) = (size, checkpoint) else {
        return Err(ProofError::NotCovered(seq));
    };
    if size > last {
        return Err(ProofError::Truncated(size, last));
    }
    if size < seq {
        return Err(ProofError::NotCovered(seq));
    }
    let hashes = walk.hashes(inclusion_ranges(seq - 1, size), size)?;
    let proof = InclusionProof { record, seq, hashes, checkpoint };
    let expected = Checkpoint::unverified(&proof.checkpoint);
    let proven = expected.is_some_and(|checkpoint| proof.proves(&checkpoint));
    proven.then_some(proof).ok_or(ProofError::Damaged)
}

/// What a checkpoint record signs, and of how many records.
fn signed_text(line: &[u8]) -> Option<(u64, String)> {
    if Peek::at(line).is_some_and(|peek| !peek.is(Event::Checkpoint)) {
        return None;
    }
    let text = Record::parse(line)?.checkpoint()?;
    Some((Checkpoint::unverified(&text)?.size, text))
}

impl InclusionProof {
    fn proves(&self, checkpoint: &Checkpoint) -> bool {
        let leaf = Hash::of_leaf(self.record.as_bytes());
        let index = self.seq - 1;
        proves_inclusion(index, checkpoint.size, leaf, &self.hashes, checkpoint.root)
    }

    /// The text to hand on.
    #[must_use]
    pub fn to_text(&self) -> String {
        let extra = STANDARD.encode(&self.record);
        let hashes: String = self.hashes.iter().map(|hash| hash.to_base64() + "\n").collect();
        let index = self.seq - 1;
        format!("{HEADER}\nextra {extra}\nindex {index}\n{hashes}\n{}", self.checkpoint)
    }

    /// Reads a proof. It is not checked yet.
    ///
    /// # Errors
    /// [`ProofError::Malformed`]
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(ProofError::Malformed(1, "not an inclusion proof"))?;
        let mut lines = (1..).zip(head.split('\n'));
        let mut next = |what| lines.next().ok_or(ProofError::Malformed(1, what));
        if next("empty")?.1 != HEADER {
            return Err(ProofError::Malformed(1, "must be `c2sp.org/tlog-proof@v1`"));
        }
        let (number, line) = next("ends too early")?;
        let malformed = |text| ProofError::Malformed(number, text);
        let extra = line.strip_prefix("extra ").and_then(|text| STANDARD.decode(text).ok());
        let record = extra.and_then(|bytes| String::from_utf8(bytes).ok());
        let record = record.ok_or(malformed("must be `extra` and the record in base64"))?;
        let (number, line) = next("ends too early")?;
        let index = line.strip_prefix("index ").and_then(|text| text.parse::<u64>().ok());
        let seq = index.and_then(|index| index.checked_add(1));
        let seq = seq.ok_or(ProofError::Malformed(number, "must be `index` and a number"))?;
        let hashes: Result<Vec<Hash>, ProofError> = lines
            .map(|(number, line)| {
                Hash::from_base64(line).ok_or(ProofError::Malformed(number, "not a hash in base64"))
            })
            .collect();
        Ok(Self { record, seq, hashes: hashes?, checkpoint: checkpoint.to_owned() })
    }

    /// Checks it with the log's public key alone; the checkpoint in it.
    ///
    /// # Errors
    /// [`ProofError`]: then it proves nothing.
    pub fn check(&self, key: &VerifierKey) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::verify(&self.checkpoint, key)?;
        if !self.proves(&checkpoint) {
            return Err(ProofError::False("the checkpoint does not cover this record there"));
        }
        match seq_of(self.record.as_bytes()) {
            Some(seq) if seq == self.seq => Ok(checkpoint),
            _ => Err(ProofError::False("the record has another number than its place")),
        }
    }
}

/// The hashes that prove that `new` continues `old`, taken from the log.
///
/// # Errors
/// [`ProofError`]; [`ProofError::Damaged`] when the log is not that of both.
pub fn consistency(
    log: &LogReader,
    old: &Checkpoint,
    new: &Checkpoint,
) -> Result<ConsistencyProof, ProofError> {
    if old.size > new.size {
        return Err(ProofError::WrongWay(old.size, new.size));
    }
    let walk = Leaves::up_to(log, old.size.max(1))?;
    let last = walk.each(|number, _| number < new.size)?;
    if new.size > last {
        return Err(ProofError::Truncated(new.size, last));
    }
    let hashes = walk.hashes(consistency_ranges(old.size, new.size), new.size)?;
    let proof = ConsistencyProof { hashes };
    proof.check(old, new).map_err(|_| ProofError::Damaged)?;
    Ok(proof)
}

/// That one checkpoint continues another (RFC 6962, section 2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    hashes: Vec<Hash>,
}

impl ConsistencyProof {
    /// A header line, then one hash a line in base64.
    #[must_use]
    pub fn to_text(&self) -> String {
        let hashes: String = self.hashes.iter().map(|hash| hash.to_base64() + "\n").collect();
        format!("{CONSISTENCY_HEADER}\n{hashes}")
    }

    /// Reads what [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// [`ProofError::Malformed`]
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let mut lines = (1..).zip(text.lines());
        if lines.next().is_none_or(|(_, line)| line != CONSISTENCY_HEADER) {
            return Err(ProofError::Malformed(1, "must be `grantgate consistency proof v1`"));
        }
        let hashes: Result<Vec<Hash>, ProofError> = lines
            .map(|(number, line)| {
                Hash::from_base64(line).ok_or(ProofError::Malformed(number, "not a hash in base64"))
            })
            .collect();
        Ok(Self { hashes: hashes? })
    }

    /// Checks it without the log.
    ///
    /// # Errors
    /// [`ProofError`]: then the new one does not continue the old one.
    pub fn check(&self, old: &Checkpoint, new: &Checkpoint) -> Result<(), ProofError> {
        if old.size > new.size {
            return Err(ProofError::WrongWay(old.size, new.size));
        }
        let proven = proves_consistency((old.size, old.root), (new.size, new.root), &self.hashes);
        proven.then_some(()).ok_or(ProofError::False("the new log is not the old one continued"))
    }
}

/// The lines of a log from where the tree before them is known.
struct Leaves<'l> {
    log: &'l LogReader,
    segments: Vec<Segment>,
    before: Frontier,
}

impl<'l> Leaves<'l> {
    /// Begins at or before a record.
    fn up_to(log: &'l LogReader, seq: u64) -> Result<Self, ProofError> {
        let mut segments = log.segments()?;
        while let Some(at) = segments.iter().rposition(|segment| segment.first_seq <= seq) {
            let Some(first) = segments.get(at) else { break };
            if let Some(before) = tree_before(log, first).map_err(ReadError::from)? {
                return Ok(Self { log, segments: segments.split_off(at), before });
            }
            // An older version's segment: what was before it says the tree.
            segments.remove(at);
            if at == 0 {
                break;
            }
        }
        Err(ProofError::NoRecord(seq))
    }

    /// Gives each line with its number, as long as `more` wants it; the last number.
    fn each(&self, mut more: impl FnMut(u64, &[u8]) -> bool) -> Result<u64, ProofError> {
        let mut number = self.before.size();
        let mut walk = self.log.walk(self.segments.clone());
        while let Some(line) = walk.next().map_err(ReadError::from)? {
            if line.number == 1 && line.segment.first_seq != number + 1 {
                return Err(ProofError::Damaged);
            }
            let Some(bytes) = line.whole() else { return Ok(number) };
            number += 1;
            if !more(number, bytes) {
                return Ok(number);
            }
        }
        Ok(number)
    }

    fn hashes(&self, ranges: Vec<Range<u64>>, size: u64) -> Result<Vec<Hash>, ProofError> {
        let mut hashes = RangeHashes::new(ranges, &self.before);
        self.each(|number, line| {
            hashes.push(Hash::of_leaf(line));
            number < size
        })?;
        hashes.finish().ok_or(ProofError::Damaged)
    }
}

/// The tree before a segment, as its first record says.
pub(in crate::audit) fn tree_before(
    log: &LogReader,
    segment: &Segment,
) -> Result<Option<Frontier>, InputError> {
    if segment.first_seq == 1 {
        return Ok(Some(Frontier::default()));
    }
    let mut cursor = log.read(segment)?;
    let head = cursor.next()?.and_then(|line| line.record());
    let head = head.filter(|record| record.is(Event::Checkpoint));
    let tree = head.and_then(|record| record.tree());
    Ok(tree.filter(|tree| tree.size() == segment.first_seq - 1))
}

#[cfg(test)]
mod tests;
