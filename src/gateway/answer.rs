//! The answer to a caller, always in Seam's shape and always with a request id.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::admission::Seat;
use super::{Refusal, route};
use crate::domain::{Operation, Reason, RequestId};
use crate::seam::{self, Identity, SeamError, Shown};
use crate::upstream::Forwarded;

/// An answer, not yet on the wire.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    content: Content,
    reason: Reason,
    retry_after_s: Option<u32>,
    /// The methods that the path may be asked with.
    methods: &'static str,
    /// Given back when the answer has been sent.
    seat: Option<Seat>,
}

#[derive(Debug)]
enum Content {
    Shown(Shown),
    Identity(Identity),
    Error(SeamError),
}

/// A body that takes up its request's seat until it has been sent, or its connection is gone.
struct Seated {
    body: Vec<u8>,
    _seat: Option<Seat>,
}

impl AsRef<[u8]> for Seated {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let (reason, retry_after_s) = (refusal.reason, refusal.retry_after_s);
        let methods = refusal.operation.map_or("POST", route::methods);
        let (status, error) = refusal.wire();
        Self { status, content: Content::Error(error), reason, retry_after_s, methods, seat: None }
    }
}

impl Answer {
    /// The answer to a request that was forwarded. A confirmation is only shown as far as the
    /// caller may see it.
    pub(super) fn forwarded(
        operation: Operation,
        forwarded: Forwarded,
        shown: Option<Shown>,
    ) -> Self {
        let Forwarded { reason, retry_after_s, .. } = forwarded;
        let methods = route::methods(operation);
        match (shown, forwarded.status, forwarded.error) {
            (Some(shown), ..) => Self {
                status: StatusCode::OK,
                content: Content::Shown(shown),
                reason,
                retry_after_s: None,
                methods,
                seat: None,
            },
            // Seam's own error: its status and its known fields.
            (None, Some(status), Some(error)) => {
                let content = Content::Error(error);
                Self { status, content, reason, retry_after_s, methods, seat: None }
            }
            (None, ..) => {
                Self { retry_after_s, ..Refusal::from(reason).of(Some(operation)).into() }
            }
        }
    }

    /// The answer to a caller that asked who it is taken for.
    pub(super) fn identity(identity: Identity) -> Self {
        Self {
            status: StatusCode::OK,
            content: Content::Identity(identity),
            reason: Reason::CallerIdentified,
            retry_after_s: None,
            methods: route::OWN_METHODS,
            seat: None,
        }
    }

    /// A refusal on the gateway's own route.
    pub(super) fn refused_own(refusal: Refusal) -> Self {
        Self { methods: route::OWN_METHODS, ..refusal.into() }
    }

    /// The same answer, with the seat of its request.
    pub(super) fn holding(self, seat: Seat) -> Self {
        Self { seat: Some(seat), ..self }
    }

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
        let body = match self.content {
            Content::Shown(Shown::Granted) => Bytes::from_static(seam::success_body()),
            Content::Shown(Shown::Read { body, .. }) => {
                Bytes::from_owner(Seated { body, _seat: self.seat })
            }
            Content::Identity(identity) => seam::identity_body(&identity, request_id).into(),
            Content::Error(error) => seam::error_body(&error, request_id).into(),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, seam::JSON);
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static(self.methods));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        // The rest of an unread body would be taken for the next request's head.
        let close = [
            Reason::BodyTooLarge,
            Reason::BodyTimeout,
            Reason::FramingInvalid,
            Reason::AuthenticationThrottled,
        ];
        if close.contains(&self.reason) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
