//! Bounds and keys of the journal.

use std::time::Duration;

use crate::audit::record::pseudonym::PseudonymKey;
use crate::note::SigningKey;

/// Bounds and keys of the journal.
#[derive(Debug)]
pub struct JournalSettings {
    /// Decisions that may wait to be written.
    pub queue_records_max: usize,
    /// How long a decision waits to be durable.
    pub commit_wait: Duration,
    /// A segment of this many bytes is closed, and a new one begun.
    pub segment_bytes_max: u64,
    /// So is a segment of this age.
    pub segment_age_max: Duration,
    /// At most so many records are without a checkpoint.
    pub checkpoint_records_max: u64,
    /// At most for so long.
    pub checkpoint_interval: Duration,
    /// Records of strangers in a minute; the others are counted.
    pub strangers_per_minute_max: u32,
    /// Signs checkpoints.
    pub signing_key: Option<SigningKey>,
    /// Hides grantees.
    pub pseudonym_key: Option<PseudonymKey>,
}

impl Default for JournalSettings {
    /// What the configuration's defaults are; without keys.
    fn default() -> Self {
        Self {
            queue_records_max: 4_096,
            commit_wait: Duration::from_secs(2),
            segment_bytes_max: 64 << 20,
            segment_age_max: Duration::from_secs(86_400),
            checkpoint_records_max: 1_000,
            checkpoint_interval: Duration::from_secs(60),
            strangers_per_minute_max: 60,
            signing_key: None,
            pseudonym_key: None,
        }
    }
}
