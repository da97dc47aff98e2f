//! Questions that take time: on threads of their own, two at a time, whoever asks.
//!
//! A grant must never wait for somebody who looks. Who waits too long is told so; the work looks at the
//! time itself, gives up, and has its place until then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::asked::Asked;
use super::page::Page;
use super::reply::Reply;
use crate::policy::review;

/// How long an answer may take, from when it has its place; and how long a place is waited for.
pub(super) const AT_MOST: Duration = Duration::from_secs(5);

const AT_A_TIME: usize = 2;

/// How much a comparison may find, in bytes as JSON has it: it is in memory, and then the page is, too.
const FOUND_MAX: usize = 32 << 20;

/// What is said where [`Places::run`] has no answer of the database.
pub(super) const DATABASE_BUSY: &str =
    "The database does not answer in time, or others ask it for as much.";

/// So many of one kind of work at a time.
pub(super) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_A_TIME)))
    }
}

impl Places {
    /// A place, where one is free in time.
    pub(super) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        timeout(AT_MOST, self.0.clone().acquire_owned()).await.ok()?.ok()
    }

    /// What this work ends in, if it has a place in time and is done in time.
    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let _place = self.acquire().await?;
        timeout(AT_MOST, work).await.ok()
    }
}

/// What is said where others ask for as much: who only looks asks again.
pub(super) fn busy(asked: &Asked) -> Reply {
    Page::later("Others ask for as much at the moment.", asked.form.is_none())
}

/// What is said to whom it takes too long.
fn late() -> Reply {
    let text = "This takes longer than 5 seconds, or has more in it than a page: narrow it down, or ask the \
                command line, which takes its time.";
    Page::refusal(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// What is said where a panic is.
pub(super) fn broken() -> Reply {
    let text = "The page could not be made: a fault of this program.";
    Page::refusal(StatusCode::INTERNAL_SERVER_ERROR, text)
}

/// The places of questions.
#[derive(Default)]
pub(super) struct Heavy(Places);

impl Heavy {
    /// Answers on a thread of its own.
    pub(super) async fn run(&self, mut asked: Asked, show: fn(&Asked) -> Reply) -> Reply {
        let Some(place) = self.0.acquire().await else { return busy(&asked) };
        asked.until = Instant::now() + AT_MOST;
        let show = move || {
            let reply = review::until(asked.until, FOUND_MAX, || show(&asked));
            drop(place);
            reply
        };
        // A little later than the work itself looks at the time.
        match timeout(AT_MOST + AT_MOST / 5, tokio::task::spawn_blocking(show)).await {
            Ok(Ok(Ok(reply))) => reply,
            Ok(Err(_)) => broken(),
            Ok(Ok(Err(review::Late))) | Err(_) => late(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    /// Takes as long as is waited for a place.
    #[tokio::test]
    async fn nobody_waits_without_end() {
        let places = Places::default();
        let (hangs, held) = tokio::join!(places.run(pending::<()>()), async {
            let held = (places.acquire().await, ());
            (places.acquire().await.is_none(), held)
        });
        assert_eq!(hangs, None, "work that does not end");
        assert!(held.0, "there were two others");
        assert_eq!(places.run(ready(1)).await, Some(1), "what hung has left its place");
    }
}
