//! What a certificate or a revocation list says of itself. It is told to people and
//! decides nothing: who is trusted is decided by rustls-webpki.

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::num_bigint::BigUint;
use x509_parser::oid_registry::{OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS, Oid};
use x509_parser::prelude::{X509Certificate, X509Name};
use x509_parser::time::ASN1Time;

use super::der::{Signed, Value};
use super::provider;

/// Names that are shown of one certificate, and the characters of each.
const NAMES_MAX: usize = 4;
const NAME_CHARS_MAX: usize = 120;

/// A serial number has 20 bytes at most (RFC 5280, section 4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;

/// What inspection looks at.
pub(super) struct Facts {
    pub(super) version: u32,
    /// For people.
    pub(super) subject: String,
    /// For people.
    pub(super) issuer: String,
    /// As encoded.
    pub(super) subject_der: Vec<u8>,
    pub(super) issuer_der: Vec<u8>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) not_after: Option<Timestamp>,
    /// Whether it says that it is an authority's; none where it does not say.
    pub(super) is_authority: Option<bool>,
    /// Whether its key may sign revocation lists; none where it does not say.
    pub(super) signs_lists: Option<bool>,
    /// Whether it is for servers; none where it does not say.
    pub(super) for_servers: Option<bool>,
    pub(super) has_names: bool,
    /// Where its issuer's certificate can be fetched.
    pub(super) issuer_url: Option<String>,
    /// Whether its issuer's certificate was issued by another; none where it does not say.
    pub(super) issuer_is_intermediate: Option<bool>,
}

impl Facts {
    /// None where it cannot be read.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let mut facts = Self {
            version: certificate.version().0.saturating_add(1),
            subject: name(certificate.subject()),
            issuer: name(certificate.issuer()),
            subject_der: certificate.subject().as_raw().to_vec(),
            issuer_der: certificate.issuer().as_raw().to_vec(),
            not_before: time(certificate.validity().not_before),
            not_after: time(certificate.validity().not_after),
            is_authority: None,
            signs_lists: None,
            for_servers: None,
            has_names: false,
            issuer_url: None,
            issuer_is_intermediate: None,
        };
        for extension in certificate.extensions() {
            facts.take(extension.parsed_extension());
        }
        Some(facts)
    }

    fn take(&mut self, extension: &ParsedExtension<'_>) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "an open set, of which few matter")]
        match extension {
            ParsedExtension::BasicConstraints(is) => self.is_authority = Some(is.ca),
            ParsedExtension::KeyUsage(usage) => self.signs_lists = Some(usage.crl_sign()),
            ParsedExtension::ExtendedKeyUsage(usage) => self.for_servers = Some(usage.server_auth),
            ParsedExtension::SubjectAlternativeName(names) => {
                self.has_names = !names.general_names.is_empty();
            }
            ParsedExtension::AuthorityInfoAccess(access) => {
                let is_issuer = |method: &Oid<'_>| *method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS;
                let mut of_issuer = access.iter().filter(|at| is_issuer(&at.access_method));
                self.issuer_url = of_issuer.find_map(|at| uri(&at.access_location));
            }
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                let mut names = id.authority_cert_issuer.iter().flatten();
                self.issuer_is_intermediate = names.find_map(|name| match name {
                    GeneralName::DirectoryName(name) => Some(name.as_raw() != self.issuer_der),
                    _ => None,
                });
            }
            _ => {}
        }
    }

    /// Whether it signed itself, as roots do. `der` is what these facts are of.
    pub(super) fn is_self_signed(&self, der: &CertificateDer<'_>) -> bool {
        self.subject_der == self.issuer_der && has_signed(der, der) != Some(false)
    }
}

fn uri(name: &GeneralName<'_>) -> Option<String> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "an open set, of which one matters")]
    match name {
        GeneralName::URI(uri) => Some(printable(uri)),
        _ => None,
    }
}

/// What a revocation list says of itself.
pub(super) struct ListFacts {
    pub(super) issuer: String,
    pub(super) issuer_der: Vec<u8>,
    pub(super) this_update: Option<Timestamp>,
    /// Grows with each list of one authority (section 5.2.3).
    pub(super) number: Option<BigUint>,
    /// Until when it is good (RFC 5280, section 5.1.2.5).
    pub(super) next_update: Option<Timestamp>,
    /// The parts of its authority's certificates that it is of, as encoded; none for all.
    pub(super) scope: Option<Vec<u8>>,
}

impl ListFacts {
    /// None where it cannot be read.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (_, list) = x509_parser::parse_x509_crl(der).ok()?;
        let scope = list.extensions().iter().find(|extension| {
            matches!(extension.parsed_extension(), ParsedExtension::IssuingDistributionPoint(_))
        });
        Some(Self {
            issuer: name(list.issuer()),
            issuer_der: list.issuer().as_raw().to_vec(),
            this_update: time(list.last_update()),
            number: list.crl_number().cloned(),
            next_update: list.next_update().and_then(time),
            scope: scope.map(|extension| extension.value.to_vec()),
        })
    }
}

/// A certificate by which somebody was refused, for a log: bounded, and without characters
/// that a terminal would obey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its alternative names, or else its subject.
    pub names: Vec<String>,
    /// Its serial number, in hexadecimal digits.
    pub serial: String,
    /// Who issued it.
    pub issuer: String,
}

/// When a certificate expires; none where it cannot be read.
#[must_use]
pub fn expiry_of(der: &CertificateDer<'_>) -> Option<Timestamp> {
    Facts::read(der)?.not_after
}

impl Shown {
    /// None where it is not a certificate.
    #[must_use]
    pub fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let mut names = alternative_names(&certificate);
        if names.is_empty() {
            names.push(name(certificate.subject()));
        }
        Some(Self {
            names,
            serial: serial(certificate.raw_serial()),
            issuer: name(certificate.issuer()),
        })
    }
}

/// As `openssl x509 -serial` prints it, in lower case: without the byte that only says that
/// it is not negative.
fn serial(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(zeros..).filter(|digits| !digits.is_empty()).unwrap_or(&[0]);
    digits.iter().take(SERIAL_BYTES_MAX).map(|byte| format!("{byte:02x}")).collect()
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let mut shown = Vec::new();
    for name in names.value.general_names.iter().take(NAMES_MAX) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the others are seen by their kind")]
        shown.push(match name {
            GeneralName::DNSName(name) => printable(&format!("dns:{name}")),
            GeneralName::URI(uri) => printable(uri),
            GeneralName::RFC822Name(address) => printable(&format!("email:{address}")),
            GeneralName::IPAddress(bytes) => format!("ip:{}", address(bytes)),
            GeneralName::DirectoryName(name) => printable(&name.to_string()),
            _ => "a name of another kind".to_owned(),
        });
    }
    let more = names.value.general_names.len().saturating_sub(NAMES_MAX);
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown
}

fn address(bytes: &[u8]) -> String {
    let four = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let sixteen = || <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from);
    four.or_else(|_| sixteen()).map_or_else(|_| "not an address".into(), |ip| ip.to_string())
}

fn name(name: &X509Name<'_>) -> String {
    printable(&name.to_string())
}

/// Letters and digits of any script and what ASCII prints; the rest is shown as a mark.
fn printable(text: &str) -> String {
    let visible =
        |c: char| if c.is_alphanumeric() || (' '..='~').contains(&c) { c } else { '\u{fffd}' };
    let mut shown: String = text.chars().take(NAME_CHARS_MAX).map(visible).collect();
    if text.chars().nth(NAME_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

fn time(time: ASN1Time) -> Option<Timestamp> {
    Timestamp::from_second(time.timestamp()).ok()
}

/// Whether the key of `issuer` made the signature on `signed`, a certificate or a list.
/// None where that cannot be told: an algorithm that is not known here.
pub(super) fn has_signed(issuer: &CertificateDer<'_>, signed: &[u8]) -> Option<bool> {
    let (_, certificate) = x509_parser::parse_x509_certificate(issuer).ok()?;
    let public = Value::of(certificate.public_key().raw)?.children();
    let [algorithm, key] = public.as_slice() else { return None };
    let key = key.contents.strip_prefix(&[0])?;
    let signed = Signed::of(signed)?;
    let provider = provider();
    let mut candidates = provider
        .signature_verification_algorithms
        .all
        .iter()
        .filter(|known| {
            known.signature_alg_id().as_ref() == signed.algorithm.contents
                && known.public_key_alg_id().as_ref() == algorithm.contents
        })
        .peekable();
    candidates.peek()?;
    Some(
        candidates.any(|known| {
            known.verify_signature(key, signed.content.whole, signed.signature).is_ok()
        }),
    )
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn shown(change: impl FnOnce(&mut CertificateParams)) -> Shown {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        change(&mut params);
        Shown::of(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn what_a_stranger_wrote_is_bounded_and_obeyed_by_no_terminal() {
        let dns =
            |n: usize| SanType::DnsName(format!("{n}.{}", "x".repeat(300)).try_into().unwrap());
        let many = shown(|params| {
            params.subject_alt_names = (0..500).map(dns).collect();
            params.serial_number = Some(vec![0xab; 60].into());
        });
        assert_eq!(many.names.len(), NAMES_MAX + 1);
        assert!(many.names.iter().all(|name| name.chars().count() <= NAME_CHARS_MAX + 1));
        assert_eq!(many.names.last().map(String::as_str), Some("and 496 more"));
        assert_eq!(many.serial, "ab".repeat(SERIAL_BYTES_MAX));

        let hostile = "\u{1b}[2Jroot\r\n\u{202e}\u{feff}";
        let subject = shown(|params| {
            params.distinguished_name.push(DnType::CommonName, format!("Pförtner {hostile}"));
            params.serial_number = Some(vec![0, 0x80, 1].into());
        });
        assert_eq!(
            subject.names,
            ["CN=Pf\u{f6}rtner \u{fffd}[2Jroot\u{fffd}\u{fffd}\u{fffd}\u{fffd}"]
        );
        assert_eq!(subject.issuer, subject.names[0]);
        assert_eq!(subject.serial, "8001");

        let kinds = shown(|params| {
            params.subject_alt_names = vec![
                SanType::IpAddress([192, 0, 2, 1].into()),
                SanType::Rfc822Name("desk@example.org".try_into().unwrap()),
                SanType::URI("spiffe://example.org/a".try_into().unwrap()),
            ];
        });
        assert_eq!(
            kinds.names,
            ["ip:192.0.2.1", "email:desk@example.org", "spiffe://example.org/a"]
        );
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let der = CertificateDer::from(bytes);
            let _ = (Shown::of(&der), Facts::read(&der), ListFacts::read(&der));
            let _ = has_signed(&der, &der);
        }
    }
}
