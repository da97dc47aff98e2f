//! Of many entrances, those to which a caller may do something.
//!
//! A list is asked for without naming what is on it, so policy says what it is to be narrowed
//! to before it is sent. The answer is judged once more, entrance by entrance: narrowing
//! spares the caller empty pages and Seam the work, and nothing rests on it.

use std::collections::{BTreeSet, HashMap};

use super::condition::Moment;
use super::engine::Request;
use super::graph::Graph;
use super::index::RuleNo;
use super::names::Name;
use super::rules::{OTHER_ENTRANCE, Rule, Rules};
use super::{Evaluation, Policy, Question, RULES_NAMED_MAX, RuleRef};
use crate::domain::{Act, CallerId, EntranceId, Objects, Reason};

/// A list is narrowed to at most this many entrances.
const NARROWED_MAX: usize = 500;

/// Of a caller with more rules than this, a list is not narrowed.
const RULES_MAX: usize = 10_000;

/// What policy says of a request, and to what the request is narrowed.
pub(super) struct Selection {
    pub(super) evaluation: Evaluation,
    /// The entrances that are left; none where the request stays as it is.
    pub(super) narrowed: Option<Vec<EntranceId>>,
}

impl Selection {
    fn whole(evaluation: Evaluation) -> Self {
        Self { evaluation, narrowed: None }
    }

    fn denied(reason: Reason) -> Self {
        Self::whole(Evaluation { reason, rules: Vec::new() })
    }
}

/// For each object of a rule for reading, the entrances that are in it: up to one more than a
/// list is narrowed to.
#[derive(Debug, Default)]
pub(super) struct Members(HashMap<Name, Vec<Name>>);

impl Members {
    pub(super) fn new(rules: &Rules, graph: &Graph) -> Self {
        let mut members: HashMap<Name, Vec<Name>> = HashMap::new();
        for rule in rules.rules.iter().filter(|rule| rule.act == Act::Read) {
            members.entry(rule.object).or_default();
        }
        if members.is_empty() {
            return Self::default();
        }
        let entrances = rules.names.all().filter(|(_, text)| text.starts_with("entrance:"));
        for (entrance, _) in entrances {
            for object in graph.with_ancestors(entrance) {
                if let Some(list) = members.get_mut(&object).filter(|l| l.len() <= NARROWED_MAX) {
                    list.push(entrance);
                }
            }
        }
        Self(members)
    }

    fn of(&self, object: Name) -> &[Name] {
        self.0.get(&object).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The question of a caller about many entrances.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) caller: &'a CallerId,
    pub(super) act: Act,
    pub(super) moment: Moment,
}

impl Policy {
    /// Judges what a request is about.
    pub(super) fn select(&self, asking: Asking<'_>, objects: Objects<'_>) -> Selection {
        match objects {
            Objects::One(entrance) => Selection::whole(self.evaluate(asking.about(entrance))),
            Objects::Some(entrances) => self.among(asking, entrances.iter().copied()),
            Objects::All => self.all(asking),
        }
    }

    /// Those of these entrances that are permitted. Where none is, it says why the first is not.
    fn among(&self, asking: Asking<'_>, entrances: impl Iterator<Item = EntranceId>) -> Selection {
        let (mut permitted, mut denied) = (Vec::new(), None);
        let mut rules: Vec<RuleRef> = Vec::new();
        for entrance in entrances {
            let found = self.evaluate(asking.about(entrance));
            if !found.is_allowed() {
                denied.get_or_insert(found);
                continue;
            }
            permitted.push(entrance);
            for rule in found.rules {
                if rules.len() < RULES_NAMED_MAX && !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
        if permitted.is_empty() {
            return denied
                .map_or_else(|| Selection::denied(Reason::NoRuleMatches), Selection::whole);
        }
        rules.sort_unstable_by_key(RuleRef::line);
        let evaluation = Evaluation { reason: Reason::AllowedByRule, rules };
        Selection { evaluation, narrowed: Some(permitted) }
    }

    fn all(&self, asking: Asking<'_>) -> Selection {
        let subject = format!("caller:{}", asking.caller);
        let Some(caller) = self.rules.names.find(&subject) else {
            return Selection::denied(Reason::CallerOutsidePolicy);
        };
        let index = self.indexes.of(asking.act);
        let subjects = index.named(caller);
        if subjects.is_empty() {
            return Selection::denied(Reason::CallerOutsidePolicy);
        }
        let numbers = subjects.iter().flat_map(|s| index.rules_of(*s, &self.rules));
        let mut numbers: Vec<RuleNo> = numbers.take(RULES_MAX + 1).collect();
        numbers.sort_unstable();
        let allows = numbers.iter().filter_map(|number| self.rules.rules.get(*number as usize));
        let mut allows = allows.filter(|rule| rule.allow).peekable();
        if allows.peek().is_none() {
            return Selection::denied(Reason::NoRuleMatches);
        }
        let holds = |rule: &&Rule| {
            self.rules.condition(rule).is_none_or(|condition| condition.holds(asking.moment))
        };
        let holding: Vec<&Rule> = allows.filter(holds).collect();
        if holding.is_empty() {
            return Selection::denied(Reason::ConditionNotMet);
        }
        if holding.iter().any(|rule| index.wildcard() == Some(rule.object)) {
            return self.every_other(asking, &subject, caller);
        }
        let mut entrances = BTreeSet::new();
        for rule in &holding {
            entrances.extend(self.members.of(rule.object));
            if entrances.len() > NARROWED_MAX {
                break;
            }
        }
        if numbers.len() > RULES_MAX || entrances.len() > NARROWED_MAX {
            let rules = holding.iter().take(RULES_NAMED_MAX).map(|rule| self.rule_ref(rule));
            let rules = rules.collect();
            return Selection::whole(Evaluation { reason: Reason::AllowedByRule, rules });
        }
        let ids = entrances.into_iter().filter_map(|name| {
            EntranceId::parse(self.rules.names.text(name).strip_prefix("entrance:")?).ok()
        });
        self.among(asking, ids)
    }

    /// Where a rule for `*` holds: what is said of an entrance that has no rule of its own. A
    /// deny that overrides that one is for `*` too, and so for all.
    fn every_other(&self, asking: Asking<'_>, subject: &str, caller: Name) -> Selection {
        let candidates = self.indexes.of(asking.act).candidates(Some(caller), None);
        let request = Request { subject, object: OTHER_ENTRANCE, act: asking.act };
        let verdict = candidates.and_then(|candidates| {
            let verdict = self.engine.judge(request, &candidates, asking.moment)?;
            Ok((self.reason(&verdict, &candidates), verdict))
        });
        match verdict {
            Err(reason) => Selection::denied(reason),
            Ok((reason, verdict)) => {
                Selection::whole(Evaluation { reason, rules: self.rule_refs(&verdict) })
            }
        }
    }
}

impl<'a> Asking<'a> {
    fn about(&self, entrance: EntranceId) -> Question<'a> {
        Question { caller: self.caller, act: self.act, entrance, moment: self.moment }
    }
}
