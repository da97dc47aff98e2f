//! HTTP on one connection, from its first byte until it ends.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::activity::{Activity, Patience, Watched};
use super::head::{Arrives, Observed};
use super::sweep::Sweep;
use super::{HttpService, ListenerLimits, Stop};
use crate::domain::innermost;

/// HTTP with the limits of a listener.
pub(super) struct Http {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    limits: ListenerLimits,
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
    /// One more request is answered.
    LastCall,
    /// Ends, unless something is in flight.
    Closing,
}

/// What a connection does when it has looked at the time.
enum Next {
    GoesOn,
    /// It takes no further request.
    Closes,
    /// It is cut.
    Ends,
}

impl Http {
    pub(super) fn new(limits: ListenerLimits) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            // The library's clock would run during the pause between two requests as well.
            .header_read_timeout(None)
            // A request is answered even to who has said that there is no other; and nothing is
            // read, and no memory taken for it, before that.
            .half_close(true)
            .max_buf_size(usize::try_from(limits.header_bytes_max).unwrap_or(16 * 1024));
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
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
        Self { http1, http2, limits }
    }

    /// Until the peer closes, a head or a request was waited for too long, the connection is
    /// too old, or the listener stops. What is in flight is finished first. `sweep` has to be
    /// running.
    pub(super) async fn serve<S: HttpService>(
        &self,
        sweep: &Sweep,
        stream: impl AsyncRead + AsyncWrite + Arrives + Unpin + Send + 'static,
        http2: bool,
        address: SocketAddr,
        stop: Stop,
        service: S,
    ) {
        let activity = Arc::new(Activity::new(http2, self.patience(), stop));
        let _watched = sweep.watch(activity.clone());
        let watched = Watched::new(service, activity.clone());
        let service = TowerToHyperService::new(watched);
        let mut stream = Observed::new(stream, http2, activity.clone());
        let mut ending = Ending { activity: &activity, peer: address, phase: Phase::Open };
        // Until something comes there is nothing to keep for it: that is most of the memory of
        // a connection.
        if !ending.wait_for(|context| stream.poll_arrives(context)).await {
            // As far as it is possible at once: a peer that reads nothing is not waited for.
            poll_fn(|context| Poll::Ready(Pin::new(&mut stream).poll_shutdown(context).is_ready()))
                .await;
            return;
        }
        let stream = TokioIo::new(stream);
        // Each speaks one protocol, that of ALPN: none waits for first bytes to guess by.
        if http2 {
            // Much larger than the other: it takes that memory only where it is spoken.
            let connection = self.http2.serve_connection(stream, service);
            ending.drive(Box::pin(connection).as_mut()).await;
        } else {
            ending.drive(pin!(self.http1.serve_connection(stream, service))).await;
        }
    }

    fn patience(&self) -> Patience {
        Patience {
            head: self.limits.header_timeout,
            idle: self.limits.idle_timeout,
            age: self.limits.connection_age_max,
        }
    }
}

/// How a connection comes to its end.
struct Ending<'a> {
    activity: &'a Activity,
    peer: SocketAddr,
    phase: Phase,
}

/// A connection of either protocol.
trait Connection: Future<Output = hyper::Result<()>> {
    /// It takes no further request.
    fn close(self: Pin<&mut Self>);
}

impl<I, S, B> Connection for http1::Connection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body<Data = Bytes, Error = Infallible> + 'static,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B> Connection for http2::Connection<I, S, TokioExecutor>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl Ending<'_> {
    /// Drives a connection to its end.
    async fn drive(mut self, mut connection: Pin<&mut impl Connection>) {
        if self.phase == Phase::Closing {
            connection.as_mut().close();
        }
        loop {
            let mut ended = None;
            let moves = |context: &mut Context<'_>| {
                let polled = connection.as_mut().poll(context);
                polled.map(|result| ended = Some(result))
            };
            let called = self.called_or(moves).await;
            if let Some(Err(error)) = ended {
                let (peer, error) = (self.peer, innermost(&error));
                tracing::debug!(%peer, error, "connection ended with an error");
            }
            match called {
                Some(Next::Closes) => connection.as_mut().close(),
                Some(Next::GoesOn) => {}
                Some(Next::Ends) | None => return,
            }
        }
    }

    /// Waits for the first bytes. Whether there is something to serve, if only HTTP/2's GOAWAY.
    async fn wait_for(&mut self, mut arrives: impl FnMut(&mut Context<'_>) -> Poll<()>) -> bool {
        loop {
            match self.called_or(&mut arrives).await {
                None => return true,
                Some(Next::GoesOn) => {}
                Some(Next::Closes) => return self.activity.is_http2(),
                Some(Next::Ends) => return false,
            }
        }
    }

    /// Polls until it is ready, or until somebody calls and this is what is to be done.
    async fn called_or(
        &mut self,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Option<Next> {
        let mut known: Option<Waker> = None;
        poll_fn(|context| {
            if !known.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
                self.activity.is_task(context.waker());
                known = Some(context.waker().clone());
            }
            // First: bytes that are there already are in time.
            if poll(context).is_ready() {
                return Poll::Ready(None);
            }
            if !self.activity.was_called() {
                return Poll::Pending;
            }
            Poll::Ready(Some(self.look()))
        })
        .await
    }

    /// Looks at the time and at the listener.
    fn look(&mut self) -> Next {
        let (stop, http2) = (self.activity.stop(), self.activity.is_http2());
        if stop.is_ended() {
            return Next::Ends;
        }
        let due = self.activity.is_due(Instant::now());
        match self.phase {
            Phase::Open if http2 && stop.is_leaving() => self.close(),
            Phase::Open if !http2 && stop.is_draining() => {
                self.wait(Phase::LastCall, LAST_CALL);
                Next::GoesOn
            }
            Phase::Open if due && self.activity.is_head_late() => {
                tracing::debug!(peer = %self.peer, "a head did not arrive in time");
                // Half a request is left on HTTP/1.1: nothing can be said on that connection.
                if http2 { self.close() } else { Next::Ends }
            }
            Phase::Open | Phase::LastCall if due => self.close(),
            // What is in flight has limits of its own; a stop has its drain time-out.
            Phase::Closing if due && self.activity.is_busy() => {
                self.wait(Phase::Closing, CLOSING);
                Next::GoesOn
            }
            Phase::Closing if due => Next::Ends,
            Phase::Open | Phase::LastCall | Phase::Closing => Next::GoesOn,
        }
    }

    fn close(&mut self) -> Next {
        self.wait(Phase::Closing, CLOSING);
        Next::Closes
    }

    fn wait(&mut self, phase: Phase, time: Duration) {
        self.phase = phase;
        self.activity.ends(Instant::now() + time);
    }
}
