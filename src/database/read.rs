//! What a reader may see of all logs.

use std::time::SystemTime;

use jiff::Timestamp;
use tokio_postgres::Client;
use uuid::Uuid;

use super::error::DatabaseError;
use super::gateway::{time, unsigned};
use super::link::{Access, STATEMENT_TIMEOUT};
use crate::bundle::Digest;

/// A log, as far as it was sent.
#[derive(Debug, Clone)]
pub struct LogState {
    /// Its number.
    pub number: i32,
    /// Whose it is.
    pub replica: Uuid,
    /// What people call that.
    pub name: String,
    /// Its own name.
    pub origin: String,
    /// The record that comes next.
    pub next: u64,
    /// When records came last.
    pub shipped: Option<Timestamp>,
}

/// A gateway, as it said last that it was.
#[derive(Debug, Clone)]
pub struct ReplicaState {
    /// Its id.
    pub replica: Uuid,
    /// What people call it.
    pub name: String,
    /// How many seconds ago that was.
    pub silent_s: f64,
    /// The program's version.
    pub version: String,
    /// Where people reach it.
    pub address: Option<String>,
    /// How it was.
    pub state: String,
    /// The policy in force.
    pub revision: Option<String>,
    /// The newest record that was durable.
    pub durable: u64,
    /// The newest that had been sent.
    pub confirmed: u64,
    /// How far its clock is ahead of the database's, in milliseconds.
    pub skew_ms: i64,
    /// The signed bundle in force, where policies come as such.
    pub bundle: Option<u64>,
    /// One that is not taken, and why.
    pub bundle_refused: Option<(u64, String)>,
    /// Up to which place it follows signed orders, where it does.
    pub directives: Option<u64>,
    /// The digest of what is there.
    pub directive_digest: Option<Digest>,
    /// Why one of these is not followed.
    pub directive_problem: Option<String>,
}

/// How a gateway is shown that stops, or was stopped.
pub const LEAVING: &str = "leaving";

/// How a gateway is shown that was taken off.
pub const RETIRED: &str = "retired";

/// A gateway that has said nothing for so many seconds is silent.
const SILENT_S: f64 = 10.0;

/// A log with so many records to come is behind.
const BEHIND: u64 = 10_000;

impl ReplicaState {
    /// Whether it has said nothing for long.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent_s >= SILENT_S
    }

    /// Whether many of its records are still to come.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        self.to_come() >= BEHIND
    }

    /// Whether it is there, and stays.
    #[must_use]
    pub fn speaks(&self) -> bool {
        !self.is_silent() && self.state != LEAVING && self.state != RETIRED
    }

    /// Whether nothing more is to be heard of it: it was taken off, or stopped after it had sent all.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.state == RETIRED || (self.state == LEAVING && self.to_come() == 0)
    }

    /// Records that were not sent.
    #[must_use]
    pub const fn to_come(&self) -> u64 {
        self.durable.saturating_sub(self.confirmed)
    }

    /// Why it does not follow the signed order at a place.
    #[must_use]
    pub fn refuses(&self, place: u64) -> Option<&str> {
        let problem = self.directive_problem.as_deref()?;
        problem.contains(&refused_at(place, "")).then_some(problem)
    }
}

/// How a gateway says why it does not follow the signed order at a place.
#[must_use]
pub fn refused_at(place: u64, why: &str) -> String {
    format!("the signed order at {place}: {why}")
}

/// Every log, by name.
///
/// # Errors
/// [`DatabaseError`].
pub async fn logs(access: &Access) -> Result<Vec<LogState>, DatabaseError> {
    logs_of(&access.connect(Some(STATEMENT_TIMEOUT)).await?).await
}

/// The same on a connection that there is.
pub(super) async fn logs_of(client: &Client) -> Result<Vec<LogState>, DatabaseError> {
    let rows = client
        .query(
            "SELECT log_id, replica_id, name, origin, next_seq, shipped_at FROM log \
             ORDER BY name, log_id",
            &[],
        )
        .await?;
    let log = |row: &tokio_postgres::Row| -> Result<LogState, DatabaseError> {
        Ok(LogState {
            number: row.try_get(0)?,
            replica: row.try_get(1)?,
            name: row.try_get(2)?,
            origin: row.try_get(3)?,
            next: unsigned(row.try_get(4)?),
            shipped: row.try_get::<_, Option<SystemTime>>(5)?.map(time),
        })
    };
    rows.iter().map(log).collect()
}

/// Every gateway that has ever said how it is, by name.
///
/// # Errors
/// [`DatabaseError`].
pub async fn replicas(access: &Access) -> Result<Vec<ReplicaState>, DatabaseError> {
    replicas_of(&access.connect(Some(STATEMENT_TIMEOUT)).await?).await
}

/// The same on a connection that there is.
pub(super) async fn replicas_of(client: &Client) -> Result<Vec<ReplicaState>, DatabaseError> {
    // By way of JSON: an older schema has no bundles.
    let rows = client
        .query(
            "SELECT replica_id, name, extract(epoch FROM clock_timestamp() - seen)::float8, version, \
             address, state, revision, durable_seq, confirmed_seq, skew_ms, \
             (more->>'bundle')::bigint, (more->>'bundle_refused')::bigint, more->>'bundle_problem', \
             (more->>'directives')::bigint, more->>'directive_problem', \
             decode(substr(more->>'directive_digest', 3), 'hex') \
             FROM replica_beat b JOIN replica USING (replica_id), to_jsonb(b) more \
             ORDER BY name, replica_id",
            &[],
        )
        .await?;
    let replica = |row: &tokio_postgres::Row| -> Result<ReplicaState, DatabaseError> {
        Ok(ReplicaState {
            replica: row.try_get(0)?,
            name: row.try_get(1)?,
            silent_s: row.try_get(2)?,
            version: row.try_get(3)?,
            address: row.try_get(4)?,
            state: row.try_get(5)?,
            revision: row.try_get(6)?,
            durable: unsigned(row.try_get(7)?),
            confirmed: unsigned(row.try_get(8)?),
            skew_ms: row.try_get(9)?,
            bundle: row.try_get::<_, Option<i64>>(10)?.map(unsigned),
            bundle_refused: row
                .try_get::<_, Option<i64>>(11)?
                .map(unsigned)
                .zip(row.try_get::<_, Option<String>>(12)?),
            directives: row.try_get::<_, Option<i64>>(13)?.map(unsigned),
            directive_problem: row.try_get(14)?,
            directive_digest: row.try_get::<_, Option<&[u8]>>(15)?.and_then(Digest::from_bytes),
        })
    };
    rows.iter().map(replica).collect()
}
