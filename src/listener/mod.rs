//! A TLS listener: accept, handshake, HTTP/1.1 or HTTP/2, drain.
//!
//! It knows nothing of what is served. No plaintext is ever answered: whoever does
//! not finish a TLS handshake in time is cut off. Running out of file descriptors
//! pauses the accept loop and does not end it.

mod connection;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::telemetry::ListenerMetrics;
pub use connection::HttpService;
use connection::Serving;

/// Limits of a listener. Times are wall-clock durations of one connection.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// Connections open at once; further ones are closed at once.
    pub connections_max: usize,
    /// A TLS handshake takes at most this long.
    pub handshake_timeout: Duration,
    /// A connection without a complete request head is closed after this.
    pub idle_timeout: Duration,
    /// HTTP/2 streams of one connection (RFC 9113, section 5.1.2).
    pub streams_per_connection_max: u32,
    /// A request's head in bytes.
    pub header_bytes_max: u32,
    /// How long open connections may finish after the listener is told to stop.
    pub drain_timeout: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            streams_per_connection_max: 100,
            header_bytes_max: 16 * 1024,
            drain_timeout: Duration::from_secs(15),
        }
    }
}

/// Where each handshake takes its settings from: they may change while the listener runs.
pub type TlsSource = Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Its client certificates, leaf first, verified in the handshake; empty without.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// A bound listener.
pub struct Listener {
    tcp: TcpListener,
    tls: TlsSource,
    limits: ListenerLimits,
    metrics: ListenerMetrics,
}

impl Listener {
    /// Binds `address`; port 0 picks a free one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        tls: TlsSource,
        limits: ListenerLimits,
        metrics: ListenerMetrics,
    ) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        Ok(Self { tcp, tls, limits, metrics })
    }

    /// The bound address.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until `stop` resolves, then lets open connections finish what they
    /// have begun, for at most the drain time-out. `service_for` makes the service of
    /// one connection, after its handshake.
    pub async fn serve<S, M>(self, service_for: M, stop: impl Future<Output = ()>)
    where
        S: HttpService,
        M: Fn(&Peer) -> S + Clone + Send + Sync + 'static,
    {
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(self.limits.connections_max));
        let serving = Arc::new(Serving::new(self.tls, self.limits.clone(), self.metrics.clone()));
        let mut stop = std::pin::pin!(stop);
        loop {
            let (stream, address) = tokio::select! {
                biased;
                () = &mut stop => break,
                accepted = self.tcp.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => { pause_after(&error).await; continue }
                },
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                self.metrics.refused.with_label_values(&["limit"]).inc();
                continue;
            };
            let (serving, watcher, service_for) =
                (serving.clone(), graceful.watcher(), service_for.clone());
            tokio::spawn(async move {
                serving.connection(stream, address, watcher, service_for).await;
                drop(place);
            });
        }
        // New connections are refused from here on.
        drop(self.tcp);
        if tokio::time::timeout(self.limits.drain_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!("connections were still open when the drain time-out ended");
        }
    }
}

/// Out of file descriptors or memory: wait a moment for connections to close. Other
/// errors belong to one connection that is gone already.
async fn pause_after(error: &io::Error) {
    let passing = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    );
    if !passing {
        tracing::error!(%error, "cannot accept connections");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
