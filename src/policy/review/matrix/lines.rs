//! Rows and columns before they have cells: groups, narrowed and unfolded.

use std::collections::BTreeSet;

use super::Frame;
use crate::domain::WorkspaceName;
use crate::policy::names::Name;
use crate::policy::review::diff::{Comparison, Group, Pair};

/// The key of entrances that no policy names.
pub(super) const EVERY_OTHER: &str = "*";

/// A row or a column.
pub(super) struct Line {
    /// The place of its group.
    pub(super) group: usize,
    /// Those of the group's members that are shown.
    pub(super) members: Vec<Pair>,
    pub(super) and_every_other: bool,
    pub(super) key: String,
    pub(super) unfolded_from: Option<String>,
    pub(super) label: String,
    /// Whether a rule names one of its names, or one of their roles or zones.
    pub(super) is_named: bool,
    /// Whether a proposed policy may change a cell of it.
    pub(super) may_change: bool,
}

impl Line {
    /// The names of its members.
    pub(super) fn texts<'a>(&self, comparison: &Comparison<'a>) -> Vec<&'a str> {
        self.members.iter().map(|pair| text(comparison, *pair)).collect()
    }
}

/// What is asked for of the rows, or of the columns.
pub(super) struct Axis<'a> {
    comparison: &'a Comparison<'a>,
    /// The one name.
    one: Option<String>,
    /// The role or zone in which all are.
    within: Option<Pair>,
    unfold: &'a BTreeSet<String>,
    prefix: &'static str,
    /// Whether there are names that no policy has, which is so of entrances only: what is
    /// known of callers that no policy names is that they may do nothing.
    is_open: bool,
}

impl<'a> Axis<'a> {
    pub(super) fn callers(comparison: &'a Comparison<'a>, frame: &'a Frame) -> Self {
        Self {
            comparison,
            one: frame.only.caller.as_ref().map(|id| format!("caller:{id}")),
            within: frame.only.role.as_ref().map(|role| comparison.pair(role)),
            unfold: &frame.unfold.rows,
            prefix: "caller:",
            is_open: false,
        }
    }

    pub(super) fn entrances(
        comparison: &'a Comparison<'a>,
        frame: &'a Frame,
        workspace: Option<&WorkspaceName>,
    ) -> Self {
        let zone = frame.only.zone.as_ref().map(|zone| comparison.pair(zone));
        let around = workspace.map(|name| comparison.pair(&format!("workspace:{name}")));
        // All entrances are in what their workspace is in.
        let is_around = |zone: &Pair| around.is_some_and(|pair| is_in(comparison, pair, *zone));
        Self {
            comparison,
            one: frame.only.entrance.map(|id| format!("entrance:{id}")),
            within: zone.filter(|zone| !is_around(zone)),
            unfold: &frame.unfold.columns,
            prefix: "entrance:",
            is_open: true,
        }
    }

    /// The lines of these groups, by label. Those that are only in order to stand for what is
    /// not named come last.
    pub(super) fn lines(&self, groups: &[Group]) -> Vec<Line> {
        let mut lines = Vec::new();
        for (place, group) in groups.iter().enumerate() {
            self.add(place, group, &mut lines);
        }
        sort(&mut lines);
        lines
    }

    fn add(&self, place: usize, group: &Group, lines: &mut Vec<Line>) {
        let shown = |pair: &Pair| {
            self.one.as_ref().is_none_or(|one| text(self.comparison, *pair) == one)
                && self.within.is_none_or(|within| is_in(self.comparison, *pair, within))
        };
        let members: Vec<Pair> = group.members.iter().copied().filter(shown).collect();
        let is_stranger = |one: &String| self.comparison.pair(one) == Pair::default();
        let and_every_other = group.and_every_other
            && self.is_open
            && self.within.is_none()
            && self.one.as_ref().is_none_or(is_stranger);
        if members.is_empty() && !and_every_other {
            return;
        }
        let key = match group.members.first() {
            None => EVERY_OTHER.to_owned(),
            Some(first) => text(self.comparison, *first).to_owned(),
        };
        let (old, new) = (&self.comparison.old, &self.comparison.new);
        let first = group.first();
        let is_named = !(old.named(first.0).is_empty() && new.named(first.1).is_empty());
        let line = |members: Vec<Pair>, and_every_other, key: String, unfolded_from| Line {
            group: place,
            label: self.label(&members, and_every_other),
            members,
            and_every_other,
            key,
            unfolded_from,
            is_named,
            may_change: false,
        };
        let single = members.len() + usize::from(and_every_other) == 1;
        if !self.is_unfolded(group) || (single && members.len() == group.members.len()) {
            lines.push(line(members, and_every_other, key, None));
            return;
        }
        for pair in members {
            let own = text(self.comparison, pair).to_owned();
            lines.push(line(vec![pair], false, own, Some(key.clone())));
        }
        if and_every_other {
            lines.push(line(Vec::new(), true, EVERY_OTHER.to_owned(), Some(key)));
        }
    }

    fn is_unfolded(&self, group: &Group) -> bool {
        if self.unfold.is_empty() {
            return false;
        }
        let by_member = |pair: &Pair| self.unfold.contains(text(self.comparison, *pair));
        let (policy, common) = self.comparison.common(&group.members);
        (group.and_every_other && self.unfold.contains(EVERY_OTHER))
            || common.iter().any(|name| self.unfold.contains(policy.rules.names.text(*name)))
            || group.members.iter().any(by_member)
    }

    fn label(&self, members: &[Pair], and_every_other: bool) -> String {
        if and_every_other {
            return "every other entrance".to_owned();
        }
        if let [one] = members {
            let text = text(self.comparison, *one);
            return text.strip_prefix(self.prefix).unwrap_or(text).to_owned();
        }
        let (policy, common) = self.comparison.common(members);
        let is_above = |name: Name| {
            let below = |other: &Name| *other != name && policy.graph.contains(*other, name);
            common.iter().any(below)
        };
        let nearest = common.iter().copied().filter(|name| !is_above(*name));
        let mut texts: Vec<&str> = nearest.map(|name| policy.rules.names.text(name)).collect();
        texts.sort_unstable();
        if texts.is_empty() { "no rule".to_owned() } else { texts.join(" + ") }
    }
}

/// By label, whatever the order of lines in the files is.
pub(super) fn sort(lines: &mut [Line]) {
    lines.sort_by(|a, b| {
        (a.and_every_other, &a.label, &a.key).cmp(&(b.and_every_other, &b.label, &b.key))
    });
}

fn text<'a>(comparison: &Comparison<'a>, pair: Pair) -> &'a str {
    let new = pair.1.map(|name| comparison.new.policy.rules.names.text(name));
    let old = || pair.0.map(|name| comparison.old.policy.rules.names.text(name));
    new.or_else(old).unwrap_or_default()
}

/// Whether a name is in a role or zone, in either policy.
fn is_in(comparison: &Comparison<'_>, pair: Pair, group: Pair) -> bool {
    let old = pair.0.zip(group.0);
    let new = pair.1.zip(group.1);
    old.is_some_and(|(name, group)| comparison.old.policy.graph.contains(name, group))
        || new.is_some_and(|(name, group)| comparison.new.policy.graph.contains(name, group))
}
