//! The first sink: a collector that takes OTLP logs over HTTP.

mod encode;
mod headers;
mod sender;

use std::sync::Arc;

use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::task::spawn_blocking;

use super::sink::{Answer, Batch, Place, Sink};
use crate::config::ExportSettings;
use crate::domain::Problem;
use sender::Sender;

/// A collector of OTLP logs.
pub struct OtlpSink {
    settings: ExportSettings,
    sender: Sender,
    resource: Arc<Resource>,
}

impl OtlpSink {
    /// Reads the files that the settings name; connects to nothing.
    ///
    /// # Errors
    /// Every problem of the files.
    pub fn new(settings: &ExportSettings) -> Result<Self, Vec<Problem>> {
        let (sender, resource) = (Sender::new(settings)?, Arc::new(encode::resource()));
        Ok(Self { settings: settings.clone(), sender, resource })
    }
}

impl Sink for OtlpSink {
    fn what(&self) -> &'static str {
        "the collector"
    }

    fn host(&self) -> &str {
        self.settings.url.host_str().unwrap_or_default()
    }

    fn records_max(&self) -> usize {
        self.settings.batch_records_max
    }

    async fn place(&mut self, _: Option<u64>, _: u64) -> Result<Place, Answer> {
        Ok(Place::Kept)
    }

    async fn send(&self, batch: Batch) -> Answer {
        let resource = self.resource.clone();
        let encode = move || encode::request(&batch.records, &resource, batch.read);
        match spawn_blocking(encode).await {
            Ok(body) => self.sender.send(body).await,
            // A fault of the program, which the next try meets again.
            Err(error) => Answer::Stop { text: error.to_string(), after: None },
        }
    }

    async fn renew(&mut self) {
        let settings = self.settings.clone();
        match spawn_blocking(move || Sender::new(&settings)).await {
            Ok(Ok(sender)) => self.sender = sender,
            Ok(Err(problems)) => problems.iter().for_each(|problem| tracing::warn!("{problem}")),
            // The runtime ends.
            Err(_) => {}
        }
    }
}
