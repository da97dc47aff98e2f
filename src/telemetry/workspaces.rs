//! What is counted of workspaces, where they have names to be told apart by.

use prometheus::{IntCounterVec, IntGaugeVec, Result};

use super::registrar::Registrar;
use crate::domain::{Outcome, WorkspaceName};

/// What is counted of workspaces.
#[derive(Clone)]
pub struct WorkspaceMetrics {
    requests: IntCounterVec,
    suspended: IntGaugeVec,
}

impl WorkspaceMetrics {
    pub(super) fn new(made: &Registrar) -> Result<Self> {
        Ok(Self {
            requests: made.counters(
                "workspace_requests_total",
                "Permitted requests of named workspaces, by what became of them.",
                &[("workspace", &[]), ("outcome", &Outcome::ALL.map(Outcome::as_str))],
            )?,
            suspended: made.gauges(
                "workspace_suspended",
                "Whether nothing is sent to a named workspace because it failed again and again.",
                &["workspace"],
            )?,
        })
    }

    pub(super) fn completed(&self, workspace: &WorkspaceName, outcome: Outcome) {
        self.requests.with_label_values(&[workspace.as_str(), outcome.as_str()]).inc();
    }

    /// Shows whether requests are sent to a workspace.
    pub fn suspended(&self, workspace: &WorkspaceName, suspended: bool) {
        self.suspended.with_label_values(&[workspace.as_str()]).set(suspended.into());
    }
}
