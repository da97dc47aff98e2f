//! Signed bundles: a whole policy as its authors signed it, wherever it comes from.
//!
//! A bundle is a signed note (C2SP, signed-note) with a number, and the files that its text names by
//! length and digest. Who carries it is not trusted: they can delay it, and cannot make one, change
//! one, or bring back one of before. Nothing here reads or writes.

mod digest;
mod directive;
mod offer;
mod roster;
mod text;
mod trust;

use std::collections::BTreeMap;

pub use digest::Digest;
pub use directive::{Directed, Directive, SignedDirective};
pub use offer::{Offer, Offered};
pub use roster::{Roster, SignedRoster};
pub use text::{Bundle, Entry, FileName, Malformed, Needs, is_confusing, is_name, is_why};
pub use trust::{Signed, Trust, TrustError, Untrusted};

/// The longest note.
pub const NOTE_BYTES_MAX: usize = 64 << 10;

/// The longest file.
pub const FILE_BYTES_MAX: usize = 64 << 20;

/// The files of a bundle, as they were signed.
pub type Contents = BTreeMap<FileName, Vec<u8>>;

/// What a bundle's files are not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotWhole {
    /// A file is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A file that was not signed is there.
    #[error("`{0}` is no file of this bundle")]
    Unknown(String),
    /// A file has other bytes than were signed.
    #[error("`{0}` is not as it was signed: it has {1} bytes, {2}")]
    Altered(&'static str, usize, Digest),
}

impl Bundle {
    /// Whether these are the files that were signed, all of them and no other.
    ///
    /// # Errors
    /// [`NotWhole`]: the first that is not.
    pub fn check(&self, files: &Contents) -> Result<(), NotWhole> {
        for Entry { name, bytes, digest } in &self.files {
            let file = files.get(name).ok_or(NotWhole::Missing(name.as_str()))?;
            let found = Digest::of(file);
            if (file.len(), found) != (*bytes, *digest) {
                return Err(NotWhole::Altered(name.as_str(), file.len(), found));
            }
        }
        let other = files.keys().find(|name| self.entry(**name).is_none());
        other.map_or(Ok(()), |name| Err(NotWhole::Unknown(name.as_str().into())))
    }
}

#[cfg(test)]
mod tests;
