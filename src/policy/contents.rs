//! What is in a policy: its lines, and the names in them.

use super::Policy;
use crate::domain::{EntranceId, WorkspaceName};

impl Policy {
    /// Every rule: its line in the file, and the rule.
    pub fn rule_texts(&self) -> impl Iterator<Item = (u32, String)> {
        self.rules.rules.iter().map(|rule| (rule.line, self.rule_text(rule)))
    }

    /// Every line that puts a caller into a role or an entrance into a zone: its number, and the line.
    pub fn link_texts(&self) -> impl Iterator<Item = (u32, String)> {
        let roles = self.rules.roles.iter().map(|link| ("g", link));
        let zones = self.rules.zones.iter().map(|link| ("g2", link));
        roles.chain(zones).map(|(kind, link)| {
            let [member, group] = [link.member, link.group].map(|name| self.rules.names.text(name));
            (link.line, format!("{kind}, {member}, {group}"))
        })
    }

    /// Every entrance that the rules file names, and the first line that does.
    #[must_use]
    pub fn named_entrances(&self) -> Vec<(EntranceId, u32)> {
        let of_rules = self.rules.rules.iter().map(|rule| (rule.object, rule.line));
        let of_zones = self.rules.zones.iter().map(|link| (link.member, link.line));
        let mut first = std::collections::BTreeMap::new();
        for (name, line) in of_rules.chain(of_zones) {
            let text = self.rules.names.text(name).strip_prefix("entrance:");
            if let Some(Ok(id)) = text.map(EntranceId::parse) {
                let known = first.entry(id).or_insert(line);
                *known = line.min(*known);
            }
        }
        first.into_iter().collect()
    }

    /// How long the rules file is, in bytes.
    #[must_use]
    pub const fn rules_bytes(&self) -> usize {
        self.rules_bytes
    }

    /// The workspaces that rules and zones name. Where none is named, it makes no difference in
    /// which workspace an entrance is.
    pub fn named_workspaces(&self) -> impl Iterator<Item = &WorkspaceName> {
        self.ids.workspaces()
    }

    /// Whether these are the bytes of its model.
    #[must_use]
    pub fn has_model(&self, bytes: &[u8]) -> bool {
        self.model.bytes == bytes
    }

    /// How many different conditions its rules have.
    #[must_use]
    pub fn condition_count(&self) -> usize {
        self.rules.conditions.len()
    }

    /// How many rules are in force.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules.rules.len()
    }
}
