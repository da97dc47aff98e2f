//! Idempotency keys that all gateways have in common.

use std::time::Duration;

use uuid::Uuid;

use super::error::DatabaseError;
use super::gateway::{Log, signed, unsigned};
use super::link::Link;

/// A key of a caller, and what was asked for with it, of which the database has digests only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDigest {
    /// SHA-256 of the caller and its key.
    pub key: [u8; 32],
    /// And of what it asked for.
    pub asked: [u8; 32],
}

/// How long a key counts.
#[derive(Debug, Clone, Copy)]
pub struct KeyTimes {
    /// Since it was settled.
    pub window: Duration,
    /// What is not settled after this was cut off.
    pub sending: Duration,
}

/// Whose a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is this gateway's: nobody sent it, or this one.
    Own,
    /// It was used for something else.
    Reused,
    /// Another gateway has it.
    Other(OtherClaim),
}

/// What another gateway makes, or made, of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherClaim {
    /// Which.
    pub replica: Uuid,
    /// Its decision, where its number is known.
    pub seq: Option<u64>,
    /// What became of it.
    pub became: Became,
}

impl OtherClaim {
    /// What was in flight when this was said is unknown by now.
    #[must_use]
    pub const fn by_now(self) -> Self {
        let became = match self.became {
            Became::Granted => Became::Granted,
            Became::Sending | Became::Unknown => Became::Unknown,
        };
        Self { became, ..self }
    }
}

/// What became of a key's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It is being sent.
    Sending,
    /// Seam confirmed it.
    Granted,
    /// Nobody knows.
    Unknown,
}

impl Became {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Granted => "granted",
            Self::Unknown => "unknown",
        }
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

impl Link {
    /// Claims a key, unless another gateway has it.
    ///
    /// # Errors
    /// [`DatabaseError`]; it may be claimed then.
    pub async fn claim_key(
        &self,
        own: &Log,
        (digest, attempt): (&KeyDigest, i64),
        times: &KeyTimes,
    ) -> Result<Claim, DatabaseError> {
        let token = own.token.expose().as_bytes();
        let KeyDigest { key, asked } = digest;
        let (window, sending) = (seconds(times.window), times.sending.as_secs_f64());
        let row = self
            .one(
                "SELECT is_own, is_same, by_replica, became, seq FROM claim_key_1($1, $2, $3, $4, $5, $6, $7)",
                &[
                    &own.replica,
                    &token,
                    &key.as_slice(),
                    &asked.as_slice(),
                    &attempt,
                    &window,
                    &sending,
                ],
            )
            .await?;
        if row.try_get(0)? {
            return Ok(Claim::Own);
        }
        if !row.try_get::<_, bool>(1)? {
            return Ok(Claim::Reused);
        }
        let became = match row.try_get(3)? {
            "sending" => Became::Sending,
            "granted" => Became::Granted,
            // Also what a newer version says: nothing is sent for it.
            _ => Became::Unknown,
        };
        let seq = row.try_get::<_, Option<i64>>(4)?.map(unsigned);
        Ok(Claim::Other(OtherClaim { replica: row.try_get(2)?, seq, became }))
    }

    /// Says what became of a key; none where nothing was changed.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn settle_key(
        &self,
        own: &Log,
        (digest, attempt, window): (&KeyDigest, i64, Duration),
        (became, seq): (Option<Became>, Option<u64>),
    ) -> Result<(), DatabaseError> {
        let token = own.token.expose().as_bytes();
        let KeyDigest { key, asked } = digest;
        let (became, seq, window) = (became.map(Became::as_str), seq.map(signed), seconds(window));
        self.one(
            "SELECT settle_key_1($1, $2, $3, $4, $5, $6, $7, $8)",
            &[
                &own.replica,
                &token,
                &key.as_slice(),
                &asked.as_slice(),
                &attempt,
                &window,
                &became,
                &seq,
            ],
        )
        .await?;
        Ok(())
    }

    /// Says what was found out of an unknown outcome; none where nothing was changed.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn resolve_key(
        &self,
        own: &Log,
        seq: u64,
        became: Option<Became>,
    ) -> Result<(), DatabaseError> {
        let token = own.token.expose().as_bytes();
        let (seq, became) = (signed(seq), became.map(Became::as_str));
        self.one("SELECT resolve_key_1($1, $2, $3, $4)", &[&own.replica, &token, &seq, &became])
            .await?;
        Ok(())
    }
}
