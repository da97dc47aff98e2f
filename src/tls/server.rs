//! The side that callers connect to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{DEFAULT_VERSIONS, RootCertStore, ServerConfig};

use super::{Identity, TlsError, certificates_from_pem, provider};

static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// How client certificates are verified.
pub struct ClientCertificates {
    verifier: Arc<dyn ClientCertVerifier>,
    generation: u64,
}

impl ClientCertificates {
    /// Certificates are verified against the authorities in `ca_pem` and, where given,
    /// the revocation lists in `crl_pem`. With a list, a certificate of unknown status
    /// and a list past its next update are refused (RFC 5280, section 6.3). Without
    /// `required`, a client may also come without a certificate.
    ///
    /// # Errors
    /// Broken PEM or authorities that rustls refuses.
    pub fn new(ca_pem: &[u8], crl_pem: Option<&[u8]>, required: bool) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates_from_pem(ca_pem)? {
            roots.add(authority).map_err(|error| TlsError::Refused(error.to_string()))?;
        }
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        if let Some(pem) = crl_pem {
            let read: Result<Vec<_>, _> =
                CertificateRevocationListDer::pem_slice_iter(pem).collect();
            let lists = read.ok().filter(|lists: &Vec<_>| !lists.is_empty());
            let lists = lists.ok_or(TlsError::NotPem("certificate revocation list"))?;
            builder = builder.with_crls(lists).enforce_revocation_expiration();
        }
        if !required {
            builder = builder.allow_unauthenticated();
        }
        let verifier = builder.build().map_err(|error| TlsError::Refused(error.to_string()))?;
        Ok(Self { verifier, generation: GENERATIONS.fetch_add(1, Ordering::Relaxed) })
    }

    /// Differs for every value that was ever made.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a handshake would accept this chain, leaf first, now.
    #[must_use]
    pub fn accept(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((leaf, intermediates)) = chain.split_first() else { return false };
        self.verifier.verify_client_cert(leaf, intermediates, UnixTime::now()).is_ok()
    }
}

/// Builds the listener's TLS settings. Each call makes fresh session storage, so
/// that after a reload no old session can be resumed.
///
/// # Errors
/// [`TlsError::KeyMismatch`], or what rustls refuses.
pub fn server_config(
    identity: &Identity,
    clients: Option<&ClientCertificates>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(DEFAULT_VERSIONS)
        .map_err(|error| TlsError::Refused(error.to_string()))?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(clients.verifier.clone()),
    };
    let key: PrivateKeyDer<'static> = identity.key.clone_key();
    let mut config = builder.with_single_cert(identity.chain.clone(), key).map_err(|error| {
        if matches!(error, rustls::Error::InconsistentKeys(_)) {
            TlsError::KeyMismatch
        } else {
            TlsError::Refused(error.to_string())
        }
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
