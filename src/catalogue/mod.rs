//! The names that people know entrances by: `entrances.csv`.
//!
//! A name decides nothing: policy, audit and what is sent to Seam know entrances by id.
//! A catalogue that is missing is an empty one, and takes nothing away but names. What is
//! in it is fit to print: no name holds a character that moves the cursor or turns the
//! direction of writing, whoever chose the name in Seam.

mod changes;
mod find;
mod name;
mod read;

use std::collections::HashMap;

use crate::domain::{AcsSystemId, EntranceId, WorkspaceName};
pub use changes::Changes;
pub use find::FindError;
pub use name::NameError;

/// The columns, in their order. The last is there only where workspaces have names.
const COLUMNS: [&str; 4] = ["entrance_id", "display_name", "acs_system_id", "workspace"];

/// One entrance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    id: EntranceId,
    name: String,
    system: AcsSystemId,
    workspace: Option<WorkspaceName>,
}

impl Entry {
    /// An entrance with a name as somebody wrote it. Spaces around the name are dropped.
    ///
    /// # Errors
    /// [`NameError`] when nothing is left, when it is too long, and when a character in it
    /// is not fit to print.
    pub fn new(id: EntranceId, name: &str, system: AcsSystemId) -> Result<Self, NameError> {
        let name = name::check(name.trim())?.to_owned();
        Ok(Self { id, name, system, workspace: None })
    }

    /// An entrance with a name as Seam has it, made fit where it is not: one odd name must
    /// not keep people from all the others.
    #[must_use]
    pub fn tidied(id: EntranceId, name: &str, system: AcsSystemId) -> Self {
        Self { id, name: name::tidy(name), system, workspace: None }
    }

    /// The same in this workspace.
    #[must_use]
    pub fn within(self, workspace: Option<WorkspaceName>) -> Self {
        Self { workspace, ..self }
    }

    /// The workspace that it is in, where that is known.
    #[must_use]
    pub fn workspace(&self) -> Option<&WorkspaceName> {
        self.workspace.as_ref()
    }

    /// The entrance.
    #[must_use]
    pub fn id(&self) -> EntranceId {
        self.id
    }

    /// Its name: 1 to 200 characters, none of them a control character.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The access system that it belongs to.
    #[must_use]
    pub fn system(&self) -> AcsSystemId {
        self.system
    }
}

/// Entrances and their names. Every entrance is in it once; names may occur twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// By name, then by id.
    entries: Vec<Entry>,
    by_id: HashMap<EntranceId, usize>,
}

impl Catalogue {
    /// The name of an entrance.
    #[must_use]
    pub fn name_of(&self, id: EntranceId) -> Option<&str> {
        self.entry(id).map(Entry::name)
    }

    /// The workspace of an entrance, where that is known.
    #[must_use]
    pub fn workspace_of(&self, id: EntranceId) -> Option<&WorkspaceName> {
        self.entry(id).and_then(Entry::workspace)
    }

    /// Whether the entrance is known.
    #[must_use]
    pub fn contains(&self, id: EntranceId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// All entrances, sorted by name, then by id.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many entrances are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The text of `entrances.csv`, the same for the same catalogue: sorted, lines end
    /// with LF, quotes only where a name needs them.
    #[must_use]
    pub fn to_csv(&self) -> Vec<u8> {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        let has_workspaces = self.entries.iter().any(|entry| entry.workspace.is_some());
        let columns = COLUMNS.len() - usize::from(!has_workspaces);
        // Memory takes everything, and every record has as many fields.
        let _ = writer.write_record(COLUMNS.into_iter().take(columns));
        for Entry { id, name, system, workspace } in &self.entries {
            let workspace = workspace.as_ref().map_or("", WorkspaceName::as_str);
            let fields = [&id.to_string(), name, &system.to_string(), workspace];
            let _ = writer.write_record(fields.into_iter().take(columns));
        }
        writer.into_inner().unwrap_or_default()
    }

    /// What is known of an entrance.
    #[must_use]
    pub fn entry(&self, id: EntranceId) -> Option<&Entry> {
        self.entries.get(*self.by_id.get(&id)?)
    }
}

/// Of two entries for one entrance the later one counts: Seam may name it twice when a
/// list changes while its pages are read.
impl FromIterator<Entry> for Catalogue {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let last: HashMap<EntranceId, Entry> = entries.into_iter().map(|e| (e.id, e)).collect();
        let mut entries: Vec<Entry> = last.into_values().collect();
        entries.sort_unstable_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        let by_id = entries.iter().enumerate().map(|(at, entry)| (entry.id, at)).collect();
        Self { entries, by_id }
    }
}

#[cfg(test)]
mod tests;
