//! casbin, fed once and asked often.
//!
//! Rules go in as parsed values in the file's order; nothing is read from files and
//! nothing changes afterwards. An effector of our own sees every matching rule, so
//! that a decision can name the rules that decided.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use casbin::{
    CoreApi as _, DefaultModel, EffectKind, Effector, EffectorStream, Enforcer, Model as _,
};

use super::graph::Graph;
use super::rules::{GRANT, Rules, WILDCARD};
use crate::domain::{Problem, Reason};

/// The most rules that the self-test evaluates: each walks all rules.
const SELF_TEST_RULES_MAX: usize = 64;

/// Names that no policy can hold: their ids are too long.
const NO_CALLER: &str = "caller:-";
const NO_ENTRANCE: &str = "entrance:-";

/// A loaded enforcer.
pub(super) struct Engine {
    enforcer: Enforcer,
}

/// What casbin said, and the numbers of the rules that made it so.
#[derive(Debug, PartialEq, Eq)]
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
    /// Gives casbin the model and the rules.
    pub(super) fn new(model: &str, rules: &Rules, graph: Graph) -> casbin::Result<Self> {
        let mut enforcer = ready(async {
            let mut model = DefaultModel::from_str(model).await?;
            for rule in &rules.rules {
                let effect = if rule.allow { "allow" } else { "deny" };
                let fields = [&rule.subject, &rule.object, GRANT, effect].map(str::to_owned);
                if !model.add_policy("p", "p", fields.into()) {
                    return Err(std::io::Error::other("casbin dropped a rule").into());
                }
            }
            Enforcer::new_raw(model, ()).await
        })?;
        enforcer.enable_auto_build_role_links(false);
        enforcer.set_role_manager(Arc::new(parking_lot::RwLock::new(graph)))?;
        enforcer.set_effector(Box::new(Recorder));
        let loaded = enforcer.get_model().get_policy("p", "p").len();
        if loaded != rules.rules.len() {
            let text = format!("casbin holds {loaded} of {} rules", rules.rules.len());
            return Err(std::io::Error::other(text).into());
        }
        Ok(Self { enforcer })
    }

    /// Asks casbin.
    ///
    /// # Errors
    /// [`Reason::PolicyError`] or [`Reason::PolicyPanic`].
    pub(super) fn judge(&self, subject: &str, object: &str) -> Result<Verdict, Reason> {
        // The enforcer is only read; the effects of an evaluation that unwound are
        // cleared by the next.
        let evaluate = AssertUnwindSafe(|| self.enforcer.enforce((subject, object, GRANT)));
        match catch_unwind(evaluate) {
            Ok(Ok(allowed)) => {
                let decisive = if allowed { EffectKind::Allow } else { EffectKind::Deny };
                Ok(Verdict { allowed, rules: Recorder::rules(decisive) })
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

    /// Evaluates rules with their own subject and object, which each must match, and
    /// strangers, whom nothing may match but a wildcard.
    pub(super) fn self_test(&self, rules: &Rules) -> Result<(), Problem> {
        let step = rules.rules.len().div_ceil(SELF_TEST_RULES_MAX).max(1);
        let last = rules.rules.len().saturating_sub(1);
        for (index, rule) in rules.rules.iter().enumerate() {
            if index % step != 0 && index != last {
                continue;
            }
            let object = if rule.object == WILDCARD { NO_ENTRANCE } else { &rule.object };
            let result = self.judge(&rule.subject, object);
            let kind = if rule.allow { EffectKind::Allow } else { EffectKind::Deny };
            if result.is_err() || !Recorder::rules(kind).contains(&index) {
                let text = "self-test: casbin does not match this rule with its own fields";
                return Err(rules.problem(rule.line, text));
            }
            if self.judge(NO_CALLER, object).map(|verdict| verdict.allowed) != Ok(false) {
                let text = "self-test: casbin allows a caller that does not exist";
                return Err(rules.problem(rule.line, text));
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
    fn rules(kind: EffectKind) -> Vec<usize> {
        MATCHED.with_borrow(|matched| {
            matched.iter().filter(|(_, k)| *k == kind).map(|(index, _)| *index).collect()
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
        let rules = Rules { rules: vec![rule(1, true)], ..Rules::default() };
        Engine::new(&model, &rules, Graph::default()).unwrap()
    }

    #[test]
    fn an_evaluation_that_fails_or_panics_is_no_permission() {
        assert!(engine("true").judge("caller:x", "entrance:y").unwrap().allowed);
        let failing = engine("unknown_function(r.sub)");
        assert_eq!(failing.judge("caller:x", "entrance:y"), Err(Reason::PolicyError));
        // A bad regular expression panics inside casbin.
        let panicking = engine("regexMatch(r.sub, \"(\")");
        assert_eq!(panicking.judge("caller:x", "entrance:y"), Err(Reason::PolicyPanic));
        assert!(engine("true").judge("caller:x", "entrance:y").unwrap().allowed, "and goes on");
    }
}
