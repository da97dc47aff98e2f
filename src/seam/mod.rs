//! Seam's wire contract: the one route, its body, and the shape of answers.
//!
//! This is the only place that reads a caller's body and the only place that writes
//! a body to the upstream. Both sides go through [`crate::domain::GrantRequest`], so
//! no byte of a caller's can travel on.

mod answer;
mod body;

pub use answer::{SeamError, confirms_grant, error_body, read_error, success_body};
pub use body::{BodyError, encode_grant, parse_grant};

/// The path of the operation, matched byte for byte and sent as this constant.
pub const GRANT_ACCESS_PATH: &str = "/acs/entrances/grant_access";

/// The header in which Seam's SDKs look for the request id.
pub const REQUEST_ID_HEADER: http::HeaderName = http::HeaderName::from_static("seam-request-id");

/// The media type of every body, in both directions.
pub const JSON: http::HeaderValue = http::HeaderValue::from_static("application/json");
