//! TLS settings for both sides, in one place.
//!
//! TLS 1.2 and 1.3 with rustls on aws-lc; the hybrid key exchange X25519MLKEM768 is
//! preferred. The crypto provider is always passed explicitly and no verifier of our
//! own exists: certificates and names are checked by rustls-webpki.

mod client;
mod server;

use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

pub use client::{ClientTls, Roots};
pub use server::{ClientCertificates, server_config};

/// Why TLS material cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM, or PEM of something else.
    #[error("holds no {0} in PEM form")]
    NotPem(&'static str),
    /// A certificate and a key of different pairs.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// Something rustls refuses.
    #[error("{0}")]
    Refused(String),
}

/// The certificate chain and private key of one side.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Takes a chain (leaf first) and its key, checked to belong together.
    ///
    /// # Errors
    /// [`TlsError::KeyMismatch`], or what rustls refuses.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let identity = Self { chain, key };
        server_config(&identity, None)?;
        Ok(identity)
    }

    /// Reads PEM texts.
    ///
    /// # Errors
    /// As [`Identity::new`] and the two PEM parsers.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Self::new(certificates_from_pem(chain)?, key_from_pem(key)?)
    }
}

/// Reads all certificates of a PEM text.
///
/// # Errors
/// [`TlsError::NotPem`] when there is none or one is broken.
pub fn certificates_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.ok().filter(|chain| !chain.is_empty()).ok_or(TlsError::NotPem("certificate"))
}

/// When each certificate of a PEM text expires, in the text's order.
#[must_use]
pub fn expiries(pem: &[u8]) -> Vec<Timestamp> {
    let chain = certificates_from_pem(pem).unwrap_or_default();
    let times = chain.iter().filter_map(|der| {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
    });
    times.collect()
}

/// Until when each revocation list of a PEM text is good (RFC 5280, section 5.1.2.5).
#[must_use]
pub fn next_updates(pem: &[u8]) -> Vec<Timestamp> {
    let lists = CertificateRevocationListDer::pem_slice_iter(pem).filter_map(Result::ok);
    let times = lists.filter_map(|der| {
        let (_, list) = x509_parser::parse_x509_crl(&der).ok()?;
        Timestamp::from_second(list.next_update()?.timestamp()).ok()
    });
    times.collect()
}

/// Reads the private key of a PEM text (PKCS #8, PKCS #1 or SEC 1).
///
/// # Errors
/// [`TlsError::NotPem`] when there is none.
pub fn key_from_pem(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::NotPem("private key"))
}

/// The one crypto provider.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())).clone()
}
