//! The side that connects to the upstream.

use std::sync::Arc;

use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore};

use super::identity::Identity;
use super::pem::{PemFile, certificates};
use super::server::roots_of;
use super::{TlsError, provider};

/// Whom the upstream's certificate may come from.
pub enum Roots<'a> {
    /// The machine's trust store.
    System,
    /// Only the authorities in this file: a sandbox, or a private stand-in.
    Only(PemFile<'a>),
    /// From nobody: no TLS is spoken.
    Nobody,
}

/// TLS settings towards the upstream.
pub struct ClientTls(ClientConfig);

impl ClientTls {
    /// HTTP/1.1 only: with one exchange at a time on a connection no answer can be
    /// taken for another's, and a broken connection loses one exchange.
    ///
    /// # Errors
    /// A broken file, or a trust store without a usable authority.
    pub fn new(roots: &Roots<'_>) -> Result<Self, TlsError> {
        let store = match *roots {
            Roots::System => machine()?,
            Roots::Nobody => RootCertStore::empty(),
            Roots::Only(file) => certificates(file)
                .and_then(|found| roots_of(file, &found))
                .map_err(TlsError::File)?,
        };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(DEFAULT_VERSIONS)
            .map_err(|error| TlsError::Refused(error.to_string()))?
            .with_root_certificates(store)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(config))
    }

    /// The same, with a certificate for whoever asks for one.
    #[must_use]
    pub fn presenting(mut self, identity: &Identity) -> Self {
        let certified = SingleCertAndKey::from(identity.certified.clone());
        self.0.client_auth_cert_resolver = Arc::new(certified);
        self
    }

    /// The same for a protocol that names itself otherwise than in the handshake.
    #[must_use]
    pub fn without_protocols(mut self) -> Self {
        self.0.alpn_protocols.clear();
        self
    }

    /// The settings, for the HTTP client.
    #[must_use]
    pub fn into_config(self) -> ClientConfig {
        self.0
    }
}

/// Whom the machine trusts.
fn machine() -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        let text = format!(
            "the machine's trust store has no usable authority{why}; install ca-certificates or \
             name authorities in a `ca_file`"
        );
        return Err(TlsError::Refused(text));
    }
    Ok(store)
}
