//! TLS settings for both sides, and certificates and keys read from PEM files.
//!
//! TLS 1.2 and 1.3 with rustls on aws-lc; the hybrid key exchange X25519MLKEM768 is
//! preferred. The crypto provider is always passed explicitly. Certificates and names are
//! checked by rustls-webpki alone: what is read of them besides is told to people, or refuses
//! more.

mod bundle;
mod certificate;
mod client;
mod der;
mod identity;
mod inspect;
mod key;
mod pem;
mod refused;
mod server;
mod svid;
mod trust;

use std::sync::Arc;

use rustls::CipherSuite;
use rustls::crypto::CryptoProvider;

use crate::domain::Problem;
pub use certificate::{Shown, expiry_of};
pub use client::{ClientTls, Roots};
pub use identity::Identity;
pub use inspect::{DomainExpiry, Finding, Inspection, Severity, Side, inspect_server};
pub use pem::{PemFile, Placed, PlacedCertificate, certificates, private_key};
pub use refused::{CertificateFault, RefusedCertificate, noting_refusals};
pub use server::{ClientCertificates, ClientFiles, DomainFiles, server_config};

/// Why TLS material cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is at fault.
    #[error("{0}")]
    File(Problem),
    /// The machine, or something that rustls refuses.
    #[error("{0}")]
    Refused(String),
}

impl TlsError {
    /// As a problem; `place` is for what is not of a file.
    #[must_use]
    pub fn into_problem(self, place: &str) -> Problem {
        match self {
            Self::File(problem) => problem,
            Self::Refused(text) => Problem::of_file(place, text),
        }
    }
}

/// The one crypto provider.
///
/// Suites with AES-128 and SHA-256 first, the one that everybody has to know among them
/// (RFC 8446, section 9.1): processors that hash SHA-256 in hardware do not so with SHA-384,
/// of which a handshake takes a dozen hashes.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    let made = || {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        // The order among equals stays.
        provider.cipher_suites.sort_by_key(|suite| {
            !matches!(
                suite.suite(),
                CipherSuite::TLS13_AES_128_GCM_SHA256
                    | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                    | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
            )
        });
        Arc::new(provider)
    };
    PROVIDER.get_or_init(made).clone()
}
