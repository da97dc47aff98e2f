//! grantgate: a gateway between an organisation's services and the Seam Connect API.

pub mod authn;
pub mod domain;
pub mod toml_source;
