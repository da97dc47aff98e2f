//! One connection to the upstream, and one exchange at a time on it.
//!
//! The connection has no task of its own: whoever exchanges something on it moves it on. So
//! nothing is handed from task to task, and while it is idle nothing happens on it; whether
//! the upstream has closed it meanwhile is looked at before it is used again.

use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body::{Body as _, Frame};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service as _;

use crate::domain::innermost;

/// The head of an answer may have so many bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What is sent. Boxed, as it goes from hand to hand.
pub(super) type Outgoing = Box<Request<Full<Bytes>>>;

type Http = http1::Connection<TokioIo<TlsStream<TcpStream>>, Full<Bytes>>;

/// Makes connections: each address of the upstream's name is tried, as RFC 8305 has it.
pub(super) struct Connector {
    tcp: HttpConnector,
    tls: TlsConnector,
    name: ServerName<'static>,
    address: Uri,
    time_max: Duration,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NoConnection {
    /// It took too long.
    TimedOut,
    /// What the network or TLS says.
    Failed(String),
}

/// A connection that is being used or may be.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    http: Http,
    ended: bool,
    idle_since: Instant,
}

/// Why there is no answer.
pub(super) enum NoAnswer {
    /// Not a byte of the request was sent: this is it.
    Unsent(Outgoing),
    /// It broke before the head of an answer.
    Broken(String),
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub(super) enum Unread {
    TooLarge,
    TimedOut,
    Broken(String),
}

/// The head of an answer. Its body is still to be read.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Incoming,
}

impl Connector {
    /// `address` is `https://`, a name or an address, and a port.
    pub(super) fn new(
        tls: ClientConfig,
        name: ServerName<'static>,
        address: Uri,
        time_max: Duration,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // Requests are small and complete: waiting to fill a segment only delays them.
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(15)));
        // Shared out among the addresses of a name: one that is dead does not take all of it.
        tcp.set_connect_timeout(Some(time_max));
        Self { tcp, tls: TlsConnector::from(Arc::new(tls)), name, address, time_max }
    }

    /// Connects, in no more than the configured time.
    pub(super) async fn connect(&self, until: Instant) -> Result<Box<Connection>, NoConnection> {
        let until = until.min(Instant::now() + self.time_max);
        match timeout_at(until, self.connect_at_last()).await {
            Err(_) => Err(NoConnection::TimedOut),
            Ok(Err(error)) => Err(NoConnection::Failed(innermost(&*error))),
            // It is large, and goes from hand to hand.
            Ok(Ok(connection)) => Ok(Box::new(connection)),
        }
    }

    async fn connect_at_last(&self) -> Result<Connection, Box<dyn Error + Send + Sync>> {
        let mut tcp = self.tcp.clone();
        poll_fn(|context| tcp.poll_ready(context)).await?;
        let tcp = tcp.call(self.address.clone()).await?.into_inner();
        let tls = self.tls.connect(self.name.clone(), tcp).await?;
        let (sender, http) =
            http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(tls)).await?;
        Ok(Connection { sender, http, ended: false, idle_since: Instant::now() })
    }
}

impl Connection {
    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&mut self, request: Outgoing) -> Result<Head, NoAnswer> {
        let mut answer = pin!(self.sender.try_send_request(*request));
        let answer = poll_fn(|context| {
            Self::go_on(&mut self.http, &mut self.ended, context);
            answer.as_mut().poll(context)
        });
        match answer.await {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                Ok(Head { status: head.status, headers: head.headers, body })
            }
            Err(mut error) => Err(match error.take_message() {
                Some(request) => NoAnswer::Unsent(Box::new(request)),
                None => NoAnswer::Broken(innermost(&error.into_error())),
            }),
        }
    }

    /// Reads the whole body of an answer.
    pub(super) async fn read(
        &mut self,
        head: &mut Head,
        bytes_max: usize,
    ) -> Result<BytesMut, Unread> {
        let mut read = BytesMut::new();
        while let Some(frame) = poll_fn(|context| self.frame(&mut head.body, context)).await {
            let frame = frame.map_err(|error| Unread::Broken(innermost(&error)))?;
            let Ok(data) = frame.into_data() else { continue };
            if read.len() + data.len() > bytes_max {
                return Err(Unread::TooLarge);
            }
            read.extend_from_slice(&data);
        }
        Ok(read)
    }

    fn frame(
        &mut self,
        body: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Self::go_on(&mut self.http, &mut self.ended, context);
        let frame = Pin::new(&mut *body).poll_frame(context);
        if frame.is_ready() {
            return frame;
        }
        // Only now it knows that the body is wanted, and may have it already.
        Self::go_on(&mut self.http, &mut self.ended, context);
        Pin::new(body).poll_frame(context)
    }

    fn go_on(http: &mut Http, ended: &mut bool, context: &mut Context<'_>) {
        // How it ends is told to who waits for an answer.
        *ended = *ended || Pin::new(http).poll(context).is_ready();
    }

    /// Whether another request may be sent: nothing came that nobody asked for, and the
    /// upstream has not closed it. Not before the answer to the last one is dropped: what was
    /// read into would be in use, and new memory be taken.
    pub(super) fn is_usable(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        Self::go_on(&mut self.http, &mut self.ended, &mut nobody);
        !self.ended && self.sender.is_ready()
    }

    /// Whether it is known that there will be no other request on it.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// How long it has been idle, from the moment it was last put by.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.duration_since(self.idle_since)
    }

    pub(super) fn put_by(&mut self, now: Instant) {
        self.idle_since = now;
    }
}
