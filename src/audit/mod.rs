//! The audit log: what was decided and what became of it, durable before anything
//! else happens.
//!
//! A [`Recorded`] value proves that its evidence is on disk: only [`Journal::record`]
//! makes one, after the fsync. Nothing here knows HTTP or policy.
//!
//! After a failed write nothing of the batch counts and the next batch may succeed;
//! after a failed fsync the segment is never trusted again and every record fails
//! until the process is started anew.

mod anchor;
mod checkpoint;
mod decisions;
mod entry;
mod follow;
mod journal;
mod note;
mod parse;
mod prove;
mod pruned;
mod pseudonym;
mod query;
mod queue;
mod read;
mod record;
mod recorded;
mod recovery;
mod retain;
mod segment;
mod stats;
mod store;
mod strangers;
mod tail;
#[cfg(test)]
mod testing;
mod tree;
mod upkeep;
mod verify;
mod writer;

pub use anchor::{AnchorSettings, Anchors};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use decisions::{AuditedDecision, DecisionsSummary, decisions};
pub use entry::{
    CandidateEntry, CertificateEntry, DecisionEntry, Evidence, OutcomeEntry, ReloadEntry,
    StrangerEntry,
};
pub use follow::{FollowError, Followed, Follower, Passage, Position, PositionError};
pub use journal::{AuditError, Journal, JournalCloser, JournalSettings, OpenError, Started};
pub use note::{NoteError, SigningKey, VerifierKey};
pub use prove::{ConsistencyProof, InclusionProof, ProofError, consistency, prove};
pub use pseudonym::{KeyTooShort, PseudonymKey};
pub use query::{Filter, Found, Hit, Indexes, Making, QuerySummary, Take, query};
pub use queue::{JournalHealth, NoObserver, Observer, OnFailure, Published};
pub use read::{NameOf, ReadError, ShowFormat, ShowSummary, show};
pub use record::EVENTS;
pub use recorded::Recorded;
pub use recovery::{Cut, OpenDecision, RecoveryReport};
pub use retain::{RetainError, Retained, Retention, compress, prune};
pub use stats::{By, Counts, Every, Series, Stats, StatsRequest, stats};
pub use store::{FileStore, Gate, MemoryStore, Stage, Store, StoreError};
pub use tail::{Tail, TailFilter, Tailed, for_people};
pub use upkeep::{Upkeep, UpkeepSettings};
pub use verify::{AnchorFinding, Damage, Finding, VerifyReport, verify};
