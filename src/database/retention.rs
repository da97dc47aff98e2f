//! Dropping the oldest weeks of the mirror, each whole: what vouches for the rest is kept before.
//!
//! What is dropped of a log ends before one of its checkpoints. The records from there to the end of
//! the week move into the next one, so that the rest of each log begins with a checkpoint, as a
//! segment does.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;

use futures_core::Stream as _;
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::copy::CopyError;
use super::error::DatabaseError;
use super::gateway::{signed, unsigned};
use super::link::Access;
use super::migrate::{AGAIN, TRIES};
use crate::audit::upkeep::{RetainError, archive, let_go, vouch};
use crate::audit::{Event, ScratchLog};

/// Why a week was not dropped.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The database, or the place for copies.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Nobody could vouch for the rest any more.
    #[error("log {log}: {error}")]
    Unproven {
        /// Its number.
        log: i32,
        /// What is wrong with it.
        error: RetainError,
    },
    /// What is dropped could not be kept elsewhere.
    #[error("log {log} is not archived: {error}")]
    Archive {
        /// Its number.
        log: i32,
        /// What is wrong.
        error: RetainError,
    },
}

impl From<tokio_postgres::Error> for RetentionError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Copy(error.into())
    }
}

impl From<DatabaseError> for RetentionError {
    fn from(error: DatabaseError) -> Self {
        Self::Copy(error.into())
    }
}

impl From<io::Error> for RetentionError {
    fn from(error: io::Error) -> Self {
        Self::Copy(error.into())
    }
}

/// A week that was dropped.
#[derive(Debug, Clone)]
pub struct Dropped {
    /// The name of its partition.
    pub name: String,
    /// How many records went with it.
    pub records: u64,
}

/// What is let go of one log.
struct Cut {
    log: i32,
    /// The checkpoint that its rest begins with.
    first: u64,
    /// None where nothing vouches for what was before it.
    links: Option<String>,
}

/// What is dropped.
#[derive(Debug, Clone)]
pub struct Old {
    /// Weeks that ended so many weeks ago.
    pub weeks: i32,
    /// Also where nobody can vouch for the rest afterwards.
    pub unproven: bool,
    /// Where it is kept, one directory for each log.
    pub archive: Option<PathBuf>,
}

/// Drops the oldest week, if it is old enough; none where there is no such week. A copy of what is
/// dropped is made in `scratch`, to be verified.
///
/// # Errors
/// [`RetentionError`]; nothing is changed then.
pub async fn drop_oldest(
    access: &Access,
    old: &Old,
    scratch: &Path,
) -> Result<Option<Dropped>, RetentionError> {
    let mut client = access.connect(None).await?;
    let oldest = "SELECT name, to_day::text FROM audit_partition \
                  WHERE to_day <= today() - 7 * $1 AND from_day < date_trunc('week', today()::timestamp) \
                  ORDER BY from_day LIMIT 1";
    let Some(row) = client.query_opt(oldest, &[&old.weeks]).await? else { return Ok(None) };
    let (name, until): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let logs = "SELECT DISTINCT log_id, name, replica_id FROM audit_record JOIN log USING (log_id) \
                WHERE day < $1::text::date ORDER BY log_id";
    let mut cuts = Vec::new();
    for row in client.query(logs, &[&until]).await? {
        let (log, name, replica) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        // To be verified, which takes it apart; and to be kept.
        let verified = tempfile::tempdir_in(scratch)?;
        let kept = old.archive.as_ref().map(|_| tempfile::tempdir_in(scratch)).transpose()?;
        let copies = [Some(&verified), kept.as_ref()].into_iter().flatten();
        let copies: Vec<&Path> = copies.map(TempDir::path).collect();
        cuts.extend(cut(&client, (log, old.unproven), &until, &copies).await?);
        if let (Some(all), Some(kept)) = (&old.archive, kept) {
            let to = all.join(directory_of(name, replica));
            let done = spawn_blocking(move || archive(kept.path(), &to)).await;
            let done = done.map_err(io::Error::other)?;
            done.map_err(|error| RetentionError::Archive { log, error })?;
        }
    }
    let mut tries = TRIES;
    loop {
        tries -= 1;
        match apply(&mut client, &name, &until, &cuts).await {
            Ok(records) => return Ok(Some(Dropped { name, records })),
            // Somebody reads, or whoever adds records was faster.
            Err(RetentionError::Copy(CopyError::Database(DatabaseError::Unavailable(_))))
                if tries > 0 =>
            {
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What the archive of a log is called. The database's word for a name leads nowhere else.
fn directory_of(name: &str, replica: Uuid) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let name: String = name.chars().filter(is_plain).take(63).collect();
    format!("{name}-{replica}")
}

/// Verifies what is dropped of a log, in the first of some directories that get a copy of it; none
/// where all of it moves on.
async fn cut(
    client: &Client,
    (log, unproven): (i32, bool),
    until: &String,
    directories: &[&Path],
) -> Result<Option<Cut>, RetentionError> {
    let bounds = "SELECT min(seq), max(seq) FILTER (WHERE event = $3) FROM audit_record \
                  WHERE log_id = $1 AND day < $2::text::date";
    let row = client.query_one(bounds, &[&log, until, &Event::Checkpoint.as_str()]).await?;
    let (from, to): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let Some((from, to)) = from.zip(to).filter(|(from, to)| from < to) else { return Ok(None) };
    let base = "SELECT links FROM audit_base WHERE log_id = $1";
    if let Some(row) = client.query_opt(base, &[&log]).await? {
        for directory in directories {
            vouch(directory, row.try_get(0)?)?;
        }
    }
    let lines = "SELECT seq, line FROM audit_record WHERE log_id = $1 AND seq >= $2 AND seq <= $3 \
                 ORDER BY seq";
    let mut copies: Vec<ScratchLog<'_>> =
        directories.iter().copied().map(ScratchLog::new).collect();
    let values: [&(dyn ToSql + Sync); 3] = [&log, &from, &to];
    let rows = client.query_raw(lines, values).await?;
    let mut rows = pin!(rows);
    while let Some(row) = poll_fn(|context| rows.as_mut().poll_next(context)).await {
        let row = row?;
        let seq: i64 = row.try_get(0)?;
        for files in &mut copies {
            if seq == to {
                files.finish()?;
            }
            files.add(unsigned(seq), row.try_get(1)?)?;
        }
    }
    for files in &mut copies {
        files.finish()?;
    }
    let Some(verified) = directories.first().map(|first| first.to_path_buf()) else {
        return Ok(None);
    };
    let links = spawn_blocking(move || let_go(&verified)).await.map_err(io::Error::other)?;
    let links = match links {
        Ok(links) => Some(links),
        Err(_) if unproven => None,
        Err(error) => return Err(RetentionError::Unproven { log, error }),
    };
    Ok(Some(Cut { log, first: unsigned(to), links }))
}

/// All of it, or nothing. What came meanwhile moves on with the rest.
async fn apply(
    client: &mut Client,
    name: &str,
    until: &String,
    cuts: &[Cut],
) -> Result<u64, RetentionError> {
    let change = client.transaction().await?;
    // All who add records wait behind whoever waits for the table.
    change.batch_execute("SET LOCAL lock_timeout = '2s'").await?;
    let logs: Vec<i32> = cuts.iter().map(|cut| cut.log).collect();
    let firsts: Vec<i64> = cuts.iter().map(|cut| signed(cut.first)).collect();
    let links: Vec<Option<&str>> = cuts.iter().map(|cut| cut.links.as_deref()).collect();
    // In the order in which those who add records take them.
    change.batch_execute("LOCK TABLE audit_log IN EXCLUSIVE MODE").await?;
    change.batch_execute("LOCK TABLE audit_record IN ACCESS EXCLUSIVE MODE").await?;
    change.execute("DELETE FROM audit_base WHERE log_id = ANY ($1)", &[&logs]).await?;
    let keep = "INSERT INTO audit_base (log_id, first_seq, links) SELECT k.log, k.first, k.links FROM \
                unnest($1::integer[], $2::bigint[], $3::text[]) k (log, first, links) \
                WHERE k.links IS NOT NULL";
    change.execute(keep, &[&logs, &firsts, &links]).await?;
    let moved = "UPDATE audit_record r SET day = $3::text::date WHERE r.day < $3::text::date AND NOT EXISTS \
                 (SELECT FROM unnest($1::integer[], $2::bigint[]) c (log_id, first) \
                  WHERE c.log_id = r.log_id AND r.seq < c.first)";
    change.execute(moved, &[&logs, &firsts, until]).await?;
    let on = "UPDATE audit_log SET last_day = greatest(last_day, $1::text::date)";
    change.execute(on, &[until]).await?;
    let left = "SELECT count(*) FROM audit_record WHERE day < $1::text::date";
    let records: i64 = change.query_one(left, &[until]).await?.try_get(0)?;
    // The name is one that `make_partitions` made.
    change.batch_execute(&format!("DROP TABLE \"{name}\"")).await?;
    change.execute("DELETE FROM audit_partition WHERE name = $1", &[&name]).await?;
    change.commit().await?;
    Ok(unsigned(records))
}
