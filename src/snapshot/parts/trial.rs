//! A policy on trial, beside the one in force. Settings, metrics and audit records call it
//! the *candidate*.
//!
//! It is loaded after the snapshot that it belongs to is in force: however large or slow
//! it is, no reload waits for it, and a mistake in it fails none.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use super::policy::{self, MODEL, source_of};
use crate::authn::Callers;
use crate::config::Settings;
use crate::domain::Problem;
use crate::policy::Policy;
use crate::snapshot::Snapshot;
use crate::snapshot::build::Building;
use crate::snapshot::part::Part;
use crate::snapshot::source::{File, Wanted};
use crate::telemetry::Metrics;

const RULES: &str = "candidate.csv";

pub(in crate::snapshot) const PART: Part = Part { name: "candidate", decides: false, files, show };

/// The model is the policy's.
fn files(settings: &Settings) -> Vec<Wanted<'_>> {
    let rules = settings.policy_candidate_rules_file.as_ref();
    rules.map(|path| Wanted::optional(RULES, path)).into_iter().collect()
}

/// Shows whether it is judged, also when that is known later than the rest.
pub(in crate::snapshot) fn show(snapshot: &Snapshot, metrics: &Metrics) {
    let revision = match snapshot.trial() {
        None => None,
        Some(Trial::Judged(policy)) => Some(policy.revision().as_str()),
        Some(Trial::Invalid(problems)) => {
            for problem in problems {
                tracing::error!("the candidate policy is not judged: {problem}");
            }
            Some("")
        }
    };
    metrics.candidate_in_force(revision);
}

/// A policy on trial.
#[derive(Debug)]
pub enum Trial {
    /// It is judged.
    Judged(Box<Policy>),
    /// It cannot be: every problem in it.
    Invalid(Vec<Problem>),
}

/// Where a policy on trial is put when it is loaded.
#[derive(Debug, Clone, Default)]
pub(in crate::snapshot) struct TrialSlot(Arc<OnceLock<Trial>>);

impl TrialSlot {
    pub(in crate::snapshot) fn get(&self) -> Option<&Trial> {
        self.0.get()
    }

    /// Whether both are one.
    pub(in crate::snapshot) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A policy on trial that is yet to be loaded, from bytes of the moment of its snapshot.
pub struct TrialToLoad {
    slot: TrialSlot,
    model: Option<File>,
    rules: File,
    callers: Arc<Callers>,
}

/// Where it will be, and what is still to be loaded. It is judged by the callers and the
/// model of its snapshot: where one of these changed it is loaded again.
pub(in crate::snapshot) fn build(
    on: &mut Building<'_>,
    callers: Option<&Arc<Callers>>,
) -> (Option<TrialSlot>, Option<TrialToLoad>) {
    let Some(rules) = on.inputs.take(RULES) else { return (None, None) };
    if let Some(old) = on.unchanged(&PART).and(policy::unchanged(on)) {
        return (old.trial.clone(), None);
    }
    let Some(callers) = callers.cloned() else { return (None, None) };
    let (slot, model) = (TrialSlot::default(), on.inputs.file(MODEL).cloned());
    (Some(slot.clone()), Some(TrialToLoad { slot, model, rules, callers }))
}

impl TrialToLoad {
    /// Whether this snapshot still waits for it; another may have taken its place.
    pub(in crate::snapshot) fn is_for(&self, slot: Option<&TrialSlot>) -> bool {
        slot.is_some_and(|slot| slot.is(&self.slot))
    }

    /// Loads it; from then on requests are judged by it. Returns every problem in it.
    pub fn load(self) -> Vec<Problem> {
        let Self { slot, model, rules, callers } = self;
        let file = rules.shown.clone();
        let load = AssertUnwindSafe(|| {
            let source = source_of(model, Some(rules))?;
            Policy::load_quietly(&source, &callers)
        });
        let loaded = catch_unwind(load)
            .unwrap_or_else(|_| Err(vec![Problem::of_file(file, "loading it ended in a panic")]));
        let trial = slot.0.get_or_init(|| match loaded {
            Ok(policy) => Trial::Judged(Box::new(policy)),
            Err(problems) => Trial::Invalid(problems),
        });
        match trial {
            Trial::Judged(_) => Vec::new(),
            Trial::Invalid(problems) => problems.clone(),
        }
    }
}
