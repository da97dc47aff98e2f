//! What a record is: written and read here only. Nothing outside knows the name of a field.

pub(in crate::audit) mod columns;
pub(in crate::audit) mod encode;
pub(in crate::audit) mod entry;
pub(in crate::audit) mod event;
pub(in crate::audit) mod glance;
pub(in crate::audit) mod limits;
pub(in crate::audit) mod mark;
pub(in crate::audit) mod parse;
pub(in crate::audit) mod pseudonym;
pub(in crate::audit) mod row;
