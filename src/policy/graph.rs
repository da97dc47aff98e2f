//! Who is in which role, and which entrance in which zone, closed over all links.
//!
//! casbin's own role manager counts levels wrongly beyond ten, tolerates cycles and
//! searches the whole graph for a name that it does not know. This one is closed once
//! at load; a look-up is two hash look-ups, for known and unknown names alike.

use std::collections::VecDeque;
use std::sync::Arc;

use casbin::RoleManager;

use super::names::{Name, NameLists};
use super::rules::{Link, Rules};
use crate::domain::Problem;

/// The longest chain of links from a member to a group.
const DEPTH_MAX: u32 = 5;

/// Of a member in a group, directly or through others: what a policy may have of these in
/// all, so that no file of a permitted size takes a machine's memory.
const MEMBERSHIPS_MAX: usize = 20_000_000;

/// For every name, all groups that it is in, directly or through others.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Sorted.
    ancestors: NameLists,
}

impl Graph {
    /// Closes the links of both kinds. Their names cannot meet: each has a prefix.
    ///
    /// # Errors
    /// Links of a name to itself, cycles, and chains that are too long.
    pub(super) fn new(rules: &Rules) -> Result<Self, Vec<Problem>> {
        let links: Vec<&Link> = rules.roles.iter().chain(&rules.zones).collect();
        let closing = Closing::new(rules, &links);
        closing.close(&links).map(|ancestors| Self { ancestors })
    }

    /// A name and all groups that it is in.
    pub(super) fn with_ancestors(&self, name: Name) -> impl Iterator<Item = Name> {
        std::iter::once(name).chain(self.ancestors.of(name).iter().copied())
    }

    /// Whether `name` is `group` or in it.
    pub(super) fn contains(&self, name: Name, group: Name) -> bool {
        name == group || self.ancestors.of(name).binary_search(&group).is_ok()
    }
}

/// Works from the groups that are in no other group down to the members.
struct Closing<'a> {
    rules: &'a Rules,
    /// The links up from and down to each name, as places in the list of links.
    up: Lists,
    down: Lists,
    problems: Vec<Problem>,
}

/// For each name, the links that it begins or ends.
type Lists = Vec<Vec<u32>>;

impl<'a> Closing<'a> {
    fn new(rules: &'a Rules, links: &[&Link]) -> Self {
        let mut up = vec![Vec::new(); rules.names.len()];
        let mut down = up.clone();
        let mut problems = Vec::new();
        for (link, place) in links.iter().zip(0_u32..) {
            if link.member == link.group {
                let text = format!("`{}` is in itself", rules.names.text(link.member));
                problems.push(rules.problem(link.line, text));
                continue;
            }
            for (lists, name) in [(&mut up, link.member), (&mut down, link.group)] {
                if let Some(list) = lists.get_mut(name.index()) {
                    list.push(place);
                }
            }
        }
        Self { rules, up, down, problems }
    }

    fn close(mut self, links: &[&Link]) -> Result<NameLists, Vec<Problem>> {
        let mut open: Vec<usize> = self.up.iter().map(Vec::len).collect();
        let all = || self.rules.names.all().map(|(name, _)| name);
        let mut ready: VecDeque<Name> =
            all().filter(|name| open.get(name.index()) == Some(&0)).collect();
        let mut depths = vec![0_u32; open.len()];
        let mut memberships = 0;
        let mut closed: Vec<Vec<Name>> = vec![Vec::new(); open.len()];
        while let Some(name) = ready.pop_front() {
            let mut ancestors = Vec::new();
            let mut depth = 0;
            for link in self.up.get(name.index()).into_iter().flatten() {
                let Some(link) = links.get(*link as usize) else { continue };
                let group = link.group.index();
                let above = depths.get(group).copied().unwrap_or(0) + 1;
                depth = depth.max(above);
                if above == DEPTH_MAX + 1 {
                    let text = format!(
                        "a chain of more than {DEPTH_MAX} links begins at `{}`",
                        self.rules.names.text(name)
                    );
                    self.problems.push(self.rules.problem(link.line, text));
                }
                ancestors.push(link.group);
                ancestors.extend(closed.get(group).into_iter().flatten());
            }
            ancestors.sort_unstable();
            ancestors.dedup();
            memberships += ancestors.len();
            if memberships > MEMBERSHIPS_MAX {
                let text = format!(
                    "more than {MEMBERSHIPS_MAX} memberships of roles and zones follow from the \
                     links: put fewer groups into groups"
                );
                return Err(vec![Problem::of_file(self.rules.file.clone(), text)]);
            }
            if let (Some(own), Some(list)) =
                (depths.get_mut(name.index()), closed.get_mut(name.index()))
            {
                *own = depth;
                *list = ancestors;
            }
            for link in self.down.get(name.index()).into_iter().flatten() {
                let Some(link) = links.get(*link as usize) else { continue };
                if let Some(count) = open.get_mut(link.member.index()) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push_back(link.member);
                    }
                }
            }
        }
        // What is still open is in a cycle, or in a group that is.
        let stuck = |name: Name| open.get(name.index()).is_some_and(|count| *count > 0);
        let mut cyclic =
            links.iter().filter(|l| l.member != l.group && stuck(l.member) && stuck(l.group));
        if let Some(link) = cyclic.next() {
            let [member, group] = [link.member, link.group].map(|name| self.rules.names.text(name));
            let text = format!("`{member}` and `{group}` are in a cycle");
            self.problems.push(self.rules.problem(link.line, text));
        }
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let mut ancestors = NameLists::default();
        for list in closed {
            ancestors.push(list);
        }
        Ok(ancestors)
    }
}

/// Stands between an entrance and its workspace, where casbin is given both: an entrance is in
/// what its workspace is in. No number has it.
pub(super) const WITHIN: char = '@';

/// What casbin's `g` and `g2` ask, in numbers of names. The graph is complete before casbin
/// sees it.
pub(super) struct Memberships {
    pub(super) rules: Arc<Rules>,
    pub(super) graph: Arc<Graph>,
}

impl RoleManager for Memberships {
    fn has_link(&self, name: &str, group: &str, _domain: Option<&str>) -> bool {
        // What no rule and no link names has no number, and is in no group but itself.
        if name == group {
            return true;
        }
        let Some(group) = Name::read(group) else { return false };
        let is_in = |name| Name::read(name).is_some_and(|name| self.graph.contains(name, group));
        match name.split_once(WITHIN) {
            None => is_in(name),
            Some((entrance, workspace)) => is_in(entrance) || is_in(workspace),
        }
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
        let groups = Name::read(name).into_iter();
        let groups = groups.flat_map(|name| self.graph.with_ancestors(name).skip(1));
        groups.map(written).collect()
    }

    fn get_users(&self, group: &str, _: Option<&str>) -> Vec<String> {
        let Some(group) = Name::read(group) else { return Vec::new() };
        let members = self.rules.names.all().map(|(name, _)| name);
        members
            .filter(|name| *name != group && self.graph.contains(*name, group))
            .map(written)
            .collect()
    }
}

fn written(name: Name) -> String {
    let mut text = String::new();
    name.write(&mut text);
    text
}
