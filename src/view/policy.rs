//! What the policy tools found.

use std::collections::BTreeMap;

use serde::Serialize;

use super::orders::ShownOrder;
use crate::catalogue::Catalogue;
use crate::domain::{Act, CallerId, EntranceId, GranteeKind, Order, Reason, WorkspaceName};
use crate::policy::review::{self, Access, Allowed, Explanation, Span};
use crate::policy::{Policy, Question, RuleRef};

/// An entrance with its name, where the catalogue has one.
#[derive(Debug, Serialize)]
pub struct Door {
    id: String,
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<Said>,
}

/// What is said at a moment of each form of a grantee; of none of a request to read.
pub type Then = Vec<(Option<GranteeKind>, Reason)>;

/// The same: reasons by form of grantee, or `read`.
type Said = BTreeMap<&'static str, &'static str>;

fn said(then: &Then) -> Said {
    let one = |(grantee, reason): &(Option<GranteeKind>, Reason)| {
        (grantee.map_or("read", GranteeKind::as_str), reason.as_str())
    };
    then.iter().map(one).collect()
}

/// How a caller stands to a question beside the rules.
pub struct Standing {
    /// Every request of it is refused for now.
    pub suspended: bool,
    /// At a moment that is asked about.
    pub then: Option<Then>,
}

/// When something is allowed.
#[derive(Debug, Serialize)]
pub struct Times<'a> {
    when: &'static str,
    conditions: &'a [String],
    hours_a_week: ByGrantee<Option<String>>,
    hours: ByGrantee<String>,
}

/// The same for each form of grantee.
#[derive(Debug, Serialize)]
struct ByGrantee<T> {
    acs_user: T,
    user_identity: T,
}

impl<T> ByGrantee<T> {
    fn new(of: impl Fn(GranteeKind) -> T) -> Self {
        Self { acs_user: of(GranteeKind::AcsUser), user_identity: of(GranteeKind::UserIdentity) }
    }
}

/// Who may do something to an entrance.
#[derive(Debug, Serialize)]
pub struct Who<'a> {
    act: &'static str,
    entrance_id: String,
    entrance_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<&'a str>,
    revision: &'a str,
    callers: Vec<WhoCaller<'a>>,
    orders: Vec<ShownOrder>,
}

#[derive(Debug, Serialize)]
struct WhoCaller<'a> {
    caller: &'a str,
    suspended: bool,
    access: Times<'a>,
    allowed_by: Vec<String>,
    denied_at_times_by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<Said>,
}

/// To what a caller may do something.
#[derive(Debug, Serialize)]
pub struct Doors<'a> {
    act: &'static str,
    caller: &'a str,
    suspended: bool,
    revision: &'a str,
    groups: Vec<DoorGroup<'a>>,
    orders: Vec<ShownOrder>,
}

#[derive(Debug, Serialize)]
struct DoorGroup<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<&'a str>,
    zones: &'a [String],
    entrances: Vec<Door>,
    and_every_other: bool,
    access: Times<'a>,
    allowed_by: Vec<String>,
}

/// Why something is allowed or denied.
#[derive(Debug, Serialize)]
pub struct Explained<'a> {
    decision: &'static str,
    reason: &'static str,
    caller: &'a str,
    suspended: bool,
    act: &'static str,
    entrance_id: String,
    entrance_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<&'a str>,
    grantee: Option<&'static str>,
    time: String,
    revision: &'a str,
    order: Option<ShownOrder>,
    policy_reason: &'static str,
    rules: Vec<ExplainedRule<'a>>,
    nearest: Vec<NearestRule<'a>>,
}

#[derive(Debug, Serialize)]
struct ExplainedRule<'a> {
    rule: String,
    text: &'a str,
    caller_chain: Vec<Step<'a>>,
    entrance_chain: Vec<Step<'a>>,
}

#[derive(Debug, Serialize)]
struct Step<'a> {
    name: &'a str,
    rule: Option<String>,
}

#[derive(Debug, Serialize)]
struct NearestRule<'a> {
    rule: String,
    text: &'a str,
    missing: &'a str,
}

/// Who may do this to this entrance, and how they stand to it.
#[must_use]
pub fn who<'a>(
    policy: &'a Policy,
    names: &'a Catalogue,
    act: Act,
    (entrance, workspace): (EntranceId, Option<&'a WorkspaceName>),
    (found, orders): (&'a [Allowed], &[&Order]),
    span: Span,
    standing: impl Fn(&CallerId) -> Standing,
) -> Who<'a> {
    let callers = found.iter().map(|one| {
        let Standing { suspended, then } = standing(&one.caller);
        WhoCaller {
            caller: one.caller.as_str(),
            suspended,
            access: times(&one.access, &one.conditions, span),
            allowed_by: refs(&one.allowed_by),
            denied_at_times_by: refs(&one.denied_by),
            then: then.as_ref().map(said),
        }
    });
    Who {
        act: act.as_str(),
        entrance_id: entrance.to_string(),
        entrance_name: names.name_of(entrance),
        workspace: workspace.map(WorkspaceName::as_str),
        revision: policy.revision().as_str(),
        callers: callers.collect(),
        orders: orders.iter().map(|order| ShownOrder::of(order)).collect(),
    }
}

/// To which entrances this caller may do this.
#[must_use]
pub fn doors<'a>(
    policy: &'a Policy,
    names: &Catalogue,
    act: Act,
    (caller, suspended): (&'a CallerId, bool),
    (found, orders): (&'a [review::Doors], &[&Order]),
    span: Span,
    then: impl Fn(&review::Doors, EntranceId) -> Option<Then>,
) -> Doors<'a> {
    let doors = |group: &review::Doors| {
        let all = group.entrances.iter();
        all.map(|id| Door { then: then(group, *id).as_ref().map(said), ..door(names, *id) })
            .collect()
    };
    let groups = found.iter().map(|group| DoorGroup {
        workspace: group.workspace.as_ref().map(WorkspaceName::as_str),
        zones: &group.zones,
        entrances: doors(group),
        and_every_other: group.and_every_other,
        access: times(&group.access, &group.conditions, span),
        allowed_by: refs(&group.allowed_by),
    });
    Doors {
        act: act.as_str(),
        caller: caller.as_str(),
        suspended,
        revision: policy.revision().as_str(),
        groups: groups.collect(),
        orders: orders.iter().map(|order| ShownOrder::of(order)).collect(),
    }
}

/// Why this question is answered as it is.
#[must_use]
pub fn explained<'a>(
    policy: &'a Policy,
    names: &'a Catalogue,
    question: Question<'a>,
    found: &'a Explanation,
    suspended: bool,
) -> Explained<'a> {
    let Question { caller, act, entrance, workspace, moment } = question;
    let rules = found.deciding.iter().map(|rule| ExplainedRule {
        rule: rule.rule.to_string(),
        text: &rule.text,
        caller_chain: steps(&rule.subject),
        entrance_chain: steps(&rule.object),
    });
    let nearest = found.misses.iter().map(|miss| NearestRule {
        rule: miss.rule.to_string(),
        text: &miss.text,
        missing: &miss.missing,
    });
    Explained {
        decision: if found.evaluation.is_allowed() { "allow" } else { "deny" },
        reason: found.evaluation.reason.as_str(),
        caller: caller.as_str(),
        suspended,
        act: act.as_str(),
        entrance_id: entrance.to_string(),
        entrance_name: names.name_of(entrance),
        workspace: workspace.map(WorkspaceName::as_str),
        grantee: moment.grantee.map(GranteeKind::as_str),
        time: moment.at.to_string(),
        revision: policy.revision().as_str(),
        order: found.order.as_ref().map(ShownOrder::of),
        policy_reason: found.by_policy.as_str(),
        rules: rules.collect(),
        nearest: nearest.collect(),
    }
}

pub(super) fn named(names: &Catalogue, entrances: &[EntranceId]) -> Vec<Door> {
    entrances.iter().map(|id| door(names, *id)).collect()
}

fn door(names: &Catalogue, id: EntranceId) -> Door {
    Door { id: id.to_string(), name: names.name_of(id).map(str::to_owned), then: None }
}

pub(super) fn refs(rules: &[RuleRef]) -> Vec<String> {
    rules.iter().map(RuleRef::to_string).collect()
}

fn steps(steps: &[review::Step]) -> Vec<Step<'_>> {
    let one = |step: &'_ review::Step| step.link.as_ref().map(ToString::to_string);
    steps.iter().map(|step| Step { name: &step.name, rule: one(step) }).collect()
}

/// When something is allowed within a span.
pub(super) fn times<'a>(access: &Access, conditions: &'a [String], span: Span) -> Times<'a> {
    let when = match access {
        Access::Never => "never",
        Access::Always => "always",
        Access::Sometimes(_) => "sometimes",
    };
    Times {
        when,
        conditions,
        hours_a_week: ByGrantee::new(|kind| hours_a_week(access, kind)),
        hours: ByGrantee::new(|kind| hours(access, span, kind)),
    }
}

/// Hours a week with one decimal; none where less than a week is looked at.
#[must_use]
pub fn hours_a_week(access: &Access, kind: GranteeKind) -> Option<String> {
    access.hours_a_week(kind).map(|hours| format!("{hours:.1}"))
}

/// Hours in all within a span, with one decimal.
#[must_use]
pub fn hours(access: &Access, span: Span, kind: GranteeKind) -> String {
    format!("{:.1}", access.time(span, kind).as_secs_f64() / 3600.0)
}

/// When, in words.
#[must_use]
pub fn when(access: &Access, conditions: &[String], span: Span) -> String {
    match access {
        Access::Never => "never".to_owned(),
        Access::Always => "always".to_owned(),
        Access::Sometimes(_) => format!("{} ({})", conditions.join("; "), share(access, span)),
    }
}

/// How many hours a week, or in all where less than a week is looked at, for each form of grantee.
fn share(access: &Access, span: Span) -> String {
    let of = |kind| match hours_a_week(access, kind) {
        Some(hours) => format!("{hours} h a week"),
        None => format!("{} h in all", hours(access, span, kind)),
    };
    let [acs_user, user_identity] = GranteeKind::ALL.map(of);
    if acs_user == user_identity {
        acs_user
    } else {
        format!("{acs_user} to an acs_user, {user_identity} to a user_identity")
    }
}
