//! The answer of the gateway's own route, in the shape that Seam's SDKs read: `ok` is true.

use jiff::Timestamp;
use serde_json::json;

use crate::domain::{CallerId, RequestId};

/// Who a caller is taken for.
#[derive(Debug)]
pub struct Identity {
    /// The configured service.
    pub caller: CallerId,
    /// The name of its credential.
    pub credential: String,
    /// Until when that is accepted, where it has an end.
    pub expires: Option<Timestamp>,
}

/// Its body.
#[must_use]
pub fn identity_body(identity: &Identity, request_id: RequestId) -> Vec<u8> {
    let Identity { caller, credential, expires } = identity;
    let body = json!({
        "ok": true,
        "caller": caller.as_str(),
        "credential": credential,
        "expires": expires.map(|time| time.to_string()),
        "request_id": request_id.to_string(),
    });
    body.to_string().into_bytes()
}
