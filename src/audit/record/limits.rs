//! What bounds a record.

/// A line longer than this is no record, in bytes.
pub(in crate::audit) const LINE_BYTES_MAX: usize = 64 * 1024;

/// Numbers beyond this are not exact everywhere (RFC 8259, section 6), and none of a record.
pub(in crate::audit) const SEQ_MAX: u64 = (1 << 53) - 1;
