//! What a record is: written and read here only.

pub(in crate::audit) mod encode;
pub(in crate::audit) mod entry;
pub(in crate::audit) mod line;
pub(in crate::audit) mod parse;
pub(in crate::audit) mod pseudonym;
