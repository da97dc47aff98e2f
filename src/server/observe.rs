//! Lets the audit log's writer count in the metrics registry. Neither module knows
//! the other.

use std::time::Duration;

use crate::audit::{Observer, Published};
use crate::telemetry::Metrics;

impl Observer for Metrics {
    fn committed(&self, events: &mut dyn Iterator<Item = &'static str>, took: Duration) {
        let mut records = 0_u32;
        for event in events {
            self.audit.records.with_label_values(&[event]).inc();
            records += 1;
        }
        self.audit.batch_records.observe(f64::from(records));
        self.audit.commit_duration.observe(took.as_secs_f64());
    }

    fn failed(&self, stage: &'static str) {
        self.audit.failures.with_label_values(&[stage]).inc();
    }

    fn waiting(&self, records: usize) {
        self.audit.queue_records.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    fn checkpointed(&self, _: Published) {}

    fn rotated(&self) {}
}
