//! The parts of a snapshot, each in one file.

pub(super) mod certificates;
pub(super) mod trial;
pub(super) mod upstream;
