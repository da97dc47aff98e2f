//! What differs between two catalogues.

use super::{Catalogue, Entry};

/// What became of entrances from one catalogue to the next, each list sorted by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes<'a> {
    /// Only in the new one.
    pub added: Vec<&'a Entry>,
    /// Only in the old one.
    pub removed: Vec<&'a Entry>,
    /// In both, under another name: before and after.
    pub renamed: Vec<(&'a Entry, &'a Entry)>,
    /// In both, under the same name, in another access system or workspace: before and after.
    pub moved: Vec<(&'a Entry, &'a Entry)>,
}

impl Changes<'_> {
    /// Whether both catalogues say the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { added, removed, renamed, moved } = self;
        added.is_empty() && removed.is_empty() && renamed.is_empty() && moved.is_empty()
    }
}

impl Catalogue {
    /// What changes when `new` takes the place of this one.
    #[must_use]
    pub fn changes_to<'a>(&'a self, new: &'a Self) -> Changes<'a> {
        let mut changes = Changes::default();
        for after in &new.entries {
            match self.entry(after.id) {
                None => changes.added.push(after),
                Some(before) if before.name != after.name => changes.renamed.push((before, after)),
                Some(before)
                    if before.system != after.system || before.workspace != after.workspace =>
                {
                    changes.moved.push((before, after));
                }
                Some(_) => {}
            }
        }
        changes.removed = self.entries.iter().filter(|before| !new.contains(before.id)).collect();
        changes
    }
}
