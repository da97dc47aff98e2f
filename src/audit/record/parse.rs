//! Reading a line as a record, with the fields that the log itself needs.

use std::borrow::Cow;

use serde::Deserialize;

use crate::audit::record::encode::FORMAT;
use crate::audit::record::line::{Line, SEQ_MAX};
use crate::audit::tree::{Frontier, Hash};

/// The fields of a record that the log itself looks at.
#[derive(Debug, Deserialize)]
pub(in crate::audit) struct Record<'a> {
    /// The format's version; lines of version 0 do not say it.
    #[serde(default)]
    v: u32,
    pub(in crate::audit) seq: u64,
    pub(in crate::audit) batch: Option<u64>,
    #[serde(borrow)]
    pub(in crate::audit) event: Cow<'a, str>,
    #[serde(borrow)]
    pub(in crate::audit) request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(in crate::audit) operation: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(in crate::audit) decision: Option<Cow<'a, str>>,
    pub(in crate::audit) decision_seq: Option<u64>,
    size: Option<u64>,
    #[serde(borrow)]
    root: Option<Cow<'a, str>>,
    hashes: Option<Vec<String>>,
    pub(in crate::audit) open_from: Option<u64>,
    #[serde(borrow)]
    pub(in crate::audit) checkpoint: Option<Cow<'a, str>>,
}

/// What a line is.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is looked at and gone; nothing keeps it")]
pub(in crate::audit) enum Parsed<'a> {
    Record(Record<'a>),
    /// A record of a version that this program does not know.
    Newer(u64),
    Nothing,
}

impl<'a> Parsed<'a> {
    /// The record, where it is one.
    pub(in crate::audit) fn record(self) -> Option<Record<'a>> {
        match self {
            Self::Record(record) => Some(record),
            Self::Newer(_) | Self::Nothing => None,
        }
    }

    pub(in crate::audit) fn of(line: &Line<'a>) -> Self {
        #[derive(Deserialize)]
        struct Version {
            v: u64,
        }
        if !line.whole {
            return Self::Nothing;
        }
        match serde_json::from_slice::<Record<'_>>(line.bytes) {
            Ok(record) if record.v <= FORMAT && (1..=SEQ_MAX).contains(&record.seq) => {
                Self::Record(record)
            }
            _ => match serde_json::from_slice::<Version>(line.bytes) {
                Ok(Version { v }) if v > u64::from(FORMAT) => Self::Newer(v),
                _ => Self::Nothing,
            },
        }
    }
}

impl Record<'_> {
    /// The tree that a checkpoint describes; none where its parts do not fit together.
    pub(in crate::audit) fn tree(&self) -> Option<Frontier> {
        let hashes: Option<Vec<Hash>> =
            self.hashes.as_ref()?.iter().map(|text| Hash::from_base64(text)).collect();
        let tree = Frontier::from_nodes(self.size?, hashes?)?;
        (tree.root().to_base64() == self.root.as_deref()?).then_some(tree)
    }
}

/// What of a line is needed most often, found without parsing all of it: the fields that
/// every record begins with stand in one order.
pub(in crate::audit) struct Peek<'a> {
    pub(in crate::audit) seq: u64,
    pub(in crate::audit) event: &'a str,
}

impl<'a> Peek<'a> {
    /// None where the line must be parsed to know: it is damaged, or of another version.
    pub(in crate::audit) fn at(line: &Line<'a>) -> Option<Self> {
        if !line.whole || line.bytes.last() != Some(&b'}') {
            return None;
        }
        let (seq, rest) = number(line.bytes.strip_prefix(b"{\"v\":1,\"seq\":")?)?;
        let rest = match rest.strip_prefix(b",\"batch\":") {
            Some(rest) => number(rest)?.1,
            None => rest,
        };
        let rest = rest.strip_prefix(b",\"time\":\"")?.get(TIME_LENGTH..)?;
        let rest = rest.strip_prefix(b"\",\"event\":\"")?;
        let event = rest.split(|byte| *byte == b'"').next()?;
        Some(Self { seq, event: std::str::from_utf8(event).ok()? })
    }
}

/// `2026-11-23T09:00:00.123456Z`
const TIME_LENGTH: usize = 27;

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at_checked(digits)?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (1..=SEQ_MAX).contains(&number).then_some((number, rest))
}
