//! Logs copied out of the database into ordinary files: a whole one, or what a search may find. What
//! reads files reads them then, so that its answers are the same.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use futures_core::Stream as _;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row as Answered};

use super::error::DatabaseError;
use super::gateway::{time, unsigned};
use super::link::Access;
use super::narrow::Narrowed;
use crate::audit::search::{Filter, Take};
use crate::audit::upkeep::vouch;
use crate::audit::{Row, ScratchLog};

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The database does not give it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// It cannot be written.
    #[error("the copy cannot be written: {0}")]
    Write(#[from] io::Error),
}

impl From<tokio_postgres::Error> for CopyError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// One connection that only reads.
pub(super) struct Reader(Client);

impl Reader {
    /// Connects.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub(super) async fn connect(
        access: &Access,
        statements: Option<Duration>,
    ) -> Result<Self, DatabaseError> {
        let client = access.connect(statements).await?;
        // All that is read is of one moment.
        client.batch_execute("START TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        // Compiling a search takes longer than the search.
        client.batch_execute("SET LOCAL jit = off").await?;
        // Before the moment is chosen: a week that is dropped after it would not be there.
        client.batch_execute("LOCK TABLE audit_record IN ACCESS SHARE MODE").await?;
        Ok(Self(client))
    }

    /// Copies a whole log into this directory, and gives how many records are kept under a number, or
    /// with something to search for, that their line does not have, and the first of them.
    ///
    /// # Errors
    /// [`CopyError`].
    pub(super) async fn log(&self, log: i32, to: &Path) -> Result<(u64, Option<u64>), CopyError> {
        const ALL: &str = "SELECT seq, line, time, event, request_id, caller, workspace, entrance, \
                           grantee, decision, reason, outcome, decision_seq, seam_request_id, \
                           idempotency_key FROM audit_record WHERE log_id = $1 ORDER BY seq";
        let base = "SELECT links FROM audit_base WHERE log_id = $1";
        if let Some(row) = self.0.query_opt(base, &[&log]).await? {
            vouch(to, row.try_get(0)?)?;
        }
        let mut files = ScratchLog::new(to);
        let (mut differing, mut first) = (0, None);
        let values: [&(dyn ToSql + Sync); 1] = [&log];
        let rows = self.0.query_raw(ALL, values).await?;
        let mut rows = pin!(rows);
        while let Some(row) = poll_fn(|context| rows.as_mut().poll_next(context)).await {
            let row = row?;
            let (seq, line) = (unsigned(row.try_get(0)?), row.try_get::<_, &str>(1)?);
            if !agrees(&row, seq, line)? {
                differing += 1;
                first.get_or_insert(seq);
            }
            files.add(seq, line)?;
        }
        files.finish()?;
        Ok((differing, first))
    }

    /// Copies what a search may find, with what belongs to it.
    ///
    /// # Errors
    /// [`CopyError`].
    pub(super) async fn found(
        &self,
        log: i32,
        (filter, take): (&Filter, Take),
        to: &Path,
    ) -> Result<(), CopyError> {
        let narrowed = Narrowed::new(log, filter, take);
        let mut files = ScratchLog::new(to);
        let rows = self.0.query_raw(&narrowed.statement, narrowed.values()).await?;
        let mut rows = pin!(rows);
        while let Some(row) = poll_fn(|context| rows.as_mut().poll_next(context)).await {
            let row = row?;
            files.add(unsigned(row.try_get(0)?), row.try_get(1)?)?;
        }
        Ok(files.finish()?)
    }

    /// The logs that have anything of a request.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub(super) async fn having_request(&self, id: &str) -> Result<Vec<i32>, DatabaseError> {
        let all = "SELECT DISTINCT log_id FROM audit_record WHERE request_id = $1";
        self.0.query(all, &[&id]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Every checkpoint that was handed over, as it was signed.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub(super) async fn heads(&self, log: i32) -> Result<Vec<String>, DatabaseError> {
        let all = "SELECT checkpoint FROM audit_head WHERE log_id = $1 ORDER BY size";
        let rows = self.0.query(all, &[&log]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

/// Whether the columns say what the line says.
fn agrees(row: &Answered, seq: u64, line: &str) -> Result<bool, tokio_postgres::Error> {
    let Some(own) = Row::of(line.as_bytes()) else { return Ok(false) };
    let kept = Row {
        seq,
        time: time(row.try_get(2)?),
        event: row.try_get(3)?,
        request_id: row.try_get(4)?,
        caller: row.try_get(5)?,
        workspace: row.try_get(6)?,
        entrance: row.try_get(7)?,
        grantee: row.try_get(8)?,
        decision: row.try_get(9)?,
        reason: row.try_get(10)?,
        outcome: row.try_get(11)?,
        decision_seq: row.try_get::<_, Option<i64>>(12)?.map(unsigned),
        seam_request_id: row.try_get(13)?,
        idempotency_key: row.try_get(14)?,
        line: line.to_owned(),
    };
    Ok(kept == own)
}
