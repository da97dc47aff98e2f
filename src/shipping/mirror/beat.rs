//! A word each second: that this gateway is there, and how it is.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::bundle::Offer;
use crate::database::{Beat, DatabaseError};
use crate::domain::Backoff;
use crate::shipping::backoff::chance;

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// Several who say something at once are answered once.
const TOGETHER: Duration = Duration::from_millis(5);

/// How a gateway is, asked each time.
pub type Condition = Box<dyn Fn() -> Beat + Send>;

/// Says it, once it is started, and passes on what is answered.
pub struct Beats {
    shared: Arc<Shared>,
    newest: watch::Sender<Option<Offer>>,
}

/// A connection that cannot be made is tried again after this, doubled each time.
const AGAIN_FIRST: Duration = Duration::from_millis(500);
const AGAIN_LONGEST: Duration = Duration::from_secs(30);

impl Beats {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, newest: watch::Sender::default() }
    }

    /// Which bundle this gateway is to have, as the database said last.
    #[must_use]
    pub fn newest_bundle(&self) -> watch::Receiver<Option<Offer>> {
        self.newest.subscribe()
    }

    /// Begins. What cannot be said now is not said later: the next second has its own word.
    #[must_use]
    pub fn start(self, condition: Condition) -> Beating {
        let ending = CancellationToken::new();
        Beating { task: tokio::spawn(self.run(condition, ending.clone())), ending }
    }

    async fn run(self, condition: Condition, ending: CancellationToken) {
        let mut each = tokio::time::interval(EVERY);
        each.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut backoff = Backoff::default();
        loop {
            let ends = tokio::select! {
                _ = each.tick() => false,
                // Its answer has what is new.
                () = self.shared.link.told() => {
                    tokio::time::sleep(TOGETHER).await;
                    false
                }
                () = ending.cancelled() => true,
            };
            let said = self.shared.link.beat(&self.shared.log, &condition()).await;
            if ends {
                break;
            }
            let error = match said {
                Ok(newest) => {
                    backoff.reset();
                    self.newest.send_if_modified(|known| {
                        let is_new = newest.is_some() && *known != newest;
                        if is_new {
                            *known = newest;
                        }
                        is_new
                    });
                    continue;
                }
                Err(error) => error,
            };
            tracing::debug!(%error, "the database was not told how this gateway is");
            let is_away = matches!(error, DatabaseError::Connection(_) | DatabaseError::Timeout(_));
            if is_away {
                let wait = backoff.wait(AGAIN_FIRST, AGAIN_LONGEST, chance());
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = ending.cancelled() => {}
                }
            }
        }
    }
}

/// Says it.
pub struct Beating {
    task: JoinHandle<()>,
    ending: CancellationToken,
}

impl Beating {
    /// Says a last word, for which at most so long is waited.
    pub async fn finish(mut self, at_most: Duration) {
        self.ending.cancel();
        if tokio::time::timeout(at_most, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}
