//! Grants that were asked for before: what is in flight is sent once, what is known is answered
//! from what is known, and what nobody knows is not sent again.
//!
//! One table for the gateway. A permitted grant takes the place of its caller, entrance and
//! grantee before anything is spent or recorded, and frees it however it ends; whoever asks for
//! the same meanwhile waits for what comes of it. A key, and a grant whose outcome is unknown, are
//! remembered for a time after that. A start reads the same from the log (`recall.rs`): the key
//! is in the record that is durable before a byte is sent.
//!
//! Time is that of a clock that nobody sets.

mod recall;
mod repeat;
mod table;

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use parking_lot::Mutex;

use crate::config::IdempotencySettings;
use crate::domain::{IdempotencyKey, Outcome, Reason, Resolution, closed_set};
use crate::seam::SeamError;
use crate::upstream::Forwarded;
pub use recall::Recall;
pub(super) use repeat::{Turn, key_of};
use table::{Begun, Bounds, Grant, Known, Table};

closed_set! {
    /// How a request was answered for which nothing was sent.
    pub enum Repeat {
        /// As another that was in flight.
        InFlight = "in-flight",
        /// That the grant was made: its key says so, or what was found out of it later.
        Granted = "granted",
        /// That it is unknown whether the grant was made.
        Unknown = "unknown",
    }
}

/// What is in flight and what is remembered.
#[derive(Debug)]
pub struct Duplicates(Mutex<Table>);

/// What came of a request, for those who asked for the same.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// The number of its decision, where that is durable.
    seq: Option<u64>,
    outcome: Outcome,
    reason: Reason,
    status: Option<StatusCode>,
    error: Option<Arc<SeamError>>,
    retry_after_s: Option<u32>,
}

/// The place of a grant that is to be sent. Who has it frees it and tells who waits: also when it
/// is dropped.
#[derive(Debug)]
pub(super) struct Place<'d> {
    duplicates: &'d Duplicates,
    /// None once it is free.
    grant: Option<Grant>,
}

impl Duplicates {
    /// Nothing is in flight, nothing remembered.
    #[must_use]
    pub fn new(settings: &IdempotencySettings) -> Self {
        Self(Mutex::new(Table::new(Bounds {
            window: settings.window,
            of_caller: settings.keys_per_caller_max,
            of_all: settings.keys_max,
        })))
    }

    /// What was found out of an unknown outcome, by the number of its decision.
    pub fn resolved(&self, seq: u64, resolution: Resolution) {
        self.0.lock().resolved(seq, resolution);
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.0.lock().keys()
    }

    fn begin(&self, grant: &Grant, key: Option<&IdempotencyKey>) -> Begun {
        self.0.lock().begin(grant, key, Instant::now())
    }

    /// Frees a place and tells who waits, who are not told while others wait for the table.
    fn finish(&self, grant: &Grant, outcome: Outcome, told: impl FnOnce(Option<u64>) -> Told) {
        let (seq, waiting) = {
            let mut table = self.0.lock();
            let seq = table.seq(grant);
            (seq, table.finish(grant, outcome, Instant::now()))
        };
        if waiting.is_empty() {
            return;
        }
        let told = told(seq);
        for waiting in waiting {
            // One that is gone need not be told.
            let _ = waiting.send(told.clone());
        }
    }
}

impl Place<'_> {
    /// Its decision is durable.
    pub(super) fn recorded(&self, seq: u64) {
        if let Some(grant) = &self.grant {
            self.duplicates.0.lock().recorded(grant, seq);
        }
    }

    /// What became of it.
    pub(super) fn end(mut self, forwarded: &Forwarded) {
        if let Some(grant) = self.grant.take() {
            self.duplicates.finish(&grant, forwarded.outcome, |seq| Told {
                seq,
                outcome: forwarded.outcome,
                reason: forwarded.reason,
                status: forwarded.status,
                error: forwarded.error.clone().map(Arc::new),
                retry_after_s: forwarded.retry_after_s,
            });
        }
    }

    /// It was not even recorded.
    pub(super) fn refused(mut self, reason: Reason) {
        if let Some(grant) = self.grant.take() {
            self.duplicates.finish(&grant, Outcome::NotSent, |_| Told::not_sent(reason));
        }
    }
}

impl Drop for Place<'_> {
    /// Given up: by a panic, or the end of the process. What may have been sent is unknown.
    fn drop(&mut self) {
        let Some(grant) = self.grant.take() else { return };
        let sent = self.duplicates.0.lock().seq(&grant).is_some();
        let outcome = if sent { Outcome::Unknown } else { Outcome::NotSent };
        let told = |seq| Told { seq, outcome, ..Told::not_sent(Reason::InternalError) };
        self.duplicates.finish(&grant, outcome, told);
    }
}

impl Told {
    fn not_sent(reason: Reason) -> Self {
        let outcome = Outcome::NotSent;
        Self { seq: None, outcome, reason, status: None, error: None, retry_after_s: None }
    }

    /// What is known of what was sent before.
    fn known(known: Known) -> Self {
        let (seq, outcome) = match known {
            Known::Granted(seq) => (seq, Outcome::Granted),
            Known::Unknown(seq) => (seq, Outcome::Unknown),
        };
        Self { seq: Some(seq), outcome, ..Self::not_sent(Reason::OutcomeUnknown) }
    }
}

#[cfg(test)]
mod tests;
