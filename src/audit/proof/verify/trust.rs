//! Which checkpoints may be believed.

use crate::audit::record::parse::Record;
use crate::audit::tree::checkpoint::Checkpoint;
use crate::audit::tree::checkpoint::CheckpointError;
use crate::audit::tree::{Frontier, Hash};
use crate::note::{NoteError, VerifierKey};

/// The public keys that were given; without one every checkpoint is believed.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a>(pub(super) &'a [VerifierKey]);

/// What a checkpoint's signature is worth.
pub(super) enum Trust {
    Trusted,
    OfAnotherKey(String),
    Unsigned,
    False(String),
}

impl Keys<'_> {
    /// Whether a record may be believed to be the checkpoint of its place.
    pub(super) fn trust_record(&self, record: &Record<'_>) -> bool {
        let tree = record.tree().filter(|tree| tree.size() == record.seq - 1);
        let trusted =
            |tree| matches!(self.trust(record.checkpoint().as_deref(), &tree), Trust::Trusted);
        !self.0.is_empty() && tree.is_some_and(trusted)
    }

    /// Whether a checkpoint of this tree may be believed.
    pub(super) fn trust(&self, text: Option<&str>, tree: &Frontier) -> Trust {
        if self.0.is_empty() {
            return Trust::Trusted;
        }
        let Some(text) = text else { return Trust::Unsigned };
        for key in self.0 {
            match Checkpoint::verify(text, key) {
                Ok(signed) if signed.size == tree.size() && signed.root == tree.root() => {
                    return Trust::Trusted;
                }
                Ok(_) => return Trust::False("the signed text is of another tree".into()),
                Err(CheckpointError::Note(NoteError::KeyUnknown(_))) => {}
                Err(error) => return Trust::False(format!("the checkpoint is false: {error}")),
            }
        }
        let origin = Checkpoint::unverified(text).map(|checkpoint| checkpoint.origin);
        origin.map_or_else(|| Trust::False("its text is no checkpoint".into()), Trust::OfAnotherKey)
    }

    /// Whether no key says that this text, of a tree that other checkpoints vouch for, is
    /// false.
    pub(super) fn deny_nothing_of(&self, text: Option<&str>, size: u64, root: Hash) -> bool {
        let Some(signed) = text.and_then(Checkpoint::unverified) else {
            return self.0.is_empty() || text.is_none();
        };
        if (signed.size, signed.root) != (size, root) {
            return false;
        }
        let verified = |key| Checkpoint::verify(text.unwrap_or_default(), key);
        // One by a key that nobody asked about vouches for nothing, and denies nothing.
        self.0.iter().all(|key| match verified(key) {
            Ok(_) => true,
            Err(error) => error.is_of_another_key(),
        })
    }
}
