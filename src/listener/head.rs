//! Since when the head of a request has been arriving, seen in the bytes of its connection.
//!
//! On HTTP/1.1 a head begins with the first byte after the request before it was answered:
//! blank lines, which clients may send (RFC 9112, section 2.2), are not yet one. A byte that
//! came together with the request before it is not seen here; the idle time bounds it. On
//! HTTP/2 the clock runs from the first to the last byte of each frame, a header block with
//! all its CONTINUATION frames being one (RFC 9113, section 4.3). Of a DATA frame only the
//! frame header counts, as bodies have a limit of their own. The preface and the first
//! SETTINGS frame have to come at once (section 3.4).
//!
//! Nothing is decided by what is read here except how long the rest is waited for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::activity::Activity;

/// A connection whose incoming bytes are seen by an [`Activity`].
pub(super) struct Observed<S> {
    inner: S,
    /// Of HTTP/2.
    frames: Option<Frames>,
    activity: Arc<Activity>,
}

impl<S> Observed<S> {
    pub(super) fn new(inner: S, http2: bool, activity: Arc<Activity>) -> Self {
        Self { inner, frames: http2.then(Frames::default), activity }
    }

    fn see(&mut self, bytes: &[u8]) {
        match &mut self.frames {
            Some(frames) => {
                let ended = frames.read(bytes);
                self.activity.frames_seen(ended, frames.is_within());
            }
            None if bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) => {
                self.activity.head_seen();
            }
            None => {}
        }
    }
}

impl<S: Arrives> Observed<S> {
    /// Ready when there is something to read, or the end.
    pub(super) fn poll_arrives(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_arrives(context)
    }
}

/// A connection that can be waited for without a place to read to.
pub(super) trait Arrives {
    /// Ready when there is something to read, or the end.
    fn poll_arrives(&mut self, context: &mut Context<'_>) -> Poll<()>;
}

impl Arrives for TcpStream {
    fn poll_arrives(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(context).map(drop)
    }
}

impl Arrives for TlsStream<TcpStream> {
    fn poll_arrives(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (tcp, tls) = self.get_mut();
        // Something may have come together with the end of the handshake.
        match tls.process_new_packets() {
            Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed() => {
                tcp.poll_arrives(context)
            }
            Ok(_) | Err(_) => Poll::Ready(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.see(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    /// Takes off what has come and will not be read: at the end the kernel would reset the
    /// connection for it, and a reset may overtake the answer (RFC 9112, section 9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_shutdown(context))?;
        let mut unread = [0; 1024];
        for _ in 0..UNREAD_PARTS_MAX {
            let mut buffer = ReadBuf::new(&mut unread);
            match Pin::new(&mut self.inner).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) | Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// So many KiB that nobody reads are taken off a connection that ends.
const UNREAD_PARTS_MAX: usize = 64;

/// "PRI * HTTP/2.0" and so on, whose text the HTTP library checks.
const PREFACE_BYTES: usize = 24;

/// Of each frame (RFC 9113, section 4.1): length, type, flags, stream.
const FRAME_HEADER_BYTES: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// How far the frames of a connection have come.
struct Frames {
    /// Bytes of the preface or of a frame's payload that are still to come.
    rest: usize,
    header: [u8; FRAME_HEADER_BYTES],
    /// How many bytes of the frame header have come.
    have: usize,
    /// Whether the clock runs.
    within: bool,
    /// Whether it runs on after this frame: a header block has not ended.
    goes_on: bool,
}

impl Default for Frames {
    fn default() -> Self {
        let header = [0; FRAME_HEADER_BYTES];
        Self { rest: PREFACE_BYTES, header, have: 0, within: true, goes_on: true }
    }
}

impl Frames {
    /// Whether something has begun and not ended.
    fn is_within(&self) -> bool {
        self.within
    }

    /// Takes the next bytes. Whether something ended in them.
    fn read(&mut self, mut bytes: &[u8]) -> bool {
        let mut ended = false;
        while !bytes.is_empty() {
            if self.rest > 0 {
                let taken = self.rest.min(bytes.len());
                self.rest -= taken;
                bytes = bytes.get(taken..).unwrap_or_default();
            } else {
                let (missing, more) =
                    bytes.split_at((FRAME_HEADER_BYTES - self.have).min(bytes.len()));
                for (to, from) in self.header.iter_mut().skip(self.have).zip(missing) {
                    *to = *from;
                }
                self.have += missing.len();
                self.within = true;
                bytes = more;
                if self.have < FRAME_HEADER_BYTES {
                    break;
                }
                ended |= self.begin();
            }
            if self.rest == 0 && self.within && !self.goes_on {
                self.within = false;
                ended = true;
            }
        }
        ended
    }

    /// Reads a frame header. Whether that was all that the clock runs for.
    fn begin(&mut self) -> bool {
        let [a, b, c, kind, flags, ..] = self.header;
        self.have = 0;
        self.rest = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.goes_on = matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS == 0;
        if kind == DATA {
            self.within = false;
        }
        kind == DATA
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8; PREFACE_BYTES] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: u8 = 0x4;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [.., a, b, c] = length.to_be_bytes();
        [&[a, b, c, kind, flags, 0, 0, 0, 1][..], &vec![0xff; length]].concat()
    }

    fn opened() -> Frames {
        let mut frames = Frames::default();
        assert!(frames.read(&[&PREFACE[..], &frame(SETTINGS, 0, 6)].concat()));
        frames
    }

    #[test]
    fn the_preface_and_the_first_settings_are_one() {
        let bytes = [&PREFACE[..], &frame(SETTINGS, 0, 0)].concat();
        let mut frames = Frames::default();
        for byte in &bytes[..bytes.len() - 1] {
            assert!(frames.is_within());
            assert!(!frames.read(&[*byte]));
        }
        assert!(frames.read(&bytes[bytes.len() - 1..]) && !frames.is_within());
    }

    #[test]
    fn a_header_block_ends_with_its_last_frame_however_it_is_cut() {
        let block = [
            frame(HEADERS, 0, 3),
            frame(CONTINUATION, 0, 0),
            frame(CONTINUATION, 0, 2),
            frame(CONTINUATION, END_HEADERS, 1),
        ]
        .concat();
        for cut in 0..block.len() {
            let mut frames = opened();
            assert!(!frames.read(&block[..cut]), "{cut}");
            assert_eq!(frames.is_within(), cut > 0, "{cut}");
            assert!(frames.read(&block[cut..]) && !frames.is_within(), "{cut}");
        }
    }

    #[test]
    fn of_data_only_the_frame_header_counts() {
        let mut frames = opened();
        let data = frame(DATA, 0, 300);
        assert!(!frames.read(&data[..8]) && frames.is_within());
        assert!(frames.read(&data[8..9]) && !frames.is_within());
        assert!(!frames.read(&data[9..]) && !frames.is_within());
        // Its end and the next beginning in one read.
        let next = [&data[..], &frame(HEADERS, END_HEADERS, 4)[..5]].concat();
        assert!(frames.read(&next) && frames.is_within());
    }

    #[test]
    fn a_frame_that_ends_and_one_that_begins_are_told_apart() {
        let mut frames = opened();
        assert!(!frames.read(&frame(SETTINGS, 0, 6)[..10]) && frames.is_within());
        let rest = [&[0xff; 5][..], &frame(HEADERS, 0, 2)].concat();
        assert!(frames.read(&rest) && frames.is_within());
        assert!(!frames.read(&frame(CONTINUATION, 0, 2)) && frames.is_within());
    }
}
