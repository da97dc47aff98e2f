//! What the audit log counts.

use prometheus::{Histogram, IntCounterVec, IntGauge, Result};

use super::metrics::{ClosedSets, SECONDS};
use super::registrar::Registrar;

/// What the audit log counts.
#[derive(Clone)]
pub struct AuditMetrics {
    /// Durable records, by event.
    pub records: IntCounterVec,
    /// Time of one commit, until its records are durable, in seconds.
    pub commit_duration: Histogram,
    /// Records in one commit.
    pub batch_records: Histogram,
    /// Records waiting for a commit.
    pub queue_records: IntGauge,
    /// Failures, by stage: `reserve`, `append`, `sync`, `truncate`.
    pub failures: IntCounterVec,
    /// Failures that no grant depends on, by task: `rotate`, `anchor`, `compress`, `prune`.
    pub upkeep_failures: IntCounterVec,
    /// Records that the newest checkpoint covers.
    pub checkpoint_records: IntGauge,
}

impl AuditMetrics {
    pub(super) fn new(made: &Registrar, sets: &ClosedSets) -> Result<Self> {
        Ok(Self {
            records: made.counters(
                "audit_records_total",
                "Durable audit records.",
                &[("event", sets.events)],
            )?,
            commit_duration: made.histogram(
                "audit_commit_duration_seconds",
                "Time of one commit, until its records are durable.",
                SECONDS,
            )?,
            batch_records: made.histogram(
                "audit_batch_records",
                "Records in one commit.",
                &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0],
            )?,
            queue_records: made.gauge("audit_queue_records", "Records waiting for a commit.")?,
            failures: made.counters(
                "audit_failures_total",
                "Failures of the audit log.",
                &[("stage", sets.stages)],
            )?,
            upkeep_failures: made.counters(
                "audit_upkeep_failures_total",
                "Failures around the audit log that no grant depends on.",
                &[("task", sets.tasks)],
            )?,
            checkpoint_records: made
                .gauge("audit_checkpoint_records", "Records that the newest checkpoint covers.")?,
        })
    }
}
