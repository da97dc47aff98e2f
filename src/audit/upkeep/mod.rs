//! What is done to a log while it grows: segments are compressed and removed, checkpoints
//! carried out of reach.

pub(in crate::audit) mod anchor;
mod archive;
mod elsewhere;
pub(in crate::audit) mod retain;
pub(in crate::audit) mod thread;

use std::sync::Arc;

use crate::domain::closed_set;
pub use anchor::{AnchorSettings, Anchors};
pub use archive::archive;
pub use elsewhere::{let_go, vouch, vouching};
pub use retain::{RetainError, Retained, Retention, compress, prune};
pub use thread::{Upkeep, UpkeepSettings, lacked};

closed_set! {
    /// What is done around the log, and no grant depends on: failures are counted by it.
    pub enum Task {
        /// Beginning a new segment, which the writer does.
        Rotate = "rotate",
        /// Carrying checkpoints out of reach.
        Anchor = "anchor",
        /// Compressing closed segments.
        Compress = "compress",
        /// Removing old ones.
        Prune = "prune",
    }
}

/// Told which task failed.
pub type OnFailure = Arc<dyn Fn(Task) + Send + Sync>;
