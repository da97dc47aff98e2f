//! Ships every audit record to a sink: a place that gets each at least once and in order.
//!
//! A worker follows the segment files as any shipper does and takes nothing from the writer:
//! a sink that is slow, down or wrong keeps no grant waiting. Its position moves on only
//! after the sink has accepted. What is not durable is not sent.

mod backoff;
mod mirror;
mod otlp;
mod resume;
mod sink;
mod state;
mod worker;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::audit::Journal;
use crate::audit::follow::Position;
use crate::config::AuditSettings;
use crate::domain::Problem;
use crate::telemetry::ExportMetrics;
pub use mirror::{Beating, Beats, Condition, MirrorSink, Witness};
pub use otlp::OtlpSink;
pub use resume::Resumed;
pub use sink::{Answer, Batch, Cause, Place, Sink};
pub use state::{FAILURES, ShippingState};
use worker::Worker;

/// The sink that the settings name; none where they name none. Its files are read, and
/// nothing is connected to.
///
/// # Errors
/// Every problem of the files.
pub fn sink(settings: &AuditSettings) -> Result<Option<OtlpSink>, Vec<Problem>> {
    settings.export.as_ref().map(OtlpSink::new).transpose()
}

/// Set up for one sink, and not running yet.
pub struct Shipper {
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
    state: Arc<ShippingState>,
    ending: CancellationToken,
}

/// Sends what comes.
pub struct Shipping {
    task: JoinHandle<()>,
    ending: CancellationToken,
}

impl Shipper {
    /// For the log that this journal writes into this directory, with the name of the file of its
    /// position there.
    pub fn new(
        sink: impl Sink,
        (directory, position): (&Path, &'static str),
        journal: &Journal,
        metrics: &ExportMetrics,
    ) -> Self {
        let named = (sink.what(), sink.host().to_owned());
        let state = Arc::new(ShippingState::new(journal.clone(), metrics.clone(), named));
        let (journal, ending) = (journal.clone(), CancellationToken::new());
        let place = (directory.to_owned(), Position::of(directory, position));
        let worker = Worker::new(sink, place, journal, state.clone(), ending.clone());
        Self { work: Box::pin(worker.run()), state, ending }
    }

    /// What is shown of it.
    #[must_use]
    pub fn state(&self) -> Arc<ShippingState> {
        self.state.clone()
    }

    /// Begins to send.
    #[must_use]
    pub fn start(self) -> Shipping {
        Shipping { task: tokio::spawn(self.work), ending: self.ending }
    }
}

impl Shipping {
    /// Sends what is left, for at most this long. The next start sends the rest.
    pub async fn finish(own: Option<Self>, at_most: Duration) {
        let Some(mut own) = own else { return };
        own.ending.cancel();
        if tokio::time::timeout(at_most, &mut own.task).await.is_err() {
            own.task.abort();
            tracing::warn!("the last audit records were not sent; the next start sends them");
        }
    }
}

#[cfg(test)]
mod tests;
