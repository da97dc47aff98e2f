//! PostgreSQL: a mirror of the audit logs of all gateways, to search in one place, a register of
//! gateways, and the signed bundles that they are to have. The only user of its client.
//!
//! It is not trusted, and nothing on the way of a grant waits for it. What it is told was durable
//! in a gateway's own log before; what it answers is held against that log.

mod address;
mod bundles;
mod copies;
mod copy;
mod directives;
mod error;
mod gateway;
mod keys;
mod link;
mod migrate;
mod narrow;
mod read;
mod retention;
mod retire;
mod shares;
mod tail;

pub use address::{Address, Files};
pub use bundles::{ContentsError, Desk, Promoted, Proposal};
pub use copies::{Copied, Part, copies};
pub use copy::CopyError;
pub use directives::{Placed, Unfinished};
pub use error::DatabaseError;
pub use gateway::{Beat, BundleState, Heads, Known, Log};
pub use keys::{Became, Claim, KeyDigest, KeyTimes, OtherClaim};
pub use link::{Access, Link};
pub use migrate::{ROLES, Schema, maintain, migrate, schema};
pub use read::{LEAVING, LogState, RETIRED, ReplicaState, logs, refused_at, replicas};
pub use retention::{Dropped, Old, RetentionError, drop_oldest};
pub use retire::retire;
pub use shares::{Leased, Wanted};
pub use tail::{TailedLine, Tails};
