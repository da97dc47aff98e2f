//! When a caller may do something to an entrance, over a span of time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::patience;
use crate::domain::{Act, EntranceId, GranteeKind, WorkspaceName};
use crate::policy::condition::{Condition, Moment};
use crate::policy::index::{Index, Request};
use crate::policy::names::Name;
use crate::policy::rules::{Rule, RuleNo};
use crate::policy::{Policy, Question, RuleRef};

/// About how long a rule is as it is named, and a role or a zone with what keeps it.
const REF_BYTES: usize = 40;
const NAME_BYTES: usize = 48;

/// From one time until another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant behind it.
    pub until: Timestamp,
}

/// When something is allowed within a [`Span`], for each form of grantee. Where an act has no
/// grantee, both are the same.
#[derive(Debug, Clone)]
pub struct Times {
    span: Span,
    /// In which weeks are counted.
    zone: TimeZone,
    /// Sorted, apart from each other; in the order of [`GranteeKind::ALL`].
    by_kind: [Vec<Span>; 2],
}

/// When a caller may do something to an entrance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// At no time.
    Never,
    /// At all times, to all.
    Always,
    /// At these times; or to one form of grantee only.
    Sometimes(Arc<Times>),
}

impl Access {
    /// Whether there is a time.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        *self != Self::Never
    }

    /// How long it is allowed within `span`, for one form of grantee.
    #[must_use]
    pub fn time(&self, span: Span, kind: GranteeKind) -> SignedDuration {
        match self {
            Self::Never => SignedDuration::ZERO,
            Self::Always => span.length(),
            Self::Sometimes(times) => total(times.of(kind).iter().map(Span::length)),
        }
    }

    /// How long this allows and `other` does not, over both forms of grantee.
    #[must_use]
    pub fn beyond(&self, other: &Self, span: Span) -> SignedDuration {
        let whole = [span];
        let of = |access: &Self, kind| match access {
            Self::Never => Vec::new(),
            Self::Always => whole.to_vec(),
            Self::Sometimes(times) => times.of(kind).to_vec(),
        };
        let kinds = GranteeKind::ALL.into_iter();
        total(kinds.map(|kind| without(&of(self, kind), &of(other, kind))))
    }
}

impl Span {
    pub(super) fn length(&self) -> SignedDuration {
        self.until.duration_since(self.from)
    }

    /// What of it is in the other.
    pub(super) fn within(&self, other: Self) -> Option<Self> {
        let (from, until) = (self.from.max(other.from), self.until.min(other.until));
        (from < until).then_some(Self { from, until })
    }
}

/// The zone does not matter to when it is.
impl PartialEq for Times {
    fn eq(&self, other: &Self) -> bool {
        (self.span, &self.by_kind) == (other.span, &other.by_kind)
    }
}

impl Eq for Times {}

impl Times {
    /// When it is allowed, for one form of grantee.
    #[must_use]
    pub fn of(&self, kind: GranteeKind) -> &[Span] {
        let [acs_user, user_identity] = &self.by_kind;
        match kind {
            GranteeKind::AcsUser => acs_user,
            GranteeKind::UserIdentity => user_identity,
        }
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    fn access(self) -> Access {
        if self.by_kind.iter().all(Vec::is_empty) {
            Access::Never
        } else if self.by_kind.iter().all(|spans| *spans == [self.span]) {
            Access::Always
        } else {
            Access::Sometimes(Arc::new(self))
        }
    }
}

pub(super) fn total(times: impl Iterator<Item = SignedDuration>) -> SignedDuration {
    times.fold(SignedDuration::ZERO, |sum, time| sum.saturating_add(time))
}

/// How much of `these` is in none of `those`. Both are sorted.
fn without(these: &[Span], those: &[Span]) -> SignedDuration {
    let mut left = SignedDuration::ZERO;
    for span in these {
        let mut from = span.from;
        for other in those.iter().filter(|o| o.until > span.from && o.from < span.until) {
            if other.from > from {
                left += other.from.duration_since(from);
            }
            from = from.max(other.until);
        }
        if from < span.until {
            left += span.until.duration_since(from);
        }
    }
    left
}

/// What decides, where no rule has the caller's or the entrance's own name: the effects
/// and conditions of the rules that could match.
type Signature = Vec<(bool, Option<u32>)>;

/// Instants that are kept before those that are there twice are left out.
const ROOM: usize = 64 * 1_024;

/// Finds accesses for one act in one policy over one span.
pub(super) struct Assessor<'a> {
    pub(super) policy: &'a Policy,
    pub(super) act: Act,
    pub(super) span: Span,
    /// In which entrances are, where rules name it.
    workspace: Option<Name>,
    known: RefCell<HashMap<Signature, Access>>,
}

impl<'a> Assessor<'a> {
    pub(super) fn new(
        policy: &'a Policy,
        act: Act,
        workspace: Option<&WorkspaceName>,
        span: Span,
    ) -> Self {
        let workspace = policy.ids.workspace(workspace);
        Self { policy, act, span, workspace, known: RefCell::default() }
    }

    fn request(&self, subject: Option<Name>, object: Option<Name>) -> Request {
        Request { subject, object, workspace: self.workspace, act: self.act }
    }

    /// The objects of rules that the workspace is, or is in.
    pub(super) fn around(&self) -> &'a [Name] {
        self.workspace.map(|name| self.index().named(name)).unwrap_or_default()
    }

    pub(super) fn index(&self) -> &'a Index {
        self.policy.indexes.of(self.act)
    }

    /// The rules that could match; none where the caller or entrance is unknown.
    pub(super) fn candidates(&self, caller: Option<Name>, entrance: Option<Name>) -> Vec<RuleNo> {
        if patience::is_over() {
            return Vec::new();
        }
        self.index().candidates(self.request(caller, entrance)).unwrap_or_default()
    }

    pub(super) fn rules<'b>(
        &'b self,
        numbers: &'b [RuleNo],
    ) -> impl Iterator<Item = &'a Rule> + 'b {
        numbers.iter().filter_map(|number| self.policy.rules.rules.get(*number as usize))
    }

    /// Asks the engine; at every instant at which a condition may change, where there are
    /// conditions.
    pub(super) fn access(&self, caller: Option<Name>, entrance: Option<Name>) -> Access {
        let numbers = self.candidates(caller, entrance);
        let Some(caller) = caller.filter(|_| !numbers.is_empty()) else { return Access::Never };
        let request = self.request(Some(caller), entrance);
        // All of these match by their names: what else decides is what is judged once. A deny
        // decides wherever it stands, and no rule counts twice.
        let mut signature: Signature =
            self.rules(&numbers).map(|rule| (rule.allow, rule.when)).collect();
        signature.sort_unstable();
        signature.dedup();
        // Nor does it make a difference when it is, but for which conditions hold then.
        let conditions: Vec<&Condition> = self.conditions_in(&signature).collect();
        let judged: RefCell<HashMap<Vec<bool>, bool>> = RefCell::default();
        let allowed = |at, kind| {
            if patience::is_over() {
                return false;
            }
            let grantee = match self.act {
                Act::Grant => Some(kind),
                Act::Read => None,
            };
            let moment = Moment { at, grantee };
            let holding = conditions.iter().map(|condition| condition.holds(moment)).collect();
            *judged.borrow_mut().entry(holding).or_insert_with(|| {
                let verdict = self.policy.engine.judge(request, &numbers, moment);
                verdict.is_ok_and(|verdict| verdict.allowed)
            })
        };
        if let Some(known) = self.known.borrow().get(&signature) {
            return known.clone();
        }
        let access = if signature.iter().all(|(_, when)| when.is_none()) {
            let always = allowed(self.span.from, GranteeKind::AcsUser);
            if always { Access::Always } else { Access::Never }
        } else {
            let instants = self.instants(&conditions);
            let by_kind =
                GranteeKind::ALL.map(|kind| self.spans(&instants, |at| allowed(at, kind)));
            Times { span: self.span, zone: self.zone(&numbers), by_kind }.access()
        };
        self.known.borrow_mut().insert(signature, access.clone());
        access
    }

    /// The time zone of these rules' hours; UTC where they are of several, or of none.
    fn zone(&self, numbers: &[RuleNo]) -> TimeZone {
        let conditions = self.rules(numbers).filter_map(|r| self.policy.rules.condition(r));
        let mut zones = conditions.flat_map(Condition::zones);
        let first = zones.next().filter(|first| zones.all(|zone| zone == *first));
        first.cloned().unwrap_or(TimeZone::UTC)
    }

    fn conditions_in(&self, signature: &Signature) -> impl Iterator<Item = &'a Condition> {
        let numbers = signature.iter().filter_map(|(_, when)| *when);
        numbers.filter_map(|number| self.policy.rules.conditions.get(number as usize))
    }

    /// Between two of these none of these conditions changes.
    fn instants(&self, conditions: &[&Condition]) -> Vec<Timestamp> {
        let mut instants: Vec<Timestamp> = vec![self.span.from];
        let mut room = ROOM;
        for condition in conditions {
            if patience::is_over() {
                break;
            }
            instants.extend(condition.changes(self.span.from, self.span.until));
            // Many conditions have the same hours: no more is kept than twice what differs.
            if instants.len() > room {
                instants.sort_unstable();
                instants.dedup();
                room = ROOM.max(2 * instants.len());
            }
        }
        instants.sort_unstable();
        instants.dedup();
        instants
    }

    fn spans(&self, instants: &[Timestamp], allowed: impl Fn(Timestamp) -> bool) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let ends = instants.iter().skip(1).copied().chain([self.span.until]);
        for (from, until) in instants.iter().copied().zip(ends).filter(|(from, _)| allowed(*from)) {
            match spans.last_mut() {
                Some(last) if last.until == from => last.until = until,
                _ => spans.push(Span { from, until }),
            }
        }
        spans
    }

    /// The rules that could match, by effect.
    pub(super) fn refs(&self, numbers: &[RuleNo], allow: bool) -> Vec<RuleRef> {
        if patience::found(numbers.len(), REF_BYTES) {
            return Vec::new();
        }
        let rules = self.rules(numbers).filter(|rule| rule.allow == allow);
        rules.map(|rule| self.policy.rule_ref(rule)).collect()
    }

    pub(super) fn conditions_of(
        &self,
        caller: Option<Name>,
        entrance: Option<Name>,
    ) -> Vec<String> {
        self.conditions(&self.candidates(caller, entrance))
    }

    /// The conditions of the rules that could match, each once.
    pub(super) fn conditions(&self, numbers: &[RuleNo]) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for rule in self.rules(numbers) {
            let Some(condition) = self.policy.rules.condition(rule) else { continue };
            let text = if rule.allow {
                condition.text().to_owned()
            } else {
                format!("unless {}", condition.text())
            };
            if !found.contains(&text) {
                if patience::found(1, text.len()) {
                    return Vec::new();
                }
                found.push(text);
            }
        }
        found
    }
}

/// When this caller may do this to this entrance, whatever moment the question names.
#[must_use]
pub fn access_of(policy: &Policy, question: Question<'_>, span: Span) -> Access {
    let Request { subject, object, act, .. } = policy.request(question);
    Assessor::new(policy, act, question.workspace, span).access(subject, object)
}

/// Whether some rule that could match them has a condition.
#[must_use]
pub fn is_conditional(policy: &Policy, question: Question<'_>) -> bool {
    let request = policy.request(question);
    let numbers = policy.indexes.of(question.act).candidates(request).unwrap_or_default();
    let mut rules = numbers.iter().filter_map(|number| policy.rules.rules.get(*number as usize));
    rules.any(|rule| rule.when.is_some())
}

/// The ids of entrances, sorted.
pub(super) fn entrance_ids(policy: &Policy, names: &[Name]) -> Vec<EntranceId> {
    let texts = names.iter().map(|name| policy.rules.names.text(*name));
    let ids = texts.filter_map(|text| EntranceId::parse(text.strip_prefix("entrance:")?).ok());
    let mut ids: Vec<EntranceId> = ids.collect();
    ids.sort_unstable();
    ids
}

/// The roles or zones that all of these are in, sorted.
pub(super) fn common_groups(policy: &Policy, names: &[Name]) -> Vec<String> {
    texts_of(policy, &common(policy, names))
}

/// The same as names.
pub(super) fn common(policy: &Policy, names: &[Name]) -> Vec<Name> {
    let Some((first, others)) = names.split_first() else { return Vec::new() };
    let groups = policy.graph.with_ancestors(*first).skip(1);
    groups.filter(|g| others.iter().all(|name| policy.graph.contains(*name, *g))).collect()
}

/// The texts of these names, sorted.
pub(super) fn texts_of(policy: &Policy, names: &[Name]) -> Vec<String> {
    if patience::found(names.len(), NAME_BYTES) {
        return Vec::new();
    }
    let texts = names.iter().map(|name| policy.rules.names.text(*name).to_owned());
    let mut texts: Vec<String> = texts.collect();
    texts.sort_unstable();
    texts
}
