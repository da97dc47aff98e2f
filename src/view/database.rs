//! What the database says of gateways and their logs.

use serde::Serialize;

use super::health::RefusedBundle;
use crate::database::{LogState, ReplicaState};

/// All of it.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The newest migration that was made.
    pub schema: Option<i32>,
    /// The newest that this program knows.
    pub schema_newest: i32,
    /// Gateways.
    pub replicas: Vec<ShownReplica>,
    /// Their logs.
    pub logs: Vec<ShownLog>,
}

impl Status {
    /// Of what was read: which migration was made, and which is the newest that is known.
    #[must_use]
    pub fn of(
        (made, newest): (Option<i32>, i32),
        replicas: &[ReplicaState],
        logs: &[LogState],
    ) -> Self {
        let replicas = replicas.iter().map(ShownReplica::of).collect();
        let logs = logs.iter().map(ShownLog::of).collect();
        Self { schema: made, schema_newest: newest, replicas, logs }
    }
}

/// A gateway, as it was when it last said so.
#[derive(Debug, Serialize)]
pub struct ShownReplica {
    /// Its id.
    pub replica_id: String,
    /// What people call it.
    pub name: String,
    /// How many seconds ago that was.
    pub silent_s: f64,
    /// The program's version.
    pub version: String,
    /// Where callers reach it.
    pub address: Option<String>,
    /// `ready`, `not ready` or `leaving`.
    pub state: String,
    /// The policy in force.
    pub revision: Option<String>,
    /// The newest durable record.
    pub durable_seq: u64,
    /// The newest record that it knows to be here.
    pub confirmed_seq: u64,
    /// How far its clock is ahead of the database's.
    pub clock_ahead_ms: i64,
    /// The signed bundle in force, where policies come as such.
    pub bundle: Option<u64>,
    /// One that is not taken.
    pub bundle_refused: Option<RefusedBundle>,
}

/// A log, as far as it was sent.
#[derive(Debug, Serialize)]
pub struct ShownLog {
    /// Its number in the database.
    pub log_id: i32,
    /// Whose it is.
    pub replica_id: String,
    /// What people call that.
    pub name: String,
    /// Its own name, as checkpoints have it.
    pub origin: String,
    /// The record that comes next.
    pub next_seq: u64,
    /// When records came last.
    pub shipped: Option<String>,
}

impl ShownReplica {
    /// Records that are not known to be here yet.
    #[must_use]
    pub fn to_come(&self) -> u64 {
        self.durable_seq.saturating_sub(self.confirmed_seq)
    }

    /// Of what was read.
    #[must_use]
    pub fn of(state: &ReplicaState) -> Self {
        Self {
            replica_id: state.replica.to_string(),
            name: state.name.clone(),
            silent_s: state.silent_s,
            version: state.version.clone(),
            address: state.address.clone(),
            state: state.state.clone(),
            revision: state.revision.clone(),
            durable_seq: state.durable,
            confirmed_seq: state.confirmed,
            clock_ahead_ms: state.skew_ms,
            bundle: state.bundle,
            bundle_refused: state
                .bundle_refused
                .as_ref()
                .map(|(number, why)| RefusedBundle { number: *number, why: why.clone() }),
        }
    }
}

impl ShownLog {
    /// Of what was read.
    #[must_use]
    pub fn of(state: &LogState) -> Self {
        Self {
            log_id: state.number,
            replica_id: state.replica.to_string(),
            name: state.name.clone(),
            origin: state.origin.clone(),
            next_seq: state.next,
            shipped: state.shipped.map(|time| time.to_string()),
        }
    }
}
