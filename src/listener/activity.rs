//! Whether a connection is being used.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{HttpService, Stop};

/// The requests of one connection.
pub(super) struct Activity(Mutex<State>);

struct State {
    in_flight: usize,
    /// When the last request ended, or the connection began.
    since: Instant,
}

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new(State { in_flight: 0, since: Instant::now() }))
    }
}

impl Activity {
    /// When the connection will have been idle for `time`, if nothing comes.
    pub(super) fn idle_until(&self, time: Duration) -> Instant {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = if state.in_flight == 0 { state.since } else { Instant::now() };
        since + time
    }

    /// Whether a request is in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).in_flight > 0
    }

    fn begin(self: &Arc<Self>) -> InFlight {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).in_flight += 1;
        InFlight(self.clone())
    }
}

/// One request in flight.
struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_flight -= 1;
        state.since = Instant::now();
    }
}

/// A service whose requests are seen by an [`Activity`].
#[derive(Clone)]
pub(super) struct Watched<S> {
    inner: S,
    activity: Arc<Activity>,
    /// Answers say `connection: close` once this one leaves.
    closes: Option<Stop>,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, activity: Arc<Activity>, closes: Option<Stop>) -> Self {
        Self { inner, activity, closes }
    }
}

impl<S: HttpService> tower::Service<Request<Incoming>> for Watched<S> {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let in_flight = self.activity.begin();
        let answer = self.inner.call(request);
        let closes = self.closes.clone();
        Box::pin(async move {
            let mut answer = answer.await?;
            if closes.is_some_and(|stop| stop.is_leaving()) {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            drop(in_flight);
            Ok(answer)
        })
    }
}
