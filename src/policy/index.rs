//! From a caller and an entrance to the few rules that could match them.
//!
//! casbin evaluates every rule that it holds. The index gives it only those whose
//! subject is the caller or a role of the caller's, and whose object is the entrance, its
//! workspace, a zone of either, or the wildcard, and whose act is the one that is asked for.
//! Every matcher that the loader accepts asks for all three, so no rule that could match is
//! left out; casbin still judges.

use super::graph::Graph;
use super::names::{Name, NameLists};
use super::rules::{RuleNo, Rules};
use super::table::Table;
use crate::domain::{Act, Reason};

/// A caller and an entrance by the numbers of their names, and an act: casbin's request. What
/// no rule and no link names has no number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) subject: Option<Name>,
    pub(super) object: Option<Name>,
    /// In which the entrance is, where rules name that.
    pub(super) workspace: Option<Name>,
    pub(super) act: Act,
}

/// Set in place of a rule's number. No rules file of the largest size has so many rules.
const RUN: u32 = 1 << 31;

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

type Pairs = Table<(Name, Name), u32>;

/// The index of one policy's rules for one act.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// For each name, those of it and its groups that are the subject or object of a rule.
    named: NameLists,
    wildcard: Option<Name>,
    /// The rule with this subject and object; or with [`RUN`], where in `runs` several are.
    pairs: Pairs,
    /// Where in `numbers` the rules of a pair that has several begin and end.
    runs: Vec<(u32, u32)>,
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
        let (pairs, runs) = pairs(&numbers, key);
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
        let wildcard = rules.wildcard.filter(|name| is_named.get(name.index()) == Some(&true));
        Self { named, wildcard, pairs, runs, numbers }
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
        match self.pairs.get(&(subject, object)) {
            None => &[],
            Some(rule) if rule & RUN == 0 => std::slice::from_ref(rule),
            Some(run) => {
                let run = self.runs.get((run & !RUN) as usize).copied();
                let (start, end) = run.unwrap_or_default();
                self.numbers.get(start as usize..end as usize).unwrap_or_default()
            }
        }
    }

    /// The rules with this subject, by object.
    pub(super) fn rules_of(&self, subject: Name, rules: &Rules) -> impl Iterator<Item = RuleNo> {
        let is = move |number: &RuleNo| rules.rules.get(*number as usize).map(|r| r.subject);
        let start = self.numbers.partition_point(|number| is(number) < Some(subject));
        let rest = self.numbers.get(start..).unwrap_or_default().iter().copied();
        rest.take_while(move |number| is(number) == Some(subject))
    }

    /// How many pairs of subject and object [`Index::candidates`] looks up.
    pub(super) fn searches(&self, request: Request) -> usize {
        let count = |name: Option<Name>| name.map_or(0, |name| self.named(name).len());
        let objects = count(request.object) + count(request.workspace);
        count(request.subject) * (objects + usize::from(self.wildcard.is_some()))
    }

    /// The numbers of the rules that could match, in the file's order.
    ///
    /// # Errors
    /// [`Reason::CallerOutsidePolicy`] or [`Reason::EntranceOutsidePolicy`] where no
    /// rule can match whatever the other is.
    pub(super) fn candidates(&self, request: Request) -> Result<Vec<RuleNo>, Reason> {
        let subjects = request.subject.map(|name| self.named(name)).unwrap_or_default();
        if subjects.is_empty() {
            return Err(Reason::CallerOutsidePolicy);
        }
        let objects = request.object.map(|name| self.named(name)).unwrap_or_default();
        let around = request.workspace.map(|name| self.named(name)).unwrap_or_default();
        if objects.is_empty() && around.is_empty() && self.wildcard.is_none() {
            return Err(Reason::EntranceOutsidePolicy);
        }
        let mut found = Vec::new();
        for subject in subjects {
            for object in objects.iter().chain(around).chain(&self.wildcard) {
                found.extend_from_slice(self.rules(*subject, *object));
            }
        }
        found.sort_unstable();
        // An entrance and its workspace may be in the same zone.
        found.dedup();
        Ok(found)
    }
}

/// Rules that are alone for their subject and object, which most are, are in the table
/// themselves.
fn pairs(
    numbers: &[RuleNo],
    key: impl Fn(RuleNo) -> Option<(Name, Name)>,
) -> (Pairs, Vec<(u32, u32)>) {
    let (mut entries, mut runs) = (Vec::new(), Vec::new());
    let mut start = 0;
    for run in numbers.chunk_by(|a, b| key(*a) == key(*b)) {
        // A file of the largest size has fewer rules than a `u32` can count.
        let end = start + u32::try_from(run.len()).unwrap_or(u32::MAX);
        if let [first, others @ ..] = run
            && let Some(key) = key(*first)
        {
            let at = RUN | u32::try_from(runs.len()).unwrap_or(u32::MAX);
            entries.push((key, if others.is_empty() { *first } else { at }));
            if !others.is_empty() {
                runs.push((start, end));
            }
        }
        start = end;
    }
    (Table::new(entries), runs)
}
