//! The files of a log: their names, their lines, and why they cannot be read.

pub(in crate::audit) mod error;
pub(in crate::audit) mod segment;
