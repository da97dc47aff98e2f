//! The decision point: which caller may do what to which entrance.
//!
//! casbin decides. In front of it stand a strict loader, because casbin accepts in
//! silence much that is a mistake, and an index, which denies callers and entrances
//! that no rule can reach and gives casbin only rules that could match. A [`Permit`]
//! can only be made here. An error or a panic of the evaluation is a denial.

mod condition;
mod contents;
mod decision;
mod effector;
mod engine;
pub mod format;
mod graph;
mod index;
mod line;
mod lint;
mod memo;
mod misfits;
mod model;
mod names;
mod orders;
pub mod review;
mod rules;
mod select;
mod table;
mod trial;

use std::sync::Arc;

use aws_lc_rs::digest;
use jiff::Timestamp;

use crate::authn::Callers;
pub use crate::domain::RuleRef;
use crate::domain::{Act, CallerId, EntranceId, Problem, Reason, Revision, WorkspaceName};
pub use condition::Moment;
use decision::Grounds;
pub use decision::{Attempt, ByEffect, Decision, Denial, Permit, ReadPermit};
use engine::{Engine, Verdict};
use graph::Graph;
use index::{Indexes, Request};
pub use memo::Memo;
use memo::{Asked, Identity};
use names::Ids;
pub use orders::Orders;
use rules::{Rule, RuleNo, Rules};
pub use select::{Asking, Judge};
use select::{Members, Selection};
pub use trial::Opinion;

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
#[derive(Debug, Clone)]
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
    identity: Identity,
    rules: Arc<Rules>,
    graph: Arc<Graph>,
    ids: Ids,
    indexes: Indexes,
    members: Members,
    engine: Engine,
    /// The workspaces that there are, where that is known.
    workspaces: Option<Vec<WorkspaceName>>,
    /// The model, as it was read.
    model: SourceFile,
    /// Where the rules stand.
    file: Arc<str>,
    revision: Revision,
    rules_bytes: usize,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("revision", &self.revision).finish_non_exhaustive()
    }
}

/// What a policy says of a question that is no request: nothing comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// Why.
    pub reason: Reason,
    /// The rules that decided, the first of the file.
    pub rules: Arc<[RuleRef]>,
}

/// May this caller do this to this entrance at this moment?
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who asks.
    pub caller: &'a CallerId,
    /// To do what.
    pub act: Act,
    /// To which entrance.
    pub entrance: EntranceId,
    /// In which workspace that is, where workspaces have names.
    pub workspace: Option<&'a WorkspaceName>,
    /// When, and for which form of grantee.
    pub moment: Moment,
}

impl Evaluation {
    /// One that no rule made.
    fn without_rules(reason: Reason) -> Self {
        Self { reason, rules: Arc::default() }
    }

    /// Whether the request would be forwarded.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.reason.permits()
    }
}

impl Policy {
    /// Loads a policy for these callers; `now` is when hours that are over are pointed out.
    ///
    /// # Errors
    /// Every problem of both files, with file and line.
    pub fn load(
        source: &PolicySource,
        callers: &Callers,
        now: Timestamp,
    ) -> Result<Loaded, Vec<Problem>> {
        let policy = Self::load_quietly(source, callers)?;
        let warnings = policy.warnings(callers, now);
        Ok(Loaded { policy, warnings })
    }

    /// Other rules by the same model, for these callers.
    ///
    /// # Errors
    /// Every problem of the rules, with their line.
    pub fn draft(
        &self,
        rules: SourceFile,
        callers: &Callers,
        now: Timestamp,
    ) -> Result<Loaded, Vec<Problem>> {
        Self::load(&PolicySource { model: self.model.clone(), rules }, callers, now)
    }

    /// What deserves a second look in it, in the order of the file.
    #[must_use]
    pub fn warnings(&self, callers: &Callers, now: Timestamp) -> Vec<Problem> {
        lint::warnings(&self.rules, &self.graph, &self.indexes, callers, now)
    }

    /// The same without looking for what deserves a second look.
    ///
    /// # Errors
    /// Every problem of both files, with file and line.
    pub fn load_quietly(source: &PolicySource, callers: &Callers) -> Result<Self, Vec<Problem>> {
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
        let ids = Ids::new(&rules.names);
        let (indexes, members) = (Indexes::new(&rules, &graph), Members::new(&rules, &graph));
        let (rules, graph) = (Arc::new(rules), Arc::new(graph));
        let engine = Engine::new(&model, rules.clone(), graph.clone()).map_err(|error| {
            let text = format!("casbin refuses the policy: {error}");
            vec![Problem::of_file(source.model.name.clone(), text)]
        })?;
        engine.self_test().map_err(|(line, text)| vec![rules.problem(line, text)])?;
        let (file, revision) = (rules.file.as_str().into(), revision(source, callers));
        let (identity, workspaces) = (Identity::new(), callers.known_workspaces());
        let workspaces = workspaces.map(<[_]>::to_vec);
        Ok(Self {
            identity,
            rules,
            graph,
            ids,
            indexes,
            members,
            engine,
            workspaces,
            model: source.model.clone(),
            file,
            revision,
            rules_bytes: source.rules.bytes.len(),
        })
    }

    /// Decides one attempt. Whatever goes wrong is a denial. A permit for a list is for the
    /// part of it that is permitted: its request is narrowed, as far as that can be said.
    #[must_use]
    pub fn decide(&self, attempt: Attempt) -> Decision {
        self.decide_by(attempt, None, None)
    }

    /// The same; of questions that were put before, casbin's answer is taken from `memo`.
    #[must_use]
    pub fn decide_with(&self, attempt: Attempt, memo: &Memo) -> Decision {
        self.decide_by(attempt, Some(memo), None)
    }

    fn decide_by(
        &self,
        mut attempt: Attempt,
        memo: Option<&Memo>,
        orders: Option<&Orders>,
    ) -> Decision {
        let asking = Asking {
            caller: attempt.principal.caller(),
            act: attempt.request.operation().act(),
            workspace: attempt.principal.workspace(),
            moment: attempt.moment(),
        };
        let objects = attempt.request.objects();
        let selection = match orders.and_then(|orders| orders.freeze(self, asking, objects)) {
            Some(freeze) => Selection::whole(Orders::evaluation(freeze)),
            None => self.select(asking, objects, memo),
        };
        let Selection { evaluation, narrowed } = selection;
        let exception =
            orders.and_then(|orders| orders.excepting(asking, objects, evaluation.reason));
        let evaluation = exception.map_or(evaluation, Orders::evaluation);
        if let Some(narrowed) = narrowed {
            attempt.request = attempt.request.narrowed(narrowed);
        }
        let Evaluation { reason, rules } = evaluation;
        let grounds = Grounds { attempt, reason, rules, revision: self.revision.clone() };
        Decision::new(grounds)
    }

    /// What [`Policy::decide`] would say, for those who only want to know.
    #[must_use]
    pub fn evaluate(&self, question: Question<'_>) -> Evaluation {
        self.evaluate_by(question, None)
    }

    fn evaluate_by(&self, question: Question<'_>, memo: Option<&Memo>) -> Evaluation {
        let asked = Asked { question, workspace: self.ids.workspace(question.workspace) };
        if let Some(known) = memo.and_then(|memo| memo.get(self.identity, asked)) {
            return known;
        }
        match self.judge(question) {
            Err(reason) => Evaluation::without_rules(reason),
            Ok((reason, verdict)) => {
                let evaluation = Evaluation { reason, rules: self.rule_refs(&verdict) };
                if let Some(memo) = memo.filter(|_| verdict.timeless) {
                    memo.put(self.identity, asked, evaluation.clone());
                }
                evaluation
            }
        }
    }

    fn judge(&self, question: Question<'_>) -> Result<(Reason, Verdict), Reason> {
        let request = self.request(question);
        let candidates = self.indexes.of(question.act).candidates(request)?;
        self.judge_candidates(request, &candidates, question.moment)
    }

    fn request(&self, question: Question<'_>) -> Request {
        let Question { caller, act, entrance, workspace, .. } = question;
        let (subject, object) = (self.ids.caller(caller), self.ids.entrance(entrance));
        Request { subject, object, workspace: self.ids.workspace(workspace), act }
    }

    fn judge_candidates(
        &self,
        request: Request,
        candidates: &[RuleNo],
        moment: Moment,
    ) -> Result<(Reason, Verdict), Reason> {
        let verdict = self.engine.judge(request, candidates, moment)?;
        Ok((self.reason(&verdict, candidates), verdict))
    }

    /// The candidates differ from what matches by their conditions only.
    fn reason(&self, verdict: &Verdict, candidates: &[RuleNo]) -> Reason {
        let mut rules =
            candidates.iter().filter_map(|number| self.rules.rules.get(*number as usize));
        match (verdict.allowed, verdict.rules.is_empty()) {
            (true, _) => Reason::AllowedByRule,
            (false, false) => Reason::DeniedByRule,
            (false, true) if rules.any(|rule| rule.allow) => Reason::ConditionNotMet,
            (false, true) => Reason::NoRuleMatches,
        }
    }

    fn line_ref(&self, line: u32) -> RuleRef {
        RuleRef::new(self.file.clone(), line)
    }

    fn rule_ref(&self, rule: &Rule) -> RuleRef {
        self.line_ref(rule.line)
    }

    /// The rule as a line of a rules file.
    fn rule_text(&self, rule: &Rule) -> String {
        let [subject, object] = [rule.subject, rule.object].map(|name| self.rules.names.text(name));
        let (act, effect) = (rule.act.as_str(), if rule.allow { "allow" } else { "deny" });
        let condition = self.rules.condition(rule);
        let when = condition.map_or_else(String::new, |when| format!(", {}", when.text()));
        format!("p, {subject}, {object}, {act}, {effect}{when}")
    }

    fn rule_refs(&self, verdict: &Verdict) -> Arc<[RuleRef]> {
        if verdict.rules.is_empty() {
            return Arc::default();
        }
        let rules = verdict.rules.iter();
        let rules = rules.filter_map(|number| self.rules.rules.get(*number as usize));
        rules.take(self.rules_named_max()).map(|rule| self.rule_ref(rule)).collect()
    }

    /// How many rules a decision names.
    fn rules_named_max(&self) -> usize {
        RULES_NAMED_MAX.min(NAMES_BYTES_MAX / (self.file.len() + 12)).max(1)
    }

    /// The digest of model, rules and callers.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// The rules file, as it is shown.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
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
