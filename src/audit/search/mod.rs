//! Reading a log for people and programs: all of it, its end, or what is searched for.

pub(in crate::audit) mod decisions;
pub(in crate::audit) mod query;
pub(in crate::audit) mod show;
pub(in crate::audit) mod stats;
pub(in crate::audit) mod tail;
