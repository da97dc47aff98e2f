//! Whether a person can open an entrance: asked by the gateway for itself, about a grant of
//! which nobody knows what became.
//!
//! A read: it takes no permit because it opens nothing, and it leaves the circuit breaker of
//! the grants alone, but for not asking while that is open.

use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;

use super::connection::Unread;
use super::exchange::{Answer, Failure, outgoing};
use super::{Connections, Upstream, classify};
use crate::domain::{Effect, EntranceId, Grantee, Reason};
use crate::seam::{self, ACCESSIBLE_ENTRANCES_PATH, PAGE_BYTES_MAX};

/// Why Seam gave no answer that says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAnswer {
    /// Why.
    pub reason: Reason,
    /// Its status, where it had one.
    pub status: Option<u16>,
}

impl Upstream {
    /// Whether this person can open this entrance, says Seam.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn can_open(
        &self,
        connections: &Connections,
        grantee: Grantee,
        entrance: EntranceId,
    ) -> Result<bool, NoAnswer> {
        let none = |reason| NoAnswer { reason, status: None };
        self.breaker.look(Instant::now()).map_err(|_| none(Reason::UpstreamSuspended))?;
        let body = Bytes::from(seam::ask_accessible(grantee));
        let outgoing = outgoing(ACCESSIBLE_ENTRANCES_PATH, self.headers.clone(), body);
        let until = tokio::time::Instant::now() + self.deadline;
        let answer =
            self.ask(connections, outgoing, Effect::Reads, PAGE_BYTES_MAX, until, &|| None).await;
        let Answer { status, headers, body } = answer.map_err(|failure| {
            none(match failure {
                Failure::Unreachable(_) => Reason::UpstreamUnreachable,
                Failure::Stopped(reason) => reason,
                Failure::TimedOut => Reason::UpstreamTimeout,
                Failure::Broken(_) => Reason::UpstreamBroken,
            })
        })?;
        let said =
            NoAnswer { reason: Reason::UpstreamAnswerInvalid, status: Some(status.as_u16()) };
        let is_json = classify::is_json(&headers);
        let body = body.map_err(|unread| NoAnswer {
            reason: match unread {
                Unread::TooLarge => Reason::UpstreamAnswerInvalid,
                Unread::TimedOut => Reason::UpstreamTimeout,
                Unread::Broken(_) => Reason::UpstreamBroken,
            },
            ..said
        })?;
        match status {
            StatusCode::OK if is_json => seam::is_accessible(entrance, &body).ok_or(said),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(NoAnswer { reason: Reason::UpstreamKeyRefused, ..said })
            }
            // Also that there is no such person: of another workspace, perhaps, whose key this is.
            _ if status.is_client_error() => {
                Err(NoAnswer { reason: Reason::UpstreamRejected, ..said })
            }
            _ => Err(said),
        }
    }
}
