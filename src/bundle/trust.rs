//! Who must have signed.

use super::{Bundle, Digest, Malformed, NOTE_BYTES_MAX, Needs, Offer};
use crate::note::{self, NoteError, VerifierKey};

/// Whose signatures count, and how many it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    name: String,
    keys: Vec<VerifierKey>,
    signatures_min: usize,
}

/// Keys of which nobody could say how many people have signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Two keys have one name, or are one.
    #[error(
        "the keys `{0}` and `{1}` have one name or are one key: each signer has one of its own"
    )]
    Same(String, String),
    /// It would take more signatures than there are keys, or none.
    #[error("must be 1 to {0}, the number of keys")]
    SignaturesMin(usize),
}

/// A bundle whose signatures by keys that are trusted are true; there may be too few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub bundle: Bundle,
    /// Of its text.
    pub digest: Digest,
    /// The names of the keys that signed.
    pub signers: Vec<String>,
    /// Its text with the signatures, as it came.
    pub note: String,
}

/// Why what is signed is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It is too long.
    #[error("it is longer than {0} bytes")]
    Long(usize),
    /// The note, or a signature.
    #[error("{0}")]
    Note(#[from] NoteError),
    /// Its text.
    #[error("it cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// It is of somebody else.
    #[error("it is of `{0}`, not of `{1}`")]
    OtherName(String, String),
    /// Who is said to have made it has not signed it.
    #[error("`{0}`, by whom it says to be made, has not signed it")]
    NotByAuthor(String),
    /// Too few have signed.
    #[error("it is signed by {0} of the keys that are trusted, and it takes {1}")]
    TooFew(usize, usize),
    /// It cannot be loaded by this version.
    #[error("it needs version {0}, and this is {1}: upgrade before it can be loaded")]
    Newer(Needs, Needs),
}

impl Trust {
    /// In bundles of this name, signed by so many of these keys.
    ///
    /// # Errors
    /// [`TrustError`]
    pub fn new(
        name: String,
        keys: Vec<VerifierKey>,
        signatures_min: usize,
    ) -> Result<Self, TrustError> {
        for (place, one) in keys.iter().enumerate() {
            if let Some(other) = keys.iter().take(place).find(|other| one.is_alike(other)) {
                return Err(TrustError::Same(other.name().to_owned(), one.name().to_owned()));
            }
        }
        if !(1..=keys.len()).contains(&signatures_min) {
            return Err(TrustError::SignaturesMin(keys.len()));
        }
        Ok(Self { name, keys, signatures_min })
    }

    /// Whose policy it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many signatures it takes.
    #[must_use]
    pub const fn signatures_min(&self) -> usize {
        self.signatures_min
    }

    /// The names of the keys that have signed a note, whatever it says.
    ///
    /// # Errors
    /// [`NoteError`]
    pub fn signers(&self, note: &str) -> Result<Vec<String>, NoteError> {
        let (_, signers) = note::signers(note, &self.keys)?;
        Ok(signers.iter().map(|key| key.name().to_owned()).collect())
    }

    /// Reads a bundle that may have too few signatures yet. All that there are must be true.
    ///
    /// # Errors
    /// [`Untrusted`]
    pub fn read(&self, note: &str) -> Result<Signed, Untrusted> {
        let (text, signers) = self.text(note, NOTE_BYTES_MAX)?;
        let bundle = Bundle::parse(text)?;
        self.check(&bundle.name, &bundle.by, &signers)?;
        Ok(Signed { digest: Digest::of(text.as_bytes()), bundle, signers, note: note.to_owned() })
    }

    /// The text of a note of at most so many bytes, and the names of the keys that have signed it.
    pub(super) fn text<'n>(
        &self,
        note: &'n str,
        bytes_max: usize,
    ) -> Result<(&'n str, Vec<String>), Untrusted> {
        if note.len() > bytes_max {
            return Err(Untrusted::Long(bytes_max));
        }
        let (text, signers) = note::signers(note, &self.keys)?;
        Ok((text, signers.iter().map(|key| key.name().to_owned()).collect()))
    }

    /// Whether it is for those who trust these keys, and signed by who made it.
    pub(super) fn check(&self, name: &str, by: &str, signers: &[String]) -> Result<(), Untrusted> {
        if name != self.name {
            return Err(Untrusted::OtherName(name.to_owned(), self.name.clone()));
        }
        match signers.iter().any(|signer| signer == by) {
            true => Ok(()),
            false => Err(Untrusted::NotByAuthor(by.to_owned())),
        }
    }

    /// Reads a text with the lines that are said to sign it. Those that do not are left out: anybody
    /// may add some.
    ///
    /// # Errors
    /// [`Untrusted`]
    pub fn gather(&self, text: &str, lines: &[String]) -> Result<Signed, Untrusted> {
        self.read(&self.true_note(text, lines)?)
    }

    /// A text with those lines that sign it, one of each key.
    pub(super) fn true_note(&self, text: &str, lines: &[String]) -> Result<String, Untrusted> {
        let mut known: Vec<&VerifierKey> = Vec::new();
        let mut kept = Vec::new();
        for line in lines {
            let note = note::join(text, std::slice::from_ref(line));
            let is_line = line.ends_with('\n') && line.matches('\n').count() == 1;
            if is_line
                && let Ok((_, signers)) = note::signers(&note, &self.keys)
                && let Some(new) = signers.first().filter(|key| !known.contains(*key))
            {
                known.push(new);
                kept.push(line.clone());
            }
        }
        if kept.is_empty() {
            return Err(Untrusted::TooFew(0, self.signatures_min));
        }
        Ok(note::join(text, &kept))
    }

    /// Reads a bundle to be loaded: signed by enough, and for this version.
    ///
    /// # Errors
    /// [`Untrusted`]
    pub fn accept(&self, note: &str) -> Result<Signed, Untrusted> {
        let signed = self.read(note)?;
        let (has, takes) = (signed.signers.len(), self.signatures_min);
        if has < takes {
            return Err(Untrusted::TooFew(has, takes));
        }
        let (needs, own) = (signed.bundle.needs, Needs::own());
        if needs > own {
            return Err(Untrusted::Newer(needs, own));
        }
        Ok(signed)
    }
}

impl Signed {
    /// By number and digest.
    #[must_use]
    pub const fn offer(&self) -> Offer {
        Offer { number: self.bundle.number, digest: self.digest }
    }

    /// How people and commands name it.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}@{}", self.bundle.number, self.digest.short())
    }
}
