//! What a scheme is, and the one rule for what several of them find.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;

use super::{PeerCertificate, Principal, jwt};
use crate::domain::Reason;

/// What a request brought to prove who sent it.
pub(super) struct Presented<'a> {
    /// The bearer token of its Authorization header. Which scheme it belongs to is seen from
    /// its form; a form that no scheme knows is an unknown token.
    pub(super) bearer: Option<&'a str>,
    /// The client certificate of its connection, verified in the handshake.
    pub(super) certificate: Option<&'a PeerCertificate>,
}

/// A way to prove who is calling.
pub(super) trait Scheme {
    fn find(&self, presented: &Presented<'_>, now: Timestamp) -> Finding;
}

/// What one scheme found.
#[derive(Debug)]
pub(super) enum Finding {
    /// Nothing of its kind was presented.
    Absent,
    /// It is good and names no caller, and so contradicts nobody: services in a mesh all carry
    /// a certificate. Alone it proves nothing.
    Nobody(Reason),
    Proven(Principal),
    /// It refuses the request, whatever other schemes find.
    Invalid(Reason),
}

/// The largest bearer token that is looked at, in bytes, unless it has the form of a JWT.
const TOKEN_BYTES_MAX: usize = 256;

/// What keys of Seam's and tokens of the gateway's own begin with.
const OWN: &str = "seam_";

impl<'a> Presented<'a> {
    /// Looks for one `Authorization` header with a bearer token. Anything else in that header,
    /// or a second one, is refused.
    pub(super) fn read(
        headers: &'a HeaderMap,
        certificate: Option<&'a PeerCertificate>,
    ) -> Result<Self, Reason> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let bearer = match (values.next(), values.next()) {
            (None, _) => None,
            (Some(value), None) => {
                let token = value.to_str().ok().and_then(bearer);
                Some(token.ok_or(Reason::CredentialMalformed)?)
            }
            (Some(_), Some(_)) => return Err(Reason::CredentialMalformed),
        };
        Ok(Self { bearer, certificate })
    }

    /// The bearer token, if it has the form of a JWT.
    pub(super) fn jwt(&self) -> Option<&'a str> {
        self.bearer.filter(|token| is_jwt(token))
    }

    /// The bearer token, if it has another form.
    pub(super) fn token(&self) -> Option<&'a str> {
        self.bearer.filter(|token| !is_jwt(token))
    }
}

/// Who is calling, by what all schemes found, in their order: none may be invalid, and those
/// that prove a caller must prove the same one. The first names the credential.
pub(super) fn agree(findings: impl IntoIterator<Item = Finding>) -> Result<Principal, Reason> {
    let (mut proven, mut nobody) = (None::<Principal>, None);
    for finding in findings {
        match finding {
            Finding::Absent => {}
            Finding::Nobody(reason) => nobody = nobody.or(Some(reason)),
            Finding::Invalid(reason) => return Err(reason),
            Finding::Proven(principal) => match &proven {
                Some(first) if first.caller() != principal.caller() => {
                    return Err(Reason::CredentialsConflict);
                }
                Some(_) => {}
                None => proven = Some(principal),
            },
        }
    }
    proven.ok_or(nobody.unwrap_or(Reason::CredentialMissing))
}

/// Whether a bearer token belongs to the issuers' scheme.
fn is_jwt(token: &str) -> bool {
    !token.starts_with(OWN) && jwt::has_form(token)
}

/// The token of `credentials = auth-scheme 1*SP token68`, whose scheme is `Bearer` in upper
/// or lower case (RFC 9110, sections 11.1 and 11.4). Blanks around a field value are not
/// part of it (section 5.5): the parser has removed them.
fn bearer(credentials: &str) -> Option<&str> {
    let (scheme, rest) = credentials.split_once(' ')?;
    let token = rest.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && is_b64token(token)).then_some(token)
}

/// The `b64token` of RFC 6750, section 2.1, bounded in length.
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    let longest = if is_jwt(token) { jwt::JWT_BYTES_MAX } else { TOKEN_BYTES_MAX };
    !body.is_empty()
        && token.len() <= longest
        && body.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CallerId;
    use Finding::{Absent, Invalid, Nobody, Proven};

    #[test]
    fn however_many_schemes_there_are_they_must_agree() {
        let by = |caller: &str, credential: &str| {
            Proven(Principal::new(CallerId::parse(caller).unwrap(), credential.into(), None))
        };
        let nobody = || Nobody(Reason::CertificateUnknown);
        let of = |findings: Vec<Finding>| agree(findings).map(|p| p.credential().to_owned());
        assert_eq!(of(vec![]), Err(Reason::CredentialMissing));
        assert_eq!(of(vec![Absent, nobody(), Absent]), Err(Reason::CertificateUnknown));
        assert_eq!(of(vec![Absent, by("a", "1"), nobody(), by("a", "2")]), Ok("1".into()));
        let three = vec![by("a", "1"), by("a", "2"), by("b", "3")];
        assert_eq!(of(three), Err(Reason::CredentialsConflict));
        let expired = vec![by("a", "1"), Absent, Invalid(Reason::TokenExpired)];
        assert_eq!(of(expired), Err(Reason::TokenExpired));
    }
}
