//! The admin listener: metrics and health, on loopback, and over TLS to other machines
//! that have a client certificate.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | Prometheus text format |
//! | `/livez` | 200 while the process answers |
//! | `/readyz` | 200 when grants can be decided and recorded, else 503 with the cause |
//! | `/readyz?verbose` | the same with every check |
//! | `/status` | everything in JSON |
//! | `POST /orders` | takes a signed order |
//! | `/console` | pages for people: [`crate::console`] |

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::health::Health;
use super::{StartError, brought, handshakes};
use crate::authn::PeerCertificate;
use crate::config::AdminSettings;
use crate::console::{Body, Console, Place, is_of_loopback};
use crate::listener::{HttpService, Listener, ListenerLimits, Loopback, Peer, Stop};
use crate::seam::JSON;
use crate::snapshot::Snapshot;
use crate::telemetry::ListenerMetrics;

/// The bound admin listeners.
pub(super) struct Admin {
    local: TcpListener,
    remote: Option<Listener>,
}

impl Admin {
    pub(super) async fn bind(
        settings: &AdminSettings,
        snapshot: &Arc<ArcSwap<Snapshot>>,
    ) -> Result<Self, StartError> {
        let bind = async |name, address| {
            TcpListener::bind(address).await.map_err(|e| StartError::Bind(name, address, e))
        };
        let local = bind("admin.address", settings.address).await?;
        let first = snapshot.load().certificates.admin_tls.clone();
        let remote = match (&settings.remote, first) {
            (Some(remote), Some(first)) => {
                let tcp = bind("admin.remote.address", remote.address).await?;
                let snapshot = snapshot.clone();
                // Never the callers' TLS, which may let clients in without a certificate.
                let tls = move || {
                    let now = snapshot.load().certificates.admin_tls.clone();
                    now.unwrap_or_else(|| first.clone())
                };
                let metrics = ListenerMetrics::unregistered()?;
                Some(Listener::new(tcp, Arc::new(tls), limits(), metrics))
            }
            _ => None,
        };
        Ok(Self { local, remote })
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.local.local_addr()
    }

    pub(super) fn remote_address(&self) -> io::Result<Option<SocketAddr>> {
        self.remote.as_ref().map(Listener::local_address).transpose()
    }

    /// Serves until the future is dropped: health is asked for while the gateway drains too.
    pub(super) async fn serve(self, health: Arc<Health>, console: Arc<Console>) {
        let stop = Stop::default();
        let _cut = CutOff(stop.clone());
        if let Some(remote) = self.remote {
            let remote = remote.around_handshakes(handshakes::of_admin(&health.gateway));
            let (health, console) = (health.clone(), console.clone());
            let service = move |peer: &Peer| {
                let certificate = peer.certificates.first().map(PeerCertificate::read);
                service(&health, &console, Place::Remote(certificate.map(Arc::new)))
            };
            tokio::spawn(remote.serve(service, stop.clone()));
        }
        serve(self.local, health, console, stop).await;
    }
}

/// Ends a listener when it is dropped.
struct CutOff(Stop);

impl Drop for CutOff {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A handful of scrapers and of people who look, perhaps all behind one proxy; more is a mistake or an
/// attack. A certificate whose authority is gone serves no longer than its connection.
fn limits() -> ListenerLimits {
    ListenerLimits {
        connections_max: CONNECTIONS_MAX,
        connections_per_address_max: CONNECTIONS_MAX / 2,
        handshake_timeout: Duration::from_secs(3),
        connection_age_max: Duration::from_secs(300),
        ..ListenerLimits::default()
    }
}

/// Connections of one of both.
pub const CONNECTIONS_MAX: usize = 128;

async fn serve(tcp: TcpListener, health: Arc<Health>, console: Arc<Console>, stop: Stop) {
    let loopback = Arc::new(Loopback::new(limits()));
    let mut connections = tokio::task::JoinSet::new();
    let _sweeping = {
        let (loopback, stop) = (loopback.clone(), stop.clone());
        AbortOnDropHandle::new(tokio::spawn(async move { loopback.run(&stop).await }))
    };
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, address)) = tcp.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if connections.len() >= CONNECTIONS_MAX {
            continue;
        }
        let service = service(&health, &console, Place::Local);
        let (loopback, stop) = (loopback.clone(), stop.clone());
        connections.spawn(async move { loopback.connection(stream, address, stop, service).await });
    }
}

/// The same for both listeners.
fn service(health: &Arc<Health>, console: &Arc<Console>, place: Place) -> impl HttpService + use<> {
    let (health, console) = (health.clone(), console.clone());
    tower::service_fn(move |request: Request<Incoming>| {
        let (health, console, place) = (health.clone(), console.clone(), place.clone());
        Box::pin(async move {
            Ok::<_, Infallible>(match (request.method(), request.uri().path()) {
                (&Method::POST, ORDERS) => {
                    let (status, said) = brought::take(request, health.orders.as_ref()).await;
                    text(status, &said).map(Body::whole)
                }
                (_, path) if Console::has(path) => console.answer(request, place).await,
                // The page of another site could ask under a name of its own (DNS rebinding).
                (_, "/metrics" | "/status")
                    if matches!(place, Place::Local) && !is_of_loopback(request.headers()) =>
                {
                    let said = "ask for it as localhost, 127.0.0.1 or [::1]\n";
                    text(StatusCode::FORBIDDEN, said).map(Body::whole)
                }
                _ => answer(&request, &health).map(Body::whole),
            })
        })
    })
}

const ORDERS: &str = "/orders";

fn answer(request: &Request<Incoming>, health: &Health) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is accepted\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    if request.uri().path() == ORDERS {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only POST is accepted\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    match request.uri().path() {
        "/metrics" => metrics(health),
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => {
            let (ready, said) = health.ready(request.uri().query() == Some("verbose"));
            let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            text(status, &said)
        }
        "/status" => {
            // Its keys in the order of the alphabet.
            let status = serde_json::to_value(health.status()).unwrap_or_default();
            let mut response = text(StatusCode::OK, &format!("{status:#}\n"));
            response.headers_mut().insert(CONTENT_TYPE, JSON);
            response
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "try /console, /metrics, /livez, /readyz?verbose or /status\n",
        ),
    }
}

fn metrics(health: &Health) -> Response<Full<Bytes>> {
    let gateway = &health.gateway;
    gateway.metrics.ready.set(health.ready(false).0.into());
    let workspaces = gateway.snapshot.load().workspaces.clone();
    gateway.metrics.upstream_suspended.set(workspaces.is_any_suspended().into());
    for (name, workspace) in workspaces.named() {
        gateway.metrics.workspaces.suspended(name, workspace.upstream.is_suspended());
    }
    let keys = i64::try_from(gateway.duplicates.keys()).unwrap_or(i64::MAX);
    gateway.metrics.duplicates.keys.set(keys);
    for state in [&health.export, &health.database].into_iter().flatten() {
        state.refresh();
    }
    health.show_issuers();
    match gateway.metrics.render() {
        Ok((body, media_type)) => {
            let mut response = Response::new(Full::new(body.into()));
            if let Ok(value) = HeaderValue::from_str(&media_type) {
                response.headers_mut().insert(CONTENT_TYPE, value);
            }
            response
        }
        Err(error) => {
            tracing::error!(%error, "metrics cannot be rendered");
            text(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be rendered\n")
        }
    }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.to_owned().into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
