//! `POST /acs/entrances/grant_access`: gives one person access to one entrance.

use std::fmt::{Display, Write as _};

use serde::Deserialize;

use super::strict::{Field, Kind, Params, RequestError, Values};
use crate::domain::{EntranceId, GrantRequest, Grantee, Reason};

const ENTRANCE: &str = "acs_entrance_id";
const ACS_USER: &str = "acs_user_id";
const USER_IDENTITY: &str = "user_identity_id";

const FIELDS: &[Field] = &[
    Field::new(ENTRANCE, Kind::Uuid),
    Field::new(ACS_USER, Kind::Uuid),
    Field::new(USER_IDENTITY, Kind::Uuid),
];

/// Reads a request.
pub(super) fn parse(params: Params<'_>) -> Result<GrantRequest, RequestError> {
    let mut values = Values::read(FIELDS, params)?;
    let Some(entrance) = values.uuid(ENTRANCE).map(EntranceId::from) else {
        return Err(RequestError::field(Reason::EntranceMissing, ENTRANCE, "is required"));
    };
    let grantee = match (values.uuid(ACS_USER), values.uuid(USER_IDENTITY)) {
        (Some(id), None) => Grantee::AcsUser(id.into()),
        (None, Some(id)) => Grantee::UserIdentity(id.into()),
        (None, None) => {
            let message = "one of `acs_user_id` and `user_identity_id` is required";
            return Err(RequestError::whole(Reason::GranteeMissing, message));
        }
        (Some(_), Some(_)) => {
            let message = "give only one of `acs_user_id` and `user_identity_id`";
            return Err(RequestError::whole(Reason::GranteeAmbiguous, message));
        }
    };
    Ok(GrantRequest { entrance, grantee })
}

/// Writes the body that goes to the upstream.
pub(super) fn encode(grant: &GrantRequest) -> Vec<u8> {
    let (field, id): (_, &dyn Display) = match &grant.grantee {
        Grantee::AcsUser(id) => (ACS_USER, id),
        Grantee::UserIdentity(id) => (USER_IDENTITY, id),
    };
    let mut body = String::with_capacity(128);
    // UUIDs and field names hold nothing that JSON would have to escape.
    let _ = write!(body, r#"{{"{ENTRANCE}":"{}","{field}":"{id}"}}"#, grant.entrance);
    body.into_bytes()
}

/// Whether an upstream body confirms a grant: a JSON object with `"ok":true`, once.
pub(super) fn confirms(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Success {
        ok: bool,
    }
    // A derived struct would also read an array.
    body.trim_ascii_start().starts_with(b"{")
        && serde_json::from_slice::<Success>(body).is_ok_and(|success| success.ok)
}

/// The body of a confirmed grant.
#[must_use]
pub fn success_body() -> &'static [u8] {
    br#"{"ok":true}"#
}

#[cfg(test)]
mod tests;
