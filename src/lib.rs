//! grantgate: a gateway between an organisation's services and the Seam Connect API.

pub mod domain;
