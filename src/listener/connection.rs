//! One connection: handshake within its time, then HTTP until it ends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::announced::{self, Fault};
use super::protocol::Http;
use super::slots::Slot;
use super::sweep::Sweep;
use super::{AroundHandshake, HttpService, ListenerLimits, Peer, Stop, TlsSource};
use crate::telemetry::ListenerMetrics;

/// A connection that is to be served.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    /// The other end.
    pub(super) address: SocketAddr,
    /// That is a proxy, which says first for whom it connects.
    pub(super) announced: bool,
    /// Held until the connection ends.
    pub(super) slot: Slot,
}

/// What all connections of a listener share.
pub(super) struct Serving {
    tls: TlsSource,
    around: AroundHandshake,
    http: Http,
    handshake_timeout: Duration,
    metrics: ListenerMetrics,
}

impl Serving {
    pub(super) fn new(
        tls: TlsSource,
        around: AroundHandshake,
        limits: ListenerLimits,
        metrics: ListenerMetrics,
    ) -> Self {
        let handshake_timeout = limits.handshake_timeout;
        Self { tls, around, http: Http::new(limits), handshake_timeout, metrics }
    }

    /// Serves one connection to its end.
    pub(super) async fn connection<S: HttpService>(
        &self,
        sweep: &Sweep,
        accepted: Accepted,
        stop: Stop,
        service_for: impl Fn(&Peer) -> S,
    ) {
        let Accepted { mut stream, mut address, announced, mut slot } = accepted;
        let deadline = Instant::now() + self.handshake_timeout;
        if announced {
            // Boxed: most connections are from no proxy.
            let source = tokio::select! {
                biased;
                () = stop.ended() => return,
                source = Box::pin(self.announced(&mut stream, address, deadline)) => source,
            };
            let Some(source) = source else { return };
            address = source;
            if let Err(limit) = slot.count_for(address.ip()) {
                self.metrics.refused.with_label_values(&[limit]).inc();
                return;
            }
        }
        // Answers are small and complete: waiting to fill a segment only delays them.
        let _ = stream.set_nodelay(true);
        let handshake = TlsAcceptor::from((self.tls)()).accept(stream);
        let handshake = (self.around)(address, Box::pin(handshake));
        let handshake = timeout_at(deadline, handshake);
        let tls = tokio::select! {
            biased;
            () = stop.ended() => return,
            done = handshake => match done {
                Err(_) => return self.handshake_failed(address, "timeout", &"time-out"),
                Ok(Err(error)) => {
                    return self.handshake_failed(address, cause(&error), &error);
                }
                Ok(Ok(tls)) => tls,
            },
        };
        let certificates = tls.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
        let service = service_for(&Peer { address, certificates });
        let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        self.metrics.connections.inc();
        self.http.serve(sweep, tls, http2, address, stop, service).await;
        self.metrics.connections.dec();
        drop(slot);
    }

    /// Where a connection comes from, as its proxy says; none where it says nothing that counts.
    async fn announced(
        &self,
        stream: &mut TcpStream,
        proxy: SocketAddr,
        deadline: Instant,
    ) -> Option<SocketAddr> {
        let read = timeout_at(deadline, announced::read(stream)).await;
        match read.unwrap_or(Err(Fault::Incomplete)) {
            Ok(source) => Some(source.unwrap_or(proxy)),
            Err(fault) => {
                self.metrics.proxy_headers_refused.with_label_values(&[fault.as_str()]).inc();
                tracing::debug!(%proxy, fault = fault.as_str(), "no PROXY header");
                None
            }
        }
    }

    fn handshake_failed(&self, peer: SocketAddr, reason: &str, error: &dyn std::fmt::Display) {
        self.metrics.handshake_failures.with_label_values(&[reason]).inc();
        tracing::debug!(%peer, %error, "TLS handshake failed");
    }
}

/// Whether it was for the client's certificate, or for want of one.
fn cause(error: &std::io::Error) -> &'static str {
    use rustls::Error::{InvalidCertRevocationList, InvalidCertificate, NoCertificatesPresented};
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match error {
        Some(InvalidCertificate(_) | InvalidCertRevocationList(_) | NoCertificatesPresented) => {
            "certificate"
        }
        _ => "tls",
    }
}
