//! Follows signed orders: each becomes an order of this gateway's own, in its file, from where it is
//! put in force, recorded and kept over restarts as one that was given here.

mod apply;
mod signed;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::bundle::{Digest, Offer, SignedDirective};
use crate::database::{Heads, Link, Placed, refused_at};
use crate::domain::Backoff;
pub use signed::{NotTaken, SignedOrders};

/// What failed is tried again after this, doubled each time: a freeze may wait for it.
const AGAIN_FIRST: Duration = Duration::from_millis(250);
const AGAIN_LONGEST: Duration = Duration::from_secs(5);

/// One that is missing is asked for again after this.
const MISSING_AGAIN: Duration = Duration::from_secs(60);

/// Reasons that are shown at once.
const SHOWN_MAX: usize = 3;

/// How far they are followed.
#[derive(Default)]
pub struct Followed(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// All up to this place were looked at since this process began. It is not kept: with other keys, or
    /// more room, a start may follow what was refused before.
    place: u64,
    /// What is there.
    digest: Option<Digest>,
    /// Why those at these places are not followed.
    refused: BTreeMap<u64, String>,
    /// One that the database does not have, though it has some behind it.
    missing: Option<u64>,
    /// Why none is followed for now.
    failure: Option<String>,
}

impl Followed {
    /// All up to this place were looked at, and the digest of what is there.
    #[must_use]
    pub fn place(&self) -> (u64, Option<Digest>) {
        let seen = self.0.lock();
        (seen.place, seen.digest)
    }

    /// Whether all up to the newest are followed, and none is missing.
    pub(super) fn is_at(&self, newest: Offer) -> bool {
        let seen = self.0.lock();
        seen.place == newest.number && seen.digest == Some(newest.digest) && seen.missing.is_none()
    }

    #[cfg(test)]
    pub(super) fn at(&self, newest: Offer, missing: Option<u64>) {
        let mut seen = self.0.lock();
        (seen.place, seen.digest, seen.missing) = (newest.number, Some(newest.digest), missing);
    }

    /// Why some are not followed, the newest first.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let seen = self.0.lock();
        let refused = seen.refused.iter().rev().take(SHOWN_MAX);
        let refused = refused.map(|(place, why)| refused_at(*place, why));
        let missing =
            seen.missing.map(|place| format!("the database has no signed order at {place}"));
        let all = seen.failure.iter().cloned().chain(missing).chain(refused);
        let all: Vec<String> = all.collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Follows the signed orders of the database.
pub struct Directives {
    link: Arc<Link>,
    heads: watch::Receiver<Option<Heads>>,
    orders: Arc<SignedOrders>,
}

impl Directives {
    /// Looks at all of them anew: what is known here is not done twice.
    #[must_use]
    pub const fn new(
        link: Arc<Link>,
        heads: watch::Receiver<Option<Heads>>,
        orders: Arc<SignedOrders>,
    ) -> Self {
        Self { link, heads, orders }
    }

    /// Follows until nobody says any more that there are some.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let before = self.orders.followed().place();
            let newest = self.heads.borrow_and_update().and_then(|heads| heads.directive);
            let failure = match (self.orders.write().await, newest) {
                (Err(why), _) => Some(why),
                // Nothing is known yet, or there is nothing.
                (Ok(()), None) => None,
                (Ok(()), Some(newest)) => self.catch_up(newest).await.err(),
            };
            let missing = self.orders.followed().0.lock().missing;
            let wait = match (&failure, missing) {
                (Some(_), _) => Some(backoff.wait(AGAIN_FIRST, AGAIN_LONGEST)),
                (None, Some(_)) => Some(MISSING_AGAIN),
                (None, None) => None,
            };
            match &failure {
                Some(why) => tracing::error!("signed orders are not followed: {why}"),
                None => backoff.reset(),
            }
            self.orders.followed().0.lock().failure = failure;
            if self.orders.followed().place() != before {
                // Somebody waits for it.
                self.link.tell_soon();
            }
            let again = async {
                match wait {
                    None => std::future::pending().await,
                    Some(wait) => sleep(wait).await,
                }
            };
            tokio::select! {
                changed = self.heads.changed() => if changed.is_err() { return },
                () = self.orders.unwritten() => sleep(AGAIN_FIRST).await,
                () = again => {}
            }
        }
    }

    /// Follows all up to the newest.
    async fn catch_up(&mut self, newest: Offer) -> Result<(), String> {
        if self.orders.followed().is_at(newest) {
            return Ok(());
        }
        let (place, digest) = self.orders.followed().place();
        let missing = self.orders.followed().0.lock().missing;
        let is_other = match place.checked_sub(1) {
            None => false,
            // It was put back from before, and has others at these places by now.
            Some(_) if newest.number < place => true,
            Some(_) if newest.number == place => digest != Some(newest.digest),
            Some(before) => {
                let there = self.link.directives(before).await.map_err(|e| e.to_string())?;
                let there = there.first().map(|one| Digest::of(one.note.as_bytes()));
                there != digest
            }
        };
        if is_other {
            *self.orders.followed().0.lock() = Seen::default();
        }
        let from = match is_other {
            true => 0,
            // What is known is not done twice.
            false => missing.map_or(place, |missing| missing - 1),
        };
        let all = self.behind(from).await?;
        let missing = (from + 1..).zip(&all).find(|(wanted, one)| one.place != *wanted);
        let missing = missing.map(|(wanted, _)| wanted);
        // All in one go: what is given and taken back is never in force between.
        self.follow(&all).await?;
        if let Some(last) = all.last() {
            let mut seen = self.orders.followed().0.lock();
            (seen.place, seen.digest) = (last.place, Some(Digest::of(last.note.as_bytes())));
            // Those behind it are followed all the same.
            seen.missing = missing;
        }
        match all.last().is_some_and(|last| last.place >= newest.number) {
            true => Ok(()),
            false => Err(format!("the database has none at {}", newest.number)),
        }
    }

    /// All behind a place.
    async fn behind(&self, place: u64) -> Result<Vec<Placed>, String> {
        let mut all: Vec<Placed> = Vec::new();
        loop {
            let last = all.last().map_or(place, |one| one.place);
            let some = self.link.directives(last).await.map_err(|error| error.to_string())?;
            if some.first().is_none_or(|one| one.place <= last) {
                return Ok(all);
            }
            all.extend(some);
        }
    }

    /// Follows some, in their order; those that are not good are told and passed over.
    async fn follow(&self, all: &[Placed]) -> Result<(), String> {
        let mut good: Vec<(u64, SignedDirective)> = Vec::new();
        let mut refused = BTreeMap::new();
        for Placed { place, note } in all {
            match self.orders.trust().accept_directive(note) {
                Ok(signed) => good.push((*place, signed)),
                Err(error) => drop(refused.insert(*place, error.to_string())),
            }
        }
        let seen = &self.orders.followed().0;
        for (place, why) in &refused {
            if seen.lock().refused.get(place) != Some(why) {
                tracing::error!(place, "a signed order is not followed: {why}");
            }
        }
        refused.extend(self.orders.follow(good).await?);
        seen.lock().refused.extend(refused);
        Ok(())
    }
}
