//! HTTP on one connection, from its first byte until it ends.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::activity::{Activity, Watched};
use super::head::Observed;
use super::{HttpService, ListenerLimits, Stop};
use crate::domain::innermost;

/// HTTP with the limits of a listener.
pub(super) struct Http {
    http1: auto::Builder<TokioExecutor>,
    http2: auto::Builder<TokioExecutor>,
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
    /// Until then, one more request is answered.
    LastCall(Instant),
    /// Ends then, unless something is in flight.
    Closing(Instant),
}

impl Http {
    pub(super) fn new(limits: ListenerLimits) -> Self {
        // Each speaks one protocol, that of ALPN: none waits for first bytes to guess by.
        let mut http1 = auto::Builder::new(TokioExecutor::new()).http1_only();
        http1
            .http1()
            // The library's clock would run during the pause between two requests as well.
            .header_read_timeout(None)
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
        Self { http1, http2, limits }
    }

    /// Until the peer closes, a head or a request was waited for too long, the connection is
    /// too old, or the listener stops. What is in flight is finished first.
    pub(super) async fn serve<S: HttpService>(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        http2: bool,
        address: SocketAddr,
        stop: Stop,
        service: S,
    ) {
        let http = if http2 { &self.http2 } else { &self.http1 };
        let activity = Arc::new(Activity::new(http2));
        // HTTP/2 has GOAWAY instead.
        let closes = (!http2).then(|| stop.clone());
        let watched = Watched::new(service, activity.clone(), closes);
        let service = TowerToHyperService::new(watched);
        let stream = TokioIo::new(Observed::new(stream, http2, activity.clone()));
        let mut connection = pin!(http.serve_connection(stream, service));
        let oldest = Instant::now() + self.limits.connection_age_max;
        let mut phase = Phase::Open;
        loop {
            let until = || match phase {
                Phase::Open => self.waits_until(&activity).map_or(oldest, |it| it.min(oldest)),
                Phase::LastCall(until) | Phase::Closing(until) => until,
            };
            tokio::select! {
                // The connection first: bytes that are there already are in time.
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        let error = innermost(&*error);
                        tracing::debug!(peer = %address, error, "connection ended with an error");
                    }
                    return;
                }
                () = stop.ended() => return,
                () = stop.left(), if http2 && phase == Phase::Open => {}
                () = stop.drained(), if !http2 && phase == Phase::Open => {
                    phase = Phase::LastCall(Instant::now() + LAST_CALL);
                    continue;
                }
                () = passed(until) => match phase {
                    Phase::Open if activity.is_head_late(self.limits.header_timeout) => {
                        tracing::debug!(peer = %address, "a head did not arrive in time");
                        if !http2 {
                            // Half a request is left: nothing can be said on this connection.
                            return;
                        }
                    }
                    Phase::Open | Phase::LastCall(_) => {}
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

    fn waits_until(&self, activity: &Activity) -> Option<Instant> {
        activity.waits_until(self.limits.header_timeout, self.limits.idle_timeout)
    }
}

/// Resolves once the moment is past. It moves while the connection is polled, so it is looked
/// at with each poll; the timer itself is set again only when it is too late or has rung.
async fn passed(moment: impl Fn() -> Instant) {
    let mut timer = pin!(sleep_until(moment()));
    poll_fn(|context| {
        loop {
            let moment = moment();
            if moment < timer.deadline() {
                timer.as_mut().reset(moment);
            }
            ready!(timer.as_mut().poll(context));
            if moment <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(moment);
        }
    })
    .await;
}
