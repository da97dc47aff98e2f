//! How every refusal looks on the wire: status, Seam error type, public text.
//!
//! The texts are fixed. They say what a caller can act on and nothing about policy,
//! other callers or which entrances exist. All causes of a 401 look alike.

use http::StatusCode;

use crate::domain::{Act, Operation, Reason};
use crate::seam::{RequestError, SeamError};

/// A request that ends without Seam's confirmation.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The error to show, where it is more exact than the reason's fixed text.
    detail: Option<Box<SeamError>>,
    /// When to come back, in seconds.
    pub retry_after_s: Option<u32>,
    /// What was asked for, where that is known: the words of the error depend on it.
    pub(super) operation: Option<Operation>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None, retry_after_s: None, operation: None }
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        let detail = SeamError::invalid_input(error.field, error.message);
        Self { detail: Some(Box::new(detail)), ..Self::from(error.reason) }
    }
}

impl Refusal {
    /// A refusal that will pass.
    pub(super) fn retry_after(reason: Reason, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..Self::from(reason) }
    }

    /// The same of a request for this operation.
    pub(super) fn of(mut self, operation: Option<Operation>) -> Self {
        self.operation = operation;
        self
    }

    /// The same on the gateway's own route, in words that are true of it.
    pub(super) fn on_own_route(mut self) -> Self {
        let (_, kind, _) = wire(self.reason);
        if self.reason == Reason::MethodNotAllowed {
            self.detail = Some(Box::new(SeamError::new(kind, "only GET is accepted")));
        } else if [Reason::QueryNotAllowed, Reason::BodyNotAllowed].contains(&self.reason) {
            let text = "neither a query nor a body is accepted";
            self.detail = Some(Box::new(SeamError::invalid_input(None, text)));
        }
        self
    }

    /// The status and the error to send.
    #[must_use]
    pub fn wire(self) -> (StatusCode, SeamError) {
        let (status, kind, text) = match self.operation.map(Operation::act) {
            Some(Act::Read) => wire_of_read(self.reason),
            Some(Act::Grant) | None => wire(self.reason),
        };
        let fixed = || match kind {
            "invalid_input" => SeamError::invalid_input(None, text),
            _ => SeamError::new(kind, text),
        };
        (status, self.detail.map_or_else(fixed, |detail| *detail))
    }
}

const NOT_ALLOWED: &str = "this caller may not grant access to this entrance";
const FROZEN: &str =
    "grants are stopped for now by order of the operator; nothing was sent to Seam";
const UNAUTHORIZED: &str = "the credentials are missing, unknown or no longer valid";
const UNDECIDED: &str = "the request could not be decided; nothing was sent to Seam";
const UNKNOWN: &str = "the outcome is unknown: Seam may or may not have made the grant";
const STILL_UNKNOWN: &str = "this grant was sent before and its outcome is unknown; Seam will be asked about it. Nothing \
     was sent now; a new Idempotency-Key sends it again";
const MALFORMED: &str = "the body is not a grant request";

const NOT_SERVED: &str = "this gateway serves /acs/entrances/grant_access, /acs/entrances/list and \
                          /acs/entrances/get only";
const NOT_READABLE: &str = "this caller may not read this entrance, or any that was asked for";
const UNANSWERED: &str =
    "Seam gave no answer that can be passed on; nothing has changed, try again";

/// The same where entrances were to be read: other words where those for a grant would be
/// false.
fn wire_of_read(reason: Reason) -> (StatusCode, &'static str, &'static str) {
    use Reason as R;
    let (status, kind, text) = wire(reason);
    let text = match (reason, text) {
        (R::MethodNotAllowed, _) => "only GET and POST are accepted",
        (R::UpstreamErrorInvalid, _) => "the request was refused, in no form of Seam's",
        (_, NOT_ALLOWED) => NOT_READABLE,
        (_, UNKNOWN) => UNANSWERED,
        (_, MALFORMED) => "the request is malformed",
        (_, text) => text,
    };
    (status, kind, text)
}

/// Status, Seam error type and text of each reason.
#[expect(clippy::too_many_lines, reason = "one arm a reason, all in one place")]
fn wire(reason: Reason) -> (StatusCode, &'static str, &'static str) {
    use Reason as R;
    use StatusCode as S;
    match reason {
        R::DeniedByRule
        | R::NoRuleMatches
        | R::ConditionNotMet
        | R::CallerOutsidePolicy
        | R::EntranceOutsidePolicy => (S::FORBIDDEN, "forbidden", NOT_ALLOWED),
        R::Frozen => (S::FORBIDDEN, "forbidden", FROZEN),
        R::PolicyError | R::PolicyPanic => {
            (S::SERVICE_UNAVAILABLE, "service_unavailable", UNDECIDED)
        }

        R::RouteUnknown => (S::NOT_FOUND, "not_found", NOT_SERVED),
        R::MethodNotAllowed => {
            (S::METHOD_NOT_ALLOWED, "method_not_allowed", "only POST is accepted")
        }
        R::QueryInvalid | R::BodyNotAllowed => (
            S::BAD_REQUEST,
            "invalid_input",
            "send the fields in one place: in the query of a GET, or in a JSON body",
        ),
        R::QueryNotAllowed => (
            S::BAD_REQUEST,
            "invalid_input",
            "a query is not accepted; send the fields in the body",
        ),
        R::HostInvalid => (S::BAD_REQUEST, "invalid_input", "exactly one valid Host is required"),
        R::FramingInvalid => (
            S::BAD_REQUEST,
            "invalid_input",
            "the only transfer coding is chunked, once; most clients need none",
        ),
        R::TooManyHeaders => (
            S::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "request_header_fields_too_large",
            "the request has more header fields than the limit",
        ),
        R::HostNotServed => (
            S::MISDIRECTED_REQUEST,
            "misdirected_request",
            "this gateway does not serve the requested host",
        ),

        R::CredentialMissing
        | R::CredentialMalformed
        | R::TokenUnknown
        | R::TokenExpired
        | R::JwtMalformed
        | R::JwtIssuerUnknown
        | R::JwtIssuerUnavailable
        | R::JwtAlgorithm
        | R::JwtKeyUnknown
        | R::JwtSignature
        | R::JwtClaims
        | R::JwtExpired
        | R::JwtNotYet
        | R::JwtAudience
        | R::JwtBinding
        | R::JwtUnmapped
        | R::CertificateUnknown
        | R::CertificateMalformed
        | R::CertificateWithdrawn
        | R::CertificateRefused
        | R::CredentialsConflict
        | R::CallerSuspended => (S::UNAUTHORIZED, "unauthorized", UNAUTHORIZED),

        R::WorkspaceMissing => (
            S::BAD_REQUEST,
            "invalid_input",
            "name the workspace: send its id in the header seam-workspace",
        ),
        R::WorkspaceUnknown => (
            S::NOT_FOUND,
            "workspace_not_found",
            "the header seam-workspace names no workspace of this caller's",
        ),

        R::ContentTypeInvalid => (
            S::BAD_REQUEST,
            "invalid_content_type",
            "the content type must be application/json in UTF-8",
        ),
        R::ContentEncodingUnsupported => (
            S::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "encoded bodies are not accepted; send the body without Content-Encoding",
        ),
        R::BodyTooLarge => {
            (S::PAYLOAD_TOO_LARGE, "payload_too_large", "the body is larger than the limit")
        }
        R::BodyTimeout => {
            (S::REQUEST_TIMEOUT, "request_timeout", "the body did not arrive in time")
        }
        R::BodyTrailers => (
            S::BAD_REQUEST,
            "invalid_input",
            "fields after the body (trailers) are not accepted; send none",
        ),
        R::BodyIncomplete
        | R::BodyEmpty
        | R::BodyByteOrderMark
        | R::BodyNotUtf8
        | R::BodyNotJson
        | R::BodyNotObject
        | R::BodyTrailingBytes
        | R::BodyDuplicateKey
        | R::BodyUnknownKey
        | R::FieldNull
        | R::FieldNotString
        | R::FieldNotUuid
        | R::FieldInvalid
        | R::EntranceMissing
        | R::GranteeMissing
        | R::GranteeAmbiguous => (S::BAD_REQUEST, "invalid_input", MALFORMED),

        R::IdempotencyKeyMalformed => (
            S::BAD_REQUEST,
            "invalid_input",
            "Idempotency-Key must be one string in quotes, of 1 to 128 printable ASCII characters",
        ),
        R::IdempotencyKeyReused => (
            S::UNPROCESSABLE_ENTITY,
            "unprocessable_content",
            "this Idempotency-Key was used for another grant; send a new one",
        ),
        R::IdempotencyKeysExhausted => (
            S::TOO_MANY_REQUESTS,
            "rate_limit_exceeded",
            "too many requests of this caller are remembered; nothing was sent to Seam",
        ),
        R::OutcomeUnknown => (S::GATEWAY_TIMEOUT, "upstream_timeout", STILL_UNKNOWN),

        R::Overloaded => (
            S::SERVICE_UNAVAILABLE,
            "service_unavailable",
            "too many requests in flight; nothing was sent to Seam",
        ),
        R::BudgetExhausted => (
            S::TOO_MANY_REQUESTS,
            "rate_limit_exceeded",
            "this caller has used up what it may grant on one day (UTC); nothing was sent to Seam",
        ),
        R::Isolated => (
            S::SERVICE_UNAVAILABLE,
            "service_unavailable",
            "this gateway cannot hear whether grants are stopped; nothing was sent to Seam",
        ),
        R::BudgetUnconfirmed => (
            S::SERVICE_UNAVAILABLE,
            "service_unavailable",
            "it cannot be known now what this caller may still grant today; nothing was sent to Seam",
        ),
        R::RateLimited | R::CallerBusy => (
            S::TOO_MANY_REQUESTS,
            "rate_limit_exceeded",
            "this caller sends too many requests; nothing was sent to Seam",
        ),
        R::AuthenticationThrottled => (
            S::TOO_MANY_REQUESTS,
            "rate_limit_exceeded",
            "too many requests without valid credentials came from this network",
        ),
        R::AuditUnavailable => (
            S::SERVICE_UNAVAILABLE,
            "service_unavailable",
            "the decision could not be recorded; nothing was sent to Seam",
        ),
        R::PermitExpired => (
            S::SERVICE_UNAVAILABLE,
            "service_unavailable",
            "the decision took too long; nothing was sent to Seam",
        ),

        R::UpstreamUnreachable => {
            (S::BAD_GATEWAY, "upstream_error", "Seam cannot be reached; nothing was sent")
        }
        R::UpstreamSuspended => (
            S::SERVICE_UNAVAILABLE,
            "service_unavailable",
            "Seam does not answer; nothing was sent",
        ),
        R::UpstreamKeyRefused => {
            (S::BAD_GATEWAY, "upstream_error", "Seam refused the gateway's own credentials")
        }
        R::UpstreamErrorInvalid => {
            (S::BAD_GATEWAY, "upstream_error", "the grant was refused, in no form of Seam's")
        }
        R::UpstreamTimeout => (S::GATEWAY_TIMEOUT, "upstream_timeout", UNKNOWN),
        R::UpstreamBroken | R::UpstreamAnswerInvalid => (S::BAD_GATEWAY, "upstream_error", UNKNOWN),
        // These have an answer of their own and come here only by a fault of ours.
        R::UpstreamRejected
        | R::AllowedByRule
        | R::AllowedByException
        | R::CallerIdentified
        | R::GatewayRestarted
        | R::InternalError => (
            S::INTERNAL_SERVER_ERROR,
            "internal_server_error",
            "an internal error of the gateway; the outcome is unknown",
        ),
    }
}
