//! The tower stack of one connection, outermost first.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceBuilder, ServiceExt as _};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

use crate::domain::{Reason, RequestId};
use crate::gateway::{Answer, Context, Gateway, Presented, Refusal, Worker};
use crate::listener::{HttpService, Peer};
use crate::seam::REQUEST_ID_HEADER;

/// What all connections share.
pub(super) struct Shared {
    pub(super) gateway: Arc<Gateway>,
    /// Requests that are running, with or without a caller waiting.
    pub(super) running: TaskTracker,
}

impl Shared {
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
    let pipeline = Pipeline { gateway, worker, address, certificate };
    ServiceBuilder::new()
        // Debug output of a request must not show the token.
        .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION]))
        // Gives every request its id and every answer its header, and lets a request
        // run on when its connection is gone.
        .service(Detached { inner: pipeline, shared: shared.clone() })
}

/// A request with its id.
type Arrived = (RequestId, Request<Incoming>);

/// Runs each request on a task of its own: a caller that hangs up cuts nothing, and a
/// panic is an answer like any other.
#[derive(Clone)]
struct Detached<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Service<Request<Incoming>> for Detached<S>
where
    S: Service<Arrived, Response = Answer, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let request_id = RequestId::generate();
        let shared = self.shared.clone();
        let running = shared.running.spawn(self.inner.clone().oneshot((request_id, request)));
        Box::pin(async move {
            let answer = match running.await {
                Ok(Ok(answer)) => answer,
                Err(panic) => {
                    tracing::error!(%request_id, error = %panic, "a request ended in a panic");
                    shared.refuse(Reason::InternalError)
                }
            };
            let mut response = answer.into_response(request_id);
            if let Ok(value) = HeaderValue::from_str(&request_id.to_string()) {
                response.headers_mut().insert(REQUEST_ID_HEADER, value);
            }
            Ok(response)
        })
    }
}

/// The innermost service: the gateway itself, for one peer.
#[derive(Clone)]
struct Pipeline {
    gateway: Arc<Gateway>,
    worker: Arc<Worker>,
    address: std::net::SocketAddr,
    certificate: Option<Arc<Presented>>,
}

impl Service<Arrived> for Pipeline {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (request_id, request): Arrived) -> Self::Future {
        let (gateway, worker) = (self.gateway.clone(), self.worker.clone());
        let context =
            Context { request_id, peer: self.address, certificate: self.certificate.clone() };
        Box::pin(async move { Ok(gateway.handle(&worker, context, request).await) })
    }
}
