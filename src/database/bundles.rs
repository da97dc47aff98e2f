//! Bundles in a database: what a gateway asks for, and what authors put there.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::error::DatabaseError;
use super::gateway::{signed, time, unsigned};
use super::link::{ANSWER_TIMEOUT, Access, Link};
use crate::bundle::{Contents, Digest, Entry, FileName, NotWhole, Offer, Signed};

impl Link {
    /// The newest bundle for a gateway of this name.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn newest_bundle(&self, name: &str) -> Result<Option<Offer>, DatabaseError> {
        let rows = self.all("SELECT number, digest FROM newest_bundle_1($1)", &[&name]).await?;
        rows.first().map(|row| offer(row.try_get(0)?, row.try_get(1)?)).transpose()
    }

    /// The note of a bundle; none where the database has none of this digest.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn bundle_note(&self, digest: Digest) -> Result<Option<String>, DatabaseError> {
        let row = self.one("SELECT bundle_note_1($1)", &[&digest.as_bytes()]).await?;
        Ok(row.try_get(0)?)
    }

    /// Files, by a connection of their own: a large one over a slow line must not keep records back.
    /// None where the database does not have all of them, with the first that is missing.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn bundle_files(
        &self,
        entries: &[Entry],
    ) -> Result<Result<Contents, FileName>, DatabaseError> {
        let client = self.another().await?;
        let mut contents = Contents::new();
        for Entry { name, bytes, digest } in entries {
            let least = ANSWER_TIMEOUT + Duration::from_secs(*bytes as u64 / BYTES_A_SECOND);
            let digest = digest.as_bytes();
            let values: [&(dyn ToSql + Sync); 1] = [&digest];
            let row = timeout(least, client.query_one("SELECT bundle_file_1($1)", &values)).await;
            let row = row.map_err(|_| DatabaseError::Timeout(least.as_secs()))??;
            let Some(file) = row.try_get(0)? else { return Ok(Err(*name)) };
            contents.insert(*name, file);
        }
        Ok(Ok(contents))
    }
}

/// The slowest line that is waited for.
const BYTES_A_SECOND: u64 = 64 << 10;

pub(super) fn offer(number: i64, digest: &[u8]) -> Result<Offer, DatabaseError> {
    let digest = Digest::from_bytes(digest);
    let digest = digest.ok_or_else(|| DatabaseError::Refused("it gave no digest".into()))?;
    Ok(Offer { number: unsigned(number), digest })
}

/// A bundle that was given to gateways.
#[derive(Debug, Clone)]
pub struct Promoted {
    /// Its number, as the database says.
    pub number: u64,
    /// Its text and signatures.
    pub note: String,
    /// When it was given to them.
    pub promoted: Timestamp,
    /// To those of these names; to all where there are none.
    pub only_for: Option<Vec<String>>,
}

/// A text that was proposed, with the signatures that it has.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Its number, as the database says.
    pub number: u64,
    /// Its text.
    pub text: String,
    /// What is said to sign it.
    pub lines: Vec<String>,
}

/// Why there are no files of a bundle.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// The database gives none.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// It does not have a file.
    #[error("the database does not have `{0}` of bundle {1}")]
    Missing(&'static str, String),
    /// They are others than were signed.
    #[error("bundle {0}: {1}")]
    NotWhole(String, #[source] NotWhole),
}

/// A connection of somebody who publishes bundles, or looks at them.
pub struct Desk(Client);

impl Desk {
    pub(super) const fn client(&self) -> &Client {
        &self.0
    }

    /// Connects.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn connect(access: &Access) -> Result<Self, DatabaseError> {
        Ok(Self(access.connect(None).await?))
    }

    /// The same for somebody who waits for no statement longer than this.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn connect_for(access: &Access, most: Duration) -> Result<Self, DatabaseError> {
        Ok(Self(access.connect(Some(most)).await?))
    }

    /// The newest bundles, beginning with the newest.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn promoted(&self, most: i64) -> Result<Vec<Promoted>, DatabaseError> {
        let statement = "SELECT number, note, promoted, only_for FROM bundle ORDER BY number DESC \
                         LIMIT $1";
        let rows = self.0.query(statement, &[&most]).await?;
        rows.iter().map(promoted).collect()
    }

    /// The bundle of this number.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn bundle(&self, number: u64) -> Result<Option<Promoted>, DatabaseError> {
        let statement = "SELECT number, note, promoted, only_for FROM bundle WHERE number = $1";
        let row = self.0.query_opt(statement, &[&signed(number)]).await?;
        row.as_ref().map(promoted).transpose()
    }

    /// What is proposed from this number on, and was not given to gateways.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn proposals(&self, from: u64) -> Result<Vec<Proposal>, DatabaseError> {
        let statement = "SELECT p.number, p.text, (SELECT coalesce(array_agg(a.line ORDER BY a.made, a.line), \
                         '{}') FROM approval a WHERE a.digest = p.digest) FROM proposal p \
                         WHERE p.number >= $1 AND NOT EXISTS (SELECT FROM bundle b WHERE b.digest = p.digest) \
                         ORDER BY p.number, p.made";
        let rows = self.0.query(statement, &[&signed(from)]).await?;
        let proposal = |row: &tokio_postgres::Row| -> Result<Proposal, DatabaseError> {
            let (text, lines) = (row.try_get(1)?, row.try_get(2)?);
            Ok(Proposal { number: unsigned(row.try_get(0)?), text, lines })
        };
        rows.iter().map(proposal).collect()
    }

    /// A file; none where the database has none of this digest.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn file(&self, digest: Digest) -> Result<Option<Vec<u8>>, DatabaseError> {
        let statement = "SELECT content FROM bundle_file WHERE sha256 = $1";
        let row = self.0.query_opt(statement, &[&digest.as_bytes()]).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// The files of a bundle, as they were signed: all of them and no other.
    ///
    /// # Errors
    /// [`ContentsError`]
    pub async fn contents(&self, signed: &Signed) -> Result<Contents, ContentsError> {
        let mut contents = Contents::new();
        for entry in &signed.bundle.files {
            let Some(bytes) = self.file(entry.digest).await? else {
                return Err(ContentsError::Missing(entry.name.as_str(), signed.id()));
            };
            contents.insert(entry.name, bytes);
        }
        let whole = signed.bundle.check(&contents);
        whole.map_err(|error| ContentsError::NotWhole(signed.id(), error))?;
        Ok(contents)
    }

    /// Puts a file there.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn put_file(&self, content: &[u8]) -> Result<(), DatabaseError> {
        let digest = Digest::of(content);
        let known = "SELECT EXISTS (SELECT FROM bundle_file WHERE sha256 = $1)";
        if self.0.query_one(known, &[&digest.as_bytes()]).await?.try_get(0)? {
            return Ok(());
        }
        self.0.execute("SELECT put_file_1($1, $2)", &[&digest.as_bytes(), &content]).await?;
        Ok(())
    }

    /// Proposes a text with a signature, or adds one to a text that is proposed.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn sign(&self, number: u64, text: &str, line: &str) -> Result<(), DatabaseError> {
        self.0.execute("SELECT sign_1($1, $2, $3)", &[&signed(number), &text, &line]).await?;
        Ok(())
    }

    /// Gives a bundle to gateways.
    ///
    /// # Errors
    /// [`DatabaseError`]; also where it was not made from the newest.
    pub async fn promote(
        &self,
        own: &Signed,
        only_for: Option<&[String]>,
    ) -> Result<(), DatabaseError> {
        let parent = own.bundle.parent.as_ref().map(Digest::as_bytes);
        let (number, digest) = (signed(own.bundle.number), own.digest.as_bytes());
        let statement = "SELECT promote_1($1, $2, $3, $4, $5)";
        self.0.execute(statement, &[&number, &digest, &parent, &own.note, &only_for]).await?;
        Ok(())
    }

    /// Puts back a bundle that the database has lost.
    ///
    /// # Errors
    /// [`DatabaseError`]; also where it has a newer one.
    pub async fn restore(
        &self,
        own: &Signed,
        only_for: Option<&[String]>,
    ) -> Result<(), DatabaseError> {
        let (number, digest) = (signed(own.bundle.number), own.digest.as_bytes());
        let statement = "SELECT restore_1($1, $2, $3, $4)";
        self.0.execute(statement, &[&number, &digest, &own.note, &only_for]).await?;
        Ok(())
    }
}

fn promoted(row: &tokio_postgres::Row) -> Result<Promoted, DatabaseError> {
    Ok(Promoted {
        number: unsigned(row.try_get(0)?),
        note: row.try_get(1)?,
        promoted: time(row.try_get::<_, SystemTime>(2)?),
        only_for: row.try_get(3)?,
    })
}
