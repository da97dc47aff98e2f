//! Policies that come as signed bundles: the one in force, and one that is to take its place.

mod shelf;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::source::{File, Wanted};
use crate::bundle::{Contents, FileName, Offer, Offered, Signed, Trust};
use crate::config::BundleSettings;
use crate::domain::Problem;
use shelf::Shelf;
pub use shelf::write as write_bundle;

/// A bundle whose signatures and files were looked at, all of it.
#[derive(Debug)]
pub struct Whole {
    signed: Signed,
    contents: Contents,
    /// Where its copy is.
    directory: PathBuf,
}

/// Reads a bundle from a directory, and verifies all of it.
///
/// # Errors
/// What is wrong with it.
pub fn read_bundle(directory: &Path, trust: &Trust) -> Result<(Signed, Contents), Problem> {
    shelf::read(directory, trust).map(|whole| (whole.signed, whole.contents))
}

/// The bundle that a snapshot was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleInForce {
    /// Its number and digest.
    pub offer: Offer,
    /// Whose policy it is.
    pub name: String,
    /// Who signed it.
    pub signers: Vec<String>,
}

/// What policies are taken from where they come as bundles.
pub struct Bundles {
    trust: Trust,
    shelf: Shelf,
    /// What the next look reads. Only bundles that were verified are ever here.
    wanted: Mutex<Arc<Whole>>,
    /// The number of one that was offered and is not in force, and why; 0 where none is offered.
    refused: Mutex<Option<(u64, String)>>,
}

impl Whole {
    /// Its number and digest.
    #[must_use]
    pub const fn offer(&self) -> Offer {
        self.signed.offer()
    }

    /// What was signed.
    #[must_use]
    pub const fn signed(&self) -> &Signed {
        &self.signed
    }

    /// A file; none that is not in it, or is in no bundle.
    pub(super) fn file(&self, wanted: &Wanted<'_>) -> Option<File> {
        let name = FileName::parse(wanted.name)?;
        let bytes = self.contents.get(&name)?;
        let shown = self.directory.join(name.as_str()).display().to_string();
        Some(File { shown, bytes: Ok(Zeroizing::new(bytes.clone())) })
    }

    pub(super) fn in_force(&self) -> BundleInForce {
        BundleInForce {
            offer: self.offer(),
            name: self.signed.bundle.name.clone(),
            signers: self.signed.signers.clone(),
        }
    }
}

/// Whether a file of this name comes in a bundle.
pub(super) fn is_of_bundle(wanted: &Wanted<'_>) -> bool {
    FileName::parse(wanted.name).is_some()
}

impl Bundles {
    /// The bundle that was in force when the process before ended, or the one to begin with where
    /// that is newer. It is verified as if it had just come.
    ///
    /// # Errors
    /// What is wrong with it, or that there is none yet.
    pub fn open(settings: &BundleSettings) -> Result<Self, Problem> {
        let BundleSettings { trust, directory, seed_directory, .. } = settings;
        let shelf = Shelf::new(directory.clone());
        let kept = match shelf.current(trust)? {
            Some(kept) => Some(kept),
            // A first start, which took it from the database.
            None => shelf.newest(trust),
        };
        let seed = seed_directory.as_deref().map(|from| shelf::read(from, trust));
        let seed = match seed.transpose() {
            Err(problem) if kept.is_some() => {
                // It is of no use any more.
                tracing::warn!("{problem}; the bundle of before is gone on with");
                None
            }
            seed => seed?,
        };
        let whole = match (kept, seed) {
            (Some(kept), Some(seed)) => match kept.offer().beside(&seed.offer()) {
                Offered::Newer => seed,
                Offered::Same | Offered::Older => kept,
                Offered::Forked => {
                    let text = format!(
                        "is another bundle {} than the one in `{}`: two of one number are signed; \
                         take the one that is meant, or sign one with the next number",
                        seed.offer().number,
                        kept.directory.display()
                    );
                    return Err(Problem::of_file(seed.directory.display().to_string(), text));
                }
            },
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => {
                let text = "holds no bundle yet: the first start of `grantgate serve` takes one from the \
                            database; or name one to begin with, `policy.bundle.seed_directory`";
                return Err(Problem::of_file(directory.display().to_string(), text));
            }
        };
        let wanted = Mutex::new(Arc::new(whole));
        Ok(Self { trust: trust.clone(), shelf, wanted, refused: Mutex::default() })
    }

    /// Whether none was in force yet, and there is none to begin with.
    ///
    /// # Errors
    /// It cannot be known.
    pub fn is_first_start(settings: &BundleSettings) -> Result<bool, Problem> {
        let has_seed = settings.seed_directory.is_some();
        Ok(!has_seed && !Shelf::new(settings.directory.clone()).has_current()?)
    }

    /// Whether a first start has one from a try before.
    #[must_use]
    pub fn has_some(settings: &BundleSettings) -> bool {
        Shelf::new(settings.directory.clone()).newest(&settings.trust).is_some()
    }

    /// Keeps a bundle for a first start. Only when it was loaded do later ones begin with it.
    ///
    /// # Errors
    /// It is not whole, or cannot be written.
    pub fn keep_first(
        settings: &BundleSettings,
        signed: Signed,
        contents: Contents,
    ) -> Result<(), Problem> {
        let shelf = Shelf::new(settings.directory.clone());
        shelf.put(signed, contents, &settings.trust).map(drop)
    }

    /// Whose signatures count.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What the next look reads.
    #[must_use]
    pub fn wanted(&self) -> Arc<Whole> {
        self.wanted.lock().clone()
    }

    /// The copy of a bundle, where there is a good one.
    #[must_use]
    pub fn find(&self, offer: Offer) -> Option<Arc<Whole>> {
        self.shelf.find(offer, &self.trust).map(Arc::new)
    }

    /// Keeps a copy of a bundle whose signatures were verified, after a look at its files.
    ///
    /// # Errors
    /// It is not whole, or cannot be written.
    pub fn put(&self, signed: Signed, contents: Contents) -> Result<Arc<Whole>, Problem> {
        self.shelf.put(signed, contents, &self.trust).map(Arc::new)
    }

    /// Has the next look read this one, and gives what was wanted before.
    pub fn want(&self, whole: Arc<Whole>) -> Arc<Whole> {
        std::mem::replace(&mut *self.wanted.lock(), whole)
    }

    /// From now on a start begins with this one, which was loaded and is about to be in force.
    pub(super) fn keep(&self, whole: &Whole) -> Result<(), Problem> {
        self.shelf.point_to(whole, &self.trust)
    }

    /// Remembers why one that was offered is not in force; or that none is.
    pub fn refuse(&self, refused: Option<(u64, String)>) {
        *self.refused.lock() = refused;
    }

    /// One that was offered and is not in force, and why.
    #[must_use]
    pub fn refused(&self) -> Option<(u64, String)> {
        self.refused.lock().clone()
    }
}

#[cfg(test)]
mod tests;
