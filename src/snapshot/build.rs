//! Building a snapshot from the files of one moment, whole or not at all.

use super::bundles::BundleInForce;
use super::inputs::{Digests, Inputs};
use super::part::Part;
use super::parts::trial::TrialToLoad;
use super::parts::{callers, certificates, issuers, names, policy, trial, upstream};
use super::{Snapshot, Unloaded};
use crate::config::Settings;
use crate::domain::Problem;
use crate::policy::Orders;

/// A snapshot, and what else was found while building it.
pub(super) struct Built {
    pub(super) snapshot: Snapshot,
    pub(super) digests: Digests,
    pub(super) warnings: Vec<Problem>,
    pub(super) trial: Option<TrialToLoad>,
}

/// What parts are built with.
pub(super) struct Building<'b> {
    pub(super) settings: &'b Settings,
    pub(super) inputs: Inputs,
    digests: Digests,
    /// What is in force, and the digests of its files; none at the start.
    before: Option<(&'b Snapshot, &'b Digests)>,
    /// What is in force beside the policy, which must fit it.
    pub(super) orders: &'b Orders,
    problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl<'b> Building<'b> {
    /// The snapshot in force, when the files of this part are those that it was made from.
    pub(super) fn unchanged(&self, part: &Part) -> Option<&'b Snapshot> {
        let same = self.before.filter(|(_, before)| self.digests.agree_on(part, before));
        same.map(|(snapshot, _)| snapshot)
    }

    /// The snapshot in force; none at the start.
    pub(super) fn before(&self) -> Option<&'b Snapshot> {
        self.before.map(|(snapshot, _)| snapshot)
    }

    /// What was made; or its problems are noted, and there will be no snapshot.
    pub(super) fn keep<T>(&mut self, made: Result<T, Vec<Problem>>) -> Option<T> {
        keep(&mut self.problems, made)
    }
}

/// Builds every part. `before` is what is in force: of it is carried over what was made from
/// the same files. The policy must know what `orders` are about.
pub(super) fn build(
    settings: &Settings,
    (inputs, digests): (Inputs, Digests),
    bundle: Option<BundleInForce>,
    before: Option<(&Snapshot, &Digests)>,
    orders: &Orders,
) -> Result<Built, Unloaded> {
    let (problems, warnings) = (Vec::new(), Vec::new());
    let mut on = Building { settings, inputs, digests, before, orders, problems, warnings };
    let certificates = certificates::build(&mut on);
    let issuers = issuers::build(&mut on);
    let callers = callers::build(&mut on);
    let (trial, trial_to_load) = trial::build(&mut on, callers.as_ref());
    let names = names::build(&mut on);
    let policy = policy::build(&mut on, callers.as_deref());
    let workspaces = upstream::build(&mut on, callers.as_deref());
    let Building { problems, warnings, .. } = on;
    match (certificates, callers, issuers, policy, workspaces) {
        (Some(certificates), Some(callers), Some(issuers), Some(policy), Some(workspaces))
            if problems.is_empty() =>
        {
            let snapshot = Snapshot {
                bundle,
                callers,
                issuers,
                policy,
                trial,
                names,
                workspaces,
                certificates,
            };
            Ok(Built { snapshot, digests, warnings, trial: trial_to_load })
        }
        (certificates, ..) => Err(Unloaded { problems, certificates }),
    }
}

/// What was made; or its problems are noted.
pub(super) fn keep<T>(problems: &mut Vec<Problem>, made: Result<T, Vec<Problem>>) -> Option<T> {
    made.map_err(|found| problems.extend(found)).ok()
}
