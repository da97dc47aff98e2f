//! What an edit changes, and what becomes of decisions of the past.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::policy::{Door, Times, named, refs, times};
use crate::catalogue::Catalogue;
use crate::domain::CallerId;
use crate::policy::Policy;
use crate::policy::review::{self, Example, InWorkspace, Replay, Turn};

/// What an edit changes.
#[derive(Debug, Serialize)]
pub struct Diff<'a> {
    old: &'a str,
    new: &'a str,
    from: String,
    until: String,
    widening: bool,
    changes: Vec<Change<'a>>,
}

#[derive(Debug, Serialize)]
struct Change<'a> {
    act: &'static str,
    effect: &'static str,
    widening: bool,
    differs_later: bool,
    callers: Vec<&'a str>,
    roles: &'a [String],
    entrances: Vec<Door>,
    and_every_other: bool,
    zones: &'a [String],
    /// In which workspaces; none where it makes no difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspaces: Option<Workspaces<'a>>,
    before: Times<'a>,
    after: Times<'a>,
}

#[derive(Debug, Serialize)]
struct Workspaces<'a> {
    names: Vec<&'a str>,
    and_every_other: bool,
}

/// Decisions of the past, judged again.
#[derive(Debug, Serialize)]
pub struct Replayed<'a> {
    revision: &'a str,
    unchanged: u64,
    deny_to_allow: Turned<'a>,
    allow_to_deny: Turned<'a>,
    of_other_pairs: u64,
    not_replayable: BTreeMap<&'a str, u64>,
    damaged_lines: u64,
}

#[derive(Debug, Serialize)]
struct Turned<'a> {
    decisions: u64,
    pairs: Vec<TurnedPair<'a>>,
    first: Vec<TurnedDecision<'a>>,
}

#[derive(Debug, Serialize)]
struct TurnedPair<'a> {
    caller: &'a str,
    act: &'static str,
    entrance_id: String,
    entrance_name: Option<&'a str>,
    decisions: u64,
}

#[derive(Debug, Serialize)]
struct TurnedDecision<'a> {
    seq: u64,
    time: String,
    caller: &'a str,
    entrance_id: Option<String>,
    reason_then: &'a str,
    reason_now: &'static str,
    rules_now: Vec<String>,
}

/// What an edit changes. Entrances are named as they are after it.
#[must_use]
pub fn diff<'a>(
    old: &'a Policy,
    new: &'a Policy,
    names: &Catalogue,
    found: &'a review::Diff,
) -> Diff<'a> {
    let changes = found.changes.iter().map(|change| Change {
        act: change.act.as_str(),
        effect: change.effect.as_str(),
        widening: change.is_widening(),
        differs_later: change.differs_later,
        callers: change.callers.iter().map(CallerId::as_str).collect(),
        roles: &change.roles,
        entrances: named(names, &change.entrances),
        and_every_other: change.and_every_other,
        zones: &change.zones,
        workspaces: workspaces(&change.workspaces),
        before: times(&change.before, &change.conditions_before, found.span),
        after: times(&change.after, &change.conditions_after, found.span),
    });
    Diff {
        old: old.revision().as_str(),
        new: new.revision().as_str(),
        from: found.span.from.to_string(),
        until: found.span.until.to_string(),
        widening: found.is_widening(),
        changes: changes.collect(),
    }
}

fn workspaces(all: &[InWorkspace]) -> Option<Workspaces<'_>> {
    let names = all.iter().filter_map(|one| match one {
        InWorkspace::Named(name) => Some(name.as_str()),
        InWorkspace::EveryOther => None,
    });
    let names = names.collect();
    let and_every_other = all.contains(&InWorkspace::EveryOther);
    (!all.is_empty()).then_some(Workspaces { names, and_every_other })
}

/// What becomes of decisions of the past.
#[must_use]
pub fn replayed<'a>(
    policy: &'a Policy,
    names: &'a Catalogue,
    found: &'a Replay,
    damaged_lines: u64,
) -> Replayed<'a> {
    let turned = |turn| {
        let pairs = found.pairs(turn).into_iter().map(|pair| TurnedPair {
            caller: pair.caller.as_str(),
            act: pair.act.as_str(),
            entrance_id: pair.entrance.to_string(),
            entrance_name: names.name_of(pair.entrance),
            decisions: pair.decisions,
        });
        let examples = found.examples.get(&turn).into_iter().flatten();
        Turned {
            decisions: found.count(turn),
            pairs: pairs.collect(),
            first: examples.map(turned_decision).collect(),
        }
    };
    Replayed {
        revision: policy.revision().as_str(),
        unchanged: found.unchanged,
        deny_to_allow: turned(Turn::DenyToAllow),
        allow_to_deny: turned(Turn::AllowToDeny),
        of_other_pairs: found.of_other_pairs,
        not_replayable: sorted(&found.not_replayable),
        damaged_lines,
    }
}

fn sorted(counts: &HashMap<String, u64>) -> BTreeMap<&str, u64> {
    counts.iter().map(|(reason, count)| (reason.as_str(), *count)).collect()
}

fn turned_decision(example: &Example) -> TurnedDecision<'_> {
    let past = &example.past;
    TurnedDecision {
        seq: past.seq,
        time: past.at.to_string(),
        caller: past.caller.as_str(),
        entrance_id: past.entrance.map(|id| id.to_string()),
        reason_then: &past.reason,
        reason_now: example.reason.as_str(),
        rules_now: refs(&example.rules),
    }
}
