//! A word each second: that this gateway is there, and how it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Shared, Witness};
use crate::audit::Journal;
use crate::database::{Beat, Heads};
use crate::domain::Backoff;

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// However often somebody says that there is something new.
const APART: Duration = Duration::from_millis(100);

/// How a gateway is, asked each time.
pub type Condition = Box<dyn Fn() -> Beat + Send>;

/// Says it, once it is started, and passes on what is answered.
pub struct Beats {
    shared: Arc<Shared>,
    heads: watch::Sender<Option<Heads>>,
    heard: watch::Sender<Option<Instant>>,
}

/// What failed is tried again after this, doubled each time.
const AGAIN_FIRST: Duration = Duration::from_millis(500);
const AGAIN_LONGEST: Duration = Duration::from_secs(30);

impl Beats {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, heads: watch::Sender::default(), heard: watch::Sender::default() }
    }

    /// What there is for this gateway, as the database said last.
    #[must_use]
    pub fn heads(&self) -> watch::Receiver<Option<Heads>> {
        self.heads.subscribe()
    }

    /// What writes down how the other gateways' logs were.
    #[must_use]
    pub fn witness(&self, journal: Journal, every: Duration) -> Witness {
        Witness::new(self.shared.clone(), journal, every)
    }

    /// When the database said it last: also that there is nothing new.
    #[must_use]
    pub fn heard(&self) -> watch::Receiver<Option<Instant>> {
        self.heard.subscribe()
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
                () = self.shared.link.told() => false,
                () = ending.cancelled() => true,
            };
            // As of when it was asked: what came since, it may not have known.
            let asked = Instant::now();
            let said = self.shared.link.beat(&self.shared.log, &condition()).await;
            if ends {
                break;
            }
            let error = match said {
                Ok(heads) => {
                    backoff.reset();
                    // One that knows no orders yet has not said that there are none.
                    if heads.is_some() {
                        self.heard.send_replace(Some(asked));
                    }
                    self.heads.send_if_modified(|known| {
                        let before = std::mem::replace(known, heads);
                        before != heads
                    });
                    tokio::select! {
                        () = tokio::time::sleep(APART) => {}
                        () = ending.cancelled() => {}
                    }
                    continue;
                }
                Err(error) => error,
            };
            tracing::debug!(%error, "the database was not told how this gateway is");
            let wait = backoff.wait(AGAIN_FIRST, AGAIN_LONGEST);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = ending.cancelled() => {}
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
