//! The answer of the gateway's own route, in the shape that Seam's SDKs read: `ok` is true.

use jiff::Timestamp;
use serde_json::json;

use crate::domain::{CallerId, RequestId, WorkspaceName};

/// Who a caller is taken for.
#[derive(Debug)]
pub struct Identity {
    /// The configured service.
    pub caller: CallerId,
    /// The name of its credential.
    pub credential: String,
    /// In which workspace its requests are, where workspaces have names.
    pub workspace: Option<WorkspaceName>,
    /// Until when that is accepted, where it has an end.
    pub expires: Option<Timestamp>,
}

/// Its body.
#[must_use]
pub fn identity_body(identity: &Identity, request_id: RequestId) -> Vec<u8> {
    let Identity { caller, credential, workspace, expires } = identity;
    let mut body = json!({
        "ok": true,
        "caller": caller.as_str(),
        "credential": credential,
        "expires": expires.map(|time| time.to_string()),
        "request_id": request_id.to_string(),
    });
    if let (Some(body), Some(workspace)) = (body.as_object_mut(), workspace) {
        body.insert("workspace".into(), workspace.as_str().into());
    }
    body.to_string().into_bytes()
}
