//! Who is calling: tokens, client certificates, the file of callers.
//!
//! Each scheme answers absent, proven or invalid. Absent falls through to the next
//! scheme; invalid refuses at once: a bad token never falls through to a
//! certificate that happens to be there. A [`Principal`] can only be made here.
//!
//! Nothing here looks at a path or a body, and no answer depends on more than the
//! credentials and the callers registry.

pub mod callers;
mod certificate;
mod principal;
mod token;

use http::HeaderMap;
use jiff::Timestamp;

use crate::domain::Reason;
pub use callers::Callers;
pub use certificate::PeerCertificate;
pub use principal::Principal;
pub use token::{CallerToken, TOKEN_PREFIX, TokenDigest};

/// What one scheme found.
enum Finding {
    Absent,
    Proven(Principal),
    Invalid(Reason),
}

/// Finds out who is calling: by token first, then by client certificate.
///
/// # Errors
/// The [`Reason`] to record. All of them are answered alike.
pub fn authenticate(
    headers: &HeaderMap,
    certificate: Option<&PeerCertificate>,
    callers: &Callers,
    now: Timestamp,
) -> Result<Principal, Reason> {
    let by_token = match token::find(headers, callers, now) {
        Finding::Invalid(reason) => return Err(reason),
        Finding::Proven(principal) => Some(principal),
        Finding::Absent => None,
    };
    let by_certificate = match certificate::find(certificate, callers) {
        // A certificate that names no caller contradicts nobody: services in a mesh
        // all carry one. Alone it proves nothing.
        Finding::Invalid(Reason::CertificateUnknown) if by_token.is_some() => None,
        Finding::Invalid(reason) => return Err(reason),
        Finding::Proven(principal) => Some(principal),
        Finding::Absent => None,
    };
    match (by_token, by_certificate) {
        (Some(token), Some(certificate)) if token.caller() != certificate.caller() => {
            Err(Reason::CredentialsConflict)
        }
        (Some(principal), _) | (None, Some(principal)) => Ok(principal),
        (None, None) => Err(Reason::CredentialMissing),
    }
}

#[cfg(test)]
mod tests;
