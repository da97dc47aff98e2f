//! grantgate: a gateway between an organisation's services and the Seam Connect API.

pub mod audit;
pub mod authn;
pub mod config;
pub mod domain;
pub mod listener;
pub mod pki;
pub mod seam;
pub mod telemetry;
pub mod tls;
pub mod toml_source;
