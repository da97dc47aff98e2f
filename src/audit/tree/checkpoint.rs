//! Checkpoints as C2SP's tlog-checkpoint says: a signed note with the log's name, the
//! number of its records and the hash of its tree.

use crate::audit::tree::{Frontier, Hash};
use crate::note::{self, NoteError, SigningKey, VerifierKey};

/// The head of the tree at some number of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name: that of the key.
    pub origin: String,
    /// How many records it covers, from the first on.
    pub size: u64,
    pub(in crate::audit) root: Hash,
}

/// Why a text is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it.
    #[error("{0}")]
    Note(#[from] NoteError),
    /// Not three lines: name, number of records, hash.
    #[error("not a checkpoint: its lines must be a name, a number and a hash")]
    Malformed,
}

impl CheckpointError {
    /// Whether it is no checkpoint at all, rather than one that is false.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed | Self::Note(NoteError::NoteMalformed))
    }

    /// Whether it is only not signed by the key that was asked for.
    pub(in crate::audit) fn is_of_another_key(&self) -> bool {
        matches!(self, Self::Note(NoteError::KeyUnknown(_)))
    }
}

impl Checkpoint {
    /// The signed text of the tree's head.
    pub(in crate::audit) fn sign(tree: &Frontier, key: &SigningKey) -> String {
        let origin = key.verifier().name();
        key.sign(&format!("{origin}\n{}\n{}\n", tree.size(), tree.root().to_base64()))
    }

    /// Reads a signed checkpoint whose signature by `key` is true.
    ///
    /// # Errors
    /// [`CheckpointError`]
    pub fn verify(text: &str, key: &VerifierKey) -> Result<Self, CheckpointError> {
        let body = note::verify(text, key)?;
        let checkpoint = Self::parse(body).ok_or(CheckpointError::Malformed)?;
        // Another log's, signed with the same key by mistake, says nothing of this one.
        let own = checkpoint.origin == key.name();
        own.then_some(checkpoint).ok_or(CheckpointError::Malformed)
    }

    /// Reads what a note says, whoever may have signed it.
    #[must_use]
    pub fn unverified(text: &str) -> Option<Self> {
        Self::parse(note::split(text)?.0)
    }

    /// The signed texts in a file that several were appended to.
    #[must_use]
    pub fn texts(file: &str) -> Vec<&str> {
        let mut found = Vec::new();
        let (mut start, mut at, mut signed) = (0, 0, false);
        for line in file.split_inclusive('\n') {
            let signs = line.starts_with('\u{2014}');
            if signed && !signs {
                found.extend(file.get(start..at));
                start = at;
            }
            signed = signs;
            at += line.len();
        }
        found.extend(file.get(start..).filter(|rest| !rest.trim().is_empty()));
        found.into_iter().map(last_paragraph).collect()
    }

    fn parse(body: &str) -> Option<Self> {
        let mut lines = body.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let canonical = size == "0" || !size.starts_with('0');
        let digits = size.bytes().all(|b| b.is_ascii_digit()) && canonical;
        // Extension lines are allowed, and none may be empty.
        if origin.is_empty() || !digits || lines.any(str::is_empty) {
            return None;
        }
        let (size, root) = (size.parse().ok()?, Hash::from_base64(root)?);
        Some(Self { origin: origin.to_owned(), size, root })
    }

    /// The tree's hash in base64.
    #[must_use]
    pub fn root(&self) -> String {
        self.root.to_base64()
    }
}

/// A checkpoint has no empty line in it but the one before its signatures; what is before
/// another is the rest of one that was not written to its end.
fn last_paragraph(text: &str) -> &str {
    let body = text.rfind("\n\n\u{2014}").and_then(|signatures| text.get(..signatures));
    let cut = body.and_then(|body| body.rfind("\n\n")).map_or(0, |at| at + 2);
    text.get(cut..).unwrap_or(text).trim_start_matches('\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_several_is_taken_apart() {
        let (key, _) = SigningKey::generate("a").unwrap();
        let texts: Vec<String> = (0..3).map(|n| key.sign(&format!("a\n{n}\nAAAA\n"))).collect();
        let cosigned = format!("{}{}", texts[0], &key.sign("x\n")[3..]);
        assert_eq!(Checkpoint::texts(&texts.concat()), texts);
        assert_eq!(Checkpoint::texts(&texts.join("\n")), texts);
        assert_eq!(Checkpoint::texts(&cosigned), [cosigned.as_str()]);
        assert!(Checkpoint::texts("\n").is_empty());
    }

    #[test]
    fn a_checkpoint_has_three_lines_and_its_keys_name() {
        let (key, _) = SigningKey::generate("example.org/doors").unwrap();
        let mut tree = Frontier::default();
        tree.push(Hash::of_leaf(b"x"));
        let text = Checkpoint::sign(&tree, &key);
        let expected = format!("example.org/doors\n1\n{}\n\n\u{2014} ", tree.root().to_base64());
        assert!(text.starts_with(&expected), "{text}");
        let checkpoint = Checkpoint::verify(&text, key.verifier()).unwrap();
        assert_eq!(checkpoint.size, 1);
        assert_eq!(checkpoint.root, tree.root());
        assert_eq!(Checkpoint::unverified(&text), Some(checkpoint));
        let root = tree.root().to_base64();
        for body in [
            "example.org/doors\n1\n".to_owned(),
            format!("example.org/doors\n01\n{root}\n"),
            format!("example.org/doors\n+1\n{root}\n"),
            format!("example.org/doors\n1\n{}\n", &root[4..]),
            format!("another\n1\n{root}\n"),
            format!("\n1\n{root}\n"),
        ] {
            let error = Checkpoint::verify(&key.sign(&body), key.verifier());
            assert_eq!(error, Err(CheckpointError::Malformed), "{body}");
        }
        let extended = key.sign(&format!("example.org/doors\n1\n{root}\nmore\n"));
        assert!(Checkpoint::verify(&extended, key.verifier()).is_ok());
    }
}
