//! Metrics and logs.
//!
//! Label values come from closed sets: configured callers and enums. No entrance,
//! grantee, token or path is ever a label, and none of them is logged.

mod logging;
mod metrics;

pub use logging::{LogFormat, start_logging};
pub use metrics::{AuditMetrics, ListenerMetrics, Metrics};
