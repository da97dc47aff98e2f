//! Sends every audit record to a collector: OTLP logs over HTTP.
//!
//! It follows the segment files as any shipper does and takes nothing from the writer: a
//! collector that is slow, down or wrong keeps no grant waiting. Each record is sent at
//! least once and in order; the position moves on only after the collector's 2xx. What is
//! not durable is not sent.

mod backoff;
mod otlp;
mod state;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::audit::Journal;
use crate::config::{AuditSettings, Settings};
use crate::domain::Problem;
use crate::telemetry::ExportMetrics;
use otlp::sender::Sender;
pub use state::{ExportState, FAILURES};
use worker::Worker;

/// What is wrong with the files that `[audit.export]` names.
#[must_use]
pub fn export_problems(settings: &AuditSettings) -> Vec<Problem> {
    sender(settings).err().unwrap_or_default()
}

/// What sends to the collector; none where none is named.
///
/// # Errors
/// As [`export_problems`].
pub fn sender(settings: &AuditSettings) -> Result<Option<Sender>, Vec<Problem>> {
    settings.export.as_ref().map(Sender::new).transpose()
}

/// Set up, and not running yet.
pub struct Exporter {
    worker: Worker,
    state: Arc<ExportState>,
    ending: CancellationToken,
}

/// Sends what comes.
pub struct Exporting {
    task: JoinHandle<()>,
    ending: CancellationToken,
}

impl Exporter {
    /// For the log that this journal writes.
    pub fn new(
        settings: Arc<Settings>,
        sender: Sender,
        journal: &Journal,
        metrics: &ExportMetrics,
    ) -> Self {
        let export = settings.audit.export.as_ref();
        let host = export.and_then(|export| export.url.host_str()).unwrap_or_default().to_owned();
        let state = Arc::new(ExportState::new(journal.clone(), metrics.clone(), host));
        let ending = CancellationToken::new();
        let worker = Worker::new(settings, sender, journal.clone(), state.clone(), ending.clone());
        Self { worker, state, ending }
    }

    /// What is shown of it.
    pub fn state(&self) -> Arc<ExportState> {
        self.state.clone()
    }

    /// Begins to send.
    pub fn start(self) -> Exporting {
        Exporting { task: tokio::spawn(self.worker.run()), ending: self.ending }
    }
}

impl Exporting {
    /// Sends what is left, for at most this long. The next start sends the rest.
    pub(super) async fn finish(mut self, at_most: Duration) {
        self.ending.cancel();
        if tokio::time::timeout(at_most, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("the last audit records were not sent; the next start sends them");
        }
    }
}
