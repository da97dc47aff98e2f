//! What is answered: pages, JSON, files, or lines as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, LOCATION, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use serde::Serialize;
use tokio::sync::mpsc;

use super::guard::Person;
use super::page::Page;
use super::shares::{Held, Shares};

/// The body of an answer: whole, or what comes as it happens.
pub enum Body {
    /// All that there is, and its share of what may be unread.
    Whole(Full<Bytes>, Option<Held>),
    /// What somebody sends, until they hang up.
    Live(mpsc::Receiver<Bytes>),
}

impl Body {
    /// What is small, and the same for everybody.
    #[must_use]
    pub fn whole(bytes: Full<Bytes>) -> Self {
        Self::Whole(bytes, None)
    }
}

/// An answer.
pub type Answer = Response<Body>;

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(whole, _) => Pin::new(whole).poll_frame(context),
            Self::Live(lines) => {
                lines.poll_recv(context).map(|some| some.map(|some| Ok(Frame::data(some))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole, _) => whole.is_end_stream(),
            Self::Live(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole, _) => whole.size_hint(),
            Self::Live(_) => SizeHint::default(),
        }
    }
}

/// Nothing is fetched from elsewhere, nothing is framed, and no text becomes script: Content Security
/// Policy Level 3, and Trusted Types (W3C), of which no page of ours makes any.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Answers that are shorter are sent as they are.
const ENCODED_MIN: usize = 1_024;

const ENCODED_LEVEL: i32 = 3;

/// What every answer says. With `no-referrer` a browser would send the console's own forms with
/// `Origin: null` (Fetch Standard, "append a request Origin header"); to other sites nothing is told.
pub(super) fn secured(headers: &mut HeaderMap) {
    let own = |name: &'static str| HeaderName::from_static(name);
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (own("cross-origin-opener-policy"), "same-origin"),
        (own("cross-origin-resource-policy"), "same-origin"),
        (own("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// An answer that is whole.
pub(super) struct Reply(Response<Bytes>);

impl Reply {
    pub(super) fn new(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Self {
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Self(response)
    }

    /// A value, as the command line prints it.
    pub(super) fn json(value: &impl Serialize) -> Self {
        // In another order it takes many times as much.
        if serde_json::to_writer(Counter(0), value).is_err_and(|error| error.is_io()) {
            let text = serde_json::json!({ "error": too_long() });
            let (status, kind) = (StatusCode::UNPROCESSABLE_ENTITY, "application/json");
            return Self::new(status, kind, format!("{text}\n"));
        }
        match serde_json::to_value(value) {
            // Its keys in the order of the alphabet.
            Ok(value) => Self::new(StatusCode::OK, "application/json", format!("{value:#}\n")),
            Err(error) => {
                tracing::error!(%error, "a page has no JSON");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "text/plain; charset=utf-8",
                    "no JSON\n",
                )
            }
        }
    }

    /// A file to keep, of this name.
    pub(super) fn file(kind: &'static str, name: &str, body: impl Into<Bytes>) -> Self {
        let mut reply = Self::new(StatusCode::OK, kind, body);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let name: String = name.chars().filter(|c| is_plain(*c)).collect();
        let value = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
        if let Ok(value) = value {
            reply.0.headers_mut().insert(CONTENT_DISPOSITION, value);
        }
        reply
    }

    /// What is asked for is there.
    pub(super) fn moved(to: &str) -> Self {
        let mut reply = Self::new(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
        if let Ok(to) = HeaderValue::from_str(to) {
            reply.0.headers_mut().insert(LOCATION, to);
        }
        reply
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().insert(name, value);
        self
    }
}

impl Reply {
    /// Smaller for a client that takes it so (RFC 8878). No page has a secret in it, neither a session
    /// nor a token, so that there is none that its length could tell.
    pub(super) fn encoded_for(self, client: &HeaderMap) -> Self {
        let accepted =
            client.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let mut codings = accepted.flat_map(|value| value.split(','));
        let takes_it = codings.any(|one| one.trim() == "zstd");
        if !takes_it || self.0.body().len() < ENCODED_MIN {
            return self;
        }
        let Ok(smaller) = zstd::bulk::compress(self.0.body(), ENCODED_LEVEL) else { return self };
        let mut response = self.0.map(|_| Bytes::from(smaller));
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
        Self(response)
    }
}

impl From<Reply> for Answer {
    fn from(Reply(response): Reply) -> Self {
        let mut response = response.map(|bytes| Body::whole(Full::new(bytes)));
        secured(response.headers_mut());
        response
    }
}

/// The longest answer. It is in memory until it is read.
const ANSWER_MAX: usize = 16 << 20;

/// Answers that nobody has read yet: bytes in all, and of one person.
pub(super) struct Unread(Shares);

impl Default for Unread {
    fn default() -> Self {
        Self(Shares::new(4 * ANSWER_MAX, 2 * ANSWER_MAX))
    }
}

impl Unread {
    /// Sends an answer, where it is not too long, and the others were read.
    pub(super) fn send(&self, reply: Reply, person: &Person, client: &HeaderMap) -> Answer {
        if reply.0.body().len() > ANSWER_MAX {
            return Page::refusal(StatusCode::UNPROCESSABLE_ENTITY, &too_long()).into();
        }
        let reply = reply.encoded_for(client);
        let Some(held) = self.0.hold(person.told_apart(), reply.0.body().len()) else {
            let text = "Answers of before were not read yet, and are too much together.";
            return Page::refusal(StatusCode::SERVICE_UNAVAILABLE, text).into();
        };
        let mut answer = Answer::from(reply);
        if let Body::Whole(_, place) = answer.body_mut() {
            *place = Some(held);
        }
        answer
    }
}

fn too_long() -> String {
    let most = ANSWER_MAX >> 20;
    format!("The answer has more than {most} MiB: narrow it down, or ask the command line.")
}

/// Counts, and keeps nothing.
struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        let is_too_long = self.0 > ANSWER_MAX;
        if is_too_long { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(unread: &Unread, person: &Person, bytes: usize) -> Answer {
        let reply = Reply::new(StatusCode::OK, "text/plain", vec![b'x'; bytes]);
        unread.send(reply, person, &HeaderMap::new())
    }

    #[test]
    fn whoever_reads_no_answer_gets_no_more_and_others_do() {
        let unread = Unread::default();
        let person = |name: &str| Person { name: name.into(), may_order: false, is_known: true };
        let (anna, ben) = (person("dns:anna.example"), person("dns:ben.example"));
        let mut kept = vec![sent(&unread, &anna, ANSWER_MAX), sent(&unread, &anna, ANSWER_MAX)];
        assert!(kept.iter().all(|answer| answer.status() == StatusCode::OK));
        assert_eq!(sent(&unread, &anna, 1).status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(sent(&unread, &ben, ANSWER_MAX).status(), StatusCode::OK);
        kept.pop();
        assert_eq!(sent(&unread, &anna, ANSWER_MAX).status(), StatusCode::OK, "one was read");
        let long = sent(&unread, &ben, ANSWER_MAX + 1);
        assert_eq!(long.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }

    #[test]
    fn json_that_is_too_long_is_not_made() {
        assert_eq!(Reply::json(&"x".repeat(1_000)).0.status(), StatusCode::OK);
        let long = Reply::json(&vec!["x"; ANSWER_MAX / 4]);
        assert_eq!(long.0.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
}
