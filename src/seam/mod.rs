//! Seam's wire contract: the routes, their bodies, and the shape of answers.
//!
//! This is the only place that reads a caller's body and the only place that writes
//! a body to the upstream. Both sides of a grant go through
//! [`crate::domain::GrantRequest`], so no byte of a caller's can travel on. The list of
//! entrances is asked for by the command line, never for a caller.

mod answer;
mod body;
mod entrances;

pub use answer::{SeamError, confirms_grant, error_body, read_error, success_body};
pub use body::{BodyError, encode_grant, parse_grant};
pub use entrances::{
    EntrancePage, ListedEntrance, PAGE_LIMIT_MAX, PageError, encode_list, parse_entrances,
};

/// The path of a grant, matched byte for byte and sent as this constant.
pub const GRANT_ACCESS_PATH: &str = "/acs/entrances/grant_access";

/// The path of the list of entrances, sent as this constant.
pub const LIST_ENTRANCES_PATH: &str = "/acs/entrances/list";

/// The header in which Seam's SDKs look for the request id.
pub const REQUEST_ID_HEADER: http::HeaderName = http::HeaderName::from_static("seam-request-id");

/// The media type of every body, in both directions.
pub const JSON: http::HeaderValue = http::HeaderValue::from_static("application/json");
