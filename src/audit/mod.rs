//! The audit log: what was decided and what became of it, durable before anything
//! else happens.
//!
//! A [`Recorded`] value proves that its evidence is on disk: only [`Journal::record`]
//! makes one, after the fsync. Nothing here knows HTTP or policy.
//!
//! | wing | what it is | may use |
//! |---|---|---|
//! | `tree` | the Merkle tree of the lines, checkpoints, notes | |
//! | `record` | what a record is: written, read, bounded | `tree` |
//! | `log` | files of a log, their names and lines | `record` |
//! | `journal` | the one writer | all above |
//! | `proof` | verifying and proving | `tree`, `record`, `log` |
//! | `search` | showing, finding, counting | `tree`, `record`, `log` |
//! | `follow` | reading along, for a place that gets every record | `tree`, `record`, `log` |
//! | `upkeep` | compressing, pruning, anchoring | all above |
//!
//! After a failed write nothing of the batch counts and the next batch may succeed;
//! after a failed fsync the segment is never trusted again and every record fails
//! until the process is started anew.

mod follow;
mod journal;
mod log;
mod proof;
mod record;
mod search;
#[cfg(test)]
mod testing;
mod tree;
mod upkeep;

pub use follow::{Followed, Follower, Passage, Position, PositionError};
pub use journal::error::{AuditError, OpenError};
pub use journal::queue::{JournalHealth, NoObserver, Observer, Published};
pub use journal::recorded::Recorded;
pub use journal::recovery::{Cut, OpenDecision, RecoveryReport};
pub use journal::settings::JournalSettings;
pub use journal::store::{FileStore, Gate, MemoryStore, Stage, Store, StoreError};
pub use journal::{Journal, JournalCloser, Started};
pub use log::directory::LogReader;
pub use log::error::{InputError, ReadError};
pub use proof::prove::{ConsistencyProof, InclusionProof, ProofError, consistency, prove};
pub use proof::verify::{AnchorFinding, Damage, Finding, VerifyReport, verify};
pub use record::columns::{NameOf, for_people};
pub use record::entry::{
    CandidateEntry, CertificateEntry, DecisionEntry, Evidence, OutcomeEntry, ReloadEntry,
    StrangerEntry,
};
pub use record::event::Event;
pub use record::parse::Record;
pub use record::pseudonym::{KeyTooShort, PseudonymKey};
pub use search::decisions::{AuditedDecision, DecisionsSummary, decision_about, decisions};
pub use search::query::{Filter, Found, Hit, Indexes, Making, QuerySummary, Take, query};
pub use search::show::{ShowFormat, ShowSummary, show};
pub use search::stats::{By, Counts, Every, Series, Stats, StatsRequest, stats};
pub use search::tail::{Tail, TailFilter, Tailed};
pub use tree::checkpoint::{Checkpoint, CheckpointError};
pub use tree::note::{NoteError, SigningKey, VerifierKey};
pub use upkeep::anchor::{AnchorSettings, Anchors};
pub use upkeep::retain::{RetainError, Retained, Retention, compress, prune};
pub use upkeep::thread::{Upkeep, UpkeepSettings};
pub use upkeep::{OnFailure, Task};
