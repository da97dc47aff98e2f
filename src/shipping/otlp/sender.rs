//! One request to the collector and what came of it: HTTP with protobuf bodies
//! ("OpenTelemetry Protocol Specification", section "OTLP/HTTP").

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message as _;

use super::headers::headers_from;
use crate::config::ExportSettings;
use crate::domain::{Problem, innermost};
use crate::files::{read_plain, read_secret};
use crate::shipping::sink::{Answer, Cause};
use crate::tls::{ClientTls, PemFile, Roots};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("grantgate/", env!("CARGO_PKG_VERSION")));

/// To a connection with finished handshake, where the whole request may take longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Holds the collector's address and credential.
pub(super) struct Sender {
    client: reqwest::Client,
    url: reqwest::Url,
    headers: HeaderMap,
    timeout: Duration,
}

impl Sender {
    /// Reads the files and sets the client up; connects to nothing.
    ///
    /// # Errors
    /// Every problem of the files.
    pub(super) fn new(settings: &ExportSettings) -> Result<Self, Vec<Problem>> {
        let headers = match &settings.headers_file {
            None => Ok(HeaderMap::new()),
            Some(path) => {
                let read = read_secret(path).map_err(|problem| vec![problem]);
                read.and_then(|bytes| headers_from(&path.display().to_string(), &bytes))
            }
        };
        let (headers, tls) = match (headers, tls(settings)) {
            (Ok(headers), Ok(tls)) => (headers, tls),
            (headers, tls) => {
                let problems = headers.err().into_iter().flatten();
                return Err(problems.chain(tls.err()).collect());
            }
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.into_config())
            .https_only(settings.url.scheme() == "https")
            .http1_only()
            .no_proxy()
            // The headers are for this collector only.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
            .pool_idle_timeout(Duration::from_secs(30))
            .build();
        let client = client.map_err(|error| vec![problem(settings, &innermost(&error))])?;
        Ok(Self { client, url: settings.url.clone(), headers, timeout: settings.timeout })
    }

    /// Sends one `ExportLogsServiceRequest`.
    pub(super) async fn send(&self, body: Bytes) -> Answer {
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, PROTOBUF);
        headers.entry(USER_AGENT).or_insert(AGENT);
        let request = self.client.post(self.url.clone()).headers(headers).timeout(self.timeout);
        let mut answer = match request.body(body).send().await {
            Ok(answer) => answer,
            Err(error) => return unanswered(error),
        };
        let status = answer.status();
        if !status.is_success() {
            return refused(status, answer.headers());
        }
        let is_protobuf = answer.headers().get(CONTENT_TYPE).is_some_and(|value| value == PROTOBUF);
        // What it says beside the status is told to people, and decides nothing.
        let mut said = BytesMut::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            if said.len() + chunk.len() > ANSWER_BYTES_MAX {
                said.clear();
                break;
            }
            said.extend_from_slice(&chunk);
        }
        let said = ExportLogsServiceResponse::decode(said).ok().filter(|_| is_protobuf);
        let partial = said.and_then(|said| said.partial_success).unwrap_or_default();
        match u64::try_from(partial.rejected_log_records) {
            Ok(0) | Err(_) => Answer::Accepted,
            Ok(records) => {
                let visible = partial.error_message.chars().filter(|c| !c.is_control());
                Answer::RejectedInPart { records, message: visible.take(200).collect() }
            }
        }
    }
}

fn tls(settings: &ExportSettings) -> Result<ClientTls, Problem> {
    let wrong = |error: &dyn std::fmt::Display| problem(settings, error);
    match &settings.ca_file {
        Some(path) => {
            let pem = read_plain(path)?;
            let name = path.display().to_string();
            let tls = ClientTls::new(&Roots::Only(PemFile { name: &name, bytes: &pem }));
            tls.map_err(|error| error.into_problem(&name))
        }
        None if settings.url.scheme() == "http" => {
            ClientTls::new(&Roots::Nobody).map_err(|error| wrong(&error))
        }
        None => ClientTls::new(&Roots::System).map_err(|error| wrong(&error)),
    }
}

fn problem(settings: &ExportSettings, text: &dyn std::fmt::Display) -> Problem {
    let host = settings.url.host_str().unwrap_or_default();
    Problem::of_file("audit.export", format!("nothing can be sent to `{host}`: {text}"))
}

/// The request or its answer broke off.
fn unanswered(error: reqwest::Error) -> Answer {
    let cause = if error.is_timeout() { Cause::Timeout } else { Cause::Connection };
    Answer::TryAgain { cause, text: innermost(&error.without_url()), after: None }
}

/// What a status other than 2xx means: section "Failures" of the specification.
fn refused(status: StatusCode, headers: &HeaderMap) -> Answer {
    let hint = match status.as_u16() {
        401 | 403 => "; look at `audit.export.headers_file`",
        300..=399 | 404 | 405 => "; look at the path of `audit.export.url`",
        413 => "; set a smaller `audit.export.batch_records_max`",
        400 | 415 => "; is it a collector of OTLP logs over HTTP?",
        _ => "",
    };
    let text = format!("the collector answered {status}{hint}");
    let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|text| wait_of(text, Timestamp::now()));
    match status.as_u16() {
        429 | 502..=504 => Answer::TryAgain { cause: Cause::Unavailable, text, after },
        _ => Answer::Stop { text, after },
    }
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn wait_of(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_mean_what_the_specification_says() {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
        for code in [301, 400, 401, 403, 404, 405, 413, 415, 429, 500, 501, 502, 503, 504, 505] {
            let found = refused(StatusCode::from_u16(code).unwrap(), &headers);
            let later = [429, 502, 503, 504].contains(&code);
            let (is_later, text, after) = match found {
                Answer::TryAgain { cause: Cause::Unavailable, text, after } => (true, text, after),
                Answer::Stop { text, after } => (false, text, after),
                Answer::TryAgain { .. }
                | Answer::Accepted
                | Answer::Behind
                | Answer::RejectedInPart { .. } => {
                    panic!("{code}: {found:?}")
                }
            };
            assert_eq!(is_later, later, "{code}");
            assert_eq!(after, Some(Duration::from_secs(7)));
            assert!(text.contains(&code.to_string()));
        }
    }

    #[test]
    fn a_wait_is_a_number_or_a_date() {
        let now: Timestamp = "2026-11-25T08:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Wed, 25 Nov 2026 08:00:30 GMT", Some(30)),
            ("Wed, 25 Nov 2026 07:59:30 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(wait_of(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
