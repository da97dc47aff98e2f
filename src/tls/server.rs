//! The side that callers connect to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{DEFAULT_VERSIONS, RootCertStore, ServerConfig};

use super::bundle::Bundle;
use super::identity::Identity;
use super::inspect::clients::{PlacedList, inspect_clients, newest_first};
use super::inspect::{Inspection, Side};
use super::pem::{PemFile, PlacedCertificate, certificates, ordinal, revocation_lists};
use super::refused::{CertificateFault, Noting};
use super::trust::{Authorities, Trust};
use super::{TlsError, provider, svid};
use crate::domain::{BundleForm, Problem, TrustDomain};

static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// The files by which client certificates are verified.
#[derive(Clone, Copy)]
pub struct ClientFiles<'a> {
    /// Authorities.
    pub authorities: PemFile<'a>,
    /// Their revocation lists, where these are in use.
    pub lists: Option<PemFile<'a>>,
}

/// The files of one trust domain.
pub struct DomainFiles<'a> {
    /// Its name.
    pub name: TrustDomain,
    /// How the file of its authorities is written.
    pub form: BundleForm,
    /// Its authorities, which are believed about nothing else.
    pub files: ClientFiles<'a>,
}

/// How client certificates are verified.
pub struct ClientCertificates {
    trust: Arc<Trust>,
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
        Self::with_domains(Some(files), &[], side, required)
    }

    /// The same, where authorities of their own are believed about each of some trust domains,
    /// and the `general` ones about everything else.
    ///
    /// # Errors
    /// As [`Self::new`], and an authority that is in two of the files.
    pub fn with_domains(
        general: Option<ClientFiles<'_>>,
        domains: &[DomainFiles<'_>],
        side: Side,
        required: bool,
    ) -> Result<Self, Vec<Problem>> {
        let general = general.map(|files| read(None, files, side, required));
        let domains = domains.iter().map(|domain| read(Some(domain), domain.files, side, required));
        let (mut sets, mut problems) = (Vec::new(), Vec::new());
        for made in general.into_iter().chain(domains) {
            match made {
                Ok(set) => sets.push(set),
                Err(found) => problems.extend(found),
            }
        }
        problems.extend(shared_authorities(&sets));
        if !problems.is_empty() {
            return Err(problems);
        }
        let inspection =
            Inspection::of_sets(sets.iter_mut().map(|set| std::mem::take(&mut set.inspection)));
        let certificates = |set: &Set<'_>| set.certificates.clone();
        let authorities = sets.iter().flat_map(certificates).collect();
        let sets = sets.into_iter().map(|set| {
            let certificates = set.certificates.into_iter().map(|placed| placed.item).collect();
            Authorities::new(set.domain.cloned(), set.verifier, certificates)
        });
        let trust = Arc::new(Trust::new(sets.collect(), required));
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        Ok(Self { trust, generation, authorities, inspection })
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
        let verified = self.trust.verify(leaf, intermediates, UnixTime::now());
        verified.map(drop).map_err(|refusal| refusal.fault)
    }
}

/// Authorities as they were read.
struct Set<'a> {
    domain: Option<&'a TrustDomain>,
    file: PemFile<'a>,
    verifier: Arc<dyn ClientCertVerifier>,
    certificates: Vec<PlacedCertificate>,
    inspection: Inspection,
}

fn read<'a>(
    of: Option<&'a DomainFiles<'_>>,
    files: ClientFiles<'a>,
    side: Side,
    required: bool,
) -> Result<Set<'a>, Vec<Problem>> {
    let (domain, file) = (of.map(|of| &of.name), files.authorities);
    let lists = files.lists.map(revocation_lists).transpose();
    let bundle = match of.map_or(BundleForm::Pem, |of| of.form) {
        BundleForm::JwkSet => Bundle::read(file),
        BundleForm::Pem => certificates(file)
            .map(|authorities| Bundle { authorities, doubt: None })
            .map_err(|problem| vec![problem]),
    };
    let (Bundle { authorities: certificates, doubt }, mut lists) = match (bundle, lists) {
        (Ok(bundle), Ok(lists)) => (bundle, lists),
        (bundle, lists) => {
            let found = bundle.err().into_iter().flatten();
            return Err(found.chain(lists.err()).collect());
        }
    };
    let one = |problem| vec![problem];
    let roots = Arc::new(roots_of(file, &certificates).map_err(one)?);
    newest_first(lists.as_deref_mut().unwrap_or_default());
    let placed = files.lists.zip(lists.as_deref());
    let mut inspection = inspect_clients(file, &certificates, placed, side, required);
    if let Some(domain) = domain {
        let problems = no_authorities(domain, file, &certificates);
        if !problems.is_empty() {
            return Err(problems);
        }
        inspection.is_of_domain(domain, file, &certificates);
        inspection.doubt(doubt);
    }
    let verifier = match placed {
        None => verifier(&roots, &[], required).map_err(|error| {
            file.problem(format!("client certificates cannot be verified: {error}"))
        }),
        Some((file, lists)) => verifier(&roots, lists, required)
            .map_err(|error| unusable_list(file, lists, &roots, &error)),
    };
    let verifier = verifier.map_err(one)?;
    Ok(Set { domain, file, verifier, certificates, inspection })
}

/// Certificates in the file of a trust domain that are not an authority's.
fn no_authorities(
    domain: &TrustDomain,
    file: PemFile<'_>,
    certificates: &[PlacedCertificate],
) -> Vec<Problem> {
    let wrong =
        certificates.iter().zip(1..).filter(|(placed, _)| !svid::is_authority(&placed.item));
    let problem = |(placed, number): (&PlacedCertificate, usize)| {
        let text = format!(
            "the {} certificate is not an authority's, and so cannot be one of trust domain \
             `{domain}`: it lacks `CA:TRUE`, or has a key usage without `keyCertSign` (X509-SVID, \
             sections 4.1 and 4.3)",
            ordinal(number)
        );
        file.problem_at(placed.line, text)
    };
    wrong.map(problem).collect()
}

/// Authorities that are believed about two things, so that one could speak for the other. The
/// specification discourages it (Trust Domain and Bundle, "Reusing Cryptographic Keys Across
/// Trust Domains"); here it would undo what the tables are for.
fn shared_authorities(sets: &[Set<'_>]) -> Vec<Problem> {
    let mut known: HashMap<Vec<u8>, (usize, String)> = HashMap::new();
    let mut found = Vec::new();
    for (number, set) in sets.iter().enumerate() {
        let of = match set.domain {
            Some(domain) => format!("trust domain `{domain}`"),
            None => "`listener.client_ca_file`".to_owned(),
        };
        for placed in &set.certificates {
            let Some(key) = svid::key_of(&placed.item) else { continue };
            match known.get(&key) {
                Some((first, place)) if *first != number => {
                    let text = format!(
                        "this authority of {of} is one of {place} too: it could sign for both; give \
                         each authorities, with keys, of its own"
                    );
                    found.push(set.file.problem_at(placed.line, text));
                }
                Some(_) => {}
                None => {
                    let place = format!("{of} ({}:{})", set.file.name, placed.line);
                    known.insert(key, (number, place));
                }
            }
        }
    }
    found
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
        Some(clients) => builder.with_client_cert_verifier(Arc::new(Noting(clients.trust.clone()))),
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
