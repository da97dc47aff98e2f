//! The second sink: the database that mirrors the logs of all gateways.
//!
//! Which record comes next is known there, and moves in the transaction that adds the records: one
//! that has lost its newest records, since it failed over to a copy that was behind, gets them again.

mod beat;
mod witness;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use super::resume::resume;
use super::sink::{Answer, Batch, Cause, Place, Sink};
use crate::audit::Row;
use crate::audit::upkeep::vouching;
use crate::database::{Access, DatabaseError, Files, Known, Link, Log};
pub use beat::{Beating, Beats, Condition};
pub use witness::Witness;

/// How far behind it may be while all is well.
const EVERY: Duration = Duration::from_millis(200);

/// The checkpoints of what was pruned, which a database takes.
const VOUCHING_BYTES_MAX: u64 = 64 << 20;

/// Records wait for these no longer than so many tries.
const VOUCH_TRIES: u32 = 3;

/// Records in one statement.
const RECORDS_MAX: usize = 500;

/// A mirror of this gateway's log.
pub struct MirrorSink {
    files: Files,
    host: String,
    shared: Arc<Shared>,
}

/// What the sink and the beats share: one connection, and what is known.
struct Shared {
    link: Arc<Link>,
    log: Arc<Log>,
    directory: PathBuf,
    known: Mutex<Option<Known>>,
    /// How often what vouches for pruned records was not taken.
    vouched: AtomicU32,
}

impl MirrorSink {
    /// For the log in this directory; connects to nothing yet.
    #[must_use]
    pub fn new(files: Files, access: Access, log: Arc<Log>, directory: PathBuf) -> Self {
        let host = access.host();
        let (link, known) = (Arc::new(Link::new(access)), Mutex::new(None));
        let vouched = AtomicU32::new(0);
        Self { files, host, shared: Arc::new(Shared { link, log, directory, known, vouched }) }
    }

    /// What says each second that this gateway is there.
    #[must_use]
    pub fn beats(&self) -> Beats {
        Beats::new(self.shared.clone())
    }

    /// The connection, for whoever else asks the database.
    #[must_use]
    pub fn link(&self) -> Arc<Link> {
        self.shared.link.clone()
    }

    async fn add(&self, rows: &[Row]) -> Result<Answer, DatabaseError> {
        let Shared { link, log, .. } = &*self.shared;
        let known = self.shared.known().await?;
        for run in runs(rows) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let next = self.shared.next().unwrap_or(first.seq);
            if next < first.seq {
                if next == 1 {
                    self.shared.vouch(known, first.seq).await?;
                }
                // Those between are in this log no more.
                let there = link.gap(known.number, &log.token, (next, first.seq - 1)).await?;
                self.shared.move_to(there);
                if there != first.seq {
                    return Ok(Answer::Behind);
                }
            }
            // Before the records: where these are lost there, and sent again, so are the checkpoints.
            for (size, note) in run.iter().filter_map(Row::checkpoint) {
                link.head(known.number, &log.token, (size, &note)).await?;
            }
            let there = link.append(known.number, &log.token, run).await?;
            self.shared.move_to(there);
            if there <= last.seq {
                return Ok(Answer::Behind);
            }
        }
        Ok(Answer::Accepted)
    }
}

impl Shared {
    fn next(&self) -> Option<u64> {
        self.known.lock().map(|known| known.next)
    }

    fn move_to(&self, next: u64) {
        if let Some(known) = self.known.lock().as_mut() {
            known.next = next;
        }
    }

    /// What is known of this log there; it is introduced where nothing is.
    async fn known(&self) -> Result<Known, DatabaseError> {
        let known = *self.known.lock();
        match known {
            Some(known) => Ok(known),
            None => self.hello().await,
        }
    }

    /// A log that was pruned before anything of it was there has checkpoints that vouch for what is gone.
    async fn vouch(&self, known: Known, first: u64) -> Result<(), DatabaseError> {
        let directory = self.directory.clone();
        let read = spawn_blocking(move || vouching(&directory, VOUCHING_BYTES_MAX)).await;
        match read.map_err(io::Error::other).flatten() {
            Ok(Some(text)) => {
                let told = self.link.base(known.number, &self.log.token, (first, &text)).await;
                let Err(error) = told else { return Ok(()) };
                let tries = self.vouched.fetch_add(1, Ordering::Relaxed) + 1;
                if tries < VOUCH_TRIES {
                    return Err(error);
                }
                unvouched(&error);
            }
            Ok(None) => {}
            Err(error) => unvouched(&error),
        }
        Ok(())
    }

    async fn hello(&self) -> Result<Known, DatabaseError> {
        let known = self.link.hello(&self.log).await?;
        *self.known.lock() = Some(known);
        Ok(known)
    }
}

impl Sink for MirrorSink {
    fn what(&self) -> &'static str {
        "the database"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn records_max(&self) -> usize {
        RECORDS_MAX
    }

    async fn place(&mut self, confirmed: Option<u64>, durable: u64) -> Result<Place, Answer> {
        let known = self.shared.hello().await.map_err(answer)?;
        let resumed = resume(known.next, confirmed, durable)
            .map_err(|claim| Answer::Stop { text: claim.to_string(), after: None })?;
        Ok(Place::Known(resumed))
    }

    async fn send(&self, batch: Batch) -> Answer {
        let all = batch.records.len();
        let rows = spawn_blocking(move || {
            let rows = batch.records.iter().filter_map(|record| Row::of(&record.line));
            rows.collect::<Vec<Row>>()
        });
        let rows = match rows.await {
            Ok(rows) => rows,
            // A fault of the program, which the next try meets again.
            Err(error) => return Answer::Stop { text: error.to_string(), after: None },
        };
        match self.add(&rows).await {
            // What is no whole record becomes a gap there, with what comes next.
            Ok(Answer::Accepted) if rows.len() < all => Answer::RejectedInPart {
                records: (all - rows.len()) as u64,
                message: "damaged: they are no records".into(),
            },
            Ok(answer) => answer,
            Err(error) => answer(error),
        }
    }

    async fn renew(&mut self) {
        let files = self.files.clone();
        match spawn_blocking(move || Access::load(&files)).await {
            Ok(Ok(access)) => self.shared.link.renew(access).await,
            Ok(Err(problems)) => problems.iter().for_each(|problem| tracing::warn!("{problem}")),
            // The runtime ends.
            Err(_) => {}
        }
    }
}

fn answer(error: DatabaseError) -> Answer {
    let text = error.to_string();
    let cause = match error {
        DatabaseError::Connection(_) => Cause::Connection,
        DatabaseError::Timeout(_) => Cause::Timeout,
        DatabaseError::Unavailable(_) => Cause::Unavailable,
        DatabaseError::Older(_) | DatabaseError::Refused(_) => {
            return Answer::Stop { text, after: None };
        }
    };
    Answer::TryAgain { cause, text, after: None }
}

/// Records go on all the same; whoever verifies is told that their beginning is missing.
fn unvouched(why: &dyn std::error::Error) {
    tracing::warn!("the database does not get what vouches for pruned records: {why}");
}

/// Those that follow one another without a gap.
fn runs(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|one, next| one.seq + 1 == next.seq)
}
