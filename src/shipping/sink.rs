//! What a place is that gets every record, and what it may answer.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::resume::Resumed;
use crate::audit::follow::Followed;

/// A place that gets every audit record, at least once and in order. One worker sends to it,
/// one batch at a time, and keeps its position.
pub trait Sink: Send + Sync + 'static {
    /// What it is, for people.
    fn what(&self) -> &'static str;

    /// Where it is, for people.
    fn host(&self) -> &str;

    /// How often the log is looked at for it.
    fn every(&self) -> Duration {
        Duration::from_millis(500)
    }

    /// The most records of a batch.
    fn records_max(&self) -> usize;

    /// Where sending begins, for a sink that knows for itself what it has. `confirmed` is the record
    /// behind the last that it was known to have, none where nothing is known, and `durable` the
    /// last that there is.
    ///
    /// # Errors
    /// Why it does not say.
    fn place(
        &mut self,
        confirmed: Option<u64>,
        durable: u64,
    ) -> impl Future<Output = Result<Place, Answer>> + Send;

    /// Sends a batch. The worker sends the same one again until it is accepted.
    fn send(&self, batch: Batch) -> impl Future<Output = Answer> + Send;

    /// Reads the files again that it was set up from; called after [`Answer::Stop`], when
    /// somebody may have mended one of them. What cannot be used changes nothing.
    fn renew(&mut self) -> impl Future<Output = ()> + Send;
}

/// Records that are sent together. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Batch {
    /// In the order of their numbers.
    pub records: Arc<[Followed]>,
    /// When they were read.
    pub read: Timestamp,
}

/// Who knows which record comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The worker, from its own file.
    Kept,
    /// The sink.
    Known(Resumed),
}

/// What a sink answers to a batch.
#[derive(Debug)]
pub enum Answer {
    /// It has every record.
    Accepted,
    /// It has all but some, which it will never take.
    RejectedInPart {
        /// How many those are.
        records: u64,
        /// What it says about them.
        message: String,
    },
    /// It lacks some of what is before the batch, and has to be asked for its place.
    Behind,
    /// It has none, or nobody knows.
    TryAgain {
        /// What failed.
        cause: Cause,
        /// The same for people.
        text: String,
        /// It asks not to be tried earlier.
        after: Option<Duration>,
    },
    /// It has none, and takes none until somebody changes something.
    Stop {
        /// What to change.
        text: String,
        /// It asks not to be tried earlier.
        after: Option<Duration>,
    },
}

/// Why a batch is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There is no connection, or it broke off.
    Connection,
    /// It took too long.
    Timeout,
    /// The sink cannot take it now.
    Unavailable,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Connection, Self::Timeout, Self::Unavailable];

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
        }
    }
}
