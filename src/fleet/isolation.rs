//! How long a gateway may go on that cannot hear of freezes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Followed;

/// Where a gateway that hears of no signed orders for so long refuses grants.
pub struct Isolation {
    /// When the database last said how far signed orders go.
    heard: watch::Receiver<Option<Instant>>,
    followed: Arc<Followed>,
    /// Counted from here, before it has said anything.
    began: Instant,
    most: Duration,
}

impl Isolation {
    /// Nothing was heard yet.
    #[must_use]
    pub fn new(
        heard: watch::Receiver<Option<Instant>>,
        followed: Arc<Followed>,
        most: Duration,
    ) -> Self {
        Self { heard, followed, began: Instant::now(), most }
    }

    /// For how long it has been too long, where it has.
    #[must_use]
    pub fn is_too_long(&self) -> Option<Duration> {
        let heard = self.heard.borrow().unwrap_or(self.began);
        let since = self.followed.behind_since().map_or(heard, |behind| behind.min(heard));
        Some(since.elapsed()).filter(|lasts| *lasts > self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_from_the_start_from_the_last_word_and_from_what_is_not_followed() {
        let ago = |s| Instant::now().checked_sub(Duration::from_secs(s)).unwrap();
        let (said, heard) = watch::channel(None);
        let followed = Arc::<Followed>::default();
        let isolation = |began| Isolation {
            heard: heard.clone(),
            followed: followed.clone(),
            began,
            most: Duration::from_secs(60),
        };
        assert!(isolation(ago(59)).is_too_long().is_none());
        assert!(isolation(ago(61)).is_too_long().is_some());
        said.send_replace(Some(ago(30)));
        assert!(isolation(ago(90)).is_too_long().is_none());
        followed.behind(Some(ago(61)));
        assert!(isolation(ago(90)).is_too_long().is_some(), "what it hears it does not follow");
        followed.behind(None);
        assert!(isolation(ago(90)).is_too_long().is_none());
        said.send_replace(Some(ago(61)));
        assert!(isolation(ago(90)).is_too_long().is_some());
    }
}
