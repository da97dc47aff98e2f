//! What verifying has found.

use std::collections::BTreeSet;
use std::fmt;

/// Findings beyond this number are counted and not kept.
pub(super) const NAMED_MAX: usize = 1_000;

/// So many keys of others are named.
const OTHER_KEYS_MAX: usize = 20;

/// In what way records are not what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Damage {
    /// They say something else, or nothing.
    Altered,
    /// They are not there.
    Missing,
    /// They stand elsewhere.
    Reordered,
    /// They are there although nothing was at that place, or twice.
    Added,
    /// They are there, and a signature that vouched for them is not.
    Unsigned,
    /// They were at the end, behind an anchored checkpoint, and are gone.
    Truncated,
}

impl Damage {
    /// The word in messages and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Missing => "missing",
            Self::Reordered => "reordered",
            Self::Added => "added",
            Self::Unsigned => "unsigned",
            Self::Truncated => "truncated",
        }
    }
}

/// Records that are not what they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In what way.
    pub damage: Damage,
    /// The first record in question.
    pub from_seq: u64,
    /// The last.
    pub to_seq: u64,
    /// The file in which it shows.
    pub file: String,
    /// The line in it, from 1.
    pub line: Option<u64>,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from_seq, self.to_seq);
        write!(f, "{}: ", self.damage.as_str())?;
        if from == to {
            write!(f, "record {from}")?;
        } else {
            write!(f, "records {from} to {to}")?;
        }
        write!(f, " ({}", self.file)?;
        if let Some(line) = self.line.filter(|line| *line > 0) {
            write!(f, ":{line}")?;
        }
        write!(f, "): {}", self.text)
    }
}

/// Whether an anchored checkpoint is part of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnchorFinding {
    /// It is.
    Agrees,
    /// The log had another tree at that size.
    Differs,
    /// The records that it covers are not all there.
    Gone,
    /// Damage before it keeps it from being compared.
    InDoubt,
}

impl AnchorFinding {
    /// The word in messages and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Differs => "differs",
            Self::Gone => "gone",
            Self::InDoubt => "in doubt",
        }
    }
}

/// What verifying has found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Files that were read.
    pub segments: u64,
    /// Records that were read.
    pub records: u64,
    /// The first record's number.
    pub first_seq: u64,
    /// The last record's number.
    pub last_seq: u64,
    /// Whether checkpoints had to be signed by a key.
    pub signed: bool,
    /// Checkpoints that were believed and compared.
    pub checkpoints: u64,
    /// Checkpoints without a signature, although there had to be one.
    pub unsigned_checkpoints: u64,
    /// Who has signed the checkpoints that no given key has.
    pub other_keys: BTreeSet<String>,
    /// Everything up to this record is vouched for, but for the findings.
    pub verified_to: u64,
    /// Records behind it.
    pub uncovered: u64,
    /// Records that were pruned, and the checkpoints that link to them.
    pub pruned: Option<(u64, u64)>,
    /// What is damaged, the first of it.
    pub findings: Vec<Finding>,
    /// What is damaged, in all.
    pub findings_total: u64,
    /// Anchored checkpoints by their size.
    pub anchors: Vec<(u64, AnchorFinding)>,
    /// Bytes at the end that are no whole record yet.
    pub torn_bytes: u64,
    /// Lines that are no records.
    pub foreign_lines: u64,
    /// A version of the format that this program does not know.
    pub newer: Option<u64>,
}

/// What a verification comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The log is what it was, as far as a key has signed it; or, without one, agrees with itself.
    Whole,
    /// Records are not what they were, or it is not the anchored log.
    Damaged,
    /// No given key has signed anything of it.
    NotVouchedFor,
    /// No line of it is a record.
    NoLog,
    /// It has no records.
    Empty,
    /// A newer version wrote some of it.
    Newer,
}

impl VerifyReport {
    /// What it comes to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.newer.is_some() {
            Verdict::Newer
        } else if self.records == 0 {
            if self.foreign_lines > 0 { Verdict::NoLog } else { Verdict::Empty }
        } else if self.is_damaged() {
            Verdict::Damaged
        } else if self.is_not_vouched_for() {
            Verdict::NotVouchedFor
        } else {
            Verdict::Whole
        }
    }

    pub(super) fn find(&mut self, finding: Finding) {
        self.findings_total += 1;
        if self.findings.len() < NAMED_MAX {
            self.findings.push(finding);
        }
    }

    /// Whoever it is that has signed a checkpoint, as far as there is room to say.
    pub(super) fn see_other_key(&mut self, name: String) {
        if self.other_keys.len() < OTHER_KEYS_MAX && name.len() < 1_000 {
            self.other_keys.insert(name);
        }
    }

    /// Whether anything is not what it was.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.findings_total > 0
            || self.anchors.iter().any(|(_, found)| *found != AnchorFinding::Agrees)
    }

    /// Whether nothing that a given key has signed vouches for any record.
    #[must_use]
    pub fn is_not_vouched_for(&self) -> bool {
        self.signed && self.verified_to == 0
    }
}
