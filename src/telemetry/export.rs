//! What the sending of audit records counts.

use prometheus::core::Collector;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Opts};

/// Why something failed; see `docs/metrics.md`.
const KINDS: &[&str] =
    &["connection", "timeout", "unavailable", "refused", "rejected", "read", "position"];

/// The exporter's part.
#[derive(Clone)]
pub struct ExportMetrics {
    /// Durable records that the collector does not have yet.
    pub lag_records: IntGauge,
    /// The age of the oldest of them, in seconds.
    pub lag_seconds: Gauge,
    /// Records that the collector has taken.
    pub exported: IntCounter,
    /// Records that it will never have: gone before they were sent, or rejected one by one.
    pub lost: IntCounter,
    /// Failures, by kind.
    pub failures: IntCounterVec,
}

impl ExportMetrics {
    /// Handles, all at zero.
    ///
    /// # Errors
    /// Never for these constant names.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let failures = Opts::new(
            "audit_export_failures_total",
            "Failures to send audit records to the collector.",
        );
        let metrics = Self {
            lag_records: IntGauge::new(
                "audit_export_lag_records",
                "Durable audit records that the collector does not have yet.",
            )?,
            lag_seconds: Gauge::new(
                "audit_export_lag_seconds",
                "Age of the oldest audit record that the collector does not have yet.",
            )?,
            exported: IntCounter::new(
                "audit_exported_records_total",
                "Audit records that the collector has taken.",
            )?,
            lost: IntCounter::new(
                "audit_export_lost_records_total",
                "Audit records that the collector will never have.",
            )?,
            failures: IntCounterVec::new(failures, &["kind"])?,
        };
        for kind in KINDS {
            metrics.failures.with_label_values(&[kind]);
        }
        Ok(metrics)
    }

    /// All of them, for a registry.
    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.lag_records.clone()),
            Box::new(self.lag_seconds.clone()),
            Box::new(self.exported.clone()),
            Box::new(self.lost.clone()),
            Box::new(self.failures.clone()),
        ]
    }
}
