//! Connects the audit log's writer with what it does not know: metrics, anchors, upkeep.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::upkeep::{AnchorSettings, Anchors, OnFailure, Task, Upkeep, UpkeepSettings};
use crate::audit::{Event, Observer, Published};
use crate::config::AuditSettings;
use crate::telemetry::Metrics;

/// Told by the writer, tells the others.
pub(super) struct AuditObserver {
    metrics: Arc<Metrics>,
    anchors: Arc<Anchors>,
    upkeep: Upkeep,
}

impl AuditObserver {
    /// Starts what works beside the writer.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn start(settings: &AuditSettings, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let anchors = AnchorSettings {
            directory: settings.directory.clone(),
            file: settings.anchor_file.clone(),
            command: settings.anchor_command.clone(),
        };
        let upkeep = UpkeepSettings {
            directory: settings.directory.clone(),
            compress: settings.compress,
            age_max: settings.retention_age_max,
            bytes_max: settings.retention_bytes_max,
        };
        let failures = metrics.audit.upkeep_failures.clone();
        let failed: OnFailure =
            Arc::new(move |task| failures.with_label_values(&[task.as_str()]).inc());
        Ok(Self {
            anchors: Arc::new(Anchors::start(anchors, failed.clone())?),
            upkeep: Upkeep::start(upkeep, failed)?,
            metrics,
        })
    }

    /// The log is open: nothing reads it any more that what is done here could disturb.
    pub(super) fn opened(&self) {
        self.upkeep.wake();
    }

    pub(super) fn anchors(&self) -> Arc<Anchors> {
        self.anchors.clone()
    }
}

impl Observer for AuditObserver {
    fn committed(&self, events: &mut dyn Iterator<Item = Event>, took: Duration) {
        let audit = &self.metrics.audit;
        let mut records = 0_u32;
        for event in events {
            audit.records.with_label_values(&[event.as_str()]).inc();
            records += 1;
        }
        audit.batch_records.observe(f64::from(records));
        audit.commit_duration.observe(took.as_secs_f64());
    }

    fn failed(&self, stage: &'static str) {
        self.metrics.audit.failures.with_label_values(&[stage]).inc();
    }

    fn waiting(&self, records: usize) {
        self.metrics.audit.queue_records.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    fn checkpointed(&self, checkpoint: Published) {
        let size = i64::try_from(checkpoint.size).unwrap_or(i64::MAX);
        self.metrics.audit.checkpoint_records.set(size);
        self.anchors.publish(checkpoint);
    }

    fn rotated(&self) {
        self.upkeep.wake();
    }

    fn rotation_failed(&self) {
        self.metrics.audit.upkeep_failures.with_label_values(&[Task::Rotate.as_str()]).inc();
    }
}
