//! What the sending of audit records counts.

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Result};

use super::registrar::Registrar;

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
    pub(super) fn new(made: &Registrar, kinds: &[&str]) -> Result<Self> {
        Ok(Self {
            lag_records: made.gauge(
                "audit_export_lag_records",
                "Durable audit records that the collector does not have yet.",
            )?,
            lag_seconds: made.float_gauge(
                "audit_export_lag_seconds",
                "Age of the oldest audit record that the collector does not have yet.",
            )?,
            exported: made.counter(
                "audit_exported_records_total",
                "Audit records that the collector has taken.",
            )?,
            lost: made.counter(
                "audit_export_lost_records_total",
                "Audit records that the collector will never have.",
            )?,
            failures: made.counters(
                "audit_export_failures_total",
                "Failures to send audit records to the collector.",
                &[("kind", kinds)],
            )?,
        })
    }

    /// Handles that no registry shows.
    ///
    /// # Errors
    /// Never for these constant names.
    pub fn unregistered() -> Result<Self> {
        Self::new(&Registrar::default(), &[])
    }
}
