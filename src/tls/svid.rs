//! What makes a certificate an X.509-SVID (SPIFFE, X509-SVID): what rustls-webpki leaves to
//! those who know which certificates they expect. It can only refuse more than that.

use rustls::pki_types::CertificateDer;
use webpki::{EndEntityCert, anchor_from_trusted_cert};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use crate::domain::trust_domain_of;

/// The trust domain of the SPIFFE id that is the one URI of a certificate. Names are read by
/// the library by which authentication reads them: two readers could see two names.
pub(super) fn trust_domain(leaf: &CertificateDer<'_>) -> Option<String> {
    let certificate = EndEntityCert::try_from(leaf).ok()?;
    let mut uris = certificate.valid_uri_names();
    let (first, second) = (uris.next()?, uris.next());
    second.is_none().then(|| trust_domain_of(first).map(str::to_owned))?
}

/// The trust domain that an authority says it is of. Its id has no path (section 3.2).
pub(super) fn trust_domain_of_authority(authority: &CertificateDer<'_>) -> Option<String> {
    let certificate = EndEntityCert::try_from(authority).ok()?;
    let id = certificate.valid_uri_names().find_map(|uri| uri.strip_prefix("spiffe://"))?;
    Some(id.split('/').next().unwrap_or_default().to_owned())
}

/// Whether a certificate may be somebody's: it has one URI whatever is in it, and is no
/// authority's (sections 2, 4.1, 4.3 and 5.2).
pub(super) fn is_leaf(der: &CertificateDer<'_>) -> bool {
    let leaf = |certificate: &X509Certificate<'_>| {
        let is_authority = certificate.basic_constraints().ok()?.is_some_and(|is| is.value.ca);
        let usage = certificate.key_usage().ok()?;
        let signs_connections = usage.as_ref().is_none_or(|usage| {
            let usage = usage.value;
            usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign()
        });
        let names = certificate.subject_alternative_name().ok()??;
        let is_uri = |name: &&GeneralName<'_>| {
            matches!(name, GeneralName::URI(_) | GeneralName::Invalid(..))
        };
        let uris = names.value.general_names.iter().filter(is_uri).count();
        Some(!is_authority && signs_connections && uris == 1)
    };
    read(der, leaf)
}

/// Whether a certificate is an authority's (sections 4.1 and 4.3). One without a key usage is,
/// as for RFC 5280 (section 6.1.4).
pub(super) fn is_authority(der: &CertificateDer<'_>) -> bool {
    let authority = |certificate: &X509Certificate<'_>| {
        let is_authority = certificate.basic_constraints().ok()?.is_some_and(|is| is.value.ca);
        let usage = certificate.key_usage().ok()?;
        Some(is_authority && usage.is_none_or(|usage| usage.value.key_cert_sign()))
    };
    read(der, authority)
}

/// What cannot be read is not what it should be.
fn read(
    der: &CertificateDer<'_>,
    question: impl FnOnce(&X509Certificate<'_>) -> Option<bool>,
) -> bool {
    let read = x509_parser::parse_x509_certificate(der);
    read.is_ok_and(|(_, certificate)| question(&certificate).unwrap_or(false))
}

/// The key by which an authority is known, under whatever certificate it comes.
pub(super) fn key_of(authority: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let anchor = anchor_from_trusted_cert(authority).ok()?;
    Some(anchor.subject_public_key_info.to_vec())
}
