//! Numbers for names: callers, roles, entrances and zones are compared and stored as
//! numbers, and are text only where people or casbin read them.

use std::collections::HashMap;
use std::sync::Arc;

/// The number of a name within one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name(u32);

impl Name {
    /// Its place in a list with an item for each name.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// How maps of a policy hash. It costs less than the standard library's hash and resists
/// chosen keys less, but keys are put in by the policy's own file only: a request looks
/// one up and can make no look-up longer.
pub(super) type Hashing = foldhash::fast::RandomState;

/// Every name of one policy.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<Arc<str>, Name, Hashing>,
    texts: Vec<Arc<str>>,
}

impl Names {
    /// The number of `text`, given to it when it is new.
    pub(super) fn give(&mut self, text: &str) -> Name {
        if let Some(name) = self.numbers.get(text) {
            return *name;
        }
        // A rules file of the largest size has fewer names than this.
        let name = Name(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.numbers.insert(text, name);
        name
    }

    /// The number of a name that was given one.
    pub(super) fn find(&self, text: &str) -> Option<Name> {
        self.numbers.get(text).copied()
    }

    pub(super) fn text(&self, name: Name) -> &str {
        self.texts.get(name.index()).map_or("", |text| text)
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// All of them, in the order in which they were met.
    pub(super) fn all(&self) -> impl Iterator<Item = (Name, &str)> {
        (0..).map(Name).zip(self.texts.iter().map(|text| &**text))
    }
}

/// A list of names for each name, in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct NameLists {
    ends: Vec<u32>,
    items: Vec<Name>,
}

impl NameLists {
    /// Adds the list of the next name.
    pub(super) fn push(&mut self, list: impl IntoIterator<Item = Name>) {
        self.items.extend(list);
        self.ends.push(u32::try_from(self.items.len()).unwrap_or(u32::MAX));
    }

    /// The list of a name; empty for one that has none.
    pub(super) fn of(&self, name: Name) -> &[Name] {
        let end = |index: usize| self.ends.get(index).map_or(0, |end| *end as usize);
        let start = name.index().checked_sub(1).map_or(0, end);
        self.items.get(start..end(name.index())).unwrap_or_default()
    }
}
