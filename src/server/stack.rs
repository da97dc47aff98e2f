//! The tower stack of one connection, outermost first.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceBuilder};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

use super::running::{Panicked, Running};
use crate::config::ListenerSettings;
use crate::domain::{Reason, RequestId};
use crate::gateway::{Answer, Context, Gateway, Malformed, Presented, Refusal, Sources, Worker};
use crate::listener::{HttpService, Peer};
use crate::seam::REQUEST_ID_HEADER;

/// What all connections share.
pub(super) struct Shared {
    pub(super) gateway: Arc<Gateway>,
    /// Requests that are running, with or without a caller waiting.
    pub(super) running: TaskTracker,
    /// Proxies that say where requests come from.
    pub(super) sources: Option<Sources>,
}

impl Shared {
    pub(super) fn new(gateway: &Arc<Gateway>, settings: &ListenerSettings) -> Self {
        let sources = Sources::new(&settings.forwarded_from, settings.forwarded_header);
        Self { gateway: gateway.clone(), running: TaskTracker::new(), sources }
    }

    /// Where a request of a proxy's comes from. What is not understood is counted, and leaves
    /// the proxy's own address: that is at least true.
    fn source(&self, proxy: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let Some(sources) = &self.sources else { return proxy };
        sources.of(proxy, headers).unwrap_or_else(|Malformed| {
            self.gateway.metrics.forwarded_malformed.inc();
            proxy
        })
    }

    /// Refuses a request that the gateway did not get to answer.
    fn refuse(&self, reason: Reason) -> Answer {
        self.gateway.metrics.answered(None, false, reason, 0.0);
        Refusal::from(reason).into()
    }
}

/// The service of one connection of this worker's.
pub(super) fn service(
    shared: &Arc<Shared>,
    worker: &Arc<Worker>,
    peer: &Peer,
) -> impl HttpService + use<> {
    let certificate = Presented::new(&peer.certificates).map(Arc::new);
    let (gateway, worker, address) = (shared.gateway.clone(), worker.clone(), peer.address);
    // Decided once: requests of others take no look at their headers.
    let is_proxy = shared.sources.as_ref().is_some_and(|s| s.believes(address.ip()));
    let behind_proxy = is_proxy.then(|| shared.clone());
    let pipeline = Pipeline { gateway, worker, address, certificate, behind_proxy };
    ServiceBuilder::new()
        // Debug output of a request must not show the token.
        .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION]))
        // Gives every request its id and every answer its header, and lets a request
        // run on when its connection is gone.
        .service(ToTheEnd { pipeline, shared: shared.clone() })
}

/// Answers every request, even if its caller has hung up by then or the gateway panics.
#[derive(Clone)]
struct ToTheEnd {
    pipeline: Pipeline,
    shared: Arc<Shared>,
}

impl Service<Request<Incoming>> for ToTheEnd {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Answering {
        let request_id = RequestId::generate();
        let work = self.pipeline.answer(request_id, request);
        let running = Running::new(work, &self.shared.running);
        Answering { running, request_id, shared: self.shared.clone() }
    }
}

/// An answer on its way.
struct Answering {
    running: Running<Answer>,
    request_id: RequestId,
    shared: Arc<Shared>,
}

impl Future for Answering {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let request_id = self.request_id;
        let answer = match ready!(Pin::new(&mut self.running).poll(context)) {
            Ok(answer) => answer,
            Err(Panicked(error)) => {
                tracing::error!(%request_id, error, "a request ended in a panic");
                self.shared.refuse(Reason::InternalError)
            }
        };
        let mut response = answer.into_response(request_id);
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(request_id.to_string())) {
            response.headers_mut().insert(REQUEST_ID_HEADER, value);
        }
        Poll::Ready(Ok(response))
    }
}

/// The gateway itself, for one peer.
#[derive(Clone)]
struct Pipeline {
    gateway: Arc<Gateway>,
    worker: Arc<Worker>,
    address: SocketAddr,
    certificate: Option<Arc<Presented>>,
    /// Says where a request comes from, on a connection of a proxy's.
    behind_proxy: Option<Arc<Shared>>,
}

impl Pipeline {
    fn answer(
        &self,
        request_id: RequestId,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let (gateway, worker) = (self.gateway.clone(), self.worker.clone());
        let peer = match &self.behind_proxy {
            None => self.address,
            Some(shared) => shared.source(self.address, request.headers()),
        };
        let context = Context { request_id, peer, certificate: self.certificate.clone() };
        Box::pin(async move { gateway.handle(&worker, context, request).await })
    }
}
