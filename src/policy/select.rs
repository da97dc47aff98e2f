//! Of many entrances, those to which a caller may do something.
//!
//! A list is asked for without naming what is on it, so policy says what it is to be narrowed
//! to before it is sent. The answer is judged once more, entrance by entrance: narrowing
//! spares the caller empty pages and Seam the work, and nothing rests on it.

use std::collections::{BTreeSet, HashMap};

use super::condition::Moment;
use super::graph::Graph;
use super::index::Request;
use super::names::Name;
use super::rules::{Rule, RuleNo, Rules};
use super::{Evaluation, Memo, Policy, Question, RuleRef};
use crate::domain::{Act, CallerId, EntranceId, Objects, Reason, WorkspaceName};

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
    pub(super) fn whole(evaluation: Evaluation) -> Self {
        Self { evaluation, narrowed: None }
    }

    fn denied(reason: Reason) -> Self {
        Self::whole(Evaluation::without_rules(reason))
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
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Who asks.
    pub caller: &'a CallerId,
    /// To do what.
    pub act: Act,
    /// In which workspace, where workspaces have names.
    pub workspace: Option<&'a WorkspaceName>,
    /// When, and for which form of grantee.
    pub moment: Moment,
}

impl Policy {
    /// Judges what a request is about. A list is judged without the memo: it asks casbin once
    /// for all entrances that the same rules could match.
    pub(super) fn select(
        &self,
        asking: Asking<'_>,
        objects: Objects<'_>,
        memo: Option<&Memo>,
    ) -> Selection {
        match objects {
            Objects::One(entrance) => {
                Selection::whole(self.evaluate_by(asking.about(entrance), memo))
            }
            Objects::Some(entrances) => self.among(asking, entrances.iter().copied()),
            Objects::All => self.all(asking),
        }
    }

    /// Those of these entrances that are permitted. Where none is, it says why the first is not.
    fn among(&self, asking: Asking<'_>, entrances: impl Iterator<Item = EntranceId>) -> Selection {
        let mut judge = self.judge_many(asking);
        let (mut permitted, mut denied) = (Vec::new(), None);
        let (mut rules, most) = (Vec::<RuleRef>::new(), self.rules_named_max());
        for entrance in entrances {
            let found = judge.about(entrance);
            if !found.is_allowed() {
                denied.get_or_insert_with(|| found.clone());
                continue;
            }
            permitted.push(entrance);
            for rule in found.rules.iter() {
                if rules.len() < most && !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
        if permitted.is_empty() {
            let denied = denied.map(Selection::whole);
            return denied.unwrap_or_else(|| Selection::denied(Reason::NoRuleMatches));
        }
        rules.sort_unstable_by_key(RuleRef::line);
        let evaluation = Evaluation { reason: Reason::AllowedByRule, rules: rules.into() };
        Selection { evaluation, narrowed: Some(permitted) }
    }

    fn all(&self, asking: Asking<'_>) -> Selection {
        let Some(caller) = self.ids.caller(asking.caller) else {
            return Selection::denied(Reason::CallerOutsidePolicy);
        };
        let index = self.indexes.of(asking.act);
        let subjects = index.named(caller);
        if subjects.is_empty() {
            return Selection::denied(Reason::CallerOutsidePolicy);
        }
        let numbers = subjects.iter().flat_map(|s| index.rules_of(*s, &self.rules));
        let mut numbers: Vec<RuleNo> = numbers.take(RULES_MAX + 1).collect();
        let are_all = numbers.len() <= RULES_MAX;
        numbers.sort_unstable();
        let rules: Vec<&Rule> =
            numbers.iter().filter_map(|number| self.rules.rules.get(*number as usize)).collect();
        // It is for every entrance of this workspace.
        let workspace = self.ids.workspace(asking.workspace);
        let is_wild = |rule: &Rule| {
            let is_around = |workspace| self.graph.contains(workspace, rule.object);
            index.wildcard() == Some(rule.object) || workspace.is_some_and(is_around)
        };
        let holds = |rule: &Rule| {
            self.rules.condition(rule).is_none_or(|condition| condition.holds(asking.moment))
        };
        // It overrides every allow, whatever entrance that is for.
        if let Some(deny) = rules.iter().find(|rule| !rule.allow && is_wild(rule) && holds(rule)) {
            let rules = [self.rule_ref(deny)].into();
            return Selection::whole(Evaluation { reason: Reason::DeniedByRule, rules });
        }
        let allows: Vec<&Rule> = rules.into_iter().filter(|rule| rule.allow).collect();
        let holding: Vec<&Rule> = allows.iter().copied().filter(|rule| holds(rule)).collect();
        if are_all && holding.is_empty() {
            let only_conditions = !allows.is_empty();
            return Selection::denied(match only_conditions {
                true => Reason::ConditionNotMet,
                false => Reason::NoRuleMatches,
            });
        }
        if holding.iter().any(|rule| is_wild(rule)) {
            return self.every_other(asking, caller);
        }
        let mut entrances = BTreeSet::new();
        for rule in &holding {
            entrances.extend(self.members.of(rule.object));
            if entrances.len() > NARROWED_MAX {
                break;
            }
        }
        if !are_all || entrances.len() > NARROWED_MAX {
            let rules = holding.iter().take(self.rules_named_max());
            let rules = rules.map(|rule| self.rule_ref(rule)).collect();
            return Selection::whole(Evaluation { reason: Reason::AllowedByRule, rules });
        }
        let ids = entrances.into_iter().filter_map(|name| {
            EntranceId::parse(self.rules.names.text(name).strip_prefix("entrance:")?).ok()
        });
        self.among(asking, ids)
    }

    /// Judges entrance after entrance for one caller, act and moment.
    #[must_use]
    pub fn judge_many<'p>(&'p self, asking: Asking<'p>) -> Judge<'p> {
        Judge { policy: self, asking, known: HashMap::new() }
    }

    /// Where a rule for `*` holds, or for the whole workspace: what is said of an entrance that
    /// has no rule of its own. A deny that overrides that one is for all of them, too.
    fn every_other(&self, asking: Asking<'_>, caller: Name) -> Selection {
        let workspace = self.ids.workspace(asking.workspace);
        let request = Request { subject: Some(caller), object: None, workspace, act: asking.act };
        let candidates = self.indexes.of(asking.act).candidates(request);
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

/// Judges entrances one after the other. Those that the same rules could match are judged
/// once: all of these rules match by their names, so conditions and effects decide, and they are
/// the same for one caller, act and moment.
pub struct Judge<'p> {
    policy: &'p Policy,
    asking: Asking<'p>,
    /// By the rules that could match; of entrances that no rule can reach there is one kind.
    known: HashMap<Option<Vec<RuleNo>>, Evaluation>,
}

impl Judge<'_> {
    /// What policy says of this entrance.
    pub fn about(&mut self, entrance: EntranceId) -> &Evaluation {
        let Self { policy, asking, known } = self;
        let request = policy.request(asking.about(entrance));
        let candidates = policy.indexes.of(asking.act).candidates(request);
        known.entry(candidates.clone().ok()).or_insert_with(|| {
            let judged = candidates.and_then(|candidates| {
                policy.judge_candidates(request, &candidates, asking.moment)
            });
            match judged {
                Err(reason) => Evaluation::without_rules(reason),
                Ok((reason, verdict)) => Evaluation { reason, rules: policy.rule_refs(&verdict) },
            }
        })
    }
}

impl<'a> Asking<'a> {
    fn about(&self, entrance: EntranceId) -> Question<'a> {
        let Self { caller, act, workspace, moment } = *self;
        Question { caller, act, entrance, workspace, moment }
    }
}
