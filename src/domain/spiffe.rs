//! SPIFFE ids and the trust domains that they are of (SPIFFE-ID, section 2).

use std::fmt;
use std::sync::Arc;

/// The longest name of a trust domain, and the longest id, in bytes (SPIFFE-ID, section 2.3).
const DOMAIN_BYTES_MAX: usize = 255;
const ID_BYTES_MAX: usize = 2048;

/// The name of a trust domain: whose authorities are believed about an id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// None unless it is a name as ids have it (SPIFFE-ID, section 2.1).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_domain(text).then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the authorities of a trust domain are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleForm {
    /// Certificates, PEM.
    Pem,
    /// A SPIFFE bundle: a JWK Set (SPIFFE, Trust Domain and Bundle, section 4).
    JwkSet,
}

/// The trust domain of a SPIFFE id with a path, `spiffe://trust-domain/path`; none where the
/// text is anything else.
#[must_use]
pub fn trust_domain_of(id: &str) -> Option<&str> {
    let (domain, path) = id.strip_prefix("spiffe://")?.split_once('/')?;
    let in_segment = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.bytes().all(in_segment);
    let fits = id.len() <= ID_BYTES_MAX && is_domain(domain) && path.split('/').all(segment);
    fits.then_some(domain)
}

fn is_domain(text: &str) -> bool {
    let in_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
    !text.is_empty() && text.len() <= DOMAIN_BYTES_MAX && text.bytes().all(in_domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_with_a_path_has_a_trust_domain() {
        let longest = "d".repeat(DOMAIN_BYTES_MAX);
        for domain in ["example.org", "a", "10.0.0.1", "a_b-c.9", &longest] {
            assert_eq!(TrustDomain::parse(domain).unwrap().as_str(), domain);
            assert_eq!(trust_domain_of(&format!("spiffe://{domain}/a/B-c_9.x")), Some(domain));
        }
        let too_long = "d".repeat(DOMAIN_BYTES_MAX + 1);
        for domain in ["", "Example.org", "a b", "a:443", "a@b", "ä", "a/b", "a%2e", &too_long] {
            assert_eq!(TrustDomain::parse(domain), None, "{domain}");
        }
        let path_too_long = format!("spiffe://a/{}", "p".repeat(ID_BYTES_MAX));
        for id in [
            "spiffe://a",
            "spiffe://a/",
            "spiffe:///p",
            "SPIFFE://a/p",
            "https://a/p",
            "spiffe://a/p/",
            "spiffe://a//p",
            "spiffe://a/./p",
            "spiffe://a/../p",
            "spiffe://a/p?q",
            "spiffe://a/p#f",
            "spiffe://a:1/p",
            "spiffe://u@a/p",
            "spiffe://a/%41",
            &format!("spiffe://{too_long}/p"),
            &path_too_long,
        ] {
            assert_eq!(trust_domain_of(id), None, "{id}");
        }
    }
}
