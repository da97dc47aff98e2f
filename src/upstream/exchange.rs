//! One request and its answer: sent, read within bounds, and said why there is none. Nothing
//! that repeats the workspace key gets any further.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::Full;
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, NoAnswer, NoConnection, Outgoing, Unread};
use super::{Connections, Forwarded, Stopped, Upstream, classify};
use crate::domain::{Effect, Outcome, Reason, Request, RequestId, Secret};
use crate::policy::Attempt;
use crate::seam::{self, SeamError};

/// The largest error that is read, in bytes.
pub(super) const ERROR_BYTES_MAX: usize = 64 * 1024;

/// An answer, with its body as far as it could be read.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Result<BytesMut, Unread>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// There was no connection: nothing was sent.
    Unreachable(String),
    /// It was stopped before a byte was sent.
    Stopped(Reason),
    /// There was none in time.
    TimedOut,
    /// What the network or the HTTP library says.
    Broken(String),
}

/// The most bytes of an answer, and until when it must be there.
type Bounds = (usize, Instant);

/// A try that failed, with the request where not a byte of it was sent and there is time for
/// another try.
type Failed = (Failure, Option<Outgoing>);

impl Failure {
    pub(super) fn cause(self) -> String {
        match self {
            Self::Unreachable(cause) | Self::Broken(cause) => cause,
            Self::TimedOut => "it took too long".into(),
            Self::Stopped(reason) => reason.as_str().into(),
        }
    }
}

impl Upstream {
    /// Sends what policy saw, as often as it may be sent, and reads the answer.
    pub(super) async fn exchange(
        &self,
        connections: &Connections,
        attempt: &Attempt,
        headers: HeaderMap,
        until: Instant,
        stopped: Stopped<'_>,
    ) -> Forwarded {
        let (request, request_id) = (&attempt.request, attempt.request_id);
        let (operation, effect) = (request.operation(), request.operation().effect());
        let outgoing = outgoing(operation.path(), headers, seam::encode(request).into());
        let bytes_max = seam::answer_bytes_max(request);
        match self.ask(connections, outgoing, effect, bytes_max, until, stopped).await {
            Err(failure @ Failure::Stopped(_)) => classify::failure(effect, &failure),
            Err(failure) => {
                let forwarded = classify::failure(effect, &failure);
                self.warn(request_id, forwarded.reason, failure.cause());
                forwarded
            }
            Ok(answer) => self.judge(answer, request, request_id),
        }
    }

    /// Sends a request and reads its answer, of a success no more than `bytes_max`. What
    /// changes something is sent at most once; what reads is sent once more where there was
    /// no answer.
    pub(super) async fn ask(
        &self,
        connections: &Connections,
        outgoing: Outgoing,
        effect: Effect,
        bytes_max: usize,
        until: Instant,
        stopped: Stopped<'_>,
    ) -> Result<Answer, Failure> {
        let again = (effect == Effect::Reads).then(|| outgoing.clone());
        let failed = match connections.idle(self) {
            Some(connection) => {
                self.try_on(connection, connections, outgoing, (bytes_max, until), stopped).await
            }
            None => self.try_anew(connections, outgoing, (bytes_max, until), stopped).await,
        };
        let (failure, unsent) = match failed {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        // Of what comes back here not a byte was sent, so once more is still at most once.
        match unsent.or(again.filter(|_| !matches!(failure, Failure::TimedOut))) {
            Some(outgoing) => self
                .try_anew(connections, outgoing, (bytes_max, until), stopped)
                .await
                .map_err(|(failure, _)| failure),
            None => Err(failure),
        }
    }

    /// Tries once, on a new connection. Seldom, so that its future is no part of others.
    fn try_anew<'a>(
        &'a self,
        connections: &'a Connections,
        outgoing: Outgoing,
        within: Bounds,
        stopped: Stopped<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Failed>> + Send + 'a>> {
        Box::pin(async move {
            match self.connector.connect(within.1).await {
                Ok(connection) => {
                    self.try_on(connection, connections, outgoing, within, stopped).await
                }
                Err(NoConnection::Failed(cause)) => {
                    Err((Failure::Unreachable(cause), Some(outgoing)))
                }
                // There is no time for another try.
                Err(NoConnection::TimedOut) => {
                    Err((Failure::Unreachable("connecting took too long".into()), None))
                }
            }
        })
    }

    /// Tries once. With the failure comes the request, where not a byte of it was sent.
    async fn try_on(
        &self,
        mut connection: Box<Connection>,
        connections: &Connections,
        outgoing: Outgoing,
        (bytes_max, until): Bounds,
        stopped: Stopped<'_>,
    ) -> Result<Answer, Failed> {
        if let Some(reason) = stopped() {
            connections.keep(self, connection);
            return Err((Failure::Stopped(reason), None));
        }
        let mut head = match timeout_at(until, connection.send(outgoing)).await {
            Ok(Ok(head)) => head,
            Ok(Err(NoAnswer::Unsent(outgoing))) => {
                let cause = "the connection was closed before anything was sent".into();
                return Err((Failure::Unreachable(cause), Some(outgoing)));
            }
            Ok(Err(NoAnswer::Broken(cause))) => return Err((Failure::Broken(cause), None)),
            Err(_) => return Err((Failure::TimedOut, None)),
        };
        let bytes_max = if head.status == StatusCode::OK { bytes_max } else { ERROR_BYTES_MAX };
        let body = timeout_at(until, connection.read(&mut head, bytes_max)).await;
        let body = body.unwrap_or(Err(Unread::TimedOut));
        if body.is_ok() {
            connections.keep(self, connection);
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// What an answer means for the request, without anything that must not be known.
    fn judge(&self, answer: Answer, request: &Request, request_id: RequestId) -> Forwarded {
        let Answer { status, headers, body } = answer;
        let effect = request.operation().effect();
        let forwarded = match body {
            Ok(body) => classify::answer(request, status, &headers, &body),
            Err(unread) => {
                let reason = unread.reason();
                if let Some(cause) = unread.cause() {
                    self.warn(request_id, reason, cause);
                }
                classify::unread(effect, status, reason)
            }
        };
        Forwarded {
            status: Some(status),
            retry_after_s: headers
                .get(RETRY_AFTER)
                // Only a request that was refused may be made again.
                .filter(|_| forwarded.outcome == Outcome::Rejected)
                .and_then(|value| value.to_str().ok()?.parse::<u32>().ok())
                .filter(|seconds| *seconds <= 3600),
            seam_request_id: headers.get(seam::REQUEST_ID_HEADER).and_then(id_of),
            ..forwarded
        }
        .without(&self.key, effect)
    }

    /// Says why there is no whole answer.
    fn warn(&self, request_id: RequestId, reason: Reason, cause: String) {
        let (host, cause) = (self.host(), self.without_key(cause));
        let reason = reason.as_str();
        tracing::warn!(%request_id, reason, host, cause, "no answer from the upstream");
    }

    /// What went wrong, for logs and people; not where it would repeat the key.
    pub(super) fn without_key(&self, cause: String) -> Option<String> {
        Some(cause).filter(|cause| !self.has_key(cause))
    }

    pub(super) fn has_key(&self, text: &str) -> bool {
        text.contains(self.key.expose())
    }
}

/// A request to a constant path.
pub(super) fn outgoing(path: &'static str, mut headers: HeaderMap, body: Bytes) -> Outgoing {
    headers.insert(CONTENT_LENGTH, body.len().into());
    let mut outgoing = Outgoing::new(http::Request::new(Full::new(body)));
    *outgoing.method_mut() = http::Method::POST;
    *outgoing.uri_mut() = http::Uri::from_static(path);
    *outgoing.headers_mut() = headers;
    outgoing
}

impl Unread {
    fn reason(&self) -> Reason {
        match self {
            Self::TooLarge => Reason::UpstreamAnswerInvalid,
            Self::TimedOut => Reason::UpstreamTimeout,
            Self::Broken(_) => Reason::UpstreamBroken,
        }
    }

    /// What there is to say of it beside its reason.
    fn cause(self) -> Option<String> {
        match self {
            Self::TooLarge => None,
            Self::TimedOut => Some("it took too long".into()),
            Self::Broken(cause) => Some(cause),
        }
    }
}

/// An id of the upstream's that is fit for a record.
fn id_of(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let fit = !text.is_empty() && text.len() <= 100 && text.bytes().all(|b| b.is_ascii_graphic());
    fit.then(|| text.to_owned())
}

impl Forwarded {
    /// Drops whatever echoes the workspace key.
    fn without(mut self, key: &Secret, effect: Effect) -> Self {
        let echoes = |text: &str| text.contains(key.expose());
        let error = self.error.take_if(|error| {
            let object = |map: &Option<serde_json::Map<String, serde_json::Value>>| {
                map.as_ref().is_some_and(|m| serde_json::to_string(m).is_ok_and(|t| echoes(&t)))
            };
            echoes(&error.kind)
                || echoes(&error.message)
                || object(&error.data)
                || object(&error.validation_errors)
        });
        if error.is_some() {
            self.reason = classify::invalid(self.outcome);
        }
        if self.confirmation.take_if(|found| found.mentions(key.expose())).is_some() {
            self.outcome = Outcome::in_doubt(effect);
            self.reason = Reason::UpstreamAnswerInvalid;
        }
        // What `data` holds has not been judged.
        if let (Effect::Reads, Some(error)) = (effect, &mut self.error) {
            error.data = None;
        }
        // Only now: the start of a key would not be found.
        self.error = self.error.map(SeamError::shorten);
        self.seam_request_id = self.seam_request_id.filter(|id| !echoes(id));
        self
    }
}
