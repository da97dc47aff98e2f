//! Which authorities are believed about which client certificates.
//!
//! A certificate that names a trust domain with authorities of its own is verified against
//! these alone, and every other against the general ones (SPIFFE, Trust Domain and Bundle;
//! X509-SVID, section 5.2). So an authority of one trust domain can sign neither for another
//! nor for a DNS name.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DistinguishedName, Error};

use super::certificate::{Facts, has_signed};
use super::refused::CertificateFault;
use super::svid;
use crate::domain::TrustDomain;

/// Signatures that are tried to tell why a certificate was refused.
const SIGNATURES_MAX: usize = 64;

/// Authorities, with their revocation lists.
#[derive(Debug)]
pub(super) struct Authorities {
    /// The one trust domain about which they are believed; none for the general ones.
    domain: Option<TrustDomain>,
    verifier: Arc<dyn ClientCertVerifier>,
    certificates: Vec<CertificateDer<'static>>,
    /// Their names, as encoded; none where one cannot be read.
    names: Vec<Option<Vec<u8>>>,
}

impl Authorities {
    pub(super) fn new(
        domain: Option<TrustDomain>,
        verifier: Arc<dyn ClientCertVerifier>,
        certificates: Vec<CertificateDer<'static>>,
    ) -> Self {
        let name = |certificate| Some(Facts::read(certificate)?.subject_der);
        let names = certificates.iter().map(|certificate| name(certificate)).collect();
        Self { domain, verifier, certificates, names }
    }

    /// Whether one of them has signed a certificate of an issuer of this name.
    fn have_signed(&self, signed: &CertificateDer<'_>, issuer: &[u8], tries: &mut usize) -> bool {
        self.certificates.iter().zip(&self.names).any(|(authority, name)| {
            if name.as_deref() != Some(issuer) || *tries == 0 {
                return false;
            }
            *tries -= 1;
            has_signed(authority, signed) == Some(true)
        })
    }
}

/// All authorities of a listener.
#[derive(Debug)]
pub(super) struct Trust {
    sets: Vec<Authorities>,
    /// The keys of trust domains' authorities, and in which of `sets` they are.
    keys: HashMap<Vec<u8>, usize>,
    hints: Vec<DistinguishedName>,
    required: bool,
}

/// Why a certificate is refused: for the client, and for those who look after it.
pub(super) struct Refusal {
    pub(super) error: Error,
    pub(super) fault: CertificateFault,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let fault = CertificateFault::from(&error);
        Self { error, fault }
    }
}

impl Refusal {
    /// To the client it is as if nobody were trusted who has signed it.
    fn because(fault: CertificateFault) -> Self {
        Self { error: CertificateError::UnknownIssuer.into(), fault }
    }
}

impl Trust {
    pub(super) fn new(sets: Vec<Authorities>, required: bool) -> Self {
        let mut hints: Vec<DistinguishedName> = Vec::new();
        let mut keys = HashMap::new();
        for (number, set) in sets.iter().enumerate() {
            for hint in set.verifier.root_hint_subjects() {
                let is_known = |known: &DistinguishedName| known.as_ref() == hint.as_ref();
                if sets.len() == 1 || !hints.iter().any(is_known) {
                    hints.push(hint.clone());
                }
            }
            if set.domain.is_some() {
                let own = set.certificates.iter().filter_map(svid::key_of);
                keys.extend(own.map(|key| (key, number)));
            }
        }
        Self { sets, keys, hints, required }
    }

    /// The names of all authorities.
    pub(super) fn hints(&self) -> &[DistinguishedName] {
        &self.hints
    }

    /// Whether a client must have a certificate.
    pub(super) fn is_required(&self) -> bool {
        self.required
    }

    /// Whether a certificate is accepted, with those that were sent above it.
    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Refusal> {
        if let [Authorities { domain: None, verifier, .. }] = self.sets.as_slice() {
            return Ok(verifier.verify_client_cert(leaf, above, now)?);
        }
        let named = svid::trust_domain(leaf);
        let is_of = |domain: Option<&str>| {
            self.sets.iter().position(|set| set.domain.as_ref().map(TrustDomain::as_str) == domain)
        };
        let own = named.as_deref().and_then(|name| is_of(Some(name))).or_else(|| is_of(None));
        let verified = match own {
            Some(own) => self.verify_by(own, leaf, above, now),
            None => Err(ParsedCertificate::try_from(leaf)
                .map_or_else(Refusal::from, |_| Refusal::because(CertificateFault::UnknownIssuer))),
        };
        verified.map_err(|refusal| {
            let is_unsigned = matches!(
                refusal.fault,
                CertificateFault::UnknownIssuer | CertificateFault::BadSignature
            );
            if !is_unsigned || !self.is_of_others(own, leaf, above, now) {
                return refusal;
            }
            Refusal::because(match named {
                Some(_) => CertificateFault::WrongTrustDomain,
                None => CertificateFault::NotAnSvid,
            })
        })
    }

    /// Whether the authorities in `sets[number]` stand for a certificate.
    fn verify_by(
        &self,
        number: usize,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Refusal> {
        let Some(set) = self.sets.get(number) else {
            return Err(Refusal::because(CertificateFault::UnknownIssuer));
        };
        if set.domain.is_some() && !svid::is_leaf(leaf) {
            return Err(Refusal::because(CertificateFault::NotAnSvid));
        }
        // The authority of another trust domain is no link of a chain: who has signed it could
        // otherwise be spoken for by it.
        let is_link = |certificate: &&CertificateDer<'_>| {
            let key = svid::key_of(certificate);
            let is_others = key.is_none_or(|key| self.keys.get(&key).is_some_and(|n| *n != number));
            !is_others && (set.domain.is_none() || svid::is_authority(certificate))
        };
        let links = above.iter().filter(is_link).map(|der| CertificateDer::from(der.as_ref()));
        let links: Vec<_> = links.collect();
        Ok(set.verifier.verify_client_cert(leaf, &links, now)?)
    }

    /// Whether authorities that are not asked about it stand for a certificate. It decides
    /// nothing: they are found by the last of the chain, so that a client cannot make the
    /// gateway verify a chain by each.
    fn is_of_others(
        &self,
        own: Option<usize>,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> bool {
        let last = above.last().unwrap_or(leaf);
        let Some(Facts { issuer_der: issuer, .. }) = Facts::read(last) else { return false };
        let owner = svid::key_of(last).and_then(|key| self.keys.get(&key));
        let mut tries = SIGNATURES_MAX;
        let mut others = self.sets.iter().enumerate().filter(|(number, _)| Some(*number) != own);
        let other = others.find(|(number, set)| {
            owner == Some(number) || set.have_signed(last, &issuer, &mut tries)
        });
        other.is_some_and(|(_, set)| set.verifier.verify_client_cert(leaf, above, now).is_ok())
    }
}
