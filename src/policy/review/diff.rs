//! What an edit changes, in services and doors.
//!
//! Callers that no rule of either policy tells apart are compared as one, and so are
//! entrances; each pair of groups that a rule could match is put to both engines. Hours
//! are compared over a span of time, at every instant at which one may change.

use std::collections::{BTreeMap, HashMap};

use super::access::{Access, Assessor, Span, common_groups, entrance_ids};
use crate::domain::{CallerId, EntranceId};
use crate::policy::Policy;
use crate::policy::index::RulePlace;
use crate::policy::names::Name;

/// What becomes of a caller's access to an entrance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It may grant what it could not.
    Gains,
    /// It may grant at other times, or to another form of grantee; at some that are new.
    Widens,
    /// It may grant at fewer times.
    Narrows,
    /// It may no longer grant it.
    Loses,
}

impl Effect {
    /// Whether something is allowed that was not.
    #[must_use]
    pub fn is_widening(self) -> bool {
        matches!(self, Self::Gains | Self::Widens)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gains => "gains",
            Self::Widens => "widens",
            Self::Narrows => "narrows",
            Self::Loses => "loses",
        }
    }
}

/// One change for a group of callers and a group of entrances.
#[derive(Debug)]
pub struct Change {
    /// What becomes of it.
    pub effect: Effect,
    /// The callers, by id.
    pub callers: Vec<CallerId>,
    /// The roles that all of them are in.
    pub roles: Vec<String>,
    /// The entrances, by id.
    pub entrances: Vec<EntranceId>,
    /// Also every entrance that neither policy names.
    pub and_every_other: bool,
    /// The zones that all of them are in.
    pub zones: Vec<String>,
    /// When it was allowed.
    pub before: Access,
    /// When it is.
    pub after: Access,
    /// The conditions it had.
    pub conditions_before: Vec<String>,
    /// The conditions it has.
    pub conditions_after: Vec<String>,
}

/// What an edit changes.
#[derive(Debug)]
pub struct Diff {
    /// Widening first.
    pub changes: Vec<Change>,
    /// Over which time hours were compared.
    pub span: Span,
}

impl Diff {
    /// Whether something is allowed that was not.
    #[must_use]
    pub fn is_widening(&self) -> bool {
        self.changes.iter().any(|change| change.effect.is_widening())
    }
}

/// Compares two policies.
#[must_use]
pub fn diff(old: &Policy, new: &Policy, span: Span) -> Diff {
    let comparison = Comparison { old: Side::new(old, span), new: Side::new(new, span), span };
    Diff { changes: comparison.changes(), span }
}

/// Names of one text in both policies.
type Pair = (Option<Name>, Option<Name>);

/// Names that no rule of either policy tells apart.
#[derive(Debug, Default)]
struct Group {
    members: Vec<Pair>,
    /// One of them stands for every entrance that neither policy names.
    and_every_other: bool,
}

struct Side<'a> {
    policy: &'a Policy,
    assessor: Assessor<'a>,
    /// The objects of the rules of each subject.
    objects: HashMap<Name, Vec<Name>>,
}

impl<'a> Side<'a> {
    fn new(policy: &'a Policy, span: Span) -> Self {
        let mut objects: HashMap<Name, Vec<Name>> = HashMap::new();
        for rule in &policy.rules.rules {
            objects.entry(rule.subject).or_default().push(rule.object);
        }
        for list in objects.values_mut() {
            list.sort_unstable();
            list.dedup();
        }
        Self { policy, assessor: Assessor::new(policy, span), objects }
    }

    fn named(&self, name: Option<Name>) -> &'a [Name] {
        name.map(|name| self.policy.index.named(name)).unwrap_or_default()
    }

    fn texts(&self, prefix: &'static str) -> impl Iterator<Item = &'a str> {
        let all = self.policy.rules.names.all();
        all.map(|(_, text)| text).filter(move |text| text.starts_with(prefix))
    }

    /// Marks the groups of entrances that some rule of this caller could match.
    fn reach(&self, caller: Option<Name>, groups: &GroupsOf, reached: &mut Vec<usize>) {
        for subject in self.named(caller) {
            for object in self.objects.get(subject).into_iter().flatten() {
                if self.policy.index.wildcard() == Some(*object) {
                    reached.extend(0..groups.count);
                } else if let Some(places) = groups.by_object.get(object) {
                    reached.extend(places);
                }
            }
        }
    }

    /// What decides for these rules: each effect with its condition.
    fn signature(&self, places: &[RulePlace]) -> Vec<(bool, Option<&str>)> {
        let condition = |rule| self.policy.rules.condition(rule).map(|c| c.text());
        let rules = self.assessor.rules(places).map(|rule| (rule.allow, condition(rule)));
        let mut signature: Vec<_> = rules.collect();
        signature.sort_unstable();
        signature.dedup();
        signature
    }
}

/// In which groups of entrances each object of one policy is.
struct GroupsOf {
    by_object: HashMap<Name, Vec<usize>>,
    count: usize,
}

struct Comparison<'a> {
    old: Side<'a>,
    new: Side<'a>,
    span: Span,
}

/// In what way an access changes, from what to what (a place in a list), in which zones.
type Manner = (Effect, usize, Vec<String>);

/// What changes for a group of callers: in each manner, for which groups of entrances.
type Changed = BTreeMap<Manner, Vec<usize>>;

impl Comparison<'_> {
    fn groups(&self, prefix: &'static str) -> Vec<Group> {
        let mut texts: Vec<&str> = self.old.texts(prefix).chain(self.new.texts(prefix)).collect();
        texts.sort_unstable();
        texts.dedup();
        let mut places: HashMap<(&[Name], &[Name]), usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        let pairs = texts.into_iter().map(|text| self.pair(text));
        // The last is for all that have no name.
        for (pair, other) in pairs.map(|pair| (pair, false)).chain([((None, None), true)]) {
            let key = (self.old.named(pair.0), self.new.named(pair.1));
            let place = *places.entry(key).or_insert(groups.len());
            if place == groups.len() {
                groups.push(Group::default());
            }
            if let Some(group) = groups.get_mut(place) {
                group.and_every_other |= other;
                if !other {
                    group.members.push(pair);
                }
            }
        }
        groups
    }

    fn pair(&self, text: &str) -> Pair {
        (self.old.policy.rules.names.find(text), self.new.policy.rules.names.find(text))
    }

    fn changes(&self) -> Vec<Change> {
        let entrances = self.groups("entrance:");
        let of = |side: &Side<'_>, pick: fn(&Pair) -> Option<Name>| {
            let mut by_object: HashMap<Name, Vec<usize>> = HashMap::new();
            for (place, group) in entrances.iter().enumerate() {
                for object in side.named(group.members.first().and_then(pick)) {
                    by_object.entry(*object).or_default().push(place);
                }
            }
            GroupsOf { by_object, count: entrances.len() }
        };
        let (old_groups, new_groups) = (of(&self.old, |pair| pair.0), of(&self.new, |pair| pair.1));
        let mut accesses: Vec<(Access, Access)> = Vec::new();
        let mut by_change: BTreeMap<Changed, Vec<Pair>> = BTreeMap::new();
        for callers in self.groups("caller:") {
            let Some(caller) = callers.members.first().copied() else { continue };
            let mut reached = Vec::new();
            self.old.reach(caller.0, &old_groups, &mut reached);
            self.new.reach(caller.1, &new_groups, &mut reached);
            reached.sort_unstable();
            reached.dedup();
            let mut changed = Changed::new();
            for place in reached {
                let Some(group) = entrances.get(place) else { continue };
                let Some((effect, before, after)) = self.compare(caller, group) else { continue };
                let accesses_place =
                    accesses.iter().position(|known| *known == (before.clone(), after.clone()));
                let number = accesses_place.unwrap_or_else(|| {
                    accesses.push((before, after));
                    accesses.len() - 1
                });
                changed.entry((effect, number, self.zones(group))).or_default().push(place);
            }
            if !changed.is_empty() {
                by_change.entry(changed).or_default().extend(callers.members);
            }
        }
        let mut found = Vec::new();
        for (changed, callers) in by_change {
            for ((effect, accesses_place, zones), places) in changed {
                let Some((before, after)) = accesses.get(accesses_place) else { continue };
                let groups: Vec<&Group> =
                    places.iter().filter_map(|place| entrances.get(*place)).collect();
                found.push(self.change((effect, before, after), &callers, &groups, zones));
            }
        }
        found.sort_by(|a, b| {
            (a.effect, &a.callers, &a.entrances).cmp(&(b.effect, &b.callers, &b.entrances))
        });
        found
    }

    /// The same rules, by effect and condition, decide the same in both; all others are
    /// put to the engines.
    fn compare(&self, caller: Pair, group: &Group) -> Option<(Effect, Access, Access)> {
        let entrance = group.members.first().copied().unwrap_or_default();
        let old = self.old.assessor.candidates(caller.0, entrance.0);
        let new = self.new.assessor.candidates(caller.1, entrance.1);
        if self.old.signature(&old) == self.new.signature(&new) {
            return None;
        }
        let before = self.old.assessor.access(caller.0, entrance.0);
        let after = self.new.assessor.access(caller.1, entrance.1);
        let effect = if before == after {
            return None;
        } else if before == Access::Never {
            Effect::Gains
        } else if after == Access::Never {
            Effect::Loses
        } else if after.beyond(&before, self.span).is_zero() {
            Effect::Narrows
        } else {
            Effect::Widens
        };
        Some((effect, before, after))
    }

    fn zones(&self, group: &Group) -> Vec<String> {
        let new: Vec<Name> = group.members.iter().filter_map(|pair| pair.1).collect();
        let old: Vec<Name> = group.members.iter().filter_map(|pair| pair.0).collect();
        match common_groups(self.new.policy, &new) {
            zones if zones.is_empty() => common_groups(self.old.policy, &old),
            zones => zones,
        }
    }

    fn change(
        &self,
        (effect, before, after): (Effect, &Access, &Access),
        callers: &[Pair],
        groups: &[&Group],
        zones: Vec<String>,
    ) -> Change {
        let old: Vec<Name> = callers.iter().filter_map(|pair| pair.0).collect();
        let new: Vec<Name> = callers.iter().filter_map(|pair| pair.1).collect();
        let roles = match common_groups(self.new.policy, &new) {
            roles if roles.is_empty() => common_groups(self.old.policy, &old),
            roles => roles,
        };
        let members = || groups.iter().flat_map(|group| &group.members);
        let mut entrances =
            entrance_ids(self.new.policy, &members().filter_map(|p| p.1).collect::<Vec<_>>());
        let gone = members().filter(|pair| pair.1.is_none()).filter_map(|pair| pair.0);
        entrances.extend(entrance_ids(self.old.policy, &gone.collect::<Vec<_>>()));
        entrances.sort_unstable();
        let texts = old.iter().map(|name| self.old.policy.rules.names.text(*name));
        let texts = texts.chain(new.iter().map(|name| self.new.policy.rules.names.text(*name)));
        let ids = texts.filter_map(|text| CallerId::parse(text.strip_prefix("caller:")?).ok());
        let mut ids: Vec<CallerId> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        let caller = callers.first().copied().unwrap_or_default();
        let entrance = groups.first().and_then(|group| group.members.first().copied());
        let entrance = entrance.unwrap_or_default();
        Change {
            effect,
            callers: ids,
            roles,
            entrances,
            and_every_other: groups.iter().any(|group| group.and_every_other),
            zones,
            before: before.clone(),
            after: after.clone(),
            conditions_before: self.old.assessor.conditions_of(caller.0, entrance.0),
            conditions_after: self.new.assessor.conditions_of(caller.1, entrance.1),
        }
    }
}
