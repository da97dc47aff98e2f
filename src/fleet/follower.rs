//! Follows the database from one bundle to the next.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::fetch;
use crate::bundle::{Bundle, Offer, Offered, Signed};
use crate::database::{Heads, Link};
use crate::domain::Backoff;
use crate::snapshot::{Bundles, ReloadHandle, Reloader, Snapshot, Whole};
use crate::telemetry::BundleMetrics;

/// A bundle that could not be put in force is tried again after this, doubled each time: what was
/// in its way may be gone.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_LONGEST: Duration = Duration::from_secs(60);

/// Puts in force what the database offers, where that is signed and newer.
pub struct Follower {
    /// The connection to the database.
    pub link: Arc<Link>,
    /// What it offers.
    pub heads: watch::Receiver<Option<Heads>>,
    /// What is in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where bundles are kept.
    pub bundles: Arc<Bundles>,
    /// Puts them in force.
    pub reload: (ReloadHandle, Arc<Reloader>),
    /// Shows what comes of it.
    pub metrics: BundleMetrics,
}

impl Follower {
    /// Follows until nobody says any more what the database offers.
    pub async fn run(mut self) {
        let mut backoff = (None, Backoff::default());
        loop {
            let heads = *self.heads.borrow_and_update();
            let offer = heads.and_then(|heads| heads.bundle);
            let wait = match (heads, offer) {
                (_, Some(offer)) => self.consider(offer).await,
                (Some(_), None) => {
                    self.nothing();
                    Ok(())
                }
                // Nobody has said anything yet, or it knows no bundles.
                (None, None) => Ok(()),
            };
            self.show();
            if backoff.0 != offer {
                backoff = (offer, Backoff::default());
            }
            let again = async {
                match wait {
                    Ok(()) => std::future::pending().await,
                    Err(Again) => sleep(backoff.1.wait(AGAIN_FIRST, AGAIN_LONGEST)).await,
                }
            };
            tokio::select! {
                changed = self.heads.changed() => if changed.is_err() { return },
                () = again => {}
            }
        }
    }

    fn in_force(&self) -> Option<Offer> {
        self.snapshot.load().bundle.as_ref().map(|bundle| bundle.offer)
    }

    /// The database has none, and one is in force.
    fn nothing(&self) {
        if let Some(own) = self.in_force() {
            let text = format!(
                "the database has no bundle, and {} is in force: it has lost them, or hides them; \
                 `grantgate policy restore` puts it back",
                own.number
            );
            self.refused(0, text);
        }
    }

    async fn consider(&self, offer: Offer) -> Result<(), Again> {
        let Some(in_force) = self.in_force() else { return Ok(()) };
        let number = offer.number;
        match in_force.beside(&offer) {
            Offered::Same => self.bundles.refuse(None),
            Offered::Older => {
                let text = format!(
                    "the database offers bundle {number}, which is older than {}, the one in force: \
                     it has lost newer ones, or hides them; `grantgate policy restore` puts it back",
                    in_force.number
                );
                self.refused(offer.number, text);
            }
            Offered::Forked => {
                let text = format!(
                    "the database offers another bundle {number} ({}) than the one in force ({}): \
                     sign one with the next number",
                    offer.digest.short(),
                    in_force.digest.short()
                );
                self.refused(offer.number, text);
            }
            Offered::Newer => return self.take(offer).await,
        }
        Ok(())
    }

    /// Puts it in force, or says why not.
    async fn take(&self, offer: Offer) -> Result<(), Again> {
        match self.whole(offer).await {
            Ok(whole) => self.try_it(whole).await,
            Err(text) => {
                self.refused(offer.number, text);
                Err(Again)
            }
        }
    }

    /// All of it, or why that is not to be had: the copy of a try before, or what is fetched.
    async fn whole(&self, offer: Offer) -> Result<Arc<Whole>, String> {
        let bundles = self.bundles.clone();
        if let Ok(Some(kept)) = spawn_blocking(move || bundles.find(offer)).await {
            self.follows(kept.signed())?;
            return Ok(kept);
        }
        let fetched = fetch(&self.link, offer, self.bundles.trust()).await;
        let (signed, contents) = fetched.map_err(|error| error.to_string())?;
        self.follows(&signed)?;
        let bundles = self.bundles.clone();
        let put = spawn_blocking(move || bundles.put(signed, contents)).await;
        put.map_err(|error| error.to_string())?.map_err(|problem| problem.to_string())
    }

    /// Whether the next one was made from the one in force: else what somebody has looked at is
    /// another change than the one that it makes here.
    fn follows(&self, signed: &Signed) -> Result<(), String> {
        let Bundle { number, parent, .. } = &signed.bundle;
        match self.in_force() {
            Some(own) if own.number + 1 == *number && Some(own.digest) != *parent => Err(format!(
                "bundle {number} was not made from the one in force, though it is the next: sign one \
                 with the number after it"
            )),
            _ => Ok(()),
        }
    }

    /// Has it put in force, or what was before goes on.
    async fn try_it(&self, whole: Arc<Whole>) -> Result<(), Again> {
        let offer = whole.offer();
        let (handle, reloader) = &self.reload;
        let before = self.bundles.want(whole);
        handle.reload().await;
        if self.in_force() == Some(offer) {
            self.bundles.refuse(None);
            self.link.tell_soon();
            return Ok(());
        }
        // Other files must not wait for it to be mended.
        self.bundles.want(before);
        let failure = reloader.status().failure;
        handle.reload().await;
        let text = failure.map_or_else(
            || "it could not be put in force".to_owned(),
            |failure| failure.problems.join("; "),
        );
        self.refused(offer.number, text);
        Err(Again)
    }

    fn refused(&self, number: u64, text: String) {
        if self.bundles.refused() != Some((number, text.clone())) {
            tracing::error!(bundle = number, "not in force: {text}");
        }
        self.bundles.refuse(Some((number, text)));
    }

    fn show(&self) {
        let number = self.in_force().map_or(0, |offer| offer.number);
        self.metrics.in_force.set(i64::try_from(number).unwrap_or(i64::MAX));
        self.metrics.refused.set(i64::from(self.bundles.refused().is_some()));
    }
}

/// It is to be tried again.
struct Again;
