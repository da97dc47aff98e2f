//! The entrances of the workspace, read page by page.
//!
//! A read: it takes no permit because it opens nothing, leaves the circuit breaker of the
//! grants alone, and goes to a constant path with the fixed headers. Whatever the answer
//! is, it ends: pages, bytes and time are bounded. No error repeats what may be the key.

use std::collections::HashSet;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use super::connection::Unread;
use super::exchange::{Failure, outgoing};
use super::{Connections, Upstream, classify};
use crate::domain::{Effect, ListEntrances, Operation};
use crate::seam::{self, Entrance, EntrancePage, PAGE_BYTES_MAX, PageError};

/// The most pages that are read.
const PAGES_MAX: usize = 1_000;

/// How many entrances are asked for on each.
const PAGE_LIMIT: u16 = 500;

/// Why the entrances could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// 401 or 403.
    #[error(
        "Seam refused the workspace key (status {0}); check `upstream.api_key_file` and the workspace"
    )]
    KeyRefused(u16),
    /// Another status than 200.
    #[error("Seam answered with status {status}{}{}", said(.detail.as_ref()), advice(*.status))]
    Status {
        /// The status.
        status: u16,
        /// Seam's own words, when it had any.
        detail: Option<String>,
    },
    /// There was no connection.
    #[error("no connection to `{host}`{}", said(.cause.as_ref()))]
    Unreachable {
        /// Where it was looked for.
        host: String,
        /// What the network or TLS said.
        cause: Option<String>,
    },
    /// No whole answer in time.
    #[error("`{host}` did not answer within {deadline_ms} ms (`upstream.deadline_ms`)")]
    Timeout {
        /// Who was asked.
        host: String,
        /// The deadline.
        deadline_ms: u128,
    },
    /// The connection ended within the answer, or it was no HTTP.
    #[error("the answer of `{host}` broke off or is not HTTP{}", said(.cause.as_ref()))]
    Broken {
        /// Who was asked.
        host: String,
        /// What the network or the HTTP library said.
        cause: Option<String>,
    },
    /// A page is larger than any page of Seam's.
    #[error("page {0} is larger than 4 MiB: this is not a list of Seam's")]
    TooLarge(usize),
    /// Not JSON: a proxy's page, most often.
    #[error("page {0} is not JSON: does something stand between here and Seam?")]
    NotJson(usize),
    /// JSON of another shape.
    #[error("page {page} is not as Seam's: {error}")]
    Shape {
        /// Which page, counted from 1.
        page: usize,
        /// What is wrong with it.
        error: PageError,
    },
    /// The list goes round in a circle.
    #[error("page {0} leads back to an earlier page: the list has no end")]
    Circle(usize),
    /// The list does not end.
    #[error("the list has more than {PAGES_MAX} pages")]
    TooManyPages,
    /// A name is the key.
    #[error("page {0} repeats the workspace key in a name: replace the key, and the name in Seam")]
    RepeatsKey(usize),
}

fn said(text: Option<&String>) -> String {
    text.map_or_else(String::new, |text| format!(": {text}"))
}

fn advice(status: u16) -> &'static str {
    match status {
        429 => "; wait a while, then try again",
        500..=599 => "; try again later",
        _ => "",
    }
}

impl Upstream {
    /// All entrances that the workspace key can see, in Seam's order. Each request takes no
    /// longer than the configured deadline.
    ///
    /// # Errors
    /// [`ListError`]; then none of the pages counts.
    pub async fn list_entrances(&self) -> Result<Vec<Entrance>, ListError> {
        let mut entrances = Vec::new();
        let mut seen = HashSet::new();
        let mut cursor: Option<String> = None;
        for number in 1..=PAGES_MAX {
            let page = self.page(number, cursor).await?;
            let next = page.next_cursor();
            entrances.extend(page.entrances);
            let next = next.map_err(|error| ListError::Shape { page: number, error })?;
            let Some(next) = next else { return Ok(entrances) };
            if !seen.insert(next.clone()) {
                return Err(ListError::Circle(number));
            }
            cursor = Some(next);
        }
        Err(ListError::TooManyPages)
    }

    async fn page(&self, number: usize, cursor: Option<String>) -> Result<EntrancePage, ListError> {
        let asked = ListEntrances {
            limit: Some(PAGE_LIMIT),
            page_cursor: cursor,
            ..ListEntrances::default()
        };
        let body = Bytes::from(seam::encode_list(&asked));
        let outgoing = outgoing(Operation::ListEntrances.path(), self.headers.clone(), body);
        let until = Instant::now() + self.deadline;
        let connections = Connections::default();
        let answer =
            self.ask(&connections, outgoing, Effect::Reads, PAGE_BYTES_MAX, until, &|| None).await;
        let answer = answer.map_err(|failure| self.no_answer(failure))?;
        let status = answer.status;
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return Err(ListError::KeyRefused(status.as_u16()));
        }
        if status != StatusCode::OK {
            let detail = answer.body.ok().and_then(|body| self.words(&body));
            return Err(ListError::Status { status: status.as_u16(), detail });
        }
        if !classify::is_json(&answer.headers) {
            return Err(ListError::NotJson(number));
        }
        let body = answer.body.map_err(|unread| match unread {
            Unread::TooLarge => ListError::TooLarge(number),
            Unread::TimedOut => self.no_answer(Failure::TimedOut),
            Unread::Broken(cause) => self.no_answer(Failure::Broken(cause)),
        })?;
        let page =
            seam::parse_page(&body).map_err(|error| ListError::Shape { page: number, error })?;
        if page.entrances.iter().any(|entrance| self.has_key(&entrance.display_name)) {
            return Err(ListError::RepeatsKey(number));
        }
        Ok(page)
    }

    /// What Seam says of an error, unless it repeats the key.
    fn words(&self, body: &[u8]) -> Option<String> {
        let error = seam::read_error(body)?;
        if self.has_key(&error.kind) || self.has_key(&error.message) {
            return None;
        }
        // Only now: the start of a key would not be found.
        let error = error.shorten();
        Some(format!("`{}`, {}", error.kind, error.message))
    }

    fn no_answer(&self, failure: Failure) -> ListError {
        let host = self.host().to_owned();
        match failure {
            Failure::TimedOut => {
                ListError::Timeout { host, deadline_ms: self.deadline.as_millis() }
            }
            Failure::Broken(cause) => ListError::Broken { host, cause: self.without_key(cause) },
            // Nobody stops a list.
            Failure::Stopped(reason) => {
                ListError::Unreachable { host, cause: Some(reason.as_str().to_owned()) }
            }
            Failure::Unreachable(cause) => {
                ListError::Unreachable { host, cause: self.without_key(cause) }
            }
        }
    }
}
