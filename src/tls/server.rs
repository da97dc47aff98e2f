//! The side that callers connect to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{DEFAULT_VERSIONS, RootCertStore, ServerConfig};

use super::identity::Identity;
use super::inspect::clients::{PlacedList, inspect_clients, newest_first};
use super::inspect::{Inspection, Side};
use super::pem::{PemFile, PlacedCertificate, certificates, ordinal, revocation_lists};
use super::refused::{CertificateFault, Noting};
use super::{TlsError, provider};
use crate::domain::Problem;

static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// The files by which client certificates are verified.
#[derive(Clone, Copy)]
pub struct ClientFiles<'a> {
    /// Authorities.
    pub authorities: PemFile<'a>,
    /// Their revocation lists, where these are in use.
    pub lists: Option<PemFile<'a>>,
}

/// How client certificates are verified.
pub struct ClientCertificates {
    verifier: Arc<dyn ClientCertVerifier>,
    generation: u64,
    authorities: Vec<PlacedCertificate>,
    inspection: Inspection,
}

impl ClientCertificates {
    /// Certificates are verified against the authorities and, where given, the revocation
    /// lists. With a list, a certificate of unknown status and a list past its next update
    /// are refused (RFC 5280, section 6.3). Without `required`, a client may also come
    /// without a certificate.
    ///
    /// # Errors
    /// What is wrong with a file, or what rustls refuses.
    pub fn new(files: ClientFiles<'_>, side: Side, required: bool) -> Result<Self, Vec<Problem>> {
        let lists = files.lists.map(revocation_lists).transpose();
        let (authorities, mut lists) = match (certificates(files.authorities), lists) {
            (Ok(authorities), Ok(lists)) => (authorities, lists),
            (authorities, lists) => {
                return Err(authorities.err().into_iter().chain(lists.err()).collect());
            }
        };
        let one = |problem| vec![problem];
        let roots = Arc::new(roots_of(files.authorities, &authorities).map_err(one)?);
        newest_first(lists.as_deref_mut().unwrap_or_default());
        let placed = files.lists.zip(lists.as_deref());
        let inspection = inspect_clients(files.authorities, &authorities, placed, side, required);
        let verifier = match placed {
            None => verifier(&roots, &[], required).map_err(|error| {
                files
                    .authorities
                    .problem(format!("client certificates cannot be verified: {error}"))
            }),
            Some((file, lists)) => verifier(&roots, lists, required)
                .map_err(|error| unusable_list(file, lists, &roots, &error)),
        };
        let verifier = verifier.map_err(one)?;
        let verifier = Arc::new(Noting(verifier));
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        Ok(Self { verifier, generation, authorities, inspection })
    }

    /// Differs for every value that was ever made.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Those who are trusted.
    #[must_use]
    pub fn authorities(&self) -> &[PlacedCertificate] {
        &self.authorities
    }

    /// What is known of the files.
    #[must_use]
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// Whether a handshake would accept this chain, leaf first, now.
    ///
    /// # Errors
    /// Why it would not.
    pub fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<(), CertificateFault> {
        let (leaf, intermediates) = chain.split_first().ok_or(CertificateFault::Malformed)?;
        let verified = self.verifier.verify_client_cert(leaf, intermediates, UnixTime::now());
        verified.map(drop).map_err(|error| CertificateFault::from(&error))
    }
}

/// Trust in every certificate of a file.
pub(super) fn roots_of(
    file: PemFile<'_>,
    authorities: &[PlacedCertificate],
) -> Result<RootCertStore, Problem> {
    let mut roots = RootCertStore::empty();
    for (placed, number) in authorities.iter().zip(1..) {
        roots.add(placed.item.clone()).map_err(|error| {
            let text = format!(
                "the {} certificate cannot be used as an authority: {error}",
                ordinal(number)
            );
            file.problem_at(placed.line, text)
        })?;
    }
    Ok(roots)
}

fn verifier(
    roots: &Arc<RootCertStore>,
    lists: &[PlacedList],
    required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider());
    if !lists.is_empty() {
        let lists = lists.iter().map(|list| list.item.clone());
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    if !required {
        builder = builder.allow_unauthenticated();
    }
    builder.build()
}

/// Which list it is that cannot be used: each is tried alone.
fn unusable_list(
    file: PemFile<'_>,
    lists: &[PlacedList],
    roots: &Arc<RootCertStore>,
    error: &VerifierBuilderError,
) -> Problem {
    let alone = |list: &&PlacedList| verifier(roots, std::slice::from_ref(*list), true).is_err();
    let text = format!(
        "this revocation list cannot be used: {error}; it must be of version 2, with a next \
         update, and neither a delta nor an indirect list (RFC 5280, section 5)"
    );
    match lists.iter().find(alone) {
        Some(list) => file.problem_at(list.line, text),
        None => file.problem(text),
    }
}

/// Builds the listener's TLS settings. Each call makes fresh session storage, so
/// that after a reload no old session can be resumed.
///
/// # Errors
/// What rustls refuses.
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
    let certified = SingleCertAndKey::from(identity.certified.clone());
    let mut config = builder.with_cert_resolver(Arc::new(certified));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Most clients begin with a suite that takes SHA-384, and know the others as well.
    config.ignore_client_order = true;
    // A client needs one for its next connection, with which it gets another.
    config.send_tls13_tickets = 1;
    Ok(config)
}
