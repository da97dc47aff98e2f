//! From a bearer token to its caller.

use std::sync::Arc;

use aws_lc_rs::digest;
use jiff::{SignedDuration, Timestamp};

use super::JWT_BYTES_MAX;
use super::cache::Verified;
use super::claims;
use super::compact::Compact;
use super::jwk::Key;
use super::{Issuer, IssuerKeys, Issuers};
use crate::authn::scheme::{Finding, Presented, Scheme};
use crate::authn::{Callers, PeerCertificate, Principal};
use crate::domain::Reason;
use crate::json::Json;

/// Tokens of trusted issuers.
pub(in crate::authn) struct Jwts<'a> {
    pub(in crate::authn) issuers: &'a Issuers,
    pub(in crate::authn) callers: &'a Callers,
}

impl Scheme for Jwts<'_> {
    fn find(&self, presented: &Presented<'_>, now: Timestamp) -> Finding {
        let Some(token) = presented.jwt() else { return Finding::Absent };
        match self.prove(token, presented.certificate, now) {
            Ok(principal) => Finding::Proven(principal),
            Err(reason) => Finding::Invalid(reason),
        }
    }
}

impl Jwts<'_> {
    fn prove(
        &self,
        token: &str,
        certificate: Option<&PeerCertificate>,
        now: Timestamp,
    ) -> Result<Principal, Reason> {
        if self.issuers.all.is_empty() {
            return Err(Reason::JwtIssuerUnknown);
        }
        let now = seconds(now);
        let mut digest = [0; 32];
        digest.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        let known = self.issuers.cache.find(&digest, |known| self.still_holds(known, now));
        let verified = match known {
            Some(known) => known,
            None => {
                let verified = self.verify(token, digest, now)?;
                self.issuers.cache.keep(verified.clone(), now);
                verified
            }
        };
        // Of the connection, not of the token: looked at each time.
        let is_bound = verified
            .checked
            .certificate
            .is_none_or(|bound| certificate.is_some_and(|shown| *shown.sha256() == bound));
        if is_bound { Ok(verified.principal) } else { Err(Reason::JwtBinding) }
    }

    /// Whether verifying it again would give the same.
    fn still_holds(&self, known: &Verified, now: f64) -> bool {
        let keys = self.issuers.all.get(known.issuer).and_then(Issuer::usable);
        known.callers == *self.callers.digest()
            && known.checked.expires > now
            && keys.is_some_and(|keys| keys.has(&known.key))
    }

    fn verify(&self, token: &str, digest: [u8; 32], now: f64) -> Result<Verified, Reason> {
        let compact = Compact::read(token)?;
        if compact.claims.get("iss").and_then(Json::text).is_none() {
            return Err(Reason::JwtClaims);
        }
        let (number, issuer) = self.issuers.of(&compact).ok_or(Reason::JwtIssuerUnknown)?;
        let key = signer(issuer, &compact)?;
        let checked = claims::check(&compact.claims, &issuer.rules, now)?;
        let credential = self.callers.by_jwt(&issuer.rules.name, &compact.claims)?;
        let (caller, name) = (credential.caller.clone(), credential.credential.clone());
        let ends = SignedDuration::try_from_secs_f64(checked.expires).ok();
        let ends = ends.and_then(|ends| Timestamp::UNIX_EPOCH.checked_add(ends).ok());
        let principal = Principal::new(caller, name, ends);
        let callers = *self.callers.digest();
        Ok(Verified { token: digest, issuer: number, key, checked, callers, principal })
    }
}

/// Who a token of one issuer is about, as this claim of it says: for people, who are no callers.
///
/// # Errors
/// Why the token is not believed.
pub fn person(
    issuers: &Issuers,
    (issuer, claim): (&str, &str),
    token: &str,
    certificate: Option<&PeerCertificate>,
    now: Timestamp,
) -> Result<String, Reason> {
    if token.len() > JWT_BYTES_MAX {
        return Err(Reason::JwtMalformed);
    }
    let compact = Compact::read(token)?;
    let (_, known) = issuers.of(&compact).ok_or(Reason::JwtIssuerUnknown)?;
    if *known.rules.name != *issuer {
        return Err(Reason::JwtIssuerUnknown);
    }
    signer(known, &compact)?;
    let checked = claims::check(&compact.claims, &known.rules, seconds(now))?;
    let is_bound = |bound| certificate.is_some_and(|shown| *shown.sha256() == bound);
    if !checked.certificate.is_none_or(is_bound) {
        return Err(Reason::JwtBinding);
    }
    // An address that nobody has looked at may be anybody's (OpenID Connect Core, section 5.7).
    if claim == "email" && compact.claims.get("email_verified") != Some(&Json::Bool(true)) {
        return Err(Reason::JwtClaims);
    }
    let named = compact.claims.get(claim).and_then(Json::text).filter(|text| !text.is_empty());
    named.map(str::to_owned).ok_or(Reason::JwtClaims)
}

/// The key that signed the token. Its algorithm must be one of the issuer's and of the key's
/// (RFC 8725, sections 3.1 and 3.2); what the header says only chooses among those.
fn signer(issuer: &Issuer, compact: &Compact<'_>) -> Result<Arc<Key>, Reason> {
    let algorithm = compact.algorithm.filter(|one| issuer.rules.algorithms.contains(one));
    let algorithm = algorithm.ok_or(Reason::JwtAlgorithm)?;
    let keys = issuer.usable().ok_or(Reason::JwtIssuerUnavailable)?;
    let kid = compact.kid.as_deref();
    let mut named = keys.find(kid).peekable();
    if named.peek().is_none() {
        ask(issuer);
        return Err(Reason::JwtKeyUnknown);
    }
    let key = named.find(|key| key.is_for(algorithm)).ok_or(Reason::JwtAlgorithm)?;
    match key.verifies(algorithm, compact.message, &compact.signature) {
        true => Ok(key.clone()),
        false => Err(Reason::JwtSignature),
    }
}

/// The issuer may have a new key.
fn ask(issuer: &Issuer) {
    match &issuer.keys {
        IssuerKeys::File(_) => {}
        IssuerKeys::Fetched(fetched) => fetched.ask(),
    }
}

/// Since 1970.
fn seconds(now: Timestamp) -> f64 {
    now.as_duration().as_secs_f64()
}
