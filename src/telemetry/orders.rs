//! What is shown of orders, and counted of unknown outcomes.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Result};

use super::registrar::Registrar;
use crate::domain::{OrderKind, Resolution};

/// What is counted of unknown outcomes.
#[derive(Clone)]
pub struct ResolverMetrics {
    /// Unknown outcomes about which Seam is being asked.
    pub unresolved: IntGauge,
    /// Those that were resolved, by what was found out.
    pub resolved: IntCounterVec,
}

/// What is shown of orders.
#[derive(Clone)]
pub struct OrderMetrics {
    /// Orders in force, by kind: `freeze`, `drill`, `exception`.
    pub in_force: IntGaugeVec,
    /// 1 while the file of orders is not what is in force.
    pub failing: IntGauge,
}

impl ResolverMetrics {
    pub(super) fn new(made: &Registrar) -> Result<Self> {
        Ok(Self {
            unresolved: made.gauge(
                "unresolved_outcomes",
                "Unknown outcomes about which Seam is being asked.",
            )?,
            resolved: made.counters(
                "resolved_outcomes_total",
                "Unknown outcomes about which Seam was asked, by what was found out.",
                &[("resolution", Resolution::CODES)],
            )?,
        })
    }
}

impl OrderMetrics {
    pub(super) fn new(made: &Registrar) -> Result<Self> {
        let in_force = made.gauges("orders_in_force", "Orders in force.", &["kind"])?;
        for kind in OrderKind::WORDS {
            in_force.with_label_values(&[kind]).set(0);
        }
        let failing =
            made.gauge("orders_failing", "1 while the file of orders is not what is in force.")?;
        Ok(Self { in_force, failing })
    }
}
