//! A policy on trial: it is judged beside the one in force, and decides nothing. Settings,
//! metrics and audit records call it the *candidate*.

use super::{Policy, Question};
use crate::domain::{Reason, Revision};

/// A request that more of the trial's rules could match is not judged: it must not wait
/// for a policy that decides nothing.
const RULES_MAX: usize = 64;

/// Nor one for which the index would have to look up more pairs of role and zone.
const SEARCHES_MAX: usize = 1_024;

/// What a policy on trial says of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opinion {
    /// Of the policy on trial.
    pub revision: Revision,
    /// What it would decide; none when it was not judged, or could not be.
    pub allowed: Option<bool>,
    /// Why; none when it was not judged.
    pub reason: Option<Reason>,
}

impl Opinion {
    /// The decision in audit records.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match (self.allowed, self.reason) {
            (Some(true), _) => "allow",
            (Some(false), _) => "deny",
            (None, Some(_)) => "failed",
            (None, None) => "skipped",
        }
    }

    /// How it compares with the decision that was made, in metrics.
    #[must_use]
    pub fn agreement(&self, allowed: bool) -> &'static str {
        match (self.allowed, allowed) {
            (Some(true), false) => "would-allow",
            (Some(false), true) => "would-deny",
            (Some(_), _) => "same",
            (None, _) => self.as_str(),
        }
    }

    /// Every value of [`Opinion::agreement`].
    pub const AGREEMENTS: [&'static str; 5] =
        ["same", "would-allow", "would-deny", "failed", "skipped"];
}

impl Policy {
    /// What this policy, on trial, says of a request.
    #[must_use]
    pub fn opinion(&self, question: Question<'_>) -> Opinion {
        let revision = self.revision.clone();
        let skipped = |revision| Opinion { revision, allowed: None, reason: None };
        let request = self.request(question);
        let index = self.indexes.of(question.act);
        if index.searches(request) > SEARCHES_MAX {
            return skipped(revision);
        }
        let found = match index.candidates(request) {
            Ok(candidates) if candidates.len() > RULES_MAX => return skipped(revision),
            Ok(candidates) => self.judge_candidates(request, &candidates, question.moment),
            Err(reason) => Err(reason),
        };
        let reason = found.map_or_else(|reason| reason, |(reason, _)| reason);
        let failed = matches!(reason, Reason::PolicyError | Reason::PolicyPanic);
        let allowed = (!failed).then_some(reason == Reason::AllowedByRule);
        Opinion { revision, allowed, reason: Some(reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_disagreement_has_its_name() {
        let revision = Revision::from_sha256(&[0]);
        let opinion = |allowed, reason| Opinion { revision: revision.clone(), allowed, reason };
        for (allowed, reason, decided, agreement) in [
            (Some(true), Some(Reason::AllowedByRule), true, "same"),
            (Some(true), Some(Reason::AllowedByRule), false, "would-allow"),
            (Some(false), Some(Reason::NoRuleMatches), true, "would-deny"),
            (Some(false), Some(Reason::NoRuleMatches), false, "same"),
            (None, Some(Reason::PolicyPanic), true, "failed"),
            (None, None, true, "skipped"),
        ] {
            let found = opinion(allowed, reason).agreement(decided);
            assert_eq!(found, agreement);
            assert!(Opinion::AGREEMENTS.contains(&found));
        }
    }
}
