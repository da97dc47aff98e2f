//! The audit log: what was decided and what became of it, durable before anything
//! else happens.
//!
//! A [`Recorded`] value proves that its evidence is on disk: only [`Journal::record`]
//! makes one, once it is durable. Nothing here knows HTTP or policy.
//!
//! | wing | what it is | may use |
//! |---|---|---|
//! | `tree` | the Merkle tree of the lines, checkpoints | |
//! | `record` | what a record is: its events and fields, written and read here only | `tree` |
//! | `log` | a log to read: [`LogReader`], and the cursor that walks its lines | `tree`, `record` |
//! | `journal` | the one writer | all above |
//! | `proof` | verifying and proving | `tree`, `record`, `log` |
//! | `search` | showing, finding, counting | `tree`, `record`, `log` |
//! | `follow` | reading along, for a place that gets every record | `tree`, `record`, `log` |
//! | `upkeep` | compressing, pruning, anchoring | all above |
//!
//! Whoever reads takes a [`LogReader`] and never a path. Whoever writes takes a directory.
//! What reads and keeps a log is named by its wing; what records and what all need, here.
//!
//! After a failed append nothing of the batch counts and the next batch may succeed;
//! after a failed fsync, or a failed write to the write-ahead log, neither is trusted again and
//! every record fails until the process is restarted.

pub mod follow;
mod journal;
mod log;
pub mod proof;
mod record;
pub mod search;
#[cfg(test)]
mod testing;
mod tree;
pub mod upkeep;

pub use journal::error::{AuditError, OpenError};
pub use journal::queue::{JournalHealth, NoObserver, Observer, Published};
pub use journal::recorded::Recorded;
pub use journal::recovery::RecoveryReport;
pub use journal::settings::JournalSettings;
pub use journal::store::{FileStore, Gate, MemoryStore, Stage, Store};
pub use journal::{Journal, JournalCloser, Started};
pub use log::directory::LogReader;
pub use log::error::{InputError, ReadError};
pub use log::scratch::ScratchLog;
pub use record::columns::for_people;
pub use record::entry::{
    BundleEntry, CandidateEntry, CertificateEntry, DecisionEntry, Evidence, OrderChange,
    OrderEntry, OutcomeEntry, ReloadEntry, ResolvedEntry, StrangerEntry,
};
pub use record::event::Event;
pub use record::mark::GranteeMark;
pub use record::parse::{Record, SaidByCandidate};
pub use record::pseudonym::PseudonymKey;
pub use record::row::Row;
pub use tree::checkpoint::Checkpoint;
