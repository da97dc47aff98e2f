//! Seam: the only holder of the workspace key, and of the HTTP client that sends it.
//!
//! There is one way in for a caller's request, [`Upstream::send`], and it takes a recorded
//! permit by value: nothing that changes anything can be sent without a durable record, and
//! none twice. What is sent is encoded from the value that policy saw, to a constant path,
//! with a fixed set of headers. Redirects are not followed and proxies of the environment not
//! used. [`Upstream::send_read`] takes a permit that can only read, where reads need no record,
//! and [`Upstream::list_entrances`] reads the names of entrances for the command line.

mod breaker;
mod classify;
mod exchange;
mod list;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::audit::Recorded;
use crate::domain::{Effect, Operation, Outcome, Reason, Secret, TraceContext, innermost};
use crate::policy::{Permit, ReadPermit};
use crate::seam::{self, Confirmation, SeamError};
use crate::tls::ClientTls;
use breaker::Breaker;
pub use breaker::BreakerSettings;
pub use list::ListError;

/// W3C Trace Context, section 3.2.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const WORKSPACE: HeaderName = HeaderName::from_static("seam-workspace");
const USER_AGENT: &str = concat!("grantgate/", env!("CARGO_PKG_VERSION"));

/// A permit older than this is not sent: a stalled queue must not outlive a
/// revocation.
pub const PERMIT_AGE_MAX: Duration = Duration::from_secs(5);

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
    #[error("`upstream.workspace_id` must be visible ASCII characters")]
    WorkspaceInvalid,
    /// The HTTP client refused its settings.
    #[error("the HTTP client cannot be set up: {}", innermost(.0))]
    Client(#[source] reqwest::Error),
}

/// How the gateway talks to Seam.
pub struct Upstream {
    client: reqwest::Client,
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
        workspace_id: Option<&str>,
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
        if let Some(id) = workspace_id {
            let value = HeaderValue::from_str(id).ok().filter(|_| visible(id) && !id.is_empty());
            headers.insert(WORKSPACE, value.ok_or(UpstreamError::WorkspaceInvalid)?);
        }
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.into_config())
            .user_agent(USER_AGENT)
            .https_only(true)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(connect_timeout)
            // Below the idle time of common load balancers, so that a request is
            // seldom sent into a connection that is being closed.
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_keepalive(Duration::from_secs(15))
            .build()
            .map_err(UpstreamError::Client)?;
        Ok(Self { client, url, headers, key, deadline, breaker: Breaker::new(breaker) })
    }

    /// Sends one permitted request and reads what became of it: at most once where it changes
    /// something. Never fails: a failure is an outcome. Takes no longer than `budget` or the configured
    /// deadline, whichever is less. With `trace`, Seam is told which trace it belongs to.
    ///
    /// A recorded permit is what it takes:
    /// ```no_run
    /// # use grantgate::{audit::Recorded, policy::Permit, upstream::{Forwarded, Upstream}};
    /// # use std::time::Duration;
    /// async fn send(upstream: &Upstream, permit: Recorded<Permit>) -> Forwarded {
    ///     upstream.send(permit, Duration::from_secs(9), None).await
    /// }
    /// ```
    /// A permit without a record does not compile:
    /// ```compile_fail,E0308
    /// # use grantgate::{audit::Recorded, policy::Permit, upstream::{Forwarded, Upstream}};
    /// # use std::time::Duration;
    /// async fn send(upstream: &Upstream, permit: Permit) -> Forwarded {
    ///     upstream.send(permit, Duration::from_secs(9), None).await
    /// }
    /// ```
    /// Nor does a recorded denial:
    /// ```compile_fail,E0308
    /// # use grantgate::{audit::Recorded, policy::Denial, upstream::{Forwarded, Upstream}};
    /// # use std::time::Duration;
    /// async fn send(upstream: &Upstream, denial: Recorded<Denial>) -> Forwarded {
    ///     upstream.send(denial, Duration::from_secs(9), None).await
    /// }
    /// ```
    /// Nor sending one permit twice:
    /// ```compile_fail,E0382
    /// # use grantgate::{audit::Recorded, policy::Permit, upstream::{Forwarded, Upstream}};
    /// # use std::time::Duration;
    /// async fn send(upstream: &Upstream, permit: Recorded<Permit>) -> Forwarded {
    ///     upstream.send(permit, Duration::from_secs(9), None).await;
    ///     upstream.send(permit, Duration::from_secs(9), None).await
    /// }
    /// ```
    pub async fn send(
        &self,
        permit: Recorded<Permit>,
        budget: Duration,
        trace: Option<TraceContext>,
    ) -> Forwarded {
        if permit.age() > PERMIT_AGE_MAX || budget.is_zero() {
            return Forwarded::not_sent(Reason::PermitExpired);
        }
        self.forward(permit.evidence(), budget, trace).await
    }

    /// Sends a permitted request that changes nothing, whether or not it was recorded.
    ///
    /// A permit that can only read is what it takes:
    /// ```no_run
    /// # use grantgate::{policy::ReadPermit, upstream::{Forwarded, Upstream}};
    /// # use std::time::Duration;
    /// async fn send(upstream: &Upstream, permit: ReadPermit) -> Forwarded {
    ///     upstream.send_read(permit, Duration::from_secs(9), None).await
    /// }
    /// ```
    /// One that might change something does not compile:
    /// ```compile_fail,E0308
    /// # use grantgate::{policy::Permit, upstream::{Forwarded, Upstream}};
    /// # use std::time::Duration;
    /// async fn send(upstream: &Upstream, permit: Permit) -> Forwarded {
    ///     upstream.send_read(permit, Duration::from_secs(9), None).await
    /// }
    /// ```
    pub async fn send_read(
        &self,
        permit: ReadPermit,
        budget: Duration,
        trace: Option<TraceContext>,
    ) -> Forwarded {
        self.forward(permit.permit(), budget, trace).await
    }

    async fn forward(
        &self,
        permit: &Permit,
        budget: Duration,
        trace: Option<TraceContext>,
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
        let forwarded = self.exchange(permit.attempt(), headers, until).await;
        if let Some(pass) = pass {
            pass.tell(classify::works(&forwarded));
        }
        let took = (forwarded.outcome != Outcome::NotSent).then(|| started.elapsed());
        Forwarded { took, ..forwarded }
    }

    /// Sends one request once.
    async fn post(
        &self,
        operation: Operation,
        headers: HeaderMap,
        body: Bytes,
        until: Instant,
    ) -> reqwest::Result<reqwest::Response> {
        let mut url = self.url.clone();
        url.set_path(operation.path());
        self.client
            .post(url)
            .headers(headers)
            .timeout(until.saturating_duration_since(Instant::now()))
            .body(body)
            .send()
            .await
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
