//! A policy on trial, beside the one in force. Settings, metrics and audit records call it
//! the *candidate*.
//!
//! It is loaded after the snapshot that it belongs to is in force: however large or slow
//! it is, no reload waits for it, and a mistake in it fails none.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::authn::Callers;
use crate::domain::Problem;
use crate::policy::Policy;
use crate::snapshot::files::Bytes;
use crate::snapshot::source_of;

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
}

/// A policy on trial that is yet to be loaded, from bytes of the moment of its snapshot.
pub struct TrialToLoad {
    pub(in crate::snapshot) slot: TrialSlot,
    pub(in crate::snapshot) model: (PathBuf, Bytes),
    pub(in crate::snapshot) rules: (PathBuf, Bytes),
    pub(in crate::snapshot) callers: Arc<Callers>,
}

impl TrialToLoad {
    /// Whether this snapshot still waits for it; another may have taken its place.
    pub(in crate::snapshot) fn is_for(&self, slot: Option<&TrialSlot>) -> bool {
        slot.is_some_and(|slot| Arc::ptr_eq(&slot.0, &self.slot.0))
    }

    /// Loads it; from then on requests are judged by it.
    pub fn load(self) {
        let Self { slot, model, rules, callers } = self;
        let file = rules.0.display().to_string();
        let load = AssertUnwindSafe(|| load(model, rules, &callers));
        let loaded = catch_unwind(load)
            .unwrap_or_else(|_| Err(vec![Problem::of_file(file, "loading it ended in a panic")]));
        slot.0.get_or_init(|| match loaded {
            Ok(policy) => Trial::Judged(Box::new(policy)),
            Err(problems) => Trial::Invalid(problems),
        });
    }
}

fn load(
    (model_file, model): (PathBuf, Bytes),
    (rules_file, rules): (PathBuf, Bytes),
    callers: &Callers,
) -> Result<Policy, Vec<Problem>> {
    let source = source_of((&model_file, model), (&rules_file, rules))?;
    Policy::load_quietly(&source, callers)
}
