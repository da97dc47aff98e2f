//! A word each second: that this gateway is there, and how it is.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::database::{Beat, DatabaseError};

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// How a gateway is, asked each time.
pub type Condition = Box<dyn Fn() -> Beat + Send>;

/// Says it, once it is started.
pub struct Beats {
    shared: Arc<Shared>,
}

impl Beats {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
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
        loop {
            let ends = tokio::select! {
                _ = each.tick() => false,
                () = ending.cancelled() => true,
            };
            if let Err(error) = self.say(&condition()).await {
                tracing::debug!(%error, "the database was not told how this gateway is");
            }
            if ends {
                break;
            }
        }
    }

    /// On the connection that there is: whoever sends records makes new ones, and knows when.
    async fn say(&self, beat: &Beat) -> Result<(), DatabaseError> {
        self.shared.link().beat(&self.shared.log, beat).await
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
