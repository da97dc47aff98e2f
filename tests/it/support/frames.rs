//! HTTP/2 by hand over a real TLS socket (RFC 9113), for frames that no client would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Gateway, PATH, Site, http1};

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const CONTINUATION: u8 = 0x9;

pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// A literal field without indexing and without Huffman codes (RFC 7541, section 6.2.2).
pub fn field(name: &str, value: &str) -> Vec<u8> {
    assert!(name.len() < 127 && value.len() < 127, "one byte of length");
    let [n, v] = [name.len(), value.len()].map(|length| u8::try_from(length).unwrap());
    [&[0, n], name.as_bytes(), &[v], value.as_bytes()].concat()
}

/// The header block of a grant with the site's token, and with these fields.
pub fn head(site: &Site, more: &[(&str, &str)]) -> Vec<u8> {
    let authorization = format!("Bearer {}", site.token);
    let fixed = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", PATH),
        ("authorization", &authorization),
        ("content-type", "application/json"),
    ];
    fixed.iter().chain(more).flat_map(|(name, value)| field(name, value)).collect()
}

/// What the gateway said on one stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The first byte of its header block: 0x88 for 200, 0x8c for 400 (RFC 7541, appendix A).
    pub status: Option<u8>,
    pub body: String,
    /// The error code of a reset stream.
    pub reset: Option<u32>,
}

pub struct Frames(pub TlsStream<TcpStream>);

impl Frames {
    /// A connection on which nothing was said yet.
    pub async fn silent(site: &Site, gateway: &Gateway) -> Self {
        Self(http1::connect_with(site, gateway.address, &[b"h2"]).await)
    }

    /// A connection that has sent its preface and its settings.
    pub async fn open(site: &Site, gateway: &Gateway) -> Self {
        let mut frames = Self::silent(site, gateway).await;
        frames.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        frames
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The answer on a stream, which comes within some seconds.
    pub async fn answer(&mut self, stream: u32) -> Answer {
        let mut answer = Answer::default();
        loop {
            let mut header = [0; 9];
            let read = self.0.read_exact(&mut header);
            tokio::time::timeout(Duration::from_secs(10), read).await.unwrap().unwrap();
            let [a, b, c, kind, flags, id @ ..] = header;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.0.read_exact(&mut payload).await.unwrap();
            if u32::from_be_bytes(id) != stream {
                continue;
            }
            match kind {
                HEADERS => answer.status = payload.first().copied(),
                DATA => answer.body.push_str(&String::from_utf8(payload).unwrap()),
                RST_STREAM => {
                    answer.reset = Some(u32::from_be_bytes(payload.try_into().unwrap()));
                    return answer;
                }
                _ => continue,
            }
            if flags & END_STREAM != 0 {
                return answer;
            }
        }
    }
}
