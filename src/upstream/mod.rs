//! Seam: the only holder of the workspace key, and of the HTTP client that sends it.
//!
//! There is one way in for a caller's request, [`Upstream::send`], and it takes a recorded
//! permit by value: nothing that changes anything can be sent without a durable record, and
//! none twice. What is sent is encoded from the value that policy saw, to a constant path,
//! with a fixed set of headers. Redirects are not followed and proxies of the environment not
//! used. [`Upstream::send_read`] takes a permit that can only read, where reads need no record,
//! and [`Upstream::list_entrances`] reads the names of entrances for the command line.

mod accessible;
mod breaker;
mod classify;
mod connection;
mod connections;
mod exchange;
mod list;
mod workspaces;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rustls::pki_types::ServerName;

use crate::audit::Recorded;
use crate::domain::{Effect, Outcome, Reason, Secret, TraceContext, WorkspaceId};
use crate::policy::{Permit, ReadPermit};
use crate::seam::{self, Confirmation, SeamError};
use crate::tls::ClientTls;
pub use accessible::NoAnswer;
use breaker::Breaker;
pub use breaker::BreakerSettings;
use connection::Connector;
pub use connections::Connections;
pub use list::ListError;
pub use workspaces::{Workspace, Workspaces};

/// W3C Trace Context, section 3.2.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const WORKSPACE: HeaderName = HeaderName::from_static("seam-workspace");
const AGENT: &str = concat!("grantgate/", env!("CARGO_PKG_VERSION"));

/// A permit older than this is not sent: a stalled queue must not outlive a
/// revocation.
pub const PERMIT_AGE_MAX: Duration = Duration::from_secs(5);

/// Looked at last before a request is sent: why it must not be, where it was stopped since it was
/// permitted.
pub type Stopped<'s> = &'s (dyn Fn() -> Option<Reason> + Sync);

/// What came of one permitted request.
#[derive(Debug)]
pub struct Forwarded {
    /// What became of it.
    pub outcome: Outcome,
    /// Why, for the record.
    pub reason: Reason,
    /// The upstream's status, when there was an answer.
    pub status: Option<StatusCode>,
    /// What Seam confirmed, when it did.
    pub confirmation: Option<Confirmation>,
    /// Seam's own error, when it sent one that may be passed on.
    pub error: Option<SeamError>,
    /// Seconds of the upstream's Retry-After.
    pub retry_after_s: Option<u32>,
    /// Seam's request id.
    pub seam_request_id: Option<String>,
    /// From the forward to the whole answer; `None` when nothing was sent.
    pub took: Option<Duration>,
}

/// Why an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The workspace key is no header value.
    #[error(
        "the workspace key must be 1 to 512 visible ASCII characters other than quotes and backslashes"
    )]
    KeyInvalid,
    /// The workspace id is no header value.
    #[error("the workspace's id must be visible ASCII characters")]
    WorkspaceInvalid,
    /// No request can go to this address.
    #[error("its URL names no host that can be connected to")]
    HostInvalid,
}

/// How the gateway talks to Seam.
pub struct Upstream {
    /// Of all that this process has had, this one.
    number: u64,
    connector: Connector,
    url: reqwest::Url,
    headers: HeaderMap,
    key: Secret,
    deadline: Duration,
    breaker: Breaker,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Sets the client up; connects to nothing.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub fn new(
        url: reqwest::Url,
        key: Secret,
        workspace_id: Option<&WorkspaceId>,
        tls: ClientTls,
        deadline: Duration,
        connect_timeout: Duration,
        breaker: BreakerSettings,
    ) -> Result<Self, UpstreamError> {
        // Nor what JSON would escape: an echo of the key is looked for as it stands.
        let visible =
            |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'));
        if key.expose().is_empty() || key.expose().len() > 512 || !visible(key.expose()) {
            return Err(UpstreamError::KeyInvalid);
        }
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
            .map_err(|_| UpstreamError::KeyInvalid)?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(CONTENT_TYPE, seam::JSON);
        headers.insert(ACCEPT, seam::JSON);
        // Its place: each request has its own.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        if let Some(id) = workspace_id {
            let value = HeaderValue::from_str(id.as_str());
            headers.insert(WORKSPACE, value.map_err(|_| UpstreamError::WorkspaceInvalid)?);
        }
        let address = Address::of(&url).ok_or(UpstreamError::HostInvalid)?;
        headers.insert(HOST, address.header);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let connector =
            Connector::new(tls.into_config(), address.name, address.uri, connect_timeout);
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed) + 1;
        let breaker = Breaker::new(breaker);
        Ok(Self { number, connector, url, headers, key, deadline, breaker })
    }

    /// Sends one permitted request and reads what became of it: at most once where it changes
    /// something. Never fails: a failure is an outcome. Takes no longer than `budget` or the configured
    /// deadline, whichever is less. With `trace`, Seam is told which trace it belongs to. `stopped`
    /// is asked when everything is ready, before the first byte.
    ///
    /// A recorded permit is what it takes:
    /// ```no_run
    /// # use grantgate::{audit::Recorded, policy::Permit, upstream::{Connections, Forwarded, Upstream}};
    /// # use std::time::Duration;
    /// async fn send(upstream: &Upstream, on: &Connections, permit: Recorded<Permit>) -> Forwarded {
    ///     upstream.send(on, permit, Duration::from_secs(9), None, &|| None).await
    /// }
    /// ```
    /// A permit without a record does not compile:
    /// ```compile_fail,E0308
    /// # use grantgate::{audit::Recorded, policy::Permit, upstream::{Connections, Forwarded, Upstream}};
    /// # use std::time::Duration;
    /// async fn send(upstream: &Upstream, on: &Connections, permit: Permit) -> Forwarded {
    ///     upstream.send(on, permit, Duration::from_secs(9), None, &|| None).await
    /// }
    /// ```
    /// Nor does a recorded denial:
    /// ```compile_fail,E0308
    /// # use grantgate::{audit::Recorded, policy::Denial, upstream::{Connections, Forwarded, Upstream}};
    /// # use std::time::Duration;
    /// async fn send(upstream: &Upstream, on: &Connections, denial: Recorded<Denial>) -> Forwarded {
    ///     upstream.send(on, denial, Duration::from_secs(9), None, &|| None).await
    /// }
    /// ```
    /// Nor sending one permit twice:
    /// ```compile_fail,E0382
    /// # use grantgate::{audit::Recorded, policy::Permit, upstream::{Connections, Forwarded, Upstream}};
    /// # use std::time::Duration;
    /// async fn send(upstream: &Upstream, on: &Connections, permit: Recorded<Permit>) -> Forwarded {
    ///     upstream.send(on, permit, Duration::from_secs(9), None, &|| None).await;
    ///     upstream.send(on, permit, Duration::from_secs(9), None, &|| None).await
    /// }
    /// ```
    pub async fn send(
        &self,
        connections: &Connections,
        permit: Recorded<Permit>,
        budget: Duration,
        trace: Option<TraceContext>,
        stopped: Stopped<'_>,
    ) -> Forwarded {
        if permit.age() > PERMIT_AGE_MAX || budget.is_zero() {
            return Forwarded::not_sent(Reason::PermitExpired);
        }
        self.forward(connections, permit.evidence(), budget, trace, stopped).await
    }

    /// Sends a permitted request that changes nothing, whether or not it was recorded.
    ///
    /// A permit that can only read is what it takes:
    /// ```no_run
    /// # use grantgate::{policy::ReadPermit, upstream::{Connections, Forwarded, Upstream}};
    /// # use std::time::Duration;
    /// async fn send(upstream: &Upstream, on: &Connections, permit: ReadPermit) -> Forwarded {
    ///     upstream.send_read(on, permit, Duration::from_secs(9), None).await
    /// }
    /// ```
    /// One that might change something does not compile:
    /// ```compile_fail,E0308
    /// # use grantgate::{policy::Permit, upstream::{Connections, Forwarded, Upstream}};
    /// # use std::time::Duration;
    /// async fn send(upstream: &Upstream, on: &Connections, permit: Permit) -> Forwarded {
    ///     upstream.send_read(on, permit, Duration::from_secs(9), None).await
    /// }
    /// ```
    pub async fn send_read(
        &self,
        connections: &Connections,
        permit: ReadPermit,
        budget: Duration,
        trace: Option<TraceContext>,
    ) -> Forwarded {
        self.forward(connections, permit.permit(), budget, trace, &|| None).await
    }

    async fn forward(
        &self,
        connections: &Connections,
        permit: &Permit,
        budget: Duration,
        trace: Option<TraceContext>,
        stopped: Stopped<'_>,
    ) -> Forwarded {
        let request = &permit.attempt().request;
        let operation = request.operation();
        let passed = match operation.effect() {
            Effect::Changes => self.breaker.pass(Instant::now()).map(Some),
            // A read that is slow by what it asks for must not stop grants.
            Effect::Reads => self.breaker.look(Instant::now()).map(|()| None),
        };
        let pass = match passed {
            Ok(pass) => pass,
            Err(wait) => {
                let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
                return Forwarded {
                    retry_after_s: Some(seconds),
                    ..Forwarded::not_sent(Reason::UpstreamSuspended)
                };
            }
        };
        let started = Instant::now();
        let until = started + self.deadline.min(budget);
        let mut headers = self.headers.clone();
        if let Some(value) = trace.and_then(|t| HeaderValue::from_str(&t.to_string()).ok()) {
            headers.insert(TRACEPARENT, value);
        }
        let (attempt, until) = (permit.attempt(), until.into());
        let forwarded = self.exchange(connections, attempt, headers, until, stopped).await;
        if let Some(pass) = pass {
            pass.tell(classify::works(&forwarded));
        }
        let took = (forwarded.outcome != Outcome::NotSent).then(|| started.elapsed());
        Forwarded { took, ..forwarded }
    }

    /// Where requests go.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Whether grants are refused because the upstream failed again and again.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.breaker.is_open()
    }
}

/// Where the upstream is, as each of those wants it who have to know.
struct Address {
    /// Whom its certificate must be for.
    name: ServerName<'static>,
    uri: http::Uri,
    header: HeaderValue,
}

impl Address {
    fn of(url: &reqwest::Url) -> Option<Self> {
        let host = url.host_str()?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self {
            name: ServerName::try_from(bare).ok()?,
            uri: http::Uri::try_from(format!("https://{authority}")).ok()?,
            header: HeaderValue::from_str(&authority).ok()?,
        })
    }
}

impl Forwarded {
    fn new(outcome: Outcome, reason: Reason) -> Self {
        Self {
            outcome,
            reason,
            status: None,
            confirmation: None,
            error: None,
            retry_after_s: None,
            seam_request_id: None,
            took: None,
        }
    }

    fn not_sent(reason: Reason) -> Self {
        Self::new(Outcome::NotSent, reason)
    }
}
