//! A TLS listener: accept, handshake, HTTP/1.1 or HTTP/2, drain.
//!
//! It knows nothing of what is served. No plaintext is ever answered, except by
//! [`Loopback`] within this machine: a client that does not finish a TLS handshake in time
//! is cut off. Running out of file descriptors pauses the accept loop and does not end it.

mod activity;
mod announced;
mod connection;
mod head;
mod loopback;
mod protocol;
mod slots;
mod stop;
mod sweep;
mod workers;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;

use crate::domain::Networks;
use crate::telemetry::ListenerMetrics;
use connection::{Accepted, Serving};
pub use loopback::Loopback;
use slots::Slots;
pub use stop::Stop;
use workers::{Assigned, Workers};

/// Limits of a listener. Times are wall-clock durations of one connection.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// Connections open at once; further ones are closed at once.
    pub connections_max: usize,
    /// A TLS handshake takes at most this long.
    pub handshake_timeout: Duration,
    /// A request's head arrives within this, counted from its first byte; so does any HTTP/2
    /// frame but the data of a body.
    pub header_timeout: Duration,
    /// A connection that waits for a request is closed after this; so is one whose peer does not
    /// go on to read an answer.
    pub idle_timeout: Duration,
    /// A connection takes no further request after this.
    pub connection_age_max: Duration,
    /// Connections of one address; further ones are closed at once.
    pub connections_per_address_max: usize,
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
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            connection_age_max: Duration::from_secs(3600),
            connections_per_address_max: 1_000,
            streams_per_connection_max: 100,
            header_bytes_max: 16 * 1024,
            drain_timeout: Duration::from_secs(15),
        }
    }
}

/// Where each handshake takes its settings from: they may change while the listener runs.
pub type TlsSource = Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>;

/// A TLS handshake that is under way.
pub type Handshake = Pin<Box<dyn Future<Output = io::Result<TlsStream<TcpStream>>> + Send>>;

/// Runs each handshake with the peer at this address, and may look at how it ends.
pub type AroundHandshake = Arc<dyn Fn(SocketAddr, Handshake) -> Handshake + Send + Sync>;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Its client certificates, leaf first, verified in the handshake; empty without.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// What a listener serves: a tower service that answers every request.
pub trait HttpService:
    tower::Service<
        Request<Incoming>,
        Response = Response<Self::Body>,
        Error = Infallible,
        Future: Send + Unpin + 'static,
    > + Clone
    + Send
    + 'static
{
    /// What its answers have to say: all at once, or as it happens.
    type Body: http_body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static;
}

impl<S, B> HttpService for S
where
    S: tower::Service<
            Request<Incoming>,
            Response = Response<B>,
            Error = Infallible,
            Future: Send + Unpin + 'static,
        > + Clone
        + Send
        + 'static,
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    type Body = B;
}

/// A bound listener.
pub struct Listener {
    tcp: TcpListener,
    tls: TlsSource,
    limits: ListenerLimits,
    metrics: ListenerMetrics,
    around: AroundHandshake,
    announcing: Networks,
}

impl Listener {
    /// Will serve what connects to `tcp`.
    #[must_use]
    pub fn new(
        tcp: TcpListener,
        tls: TlsSource,
        limits: ListenerLimits,
        metrics: ListenerMetrics,
    ) -> Self {
        let around: AroundHandshake = Arc::new(|_, handshake| handshake);
        Self { tcp, tls, limits, metrics, around, announcing: Networks::default() }
    }

    /// Expects connections from these networks to begin with the header of the PROXY protocol.
    #[must_use]
    pub fn announced_from(self, announcing: Networks) -> Self {
        Self { announcing, ..self }
    }

    /// Runs every handshake in `around`.
    #[must_use]
    pub fn around_handshakes(self, around: AroundHandshake) -> Self {
        Self { around, ..self }
    }

    /// The bound address.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until `stop` drains, then lets open connections finish what they have
    /// begun, for at most the drain time-out. `service_for` makes the service of
    /// one connection, after its handshake.
    pub async fn serve<S, M>(self, service_for: M, stop: Stop)
    where
        S: HttpService,
        M: Fn(&Peer) -> S + Clone + Send + Sync + 'static,
    {
        self.run(vec![(Handle::current(), service_for)], stop).await;
    }

    /// The same with each connection on one of these runtimes, on that which has the fewest,
    /// and with a service that is made for that one. The first one accepts as well: what it
    /// serves itself crosses no thread.
    pub async fn serve_on<S, M>(self, workers: Vec<(Handle, M)>, stop: Stop)
    where
        S: HttpService,
        M: Fn(&Peer) -> S + Clone + Send + Sync + 'static,
    {
        let Some((first, _)) = workers.first() else { return };
        let first = first.clone();
        let accepting = async move {
            // Its readiness is told to the runtime that accepts.
            match self.tcp.into_std().and_then(TcpListener::from_std) {
                Ok(tcp) => Self { tcp, ..self }.run(workers, stop).await,
                Err(error) => tracing::error!(%error, "cannot accept connections"),
            }
        };
        if let Err(error) = first.spawn(accepting).await {
            tracing::error!(%error, "connections are not accepted any more");
        }
    }

    async fn run<S, M>(self, workers: Vec<(Handle, M)>, stop: Stop)
    where
        S: HttpService,
        M: Fn(&Peer) -> S + Clone + Send + Sync + 'static,
    {
        let ending = stop.child();
        let open = TaskTracker::new();
        let limits = &self.limits;
        let slots = Slots::new(limits.connections_max, limits.connections_per_address_max);
        let workers = Workers::new(workers);
        let _sweeping = workers.sweep(&ending);
        let serving = Arc::new(Serving::new(
            self.tls,
            self.around,
            self.limits.clone(),
            self.metrics.clone(),
        ));
        loop {
            let (stream, address) = tokio::select! {
                biased;
                () = stop.drained() => break,
                accepted = self.tcp.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => { pause_after(&error).await; continue }
                },
            };
            // One form of an IPv4 address, also on a socket of both families.
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            let announced = self.announcing.contains(address.ip());
            let slot = match slots.take((!announced).then_some(address.ip())) {
                Ok(slot) => slot,
                Err(limit) => {
                    self.metrics.refused.with_label_values(&[limit]).inc();
                    continue;
                }
            };
            let Some(assigned) = workers.assign(stream) else { continue };
            let Assigned { stream, handle, service_for, sweep, share } = assigned;
            let (serving, ending) = (serving.clone(), ending.clone());
            let serve = async move {
                if let Some(stream) = stream.here() {
                    let accepted = Accepted { stream, address, announced, slot };
                    serving.connection(&sweep, accepted, ending, service_for).await;
                }
                drop(share);
            };
            open.spawn_on(serve, &handle);
        }
        // New connections are refused from here on.
        drop(self.tcp);
        open.close();
        if tokio::time::timeout(self.limits.drain_timeout, open.wait()).await.is_err() {
            let left = open.len();
            tracing::warn!(left, "connections were still open when the drain time-out ended");
        }
        // After this no request begins any more.
        ending.end();
        open.wait().await;
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
