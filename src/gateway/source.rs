//! Where a request comes from, as proxies in front of the gateway say: `X-Forwarded-For`, or
//! `Forwarded` (RFC 7239).
//!
//! Proxies add what they know at the end, and what is further in front may be the client's own
//! invention. So the list is read from its end, one element after the other, as long as it is
//! a listed proxy that is spoken of: the first address that is none is the client's. What
//! stands before that is not even looked at.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

use crate::config::ForwardedHeader;
use crate::domain::Networks;

/// The most elements that are looked at.
const HOPS_MAX: usize = 32;

/// Which proxies are believed about whom they ask for.
#[derive(Debug)]
pub struct Sources {
    proxies: Networks,
    header: ForwardedHeader,
}

/// A header, as far as it is looked at, that is not what it must be.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// What a proxy says of whom it asks for.
#[derive(Debug, PartialEq, Eq)]
enum Node {
    Address(SocketAddr),
    /// It does not know, or does not tell.
    Hidden,
}

impl Sources {
    /// None where no proxy is believed.
    #[must_use]
    pub fn new(proxies: &Networks, header: ForwardedHeader) -> Option<Self> {
        (!proxies.is_empty()).then(|| Self { proxies: proxies.clone(), header })
    }

    /// Whether this is one of the proxies.
    #[must_use]
    pub fn believes(&self, peer: IpAddr) -> bool {
        self.proxies.contains(peer)
    }

    /// Where a request of a proxy's comes from: the proxy itself, where it does not say.
    ///
    /// # Errors
    /// [`Malformed`]: nothing of the header counts then.
    pub fn of(&self, proxy: SocketAddr, headers: &HeaderMap) -> Result<SocketAddr, Malformed> {
        let (name, node): (_, fn(&str) -> Option<Node>) = match self.header {
            ForwardedHeader::XForwardedFor => {
                (HeaderName::from_static("x-forwarded-for"), address_or_word)
            }
            ForwardedHeader::Forwarded => (http::header::FORWARDED, forwarded),
        };
        let (mut source, mut hops) = (proxy, 0);
        for line in headers.get_all(name).iter().rev() {
            let line = line.to_str().map_err(|_| Malformed)?;
            // Each element by itself: a quote that the client left open closes nothing of ours.
            for element in line.rsplit(',').map(|element| element.trim_matches([' ', '\t'])) {
                hops += 1;
                if hops > HOPS_MAX {
                    return Err(Malformed);
                }
                if element.is_empty() {
                    continue;
                }
                match node(element).ok_or(Malformed)? {
                    Node::Hidden => return Ok(proxy),
                    Node::Address(address) => source = address,
                }
                if !self.believes(source.ip()) {
                    return Ok(source);
                }
            }
        }
        Ok(source)
    }
}

/// An element of `X-Forwarded-For`: an address, by some proxies with its port.
fn address_or_word(text: &str) -> Option<Node> {
    if text.eq_ignore_ascii_case("unknown") {
        return Some(Node::Hidden);
    }
    let bare = text.parse::<IpAddr>().ok();
    bare.map(|ip| address(ip, 0)).or_else(|| with_port(text))
}

/// `192.0.2.7:1`, `[2001:db8::7]:1` or `[2001:db8::7]`.
fn with_port(text: &str) -> Option<Node> {
    let (ip, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']')?;
            (IpAddr::V6(ip.parse().ok()?), port)
        }
        None => {
            let (ip, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (IpAddr::V4(ip.parse().ok()?), port)
        }
    };
    match port.strip_prefix(':') {
        None => port.is_empty().then(|| address(ip, 0)),
        // A port may be hidden where the address is not (RFC 7239, section 6.2).
        Some(hidden) if is_hidden(hidden) => Some(address(ip, 0)),
        Some(port) => {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|_| digits)?;
            Some(address(ip, port))
        }
    }
}

fn address(ip: IpAddr, port: u16) -> Node {
    Node::Address(SocketAddr::new(ip.to_canonical(), port))
}

/// An element of `Forwarded`: pairs, of which `for` is the one that counts (RFC 7239, section
/// 4).
fn forwarded(element: &str) -> Option<Node> {
    let (mut found, mut rest) = (None, element);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            break;
        }
        let (name, value, after) = pair(rest)?;
        if name.eq_ignore_ascii_case("for") {
            let node = match value.as_str() {
                hidden if hidden.eq_ignore_ascii_case("unknown") || is_hidden(hidden) => {
                    Node::Hidden
                }
                // IPv6 addresses have brackets here.
                address => with_port(address)?,
            };
            if found.replace(node).is_some() {
                return None;
            }
        }
        rest = after;
    }
    Some(found.unwrap_or(Node::Hidden))
}

/// `token "=" ( token / quoted-string )`, and what follows its semicolon.
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        None => {
            let end = rest.find([';', ' ', '\t']).unwrap_or(rest.len());
            let (value, rest) = rest.split_at(end);
            // Proxies write an address with its port without the quotes that it should have.
            let plain = |byte| is_token(byte) || byte == b':';
            (!value.is_empty() && value.bytes().all(plain)).then(|| (value.to_owned(), rest))?
        }
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    let ends = rest.is_empty() || rest.starts_with(';');
    (ends && !name.is_empty() && name.bytes().all(is_token)).then_some((name, value, rest))
}

/// The text up to the quote that closes it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, text.get(at + 1..)?)),
            _ => value.push(c),
        }
    }
    None
}

/// An identifier that a proxy made up (RFC 7239, section 6.3).
fn is_hidden(text: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.strip_prefix('_').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(may))
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
