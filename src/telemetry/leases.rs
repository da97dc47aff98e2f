//! What is shown of limits that gateways have in common.

use prometheus::{IntCounterVec, IntGauge, Result};

use super::registrar::Registrar;

/// What is shown of limits that gateways have in common.
#[derive(Clone)]
pub struct LeaseMetrics {
    /// Gateways among which the limits of callers are divided.
    pub gateways: IntGauge,
    /// How often the database was asked for some of a budget, by what came of it.
    pub asked: IntCounterVec,
}

impl LeaseMetrics {
    pub(super) fn new(made: &Registrar, results: &[&str]) -> Result<Self> {
        Ok(Self {
            gateways: made.gauge(
                "limits_gateways",
                "Gateways among which the limits of callers are divided; 1 where each has its own.",
            )?,
            asked: made.counters(
                "budget_leases_total",
                "How often the database was asked for some of a daily budget.",
                &[("result", results)],
            )?,
        })
    }
}
