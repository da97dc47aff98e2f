//! Why a request would be allowed or denied: the rules that decide, how the caller and
//! the entrance come to be in them, and on a denial what was nearest to an allow.

use std::collections::{HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::domain::{Order, Reason};
use crate::policy::condition::Moment;
use crate::policy::index::{Index, Request};
use crate::policy::names::Name;
use crate::policy::rules::{Link, Rule, RuleNo};
use crate::policy::{Evaluation, Orders, Policy, Question, RuleRef};

/// Near misses of one kind that are listed.
const MISSES_MAX: usize = 5;

/// How far ahead the next time of a condition is looked for.
const AHEAD: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Why one request is decided as it is.
#[derive(Debug)]
pub struct Explanation {
    /// What is said: by the policy, or by an order that goes before it.
    pub evaluation: Evaluation,
    /// The order that decides, where one does.
    pub order: Option<Order>,
    /// Why the policy would say what it says.
    pub by_policy: Reason,
    /// The rules that decided, with the chains to them.
    pub deciding: Vec<ExplainedRule>,
    /// On a denial: what is missing, nearest first.
    pub misses: Vec<Miss>,
}

/// A rule and why it applies.
#[derive(Debug)]
pub struct ExplainedRule {
    /// Where it stands.
    pub rule: RuleRef,
    /// The rule.
    pub text: String,
    /// From the caller to the rule's subject.
    pub subject: Vec<Step>,
    /// From the entrance, or its workspace, to the rule's object; empty for `*`.
    pub object: Vec<Step>,
}

/// One name of a chain.
#[derive(Debug)]
pub struct Step {
    /// The name.
    pub name: String,
    /// The line that put the name before it into this one; none for the first.
    pub link: Option<RuleRef>,
}

/// A rule that nearly allowed it.
#[derive(Debug)]
pub struct Miss {
    /// Where it stands.
    pub rule: RuleRef,
    /// The rule.
    pub text: String,
    /// What is missing.
    pub missing: String,
}

/// Explains what is said of this question while these orders are in force.
#[must_use]
pub fn explain(policy: &Policy, question: Question<'_>, orders: &Orders) -> Explanation {
    let evaluation = policy.evaluate(question);
    let order = orders.deciding(policy, question, evaluation.reason);
    let (request, moment) = (policy.request(question), question.moment);
    let explaining = Explaining { policy, request, moment };
    let judged = policy.judge(question).map(|(_, verdict)| verdict.rules);
    let deciding = explaining.deciding(&judged.unwrap_or_default());
    let misses = if evaluation.is_allowed() {
        Vec::new()
    } else if evaluation.reason == Reason::DeniedByRule {
        explaining.denied()
    } else {
        explaining.unmatched()
    };
    let by_policy = evaluation.reason;
    let evaluation = match order {
        Some(order) => Orders::evaluation(order),
        None => evaluation,
    };
    Explanation { evaluation, order: order.cloned(), by_policy, deciding, misses }
}

struct Explaining<'a> {
    policy: &'a Policy,
    request: Request,
    moment: Moment,
}

impl Explaining<'_> {
    fn index(&self) -> &Index {
        self.policy.indexes.of(self.request.act)
    }

    fn rule(&self, number: RuleNo) -> Option<&Rule> {
        self.policy.rules.rules.get(number as usize)
    }

    fn deciding(&self, numbers: &[RuleNo]) -> Vec<ExplainedRule> {
        let roles = Links::new(&self.policy.rules.roles);
        let zones = Links::new(&self.policy.rules.zones);
        let rules = numbers.iter().filter_map(|number| self.rule(*number));
        let explained = rules.map(|rule| ExplainedRule {
            rule: self.policy.rule_ref(rule),
            text: self.policy.rule_text(rule),
            subject: self.steps(roles.path(self.request.subject, rule.subject)),
            object: self.steps(match zones.path(self.request.object, rule.object) {
                path if path.is_empty() => zones.path(self.request.workspace, rule.object),
                path => path,
            }),
        });
        explained.collect()
    }

    fn steps(&self, path: Vec<(Name, Option<u32>)>) -> Vec<Step> {
        let step = |(name, line): (Name, Option<u32>)| Step {
            name: self.policy.rules.names.text(name).to_owned(),
            link: line.map(|line| self.policy.line_ref(line)),
        };
        path.into_iter().map(step).collect()
    }

    fn miss(&self, rule: &Rule, missing: impl Into<String>) -> Miss {
        let (number, text) = (self.policy.rule_ref(rule), self.policy.rule_text(rule));
        Miss { rule: number, text, missing: missing.into() }
    }

    fn candidates(&self) -> impl Iterator<Item = &Rule> {
        let numbers = self.index().candidates(self.request);
        numbers.unwrap_or_default().into_iter().filter_map(|number| self.rule(number))
    }

    /// What a deny overrides, and what would still be missing without it.
    fn denied(&self) -> Vec<Miss> {
        let allows = self.candidates().filter(|rule| rule.allow);
        let missing = |rule: &Rule| match self.unmet(rule) {
            None => "it allows this; the deny goes before it".to_owned(),
            Some(unmet) => format!("{unmet}; and the deny would go before it"),
        };
        allows.take(MISSES_MAX).map(|rule| self.miss(rule, missing(rule))).collect()
    }

    /// Rules whose condition is not met; then rules of this caller for other entrances,
    /// and rules of this entrance for others.
    fn unmatched(&self) -> Vec<Miss> {
        let allows = self.candidates().filter(|rule| rule.allow);
        let unmet = allows.filter_map(|rule| Some(self.miss(rule, self.unmet(rule)?)));
        let mut found: Vec<Miss> = unmet.take(MISSES_MAX).collect();
        let (mut of_caller, mut of_entrance) = (0, 0);
        let allows = self
            .policy
            .rules
            .rules
            .iter()
            .filter(|rule| rule.allow && rule.act == self.request.act);
        for rule in allows {
            let names = &self.policy.rules.names;
            let is = |name: Option<Name>, named| {
                name.is_some_and(|name| self.policy.graph.contains(name, named))
            };
            let subject = is(self.request.subject, rule.subject);
            let wild = self.index().wildcard() == Some(rule.object);
            let object = wild
                || is(self.request.object, rule.object)
                || is(self.request.workspace, rule.object);
            if subject && !object && of_caller < MISSES_MAX {
                of_caller += 1;
                let object = names.text(rule.object);
                let text = match object.starts_with("entrance:") {
                    true => format!("it allows this caller `{object}`, another entrance"),
                    false => {
                        format!("it allows this caller `{object}`, which the entrance is not in")
                    }
                };
                found.push(self.miss(rule, text));
            } else if object && !subject && of_entrance < MISSES_MAX {
                of_entrance += 1;
                let subject = names.text(rule.subject);
                let text = match subject.starts_with("role:") {
                    true => {
                        format!("it allows `{subject}` this entrance, which the caller is not in")
                    }
                    false => format!("it allows `{subject}` this entrance, another caller"),
                };
                found.push(self.miss(rule, text));
            }
        }
        found
    }

    /// What of a rule's condition is not met.
    fn unmet(&self, rule: &Rule) -> Option<String> {
        let condition = self.policy.rules.condition(rule)?;
        if condition.holds(self.moment) {
            return None;
        }
        let at = self.moment.at;
        let mut later = condition.changes(at, at.checked_add(AHEAD).unwrap_or(Timestamp::MAX));
        later.sort_unstable();
        let next = later.into_iter().find(|at| condition.holds(Moment { at: *at, ..self.moment }));
        Some(match next {
            Some(next) => format!("`{}` is not met; it is next at {next}", condition.text()),
            None => format!("`{}` is not met", condition.text()),
        })
    }
}

/// Direct links upwards, for looking up the way from a member to a group.
struct Links<'a>(HashMap<Name, Vec<&'a Link>>);

impl<'a> Links<'a> {
    fn new(links: &'a [Link]) -> Self {
        let mut up: HashMap<Name, Vec<&Link>> = HashMap::new();
        for link in links {
            up.entry(link.member).or_default().push(link);
        }
        Self(up)
    }

    /// The shortest way: each name, and the line that leads to it. Empty where there is none.
    fn path(&self, from: Option<Name>, to: Name) -> Vec<(Name, Option<u32>)> {
        let Some(from) = from else { return Vec::new() };
        let mut came: HashMap<Name, Option<&Link>> = HashMap::from([(from, None)]);
        let mut ready = VecDeque::from([from]);
        while let Some(name) = ready.pop_front() {
            if name == to {
                let mut path = Vec::new();
                let mut step = Some(name);
                while let Some(name) = step {
                    let link = came.get(&name).copied().flatten();
                    path.push((name, link.map(|link| link.line)));
                    step = link.map(|link| link.member);
                }
                path.reverse();
                return path;
            }
            for link in self.0.get(&name).into_iter().flatten().copied() {
                came.entry(link.group).or_insert_with(|| {
                    ready.push_back(link.group);
                    Some(link)
                });
            }
        }
        Vec::new()
    }
}
