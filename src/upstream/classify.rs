//! What an upstream answer, or the lack of one, means for the grant.
//!
//! | answer | outcome |
//! |---|---|
//! | 200, `application/json`, `"ok":true` | granted |
//! | 4xx but 408: the request was refused, by Seam or in front of it | rejected |
//! | anything else: other 2xx, 3xx, 408, 5xx, broken, too large, none in time | unknown |
//! | no connection | not sent |

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use super::Forwarded;
use crate::domain::{Outcome, Reason};
use crate::seam;

/// A whole answer.
pub(super) fn answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Forwarded {
    let json = is_json(headers);
    if status == StatusCode::OK && json && seam::confirms_grant(body) {
        return Forwarded::new(Outcome::Granted, Reason::AllowedByRule);
    }
    if !status.is_client_error() && !status.is_server_error() {
        return Forwarded::new(Outcome::Unknown, Reason::UpstreamAnswerInvalid);
    }
    let outcome = outcome_of_error(status);
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
pub(super) fn unread(status: StatusCode, reason: Reason) -> Forwarded {
    Forwarded::new(outcome_of_error(status), reason)
}

/// No answer, or none in whole.
pub(super) fn failure(error: &reqwest::Error) -> Forwarded {
    if error.is_connect() {
        Forwarded::new(Outcome::NotSent, Reason::UpstreamUnreachable)
    } else {
        Forwarded::new(Outcome::Unknown, broken(error))
    }
}

/// What went wrong once there was a connection.
pub(super) fn broken(error: &reqwest::Error) -> Reason {
    if error.is_timeout() { Reason::UpstreamTimeout } else { Reason::UpstreamBroken }
}

/// Whether the upstream does its work, whatever it thinks of this grant.
pub(super) fn works(forwarded: &Forwarded) -> bool {
    matches!(forwarded.outcome, Outcome::Granted | Outcome::Rejected)
}

/// An answer that cannot be passed on.
pub(super) fn invalid(outcome: Outcome) -> Reason {
    if outcome == Outcome::Rejected {
        Reason::UpstreamErrorInvalid
    } else {
        Reason::UpstreamAnswerInvalid
    }
}

fn outcome_of_error(status: StatusCode) -> Outcome {
    if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT {
        Outcome::Rejected
    } else {
        Outcome::Unknown
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
    use Outcome::{Granted, Rejected, Unknown};
    use Reason::{
        AllowedByRule, UpstreamAnswerInvalid, UpstreamErrorInvalid, UpstreamKeyRefused,
        UpstreamRejected,
    };

    #[test]
    fn only_seams_own_confirmation_is_a_grant() {
        let typed = r#"{"error":{"type":"acs_user_not_found","message":"no"}}"#;
        let json = "application/json; charset=utf-8";
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
            let found = answer(status, &headers, body.as_bytes());
            assert_eq!((found.outcome, found.reason), (outcome, reason), "{name}");
            assert_eq!(found.error.is_some(), reason == UpstreamRejected, "{name}");
        }
    }
}
