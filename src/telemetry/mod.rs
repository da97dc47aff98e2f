//! Metrics, logs and traces.
//!
//! Label values come from closed sets: configured callers and enums, never entrances. No
//! grantee, token or path is in any of the three.

mod audit;
mod bundles;
mod duplicates;
mod export;
mod issuers;
mod leases;
mod logging;
mod metrics;
mod orders;
mod recent;
mod registrar;
mod traces;
mod workspaces;

pub use audit::AuditMetrics;
pub use bundles::BundleMetrics;
pub use duplicates::DuplicateMetrics;
pub use export::ExportMetrics;
pub use issuers::IssuerMetrics;
pub use leases::LeaseMetrics;
pub use logging::{LogFormat, RequestLine, flush_log, log_request, start_logging};
pub use metrics::{ClosedSets, ListenerMetrics, Metrics};
pub use orders::{OrderMetrics, ResolverMetrics};
pub(crate) use traces::RequestTrace;
pub use traces::Traces;
pub use workspaces::WorkspaceMetrics;
