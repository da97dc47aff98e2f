//! What callers may do.

use std::sync::Arc;

use jiff::Timestamp;

use crate::authn::Callers;
use crate::config::Settings;
use crate::domain::Problem;
use crate::policy::{Loaded, Orders, Policy, PolicySource, SourceFile};
use crate::snapshot::Snapshot;
use crate::snapshot::build::Building;
use crate::snapshot::part::Part;
use crate::snapshot::parts::callers;
use crate::snapshot::source::{File, Wanted, not_read};

/// The policy on trial is loaded with the same one.
pub(super) const MODEL: &str = "model.conf";
const RULES: &str = "policy.csv";

pub(in crate::snapshot) const PART: Part = Part {
    name: "policy",
    decides: true,
    files,
    show: |snapshot, metrics| {
        let policy = &snapshot.policy;
        metrics.policy_in_force(policy.revision().as_str(), policy.rule_count());
    },
};

fn files(settings: &Settings) -> Vec<Wanted<'_>> {
    vec![
        Wanted::plain(MODEL, &settings.policy_model_file),
        Wanted::plain(RULES, &settings.policy_rules_file),
    ]
}

/// The snapshot whose policy is made from the same model, rules and callers.
pub(super) fn unchanged<'b>(on: &Building<'b>) -> Option<&'b Snapshot> {
    on.unchanged(&PART).and(on.unchanged(&callers::PART))
}

pub(in crate::snapshot) fn build(
    on: &mut Building<'_>,
    callers: Option<&Callers>,
) -> Option<Arc<Policy>> {
    if let Some(old) = unchanged(on) {
        return Some(old.policy.clone());
    }
    let made = match callers {
        Some(callers) => load(on, callers),
        None => {
            let text = "not checked yet: mend the callers file first";
            let rules = on.inputs.file(RULES).map_or(RULES, |file| file.shown.as_str());
            Err(vec![Problem::of_file(rules, text)])
        }
    };
    on.keep(made).map(|Loaded { policy, warnings }| {
        on.warnings.extend(warnings);
        Arc::new(policy)
    })
}

/// What deserves a look is said at the start; a reload waits for nothing.
fn load(on: &mut Building<'_>, callers: &Callers) -> Result<Loaded, Vec<Problem>> {
    let source = source_of(on.inputs.take(MODEL), on.inputs.take(RULES))?;
    if on.before().is_none() {
        return Policy::load(&source, callers, Timestamp::now());
    }
    let policy = Policy::load_quietly(&source, callers)?;
    fits(&policy, on.orders)?;
    Ok(Loaded { policy, warnings: Vec::new() })
}

/// Whether the policy knows every zone that is frozen at the moment: who renames or removes one
/// must not lift the freeze, nor widen it to everything.
///
/// # Errors
/// Each order that nobody could tell the meaning of.
pub fn fits(policy: &Policy, orders: &Orders) -> Result<(), Vec<Problem>> {
    let unclear = policy.unclear(orders, Timestamp::now()).into_iter();
    let problems: Vec<Problem> = unclear
        .map(|order| {
            let number = order.number;
            let what = match order.kind.workspace() {
                Some(name) => format!(
                    "workspace `{name}` is frozen by order {number}, and the configuration has no \
                     such [[workspace]] any more"
                ),
                None => format!(
                    "`{}` is frozen by order {number}, and the rules do not name it any more",
                    order.kind.zone().unwrap_or_default()
                ),
            };
            let text = format!("{what}; `grantgate unfreeze {number}` lifts the order");
            Problem::of_file(policy.file(), text)
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// A policy's texts, as they were read.
pub(super) fn source_of(
    model: Option<File>,
    rules: Option<File>,
) -> Result<PolicySource, Vec<Problem>> {
    let source = |file: Option<File>, name| {
        let File { shown: name, bytes } = file.ok_or_else(|| not_read(name))?;
        let bytes = std::mem::take(&mut *bytes?);
        Ok(SourceFile { name, bytes })
    };
    match (source(model, MODEL), source(rules, RULES)) {
        (Ok(model), Ok(rules)) => Ok(PolicySource { model, rules }),
        (model, rules) => Err([model.err(), rules.err()].into_iter().flatten().collect()),
    }
}
