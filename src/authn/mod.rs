//! Who is calling: tokens, JSON Web Tokens, client certificates, the file of callers.
//!
//! Each scheme looks at what a request presents, and one rule holds for what they find,
//! however many they are: a bad token never falls through to a certificate that
//! happens to be there, and two that name different callers are refused. A [`Principal`] can
//! only be made here.
//!
//! Nothing here looks at a path or a body, and no answer depends on more than the
//! credentials, the callers registry and the keys of issuers.

pub mod callers;
mod certificate;
mod failure;
pub mod jwt;
mod principal;
mod scheme;
mod token;

use http::HeaderMap;
use jiff::Timestamp;

pub use callers::Callers;
use certificate::Certificates;
pub use certificate::PeerCertificate;
pub use failure::{Failure, Known};
pub use jwt::Issuers;
use jwt::Jwts;
pub use principal::Principal;
use scheme::{Presented, Scheme, agree};
use token::Tokens;
pub use token::{CallerToken, TokenDigest, TokenForm};

/// Finds out who is calling: by token first, of the gateway's own or an issuer's, then by client
/// certificate.
///
/// # Errors
/// Why not, for the record. All of it is answered alike.
pub fn authenticate(
    headers: &HeaderMap,
    certificate: Option<&PeerCertificate>,
    callers: &Callers,
    issuers: &Issuers,
    now: Timestamp,
) -> Result<Principal, Failure> {
    let presented = Presented::read(headers, certificate)?;
    let jwts = Jwts { issuers, callers };
    let schemes: [&dyn Scheme; 3] = [&Tokens(callers), &jwts, &Certificates(callers)];
    let principal = agree(schemes.into_iter().map(|scheme| scheme.find(&presented, now)))?;
    // Whatever scheme has proven it.
    match callers.suspension(principal.caller()) {
        Some(_) => Err(Failure::suspended(principal)),
        None => Ok(principal),
    }
}

#[cfg(test)]
mod tests;
