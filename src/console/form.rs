//! Forms on their way: all that are being read or answered have so many bytes together.

use std::error::Error;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use tokio::time::timeout;

use super::Console;
use super::asked::Query;
use super::guard::Person;
use super::page::Page;
use super::reply::Reply;
use super::shares::{Held, Shares};

/// The largest form, in bytes, that has no draft in it.
pub(super) const BYTES_MAX: usize = 64 << 10;

/// A draft may have as many bytes as these, or four times as many as the rules in force: it is an edit of
/// them, and takes about as much memory as a policy does.
const DRAFT_BYTES: RangeInclusive<usize> = 4 << 20..=24 << 20;

/// Percent-encoding makes more of it; of rules hardly half as much again.
const ENCODED: usize = 2;

/// How long a form may be on its way.
const TIME: Duration = Duration::from_secs(20);

/// The largest form that has a draft in it.
pub(super) fn draft_bytes_max(console: &Console) -> usize {
    let in_force = console.gateway.snapshot.load().policy.rules_bytes();
    ENCODED * in_force.saturating_mul(4).clamp(*DRAFT_BYTES.start(), *DRAFT_BYTES.end())
}

/// Forms without a draft at a time, and of these one person's: nobody keeps another's order out.
const SMALL_MAX: usize = 128;
const SMALL_OF_ONE_MAX: usize = 8;

/// Room for forms. One without a draft has its own: an order waits for nobody who compares.
pub(super) struct Forms {
    small: Shares,
    drafts: Shares,
}

impl Default for Forms {
    fn default() -> Self {
        let largest = ENCODED * DRAFT_BYTES.end();
        Self {
            small: Shares::new(SMALL_MAX * BYTES_MAX, SMALL_OF_ONE_MAX * BYTES_MAX),
            drafts: Shares::new(largest, largest),
        }
    }
}

impl Forms {
    /// Room for forms that may have so many bytes.
    fn room(&self, most: usize) -> &Shares {
        if most > BYTES_MAX { &self.drafts } else { &self.small }
    }

    /// The form, and its room, which it has until it is answered.
    pub(super) async fn read(
        &self,
        person: &Person,
        headers: &HeaderMap,
        body: impl Body<Error: Into<Box<dyn Error + Send + Sync>>>,
        most: usize,
    ) -> Result<(Query, Held), Box<Reply>> {
        let refuse = |status, text: &str| Box::new(Page::refusal(status, text));
        let too_large = || {
            let text = format!("The form has more than {} KiB.", most >> 10);
            refuse(StatusCode::PAYLOAD_TOO_LARGE, &text)
        };
        let said = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let bytes = said.unwrap_or(most);
        if bytes > most {
            return Err(too_large());
        }
        let Some(held) = self.room(most).hold(person.told_apart(), bytes) else {
            let text = "Others send as much at the moment: try it again in a few seconds.";
            return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, text));
        };
        let body = match timeout(TIME, Limited::new(body, most).collect()).await {
            Err(_) => {
                return Err(refuse(StatusCode::REQUEST_TIMEOUT, "The form did not come in time."));
            }
            Ok(Err(_)) => return Err(too_large()),
            Ok(Ok(body)) => body.to_bytes(),
        };
        let parse = move || std::str::from_utf8(&body).ok().map(Query::parse);
        match tokio::task::spawn_blocking(parse).await {
            Ok(Some(form)) => Ok((form, held)),
            Ok(None) | Err(_) => Err(refuse(StatusCode::BAD_REQUEST, "The form is not UTF-8.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::Full;

    use super::*;

    /// A body of which nothing comes.
    struct Never;

    impl Body for Never {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn who_sends_and_does_not_end_keeps_nobody_elses_order_out() {
        let forms = Forms::default();
        let person = |name: &str| Person { name: name.into(), may_order: true, is_known: true };
        let (anna, chris) = (person("dns:anna.example"), person("dns:chris.example"));
        let none = HeaderMap::new();
        let never = || Box::pin(forms.read(&anna, &none, Never, BYTES_MAX));
        let mut slow: Vec<_> = (0..=SMALL_OF_ONE_MAX).map(|_| never()).collect();
        let mut context = Context::from_waker(Waker::noop());
        let answered: Vec<bool> =
            slow.iter_mut().map(|form| form.as_mut().poll(&mut context).is_ready()).collect();
        // All are waited for but the one beyond the share.
        assert_eq!(answered.iter().position(|is_answered| *is_answered), Some(SMALL_OF_ONE_MAX));
        let order = Full::new(Bytes::from_static(b"do=freeze&why=x"));
        let (form, _held) = pin!(forms.read(&chris, &none, order, BYTES_MAX)).await.ok().unwrap();
        assert_eq!(form.get("do"), Some("freeze"));
    }
}
