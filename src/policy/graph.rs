//! Who is in which role, and which entrance in which zone, closed over all links.
//!
//! casbin's own role manager counts levels wrongly beyond ten, tolerates cycles and
//! searches the whole graph for a name that it does not know. This one is closed once
//! at load; a look-up is two hash look-ups, for known and unknown names alike.

use std::collections::{HashMap, HashSet, VecDeque};

use casbin::RoleManager;

use super::rules::{Link, Rules};
use crate::domain::Problem;

/// The longest chain of links from a member to a group.
const DEPTH_MAX: u32 = 5;

/// The groups of each member.
type Ancestors = HashMap<String, HashSet<String>>;

/// For every member, all groups that it is in, directly or through others.
#[derive(Debug, Default)]
pub(super) struct Graph {
    ancestors: Ancestors,
}

impl Graph {
    /// Closes the links of both kinds. Their names cannot meet: each has a prefix.
    ///
    /// # Errors
    /// Links of a name to itself, cycles, and chains that are too long.
    pub(super) fn new(rules: &Rules) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut graph = Self::default();
        for links in [&rules.roles, &rules.zones] {
            match close(links) {
                Ok(ancestors) => graph.ancestors.extend(ancestors),
                Err(found) => {
                    problems.extend(found.into_iter().map(|(line, text)| rules.problem(line, text)))
                }
            }
        }
        if problems.is_empty() { Ok(graph) } else { Err(problems) }
    }

    /// Every member.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.ancestors.keys().map(String::as_str)
    }

    /// A name and all groups that it is in.
    pub(super) fn with_ancestors<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let groups = self.ancestors.get(name).into_iter().flatten();
        std::iter::once(name).chain(groups.map(String::as_str))
    }

    /// Whether `name` is `group` or in it.
    pub(super) fn contains(&self, name: &str, group: &str) -> bool {
        name == group || self.ancestors.get(name).is_some_and(|groups| groups.contains(group))
    }
}

/// Works from the groups that are in no other group down to the members.
fn close(links: &[Link]) -> Result<Ancestors, Vec<(u32, String)>> {
    let mut problems = Vec::new();
    let mut groups: HashMap<&str, Vec<&Link>> = HashMap::new();
    let mut members: HashMap<&str, Vec<&str>> = HashMap::new();
    for link in links {
        if link.member == link.group {
            problems.push((link.line, format!("`{}` is in itself", link.member)));
            continue;
        }
        groups.entry(&link.member).or_default().push(link);
        members.entry(&link.group).or_default().push(&link.member);
    }
    let mut open: HashMap<&str, usize> =
        groups.iter().map(|(name, links)| (*name, links.len())).collect();
    let tops = members.keys().copied().filter(|name| !open.contains_key(name));
    let mut ready: VecDeque<&str> = tops.collect();
    let mut depth: HashMap<&str, u32> = HashMap::new();
    let mut closed = Ancestors::new();
    while let Some(name) = ready.pop_front() {
        let mut ancestors = HashSet::new();
        for link in groups.get(name).into_iter().flatten() {
            let above = depth.get(link.group.as_str()).copied().unwrap_or(0) + 1;
            let entry = depth.entry(name).or_insert(0);
            *entry = above.max(*entry);
            if above == DEPTH_MAX + 1 {
                let text = format!("a chain of more than {DEPTH_MAX} links begins at `{name}`");
                problems.push((link.line, text));
            }
            ancestors.insert(link.group.clone());
            ancestors.extend(closed.get(&link.group).into_iter().flatten().cloned());
        }
        if !ancestors.is_empty() {
            closed.insert(name.to_owned(), ancestors);
        }
        for member in members.get(name).into_iter().flatten() {
            if let Some(count) = open.get_mut(member) {
                *count -= 1;
                if *count == 0 {
                    ready.push_back(member);
                }
            }
        }
    }
    // What is still open is in a cycle, or in a group that is.
    let stuck = |name: &str| open.get(name).is_some_and(|count| *count > 0);
    if let Some(link) =
        links.iter().find(|l| l.member != l.group && stuck(&l.member) && stuck(&l.group))
    {
        let text = format!("`{}` and `{}` are in a cycle", link.member, link.group);
        problems.push((link.line, text));
    }
    if problems.is_empty() { Ok(closed) } else { Err(problems) }
}

/// What casbin's `g` and `g2` ask. The graph is complete before casbin sees it.
impl RoleManager for Graph {
    fn has_link(&self, name: &str, group: &str, _domain: Option<&str>) -> bool {
        self.contains(name, group)
    }

    fn clear(&mut self) {}

    fn add_link(&mut self, _: &str, _: &str, _: Option<&str>) {}

    fn matching_fn(
        &mut self,
        _: Option<fn(&str, &str) -> bool>,
        _: Option<fn(&str, &str) -> bool>,
    ) {
    }

    fn delete_link(&mut self, _: &str, _: &str, _: Option<&str>) -> casbin::Result<()> {
        Err(std::io::Error::other("the role graph is read-only").into())
    }

    fn get_roles(&self, name: &str, _: Option<&str>) -> Vec<String> {
        self.ancestors.get(name).into_iter().flatten().cloned().collect()
    }

    fn get_users(&self, group: &str, _: Option<&str>) -> Vec<String> {
        let members = self.ancestors.iter().filter(|(_, groups)| groups.contains(group));
        members.map(|(name, _)| name.clone()).collect()
    }
}
