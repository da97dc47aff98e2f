//! Every pair of groups that may differ, put to both engines.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::side::{Group, GroupsOf, Pair, Side, signature};
use super::{Change, Effect};
use crate::domain::{Act, CallerId, WorkspaceName};
use crate::policy::Policy;
use crate::policy::names::Name;
use crate::policy::review::access::{Access, Span, common, entrance_ids, texts_of};
use crate::policy::review::patience;
use crate::policy::rules::RuleNo;

/// About how much a place among groups is, and how long an entrance or a caller as it is shown.
const PLACE_BYTES: usize = 16;
const NAME_BYTES: usize = 80;

pub(in crate::policy::review) struct Comparison<'a> {
    pub(in crate::policy::review) old: Side<'a>,
    pub(in crate::policy::review) new: Side<'a>,
    pub(in crate::policy::review) span: Span,
}

/// Two accesses that are not the same.
pub(in crate::policy::review) struct Compared {
    pub(in crate::policy::review) effect: Effect,
    pub(in crate::policy::review) differs_later: bool,
    before: Access,
    after: Access,
}

/// In what way an access changes, whether more may later, from what to what (a place in a
/// list), in which zones.
type Manner = (Effect, bool, usize, Vec<String>);

/// What changes for a group of callers: in each manner, for which groups of entrances.
type Changed = BTreeMap<Manner, Vec<usize>>;

impl<'a> Comparison<'a> {
    pub(in crate::policy::review) fn new(
        (old, new): (&'a Policy, &'a Policy),
        act: Act,
        workspace: Option<&WorkspaceName>,
        span: Span,
    ) -> Self {
        let side = |of, other| Side::new(of, other, act, workspace, span);
        Self { old: side(old, new), new: side(new, old), span }
    }

    /// All names of one kind, in groups that no rule of either policy tells apart, each in
    /// the order of its members' texts.
    pub(in crate::policy::review) fn groups(&self, prefix: &'static str) -> Vec<Group> {
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

    pub(in crate::policy::review) fn pair(&self, text: &str) -> Pair {
        (self.old.policy.rules.names.find(text), self.new.policy.rules.names.find(text))
    }

    /// Whether a group's names are in the same roles and zones, by name, in both policies.
    fn is_same(&self, group: &Group) -> bool {
        let pair = group.first();
        texts(&self.old, self.old.named(pair.0)) == texts(&self.new, self.new.named(pair.1))
    }

    /// The same of the workspace that all entrances are in.
    fn is_same_around(&self) -> bool {
        let [old, new] = [&self.old, &self.new].map(|side| texts(side, side.assessor.around()));
        old == new
    }

    pub(super) fn changes(&self) -> Vec<Change> {
        let entrances = self.groups("entrance:");
        let reaching = Reaching::new(self, &entrances);
        let mut accesses: Vec<(Access, Access)> = Vec::new();
        let mut by_change: BTreeMap<Changed, Vec<Pair>> = BTreeMap::new();
        for callers in self.groups("caller:") {
            let Some(caller) = callers.members.first().copied() else { continue };
            let mut changed = Changed::new();
            for place in reaching.of(self, &callers, caller) {
                let Some(group) = entrances.get(place) else { continue };
                let Some(compared) = self.compare(caller, group.first()) else { continue };
                let known = (compared.before, compared.after);
                let number = accesses.iter().position(|pair| *pair == known).unwrap_or_else(|| {
                    accesses.push(known);
                    accesses.len() - 1
                });
                let manner = (compared.effect, compared.differs_later, number, self.zones(group));
                if patience::found(1, PLACE_BYTES) {
                    return Vec::new();
                }
                changed.entry(manner).or_default().push(place);
            }
            if !changed.is_empty() {
                by_change.entry(changed).or_default().extend(callers.members);
            }
        }
        let mut found = Vec::new();
        for (changed, callers) in by_change {
            for ((effect, differs_later, number, zones), places) in changed {
                let Some((before, after)) = accesses.get(number).cloned() else { continue };
                let compared = Compared { effect, differs_later, before, after };
                let groups: Vec<&Group> =
                    places.iter().filter_map(|place| entrances.get(*place)).collect();
                let members: usize = groups.iter().map(|group| group.members.len()).sum();
                if patience::found(members + callers.len(), NAME_BYTES) {
                    return Vec::new();
                }
                found.push(self.change(compared, &callers, &groups, zones));
            }
        }
        found.sort_by(|a, b| {
            (a.effect, &a.callers, &a.entrances).cmp(&(b.effect, &b.callers, &b.entrances))
        });
        found
    }

    /// The same rules, by effect and condition, decide the same in both; all others are
    /// put to the engines.
    pub(in crate::policy::review) fn compare(
        &self,
        caller: Pair,
        entrance: Pair,
    ) -> Option<Compared> {
        let old = self.old.assessor.candidates(caller.0, entrance.0);
        let new = self.new.assessor.candidates(caller.1, entrance.1);
        if signature(self.old.policy, &old) == signature(self.new.policy, &new) {
            return None;
        }
        let before = self.old.assessor.access(caller.0, entrance.0);
        let after = self.new.assessor.access(caller.1, entrance.1);
        let differs_later = !(self.shows_all(&self.old, &old) && self.shows_all(&self.new, &new));
        let effect = if before == after {
            if !differs_later {
                return None;
            }
            Effect::DiffersLater
        } else if before == Access::Never {
            Effect::Gains
        } else if after == Access::Never {
            Effect::Loses
        } else if after.beyond(&before, self.span).is_zero() {
            Effect::Narrows
        } else {
            Effect::Widens
        };
        Some(Compared { effect, differs_later, before, after })
    }

    /// Whether the span shows everything that the conditions of these rules say.
    fn shows_all(&self, side: &Side<'_>, numbers: &[RuleNo]) -> bool {
        let conditions =
            side.assessor.rules(numbers).filter_map(|rule| side.policy.rules.condition(rule));
        conditions.into_iter().all(|condition| condition.is_shown_within(self.span.length()))
    }

    fn zones(&self, group: &Group) -> Vec<String> {
        let (policy, zones) = self.common(&group.members);
        texts_of(policy, &zones)
    }

    /// The roles or zones that all of these are in: in the new policy, or where those are
    /// none, in the old.
    pub(in crate::policy::review) fn common(&self, members: &[Pair]) -> (&'a Policy, Vec<Name>) {
        let new: Vec<Name> = members.iter().filter_map(|pair| pair.1).collect();
        let old: Vec<Name> = members.iter().filter_map(|pair| pair.0).collect();
        match common(self.new.policy, &new) {
            groups if groups.is_empty() => (self.old.policy, common(self.old.policy, &old)),
            groups => (self.new.policy, groups),
        }
    }

    fn change(
        &self,
        compared: Compared,
        callers: &[Pair],
        groups: &[&Group],
        zones: Vec<String>,
    ) -> Change {
        let old: Vec<Name> = callers.iter().filter_map(|pair| pair.0).collect();
        let new: Vec<Name> = callers.iter().filter_map(|pair| pair.1).collect();
        let (policy, roles) = self.common(callers);
        let roles = texts_of(policy, &roles);
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
        let entrance = groups.first().map(|group| group.first()).unwrap_or_default();
        Change {
            act: self.new.assessor.act,
            workspaces: Vec::new(),
            effect: compared.effect,
            differs_later: compared.differs_later,
            callers: ids,
            roles,
            entrances,
            and_every_other: groups.iter().any(|group| group.and_every_other),
            zones,
            before: compared.before,
            after: compared.after,
            conditions_before: self.old.assessor.conditions_of(caller.0, entrance.0),
            conditions_after: self.new.assessor.conditions_of(caller.1, entrance.1),
        }
    }
}

fn texts(side: &Side<'_>, names: &[Name]) -> BTreeSet<String> {
    names.iter().map(|name| side.policy.rules.names.text(*name).to_owned()).collect()
}

/// Finds the groups of entrances that may have changed for a caller. Where neither the
/// caller's roles nor an entrance's zones changed, only rules that did can matter.
pub(in crate::policy::review) struct Reaching {
    old: [GroupsOf; 2],
    new: [GroupsOf; 2],
}

impl Reaching {
    /// All groups, and those whose zones changed.
    pub(in crate::policy::review) fn new(comparison: &Comparison<'_>, entrances: &[Group]) -> Self {
        let around = comparison.is_same_around();
        let moved = |group: &Group| !around || !comparison.is_same(group);
        let moved: Vec<bool> = entrances.iter().map(moved).collect();
        let all = || entrances.iter().enumerate();
        let moved = || all().filter(|(place, _)| moved.get(*place) == Some(&true));
        let (old, new) = (&comparison.old, &comparison.new);
        Self {
            old: [GroupsOf::new(old, all(), |p| p.0), GroupsOf::new(old, moved(), |p| p.0)],
            new: [GroupsOf::new(new, all(), |p| p.1), GroupsOf::new(new, moved(), |p| p.1)],
        }
    }

    /// The places of those groups, sorted.
    pub(in crate::policy::review) fn of(
        &self,
        comparison: &Comparison<'_>,
        callers: &Group,
        caller: Pair,
    ) -> Vec<usize> {
        let mut reached = Vec::new();
        let sides =
            [(&comparison.old, caller.0, &self.old), (&comparison.new, caller.1, &self.new)];
        let same = comparison.is_same(callers);
        for (side, name, [all, moved]) in sides {
            if same {
                side.reach(name, &side.changed, all, &mut reached);
                side.reach(name, &side.objects, moved, &mut reached);
            } else {
                side.reach(name, &side.objects, all, &mut reached);
            }
        }
        reached.sort_unstable();
        reached.dedup();
        reached
    }
}
