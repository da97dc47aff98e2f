//! What is counted of requests that were made before.

use prometheus::{IntCounterVec, IntGauge, Result};

use super::registrar::Registrar;

/// What is counted of requests that were made before.
#[derive(Clone)]
pub struct DuplicateMetrics {
    /// Requests for which nothing was sent, by how they were answered.
    pub answered: IntCounterVec,
    /// Idempotency keys that are remembered.
    pub keys: IntGauge,
}

impl DuplicateMetrics {
    pub(super) fn new(made: &Registrar, kinds: &[&str]) -> Result<Self> {
        Ok(Self {
            answered: made.counters(
                "duplicates_total",
                "Permitted requests that were answered from another and not sent.",
                &[("kind", kinds)],
            )?,
            keys: made.gauge("idempotency_keys", "Idempotency keys that are remembered.")?,
        })
    }
}
