//! What an upstream answer, or the lack of one, means for the request.
//!
//! | answer | of a change | of a read |
//! |---|---|---|
//! | 200, `application/json`, `"ok":true` and what was asked for | granted | answered |
//! | 4xx but 408: the request was refused, by Seam or in front of it | rejected | rejected |
//! | anything else: other 2xx, 3xx, 408, 5xx, broken, too large, none in time | unknown | unanswered |
//! | no connection | not sent | not sent |

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use super::Forwarded;
use super::exchange::Failure;
use crate::domain::{Effect, Outcome, Reason, Request};
use crate::seam;

/// A whole answer.
pub(super) fn answer(
    request: &Request,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Forwarded {
    let (json, effect) = (is_json(headers), request.operation().effect());
    if status == StatusCode::OK
        && json
        && let Some(confirmation) = seam::confirmation(request, body)
    {
        let forwarded = Forwarded::new(Outcome::confirmed(effect), Reason::AllowedByRule);
        return Forwarded { confirmation: Some(confirmation), ..forwarded };
    }
    if !status.is_client_error() && !status.is_server_error() {
        return Forwarded::new(Outcome::in_doubt(effect), Reason::UpstreamAnswerInvalid);
    }
    let outcome = outcome_of_error(effect, status);
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        return Forwarded::new(outcome, Reason::UpstreamKeyRefused);
    }
    match seam::read_error(body).filter(|_| json) {
        Some(error) => {
            Forwarded { error: Some(error), ..Forwarded::new(outcome, Reason::UpstreamRejected) }
        }
        None => Forwarded::new(outcome, invalid(outcome)),
    }
}

/// An answer whose body could not be read to its end.
pub(super) fn unread(effect: Effect, status: StatusCode, reason: Reason) -> Forwarded {
    Forwarded::new(outcome_of_error(effect, status), reason)
}

/// No answer.
pub(super) fn failure(effect: Effect, failure: &Failure) -> Forwarded {
    match failure {
        Failure::Unreachable(_) => Forwarded::new(Outcome::NotSent, Reason::UpstreamUnreachable),
        Failure::Stopped(reason) => Forwarded::new(Outcome::NotSent, *reason),
        Failure::TimedOut => Forwarded::new(Outcome::in_doubt(effect), Reason::UpstreamTimeout),
        Failure::Broken(_) => Forwarded::new(Outcome::in_doubt(effect), Reason::UpstreamBroken),
    }
}

/// Whether the upstream does its work, whatever it thinks of this request.
pub(super) fn works(forwarded: &Forwarded) -> bool {
    let is_stopped = matches!(forwarded.reason, Reason::Frozen | Reason::NoRuleMatches);
    let answered = [Outcome::Granted, Outcome::Answered, Outcome::Rejected];
    // Of what was stopped when a connection was there, it is not the upstream's fault.
    is_stopped || answered.contains(&forwarded.outcome)
}

/// An answer that cannot be passed on.
pub(super) fn invalid(outcome: Outcome) -> Reason {
    if outcome == Outcome::Rejected {
        Reason::UpstreamErrorInvalid
    } else {
        Reason::UpstreamAnswerInvalid
    }
}

fn outcome_of_error(effect: Effect, status: StatusCode) -> Outcome {
    if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT {
        Outcome::Rejected
    } else {
        Outcome::in_doubt(effect)
    }
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type
        .and_then(|text| text.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Operation;
    use crate::seam::Params;
    use Outcome::{Granted, Rejected, Unknown};
    use Reason::{
        AllowedByRule, UpstreamAnswerInvalid, UpstreamErrorInvalid, UpstreamKeyRefused,
        UpstreamRejected,
    };

    #[test]
    fn only_seams_own_confirmation_is_a_grant() {
        let typed = r#"{"error":{"type":"acs_user_not_found","message":"no"}}"#;
        let json = "application/json; charset=utf-8";
        let asked = br#"{"acs_entrance_id":"d23d7180-c1ee-4bbe-8630-05df5031ce35","acs_user_id":"4b0a3f6e-6a0e-4a3f-8f3d-6b1f6e0d9a51"}"#;
        let request = seam::parse(Operation::GrantAccess, Params::Body(asked)).unwrap();
        let table = [
            ("confirmed", 200, json, r#"{"ok":true}"#, Granted, AllowedByRule),
            ("not ok", 200, json, r#"{"ok":false}"#, Unknown, UpstreamAnswerInvalid),
            ("empty", 200, json, "", Unknown, UpstreamAnswerInvalid),
            ("HTML", 200, "text/html", r#"{"ok":true}"#, Unknown, UpstreamAnswerInvalid),
            ("no type", 200, "", r#"{"ok":true}"#, Unknown, UpstreamAnswerInvalid),
            ("created", 201, json, r#"{"ok":true}"#, Unknown, UpstreamAnswerInvalid),
            ("no content", 204, json, "", Unknown, UpstreamAnswerInvalid),
            ("redirect", 302, json, r#"{"ok":true}"#, Unknown, UpstreamAnswerInvalid),
            ("typed 404", 404, json, typed, Rejected, UpstreamRejected),
            ("typed 400", 400, json, typed, Rejected, UpstreamRejected),
            ("typed 429", 429, json, typed, Rejected, UpstreamRejected),
            ("typed 408", 408, json, typed, Unknown, UpstreamRejected),
            ("typed 500", 500, json, typed, Unknown, UpstreamRejected),
            ("text 400", 400, "text/plain", "Invalid JSON", Rejected, UpstreamErrorInvalid),
            ("typed as text", 404, "text/plain", typed, Rejected, UpstreamErrorInvalid),
            ("HTML 502", 502, "text/html", "<html>", Unknown, UpstreamAnswerInvalid),
            ("our key", 401, json, typed, Rejected, UpstreamKeyRefused),
            ("our key, HTML", 403, "text/html", "", Rejected, UpstreamKeyRefused),
        ];
        for (name, status, media_type, body, outcome, reason) in table {
            let mut headers = HeaderMap::new();
            if !media_type.is_empty() {
                headers.insert(CONTENT_TYPE, media_type.parse().unwrap());
            }
            let status = StatusCode::from_u16(status).unwrap();
            let found = answer(&request, status, &headers, body.as_bytes());
            assert_eq!((found.outcome, found.reason), (outcome, reason), "{name}");
            assert_eq!(found.error.is_some(), reason == UpstreamRejected, "{name}");
        }
    }
}
