//! What is valid and still deserves a second look.

use std::collections::HashSet;

use super::graph::Graph;
use super::rules::{Link, Rules, WILDCARD};
use crate::authn::Callers;
use crate::domain::Problem;

/// Warnings, in the order of the file.
pub(super) fn warnings(rules: &Rules, graph: &Graph, callers: &Callers) -> Vec<Problem> {
    let mut found = Vec::new();
    empty_groups(rules, graph, &mut found);
    unused_groups(&rules.roles, &subjects(rules), rules, graph, &mut found);
    unused_groups(&rules.zones, &objects(rules), rules, graph, &mut found);
    shadowed(rules, graph, &mut found);
    let subjects = subjects(rules);
    for id in callers.ids() {
        let name = format!("caller:{id}");
        if !graph.with_ancestors(&name).any(|n| subjects.contains(n)) {
            let text = format!("no rule can match caller `{id}`: it can grant nothing");
            found.push(Problem::of_file(rules.file.clone(), text));
        }
    }
    found.sort_by_key(|problem| problem.line.unwrap_or(u32::MAX));
    found
}

fn subjects(rules: &Rules) -> HashSet<&str> {
    rules.rules.iter().map(|rule| rule.subject.as_str()).collect()
}

fn objects(rules: &Rules) -> HashSet<&str> {
    rules.rules.iter().map(|rule| rule.object.as_str()).collect()
}

/// Rules for a role that no caller has, or a zone without an entrance.
fn empty_groups(rules: &Rules, graph: &Graph, found: &mut Vec<Problem>) {
    let inhabited = |prefix: &str| -> HashSet<&str> {
        let members = graph.names().filter(|name| name.starts_with(prefix));
        members.flat_map(|name| graph.with_ancestors(name)).collect()
    };
    let (roles, zones) = (inhabited("caller:"), inhabited("entrance:"));
    for rule in &rules.rules {
        if rule.subject.starts_with("role:") && !roles.contains(rule.subject.as_str()) {
            found.push(rules.problem(rule.line, format!("no caller has `{}`", rule.subject)));
        }
        if rule.object.starts_with("zone:") && !zones.contains(rule.object.as_str()) {
            found.push(rules.problem(rule.line, format!("no entrance is in `{}`", rule.object)));
        }
    }
}

/// Links into a group that no rule names, directly or through its own groups.
fn unused_groups(
    links: &[Link],
    named: &HashSet<&str>,
    rules: &Rules,
    graph: &Graph,
    found: &mut Vec<Problem>,
) {
    for link in links {
        if !graph.with_ancestors(&link.group).any(|name| named.contains(name)) {
            found.push(rules.problem(link.line, format!("no rule names `{}`", link.group)));
        }
    }
}

/// Allows that a deny overrides for everyone and every entrance that they match.
fn shadowed(rules: &Rules, graph: &Graph, found: &mut Vec<Problem>) {
    let denies: HashSet<(&str, &str)> = rules
        .rules
        .iter()
        .filter(|rule| !rule.allow)
        .map(|rule| (rule.subject.as_str(), rule.object.as_str()))
        .collect();
    if denies.is_empty() {
        return;
    }
    for rule in rules.rules.iter().filter(|rule| rule.allow) {
        let wild = std::iter::once(WILDCARD);
        let objects: Vec<&str> = graph.with_ancestors(&rule.object).chain(wild).collect();
        let overridden = graph
            .with_ancestors(&rule.subject)
            .any(|subject| objects.iter().any(|object| denies.contains(&(subject, *object))));
        if overridden {
            found.push(rules.problem(rule.line, "a deny always overrides this rule"));
        }
    }
}
