//! The decision point: which caller may grant which entrance.
//!
//! casbin decides. In front of it stand a strict loader, because casbin accepts in
//! silence much that is a mistake, and an index, which denies callers and entrances
//! that no rule can reach and gives casbin only rules that could match. A [`Permit`]
//! can only be made here. An error or a panic of the evaluation is a denial.

mod decision;
mod engine;
mod graph;
mod index;
mod lint;
mod model;
mod rules;

use std::sync::Arc;

use aws_lc_rs::digest;

use crate::authn::Callers;
use crate::domain::{CallerId, EntranceId, Problem, Reason, Revision};
use decision::Grounds;
pub use decision::{Attempt, Decision, Denial, Permit, RuleRef};
use engine::{Engine, Verdict};
use graph::Graph;
use index::Index;

/// A decision names at most this many of the rules that made it, the first of the file:
/// a record must stay a line that can be read.
const RULES_NAMED_MAX: usize = 64;
const NAMES_BYTES_MAX: usize = 16 * 1024;

/// Model and rules as read from their files.
#[derive(Debug)]
pub struct PolicySource {
    /// The casbin model.
    pub model: SourceFile,
    /// The rules.
    pub rules: SourceFile,
}

/// A file that was read once and whole.
#[derive(Debug)]
pub struct SourceFile {
    /// Its name in problems and audit records.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A loaded policy and what deserves a second look in it.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// Rules that do nothing, roles that nobody has, and the like.
    pub warnings: Vec<Problem>,
}

/// A policy in force. Immutable.
pub struct Policy {
    index: Index,
    engine: Engine,
    /// Where the rules stand.
    file: Arc<str>,
    revision: Revision,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl Policy {
    /// Loads a policy for these callers.
    ///
    /// # Errors
    /// Every problem of both files, with file and line.
    pub fn load(source: &PolicySource, callers: &Callers) -> Result<Loaded, Vec<Problem>> {
        let model = model::parse(&source.model);
        let rules = rules::parse(&source.rules, callers);
        let (model, rules) = match (model, rules) {
            (Ok(model), Ok(rules)) => (model, rules),
            (model, rules) => {
                return Err([model.err(), rules.err()].into_iter().flatten().flatten().collect());
            }
        };
        let misfits = rules.misfits(&model);
        if !misfits.is_empty() {
            return Err(misfits);
        }
        let graph = Graph::new(&rules)?;
        let warnings = lint::warnings(&rules, &graph, callers);
        let index = Index::new(&rules, &graph);
        let engine = Engine::new(&model.text, rules.rules, graph).map_err(|error| {
            let text = format!("casbin does not take the policy: {error}");
            vec![Problem::of_file(source.model.name.clone(), text)]
        })?;
        let file = source.rules.name.clone();
        engine.self_test().map_err(|(line, text)| {
            vec![Problem { file: file.clone(), line: Some(line), column: None, text: text.into() }]
        })?;
        let policy = Self { index, engine, file: file.into(), revision: revision(source, callers) };
        Ok(Loaded { policy, warnings })
    }

    /// Decides one attempt. Whatever goes wrong is a denial.
    #[must_use]
    pub fn decide(&self, attempt: Attempt) -> Decision {
        let caller = attempt.principal.caller();
        let entrance = attempt.grant.entrance;
        let (reason, rules) = match self.judge(caller, entrance) {
            Err(reason) => (reason, Vec::new()),
            Ok(verdict) => (verdict.reason(), self.rule_refs(&verdict)),
        };
        let grounds = Grounds { attempt, reason, rules, revision: self.revision.clone() };
        Decision::new(grounds)
    }

    fn judge(&self, caller: &CallerId, entrance: EntranceId) -> Result<Verdict, Reason> {
        let subject = format!("caller:{caller}");
        let object = format!("entrance:{entrance}");
        let candidates = self.index.candidates(&subject, &object)?;
        self.engine.judge(&subject, &object, &candidates)
    }

    fn rule_refs(&self, verdict: &Verdict) -> Vec<RuleRef> {
        let lines = verdict.rules.iter().filter_map(|place| self.engine.line(*place));
        let lines =
            lines.take(RULES_NAMED_MAX.min(NAMES_BYTES_MAX / (self.file.len() + 12)).max(1));
        lines.map(|line| RuleRef::new(self.file.clone(), line)).collect()
    }

    /// The digest of model, rules and callers.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// How many rules are in force.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.engine.rule_count()
    }
}

/// SHA-256 over model, rules and callers, each preceded by its length, so that no byte
/// can move from one to the next unseen.
fn revision(source: &PolicySource, callers: &Callers) -> Revision {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [source.model.bytes.as_slice(), &source.rules.bytes, callers.digest()] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    Revision::from_sha256(context.finish().as_ref())
}

#[cfg(test)]
mod tests;
