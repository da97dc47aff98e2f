//! The schema, which only `grantgate database` changes.

use std::time::Duration;

use tokio_postgres::Client;

use super::error::DatabaseError;
use super::link::{Access, STATEMENT_TIMEOUT};
use crate::domain::innermost;

mod embedded {
    refinery::embed_migrations!("src/database/migrations");
}

/// What a database administrator runs once: roles are of the whole server.
pub const ROLES: &str = include_str!("roles.sql");

/// Two who migrate wait for each other. The number is a name.
const LOCK: i64 = 0x6772_616e_7467;

/// How often a lock is asked for that somebody else has.
pub(super) const TRIES: u32 = 10;

/// How long those go first who wait behind it.
pub(super) const AGAIN: Duration = Duration::from_secs(3);

/// Which schema there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The newest migration that was made; none where there is none.
    pub made: Option<i32>,
    /// The newest that this program knows.
    pub newest: i32,
}

/// Brings the schema to what this program needs, and tells which migrations were made now.
///
/// # Errors
/// [`DatabaseError`]; nothing is changed then.
pub async fn migrate(access: &Access) -> Result<Vec<String>, DatabaseError> {
    let mut client = access.connect(None).await?;
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    // All who add records wait behind whoever waits for a table.
    client.batch_execute("SET lock_timeout = '5s'").await?;
    client.batch_execute("CREATE SCHEMA IF NOT EXISTS grantgate").await?;
    let runner = embedded::migrations::runner().set_grouped(true);
    let report = runner.run_async(&mut client).await;
    let report = report.map_err(|error| DatabaseError::Refused(innermost(&error)))?;
    // The lock goes with the connection.
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Which schema there is.
///
/// # Errors
/// [`DatabaseError`].
pub async fn schema(access: &Access) -> Result<Schema, DatabaseError> {
    let client = access.connect(Some(STATEMENT_TIMEOUT)).await?;
    let newest = embedded::migrations::runner().get_migrations().iter().map(|m| m.version()).max();
    Ok(Schema { made: made(&client).await?, newest: newest.unwrap_or_default() })
}

async fn made(client: &Client) -> Result<Option<i32>, DatabaseError> {
    let there = "SELECT to_regclass('grantgate.refinery_schema_history') IS NOT NULL";
    if !client.query_one(there, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let newest = "SELECT max(version)::integer FROM grantgate.refinery_schema_history";
    Ok(client.query_one(newest, &[]).await?.try_get(0)?)
}

/// Makes the partitions of the next weeks, and gives how many it made; forgets keys whose time is
/// over, and what was taken of budgets of days before yesterday.
///
/// # Errors
/// [`DatabaseError`].
pub async fn maintain(access: &Access, weeks: i32) -> Result<i32, DatabaseError> {
    let client = access.connect(None).await?;
    // All who add records wait behind whoever waits for the table.
    client.batch_execute("SET lock_timeout = '2s'").await?;
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let made = client.query_one("SELECT make_partitions($1)", &[&weeks]).await;
        match made.map_err(DatabaseError::from) {
            Ok(made) => {
                // Not those of yesterday: somebody may still look at them.
                for forget in [
                    "DELETE FROM budget_day WHERE day < today() - 1",
                    "DELETE FROM idempotency_key WHERE until < now()",
                ] {
                    match client.execute(forget, &[]).await.map_err(DatabaseError::from) {
                        // An older schema has none.
                        Ok(_) | Err(DatabaseError::Older(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
                return Ok(made.try_get(0)?);
            }
            Err(DatabaseError::Unavailable(_)) if tries > 0 => {
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error),
        }
    }
}
