//! One connection: handshake within its time, then HTTP until it ends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::protocol::Http;
use super::sweep::Sweep;
use super::{AroundHandshake, HttpService, ListenerLimits, Peer, Stop, TlsSource};
use crate::telemetry::ListenerMetrics;

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
        stream: TcpStream,
        address: SocketAddr,
        stop: Stop,
        service_for: impl Fn(&Peer) -> S,
    ) {
        // Answers are small and complete: waiting to fill a segment only delays them.
        let _ = stream.set_nodelay(true);
        let handshake = TlsAcceptor::from((self.tls)()).accept(stream);
        let handshake = (self.around)(address, Box::pin(handshake));
        let handshake = timeout(self.handshake_timeout, handshake);
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
