//! All state that a reload can replace, immutable and whole.
//!
//! A snapshot is built beside the one in force and swapped in, or not at all. Every
//! file is read once; what was read is what is judged, hashed and used. Parts whose
//! files did not change are carried over, and with them what they hold: connections
//! to Seam, TLS sessions.

mod build;
mod bundles;
mod doubts;
mod inputs;
mod part;
mod parts;
mod reload;
mod source;
mod watch;
mod watch_points;

use std::sync::Arc;

use crate::authn::{Callers, Issuers};
use crate::catalogue::Catalogue;
use crate::config::Settings;
use crate::domain::{EntranceId, Problem};
use crate::policy::{Orders, Policy};
use crate::upstream::Workspaces;
use build::{Built, build};
pub use bundles::{BundleInForce, Bundles, Whole, read_bundle, write_bundle};
use inputs::{Digests, Inputs};
pub use part::PART_NAMES;
pub use parts::certificates::Certificates;
pub use parts::policy::fits;
use parts::trial::TrialSlot;
pub use parts::trial::{Trial, TrialToLoad};
pub use parts::upstream::load_workspaces;
pub use reload::{ReloadFailure, ReloadHandle, ReloadRequests, ReloadStatus, Reloader};
pub use source::{Bytes, File, Files, Source, Wanted};

/// What one request works with, from start to end.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The signed bundle that callers and policy are of, where they come as such.
    pub bundle: Option<BundleInForce>,
    /// Who may call.
    pub callers: Arc<Callers>,
    /// Whose JSON Web Tokens prove it.
    pub issuers: Arc<Issuers>,
    /// What they may do.
    pub policy: Arc<Policy>,
    trial: Option<TrialSlot>,
    /// What people call entrances.
    names: Arc<Catalogue>,
    /// Seam, with the key of each workspace.
    pub workspaces: Arc<Workspaces>,
    /// What new connections are accepted with.
    pub certificates: Arc<Certificates>,
}

impl Snapshot {
    /// What is judged beside the policy and decides nothing: when there is such a policy, and
    /// it is loaded.
    #[must_use]
    pub fn trial(&self) -> Option<&Trial> {
        self.trial.as_ref()?.get()
    }

    /// What people call entrances.
    #[must_use]
    pub fn names(&self) -> &Catalogue {
        &self.names
    }

    /// What people call an entrance.
    #[must_use]
    pub fn name_of(&self, entrance: EntranceId) -> Option<&str> {
        self.names.name_of(entrance)
    }

    /// Whether there is one that is not loaded yet.
    #[must_use]
    pub fn is_loading_trial(&self) -> bool {
        self.trial.as_ref().is_some_and(|slot| slot.get().is_none())
    }
}

/// What a gateway starts with.
pub struct FirstLoad {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Of which files.
    pub origin: Origin,
    /// What deserves a second look.
    pub warnings: Vec<Problem>,
    /// A policy on trial that is still to be loaded.
    pub trial: Option<TrialToLoad>,
}

/// Which files a snapshot was made from.
pub struct Origin {
    source: Arc<dyn Source>,
    bundles: Option<Arc<Bundles>>,
    digests: Digests,
}

impl Origin {
    /// The next start begins with the bundle that this one did.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self) -> Result<(), Problem> {
        self.bundles.as_ref().map_or(Ok(()), |bundles| bundles.keep(&bundles.wanted()))
    }
}

/// Why there is no snapshot.
pub struct Unloaded {
    /// Every problem of every file.
    pub problems: Vec<Problem>,
    /// The certificates, where nothing is wrong with their files: they may have expired.
    pub certificates: Option<Arc<Certificates>>,
}

/// Loads everything that the settings name.
///
/// # Errors
/// [`Unloaded`]: every problem of every file.
pub fn load(settings: &Settings, source: Arc<dyn Source>) -> Result<FirstLoad, Unloaded> {
    let bundles = settings.policy_bundle.as_ref().map(Bundles::open).transpose();
    let bundles = bundles
        .map_err(|problem| Unloaded { problems: vec![problem], certificates: None })?
        .map(Arc::new);
    let whole = bundles.as_ref().map(|bundles| bundles.wanted());
    let read = Inputs::read(settings, &*source, whole.as_deref());
    let (bundle, orders) = (whole.map(|whole| whole.in_force()), Orders::default());
    let built = build(settings, read, bundle, None, &orders)?;
    let Built { snapshot, digests, mut warnings, trial } = built;
    warnings.extend(doubts::doubts(settings, &snapshot.callers));
    Ok(FirstLoad { snapshot, origin: Origin { source, bundles, digests }, warnings, trial })
}

#[cfg(test)]
mod tests;
