//! The parts of a snapshot, each in one file: what it is made from, how it is made, when it
//! is carried over, what is shown of it.

pub(super) mod callers;
pub(super) mod certificates;
pub(super) mod issuers;
pub(super) mod names;
pub(super) mod policy;
pub(super) mod trial;
pub(super) mod upstream;
