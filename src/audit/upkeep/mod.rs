//! What is done to a log while it grows: segments are compressed and removed, checkpoints
//! carried out of reach.

pub(in crate::audit) mod anchor;
pub(in crate::audit) mod retain;
pub(in crate::audit) mod thread;
