//! Connects the audit log's writer with what it does not know: metrics, anchors, upkeep.

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;

use crate::audit::upkeep::{AnchorSettings, Anchors, OnFailure, Task, Upkeep, UpkeepSettings};
use crate::audit::{Event, Observer, Published, follow};
use crate::config::Settings;
use crate::telemetry::Metrics;

/// Told by the writer, tells the others.
pub(super) struct AuditObserver {
    metrics: Arc<Metrics>,
    /// Durable records: the metric's counter of each event.
    records: Vec<(Event, IntCounter)>,
    anchors: Arc<Anchors>,
    upkeep: Upkeep,
}

impl AuditObserver {
    /// Starts what works beside the writer.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn start(all: &Settings, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let settings = &all.audit;
        let export = settings.export.as_ref().map(|_| follow::OF_EXPORT);
        let database = all.database.as_ref().map(|_| follow::OF_DATABASE);
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
            positions: export.into_iter().chain(database).collect(),
            keep: all.database.as_ref().map(|database| database.keep_confirmed),
        };
        let failures = metrics.audit.upkeep_failures.clone();
        let failed: OnFailure =
            Arc::new(move |task| failures.with_label_values(&[task.as_str()]).inc());
        Ok(Self {
            anchors: Arc::new(Anchors::start(anchors, failed.clone())?),
            upkeep: Upkeep::start(upkeep, failed)?,
            records: counters(&metrics),
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
        let records = count(&self.records, events);
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

/// The metric's counter of each event, found once.
fn counters(metrics: &Metrics) -> Vec<(Event, IntCounter)> {
    let counter = |event: &Event| metrics.audit.records.with_label_values(&[event.as_str()]);
    Event::ALL.iter().map(|event| (*event, counter(event))).collect()
}

/// Counts each event, and returns how many there were.
fn count(counters: &[(Event, IntCounter)], events: &mut dyn Iterator<Item = Event>) -> u32 {
    let mut records = 0;
    for event in events {
        let of = counters.iter().find(|(of, _)| *of == event);
        of.inspect(|(_, counter)| counter.inc());
        records += 1;
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::CLOSED_SETS;

    #[test]
    fn each_record_is_counted_as_its_event_and_no_series_is_added() {
        let metrics = Metrics::new(&CLOSED_SETS).unwrap();
        let series = || {
            let text = String::from_utf8(metrics.render().unwrap().0).unwrap();
            let of = text.lines().filter(|line| line.starts_with("grantgate_audit_records_total{"));
            of.map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let before = series();
        let counters = counters(&metrics);
        // The first once, the second twice, and so on.
        let often = |n: usize| Event::ALL.iter().take(n + 1).skip(n).cycle().take(n + 1);
        let mut events = (0..Event::ALL.len()).flat_map(often).copied();
        let all = u32::try_from(Event::ALL.len()).unwrap();
        assert_eq!(count(&counters, &mut events), all * (all + 1) / 2);
        for (n, event) in Event::ALL.iter().enumerate() {
            let counted = metrics.audit.records.with_label_values(&[event.as_str()]).get();
            assert_eq!(counted, n as u64 + 1, "{event:?}");
        }
        assert_eq!((series(), before.len()), (before, Event::ALL.len()));
    }
}
