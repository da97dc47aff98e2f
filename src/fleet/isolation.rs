//! How long a gateway may go on that cannot hear of freezes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::Followed;
use crate::database::Heads;

/// Where a gateway that hears of no signed orders for so long refuses grants.
pub struct Isolation {
    /// When the database last said how far signed orders go.
    heard: watch::Receiver<Option<Instant>>,
    /// And how far.
    heads: watch::Receiver<Option<Heads>>,
    followed: Arc<Followed>,
    /// Since when that is not how far they are followed.
    behind: Mutex<Option<Instant>>,
    began: Instant,
    most: Duration,
}

impl Isolation {
    /// Nothing was heard yet.
    #[must_use]
    pub fn new(
        heard: watch::Receiver<Option<Instant>>,
        heads: watch::Receiver<Option<Heads>>,
        followed: Arc<Followed>,
        most: Duration,
    ) -> Self {
        let (behind, began) = (Mutex::new(None), Instant::now());
        Self { heard, heads, followed, behind, began, most }
    }

    /// For how long nothing was heard, or followed, where that is too long: also since the start,
    /// since nobody knows for how long before.
    #[must_use]
    pub fn is_too_long(&self) -> Option<Duration> {
        let Some(heard) = *self.heard.borrow() else { return Some(self.began.elapsed()) };
        let since = self.behind_since().map_or(heard, |behind| behind.min(heard));
        Some(since.elapsed()).filter(|lasts| *lasts > self.most)
    }

    /// Whatever is the reason: also where whoever follows them does nothing any more.
    fn behind_since(&self) -> Option<Instant> {
        let newest = (*self.heads.borrow()).and_then(|heads| heads.directive);
        let is_behind = newest.is_some_and(|newest| !self.followed.is_at(newest));
        let mut behind = self.behind.lock();
        *behind = is_behind.then(|| behind.unwrap_or_else(Instant::now));
        *behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{Digest, Offer};

    #[test]
    fn it_counts_from_the_last_word_and_from_what_is_not_followed() {
        let ago = |s| Instant::now().checked_sub(Duration::from_secs(s)).unwrap();
        let ((said, heard), (offered, heads)) = (watch::channel(None), watch::channel(None));
        let followed = Arc::<Followed>::default();
        let most = Duration::from_secs(60);
        let isolation = Isolation::new(heard, heads, followed.clone(), most);
        assert!(isolation.is_too_long().is_some(), "nothing was heard since the start");
        said.send_replace(Some(ago(30)));
        assert!(isolation.is_too_long().is_none());
        let newest = Offer { number: 3, digest: Digest::of(b"a freeze") };
        offered.send_replace(Some(Heads { bundle: None, directive: Some(newest) }));
        assert!(isolation.is_too_long().is_none(), "it has a moment for that");
        *isolation.behind.lock() = Some(ago(61));
        assert!(isolation.is_too_long().is_some(), "nobody follows any more");
        followed.at(newest, Some(2));
        assert!(isolation.is_too_long().is_some(), "one before it is missing");
        followed.at(newest, None);
        assert!(isolation.is_too_long().is_none());
        *isolation.behind.lock() = None;
        let other = Offer { number: 3, digest: Digest::of(b"another") };
        offered.send_replace(Some(Heads { bundle: None, directive: Some(other) }));
        assert!(isolation.is_too_long().is_none() && isolation.behind.lock().is_some());
        offered.send_replace(Some(Heads { bundle: None, directive: None }));
        assert!(isolation.is_too_long().is_none() && isolation.behind.lock().is_none());
        said.send_replace(Some(ago(61)));
        assert!(isolation.is_too_long().is_some());
    }
}
