//! From a caller and an entrance to the few rules that could match them.
//!
//! casbin evaluates every rule that it holds. The index gives it only those whose
//! subject is the caller or a role of the caller's, and whose object is the entrance,
//! a zone of the entrance's, or the wildcard, and whose act is the one that is asked for.
//! Every matcher that the loader accepts asks for all three, so no rule that could match is
//! left out; casbin still judges.

use std::collections::HashMap;

use super::graph::Graph;
use super::names::{Hashing, Name, NameLists};
use super::rules::{Rules, WILDCARD};
use crate::domain::{Act, Reason};

/// A rule's number: its position among the rules of its file, from 0.
pub(super) type RuleNo = u32;

type Ranges = HashMap<(Name, Name), (u32, u32), Hashing>;

/// One index for each act.
#[derive(Debug)]
pub(super) struct Indexes {
    grant: Index,
    read: Index,
}

impl Indexes {
    pub(super) fn new(rules: &Rules, graph: &Graph) -> Self {
        let of = |act| Index::new(rules, graph, act);
        Self { grant: of(Act::Grant), read: of(Act::Read) }
    }

    pub(super) fn of(&self, act: Act) -> &Index {
        match act {
            Act::Grant => &self.grant,
            Act::Read => &self.read,
        }
    }
}

/// The index of one policy's rules for one act.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// For each name, those of it and its groups that are the subject or object of a rule.
    named: NameLists,
    wildcard: Option<Name>,
    /// Where in `numbers` the rules with this subject and object are.
    ranges: Ranges,
    /// Rules by subject and object, each in the file's order.
    numbers: Vec<RuleNo>,
}

impl Index {
    fn new(rules: &Rules, graph: &Graph, act: Act) -> Self {
        let key = |number: RuleNo| {
            rules.rules.get(number as usize).map(|rule| (rule.subject, rule.object))
        };
        let of_act = (0..).zip(&rules.rules).filter(|(_, rule)| rule.act == act);
        let mut numbers: Vec<RuleNo> = of_act.map(|(number, _)| number).collect();
        if numbers.is_empty() {
            return Self::default();
        }
        // Stable: rules with the same key stay in the file's order.
        numbers.sort_by_key(|number| key(*number));
        let mut ranges = Ranges::default();
        for (at, number) in (0..).zip(&numbers) {
            if let Some(key) = key(*number) {
                ranges.entry(key).or_insert((at, at)).1 = at + 1;
            }
        }
        let mut is_named = vec![false; rules.names.len()];
        for name in numbers.iter().filter_map(|number| key(*number)).flat_map(|(s, o)| [s, o]) {
            if let Some(named) = is_named.get_mut(name.index()) {
                *named = true;
            }
        }
        let mut named = NameLists::default();
        for (name, _) in rules.names.all() {
            let all = graph.with_ancestors(name);
            named.push(all.filter(|name| is_named.get(name.index()) == Some(&true)));
        }
        let wildcard = rules.names.find(WILDCARD);
        let wildcard = wildcard.filter(|name| is_named.get(name.index()) == Some(&true));
        Self { named, wildcard, ranges, numbers }
    }

    /// The subjects or objects of rules that a name is, or is in.
    pub(super) fn named(&self, name: Name) -> &[Name] {
        self.named.of(name)
    }

    /// The object `*`, where a rule has it.
    pub(super) fn wildcard(&self) -> Option<Name> {
        self.wildcard
    }

    /// The rules with this subject and object, in the file's order.
    pub(super) fn rules(&self, subject: Name, object: Name) -> &[RuleNo] {
        let Some((start, end)) = self.ranges.get(&(subject, object)) else { return &[] };
        self.numbers.get(*start as usize..*end as usize).unwrap_or_default()
    }

    /// The rules with this subject, by object.
    pub(super) fn rules_of(&self, subject: Name, rules: &Rules) -> impl Iterator<Item = RuleNo> {
        let is = move |number: &RuleNo| rules.rules.get(*number as usize).map(|r| r.subject);
        let start = self.numbers.partition_point(|number| is(number) < Some(subject));
        let rest = self.numbers.get(start..).unwrap_or_default().iter().copied();
        rest.take_while(move |number| is(number) == Some(subject))
    }

    /// How many pairs of subject and object [`Index::candidates`] looks up.
    pub(super) fn searches(&self, caller: Option<Name>, entrance: Option<Name>) -> usize {
        let count = |name: Option<Name>| name.map_or(0, |name| self.named(name).len());
        count(caller) * (count(entrance) + usize::from(self.wildcard.is_some()))
    }

    /// The numbers of the rules that could match, in the file's order. A caller or
    /// entrance without a number is one that the rules file does not name.
    ///
    /// # Errors
    /// [`Reason::CallerOutsidePolicy`] or [`Reason::EntranceOutsidePolicy`] where no
    /// rule can match whatever the other is.
    pub(super) fn candidates(
        &self,
        caller: Option<Name>,
        entrance: Option<Name>,
    ) -> Result<Vec<RuleNo>, Reason> {
        let subjects = caller.map(|name| self.named(name)).unwrap_or_default();
        if subjects.is_empty() {
            return Err(Reason::CallerOutsidePolicy);
        }
        let objects = entrance.map(|name| self.named(name)).unwrap_or_default();
        if objects.is_empty() && self.wildcard.is_none() {
            return Err(Reason::EntranceOutsidePolicy);
        }
        let mut found = Vec::new();
        for subject in subjects {
            for object in objects.iter().chain(&self.wildcard) {
                found.extend_from_slice(self.rules(*subject, *object));
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}
