//! The side that connects to the upstream.

use rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore};

use super::{TlsError, certificates_from_pem, provider};

/// Whom the upstream's certificate may come from.
pub enum Roots<'a> {
    /// The machine's trust store.
    System,
    /// Only the authorities in this PEM text: a sandbox, or a private stand-in.
    Only(&'a [u8]),
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
    /// Broken PEM, or a trust store without a usable authority.
    pub fn new(roots: &Roots<'_>) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        match roots {
            Roots::System => {
                let found = rustls_native_certs::load_native_certs();
                store.add_parsable_certificates(found.certs);
                if store.is_empty() {
                    let text = "the machine's trust store has no usable authority; install \
                                ca-certificates or name authorities in a `ca_file`";
                    return Err(TlsError::Refused(text.into()));
                }
            }
            Roots::Nobody => {}
            Roots::Only(pem) => {
                for authority in certificates_from_pem(pem)? {
                    store.add(authority).map_err(|e| TlsError::Refused(e.to_string()))?;
                }
            }
        }
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(DEFAULT_VERSIONS)
            .map_err(|error| TlsError::Refused(error.to_string()))?
            .with_root_certificates(store)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(config))
    }

    /// The settings, for the HTTP client.
    #[must_use]
    pub fn into_config(self) -> ClientConfig {
        self.0
    }
}
