//! The header of the PROXY protocol, versions 1 and 2, with which a proxy says for whom it
//! connects (haproxy.org, `proxy-protocol.txt`).
//!
//! A peer from which it is expected must send it, and from any other it is not looked for:
//! what decides is the setting, never what the bytes look like (section 5). Not one byte after
//! the header is taken off the connection: the client's TLS handshake begins there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// The first bytes of version 2, which are no text, no TLS and no HTTP.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The first bytes of version 1.
const WORD: &[u8] = b"PROXY ";

/// The longest line of version 1, with its end.
const LINE_BYTES_MAX: usize = 107;

/// Bytes of version 2 before addresses.
const FIXED: usize = 16;

/// The most bytes that may follow them. Addresses take 216 at most, and what proxies say
/// besides is a few hundred.
const BLOCK_BYTES_MAX: usize = 4096;

/// The kind of a field that has a checksum of the whole header.
const CRC32C: u8 = 0x03;

/// Why there is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection begins with something else.
    Missing,
    /// It does not match the protocol exactly.
    Malformed,
    /// The connection ended within it.
    Incomplete,
}

impl Fault {
    /// The word in metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Incomplete => "incomplete",
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(_: std::io::Error) -> Self {
        Self::Incomplete
    }
}

/// Takes the header off the start of a connection. None where the proxy connects for itself
/// (`LOCAL`) or does not say for whom (`UNKNOWN`): the connection's own address then counts.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Fault> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE {
        return binary(&read_block(stream).await?);
    }
    if start.starts_with(WORD) {
        return line(&read_line(stream, &start).await?);
    }
    Err(Fault::Missing)
}

/// The whole header of version 2.
async fn read_block(stream: &mut TcpStream) -> Result<Vec<u8>, Fault> {
    let mut fixed = [0; FIXED - SIGNATURE.len()];
    stream.read_exact(&mut fixed).await?;
    let [_, _, high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > BLOCK_BYTES_MAX {
        return Err(Fault::Malformed);
    }
    let mut header = [&SIGNATURE[..], &fixed].concat();
    header.resize(FIXED + length, 0);
    if let Some(block) = header.get_mut(FIXED..) {
        stream.read_exact(block).await?;
    }
    Ok(header)
}

/// The whole line of version 1, looked at before it is taken.
async fn read_line(stream: &mut TcpStream, start: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut line = start.to_vec();
    while !line.contains(&b'\n') {
        let mut ahead = [0; LINE_BYTES_MAX];
        let room = LINE_BYTES_MAX - line.len();
        let ahead = ahead.get_mut(..room).filter(|ahead| !ahead.is_empty());
        let ahead = ahead.ok_or(Fault::Malformed)?;
        let seen = stream.peek(ahead).await?;
        if seen == 0 {
            return Err(Fault::Incomplete);
        }
        let end = ahead.iter().take(seen).position(|byte| *byte == b'\n');
        let taken = end.map_or(seen, |end| end + 1);
        let from = line.len();
        line.resize(from + taken, 0);
        if let Some(new) = line.get_mut(from..) {
            stream.read_exact(new).await?;
        }
    }
    Ok(line)
}

/// A line of version 1 (section 2.1).
fn line(line: &[u8]) -> Result<Option<SocketAddr>, Fault> {
    let text = line.strip_suffix(b"\r\n").and_then(|text| std::str::from_utf8(text).ok());
    let text = text.filter(|text| !text.contains(['\r', '\n'])).ok_or(Fault::Malformed)?;
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            let address = |text: &str| match *family {
                "TCP4" => text.parse().ok().map(IpAddr::V4),
                _ => text.parse().ok().map(IpAddr::V6),
            };
            let ends = (address(from), address(to), port(from_port), port(to_port));
            let (Some(from), Some(_), Some(from_port), Some(_)) = ends else {
                return Err(Fault::Malformed);
            };
            Ok(Some(SocketAddr::new(from.to_canonical(), from_port)))
        }
        _ => Err(Fault::Malformed),
    }
}

/// A port in the one form that it has.
fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port: &u16| port.to_string() == text)
}

/// A header of version 2 (section 2.2), whole.
fn binary(header: &[u8]) -> Result<Option<SocketAddr>, Fault> {
    let (fixed, block) = header.split_first_chunk::<FIXED>().ok_or(Fault::Malformed)?;
    let [.., command, family, _, _] = *fixed;
    match command {
        // The proxy's own, such as a check of health: whatever follows does not count.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(Fault::Malformed),
    }
    let (source, fields) = match family {
        0x11 => {
            let (ends, fields) = block.split_first_chunk::<12>().ok_or(Fault::Malformed)?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *ends;
            let address = Ipv4Addr::new(a, b, c, d);
            (Some(SocketAddr::new(address.into(), u16::from_be_bytes([high, low]))), fields)
        }
        0x21 => {
            let (from, rest) = block.split_first_chunk::<16>().ok_or(Fault::Malformed)?;
            let (ports, fields) = rest.split_first_chunk::<20>().ok_or(Fault::Malformed)?;
            let [.., high, low, _, _] = *ports;
            let address = IpAddr::V6(Ipv6Addr::from(*from)).to_canonical();
            (Some(SocketAddr::new(address, u16::from_be_bytes([high, low]))), fields)
        }
        // Valid, and nothing that a TCP connection comes from: as if it said nothing.
        0x00 => return Ok(None),
        0x12 => (None, block.get(12..).ok_or(Fault::Malformed)?),
        0x22 => (None, block.get(36..).ok_or(Fault::Malformed)?),
        0x31 | 0x32 => (None, block.get(216..).ok_or(Fault::Malformed)?),
        _ => return Err(Fault::Malformed),
    };
    check_fields(fields, header)?;
    Ok(source)
}

/// What follows the addresses: none of it counts here, but it must be whole, and where it has a
/// checksum the header must have it (section 2.2.3).
fn check_fields(mut fields: &[u8], header: &[u8]) -> Result<(), Fault> {
    while !fields.is_empty() {
        let ([kind, high, low], rest) = fields.split_first_chunk::<3>().ok_or(Fault::Malformed)?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, after) = rest.split_at_checked(length).ok_or(Fault::Malformed)?;
        if *kind == CRC32C {
            let at = header.len() - rest.len();
            let told = <[u8; 4]>::try_from(value).ok().map(u32::from_be_bytes);
            if told != Some(crc32c(header, at..at + 4)) {
                return Err(Fault::Malformed);
            }
        }
        fields = after;
    }
    Ok(())
}

/// RFC 4960, appendix B, with the bytes in `zeroed` taken for zeros.
fn crc32c(bytes: &[u8], zeroed: std::ops::Range<usize>) -> u32 {
    let mut crc = u32::MAX;
    for (at, byte) in bytes.iter().enumerate() {
        crc ^= u32::from(if zeroed.contains(&at) { 0 } else { *byte });
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests;
