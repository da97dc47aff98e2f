//! Seam's wire contract: what callers may ask, how it is sent on, and the shape of answers.
//!
//! This is the only place that reads a caller's parameters and the only place that writes a
//! body to the upstream. Each operation has a file of its own, and goes through one parsed
//! value, so no byte of a caller's can travel on. Seam takes every operation as `POST` with a
//! JSON body, so that is the one form that is sent, whatever form the caller used.

mod accessible_entrances;
mod entrance;
mod error;
mod get_entrance;
mod grant_access;
mod identity;
mod list_entrances;
mod strict;

use crate::domain::{EntranceId, Operation, Reason, Request};
pub use accessible_entrances::{ACCESSIBLE_ENTRANCES_PATH, ask_accessible, is_accessible};
pub use entrance::Entrance;
pub use error::{SeamError, error_body, read_error};
pub use grant_access::success_body;
pub use identity::{Identity, identity_body};
pub use list_entrances::{EntrancePage, NextPage, PageError, encode as encode_list, parse_page};
pub use strict::{Params, RequestError};

/// The header in which Seam's SDKs look for the request id.
pub const REQUEST_ID_HEADER: http::HeaderName = http::HeaderName::from_static("seam-request-id");

/// The media type of every body, in both directions.
pub const JSON: http::HeaderValue = http::HeaderValue::from_static("application/json");

/// The largest answer without a list that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The largest page of a list that is read, in bytes: 8 KiB for each entrance of one of 500.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Reads the parameters of an operation.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(operation: Operation, params: Params<'_>) -> Result<Request, RequestError> {
    match operation {
        Operation::GrantAccess => grant_access::parse(params).map(Request::GrantAccess),
        Operation::ListEntrances => {
            list_entrances::parse(params).map(Box::new).map(Request::ListEntrances)
        }
        Operation::GetEntrance => get_entrance::parse(params).map(Request::GetEntrance),
    }
}

/// Writes the body that goes to the upstream.
#[must_use]
pub fn encode(request: &Request) -> Vec<u8> {
    match request {
        Request::GrantAccess(grant) => grant_access::encode(grant),
        Request::ListEntrances(list) => encode_list(list),
        Request::GetEntrance(entrance) => get_entrance::encode(*entrance),
    }
}

/// The largest answer to a request that is read, in bytes.
#[must_use]
pub const fn answer_bytes_max(request: &Request) -> usize {
    match request {
        Request::GrantAccess(_) | Request::GetEntrance(_) => ANSWER_BYTES_MAX,
        Request::ListEntrances(_) => PAGE_BYTES_MAX,
    }
}

/// Reads the body of Seam's 200; `None` where it does not confirm what was asked.
#[must_use]
pub fn confirmation(request: &Request, body: &[u8]) -> Option<Confirmation> {
    match request {
        Request::GrantAccess(_) => grant_access::confirms(body).then_some(Confirmation::Granted),
        Request::ListEntrances(_) => parse_page(body).ok().map(Confirmation::Entrances),
        Request::GetEntrance(asked) => {
            get_entrance::read(*asked, body).map(Box::new).map(Confirmation::Entrance)
        }
    }
}

/// What Seam confirmed. It is shown by way of [`Confirmation::filtered`] alone.
#[derive(Debug)]
pub enum Confirmation {
    /// The grant was made.
    Granted,
    /// The page of entrances that was asked for, and maybe more than that.
    Entrances(EntrancePage),
    /// The entrance that was asked for.
    Entrance(Box<Entrance>),
}

impl Confirmation {
    /// Leaves out every entrance of which `may_see` says no. None is left of one that is not to
    /// be seen.
    ///
    /// # Errors
    /// Where `may_see` cannot say: then nothing is shown.
    pub fn filtered(
        self,
        mut may_see: impl FnMut(EntranceId) -> Result<bool, Reason>,
    ) -> Result<Option<Shown>, Reason> {
        match self {
            Self::Granted => Ok(Some(Shown::Granted)),
            Self::Entrances(mut page) => {
                let mut seen = Vec::with_capacity(page.entrances.len());
                for entrance in page.entrances {
                    if may_see(entrance.id)? {
                        seen.push(entrance);
                    }
                }
                page.entrances = seen;
                let entrances = page.entrances.len();
                Ok(Some(Shown::Read { entrances, body: list_entrances::show(page) }))
            }
            Self::Entrance(entrance) => Ok(may_see(entrance.id)?
                .then(|| Shown::Read { entrances: 1, body: get_entrance::show(*entrance) })),
        }
    }

    /// Whether a text stands in it anywhere.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        match self {
            Self::Granted => false,
            Self::Entrances(page) => {
                let cursor = match &page.next {
                    Some(NextPage::After(cursor)) => cursor.contains(text),
                    Some(NextPage::Last) | None => false,
                };
                cursor || page.entrances.iter().any(|entrance| entrance.mentions(text))
            }
            Self::Entrance(entrance) => entrance.mentions(text),
        }
    }
}

/// What a caller is shown of a confirmation.
#[derive(Debug)]
pub enum Shown {
    /// That the grant was made.
    Granted,
    /// Entrances that it may read.
    Read {
        /// How many.
        entrances: usize,
        /// The body of the answer.
        body: Vec<u8>,
    },
}
