//! Follows the database from one bundle to the next.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::{FetchError, fetch};
use crate::bundle::{Offer, Offered};
use crate::database::Link;
use crate::domain::Backoff;
use crate::snapshot::{Bundles, ReloadHandle, Reloader, Snapshot};
use crate::telemetry::BundleMetrics;

/// A bundle that could not be put in force is tried again after this, doubled each time: what was
/// in its way may be gone.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_LONGEST: Duration = Duration::from_secs(600);

/// Puts in force what the database offers, where that is signed and newer.
pub struct Follower {
    /// The connection to the database.
    pub link: Arc<Link>,
    /// Which bundle it offers.
    pub newest: watch::Receiver<Option<Offer>>,
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
            let offer = *self.newest.borrow_and_update();
            let wait = match offer {
                Some(offer) => self.consider(offer).await,
                None => Ok(()),
            };
            self.show();
            if backoff.0 != offer {
                backoff = (offer, Backoff::default());
            }
            let again = async {
                match wait {
                    Ok(()) => std::future::pending().await,
                    Err(Again) => sleep(backoff.1.wait(AGAIN_FIRST, AGAIN_LONGEST, 1.0)).await,
                }
            };
            tokio::select! {
                changed = self.newest.changed() => if changed.is_err() { return },
                () = again => {}
            }
        }
    }

    fn in_force(&self) -> Option<Offer> {
        self.snapshot.load().bundle.as_ref().map(|bundle| bundle.offer)
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
                self.refused(offer, text);
            }
            Offered::Forked => {
                let text = format!(
                    "the database offers another bundle {number} ({}) than the one in force ({}): \
                     sign one with the next number",
                    offer.digest.short(),
                    in_force.digest.short()
                );
                self.refused(offer, text);
            }
            Offered::Newer => return self.take(offer).await,
        }
        Ok(())
    }

    /// Puts it in force, or says why not.
    async fn take(&self, offer: Offer) -> Result<(), Again> {
        let (signed, contents) = match fetch(&self.link, offer, self.bundles.trust()).await {
            Ok(fetched) => fetched,
            Err(
                error @ (FetchError::Database(_)
                | FetchError::Missing(..)
                | FetchError::Refused(..)),
            ) => {
                self.refused(offer, error.to_string());
                return Err(Again);
            }
        };
        let bundles = self.bundles.clone();
        let before = match spawn_blocking(move || bundles.want(signed, contents)).await {
            Ok(Ok(before)) => before,
            Ok(Err(problem)) => {
                self.refused(offer, problem.to_string());
                return Err(Again);
            }
            // The runtime ends.
            Err(_) => return Err(Again),
        };
        let (handle, reloader) = &self.reload;
        handle.reload().await;
        if self.in_force() == Some(offer) {
            self.bundles.refuse(None);
            return Ok(());
        }
        // Other files must not wait for it to be mended.
        self.bundles.want_again(before);
        let failure = reloader.status().failure;
        handle.reload().await;
        let text = failure.map_or_else(
            || "it could not be put in force".to_owned(),
            |failure| failure.problems.join("; "),
        );
        self.refused(offer, text);
        Err(Again)
    }

    fn refused(&self, offer: Offer, text: String) {
        if self.bundles.refused() != Some((offer, text.clone())) {
            tracing::error!(bundle = offer.number, "not in force: {text}");
        }
        self.bundles.refuse(Some((offer, text)));
    }

    fn show(&self) {
        let number = self.in_force().map_or(0, |offer| offer.number);
        self.metrics.in_force.set(i64::try_from(number).unwrap_or(i64::MAX));
        self.metrics.refused.set(i64::from(self.bundles.refused().is_some()));
    }
}

/// It is to be tried again.
struct Again;
