//! One of the two policies of a comparison, and what groups of names look like from it.

use std::collections::HashMap;

use crate::domain::{Act, WorkspaceName};
use crate::policy::Policy;
use crate::policy::names::Name;
use crate::policy::review::access::{Assessor, Span};
use crate::policy::rules::RuleNo;

/// Names of one text in both policies.
pub(in crate::policy::review) type Pair = (Option<Name>, Option<Name>);

/// Names that no rule of either policy tells apart.
#[derive(Debug, Default)]
pub(in crate::policy::review) struct Group {
    pub(in crate::policy::review) members: Vec<Pair>,
    /// One of them stands for every entrance that neither policy names.
    pub(in crate::policy::review) and_every_other: bool,
}

impl Group {
    /// One that stands for all of them.
    pub(in crate::policy::review) fn first(&self) -> Pair {
        self.members.first().copied().unwrap_or_default()
    }
}

pub(in crate::policy::review) struct Side<'a> {
    pub(in crate::policy::review) policy: &'a Policy,
    pub(in crate::policy::review) assessor: Assessor<'a>,
    /// The objects of the rules of each subject.
    pub(super) objects: Objects,
    /// Those of them for which the other policy has other rules.
    pub(super) changed: Objects,
}

/// Objects by subject.
pub(super) type Objects = HashMap<Name, Vec<Name>>;

impl<'a> Side<'a> {
    pub(super) fn new(
        policy: &'a Policy,
        other: &Policy,
        act: Act,
        workspace: Option<&WorkspaceName>,
        span: Span,
    ) -> Self {
        let mut side = Self {
            policy,
            assessor: Assessor::new(policy, act, workspace, span),
            objects: Objects::new(),
            changed: Objects::new(),
        };
        for rule in policy.rules.rules.iter().filter(|rule| rule.act == act) {
            side.objects.entry(rule.subject).or_default().push(rule.object);
        }
        let translate = |name| other.rules.names.find(policy.rules.names.text(name));
        for (subject, list) in &mut side.objects {
            list.sort_unstable();
            list.dedup();
            let there = translate(*subject);
            let differs = |object: &&Name| {
                let there = there.zip(translate(**object));
                let there = there.map(|(s, o)| other.indexes.of(act).rules(s, o));
                let here = policy.indexes.of(act).rules(*subject, **object);
                signature(policy, here) != signature(other, there.unwrap_or_default())
            };
            let changed: Vec<Name> = list.iter().filter(differs).copied().collect();
            if !changed.is_empty() {
                side.changed.insert(*subject, changed);
            }
        }
        side
    }

    pub(in crate::policy::review) fn named(&self, name: Option<Name>) -> &'a [Name] {
        name.map(|name| self.assessor.index().named(name)).unwrap_or_default()
    }

    pub(super) fn texts(&self, prefix: &'static str) -> impl Iterator<Item = &'a str> {
        let all = self.policy.rules.names.all();
        all.map(|(_, text)| text).filter(move |text| text.starts_with(prefix))
    }

    /// Marks those of the groups of entrances that some rule of this caller with one of
    /// these objects could match.
    pub(super) fn reach(
        &self,
        caller: Option<Name>,
        objects: &Objects,
        groups: &GroupsOf,
        reached: &mut Vec<usize>,
    ) {
        for subject in self.named(caller) {
            for object in objects.get(subject).into_iter().flatten() {
                let around = self.assessor.around();
                if self.assessor.index().wildcard() == Some(*object) || around.contains(object) {
                    reached.extend_from_slice(&groups.all);
                } else if let Some(places) = groups.by_object.get(object) {
                    reached.extend_from_slice(places);
                }
            }
        }
    }
}

/// What decides for these rules of a policy: each effect with its condition.
pub(super) fn signature<'a>(
    policy: &'a Policy,
    numbers: &[RuleNo],
) -> Vec<(bool, Option<&'a str>)> {
    let rules = numbers.iter().filter_map(|number| policy.rules.rules.get(*number as usize));
    let parts = rules.map(|rule| (rule.allow, policy.rules.condition(rule).map(|c| c.text())));
    let mut signature: Vec<_> = parts.collect();
    signature.sort_unstable();
    signature.dedup();
    signature
}

/// In which groups of entrances each object of one policy is.
pub(super) struct GroupsOf {
    pub(super) by_object: HashMap<Name, Vec<usize>>,
    pub(super) all: Vec<usize>,
}

impl GroupsOf {
    pub(super) fn new<'a>(
        side: &Side<'_>,
        groups: impl Iterator<Item = (usize, &'a Group)>,
        pick: fn(&Pair) -> Option<Name>,
    ) -> Self {
        let mut found = Self { by_object: HashMap::new(), all: Vec::new() };
        for (place, group) in groups {
            found.all.push(place);
            for object in side.named(pick(&group.first())) {
                found.by_object.entry(*object).or_default().push(place);
            }
        }
        found
    }
}
