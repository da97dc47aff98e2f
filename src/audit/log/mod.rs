//! The files of a log, for those who read it: which there are, the one walk over their
//! lines, and why they cannot be read.

pub(in crate::audit) mod cursor;
pub(in crate::audit) mod directory;
pub(in crate::audit) mod error;
pub(in crate::audit) mod lines;
pub(in crate::audit) mod segment;
pub(in crate::audit) mod walk;
