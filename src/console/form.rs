//! Forms on their way: all that are being read or answered have so many bytes together.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::Console;
use super::asked::Query;
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

/// Room for forms. One without a draft has its own: an order waits for nobody who compares.
pub(super) struct Forms {
    small: Shares,
    drafts: Shares,
}

impl Default for Forms {
    fn default() -> Self {
        let (small, drafts) = (128 * BYTES_MAX, ENCODED * DRAFT_BYTES.end());
        Self { small: Shares::new(small, small), drafts: Shares::new(drafts, drafts) }
    }
}

impl Forms {
    /// The form, and its room, which it has until it is answered.
    pub(super) async fn read(
        &self,
        headers: &HeaderMap,
        body: Incoming,
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
        let room = if most > BYTES_MAX { &self.drafts } else { &self.small };
        let Some(held) = room.hold(None, bytes) else {
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
