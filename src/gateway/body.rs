//! The body: bounded in size and time, and checked for its declared form.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Version, request};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::Refusal;
use super::evidence::sha256;
use crate::domain::{Effect, Operation, Reason, Request};
use crate::seam::{self, Params};

/// How long a stranger's body is waited for.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(500);

/// What a request brought beside its head.
pub(super) struct Received<'a> {
    operation: Operation,
    query: Option<&'a str>,
    body: Bytes,
}

impl Received<'_> {
    /// Where its parameters are. An operation that reads may come without any: SDKs of before
    /// 2025 send an empty form then.
    ///
    /// # Errors
    /// [`Reason::BodyNotAllowed`]
    fn params(&self) -> Result<Params<'_>, Reason> {
        match (self.query, self.operation.effect()) {
            (Some(query), _) if self.body.is_empty() => Ok(Params::Query(query)),
            (Some(_), _) => Err(Reason::BodyNotAllowed),
            (None, Effect::Reads) if self.body.is_empty() => Ok(Params::Absent),
            (None, _) => Ok(Params::Body(&self.body)),
        }
    }

    /// What is asked for, and the digest of the bytes in which it is.
    pub(super) fn request(&self) -> Result<(Request, [u8; 32]), Refusal> {
        let request = seam::parse(self.operation, self.params()?)?;
        Ok((request, sha256(self.query.map_or(&self.body, str::as_bytes))))
    }
}

/// Reads the whole body, unless its headers or its length say that it is not wanted.
///
/// # Errors
/// The reason to refuse.
pub(super) async fn read<B>(
    operation: Operation,
    head: &request::Parts,
    body: B,
    bytes_max: usize,
    time_max: Duration,
) -> Result<Received<'_>, Reason>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let json = match check_headers(operation, &head.headers, bytes_max) {
        Ok(json) => json,
        Err(reason) => {
            discard(body, bytes_max).await;
            return Err(reason);
        }
    };
    let mut body = std::pin::pin!(Limited::new(body, bytes_max));
    let whole = body.as_mut().collect();
    let collected = match tokio::time::timeout(time_max, whole).await {
        Err(_) => return Err(Reason::BodyTimeout),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Reason::BodyTooLarge),
        Ok(Err(_)) => return Err(Reason::BodyIncomplete),
        Ok(Ok(collected)) => collected,
    };
    // None is needed here. On HTTP/2 one with pseudo-header fields is malformed (RFC 9113,
    // section 8.1), which cannot be seen any more: the library has dropped those fields.
    if collected.trailers().is_some() {
        return Err(Reason::BodyTrailers);
    }
    // A stream that is reset without an error ends as if its body were complete.
    if head.version == Version::HTTP_2 && !body.is_end_stream() {
        return Err(Reason::BodyIncomplete);
    }
    let body = collected.to_bytes();
    if !json && !body.is_empty() {
        return Err(Reason::ContentTypeInvalid);
    }
    Ok(Received { operation, query: head.uri.query(), body })
}

/// Takes a refused request's body off the connection, if it is small and already on
/// its way. Without this an HTTP/2 client may see a reset stream instead of the answer
/// (RFC 9113, section 8.1), and an HTTP/1.1 connection could not be used again.
pub(super) async fn discard<B>(body: B, bytes_max: usize)
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = std::pin::pin!(Limited::new(body, bytes_max));
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, read).await;
}

/// Whether the body is JSON; one of an operation that only reads may be nothing instead.
fn check_headers(
    operation: Operation,
    headers: &HeaderMap,
    bytes_max: usize,
) -> Result<bool, Reason> {
    let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > bytes_max as u64) {
        return Err(Reason::BodyTooLarge);
    }
    let identity = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(identity) {
        return Err(Reason::ContentEncodingUnsupported);
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let reads = operation.effect() == Effect::Reads;
    match (types.next().map(|value| value.to_str().unwrap_or_default()), types.next()) {
        (Some(text), None) if is_json(text) => Ok(true),
        // Whatever it says, where nothing comes.
        _ if reads => Ok(false),
        _ => Err(Reason::ContentTypeInvalid),
    }
}

/// `application/json`, with no parameter but a charset of UTF-8 (RFC 8259, section 11). A
/// semicolon without a parameter is allowed (RFC 9110, section 5.6.6).
fn is_json(text: &str) -> bool {
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    essence.eq_ignore_ascii_case("application/json")
        && parts.all(|parameter| {
            let parameter = parameter.to_ascii_lowercase();
            matches!(parameter.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use http_body_util::Full;

    /// Headers, body, expected refusal.
    type Row<'a> = (&'a [(&'a str, &'a str)], &'static str, Option<Reason>);

    async fn judge(
        operation: Operation,
        uri: &str,
        headers: &[(&str, &str)],
        body: &'static str,
    ) -> Result<&'static str, Reason> {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let body = Full::new(Bytes::from_static(body.as_bytes()));
        let received = read(operation, &head, body, 8, Duration::from_secs(1)).await?;
        received.params().map(|params| match params {
            Params::Body(_) => "body",
            Params::Query(_) => "query",
            Params::Absent => "none",
        })
    }

    #[tokio::test]
    async fn the_declared_form_is_checked_before_the_body_is_read() {
        use Reason as R;
        const JSON: (&str, &str) = ("content-type", "application/json");
        const T: &str = "content-type";
        const E: &str = "content-encoding";
        let table: &[Row<'_>] = &[
            (&[JSON], "{}", None),
            (&[(T, "Application/JSON; charset=UTF-8")], "{}", None),
            (&[(T, "application/json;charset=\"utf-8\"")], "{}", None),
            (&[(T, "application/json;")], "{}", None),
            (&[(T, "application/json ; ; charset=utf-8")], "{}", None),
            (&[JSON, (E, "identity")], "{}", None),
            (&[JSON], "12345678", None),
            (&[JSON], "123456789", Some(R::BodyTooLarge)),
            (&[JSON, ("content-length", "9")], "{}", Some(R::BodyTooLarge)),
            (&[], "{}", Some(R::ContentTypeInvalid)),
            (&[JSON, JSON], "{}", Some(R::ContentTypeInvalid)),
            (&[(T, "text/plain; x=application/json")], "{}", Some(R::ContentTypeInvalid)),
            (&[(T, "application/json; charset=utf-16")], "{}", Some(R::ContentTypeInvalid)),
            (&[(T, "application/json, text/plain")], "{}", Some(R::ContentTypeInvalid)),
            (&[(T, "application/x-www-form-urlencoded")], "{}", Some(R::ContentTypeInvalid)),
            (&[JSON, (E, "gzip")], "{}", Some(R::ContentEncodingUnsupported)),
            (&[JSON, (E, "identity"), (E, "br")], "{}", Some(R::ContentEncodingUnsupported)),
        ];
        for (headers, body, reason) in table {
            let judged = judge(Operation::GrantAccess, "/", headers, body).await;
            assert_eq!(judged.err(), *reason, "{headers:?} {body}");
        }
    }

    #[tokio::test]
    async fn parameters_are_in_one_place() {
        const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
        const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];
        let list = Operation::ListEntrances;
        for (uri, headers, body, expected) in [
            ("/", JSON, "{}", Ok("body")),
            ("/", JSON, "", Ok("none")),
            ("/", FORM, "", Ok("none")),
            ("/", &[], "", Ok("none")),
            ("/?a=b", &[], "", Ok("query")),
            ("/?", &[], "", Ok("query")),
            ("/?a=b", JSON, "", Ok("query")),
            ("/?a=b", JSON, "{}", Err(Reason::BodyNotAllowed)),
            ("/?a=b", FORM, "a=b", Err(Reason::ContentTypeInvalid)),
            ("/", FORM, "a=b", Err(Reason::ContentTypeInvalid)),
            ("/", &[], "{}", Err(Reason::ContentTypeInvalid)),
            ("/", &[("content-type", "text/plain")], "", Ok("none")),
            ("/", &[("content-type", "text/plain")], "{}", Err(Reason::ContentTypeInvalid)),
        ] {
            assert_eq!(judge(list, uri, headers, body).await, expected, "{uri} {headers:?} {body}");
        }
        assert_eq!(judge(Operation::GrantAccess, "/", JSON, "").await, Ok("body"));
    }
}
