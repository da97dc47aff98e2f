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
    /// Records that a sink had and lost.
    pub fell_back: IntCounter,
}

/// Of each place that gets every record.
pub struct SinkMetrics {
    /// The collector.
    pub collector: ExportMetrics,
    /// The database.
    pub database: ExportMetrics,
}

impl SinkMetrics {
    pub(super) fn new(made: &Registrar, kinds: &[&str]) -> Result<Self> {
        let collector = ExportMetrics::of_collector(made, kinds)?;
        Ok(Self { collector, database: ExportMetrics::of_database(made, kinds)? })
    }
}

impl ExportMetrics {
    fn of_collector(made: &Registrar, kinds: &[&str]) -> Result<Self> {
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
            // Nobody knows.
            fell_back: IntCounter::new("fell_back", "Not shown.")?,
        })
    }

    fn of_database(made: &Registrar, kinds: &[&str]) -> Result<Self> {
        Ok(Self {
            lag_records: made.gauge(
                "database_lag_records",
                "Durable audit records that the database does not have yet.",
            )?,
            lag_seconds: made.float_gauge(
                "database_lag_seconds",
                "Age of the oldest audit record that the database does not have yet.",
            )?,
            exported: made
                .counter("database_records_total", "Audit records that the database has taken.")?,
            lost: made.counter(
                "database_lost_records_total",
                "Audit records that the database will never have.",
            )?,
            failures: made.counters(
                "database_failures_total",
                "Failures to send audit records to the database.",
                &[("kind", kinds)],
            )?,
            fell_back: made.counter(
                "database_fell_back_records_total",
                "Audit records that the database had and lost.",
            )?,
        })
    }

    /// Handles that no registry shows.
    ///
    /// # Errors
    /// Never for these constant names.
    pub fn unregistered() -> Result<Self> {
        Self::of_collector(&Registrar::default(), &[])
    }
}
