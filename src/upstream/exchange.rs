//! One request and its answer: sent, read within bounds, and said why there is none. Nothing
//! that repeats the workspace key gets any further.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{Forwarded, Upstream, classify};
use crate::domain::{Effect, Outcome, Reason, Request, RequestId, Secret, innermost};
use crate::policy::Attempt;
use crate::seam::{self, SeamError};

/// The largest error that is read, in bytes.
pub(super) const ERROR_BYTES_MAX: usize = 64 * 1024;

/// Why a body was not read to its end.
pub(super) enum Unread {
    TooLarge,
    Broken(reqwest::Error),
}

/// Reads a whole body.
pub(super) async fn read_up_to(
    answer: &mut reqwest::Response,
    bytes_max: usize,
) -> Result<BytesMut, Unread> {
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(Unread::Broken)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl Upstream {
    /// Sends what policy saw, as often as it may be sent, and reads the answer.
    pub(super) async fn exchange(
        &self,
        attempt: &Attempt,
        headers: HeaderMap,
        until: Instant,
    ) -> Forwarded {
        let (request, request_id) = (&attempt.request, attempt.request_id);
        let operation = request.operation();
        let body = Bytes::from(seam::encode(request));
        let again = |error: &reqwest::Error| match operation.effect() {
            // No connection: not a byte was sent, so once more is still at most once.
            Effect::Changes => error.is_connect() && !error.is_timeout(),
            Effect::Reads => !error.is_timeout(),
        };
        let sent = match self.post(operation, headers.clone(), body.clone(), until).await {
            Err(error) if again(&error) => self.post(operation, headers, body, until).await,
            sent => sent,
        };
        match sent {
            Err(error) => {
                let forwarded = classify::failure(operation.effect(), &error);
                self.warn(request_id, forwarded.reason, error);
                forwarded
            }
            Ok(answer) => self.read(answer, request, request_id).await,
        }
    }

    /// Reads a whole answer.
    async fn read(
        &self,
        mut answer: reqwest::Response,
        request: &Request,
        request_id: RequestId,
    ) -> Forwarded {
        let (status, effect) = (answer.status(), request.operation().effect());
        let headers = std::mem::take(answer.headers_mut());
        let bytes_max = match status {
            StatusCode::OK => seam::answer_bytes_max(request),
            _ => ERROR_BYTES_MAX,
        };
        let forwarded = match read_up_to(&mut answer, bytes_max).await {
            Ok(body) => classify::answer(request, status, &headers, &body),
            Err(Unread::TooLarge) => {
                classify::unread(effect, status, Reason::UpstreamAnswerInvalid)
            }
            Err(Unread::Broken(error)) => {
                let reason = classify::broken(&error);
                self.warn(request_id, reason, error);
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
    fn warn(&self, request_id: RequestId, reason: Reason, error: reqwest::Error) {
        let (host, cause) = (self.host(), self.cause(error));
        let reason = reason.as_str();
        tracing::warn!(%request_id, reason, host, cause, "no answer from the upstream");
    }

    /// Why a request failed, for logs and people: without the URL, and not where it would
    /// repeat the key.
    pub(super) fn cause(&self, error: reqwest::Error) -> Option<String> {
        Some(innermost(&error.without_url())).filter(|cause| !self.has_key(cause))
    }

    pub(super) fn has_key(&self, text: &str) -> bool {
        text.contains(self.key.expose())
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
