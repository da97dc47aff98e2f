//! grantgate: a gateway between an organisation's services and the Seam Connect API.
//!
//! Services call Seam's own routes on the gateway as they would on Seam: to grant access to
//! an entrance, to list entrances and to get one. The gateway authenticates the caller, asks
//! a casbin policy, writes the decision to a durable audit log, and only then forwards an
//! allowed request with the workspace key, which no caller ever sees.
//! `docs/ARCHITECTURE.md` is the map.
//!
//! What holds whatever fails:
//! 1. No grant reaches Seam without an earlier durable record.
//! 2. What is judged is what is sent.
//! 3. A 2xx means that Seam confirmed the grant.
//! 4. The workspace key leaves the process only to the configured upstream.
//! 5. Every error refuses.

pub mod audit;
pub mod authn;
pub mod bundle;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod console;
pub mod database;
pub mod domain;
pub mod files;
pub mod fleet;
pub mod gateway;
pub mod inquiry;
pub mod issuers;
pub mod json;
pub mod listener;
pub mod note;
pub mod orders;
pub mod pki;
pub mod policy;
pub mod resolver;
pub mod sandbox;
pub mod seam;
pub mod server;
pub mod shipping;
pub mod snapshot;
pub mod telemetry;
pub mod tls;
pub mod toml_source;
pub mod upstream;
pub mod view;
