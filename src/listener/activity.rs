//! Whether a connection is being used, and what it is waited for.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{HttpService, Stop};

/// A long answer is handed on in parts of so many bytes: each that there was room for shows that
/// the peer reads.
const PART_BYTES: usize = 64 * 1024;

/// How long a connection is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the rest of a head.
    pub(super) head: Duration,
    /// For a request, or to go on with an answer.
    pub(super) idle: Duration,
    /// For everything: no request begins after this.
    pub(super) age: Duration,
}

/// What a connection is doing.
pub(super) struct Activity {
    http2: bool,
    patience: Patience,
    oldest: Instant,
    state: Mutex<State>,
    /// Somebody thinks that the connection should look at the time.
    called: AtomicBool,
    /// Of the listener.
    stop: Stop,
}

struct State {
    in_flight: usize,
    /// When it was used last: a request ended, the peer read of an answer, or it began.
    since: Instant,
    /// Since when a head has been arriving; on HTTP/2 any frame.
    head_since: Option<Instant>,
    /// When it is told to end: how long that is waited for.
    ends: Option<Instant>,
    /// The task of the connection.
    task: Option<Waker>,
}

impl Activity {
    pub(super) fn new(http2: bool, patience: Patience, stop: Stop) -> Self {
        let since = Instant::now();
        // An HTTP/2 client speaks first, and at once.
        let head_since = http2.then_some(since);
        let state = State { in_flight: 0, since, head_since, ends: None, task: None };
        let oldest = since + patience.age;
        let (state, called) = (Mutex::new(state), AtomicBool::new(false));
        Self { http2, patience, oldest, state, called, stop }
    }

    /// Whom to wake when the connection should look at the time.
    pub(super) fn is_task(&self, task: &Waker) {
        self.lock().task = Some(task.clone());
    }

    /// Whether the connection should look at the time.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let state = self.lock();
        match state.ends {
            Some(until) => until <= now,
            None => {
                let waits_until = state.waits_until(&self.patience);
                self.oldest <= now || waits_until.is_some_and(|until| until <= now)
            }
        }
    }

    /// Lets the connection look at the time, and at how its listener ends.
    pub(super) fn call(&self) {
        self.called.store(true, Ordering::Release);
        let task = self.lock().task.clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Whether it was called since it was last asked.
    pub(super) fn was_called(&self) -> bool {
        self.called.load(Ordering::Relaxed) && self.called.swap(false, Ordering::Acquire)
    }

    /// From now on only its end is waited for.
    pub(super) fn ends(&self, until: Instant) {
        self.lock().ends = Some(until);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request is in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.lock().in_flight > 0
    }

    /// Whether a head has been arriving for too long.
    pub(super) fn is_head_late(&self) -> bool {
        self.lock().head_since.is_some_and(|since| since.elapsed() >= self.patience.head)
    }

    /// Bytes came on HTTP/1.1: of a head, or of the body of the request in flight.
    pub(super) fn head_seen(&self) {
        let mut state = self.lock();
        if state.in_flight == 0 {
            state.head_since.get_or_insert_with(Instant::now);
        }
    }

    /// Frames came on HTTP/2: whether some `ended`, and whether one is `within`.
    pub(super) fn frames_seen(&self, ended: bool, within: bool) {
        let mut state = self.lock();
        match (within, state.head_since) {
            (true, Some(_)) if !ended => {}
            (within, _) => state.head_since = within.then(Instant::now),
        }
    }

    pub(super) fn is_http2(&self) -> bool {
        self.http2
    }

    /// How its listener ends.
    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Whether answers say that the connection will be closed. HTTP/2 has GOAWAY instead.
    fn closes(&self) -> bool {
        !self.http2 && self.stop.is_leaving()
    }

    /// The peer reads an answer.
    fn is_read(&self) {
        self.lock().since = Instant::now();
    }

    fn begin(self: &Arc<Self>) -> InFlight {
        let mut state = self.lock();
        state.in_flight += 1;
        if !self.http2 {
            state.head_since = None;
        }
        drop(state);
        InFlight(self.clone())
    }
}

impl State {
    /// When the connection will have been waited for long enough, if nothing more comes. A
    /// request in flight has limits of its own.
    fn waits_until(&self, patience: &Patience) -> Option<Instant> {
        let idle_since = Some(self.since).filter(|_| self.in_flight == 0);
        let idle_until = idle_since.map(|since| since + patience.idle);
        match self.head_since {
            // What never becomes a request, such as one frame begun after another, gets no
            // more time than a pause and a head.
            Some(since) => {
                let until = since + patience.head;
                Some(idle_until.map_or(until, |idle| until.min(idle + patience.head)))
            }
            None => idle_until,
        }
    }
}

/// One request in flight.
struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight -= 1;
        state.since = Instant::now();
    }
}

/// A service whose requests are seen by an [`Activity`].
#[derive(Clone)]
pub(super) struct Watched<S> {
    inner: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, activity: Arc<Activity>) -> Self {
        Self { inner, activity }
    }
}

impl<S: HttpService> tower::Service<Request<Incoming>> for Watched<S> {
    type Response = Response<WatchedBody<S::Body>>;
    type Error = Infallible;
    type Future = WatchedAnswer<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let in_flight = self.activity.begin();
        WatchedAnswer { answer: self.inner.call(request), in_flight }
    }
}

/// The answer to a request that is in flight until then.
pub(super) struct WatchedAnswer<F> {
    answer: F,
    in_flight: InFlight,
}

impl<F, B> Future for WatchedAnswer<F>
where
    F: Future<Output = Result<Response<B>, Infallible>> + Unpin,
{
    type Output = Result<Response<WatchedBody<B>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(mut answer) = ready!(Pin::new(&mut self.answer).poll(context));
        let activity = &self.in_flight.0;
        if activity.closes() {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let watched = |body| WatchedBody {
            body,
            rest: Bytes::new(),
            began: false,
            activity: activity.clone(),
        };
        Poll::Ready(Ok(answer.map(watched)))
    }
}

/// What an answer says, in parts, so that a connection whose peer reads is not taken for idle.
pub(super) struct WatchedBody<B> {
    body: B,
    /// Of a part that was too long.
    rest: Bytes,
    /// The first part goes with the head.
    began: bool,
    activity: Arc<Activity>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for WatchedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        }
        if std::mem::replace(&mut self.began, true) {
            self.activity.is_read();
        }
        let part = self.rest.len().min(PART_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
