//! From a caller and an entrance to the few rules that could match them.
//!
//! casbin evaluates every rule that it holds. The index gives it only those whose
//! subject is the caller or a role of the caller's, and whose object is the entrance,
//! a zone of the entrance's, or the wildcard. Every matcher that the loader accepts
//! asks for both, so no rule that could match is left out; casbin still judges.

use std::collections::{HashMap, HashSet};

use super::graph::Graph;
use super::rules::{Rules, WILDCARD};
use crate::domain::Reason;

/// Subjects and objects of rules have numbers of their own each.
type Number = u32;

/// The index of one policy.
pub(super) struct Index {
    /// For each caller that some rule can match: the subjects of rules that it is, or
    /// is in. Likewise the objects for each entrance.
    callers: HashMap<String, Box<[Number]>>,
    entrances: HashMap<String, Box<[Number]>>,
    wildcard: Option<Number>,
    /// The places of the rules with this subject and object, in the file's order.
    places: HashMap<(Number, Number), Vec<usize>>,
}

impl Index {
    pub(super) fn new(rules: &Rules, graph: &Graph) -> Self {
        let mut subjects = Numbers::default();
        let mut objects = Numbers::default();
        let mut places: HashMap<(Number, Number), Vec<usize>> = HashMap::new();
        for (place, rule) in rules.rules.iter().enumerate() {
            let key = (subjects.give(&rule.subject), objects.give(&rule.object));
            places.entry(key).or_default().push(place);
        }
        Self {
            callers: subjects.reached("caller:", graph),
            entrances: objects.reached("entrance:", graph),
            wildcard: objects.0.get(WILDCARD).copied(),
            places,
        }
    }

    /// The places of the rules that could match, in the file's order.
    ///
    /// # Errors
    /// [`Reason::CallerOutsidePolicy`] or [`Reason::EntranceOutsidePolicy`] where no
    /// rule can match whatever the other is.
    pub(super) fn candidates(&self, caller: &str, entrance: &str) -> Result<Vec<usize>, Reason> {
        let subjects = self.callers.get(caller).ok_or(Reason::CallerOutsidePolicy)?;
        let objects = self.entrances.get(entrance);
        if objects.is_none() && self.wildcard.is_none() {
            return Err(Reason::EntranceOutsidePolicy);
        }
        let mut found = Vec::new();
        for subject in subjects {
            for object in objects.into_iter().flatten().chain(&self.wildcard) {
                found.extend(self.places.get(&(*subject, *object)).into_iter().flatten());
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// Numbers for names.
#[derive(Default)]
struct Numbers<'a>(HashMap<&'a str, Number>);

impl<'a> Numbers<'a> {
    fn give(&mut self, name: &'a str) -> Number {
        let next = Number::try_from(self.0.len()).unwrap_or(Number::MAX);
        *self.0.entry(name).or_insert(next)
    }

    /// For each name with this prefix, the numbered names that it is or is in.
    fn reached(&self, prefix: &str, graph: &'a Graph) -> HashMap<String, Box<[Number]>> {
        let names: HashSet<&str> = graph.names().chain(self.0.keys().copied()).collect();
        let own = names.into_iter().filter(|name| name.starts_with(prefix));
        own.filter_map(|name| {
            let numbers: Box<[Number]> =
                graph.with_ancestors(name).filter_map(|n| self.0.get(n).copied()).collect();
            (!numbers.is_empty()).then(|| (name.to_owned(), numbers))
        })
        .collect()
    }
}
