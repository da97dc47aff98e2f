//! Reading what came back, or saying why nothing did. Nothing that repeats the workspace key
//! gets any further.

use bytes::BytesMut;
use http::HeaderValue;
use http::header::RETRY_AFTER;

use super::{ANSWER_BYTES_MAX, Forwarded, Upstream, classify};
use crate::domain::{Outcome, Reason, RequestId, Secret, innermost};
use crate::seam::{self, SeamError};

impl Upstream {
    /// Reads a whole answer.
    pub(super) async fn read(
        &self,
        mut answer: reqwest::Response,
        request_id: RequestId,
    ) -> Forwarded {
        let status = answer.status();
        let headers = std::mem::take(answer.headers_mut());
        let mut body = BytesMut::new();
        let read = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > ANSWER_BYTES_MAX => {
                    break Err(Reason::UpstreamAnswerInvalid);
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break Ok(()),
                Err(error) => {
                    let reason = classify::broken(&error);
                    self.warn(request_id, reason, error);
                    break Err(reason);
                }
            }
        };
        let forwarded = match read {
            Ok(()) => classify::answer(status, &headers, &body),
            Err(reason) => classify::unread(status, reason),
        };
        Forwarded {
            status: Some(status),
            retry_after_s: headers
                .get(RETRY_AFTER)
                // Only a grant that was refused may be asked for again.
                .filter(|_| forwarded.outcome == Outcome::Rejected)
                .and_then(|value| value.to_str().ok()?.parse::<u32>().ok())
                .filter(|seconds| *seconds <= 3600),
            seam_request_id: headers.get(seam::REQUEST_ID_HEADER).and_then(id_of),
            ..forwarded
        }
        .without(&self.key)
    }

    /// Says why there is no whole answer.
    pub(super) fn warn(&self, request_id: RequestId, reason: Reason, error: reqwest::Error) {
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
    fn without(mut self, key: &Secret) -> Self {
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
        // Only now: the start of a key would not be found.
        self.error = self.error.map(SeamError::shorten);
        self.seam_request_id = self.seam_request_id.filter(|id| !echoes(id));
        self
    }
}
