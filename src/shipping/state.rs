//! How far a sink is behind, and what keeps it there.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;

use super::resume::Resumed;
use super::sink::Cause;
use crate::audit::Journal;
use crate::telemetry::ExportMetrics;
use crate::view::health::{Shipping, ShippingFailure};

/// Nothing was sent, or nobody knows.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// The sink asks not to be tried earlier.
    pub(super) after: Option<Duration>,
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The sink is to be tried again.
    Again(Cause),
    /// The sink takes nothing until somebody changes something.
    Stopped,
    /// The log was not read.
    Read,
}

impl Kind {
    /// Its name in metrics.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Again(cause) => cause.as_str(),
            Self::Stopped => "refused",
            Self::Read => "read",
        }
    }
}

/// Failures that are not of sending: a record that a sink does not take, and a position that
/// cannot be kept.
const REJECTED: &str = "rejected";
const POSITION: &str = "position";

/// Why something failed, as metrics have it.
pub const FAILURES: &[&str] = &{
    let [a, b, c] = Cause::ALL;
    let [a, b, c] = [a.as_str(), b.as_str(), c.as_str()];
    [a, b, c, Kind::Stopped.as_str(), Kind::Read.as_str(), REJECTED, POSITION]
};

/// Nothing could be sent for so long: worth a warning.
const FAILING_MAX: Duration = Duration::from_secs(60);

/// So many records wait: likewise.
const LAG_RECORDS_MAX: u64 = 10_000;

/// What a worker and the admin listener share.
pub struct ShippingState {
    journal: Journal,
    metrics: ExportMetrics,
    /// What it is, for people.
    what: &'static str,
    host: String,
    progress: Mutex<Progress>,
}

struct Progress {
    /// The next record that the sink is to have.
    next: u64,
    /// When the oldest record was made that was read and is not sent yet.
    oldest: Option<Timestamp>,
    /// When the log was last read to what was durable then.
    looked: Instant,
    last_sent: Option<Timestamp>,
    failing: Option<Failing>,
}

struct Failing {
    since: Instant,
    time: Timestamp,
    kind: Kind,
    text: String,
}

/// How far behind.
struct Lag {
    records: u64,
    age: Duration,
}

impl ShippingState {
    pub(super) fn new(
        journal: Journal,
        metrics: ExportMetrics,
        (what, host): (&'static str, String),
    ) -> Self {
        let progress = Progress {
            next: 1,
            oldest: None,
            looked: Instant::now(),
            last_sent: None,
            failing: None,
        };
        Self { journal, metrics, what, host, progress: Mutex::new(progress) }
    }

    /// The sink has said where to go on.
    pub(super) fn placed(&self, resumed: Resumed) {
        let Resumed { next, fell_back } = resumed;
        let mut progress = self.progress.lock();
        progress.next = next.unwrap_or(1);
        if fell_back > 0 {
            self.metrics.fell_back.inc_by(fell_back);
            tracing::error!(fell_back, "records that were sent are gone there: sent again");
        }
    }

    /// The last record that the sink is known to have.
    pub fn confirmed(&self) -> u64 {
        self.progress.lock().next.saturating_sub(1)
    }

    /// The next record to send is this one, made at `time`; none where all is sent.
    pub(super) fn read(&self, next: u64, time: Option<Timestamp>, lost: u64) {
        let mut progress = self.progress.lock();
        progress.next = next;
        progress.oldest = time;
        progress.looked = Instant::now();
        if progress.failing.take_if(|failing| failing.kind == Kind::Read).is_some() {
            tracing::info!("the audit log can be read again");
        }
        if lost > 0 {
            self.metrics.lost.inc_by(lost);
            tracing::error!(lost, next, "audit records were gone before they could be sent");
        }
    }

    /// The sink has everything before the record `next`, and took so many records just now.
    pub(super) fn accepted(&self, next: u64, records: u64) {
        self.metrics.exported.inc_by(records);
        let mut progress = self.progress.lock();
        progress.next = next;
        progress.oldest = None;
        progress.last_sent = Some(Timestamp::now());
        if progress.failing.take().is_some() {
            tracing::info!("audit records are sent again");
        }
    }

    /// The sink will never take so many of the records before `next`.
    pub(super) fn rejected(&self, next: u64, rejected: u64, message: &str) {
        self.metrics.failures.with_label_values(&[REJECTED]).inc();
        self.metrics.lost.inc_by(rejected);
        tracing::error!(rejected, next, message, "audit records were rejected");
    }

    /// Nothing was sent. What fails again in the same way is logged once.
    pub(super) fn failed(&self, failure: &Failure) {
        self.metrics.failures.with_label_values(&[failure.kind.as_str()]).inc();
        let mut progress = self.progress.lock();
        let (since, time) = match &progress.failing {
            Some(failing) => (failing.since, failing.time),
            None => (Instant::now(), Timestamp::now()),
        };
        if progress.failing.as_ref().is_none_or(|failing| failing.text != failure.text) {
            let kind = failure.kind.as_str();
            tracing::warn!(kind, error = failure.text, "audit records cannot be sent; they wait");
        }
        progress.failing =
            Some(Failing { since, time, kind: failure.kind, text: failure.text.clone() });
    }

    /// The position could not be written.
    pub(super) fn not_kept(&self, error: &dyn std::fmt::Display) {
        self.metrics.failures.with_label_values(&[POSITION]).inc();
        tracing::warn!(%error, "a restart will send audit records again");
    }

    fn lag(&self, progress: &Progress) -> Lag {
        let records = (self.journal.durable_seq() + 1).saturating_sub(progress.next);
        let age = match progress.oldest {
            _ if records == 0 => Duration::ZERO,
            Some(time) => {
                Duration::try_from(Timestamp::now().duration_since(time)).unwrap_or(Duration::ZERO)
            }
            // Made since then.
            None => progress.looked.elapsed(),
        };
        Lag { records, age }
    }

    /// Sets the gauges to what is true now.
    pub fn refresh(&self) {
        let lag = self.lag(&self.progress.lock());
        self.metrics.lag_records.set(i64::try_from(lag.records).unwrap_or(i64::MAX));
        self.metrics.lag_seconds.set(lag.age.as_secs_f64());
    }

    /// Whether somebody should look, and a text. Grants go through either way.
    pub fn check(&self) -> (bool, String) {
        let progress = self.progress.lock();
        let Lag { records, age } = self.lag(&progress);
        let failing = progress.failing.as_ref();
        let stuck = failing.is_some_and(|failing| failing.since.elapsed() > FAILING_MAX);
        let late = records > LAG_RECORDS_MAX || age > FAILING_MAX;
        let mut text = match records {
            0 => format!("{} has every record", self.what),
            records => format!("{records} record(s) wait, the oldest for {} s", age.as_secs()),
        };
        if let Some(Failing { time, text: cause, .. }) = failing {
            text.push_str(&format!("; nothing was sent since {time:.0}: {cause}"));
        }
        (stuck || late, text)
    }

    /// The same for programs.
    pub fn status(&self) -> Shipping {
        let progress = self.progress.lock();
        let lag = self.lag(&progress);
        let failure = |failing: &Failing| ShippingFailure {
            since: failing.time.to_string(),
            text: failing.text.clone(),
        };
        Shipping {
            host: self.host.clone(),
            next_seq: progress.next,
            lag_records: lag.records,
            lag_seconds: lag.age.as_secs_f64(),
            last_sent: progress.last_sent.map(|time| time.to_string()),
            failure: progress.failing.as_ref().map(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::audit::{JournalSettings, MemoryStore, NoObserver, Started};
    use crate::domain::{Revision, SystemClock};

    fn state() -> (ShippingState, Started) {
        let (store, settings) = (MemoryStore::default(), JournalSettings::default());
        let revision = Revision::from_sha256(&[0; 32]);
        let clock = Arc::new(SystemClock);
        let started =
            Journal::open(store, settings, &revision, clock, Arc::new(NoObserver)).unwrap();
        let metrics = ExportMetrics::unregistered().unwrap();
        (
            ShippingState::new(started.journal.clone(), metrics, ("the collector", "c".into())),
            started,
        )
    }

    fn failure(cause: Cause, text: &str) -> Failure {
        Failure { kind: Kind::Again(cause), text: text.to_owned(), after: None }
    }

    #[test]
    fn a_short_failure_is_told_and_a_long_one_is_a_warning() {
        let (state, _started) = state();
        assert!(!state.check().0, "log.start waits");
        state.failed(&failure(Cause::Connection, "refused"));
        let (warns, text) = state.check();
        assert!(!warns && text.contains("1 record(s) wait") && text.contains("refused"), "{text}");
        let long_ago = Instant::now().checked_sub(FAILING_MAX + Duration::from_secs(1));
        state.progress.lock().failing.as_mut().unwrap().since = long_ago.unwrap();
        // The next failure does not begin it anew.
        state.failed(&failure(Cause::Timeout, "timed out"));
        assert!(state.check().0);
        assert_eq!(state.status().failure.unwrap().text, "timed out");
        state.accepted(2, 1);
        assert_eq!(state.check(), (false, "the collector has every record".into()));
        assert_eq!(state.metrics.exported.get(), 1);
    }

    #[test]
    fn a_large_lag_is_a_warning_even_while_records_are_sent() {
        let (state, _started) = state();
        state.read(1, Some("2020-01-01T00:00:00Z".parse().unwrap()), 3);
        assert!(state.check().0);
        state.refresh();
        assert!(state.metrics.lag_seconds.get() > 1e6 && state.metrics.lag_records.get() == 1);
        assert_eq!(state.metrics.lost.get(), 3);
    }
}
