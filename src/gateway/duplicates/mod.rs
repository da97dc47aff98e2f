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
mod shared;
mod table;

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::config::IdempotencySettings;
use crate::database::{Became, OtherClaim};
use crate::domain::{IdempotencyKey, Outcome, Reason, Resolution, closed_set};
use crate::fleet::Keys;
use crate::seam::SeamError;
use crate::upstream::Forwarded;
pub use recall::Recall;
pub(super) use repeat::{Turn, key_of};
use shared::digest_of;
use table::{Begun, Bounds, Ended, Grant, Known, Table};

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
pub struct Duplicates {
    table: Mutex<Table>,
    /// Where keys count for all gateways.
    keys: Option<Keys>,
}

/// What came of a request, for those who asked for the same.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// The number of its decision, where that is durable.
    seq: Option<u64>,
    /// Whose decision that is, where it is another gateway's.
    replica: Option<Uuid>,
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

impl std::fmt::Debug for Duplicates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Duplicates").field("table", &self.table).finish_non_exhaustive()
    }
}

impl Duplicates {
    /// Nothing is in flight, nothing remembered.
    #[must_use]
    pub fn new(settings: &IdempotencySettings) -> Self {
        let bounds = Bounds {
            window: settings.window,
            of_caller: settings.keys_per_caller_max,
            of_all: settings.keys_max,
        };
        Self { table: Mutex::new(Table::new(bounds)), keys: None }
    }

    /// Keys count for all gateways.
    #[must_use]
    pub fn shared_by(self, keys: Option<Keys>) -> Self {
        Self { keys, ..self }
    }

    /// What was found out of an unknown outcome, by the number of its decision.
    pub fn resolved(&self, seq: u64, resolution: Resolution) {
        self.table.lock().resolved(seq, resolution);
        if let Some(keys) = &self.keys {
            keys.resolved(seq, resolution);
        }
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.table.lock().keys()
    }

    fn begin(&self, grant: &Grant, key: Option<&IdempotencyKey>) -> Begun {
        let mut table = self.table.lock();
        let begun = table.begin(grant, key, Instant::now());
        if let (Begun::Joins(_), Some(key), Some(keys)) = (&begun, key, &self.keys) {
            // Before what it waits for can end.
            keys.joined(digest_of(grant, key));
        }
        begun
    }

    /// Frees a place and tells who waits, who are not told while others wait for the table.
    fn finish(&self, grant: &Grant, outcome: Outcome, told: impl FnOnce(Option<u64>) -> Told) {
        self.finish_as(grant, (outcome, None), told);
    }

    /// The same, where another gateway sent it.
    fn finish_as(
        &self,
        grant: &Grant,
        (outcome, other): (Outcome, Option<OtherClaim>),
        told: impl FnOnce(Option<u64>) -> Told,
    ) {
        let (seq, waiting) = {
            let mut table = self.table.lock();
            let seq = table.seq(grant);
            let Ended { waiting, keys, state } = table.finish(grant, outcome, Instant::now());
            // Before anybody begins anew with one of them.
            if let Some(shared) = &self.keys {
                let mut digests = keys.iter().map(|key| digest_of(grant, key));
                match other {
                    None => digests.for_each(|own| shared.settle(own, state.became(), seq)),
                    Some(other) => {
                        // The first is the one that is the other gateway's.
                        if let Some(own) = digests.next() {
                            shared.forget(&own);
                        }
                        digests.for_each(|joined| shared.known(joined, other));
                    }
                }
            }
            (seq, waiting)
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
            self.duplicates.table.lock().recorded(grant, seq);
        }
    }

    /// What became of it.
    pub(super) fn end(mut self, forwarded: &Forwarded) {
        if let Some(grant) = self.grant.take() {
            self.duplicates.finish(&grant, forwarded.outcome, |seq| Told {
                seq,
                replica: None,
                outcome: forwarded.outcome,
                reason: forwarded.reason,
                status: forwarded.status,
                error: forwarded.error.clone().map(Arc::new),
                retry_after_s: forwarded.retry_after_s,
            });
        }
    }

    /// Another gateway sent it. What that is to whoever asks next, the database says.
    pub(super) fn known(mut self, other: OtherClaim) {
        if let Some(grant) = self.grant.take() {
            let told = |_| Told::elsewhere(other);
            self.duplicates.finish_as(&grant, (Outcome::NotSent, Some(other)), told);
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
        let sent = self.duplicates.table.lock().seq(&grant).is_some();
        let outcome = if sent { Outcome::Unknown } else { Outcome::NotSent };
        let told = |seq| Told { seq, outcome, ..Told::not_sent(Reason::InternalError) };
        self.duplicates.finish(&grant, outcome, told);
    }
}

impl Told {
    fn not_sent(reason: Reason) -> Self {
        let outcome = Outcome::NotSent;
        Self {
            seq: None,
            replica: None,
            outcome,
            reason,
            status: None,
            error: None,
            retry_after_s: None,
        }
    }

    /// What is known of what was sent before.
    fn known(known: Known) -> Self {
        let (seq, outcome) = match known {
            Known::Granted(seq) => (seq, Outcome::Granted),
            Known::Unknown(seq) => (seq, Outcome::Unknown),
        };
        Self { seq: Some(seq), outcome, ..Self::not_sent(Reason::OutcomeUnknown) }
    }

    /// What is known of what another gateway sent.
    fn elsewhere(OtherClaim { replica, seq, became }: OtherClaim) -> Self {
        let outcome = match became {
            Became::Granted => Outcome::Granted,
            Became::Unknown | Became::Sending => Outcome::Unknown,
        };
        let replica = Some(replica);
        Self { seq, replica, outcome, ..Self::not_sent(Reason::OutcomeUnknown) }
    }
}

#[cfg(test)]
mod tests;
