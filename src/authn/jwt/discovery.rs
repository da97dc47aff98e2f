//! The metadata of an issuer (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2), of
//! which one thing is read: where its keys are.

use crate::json::{self, Bounds, Json};

/// The address of the issuer's JWK Set.
///
/// # Errors
/// The metadata are not those of `issuer`, or do not say it.
pub fn jwks_uri(metadata: &[u8], issuer: &str) -> Result<String, String> {
    let bounds = Bounds { depth: 8, values: 4 * 1024 };
    let metadata = json::object(metadata, bounds)
        .map_err(|error| format!("the metadata are not JSON that can be used: {error}"))?;
    // RFC 8414, section 3.3: else metadata of one issuer would be taken for another's.
    if metadata.get("issuer").and_then(Json::text) != Some(issuer) {
        return Err("the metadata are of another `issuer` than the configured one".to_owned());
    }
    let uri = metadata.get("jwks_uri").and_then(Json::text);
    uri.map(str::to_owned).ok_or_else(|| "the metadata have no `jwks_uri`".to_owned())
}
