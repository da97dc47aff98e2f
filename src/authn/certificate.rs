//! Client certificates, named by SPIFFE id or DNS name.
//!
//! The TLS handshake has verified the chain before this code sees a certificate;
//! here only its names are read. A certificate with a SPIFFE id must have exactly
//! one URI (X.509-SVID, section 2); its DNS names are then ignored.

use aws_lc_rs::digest;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::Callers;
use super::scheme::{Finding, Presented, Scheme};
use crate::domain::{Reason, trust_domain_of};

/// What is known of a verified client certificate, read once per connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    names: Names,
    sha256: [u8; 32],
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Names {
    Spiffe(String),
    /// Each as the callers file has it, with `dns:` before it.
    Dns(Vec<String>),
    Malformed,
}

impl PeerCertificate {
    /// Reads the subject alternative names of a certificate that the handshake has
    /// verified.
    #[must_use]
    pub fn read(der: &CertificateDer<'_>) -> Self {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
        Self { names: Names::read(der), sha256 }
    }

    /// The names in it, as the callers file has them; none where it has none that count.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (spiffe, dns): (Option<&str>, &[String]) = match &self.names {
            Names::Spiffe(id) => (Some(id), &[]),
            Names::Dns(names) => (None, names),
            Names::Malformed => (None, &[]),
        };
        spiffe.into_iter().chain(dns.iter().map(String::as_str))
    }

    /// The digest by which a token can be bound to it (RFC 8705, section 3.1).
    pub(super) fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }
}

impl Names {
    fn read(der: &CertificateDer<'_>) -> Self {
        let Ok(certificate) = EndEntityCert::try_from(der) else { return Self::Malformed };
        let uris: Vec<&str> = certificate.valid_uri_names().collect();
        match uris.as_slice() {
            [] => {
                let names = certificate.valid_dns_names().filter(|name| !name.contains('*'));
                Self::Dns(names.map(|name| format!("dns:{}", name.to_ascii_lowercase())).collect())
            }
            [uri] if trust_domain_of(uri).is_some() => Self::Spiffe((*uri).to_owned()),
            _ => Self::Malformed,
        }
    }
}

/// Names of certificates that the callers file knows.
pub(super) struct Certificates<'a>(pub(super) &'a Callers);

impl Scheme for Certificates<'_> {
    fn find(&self, presented: &Presented<'_>, _: Timestamp) -> Finding {
        let Some(certificate) = presented.certificate else { return Finding::Absent };
        let found = match &certificate.names {
            Names::Malformed => return Finding::Invalid(Reason::CertificateMalformed),
            Names::Spiffe(id) => self.0.by_certificate(id),
            Names::Dns(names) => {
                let mut known = names.iter().filter_map(|name| self.0.by_certificate(name));
                let first = known.next();
                if known.any(|other| Some(&other.caller) != first.map(|f| &f.caller)) {
                    return Finding::Invalid(Reason::CertificateMalformed);
                }
                first
            }
        };
        match found {
            None => Finding::Nobody(Reason::CertificateUnknown),
            Some(known) => Finding::Proven(known.principal()),
        }
    }
}
