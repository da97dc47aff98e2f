//! What is shown of signed bundles.

use prometheus::{IntGauge, Result};

use super::registrar::Registrar;

/// What is shown of signed bundles.
#[derive(Clone)]
pub struct BundleMetrics {
    /// The number of the one in force.
    pub in_force: IntGauge,
    /// 1 while the database offers one that is not taken.
    pub refused: IntGauge,
}

impl BundleMetrics {
    pub(super) fn new(made: &Registrar) -> Result<Self> {
        Ok(Self {
            in_force: made.gauge(
                "bundle_in_force",
                "The number of the signed bundle in force; 0 where policies are files.",
            )?,
            refused: made.gauge(
                "bundle_refused",
                "1 while the database offers a bundle that is not taken.",
            )?,
        })
    }
}
