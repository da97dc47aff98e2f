//! What is valid and still deserves a second look.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::condition::Condition;
use super::graph::Graph;
use super::index::Indexes;
use super::names::Name;
use super::rules::{Link, Rule, Rules};
use crate::authn::Callers;
use crate::domain::{Act, Problem};

/// More warnings than this are not listed one by one.
const WARNINGS_MAX: usize = 100;

/// Of rules with one subject and object, as many are compared with others.
const RULES_LOOKED_AT: usize = 64;

/// Work on hours that most likely do not say what was meant, in parts looked at on a day: about
/// a second. A start waits for it.
const DOUBTS_WORK_MAX: usize = 20_000_000;

/// A condition that does not hold within this time is one of the past.
const AHEAD: SignedDuration = SignedDuration::from_hours(2 * 366 * 24);

/// Warnings, in the order of the file.
pub(super) fn warnings(
    rules: &Rules,
    graph: &Graph,
    indexes: &Indexes,
    callers: &Callers,
    now: Timestamp,
) -> Vec<Problem> {
    let lint = Lint { rules, graph, indexes };
    let mut found = Vec::new();
    lint.empty_groups(&mut found);
    lint.unused_groups(&rules.roles, &mut found);
    lint.unused_groups(&rules.zones, &mut found);
    lint.overridden(&mut found);
    lint.past(now, &mut found);
    lint.doubts(now, &mut found);
    lint.callers(callers, &mut found);
    found.sort_by_key(|problem| problem.line.unwrap_or(u32::MAX));
    if found.len() > WARNINGS_MAX {
        let more = found.len() - WARNINGS_MAX;
        found.truncate(WARNINGS_MAX);
        found.push(Problem::of_file(rules.file.clone(), format!("{more} more warnings")));
    }
    found
}

struct Lint<'a> {
    rules: &'a Rules,
    graph: &'a Graph,
    indexes: &'a Indexes,
}

impl Lint<'_> {
    fn text(&self, name: Name) -> &str {
        self.rules.names.text(name)
    }

    fn warn(&self, found: &mut Vec<Problem>, line: u32, text: impl Into<String>) {
        found.push(self.rules.problem(line, text));
    }

    /// Rules for a role that no caller has, or a zone without an entrance.
    fn empty_groups(&self, found: &mut Vec<Problem>) {
        let mut inhabited = vec![false; self.rules.names.len()];
        for (name, text) in self.rules.names.all() {
            let members = ["caller:", "entrance:", "workspace:"];
            if members.iter().any(|prefix| text.starts_with(prefix)) {
                for group in self.graph.with_ancestors(name) {
                    if let Some(inhabited) = inhabited.get_mut(group.index()) {
                        *inhabited = true;
                    }
                }
            }
        }
        let empty = |name: Name| inhabited.get(name.index()) == Some(&false);
        for rule in &self.rules.rules {
            if empty(rule.subject) {
                self.warn(found, rule.line, format!("no caller has `{}`", self.text(rule.subject)));
            }
            if empty(rule.object) && !self.rules.is_wild(rule) {
                let text = format!("no entrance is in `{}`", self.text(rule.object));
                self.warn(found, rule.line, text);
            }
        }
    }

    /// Links into a group that no rule names, directly or through its own groups.
    fn unused_groups(&self, links: &[Link], found: &mut Vec<Problem>) {
        for link in links {
            if Act::ALL.iter().all(|act| self.indexes.of(*act).named(link.group).is_empty()) {
                self.warn(found, link.line, format!("no rule names `{}`", self.text(link.group)));
            }
        }
    }

    /// Allows that say nothing: a deny overrides them for everyone and every entrance that
    /// they match, or another allow says the same.
    fn overridden(&self, found: &mut Vec<Problem>) {
        for rule in self.rules.rules.iter().filter(|rule| rule.allow) {
            let mut also = None;
            let index = self.indexes.of(rule.act);
            let objects = index.named(rule.object).iter().copied();
            let mut objects: Vec<Name> = objects.chain(index.wildcard()).collect();
            objects.dedup();
            let subjects = index.named(rule.subject);
            let pairs = subjects.iter().flat_map(|s| objects.iter().map(move |o| (*s, *o)));
            let wider = pairs.flat_map(|(s, o)| index.rules(s, o).iter().take(RULES_LOOKED_AT));
            let wider = wider.filter_map(|place| {
                let other = self.rules.rules.get(*place as usize)?;
                // One that counts whenever this one does.
                let always = other.when.is_none() || other.when == rule.when;
                (other.line != rule.line && always).then_some(other)
            });
            let mut denied = false;
            for other in wider {
                denied |= !other.allow;
                // Of two that say the same, the second is too much.
                if other.allow && (is_wider(rule, other) || other.line < rule.line) {
                    also = Some(other.line);
                }
            }
            if denied {
                self.warn(found, rule.line, "a deny always overrides this rule");
            } else if let Some(line) = also {
                self.warn(found, rule.line, format!("line {line} allows all of this already"));
            }
        }
    }

    /// Conditions that will not hold again.
    fn past(&self, now: Timestamp, found: &mut Vec<Problem>) {
        let Ok(until) = now.checked_add(AHEAD) else { return };
        let over = |condition: &Condition| !condition.comes_between(now, until);
        let over: Vec<bool> = self.rules.conditions.iter().map(over).collect();
        for rule in &self.rules.rules {
            if rule.when.and_then(|number| over.get(number as usize)) == Some(&true) {
                let text = "this rule's hours do not come within the next two years";
                self.warn(found, rule.line, text);
            }
        }
    }

    /// Hours that most likely do not say what was meant.
    fn doubts(&self, now: Timestamp, found: &mut Vec<Problem>) {
        let mut known = HashMap::new();
        let (mut left, mut passed_over) = (DOUBTS_WORK_MAX, 0_u64);
        for rule in &self.rules.rules {
            let Some(number) = rule.when else { continue };
            let doubts = known.entry(number).or_insert_with(|| {
                let Some(condition) = self.rules.condition(rule) else { return Vec::new() };
                match left.checked_sub(condition.weight()) {
                    Some(rest) => left = rest,
                    None => {
                        passed_over += 1;
                        return Vec::new();
                    }
                }
                condition.doubts(now)
            });
            for doubt in doubts {
                let offset = u32::try_from(doubt.offset).unwrap_or(0);
                let column = Some(u32::from(rule.when_column) + offset);
                let text = doubt.text.clone();
                found.push(Problem { column, ..self.rules.problem(rule.line, text) });
            }
            // Each is looked at over many years.
            if found.len() > WARNINGS_MAX {
                return;
            }
        }
        if passed_over > 0 {
            let text = format!(
                "{passed_over} condition(s) have so many parts that they were not looked at for \
                 hours that cancel themselves"
            );
            found.push(Problem::of_file(self.rules.file.clone(), text));
        }
    }

    /// Callers that can do nothing, and rules that let all of them do something everywhere.
    fn callers(&self, callers: &Callers, found: &mut Vec<Problem>) {
        let named: Vec<_> =
            callers.ids().map(|id| (id, self.rules.names.find(&format!("caller:{id}")))).collect();
        let subjects = |act, name: Option<Name>| {
            name.map(|name| self.indexes.of(act).named(name)).unwrap_or_default()
        };
        for (id, name) in &named {
            if Act::ALL.iter().all(|act| subjects(*act, *name).is_empty()) {
                let text = format!("no rule can match caller `{id}`: it may do nothing");
                found.push(Problem::of_file(self.rules.file.clone(), text));
            }
        }
        let everywhere = self
            .rules
            .rules
            .iter()
            .filter(|rule| rule.allow && rule.when.is_none() && self.rules.is_wild(rule));
        for rule in everywhere {
            let of_all = |(_, name): &(_, _)| subjects(rule.act, *name).contains(&rule.subject);
            if named.len() > 1 && named.iter().all(of_all) {
                let act = rule.act.as_str();
                let text = format!("this rule lets every caller {act} every entrance");
                self.warn(found, rule.line, text);
            }
        }
    }
}

/// Whether `other` matches more than `rule`: another subject or object of the same chain.
fn is_wider(rule: &Rule, other: &Rule) -> bool {
    (rule.subject, rule.object) != (other.subject, other.object)
}
