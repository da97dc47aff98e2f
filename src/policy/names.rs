//! Numbers for names: callers, roles, entrances and zones are compared and stored as
//! numbers, and are text only where people or casbin read them.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::table::Table;
use crate::domain::{CallerId, EntranceId, WorkspaceName};

/// The base of numbers where casbin has them.
const DIGITS: u32 = 16;

/// The number of a name within one policy, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name(NonZeroU32);

impl Name {
    fn at(index: usize) -> Self {
        // A rules file of the largest size has fewer names than a `u32` can tell apart.
        Self(NonZeroU32::MIN.saturating_add(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// Its place in a list with an item for each name.
    pub(super) fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    /// Appends the number: what casbin is given in place of the name. Which name has which
    /// number makes no difference to a matcher that only asks whether two are the same or one is
    /// in the other. The last digit comes first, which costs least.
    pub(super) fn write(self, text: &mut String) {
        let mut rest = self.0.get();
        while rest > 0 {
            text.extend(char::from_digit(rest % DIGITS, DIGITS));
            rest /= DIGITS;
        }
    }

    /// The name whose number was written so.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut number: u32 = 0;
        for digit in text.bytes().rev() {
            let digit = char::from(digit).to_digit(DIGITS)?;
            number = number.checked_mul(DIGITS)?.checked_add(digit)?;
        }
        NonZeroU32::new(number).map(Self)
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
        let name = Name::at(self.texts.len());
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
        (0..).map(Name::at).zip(self.texts.iter().map(|text| &**text))
    }
}

/// The numbers of callers and entrances by their ids: those are what a request has, and no text
/// need be made of them to look one up.
#[derive(Debug)]
pub(super) struct Ids {
    callers: HashMap<CallerId, Name, Hashing>,
    entrances: Table<EntranceId, Name>,
    /// Few, and most often none.
    workspaces: Vec<(WorkspaceName, Name)>,
}

impl Ids {
    /// Of those names that are a caller's, an entrance's or a workspace's.
    pub(super) fn new(names: &Names) -> Self {
        let callers = names.all().filter_map(|(name, text)| {
            Some((CallerId::parse(text.strip_prefix("caller:")?).ok()?, name))
        });
        let entrances = names.all().filter_map(|(name, text)| {
            Some((EntranceId::parse(text.strip_prefix("entrance:")?).ok()?, name))
        });
        let workspaces = names.all().filter_map(|(name, text)| {
            Some((WorkspaceName::parse(text.strip_prefix("workspace:")?).ok()?, name))
        });
        Self {
            callers: callers.collect(),
            entrances: Table::new(entrances.collect()),
            workspaces: workspaces.collect(),
        }
    }

    pub(super) fn caller(&self, id: &CallerId) -> Option<Name> {
        self.callers.get(id).copied()
    }

    pub(super) fn entrance(&self, id: EntranceId) -> Option<Name> {
        self.entrances.get(&id).copied()
    }

    /// None where no rule and no link names it: then it makes no difference.
    pub(super) fn workspace(&self, name: Option<&WorkspaceName>) -> Option<Name> {
        let name = name?;
        self.workspaces.iter().find(|(known, _)| known == name).map(|(_, name)| *name)
    }

    /// Those that rules and links name.
    pub(super) fn workspaces(&self) -> impl Iterator<Item = &WorkspaceName> {
        self.workspaces.iter().map(|(name, _)| name)
    }
}

/// A list of names for each name. Most are short, and are read in one place of memory.
#[derive(Debug, Default)]
pub(super) struct NameLists {
    lists: Vec<List>,
    long: Vec<Name>,
}

#[derive(Debug)]
enum List {
    /// The first so many of these.
    Short(u8, [Name; SHORT_MAX]),
    /// Of [`NameLists::long`], from the first to before the second.
    Long(u32, u32),
}

const SHORT_MAX: usize = 3;

impl NameLists {
    /// Adds the list of the next name.
    pub(super) fn push(&mut self, list: impl IntoIterator<Item = Name>) {
        let place = |names: &[Name]| u32::try_from(names.len()).unwrap_or(u32::MAX);
        let start = place(&self.long);
        self.long.extend(list);
        let added = self.long.get(start as usize..).unwrap_or_default();
        let list = match u8::try_from(added.len()) {
            Ok(count) if added.len() <= SHORT_MAX => {
                let mut names = [Name::at(0); SHORT_MAX];
                names.iter_mut().zip(added).for_each(|(place, name)| *place = *name);
                self.long.truncate(start as usize);
                List::Short(count, names)
            }
            _ => List::Long(start, place(&self.long)),
        };
        self.lists.push(list);
    }

    /// The list of a name; empty for one that has none.
    pub(super) fn of(&self, name: Name) -> &[Name] {
        let list = match self.lists.get(name.index()) {
            None => None,
            Some(List::Short(count, names)) => names.get(..usize::from(*count)),
            Some(List::Long(start, end)) => self.long.get(*start as usize..*end as usize),
        };
        list.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written() {
        let mut seen = std::collections::HashSet::new();
        for index in (0..300).chain([0xffff, 0x1_0000, 0xff_ffff, u32::MAX as usize - 1]) {
            let name = Name::at(index);
            let mut text = String::new();
            name.write(&mut text);
            assert_eq!((Name::read(&text), name.index()), (Some(name), index), "{text}");
            assert!(text != "*" && text != "-" && seen.insert(text));
        }
        for text in ["", "-", "*", "0", "000", "role:a", "fffffffff"] {
            assert_eq!(Name::read(text), None, "{text}");
        }
    }

    #[test]
    fn short_and_long_lists_are_kept() {
        let list = |length: usize| (0..length).map(move |n| Name::at(10 * length + n));
        let mut lists = NameLists::default();
        (0..9).for_each(|length| lists.push(list(length)));
        for length in 0..9 {
            assert_eq!(lists.of(Name::at(length)), list(length).collect::<Vec<_>>());
        }
        assert!(lists.of(Name::at(9)).is_empty());
        assert_eq!(size_of::<List>(), 16, "four are in a cache line");
    }
}
