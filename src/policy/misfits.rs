//! Rules and a model that do not fit each other.

use super::model::Model;
use super::rules::{Rule, Rules};
use crate::domain::Problem;

impl Rules {
    /// Lines that the model gives no meaning to.
    pub(super) fn misfits(&self, model: &Model) -> Vec<Problem> {
        let mut found = Vec::new();
        if !model.roles {
            let text = "the model's matcher does not use `g`: this line would do nothing";
            found.extend(self.roles.iter().map(|link| self.problem(link.line, text)));
        }
        if !model.zones {
            let text = "the model's matcher does not use `g2`: this line would do nothing";
            found.extend(self.zones.iter().map(|link| self.problem(link.line, text)));
        }
        if !model.zones {
            let text = "the model's matcher does not use `g2`: a rule for a workspace would match \
                        nothing";
            let is_of_workspace =
                |rule: &&Rule| self.names.text(rule.object).starts_with("workspace:");
            let rules = self.rules.iter().filter(is_of_workspace);
            found.extend(rules.map(|rule| self.problem(rule.line, text)));
        }
        if !model.wildcard {
            let text = "the model's matcher gives `*` no meaning: this rule would match nothing";
            let wild = self.rules.iter().filter(|rule| self.is_wild(rule));
            found.extend(wild.map(|rule| self.problem(rule.line, text)));
        }
        if !model.conditions {
            let text = "the model has no `when` column: this condition would not be looked at; add \
                        `when` to its policy definition and `holds(p.when)` to its matcher";
            let conditional = self.rules.iter().filter(|rule| rule.when.is_some());
            found.extend(conditional.map(|rule| self.problem(rule.line, text)));
        }
        found
    }
}
