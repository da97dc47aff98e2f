//! The name or address of a host, as the `Host` of a request, a certificate or a URL has it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The longest name (RFC 1035, section 2.3.4, as text without the last dot).
const NAME_BYTES_MAX: usize = 253;

/// The longest part between two dots.
const LABEL_BYTES_MAX: usize = 63;

/// A host without port: a name in lower case without a dot at its end, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    text: String,
    address: Option<IpAddr>,
}

/// Why a text is not a host. The text of each follows what the user wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing.
    #[error("is empty")]
    Empty,
    /// Blanks or control characters.
    #[error("has a blank or a control character in it")]
    Blank,
    /// `https://…`.
    #[error("is a URL; write the host alone, without scheme and path")]
    Url,
    /// `host/…`.
    #[error("has a path; write the host alone")]
    Path,
    /// `user@host`.
    #[error("has an `@`; write the host alone")]
    User,
    /// `host:8443`.
    #[error("has a port; hosts are compared without it, so leave it out")]
    Port,
    /// `*.example`.
    #[error("has a wildcard, which is not supported; write each host")]
    Wildcard,
    /// `%61`.
    #[error("has an escape with `%`; write the character itself")]
    Percent,
    /// An internationalised name as people read it (RFC 5890, section 2.3.2.1).
    #[error("has characters that are not ASCII; write the form that begins with `xn--`")]
    NotAscii,
    /// Another character than those of names.
    #[error("may have letters, digits, `-`, `_` and dots only")]
    Character,
    /// `a..b`, `.a`, `-a`, or more than 63 characters between two dots.
    #[error(
        "has an empty part, one of more than 63 characters, or one that begins or ends with `-`"
    )]
    Label,
    /// More than 253 characters.
    #[error("is longer than 253 characters")]
    TooLong,
    /// Clients take a name whose last part is a number for an address.
    #[error("is not an IP address, although its last part is a number")]
    Address,
}

impl Host {
    /// Parses a name or an address. Upper case and a dot at the end are accepted and lost; an
    /// IPv6 address may be in brackets.
    ///
    /// # Errors
    /// [`HostError`]: no request, certificate or URL can have this as its host.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(address) = bracketed.unwrap_or(text).parse::<Ipv6Addr>() {
            return Ok(Self { text: address.to_string(), address: Some(address.into()) });
        }
        characters(text)?;
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !name.split('.').all(is_label) {
            return Err(HostError::Label);
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(HostError::TooLong);
        }
        let address = name.parse::<IpAddr>().ok();
        let last = name.rsplit('.').next().unwrap_or_default();
        if address.is_none() && is_number(last) {
            return Err(HostError::Address);
        }
        Ok(Self { text: name, address })
    }

    /// Whether a request that names `host`, without port and brackets, means this one.
    #[must_use]
    pub fn is(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match self.address {
            None => self.text.eq_ignore_ascii_case(host),
            Some(address) => host.parse() == Ok(address),
        }
    }

    /// The name, or the address without brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address, where it is not a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The usual slips first, each with its own advice.
fn characters(text: &str) -> Result<(), HostError> {
    let has = |c: char| text.contains(c);
    let odd = |b: u8| !(b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let error = match () {
        () if text.is_empty() => HostError::Empty,
        () if text.contains(|c: char| c.is_whitespace() || c.is_control()) => HostError::Blank,
        () if text.contains("://") => HostError::Url,
        () if has('@') => HostError::User,
        () if has('/') => HostError::Path,
        () if has('*') => HostError::Wildcard,
        () if has('%') => HostError::Percent,
        () if has(':') => HostError::Port,
        () if !text.is_ascii() => HostError::NotAscii,
        () if text.bytes().any(odd) => HostError::Character,
        () => return Ok(()),
    };
    Err(error)
}

/// "Ends in a number" of the URL standard, section 3.5.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x");
    label.bytes().all(|b| b.is_ascii_digit())
        || hexadecimal.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Whether it is a DNS name that a certificate can have, written as it is compared.
///
/// # Errors
/// Why it is none.
pub fn check_dns_name(written: &str) -> Result<(), String> {
    let host = Host::parse(written).map_err(|error| error.to_string())?;
    if host.address().is_some() {
        return Err("is an address, which a certificate does not have among its DNS names".into());
    }
    if host.as_str() != written {
        return Err(format!(
            "is compared in lower case and without a dot at its end; write `dns:{host}`"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_can_name_is_a_host() {
        for (written, host, named) in [
            ("gate.internal", "gate.internal", &["gate.internal", "GATE.Internal."][..]),
            ("Gate.Internal.", "gate.internal", &["gate.internal"]),
            ("localhost", "localhost", &["localhost", "localhost."]),
            ("my_gate-1", "my_gate-1", &["my_gate-1"]),
            ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example", &["XN--mnchen-3ya.example"]),
            ("127.0.0.1", "127.0.0.1", &["127.0.0.1"]),
            ("::1", "::1", &["::1", "0:0:0:0:0:0:0:1"]),
            ("[2001:DB8:0::1]", "2001:db8::1", &["2001:db8::1", "2001:0db8::0001"]),
        ] {
            let parsed = Host::parse(written).unwrap();
            assert_eq!(parsed.to_string(), host);
            assert!(named.iter().all(|named| parsed.is(named)), "{written}");
            for other in ["", ".", "other", "gate.internal..", "gate.internal:1", "127.0.0.2"] {
                assert!(!parsed.is(other), "{written}: {other}");
            }
        }
    }

    #[test]
    fn what_none_can_name_is_refused() {
        use HostError as E;
        let long = "a".repeat(64);
        let longer = ["a"; 128].join(".");
        for (text, error) in [
            ("", E::Empty),
            (" ", E::Blank),
            ("gate.internal ", E::Blank),
            ("gate\u{a0}internal", E::Blank),
            ("gate\n", E::Blank),
            ("https://localhost", E::Url),
            ("https://localhost:8443/", E::Url),
            ("localhost:8443", E::Port),
            ("[::1]:8443", E::Port),
            ("[::1", E::Port),
            ("::1]", E::Port),
            ("localhost/", E::Path),
            ("me@localhost", E::User),
            ("*.internal", E::Wildcard),
            ("*", E::Wildcard),
            ("%6cocalhost", E::Percent),
            ("fe80::1%25eth0", E::Percent),
            ("münchen.example", E::NotAscii),
            ("gate,internal", E::Character),
            ("\"gate\"", E::Character),
            ("[gate]", E::Character),
            (".", E::Label),
            ("gate..internal", E::Label),
            (".internal", E::Label),
            ("gate.internal..", E::Label),
            ("-gate", E::Label),
            ("gate-.internal", E::Label),
            (long.as_str(), E::Label),
            (longer.as_str(), E::TooLong),
            ("127.1", E::Address),
            ("127.0.0.1.1", E::Address),
            ("256.0.0.1", E::Address),
            ("0x7f.1", E::Address),
            ("gate.0x1f", E::Address),
            ("8443", E::Address),
        ] {
            assert_eq!(Host::parse(text), Err(error), "{text:?}");
        }
    }
}
