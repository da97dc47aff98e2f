//! casbin, given the rules that could match and asked which of them do.
//!
//! Rules go in as parsed values in the file's order; nothing is read from files. An
//! effector of our own sees every matching rule, so that a decision can name the rules
//! that decided.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use casbin::{CoreApi as _, DefaultModel, EffectKind, Effector, EffectorStream, Enforcer};

use super::graph::Graph;
use super::rules::{GRANT, Rule, WILDCARD};
use crate::domain::Reason;

/// The most rules that the self-test evaluates.
const SELF_TEST_RULES_MAX: usize = 64;

/// Names that no policy can hold: their ids are too long.
const NO_CALLER: &str = "caller:-";
const NO_ENTRANCE: &str = "entrance:-";

/// The rules, and enforcers to judge them.
pub(super) struct Engine {
    rules: Vec<Rule>,
    model: DefaultModel,
    graph: Arc<parking_lot::RwLock<Graph>>,
    /// Enforcers that judge nothing at the moment: judging changes what an enforcer
    /// holds. There are never more of them than threads that judged at once.
    idle: Mutex<Vec<Enforcer>>,
}

/// What casbin said, and the places of the rules that made it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) allowed: bool,
    pub(super) rules: Vec<usize>,
}

impl Verdict {
    pub(super) fn reason(&self) -> Reason {
        match (self.allowed, self.rules.is_empty()) {
            (true, _) => Reason::AllowedByRule,
            (false, true) => Reason::NoRuleMatches,
            (false, false) => Reason::DeniedByRule,
        }
    }
}

impl Engine {
    /// Gives casbin the model and the links.
    pub(super) fn new(model: &str, rules: Vec<Rule>, graph: Graph) -> casbin::Result<Self> {
        let model = ready(DefaultModel::from_str(model))?;
        let graph = Arc::new(parking_lot::RwLock::new(graph));
        let engine = Self { rules, model, graph, idle: Mutex::default() };
        let first = engine.enforcer()?;
        engine.put_back(first);
        Ok(engine)
    }

    fn enforcer(&self) -> casbin::Result<Enforcer> {
        let mut enforcer = ready(Enforcer::new_raw(self.model.clone(), ()))?;
        enforcer.enable_auto_build_role_links(false);
        enforcer.set_role_manager(self.graph.clone())?;
        enforcer.set_effector(Box::new(Recorder));
        Ok(enforcer)
    }

    fn take(&self) -> casbin::Result<Enforcer> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.enforcer(), Ok)
    }

    fn put_back(&self, enforcer: Enforcer) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(enforcer);
    }

    /// How many rules there are.
    pub(super) fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// The line of a rule.
    pub(super) fn line(&self, place: usize) -> Option<u32> {
        self.rules.get(place).map(|rule| rule.line)
    }

    /// Asks casbin to judge these rules, given by their places. Without a rule, no rule
    /// matches: casbin would evaluate its matcher on empty fields.
    ///
    /// # Errors
    /// [`Reason::PolicyError`] or [`Reason::PolicyPanic`].
    pub(super) fn judge(
        &self,
        subject: &str,
        object: &str,
        places: &[usize],
    ) -> Result<Verdict, Reason> {
        if places.is_empty() {
            return Ok(Verdict { allowed: false, rules: Vec::new() });
        }
        // An enforcer whose evaluation unwinds is dropped and another made when needed.
        let evaluate = AssertUnwindSafe(|| {
            let mut enforcer = self.take()?;
            let allowed = self
                .give(&mut enforcer, places)
                .and_then(|()| enforcer.enforce((subject, object, GRANT)));
            self.put_back(enforcer);
            allowed
        });
        match catch_unwind(evaluate) {
            Ok(Ok(allowed)) => {
                let decisive = if allowed { EffectKind::Allow } else { EffectKind::Deny };
                Ok(Verdict { allowed, rules: Recorder::places(decisive, places) })
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
    fn give(&self, enforcer: &mut Enforcer, places: &[usize]) -> casbin::Result<()> {
        let sections = enforcer.get_mut_model().get_mut_model();
        let held = sections.get_mut("p").and_then(|section| section.get_mut("p"));
        let held = held.ok_or_else(|| std::io::Error::other("the model has no policy section"))?;
        let held = held.get_mut_policy();
        held.clear();
        for rule in places.iter().filter_map(|place| self.rules.get(*place)) {
            let effect = if rule.allow { "allow" } else { "deny" };
            held.insert(Vec::from([&rule.subject, &rule.object, GRANT, effect].map(str::to_owned)));
        }
        // One too few would move the effects of all that follow.
        if held.len() == places.len() {
            Ok(())
        } else {
            Err(std::io::Error::other("casbin dropped a rule").into())
        }
    }

    /// Evaluates rules with their own subject and object, which each must match, and
    /// strangers, whom nothing may match but a wildcard.
    pub(super) fn self_test(&self) -> Result<(), (u32, &'static str)> {
        let step = self.rules.len().div_ceil(SELF_TEST_RULES_MAX).max(1);
        let last = self.rules.len().saturating_sub(1);
        for (place, rule) in self.rules.iter().enumerate() {
            if place % step != 0 && place != last {
                continue;
            }
            let object = if rule.object == WILDCARD { NO_ENTRANCE } else { &rule.object };
            let expected = Verdict { allowed: rule.allow, rules: vec![place] };
            if self.judge(&rule.subject, object, &[place]) != Ok(expected) {
                let text = "self-test: casbin does not match this rule with its own fields";
                return Err((rule.line, text));
            }
            let stranger = self.judge(NO_CALLER, object, &[place]);
            if stranger.map(|verdict| verdict.reason()) != Ok(Reason::NoRuleMatches) {
                return Err((rule.line, "self-test: casbin matches a caller that does not exist"));
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
    /// The effects of the rules that matched in this thread's last evaluation. An
    /// evaluation runs on one thread from start to end.
    static MATCHED: RefCell<Vec<(usize, EffectKind)>> = const { RefCell::new(Vec::new()) };
}

/// An effector that stops at nothing and remembers every rule that matched. Deny
/// overrides; without an allow the answer is no.
struct Recorder;

impl Recorder {
    /// Which of the rules that were judged had this effect.
    fn places(kind: EffectKind, judged: &[usize]) -> Vec<usize> {
        MATCHED.with_borrow(|matched| {
            let of_kind = matched.iter().filter(|(_, k)| *k == kind);
            of_kind.filter_map(|(index, _)| judged.get(*index).copied()).collect()
        })
    }
}

impl Effector for Recorder {
    fn new_stream(&self, _: &str, _: usize) -> Box<dyn EffectorStream> {
        MATCHED.with_borrow_mut(Vec::clear);
        Box::new(Stream { index: 0, allowed: false, denied: false })
    }
}

struct Stream {
    index: usize,
    allowed: bool,
    denied: bool,
}

impl EffectorStream for Stream {
    fn next(&self) -> bool {
        self.allowed && !self.denied
    }

    fn push_effect(&mut self, effect: EffectKind) -> bool {
        match effect {
            EffectKind::Allow => self.allowed = true,
            EffectKind::Deny => self.denied = true,
            EffectKind::Indeterminate => {}
        }
        if effect != EffectKind::Indeterminate {
            MATCHED.with_borrow_mut(|matched| matched.push((self.index, effect)));
        }
        self.index += 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(matcher: &str) -> Engine {
        let model = include_str!("../../policies/model.conf").replace("g(r.sub, p.sub)", matcher);
        let rule = |line, allow| super::super::rules::Rule {
            line,
            subject: "role:a".into(),
            object: "*".into(),
            allow,
        };
        Engine::new(&model, vec![rule(1, true)], Graph::default()).unwrap()
    }

    #[test]
    fn an_evaluation_that_fails_or_panics_is_no_permission() {
        assert!(engine("true").judge("caller:x", "entrance:y", &[0]).unwrap().allowed);
        let failing = engine("unknown_function(r.sub)");
        assert_eq!(failing.judge("caller:x", "entrance:y", &[0]), Err(Reason::PolicyError));
        // A bad regular expression panics inside casbin.
        let panicking = engine("regexMatch(r.sub, \"(\")");
        assert_eq!(panicking.judge("caller:x", "entrance:y", &[0]), Err(Reason::PolicyPanic));
        assert!(
            engine("true").judge("caller:x", "entrance:y", &[0]).unwrap().allowed,
            "and goes on"
        );
    }
}
