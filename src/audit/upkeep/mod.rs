//! What is done to a log while it grows: segments are compressed and removed, checkpoints
//! carried out of reach.

/// What is done around the log, by the names that failures are counted with.
pub const TASKS: &[&str] = &[ROTATE, anchor::TASK, thread::COMPRESS, thread::PRUNE];

/// Beginning a new segment, which the writer does.
pub const ROTATE: &str = "rotate";

pub(in crate::audit) mod anchor;
pub(in crate::audit) mod retain;
pub(in crate::audit) mod thread;
