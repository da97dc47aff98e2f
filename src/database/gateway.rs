//! What a gateway may ask of a database: its functions, and no table.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row as Answered};
use uuid::Uuid;

use super::bundles::offer;
use super::error::DatabaseError;
use super::link::{Link, answered};
use crate::audit::Row;
use crate::bundle::{Digest, Offer};
use crate::domain::Secret;

/// For at most 64 MiB.
const BASE_TIMEOUT: Duration = Duration::from_secs(60);

/// A log, as its gateway introduces it.
#[derive(Debug)]
pub struct Log {
    /// The gateway's own id.
    pub replica: Uuid,
    /// What people call it.
    pub name: String,
    /// The log's name, which no other has.
    pub origin: String,
    /// With which its checkpoints are verified.
    pub verifier_key: String,
    /// What nobody else can add to the log without.
    pub token: Secret,
}

/// What a database knows of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its number there.
    pub number: i32,
    /// The record that comes next.
    pub next: u64,
}

/// How a gateway is.
#[derive(Debug, Clone)]
pub struct Beat {
    /// Where people reach it.
    pub address: String,
    /// `ready` or why it is not.
    pub state: &'static str,
    /// The policy in force.
    pub revision: String,
    /// The newest record that is durable.
    pub durable: u64,
    /// The newest that the database has said to have.
    pub confirmed: u64,
    /// The bundle in force, where policies come as bundles.
    pub bundle: BundleState,
}

/// How the bundle in force is, and one that is not.
#[derive(Debug, Clone, Default)]
pub struct BundleState {
    /// The number of the one in force.
    pub in_force: Option<u64>,
    /// Of one that was offered and is not in force, and why.
    pub refused: Option<(u64, String)>,
    /// Up to which place signed orders are followed, 0 for none yet, and the digest of what is there.
    pub directives: Option<(u64, Option<Digest>)>,
    /// Why one of these is not.
    pub directive_problem: Option<String>,
}

/// What there is for a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// The bundle that it is to have.
    pub bundle: Option<Offer>,
    /// The newest signed order, by its place and the digest of its text with signatures.
    pub directive: Option<Offer>,
}

/// How much of a reason the register has room for.
const REASON_CHARACTERS_MAX: usize = 500;

impl Link {
    /// Introduces a log.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn hello(&self, log: &Log) -> Result<Known, DatabaseError> {
        let Log { replica, name, origin, verifier_key, token } = log;
        let token = token.expose().as_bytes();
        let row = self
            .one(
                "SELECT log, next FROM hello_1($1, $2, $3, $4, $5)",
                &[replica, name, origin, verifier_key, &token],
            )
            .await?;
        Ok(Known { number: row.try_get(0)?, next: unsigned(row.try_get(1)?) })
    }

    /// Adds records that follow one another, and gives the one that comes next there: another one
    /// than the one behind the last where it does not have what was before the first.
    ///
    /// # Errors
    /// [`DatabaseError`]; whether they were added is not known then, and asking again with the
    /// same ones does no harm.
    pub async fn append(
        &self,
        number: i32,
        token: &Secret,
        rows: &[Row],
    ) -> Result<u64, DatabaseError> {
        let first = signed(rows.first().map_or(1, |row| row.seq));
        fn each<'r, T>(rows: &'r [Row], of: impl Fn(&'r Row) -> T) -> Vec<T> {
            rows.iter().map(of).collect()
        }
        let token = token.expose().as_bytes();
        let row = self
            .one(
                "SELECT append_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
                 $16, $17)",
                &[
                    &number,
                    &token,
                    &first,
                    &each(rows, |row| there(row.time)),
                    &each(rows, |row| row.event.as_str()),
                    &each(rows, |row| row.request_id.as_deref()),
                    &each(rows, |row| row.caller.as_deref()),
                    &each(rows, |row| row.workspace.as_deref()),
                    &each(rows, |row| row.entrance),
                    &each(rows, |row| row.grantee.as_deref()),
                    &each(rows, |row| row.decision.as_deref()),
                    &each(rows, |row| row.reason.as_deref()),
                    &each(rows, |row| row.outcome.as_deref()),
                    &each(rows, |row| row.decision_seq.map(signed)),
                    &each(rows, |row| row.seam_request_id.as_deref()),
                    &each(rows, |row| row.idempotency_key.as_deref()),
                    &each(rows, |row| row.line.as_str()),
                ],
            )
            .await?;
        Ok(unsigned(row.try_get(0)?))
    }

    /// Says that some records will never come, and gives the one that comes next there.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn gap(
        &self,
        number: i32,
        token: &Secret,
        (first, last): (u64, u64),
    ) -> Result<u64, DatabaseError> {
        let token = token.expose().as_bytes();
        let row = self
            .one("SELECT gap_1($1, $2, $3, $4)", &[&number, &token, &signed(first), &signed(last)])
            .await?;
        Ok(unsigned(row.try_get(0)?))
    }

    /// Hands over what vouches for the beginning of a log of which nothing is there yet, and which begins
    /// with this record. It may be long: it has a connection and a time of its own.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn base(
        &self,
        number: i32,
        token: &Secret,
        (first, vouching): (u64, &str),
    ) -> Result<(), DatabaseError> {
        let token = token.expose().as_bytes();
        let first = signed(first);
        let client = self.another().await?;
        let values: [&(dyn ToSql + Sync); 4] = [&number, &token, &first, &vouching];
        let asked = client.query_one("SELECT base_1($1, $2, $3, $4)", &values);
        match tokio::time::timeout(BASE_TIMEOUT, asked).await {
            Ok(answer) => Ok(answer.map(drop)?),
            Err(_) => Err(DatabaseError::Timeout(BASE_TIMEOUT.as_secs())),
        }
    }

    /// Hands over a signed checkpoint.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn head(
        &self,
        number: i32,
        token: &Secret,
        (size, note): (u64, &str),
    ) -> Result<(), DatabaseError> {
        let token = token.expose().as_bytes();
        self.one("SELECT head_1($1, $2, $3, $4)", &[&number, &token, &signed(size), &note]).await?;
        Ok(())
    }

    /// Says how a gateway is, and hears what there is for it: nothing of a database that knows no
    /// bundles yet.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn beat(&self, log: &Log, beat: &Beat) -> Result<Option<Heads>, DatabaseError> {
        let Beat { address, state, revision, durable, confirmed, bundle } = beat;
        let token = log.token.expose().as_bytes();
        let (durable, confirmed) = (signed(*durable), signed(*confirmed));
        let (version, now) = (env!("CARGO_PKG_VERSION"), there(Timestamp::now()));
        let in_force = bundle.in_force.map(signed);
        let refused = bundle.refused.as_ref().map(|(number, _)| signed(*number));
        let short = |why: &String| -> String {
            why.chars().filter(|c| *c != '\0').take(REASON_CHARACTERS_MAX).collect()
        };
        let problem = bundle.refused.as_ref().map(|(_, why)| short(why));
        let unfollowed = bundle.directive_problem.as_ref().map(short);
        let directives = bundle.directives.map(|(place, _)| signed(place));
        let directive_digest = bundle.directives.and_then(|(_, digest)| digest);
        let directive_digest = directive_digest.as_ref().map(Digest::as_bytes);
        let values: [&(dyn ToSql + Sync); 15] = [
            &log.replica,
            &token,
            &version,
            address,
            state,
            revision,
            &durable,
            &confirmed,
            &now,
            &in_force,
            &refused,
            &problem,
            &directives,
            &directive_digest,
            &unfollowed,
        ];
        let statement = "SELECT number, digest, directives, newest_digest FROM \
                         beat_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
        let answer = match self.all(statement, &values).await {
            // One that knows no bundles yet is told the rest.
            Err(DatabaseError::Older(_)) => {
                let (values, _) = values.split_at(9);
                self.all("SELECT beat_1($1, $2, $3, $4, $5, $6, $7, $8, $9)", values).await?;
                return Ok(None);
            }
            answer => answer?,
        };
        let Some(row) = answer.first() else { return Ok(None) };
        let (number, digest): (Option<i64>, Option<&[u8]>) = (row.try_get(0)?, row.try_get(1)?);
        let bundle =
            number.zip(digest).map(|(number, digest)| offer(number, digest)).transpose()?;
        let (place, digest): (i64, Option<&[u8]>) = (row.try_get(2)?, row.try_get(3)?);
        let directive = digest.map(|digest| offer(place, digest)).transpose()?;
        Ok(Some(Heads { bundle, directive }))
    }

    /// The newest checkpoint of each other gateway's log, as it was signed, with the log's name and how
    /// many records it covers.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn heads_of_others(
        &self,
        log: &Log,
    ) -> Result<Vec<(String, u64, String)>, DatabaseError> {
        let heads = "SELECT origin, size, checkpoint FROM heads_1($1)";
        let rows = self.all(heads, &[&log.replica]).await?;
        let head =
            |row: &Answered| Ok((row.try_get(0)?, unsigned(row.try_get(1)?), row.try_get(2)?));
        rows.iter().map(head).collect()
    }

    /// One question with one answer.
    pub(super) async fn one(
        &self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Answered, DatabaseError> {
        let mut rows = self.all(statement, values).await?;
        rows.pop().ok_or_else(|| DatabaseError::Refused("it gave no answer".into()))
    }

    /// One question, and all that is answered. Without an answer the connection is given up: what
    /// comes on it later would be the answer to this.
    pub(super) async fn all(
        &self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Answered>, DatabaseError> {
        let client: Arc<Client> = self.client().await?;
        let answer = answered(client.query(statement, values)).await;
        if matches!(answer, Err(DatabaseError::Timeout(_) | DatabaseError::Connection(_))) {
            self.give_up(&client).await;
        }
        answer
    }
}

/// Numbers of records are less than 2^53.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// In microseconds, as the log has it.
pub(super) fn there(time: Timestamp) -> SystemTime {
    let micros = u64::try_from(time.as_microsecond()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}

pub(super) fn time(there: SystemTime) -> Timestamp {
    Timestamp::try_from(there).unwrap_or_default()
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
