//! One connection: handshake within its time, then HTTP until it ends.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{ListenerLimits, Peer, TlsSource};
use crate::telemetry::ListenerMetrics;

/// What a listener serves: a tower service that answers every request.
pub trait HttpService:
    tower::Service<
        Request<Incoming>,
        Response = Response<Full<Bytes>>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
}

impl<S> HttpService for S where
    S: tower::Service<
            Request<Incoming>,
            Response = Response<Full<Bytes>>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static
{
}

/// What all connections of a listener share.
pub(super) struct Serving {
    tls: TlsSource,
    http: auto::Builder<TokioExecutor>,
    limits: ListenerLimits,
    metrics: ListenerMetrics,
}

impl Serving {
    pub(super) fn new(tls: TlsSource, limits: ListenerLimits, metrics: ListenerMetrics) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            // Also the limit for a kept-alive connection that says nothing.
            .header_read_timeout(limits.idle_timeout)
            .max_buf_size(usize::try_from(limits.header_bytes_max).unwrap_or(16 * 1024))
            .max_headers(64);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_per_connection_max)
            .max_header_list_size(limits.header_bytes_max)
            // Streams that were reset, by the peer or for the peer's fault, and whose
            // work is not yet dropped: the bound against reset floods.
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(100)
            .keep_alive_interval(limits.idle_timeout / 2)
            .keep_alive_timeout(limits.handshake_timeout);
        Self { tls, http, limits, metrics }
    }

    /// Serves one connection to its end.
    pub(super) async fn connection<S: HttpService>(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        watcher: Watcher,
        service_for: impl Fn(&Peer) -> S,
    ) {
        // Answers are small and complete: waiting to fill a segment only delays them.
        let _ = stream.set_nodelay(true);
        let handshake = TlsAcceptor::from((self.tls)()).accept(stream);
        let tls = match tokio::time::timeout(self.limits.handshake_timeout, handshake).await {
            Err(_) => return self.handshake_failed(address, "timeout", &"time-out"),
            Ok(Err(error)) => return self.handshake_failed(address, "tls", &error),
            Ok(Ok(tls)) => tls,
        };
        let certificates = tls.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
        let service = TowerToHyperService::new(service_for(&Peer { address, certificates }));
        let connection = self.http.serve_connection(TokioIo::new(tls), service).into_owned();
        self.metrics.connections.inc();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(peer = %address, error = %error, "connection ended with an error");
        }
        self.metrics.connections.dec();
    }

    fn handshake_failed(&self, peer: SocketAddr, reason: &str, error: &dyn std::fmt::Display) {
        self.metrics.handshake_failures.with_label_values(&[reason]).inc();
        tracing::debug!(%peer, %error, "TLS handshake failed");
    }
}
