//! The answer to a caller, always in Seam's shape and always with a request id.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::Refusal;
use crate::domain::{Outcome, Reason, RequestId};
use crate::seam::{self, SeamError};
use crate::upstream::Forwarded;

/// An answer, not yet on the wire.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    /// `None` for the confirmed grant.
    error: Option<SeamError>,
    reason: Reason,
    retry_after_s: Option<u32>,
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let (reason, retry_after_s) = (refusal.reason, refusal.retry_after_s);
        let (status, error) = refusal.wire();
        Self { status, error: Some(error), reason, retry_after_s }
    }
}

impl From<Forwarded> for Answer {
    fn from(forwarded: Forwarded) -> Self {
        let reason = forwarded.reason;
        match (forwarded.outcome, forwarded.status, forwarded.error) {
            (Outcome::Granted, ..) => {
                Self { status: StatusCode::OK, error: None, reason, retry_after_s: None }
            }
            // Seam's own error: its status and its known fields.
            (_, Some(status), Some(error)) => {
                Self { status, error: Some(error), reason, retry_after_s: forwarded.retry_after_s }
            }
            _ => Self { retry_after_s: forwarded.retry_after_s, ..Refusal::from(reason).into() },
        }
    }
}

impl Answer {
    /// Why the request was answered so.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer as an HTTP response. Its headers are these and no others.
    #[must_use]
    pub fn into_response(self, request_id: RequestId) -> Response<Full<Bytes>> {
        let body = match &self.error {
            None => Bytes::from_static(seam::success_body()),
            Some(error) => seam::error_body(error, request_id).into(),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, seam::JSON);
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        // The rest of an unread body would be taken for the next request's head.
        let close = [Reason::BodyTooLarge, Reason::BodyTimeout, Reason::FramingInvalid];
        if close.contains(&self.reason) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
