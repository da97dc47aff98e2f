//! What is counted of requests that were made before.

use prometheus::{IntCounterVec, IntGauge, Result};

use super::registrar::Registrar;

/// What is counted of requests that were made before.
#[derive(Clone)]
pub struct DuplicateMetrics {
    /// Requests for which nothing was sent, by how they were answered.
    pub answered: IntCounterVec,
    /// How often it was asked whether another gateway knows a key, by what came of it.
    pub claims: IntCounterVec,
    /// Idempotency keys that are remembered.
    pub keys: IntGauge,
}

impl DuplicateMetrics {
    pub(super) fn new(made: &Registrar, kinds: &[&str], results: &[&str]) -> Result<Self> {
        Ok(Self {
            answered: made.counters(
                "duplicates_total",
                "Permitted requests that were answered from another and not sent.",
                &[("kind", kinds)],
            )?,
            claims: made.counters(
                "idempotency_claims_total",
                "How often the database was asked whether another gateway knows a key.",
                &[("result", results)],
            )?,
            keys: made.gauge("idempotency_keys", "Idempotency keys that are remembered.")?,
        })
    }
}
