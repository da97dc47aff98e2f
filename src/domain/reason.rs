//! Why a request was permitted or refused: one closed list.
//!
//! The same kebab-case code appears in the audit log, in metrics, in log lines and
//! in the tests. Codes are stable: a published code keeps its meaning.

use super::closed_set;

closed_set! {
/// Why a request was permitted or refused.
pub enum Reason {
    // The decision.
    /// An allow rule matched and no deny rule did.
    AllowedByRule = "allowed-by-rule",
    /// A deny rule matched.
    DeniedByRule = "denied-by-rule",
    /// Rules name the caller and the entrance, but none matches the pair.
    NoRuleMatches = "no-rule-matches",
    /// An allow rule names the pair, but its `when` is not met.
    ConditionNotMet = "condition-not-met",
    /// No rule for this act can ever match this caller.
    CallerOutsidePolicy = "caller-outside-policy",
    /// No rule for this act can ever match this entrance.
    EntranceOutsidePolicy = "entrance-outside-policy",
    /// No rule allows it and none denies it, and an exception does allow it.
    AllowedByException = "allowed-by-exception",
    /// Grants like this are frozen.
    Frozen = "frozen",
    /// This gateway has not heard for too long whether grants are frozen.
    Isolated = "isolated",
    /// The caller's budget of the day is used up.
    BudgetExhausted = "budget-exhausted",
    /// The budget is shared among gateways, and it cannot be known what is left of it.
    BudgetUnconfirmed = "budget-unconfirmed",
    /// Policy evaluation failed.
    PolicyError = "policy-error",
    /// Policy evaluation panicked.
    PolicyPanic = "policy-panic",

    // The gateway's own route.
    /// A caller was told who it is taken for.
    CallerIdentified = "caller-identified",

    // The route.
    /// No such path.
    RouteUnknown = "route-unknown",
    /// The path exists with another method.
    MethodNotAllowed = "method-not-allowed",
    /// The request target has a query, and its method has a body.
    QueryNotAllowed = "query-not-allowed",
    /// A query that cannot be read in one way.
    QueryInvalid = "query-invalid",
    /// A body beside a query: it is not clear which of them counts.
    BodyNotAllowed = "body-not-allowed",
    /// The Host header is missing, repeated or malformed (RFC 9112, section 3.2).
    HostInvalid = "host-invalid",
    /// A Transfer-Encoding other than one `chunked` (RFC 9112, section 6.1).
    FramingInvalid = "framing-invalid",
    /// More header fields than the limit.
    TooManyHeaders = "too-many-headers",
    /// The request names a host that this gateway does not serve.
    HostNotServed = "host-not-served",

    // The credential.
    /// Neither a token nor a client certificate.
    CredentialMissing = "credential-missing",
    /// An Authorization header that is not one `Bearer` token.
    CredentialMalformed = "credential-malformed",
    /// No caller has this token.
    TokenUnknown = "token-unknown",
    /// The token's time is over.
    TokenExpired = "token-expired",
    /// A JSON Web Token that cannot be read in one way, or whose header has what is refused.
    JwtMalformed = "jwt-malformed",
    /// No configured issuer has the token's `iss`.
    JwtIssuerUnknown = "jwt-issuer-unknown",
    /// There are no keys of the token's issuer that are young enough.
    JwtIssuerUnavailable = "jwt-issuer-unavailable",
    /// An algorithm that the issuer may not use, or that does not fit the key.
    JwtAlgorithm = "jwt-algorithm",
    /// The issuer has no key of this name.
    JwtKeyUnknown = "jwt-key-unknown",
    /// The signature is not one of the key's.
    JwtSignature = "jwt-signature",
    /// A claim that must be there is missing or malformed, or the token lives for too long.
    JwtClaims = "jwt-claims",
    /// The token's time is over.
    JwtExpired = "jwt-expired",
    /// The token's time has not begun.
    JwtNotYet = "jwt-not-yet",
    /// The token is for somebody else.
    JwtAudience = "jwt-audience",
    /// The token is bound to another client certificate, or to what cannot be checked.
    JwtBinding = "jwt-binding",
    /// The token is good, and no caller has its subject or claims.
    JwtUnmapped = "jwt-unmapped",
    /// No caller has this client certificate's name.
    CertificateUnknown = "certificate-unknown",
    /// The client certificate's names break the SPIFFE rules or are ambiguous.
    CertificateMalformed = "certificate-malformed",
    /// The client certificate was accepted once and no longer is: revoked, or expired.
    CertificateWithdrawn = "certificate-withdrawn",
    /// The client certificate was refused in the TLS handshake: there was no request.
    CertificateRefused = "certificate-refused",
    /// What was presented names different callers: a token and a certificate, or the rules that
    /// one JSON Web Token meets.
    CredentialsConflict = "credentials-conflict",
    /// The credential is good, and its caller is suspended.
    CallerSuspended = "caller-suspended",
    /// No valid credential, and its network has failed too often.
    AuthenticationThrottled = "authentication-throttled",

    // The workspace.
    /// The credential is good, and it is not clear for which workspace the request is.
    WorkspaceMissing = "workspace-missing",
    /// The request names a workspace, or several, and it is none of the caller's.
    WorkspaceUnknown = "workspace-unknown",

    // The body.
    /// Content-Type is not `application/json`.
    ContentTypeInvalid = "content-type-invalid",
    /// Content-Encoding is not `identity`.
    ContentEncodingUnsupported = "content-encoding-unsupported",
    /// The body is larger than the limit.
    BodyTooLarge = "body-too-large",
    /// The body did not arrive in time.
    BodyTimeout = "body-timeout",
    /// The connection ended within the body.
    BodyIncomplete = "body-incomplete",
    /// Fields follow the body (RFC 9110, section 6.5).
    BodyTrailers = "body-trailers",
    /// The body is empty.
    BodyEmpty = "body-empty",
    /// The body starts with a byte order mark.
    BodyByteOrderMark = "body-byte-order-mark",
    /// The body is not UTF-8.
    BodyNotUtf8 = "body-not-utf8",
    /// The body is not JSON.
    BodyNotJson = "body-not-json",
    /// The body is JSON, but not an object.
    BodyNotObject = "body-not-object",
    /// Something follows the JSON object.
    BodyTrailingBytes = "body-trailing-bytes",
    /// A field occurs twice, in the body or in the query.
    BodyDuplicateKey = "body-duplicate-key",
    /// A field that the operation does not have, in the body or in the query.
    BodyUnknownKey = "body-unknown-key",
    /// A field is null.
    FieldNull = "field-null",
    /// A field is not a string.
    FieldNotString = "field-not-string",
    /// A field is not a uuid in its 36-character form.
    FieldNotUuid = "field-not-uuid",
    /// A field has a value that it cannot have.
    FieldInvalid = "field-invalid",
    /// `acs_entrance_id` is missing.
    EntranceMissing = "entrance-missing",
    /// Neither `acs_user_id` nor `user_identity_id`.
    GranteeMissing = "grantee-missing",
    /// Both `acs_user_id` and `user_identity_id`.
    GranteeAmbiguous = "grantee-ambiguous",

    // A request that was made before.
    /// `Idempotency-Key` is not one string in quotes.
    IdempotencyKeyMalformed = "idempotency-key-malformed",
    /// The caller used the key for another grant.
    IdempotencyKeyReused = "idempotency-key-reused",
    /// No more keys, or unknown outcomes, are remembered for the caller.
    IdempotencyKeysExhausted = "idempotency-keys-exhausted",
    /// The same grant was sent before, and nobody knows yet what became of it.
    OutcomeUnknown = "outcome-unknown",

    // The gateway itself.
    /// Too many requests in flight.
    Overloaded = "overloaded",
    /// The caller sends more requests a second than it may.
    RateLimited = "rate-limited",
    /// The caller has too many requests in flight.
    CallerBusy = "caller-busy",
    /// The decision could not be made durable.
    AuditUnavailable = "audit-unavailable",
    /// The permit grew too old between its record and the forward.
    PermitExpired = "permit-expired",
    /// The process ended before it knew; closed by the next start.
    GatewayRestarted = "gateway-restarted",
    /// A fault of the gateway.
    InternalError = "internal-error",

    // The upstream.
    /// Seam refused with an error of its own.
    UpstreamRejected = "upstream-rejected",
    /// Seam refused the workspace key.
    UpstreamKeyRefused = "upstream-key-refused",
    /// No connection to Seam: nothing was sent.
    UpstreamUnreachable = "upstream-unreachable",
    /// Seam failed again and again: for a while nothing is sent.
    UpstreamSuspended = "upstream-suspended",
    /// The connection broke before an answer.
    UpstreamBroken = "upstream-broken",
    /// No answer in time.
    UpstreamTimeout = "upstream-timeout",
    /// A 4xx answer that is not Seam's: the request was refused, by Seam or in front of it.
    UpstreamErrorInvalid = "upstream-error-invalid",
    /// An answer that is not Seam's: a redirect, HTML, a 2xx without `"ok":true`, too large.
    UpstreamAnswerInvalid = "upstream-answer-invalid",
}
}

impl Reason {
    /// Whether it is one for which a request is forwarded.
    #[must_use]
    pub const fn permits(self) -> bool {
        matches!(self, Self::AllowedByRule | Self::AllowedByException)
    }

    /// Whether an order decided, and no rule.
    #[must_use]
    pub const fn is_by_order(self) -> bool {
        matches!(self, Self::AllowedByException | Self::Frozen)
    }

    /// Whether what the policy permits was refused: for what the caller did before, or what the gateway
    /// does not know.
    #[must_use]
    pub const fn is_beyond_policy(self) -> bool {
        matches!(
            self,
            Self::Isolated
                | Self::BudgetExhausted
                | Self::BudgetUnconfirmed
                | Self::IdempotencyKeyReused
                | Self::IdempotencyKeysExhausted
        )
    }

    /// Whether the policy had nothing for or against the request.
    #[must_use]
    pub const fn is_silence(self) -> bool {
        matches!(
            self,
            Self::NoRuleMatches
                | Self::ConditionNotMet
                | Self::CallerOutsidePolicy
                | Self::EntranceOutsidePolicy
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_distinct_and_kebab_case() {
        let mut seen = HashSet::new();
        for reason in Reason::ALL {
            let code = reason.as_str();
            assert!(seen.insert(code), "{code} twice");
            assert!(
                code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
        }
    }
}
