//! Finds out which client certificate a handshake was refused for, and why.
//!
//! The verifier here decides nothing: each answer is that of [`Trust`]. A handshake that
//! fails leaves only an error, without the certificate, so this one notes what it was
//! shown for the task that runs the handshake.

use std::cell::Cell;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::certificate::{Facts, Shown};
use super::provider;
use super::trust::Trust;
use crate::domain::closed_set;

closed_set! {
    /// Why a client certificate was refused: one closed list. Codes are stable.
    pub enum CertificateFault {
        /// Its time, or that of one above it, is over.
        Expired = "expired",
        /// Its time, or that of one above it, has not begun.
        NotYetValid = "not-yet-valid",
        /// No trusted authority has signed it or one above it.
        UnknownIssuer = "unknown-issuer",
        /// Authorities that are trusted have signed it, and not those of the trust domain that
        /// it names.
        WrongTrustDomain = "wrong-trust-domain",
        /// It is an authority's, or has not one SPIFFE id, and must be somebody's in a trust
        /// domain.
        NotAnSvid = "not-an-svid",
        /// Its authority has revoked it, or one above it.
        Revoked = "revoked",
        /// Its issuer has no revocation list, and lists are in use.
        NoRevocationList = "no-revocation-list",
        /// Its issuer's list is past its next update.
        RevocationListExpired = "revocation-list-expired",
        /// Its issuer's list is not signed as it must be.
        RevocationListInvalid = "revocation-list-invalid",
        /// It is not for clients.
        WrongUsage = "wrong-usage",
        /// A signature in its chain is false.
        BadSignature = "bad-signature",
        /// A signature in its chain is of a kind that is not accepted.
        UnsupportedSignature = "unsupported-signature",
        /// The client did not prove that it has the private key.
        KeyNotProven = "key-not-proven",
        /// It is not encoded as a certificate.
        Malformed = "malformed",
        /// It is older than X.509 version 3.
        UnsupportedVersion = "unsupported-version",
        /// Anything else, such as a critical extension that is not known.
        Other = "other",
    }
}

impl From<&Error> for CertificateFault {
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls may add to these lists")]
    fn from(error: &Error) -> Self {
        use CertificateError as E;
        let error = match error {
            Error::InvalidCertificate(error) => error,
            Error::InvalidCertRevocationList(_) => return Self::RevocationListInvalid,
            _ => return Self::Other,
        };
        match error {
            E::Expired | E::ExpiredContext { .. } => Self::Expired,
            E::NotValidYet | E::NotValidYetContext { .. } => Self::NotYetValid,
            E::UnknownIssuer => Self::UnknownIssuer,
            E::Revoked => Self::Revoked,
            E::UnknownRevocationStatus => Self::NoRevocationList,
            E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => {
                Self::RevocationListExpired
            }
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => Self::WrongUsage,
            E::BadSignature => Self::BadSignature,
            E::UnsupportedSignatureAlgorithmContext { .. }
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                Self::UnsupportedSignature
            }
            E::BadEncoding => Self::Malformed,
            _ => Self::Other,
        }
    }
}

/// A client certificate that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCertificate {
    /// Why.
    pub fault: CertificateFault,
    /// Whose; none where it cannot be read.
    pub shown: Option<Shown>,
}

impl RefusedCertificate {
    pub(super) fn new(fault: CertificateFault, certificate: &CertificateDer<'_>) -> Self {
        let is_old = || Facts::read(certificate).is_some_and(|facts| facts.version < 3);
        let fault = if fault == CertificateFault::Other && is_old() {
            CertificateFault::UnsupportedVersion
        } else {
            fault
        };
        Self { fault, shown: Shown::of(certificate) }
    }
}

tokio::task_local! {
    static REFUSED: Cell<Option<RefusedCertificate>>;
}

/// Runs a handshake, and gives the client certificate that was refused in it.
pub async fn noting_refusals<F: Future>(handshake: F) -> (F::Output, Option<RefusedCertificate>) {
    let noted = async {
        let done = handshake.await;
        (done, REFUSED.with(Cell::take))
    };
    REFUSED.scope(Cell::default(), noted).await
}

fn note(fault: CertificateFault, certificate: &CertificateDer<'_>) {
    let refused = RefusedCertificate::new(fault, certificate);
    // Outside of a handshake nobody asks.
    let _ = REFUSED.try_with(|cell| cell.set(Some(refused)));
}

/// Passes everything on, and notes refusals.
#[derive(Debug)]
pub(super) struct Noting(pub(super) Arc<Trust>);

impl ClientCertVerifier for Noting {
    fn client_auth_mandatory(&self) -> bool {
        self.0.is_required()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.hints()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.verify(certificate, intermediates, now).map_err(|refusal| {
            note(refusal.fault, certificate);
            refusal.error
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &provider().signature_verification_algorithms;
        let verified = verify_tls12_signature(message, certificate, signature, known);
        verified.inspect_err(|_| note(CertificateFault::KeyNotProven, certificate))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &provider().signature_verification_algorithms;
        let verified = verify_tls13_signature(message, certificate, signature, known);
        verified.inspect_err(|_| note(CertificateFault::KeyNotProven, certificate))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
