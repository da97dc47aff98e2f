//! Questions that take time: on threads of their own, two at a time, whoever asks.
//!
//! A grant must never wait for somebody who looks. Who waits too long is told so; the thread ends by
//! itself, and has its place until then.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::asked::Asked;
use super::page::Page;
use super::reply::Reply;

/// How long an answer may take, with waiting for a place.
pub(super) const AT_MOST: Duration = Duration::from_secs(5);

const AT_A_TIME: usize = 2;

/// The places.
pub(super) struct Heavy(Arc<Semaphore>);

impl Default for Heavy {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_A_TIME)))
    }
}

impl Heavy {
    /// Answers on a thread of its own.
    pub(super) async fn run(&self, asked: Asked, show: fn(&Asked) -> Reply) -> Reply {
        let busy = || {
            let text = "This takes longer than 5 seconds, or others ask for as much: narrow it down, or \
                        ask the command line, which takes its time.";
            Page::refusal(StatusCode::SERVICE_UNAVAILABLE, text)
        };
        let answer = async {
            let place = self.0.clone().acquire_owned().await.ok()?;
            let show = move || {
                let reply = show(&asked);
                drop(place);
                reply
            };
            tokio::task::spawn_blocking(show).await.ok()
        };
        match timeout(AT_MOST, answer).await {
            Ok(Some(reply)) => reply,
            Ok(None) => {
                let text = "The page could not be made: a fault of this program.";
                Page::refusal(StatusCode::INTERNAL_SERVER_ERROR, text)
            }
            Err(_) => busy(),
        }
    }
}
