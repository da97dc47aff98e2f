//! Doors that no rule names: all of them are decided alike.

use std::collections::HashSet;

use crate::catalogue::Entry;
use crate::console::asked::Asked;
use crate::domain::EntranceId;
use crate::policy::Policy;

/// Names that are listed.
const LISTED_MAX: usize = 20;

/// Entrances that no rule names, neither in force nor in the draft: they share a column.
pub(super) struct Others {
    named: HashSet<EntranceId>,
    /// The one that the page is narrowed to.
    only: Option<EntranceId>,
}

impl Others {
    pub(super) fn of(asked: &Asked, proposed: Option<&Policy>) -> Self {
        let in_force: &Policy = &asked.snapshot.policy;
        let all = [Some(in_force), proposed].into_iter().flatten();
        let named = all.flat_map(Policy::named_entrances).map(|(id, _)| id).collect();
        Self { named, only: asked.entrance("entrance").ok().flatten() }
    }

    pub(super) fn has(&self, entrance: EntranceId) -> bool {
        !self.named.contains(&entrance) && self.only.is_none_or(|only| only == entrance)
    }

    /// Those that have a name.
    pub(super) fn names<'a>(&self, asked: &'a Asked) -> Vec<&'a str> {
        let all = asked.snapshot.names().entries().iter();
        all.filter(|entry| self.has(entry.id())).map(Entry::name).collect()
    }
}

/// The first of these names.
pub(super) fn listed(names: &[&str]) -> String {
    let first = names.iter().take(LISTED_MAX).copied().collect::<Vec<_>>().join(", ");
    match names.len() {
        count if count > LISTED_MAX => format!("{first} and {} more", count - LISTED_MAX),
        _ => first,
    }
}
