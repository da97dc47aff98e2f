//! A line of a log, and what bounds it.

use crate::audit::record::parse::{Parsed, Record};

/// A line longer than this is no record, in bytes.
pub(in crate::audit) const LINE_BYTES_MAX: usize = 64 * 1024;

/// Numbers beyond this are not exact everywhere (RFC 8259, section 6), and none of a record.
pub(in crate::audit) const SEQ_MAX: u64 = (1 << 53) - 1;

/// One line of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) struct Line<'a> {
    /// Without its newline.
    pub(in crate::audit) bytes: &'a [u8],
    /// Counted from 1.
    pub(in crate::audit) number: u64,
    /// Where it begins, in bytes of the uncompressed segment.
    pub(in crate::audit) offset: u64,
    /// Whether it ends with a newline and is not longer than a record may be. What is
    /// longer comes in pieces.
    pub(in crate::audit) whole: bool,
}

impl<'a> Line<'a> {
    /// Its bytes, where it may be a record.
    pub(in crate::audit) fn whole(&self) -> Option<&'a [u8]> {
        self.whole.then_some(self.bytes)
    }

    /// What it is.
    pub(in crate::audit) fn parsed(&self) -> Parsed<'a> {
        self.whole().map_or(Parsed::Nothing, Parsed::of)
    }

    /// The record that it is.
    pub(in crate::audit) fn record(&self) -> Option<Record<'a>> {
        self.whole().and_then(Record::parse)
    }

    /// Whether it is the end of a file and has none itself: it is being written, or its
    /// writer was killed.
    pub(in crate::audit) fn is_torn(&self) -> bool {
        !self.whole && self.bytes.len() < LINE_BYTES_MAX
    }

    /// Its bytes with its newline.
    pub(in crate::audit) fn length(&self) -> u64 {
        self.bytes.len() as u64 + u64::from(self.whole)
    }
}
