//! What the claims of a verified token must say (RFC 7519, section 4.1; RFC 8725, section 3),
//! and rules over them by which a caller is found.

use std::fmt;

use super::IssuerRules;
use super::base64url;
use crate::domain::Reason;
use crate::json::{Json, Object};

/// The longest path of a rule.
const PATH_MAX: usize = 8;

/// Claims that say nothing about who it is. A rule of these alone would take every token of
/// the issuer for the caller's.
const NOT_ABOUT_CALLERS: &[&str] = &["iss", "aud", "exp", "nbf", "iat", "jti", "cnf"];

/// When a token is accepted, and by whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Checked {
    /// From when on it is refused, in seconds since 1970.
    pub(super) expires: f64,
    /// The SHA-256 of the client certificate that it is bound to.
    pub(super) certificate: Option<[u8; 32]>,
}

/// Checks what every token must say; `now` is in seconds since 1970.
pub(super) fn check(claims: &Object, rules: &IssuerRules, now: f64) -> Result<Checked, Reason> {
    let leeway = rules.leeway.as_secs_f64();
    let expires = moment(claims, "exp")?.ok_or(Reason::JwtClaims)?;
    if expires + leeway <= now {
        return Err(Reason::JwtExpired);
    }
    for name in ["nbf", "iat"] {
        if moment(claims, name)?.is_some_and(|from| from > now + leeway) {
            return Err(Reason::JwtNotYet);
        }
    }
    let longest = rules.lifetime_max.map_or(f64::INFINITY, |longest| longest.as_secs_f64());
    if expires > now + longest + leeway {
        return Err(Reason::JwtClaims);
    }
    if !is_audience(claims.get("aud"), &rules.audiences) {
        return Err(Reason::JwtAudience);
    }
    let certificate = claims.get("cnf").map(confirmation).transpose()?;
    Ok(Checked { expires: expires + leeway, certificate })
}

/// A `NumericDate`: seconds since 1970, with or without a fraction.
fn moment(claims: &Object, name: &str) -> Result<Option<f64>, Reason> {
    let Some(claim) = claims.get(name) else { return Ok(None) };
    let number = claim.number().filter(|number| *number >= 0.0);
    number.map(Some).ok_or(Reason::JwtClaims)
}

/// `aud` is a string or a list of them, and one of them is ours.
fn is_audience(claim: Option<&Json>, ours: &[String]) -> bool {
    let is_ours = |text: &str| ours.iter().any(|audience| audience == text);
    match claim {
        Some(Json::Text(text)) => is_ours(text),
        // Whatever else is in the list, it must be a list of strings.
        Some(Json::List(list)) => {
            let all: Option<Vec<&str>> = list.iter().map(Json::text).collect();
            all.is_some_and(|all| all.into_iter().any(is_ours))
        }
        Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_)) | None => false,
    }
}

/// RFC 8705, section 3.1. A confirmation of another kind, or one more beside it, cannot be
/// checked here, and a token that is bound to a key is nothing without it (RFC 7800,
/// section 3.1).
fn confirmation(claim: &Json) -> Result<[u8; 32], Reason> {
    let found = claim.object().filter(|members| members.len() == 1);
    let thumbprint = found.and_then(|members| members.get("x5t#S256")?.text());
    let bytes = thumbprint.and_then(base64url).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(Reason::JwtBinding)
}

/// One condition on claims.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimRule {
    path: Vec<String>,
    text: String,
}

impl ClaimRule {
    /// `claim` is the name of a claim; if it begins with `/` a JSON Pointer (RFC 6901) to one
    /// in a claim. What is there must be `text`, or a list that contains it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(claim: &str, text: &str) -> Result<Self, String> {
        let path: Option<Vec<String>> = match claim.strip_prefix('/') {
            None => Some(vec![claim.to_owned()]),
            Some(pointer) => pointer.split('/').map(unescaped).collect(),
        };
        let path = path.ok_or_else(|| {
            format!(
                "`{claim}` is no JSON Pointer (RFC 6901): after `~` comes 0 or 1, for `~` and `/`"
            )
        })?;
        if path.len() > PATH_MAX || path.iter().any(String::is_empty) {
            return Err(format!("`{claim}` has an empty name in it, or more than {PATH_MAX}"));
        }
        if path.first().is_some_and(|name| NOT_ABOUT_CALLERS.contains(&name.as_str())) {
            return Err(format!("the claim `{claim}` does not say who the caller is"));
        }
        if text.is_empty() {
            return Err(format!("the claim `{claim}` must be compared with a text"));
        }
        Ok(Self { path, text: text.to_owned() })
    }

    /// The claim, as it is written.
    #[must_use]
    pub fn claim(&self) -> String {
        match self.path.as_slice() {
            [name] if !name.starts_with('/') => name.clone(),
            path => path.iter().map(|name| format!("/{}", escaped(name))).collect(),
        }
    }

    /// What it is compared with.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds.
    pub(in crate::authn) fn holds(&self, claims: &Object) -> bool {
        let Some((first, inner)) = self.path.split_first() else { return false };
        let found = inner
            .iter()
            .try_fold(claims.get(first), |found, name| Some(found?.object()?.get(name)));
        match found.flatten() {
            Some(Json::Text(text)) => *text == self.text,
            Some(Json::List(list)) => list.iter().any(|one| one.text() == Some(&self.text)),
            Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_)) | None => false,
        }
    }
}

impl fmt::Display for ClaimRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.claim(), self.text)
    }
}

/// RFC 6901, section 3.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// RFC 6901, section 4.
fn unescaped(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut parts = token.split('~');
    out.push_str(parts.next()?);
    for part in parts {
        let rest = match part.as_bytes().first()? {
            b'0' => {
                out.push('~');
                part.get(1..)?
            }
            b'1' => {
                out.push('/');
                part.get(1..)?
            }
            _ => return None,
        };
        out.push_str(rest);
    }
    Some(out)
}
