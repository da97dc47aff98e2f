//! Who may do something to an entrance, and to which entrances a caller may do it.

use std::collections::BTreeMap;

use super::access::{Access, Assessor, Span, common_groups, entrance_ids};
use crate::domain::{Act, CallerId, EntranceId, WorkspaceName};
use crate::policy::names::Name;
use crate::policy::rules::RuleNo;
use crate::policy::{Policy, RuleRef};

/// A caller that may do something to an entrance.
#[derive(Debug)]
pub struct Allowed {
    /// The caller.
    pub caller: CallerId,
    /// When.
    pub access: Access,
    /// The conditions of the rules, in words of the policy.
    pub conditions: Vec<String>,
    /// The rules that allow it.
    pub allowed_by: Vec<RuleRef>,
    /// Rules that deny it at some times.
    pub denied_by: Vec<RuleRef>,
}

/// Who may do this to this entrance of this workspace, by id.
#[must_use]
pub fn who(
    policy: &Policy,
    act: Act,
    (entrance, workspace): (EntranceId, Option<&WorkspaceName>),
    span: Span,
) -> Vec<Allowed> {
    let assessor = Assessor::new(policy, act, workspace, span);
    let names = &policy.rules.names;
    let entrance = names.find(&format!("entrance:{entrance}"));
    let mut found: Vec<Allowed> = names
        .all()
        .filter_map(|(name, text)| Some((name, text.strip_prefix("caller:")?)))
        .filter_map(|(name, id)| Some((name, CallerId::parse(id).ok()?)))
        .filter_map(|(name, caller)| {
            let access = assessor.access(Some(name), entrance);
            let numbers = assessor.candidates(Some(name), entrance);
            access.is_possible().then(|| Allowed {
                caller,
                access,
                conditions: assessor.conditions(&numbers),
                allowed_by: assessor.refs(&numbers, true),
                denied_by: assessor.refs(&numbers, false),
            })
        })
        .collect();
    found.sort_by(|a, b| a.caller.cmp(&b.caller));
    found
}

/// Entrances to which a caller may do something at the same times by the same rules.
#[derive(Debug)]
pub struct Doors {
    /// The workspace that was asked about.
    pub workspace: Option<WorkspaceName>,
    /// The entrances, by id.
    pub entrances: Vec<EntranceId>,
    /// Also every entrance that no rule and no zone names.
    pub and_every_other: bool,
    /// The zones that all of them are in.
    pub zones: Vec<String>,
    /// When.
    pub access: Access,
    /// The conditions of the rules, in words of the policy.
    pub conditions: Vec<String>,
    /// The rules that allow it.
    pub allowed_by: Vec<RuleRef>,
}

/// To what of this workspace this caller may do this, grouped by the rules.
#[must_use]
pub fn doors(
    policy: &Policy,
    act: Act,
    (caller, workspace): (&CallerId, Option<&WorkspaceName>),
    span: Span,
) -> Vec<Doors> {
    let assessor = Assessor::new(policy, act, workspace, span);
    let names = &policy.rules.names;
    let caller = names.find(&format!("caller:{caller}"));
    let mut groups: BTreeMap<Vec<RuleNo>, Vec<Option<Name>>> = BTreeMap::new();
    let entrances = names.all().filter(|(_, text)| text.starts_with("entrance:"));
    for entrance in entrances.map(|(name, _)| Some(name)).chain([None]) {
        let numbers = assessor.candidates(caller, entrance);
        if !numbers.is_empty() {
            groups.entry(numbers).or_default().push(entrance);
        }
    }
    let mut found = Vec::new();
    for (numbers, members) in groups {
        let Some(first) = members.first() else { continue };
        let access = assessor.access(caller, *first);
        if access.is_possible() {
            let named: Vec<Name> = members.iter().flatten().copied().collect();
            found.push(Doors {
                workspace: workspace.cloned(),
                entrances: entrance_ids(policy, &named),
                and_every_other: members.contains(&None),
                zones: common_groups(policy, &named),
                access,
                conditions: assessor.conditions(&numbers),
                allowed_by: assessor.refs(&numbers, true),
            });
        }
    }
    found
}
