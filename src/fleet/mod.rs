//! What gateways have in common by way of the database: the signed bundle that each is to have,
//! signed orders, idempotency keys, and limits that hold for all of them together.
//!
//! The database says which one is the newest. It is not believed: signatures, numbers and digests
//! decide whether it is taken.

mod directives;
mod follower;
mod gateways;
mod isolation;
mod keys;
mod leases;
mod silence;

use crate::bundle::{Contents, Offer, Signed, Trust};
use crate::config::{BundleSettings, DatabaseSettings, Settings};
use crate::database::{Access, DatabaseError, Link};
use crate::domain::Problem;
use crate::snapshot::Bundles;
pub use directives::{Directives, Followed, NotTaken, SignedOrders};
pub use follower::Follower;
pub use gateways::{Counting, Gateways};
pub use isolation::Isolation;
pub use keys::{ClaimResult, Keys, Settled, Settling};
pub use leases::{LeaseResult, Leases, Lender, Lending, Paid};

/// Why a bundle that the database offers is not there.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the database: {0}")]
    Database(#[from] DatabaseError),
    #[error("the database offers bundle {0} and does not have all of it: {1}")]
    Missing(u64, String),
    #[error("bundle {0}: {1}")]
    Refused(u64, String),
}

/// Asks for a bundle, and verifies its signatures before its files are asked for. Those are still
/// to be looked at.
async fn fetch(link: &Link, offer: Offer, trust: &Trust) -> Result<(Signed, Contents), FetchError> {
    let note = link.bundle_note(offer.digest).await?;
    let number = offer.number;
    let missing = |what: String| FetchError::Missing(number, what);
    let note = note.ok_or_else(|| missing("its text".into()))?;
    let signed = trust.accept(&note);
    let signed = signed.map_err(|error| FetchError::Refused(number, error.to_string()))?;
    if signed.offer() != offer {
        let text = format!("what comes for it is bundle {}", signed.id());
        return Err(FetchError::Refused(number, text));
    }
    let contents = link.bundle_files(&signed.bundle.files).await?;
    let contents = contents.map_err(|name| missing(name.as_str().into()))?;
    Ok((signed, contents))
}

/// Why there is no bundle to start with.
#[derive(Debug)]
pub enum NoBundle {
    /// Files are not what they should be.
    Invalid(Vec<Problem>),
    /// There may be one later.
    NotYet(String),
}

/// Takes a bundle from the database where policies come as such and there is none to start with.
///
/// # Errors
/// [`NoBundle`]
pub async fn first_bundle(settings: &Settings) -> Result<(), NoBundle> {
    let Settings { policy_bundle: Some(bundle), database: Some(database), .. } = settings else {
        return Ok(());
    };
    let invalid = |problem| NoBundle::Invalid(vec![problem]);
    if !Bundles::is_first_start(bundle).map_err(invalid)? {
        return Ok(());
    }
    match take_first(settings, bundle, database).await {
        // It was asked before, and what it said then is here.
        Err(NoBundle::NotYet(why)) if Bundles::has_some(bundle) => {
            tracing::warn!("a bundle of before is gone on with: {why}");
            Ok(())
        }
        taken => taken,
    }
}

async fn take_first(
    settings: &Settings,
    bundle: &BundleSettings,
    database: &DatabaseSettings,
) -> Result<(), NoBundle> {
    let invalid = |problem| NoBundle::Invalid(vec![problem]);
    let link = Link::new(Access::load(&database.files).map_err(NoBundle::Invalid)?);
    let name = settings.replica.as_ref().map_or("", |replica| replica.name.as_str());
    let newest = link.newest_bundle(name).await.map_err(|error| {
        NoBundle::NotYet(format!(
            "there is no bundle here yet, and the database at `{}` gives none: {error}",
            database.files.address.host()
        ))
    })?;
    let Some(offer) = newest else {
        let text = "there is no bundle yet, here or in the database: sign one with `grantgate policy \
                    push`, or name one to begin with, `policy.bundle.seed_directory`";
        return Err(NoBundle::NotYet(text.into()));
    };
    let fetched = fetch(&link, offer, &bundle.trust).await;
    let (signed, contents) = fetched.map_err(|error| NoBundle::NotYet(error.to_string()))?;
    Bundles::keep_first(bundle, signed, contents).map_err(invalid)
}
