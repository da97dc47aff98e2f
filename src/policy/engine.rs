//! casbin, given the rules that could match and asked which of them do.
//!
//! Rules go in as parsed values in the file's order, and names as their numbers; nothing is
//! read from files. An effector of our own sees every matching rule, so that a decision can
//! name the rules that decided.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use casbin::function_map::OperatorFunction;
use casbin::rhai::Dynamic;
use casbin::{CoreApi as _, DefaultModel, EffectKind, Enforcer};
use parking_lot::{Mutex, RwLock};

use super::condition::Moment;
use super::effector::Recorder;
use super::graph::{Graph, Memberships, WITHIN};
use super::index::Request;
use super::model::Model;
use super::rules::{Rule, RuleNo, Rules, WILDCARD};
use crate::domain::{Act, GranteeKind, Reason};

/// The most rules that the self-test evaluates.
const SELF_TEST_RULES_MAX: usize = 64;

/// What has no number, as casbin is given it: neither a number nor the wildcard.
const STRANGER: &str = "-";

/// An enforcer keeps the memory of at most this many rules from one evaluation to the next.
const SPARE_RULES_MAX: usize = 64;

/// The rules, and casbin to judge them.
pub(super) struct Engine {
    rules: Arc<Rules>,
    /// Judges rules of which none has a condition.
    unconditional: Pool,
    /// Judges all others; where no rule has a condition, there is none.
    conditional: Option<Pool>,
}

/// Enforcers of one model.
struct Pool {
    rules: Arc<Rules>,
    model: DefaultModel,
    memberships: Arc<RwLock<Memberships>>,
    /// Whether rules have conditions here; else casbin has neither column nor function.
    conditional: bool,
    /// Enforcers that judge nothing at the moment: judging changes what an enforcer
    /// holds. There are never more of them than threads that judged at once.
    idle: Mutex<Vec<Idle>>,
}

/// An enforcer, and rules that it held before, for their memory.
struct Idle {
    enforcer: Box<Enforcer>,
    spare: Vec<Vec<String>>,
}

/// What casbin said, and the numbers of the rules that made it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) allowed: bool,
    pub(super) rules: Vec<RuleNo>,
    /// Whether casbin would say the same at any other moment: it was asked, and of rules
    /// without conditions only.
    pub(super) timeless: bool,
}

impl Engine {
    /// Gives casbin the model and the memberships.
    pub(super) fn new(model: &Model, rules: Arc<Rules>, graph: Arc<Graph>) -> casbin::Result<Self> {
        let memberships = Arc::new(RwLock::new(Memberships { rules: rules.clone(), graph }));
        let pool = |text: &str, conditional| {
            let model = ready(DefaultModel::from_str(text))?;
            let (rules, memberships) = (rules.clone(), memberships.clone());
            let pool = Pool { rules, model, memberships, conditional, idle: Mutex::default() };
            let first = pool.enforcer()?;
            pool.put_back(first);
            Ok::<_, casbin::Error>(pool)
        };
        let unconditional = pool(&model.text_without_when, false)?;
        let conditional =
            (!rules.conditions.is_empty()).then(|| pool(&model.text, true)).transpose()?;
        Ok(Self { rules, unconditional, conditional })
    }

    /// Asks casbin to judge these rules, given by their numbers. Without a rule, no rule
    /// matches: casbin would evaluate its matcher on empty fields.
    ///
    /// # Errors
    /// [`Reason::PolicyError`] or [`Reason::PolicyPanic`].
    pub(super) fn judge(
        &self,
        request: Request,
        numbers: &[RuleNo],
        moment: Moment,
    ) -> Result<Verdict, Reason> {
        if numbers.is_empty() {
            return Ok(Verdict { allowed: false, rules: Vec::new(), timeless: false });
        }
        let mut rules = numbers.iter().filter_map(|number| self.rules.rules.get(*number as usize));
        let conditional = self.conditional.as_ref().filter(|_| rules.any(|r| r.when.is_some()));
        conditional.unwrap_or(&self.unconditional).judge(request, numbers, moment)
    }

    /// Evaluates rules with their own subject and object, which each must match when its
    /// condition holds, and strangers, whom nothing may match but a wildcard.
    pub(super) fn self_test(&self) -> Result<(), (u32, &'static str)> {
        let rules = &self.rules.rules;
        let step = rules.len().div_ceil(SELF_TEST_RULES_MAX).max(1);
        let last = rules.len().saturating_sub(1);
        for ((index, rule), number) in rules.iter().enumerate().zip(0..) {
            if index % step != 0 && index != last {
                continue;
            }
            let object = (!self.rules.is_wild(rule)).then_some(rule.object);
            // A workspace is asked about together with an entrance that has no rule of its own.
            let is_workspace = self.rules.names.text(rule.object).starts_with("workspace:");
            let (object, workspace) = if is_workspace { (None, object) } else { (object, None) };
            let own = Request { subject: Some(rule.subject), object, workspace, act: rule.act };
            let grantees = match rule.act {
                Act::Grant => GranteeKind::ALL.map(Some).to_vec(),
                Act::Read => vec![None],
            };
            for grantee in grantees {
                let moment = Moment { at: jiff::Timestamp::UNIX_EPOCH, grantee };
                let holds = self.rules.condition(rule).is_none_or(|when| when.holds(moment));
                let matched = if holds { vec![number] } else { Vec::new() };
                let allowed = holds && rule.allow;
                // A rule without a condition can come before both.
                let unconditional = rule.when.is_none().then_some(&self.unconditional);
                for pool in self.conditional.iter().chain(unconditional) {
                    let found = pool.judge(own, &[number], moment);
                    if found.map(|found| (found.allowed, found.rules))
                        != Ok((allowed, matched.clone()))
                    {
                        let text = "self-test: casbin does not match this rule with its own fields";
                        return Err((rule.line, text));
                    }
                    let is_matched = |request| {
                        let verdict = pool.judge(request, &[number], moment);
                        verdict.map(|verdict| verdict.rules.is_empty()) != Ok(true)
                    };
                    if is_matched(Request { subject: None, ..own }) {
                        let text = "self-test: casbin matches a caller that does not exist";
                        return Err((rule.line, text));
                    }
                    if Act::ALL
                        .iter()
                        .any(|act| *act != own.act && is_matched(Request { act: *act, ..own }))
                    {
                        let text = "self-test: casbin matches an act that is not this rule's";
                        return Err((rule.line, text));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Pool {
    fn enforcer(&self) -> casbin::Result<Idle> {
        let mut enforcer = ready(Enforcer::new_raw(self.model.clone(), ()))?;
        enforcer.enable_auto_build_role_links(false);
        enforcer.set_role_manager(self.memberships.clone())?;
        enforcer.set_effector(Box::new(Recorder));
        if self.conditional {
            enforcer.add_function("holds", OperatorFunction::Arg1(holds));
        }
        Ok(Idle { enforcer: Box::new(enforcer), spare: Vec::new() })
    }

    fn take(&self) -> casbin::Result<Idle> {
        let idle = self.idle.lock().pop();
        idle.map_or_else(|| self.enforcer(), Ok)
    }

    fn put_back(&self, idle: Idle) {
        self.idle.lock().push(idle);
    }

    fn judge(
        &self,
        request: Request,
        numbers: &[RuleNo],
        moment: Moment,
    ) -> Result<Verdict, Reason> {
        let _in_force = self.conditional.then(|| InForce::new(self.rules.clone(), moment));
        // An enforcer whose evaluation unwinds is dropped and another made when needed.
        let evaluate = AssertUnwindSafe(|| {
            let [subject, mut object] = [request.subject, request.object].map(|name| {
                let mut text = String::new();
                match name {
                    Some(name) => name.write(&mut text),
                    None => text.push_str(STRANGER),
                }
                text
            });
            if let Some(workspace) = request.workspace {
                object.push(WITHIN);
                workspace.write(&mut object);
            }
            let mut idle = self.take()?;
            let allowed = self.give(&mut idle, numbers).and_then(|()| {
                let act = request.act.as_str().into();
                idle.enforcer.enforce(vec![Dynamic::from(subject), Dynamic::from(object), act])
            });
            self.put_back(idle);
            allowed
        });
        match catch_unwind(evaluate) {
            Ok(Ok(allowed)) => {
                let decisive = if allowed { EffectKind::Allow } else { EffectKind::Deny };
                let rules = Recorder::numbers(decisive, numbers);
                Ok(Verdict { allowed, rules, timeless: !self.conditional })
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "policy evaluation failed");
                Err(Reason::PolicyError)
            }
            Err(_) => {
                tracing::error!("policy evaluation panicked");
                Err(Reason::PolicyPanic)
            }
        }
    }

    /// Makes these rules, in this order, all that the enforcer holds.
    fn give(&self, idle: &mut Idle, numbers: &[RuleNo]) -> casbin::Result<()> {
        let Idle { enforcer, spare } = idle;
        let sections = enforcer.get_mut_model().get_mut_model();
        let held = sections.get_mut("p").and_then(|section| section.get_mut("p"));
        let held = held.ok_or_else(|| std::io::Error::other("the model has no policy section"))?;
        let held = held.get_mut_policy();
        while let Some(rule) = held.pop_front() {
            if spare.len() < SPARE_RULES_MAX {
                spare.push(rule);
            }
        }
        for rule in numbers.iter().filter_map(|number| self.rules.rules.get(*number as usize)) {
            let mut fields = spare.pop().unwrap_or_default();
            self.write(rule, &mut fields)?;
            held.insert(fields);
        }
        // One too few would move the effects of all that follow.
        if held.len() == numbers.len() {
            Ok(())
        } else {
            Err(std::io::Error::other("casbin dropped a rule").into())
        }
    }

    /// Makes the fields of this rule of what were the fields of another.
    fn write(&self, rule: &Rule, fields: &mut Vec<String>) -> casbin::Result<()> {
        fields.resize_with(if self.conditional { 5 } else { 4 }, String::new);
        fields.iter_mut().for_each(String::clear);
        if let [subject, object, act, effect, when @ ..] = fields.as_mut_slice() {
            rule.subject.write(subject);
            match self.rules.is_wild(rule) {
                true => object.push_str(WILDCARD),
                false => rule.object.write(object),
            }
            act.push_str(rule.act.as_str());
            effect.push_str(if rule.allow { "allow" } else { "deny" });
            match (when, rule.when) {
                ([when], Some(number)) => when.push_str(&number.to_string()),
                (_, None) => {}
                (_, Some(_)) => {
                    return Err(std::io::Error::other("a condition would not be looked at").into());
                }
            }
        }
        Ok(())
    }
}

/// casbin's constructors are async for the sake of adapters that do I/O; these do
/// none and are ready at once.
fn ready<T>(future: impl Future<Output = casbin::Result<T>>) -> casbin::Result<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => Err(std::io::Error::other("casbin waits for I/O").into()),
    }
}

thread_local! {
    /// What [`holds`] looks at while this thread evaluates: casbin's functions are told
    /// nothing but their arguments.
    static IN_FORCE: RefCell<Option<(Arc<Rules>, Moment)>> = const { RefCell::new(None) };
}

/// Fills [`IN_FORCE`] for one evaluation, also when that unwinds.
struct InForce;

impl InForce {
    fn new(rules: Arc<Rules>, moment: Moment) -> Self {
        IN_FORCE.set(Some((rules, moment)));
        Self
    }
}

impl Drop for InForce {
    fn drop(&mut self) {
        IN_FORCE.set(None);
    }
}

/// casbin's `holds(p.when)`. Where it cannot tell, the answer is no truth value, with
/// which the evaluation fails.
fn holds(when: Dynamic) -> Dynamic {
    let Ok(number) = when.into_immutable_string() else { return Dynamic::UNIT };
    if number.is_empty() {
        return true.into();
    }
    IN_FORCE
        .with_borrow(|in_force| {
            let (rules, moment) = in_force.as_ref()?;
            let condition = rules.conditions.get(number.parse::<usize>().ok()?)?;
            Some(condition.holds(*moment))
        })
        .map_or(Dynamic::UNIT, Dynamic::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment =
        Moment { at: jiff::Timestamp::UNIX_EPOCH, grantee: Some(GranteeKind::AcsUser) };
    const ASKED: Request =
        Request { subject: None, object: None, workspace: None, act: Act::Grant };

    fn engine(matcher: &str, when: Option<u32>) -> Engine {
        let text = include_str!("../../policies/model.conf").replace("g(r.sub, p.sub)", matcher);
        let text_without_when = text.replace(", when", "").replace(" && holds(p.when)", "");
        let (roles, zones, wildcard, conditions) = (true, true, true, true);
        let model = Model { text, text_without_when, roles, zones, wildcard, conditions };
        let mut rules = Rules::default();
        let (subject, object) = (rules.names.give("role:a"), rules.names.give(WILDCARD));
        rules.wildcard = Some(object);
        rules.rules.push(crate::policy::rules::Rule {
            line: 1,
            subject,
            object,
            act: Act::Grant,
            allow: true,
            when,
            when_column: 0,
        });
        if when.is_some() {
            let condition = super::super::condition::Condition::parse("grantee acs_user");
            rules.conditions.push(condition.unwrap());
        }
        Engine::new(&model, Arc::new(rules), Arc::new(Graph::default())).unwrap()
    }

    #[test]
    fn an_evaluation_that_fails_or_panics_is_no_permission() {
        let judge = |engine: Engine| engine.judge(ASKED, &[0], NOW);
        assert!(judge(engine("true", None)).unwrap().allowed);
        assert_eq!(judge(engine("unknown_function(r.sub)", None)), Err(Reason::PolicyError));
        // A bad regular expression panics inside casbin.
        assert_eq!(judge(engine("regexMatch(r.sub, \"(\")", None)), Err(Reason::PolicyPanic));
        assert!(judge(engine("true", None)).unwrap().allowed, "and goes on");
    }

    #[test]
    fn a_condition_that_cannot_be_found_fails_the_evaluation() {
        let judge = |when| engine("true", Some(when)).judge(ASKED, &[0], NOW);
        assert!(judge(0).unwrap().allowed);
        assert_eq!(judge(1), Err(Reason::PolicyError));
    }
}
