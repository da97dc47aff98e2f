//! Signed orders in a database: what a gateway asks for, and what those in charge put there.

use super::bundles::Desk;
use super::error::DatabaseError;
use super::gateway::{signed, unsigned};
use super::link::Link;
use super::read::{ReplicaState, replicas_of};
use crate::bundle::SignedDirective;

/// A signed order, with its place among all.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its place.
    pub place: u64,
    /// Its text and signatures.
    pub note: String,
}

/// A signed order that was proposed, with the signatures that it has.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// Its text.
    pub text: String,
    /// What is said to sign it.
    pub lines: Vec<String>,
}

impl Link {
    /// Some signed orders behind a place, in their order.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn directives(&self, behind: u64) -> Result<Vec<Placed>, DatabaseError> {
        let rows = self.all("SELECT place, note FROM directives_1($1)", &[&signed(behind)]).await?;
        rows.iter().map(placed).collect()
    }
}

impl Desk {
    /// All signed orders, the newest last.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn directives(&self) -> Result<Vec<Placed>, DatabaseError> {
        let all = "SELECT place, note FROM directive ORDER BY place";
        self.client().query(all, &[]).await?.iter().map(placed).collect()
    }

    /// All that were proposed, the newest last: also those that gateways follow by now.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn proposed_directives(&self) -> Result<Vec<Unfinished>, DatabaseError> {
        let statement = "SELECT p.text, (SELECT coalesce(array_agg(a.line ORDER BY a.made, a.line), \
                         '{}') FROM directive_approval a WHERE a.digest = p.digest) FROM directive_proposal p ORDER BY p.made";
        let rows = self.client().query(statement, &[]).await?;
        rows.iter()
            .map(|row| Ok(Unfinished { text: row.try_get(0)?, lines: row.try_get(1)? }))
            .collect()
    }

    /// Proposes an order with a signature, or adds one to an order that is proposed.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn sign_directive(&self, text: &str, line: &str) -> Result<(), DatabaseError> {
        self.client().execute("SELECT sign_directive_1($1, $2)", &[&text, &line]).await?;
        Ok(())
    }

    /// Every gateway that has ever said how it is, by name.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn replicas(&self) -> Result<Vec<ReplicaState>, DatabaseError> {
        replicas_of(self.client()).await
    }

    /// Gives an order to all gateways, and tells its place.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn direct(&self, own: &SignedDirective) -> Result<u64, DatabaseError> {
        let row = self.client().query_one("SELECT direct_1($1)", &[&own.note]).await?;
        Ok(unsigned(row.try_get(0)?))
    }
}

fn placed(row: &tokio_postgres::Row) -> Result<Placed, DatabaseError> {
    Ok(Placed { place: unsigned(row.try_get(0)?), note: row.try_get(1)? })
}
