//! One connection: handshake within its time, then HTTP until it ends.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::activity::{Activity, Watched};
use super::{HttpService, ListenerLimits, Peer, Stop, TlsSource};
use crate::telemetry::ListenerMetrics;

/// What all connections of a listener share.
pub(super) struct Serving {
    tls: TlsSource,
    http1: auto::Builder<TokioExecutor>,
    http2: auto::Builder<TokioExecutor>,
    limits: ListenerLimits,
    metrics: ListenerMetrics,
}

/// A request may be on its way to an HTTP/1.1 connection that looks idle: it is still
/// answered. HTTP/2 needs none of this, its GOAWAY names the last request.
const LAST_CALL: Duration = Duration::from_millis(500);

/// How long a peer has to end a connection that was told to close.
const CLOSING: Duration = Duration::from_secs(2);

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Until then, one more request is answered.
    LastCall(Instant),
    /// Ends then, unless something is in flight.
    Closing(Instant),
}

impl Serving {
    pub(super) fn new(tls: TlsSource, limits: ListenerLimits, metrics: ListenerMetrics) -> Self {
        // Each speaks one protocol, that of ALPN: none waits for first bytes to guess by.
        let mut http1 = auto::Builder::new(TokioExecutor::new()).http1_only();
        http1
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(usize::try_from(limits.header_bytes_max).unwrap_or(16 * 1024));
        let mut http2 = auto::Builder::new(TokioExecutor::new()).http2_only();
        http2
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_per_connection_max)
            .max_header_list_size(limits.header_bytes_max)
            // Streams that were reset, by the peer or for the peer's fault, and whose
            // work is not yet dropped: the bound against reset floods.
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(100)
            // Finds peers that are gone without a word.
            .keep_alive_interval(limits.idle_timeout / 2)
            .keep_alive_timeout(limits.handshake_timeout);
        Self { tls, http1, http2, limits, metrics }
    }

    /// Serves one connection to its end.
    pub(super) async fn connection<S: HttpService>(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        stop: Stop,
        service_for: impl Fn(&Peer) -> S,
    ) {
        // Answers are small and complete: waiting to fill a segment only delays them.
        let _ = stream.set_nodelay(true);
        let handshake = TlsAcceptor::from((self.tls)()).accept(stream);
        let handshake = timeout(self.limits.handshake_timeout, handshake);
        let tls = tokio::select! {
            biased;
            () = stop.ended() => return,
            done = handshake => match done {
                Err(_) => return self.handshake_failed(address, "timeout", &"time-out"),
                Ok(Err(error)) => return self.handshake_failed(address, "tls", &error),
                Ok(Ok(tls)) => tls,
            },
        };
        let certificates = tls.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
        let service = service_for(&Peer { address, certificates });
        self.metrics.connections.inc();
        self.http(tls, address, stop, service).await;
        self.metrics.connections.dec();
    }

    /// Until the peer closes, nothing was asked for too long, the connection is too old,
    /// or the listener stops. In the last three cases what is in flight is finished first.
    async fn http<S: HttpService>(
        &self,
        tls: TlsStream<TcpStream>,
        address: SocketAddr,
        stop: Stop,
        service: S,
    ) {
        let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        let http = if http2 { &self.http2 } else { &self.http1 };
        let activity = Arc::new(Activity::default());
        // HTTP/2 has GOAWAY instead.
        let closes = (!http2).then(|| stop.clone());
        let watched = Watched::new(service, activity.clone(), closes);
        let service = TowerToHyperService::new(watched);
        let mut connection = pin!(http.serve_connection(TokioIo::new(tls), service));
        let oldest = Instant::now() + self.limits.connection_age_max;
        let mut phase = Phase::Open;
        loop {
            let look = match phase {
                Phase::Open => oldest.min(activity.idle_until(self.limits.idle_timeout)),
                Phase::LastCall(until) | Phase::Closing(until) => until,
            };
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(peer = %address, %error, "connection ended with an error");
                    }
                    return;
                }
                () = stop.ended() => return,
                () = stop.left(), if http2 && phase == Phase::Open => {}
                () = stop.drained(), if !http2 && phase == Phase::Open => {
                    phase = Phase::LastCall(Instant::now() + LAST_CALL);
                    continue;
                }
                () = sleep_until(look) => match phase {
                    Phase::Open => {
                        let idle = activity.idle_until(self.limits.idle_timeout);
                        if Instant::now() < oldest.min(idle) {
                            continue;
                        }
                    }
                    Phase::LastCall(_) => {}
                    // What is in flight has limits of its own; a stop has its drain time-out.
                    Phase::Closing(_) if activity.is_busy() => {
                        phase = Phase::Closing(Instant::now() + CLOSING);
                        continue;
                    }
                    Phase::Closing(_) => return,
                },
            }
            connection.as_mut().graceful_shutdown();
            phase = Phase::Closing(Instant::now() + CLOSING);
        }
    }

    fn handshake_failed(&self, peer: SocketAddr, reason: &str, error: &dyn std::fmt::Display) {
        self.metrics.handshake_failures.with_label_values(&[reason]).inc();
        tracing::debug!(%peer, %error, "TLS handshake failed");
    }
}
