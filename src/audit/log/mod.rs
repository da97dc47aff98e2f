//! The files of a log, for those who read it: which there are, the one walk over their
//! lines, and why they cannot be read. Where the newest segment lags, its lines go on in the
//! write-ahead log.

pub(in crate::audit) mod cursor;
pub(in crate::audit) mod directory;
pub(in crate::audit) mod error;
pub(in crate::audit) mod lines;
pub(in crate::audit) mod scratch;
pub(in crate::audit) mod segment;
pub(in crate::audit) mod wal;
pub(in crate::audit) mod walk;
