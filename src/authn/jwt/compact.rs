//! A token in the JWS compact form (RFC 7515, section 7.1), taken apart and not yet verified.

use super::base64url;
use super::jwk::KID_BYTES_MAX;
use crate::domain::{JwsAlgorithm, Reason};
use crate::json::{self, Bounds, Json, Object};

/// The most that a header or the claims may be.
const BOUNDS: Bounds = Bounds { depth: 8, values: 512 };

/// What a header may not have. `crit` names extensions, of which none is known (RFC 7515,
/// section 4.1.11); `b64`, `zip`, `enc` and `epk` change what is signed or are of encrypted
/// tokens (RFC 7797; RFC 8725, section 3.6); `jku`, `jwk`, `x5u` and `x5c` bring the key, or
/// say where to fetch it (RFC 8725, sections 2.9 and 3.10): keys come from the issuer alone.
/// Others are ignored, as RFC 7515, section 4 asks for; `x5t` and `x5t#S256` only name a key.
const REFUSED: &[&str] = &["crit", "b64", "zip", "enc", "epk", "jku", "jwk", "x5u", "x5c"];

/// Kinds of tokens: explicit typing (RFC 8725, section 3.11), with and without the prefix that
/// RFC 7515, section 4.1.9 lets senders leave out.
const TYPES: &[&str] = &["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

/// Which of its parts a token says what in.
pub(super) struct Compact<'t> {
    /// None for one that is not among those that can be configured.
    pub(super) algorithm: Option<JwsAlgorithm>,
    pub(super) kid: Option<String>,
    pub(super) claims: Object,
    /// What is signed.
    pub(super) message: &'t [u8],
    pub(super) signature: Vec<u8>,
}

/// Whether a bearer token has the form: three parts.
pub fn has_form(bearer: &str) -> bool {
    bearer.bytes().filter(|b| *b == b'.').count() == 2
}

impl<'t> Compact<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`Reason::JwtMalformed`] for all that cannot be read in one way.
    pub(super) fn read(token: &'t str) -> Result<Self, Reason> {
        Self::parts(token).ok_or(Reason::JwtMalformed)
    }

    fn parts(token: &'t str) -> Option<Self> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header = json::object(&base64url(header)?, BOUNDS).ok()?;
        let algorithm = header.get("alg").and_then(Json::text)?;
        let kid = optional_text(&header, "kid")?;
        let kind = optional_text(&header, "typ")?;
        let is_known_kind =
            kind.is_none_or(|kind| TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind)));
        let is_refused = REFUSED.iter().any(|name| header.contains_key(*name));
        if is_refused || !is_known_kind || kid.is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
            return None;
        }
        Some(Self {
            algorithm: JwsAlgorithm::parse(algorithm),
            kid: kid.map(str::to_owned),
            claims: json::object(&base64url(claims)?, BOUNDS).ok()?,
            message: message.as_bytes(),
            signature: base64url(signature)?,
        })
    }
}

/// None where it is there and no string.
fn optional_text<'h>(header: &'h Object, name: &str) -> Option<Option<&'h str>> {
    header.get(name).map_or(Some(None), |value| value.text().map(Some))
}
