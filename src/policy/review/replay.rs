//! Decisions of the past judged again, each at its own time.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::{Act, CallerId, EntranceId, GranteeKind, Operation, Reason, WorkspaceName};
use crate::policy::condition::Moment;
use crate::policy::{Policy, Question, RuleRef};

/// Examples that are kept of each turn.
const EXAMPLES_MAX: usize = 10;

/// Pairs of caller and entrance that are counted one by one.
const PAIRS_MAX: usize = 100_000;

/// A decision as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Its sequence number in the audit log.
    pub seq: u64,
    /// Who asked.
    pub caller: CallerId,
    /// What it asked for.
    /// None when this version does not know it.
    pub operation: Option<Operation>,
    /// In which workspace, where the record says so.
    pub workspace: Option<WorkspaceName>,
    /// For which entrance; none when the request was malformed, or names no entrance.
    pub entrance: Option<EntranceId>,
    /// In which form the grantee was named, where there is one.
    pub grantee: Option<GranteeKind>,
    /// When.
    pub at: jiff::Timestamp,
    /// Whether it was allowed.
    pub allowed: bool,
    /// The reason code that was recorded.
    pub reason: String,
}

/// What becomes of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Turn {
    /// It was denied and would be allowed.
    DenyToAllow,
    /// It was allowed and would be denied.
    AllowToDeny,
}

impl Turn {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DenyToAllow => "deny-to-allow",
            Self::AllowToDeny => "allow-to-deny",
        }
    }
}

/// One decision that turns.
#[derive(Debug)]
pub struct Example {
    /// As it was recorded.
    pub past: Past,
    /// Why it would be decided otherwise.
    pub reason: Reason,
    /// The rules that would decide.
    pub rules: Arc<[RuleRef]>,
}

/// Decisions of one caller about one entrance.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// Who asked.
    pub caller: &'a CallerId,
    /// To do what.
    pub act: Act,
    /// To which entrance.
    pub entrance: EntranceId,
    /// How many there are.
    pub decisions: u64,
}

/// What came of judging again. Grows with the pairs that turn, not with the log.
#[derive(Debug, Default)]
pub struct Replay {
    /// Decisions that stay as they were.
    pub unchanged: u64,
    /// Decisions that turn, in all.
    pub turned: HashMap<Turn, u64>,
    /// Decisions that turn, by caller, act and entrance.
    pub by_pair: HashMap<(Turn, CallerId, Act, EntranceId), u64>,
    /// Turned decisions of further pairs, which are not counted one by one.
    pub of_other_pairs: u64,
    /// The first of each turn.
    pub examples: HashMap<Turn, Vec<Example>>,
    /// Decisions that cannot be judged again, by their reason code.
    pub not_replayable: HashMap<String, u64>,
}

impl Replay {
    /// Judges one decision under `policy`.
    pub fn add(&mut self, policy: &Policy, past: Past) {
        let act = past.operation.map(Operation::act);
        let entrance = past.entrance.filter(|_| act != Some(Act::Grant) || past.grantee.is_some());
        // What an order decided, or a budget or a key, says nothing about the rules.
        let beside = |reason: &&Reason| reason.is_by_order() || reason.is_beyond_policy();
        let by_others = Reason::ALL.iter().filter(beside).any(|r| r.as_str() == past.reason);
        let (Some(act), Some(entrance), false) = (act, entrance, by_others) else {
            *self.not_replayable.entry(past.reason).or_default() += 1;
            return;
        };
        let moment = Moment { at: past.at, grantee: past.grantee };
        let (caller, workspace) = (&past.caller, past.workspace.as_ref());
        let found = policy.evaluate(Question { caller, act, entrance, workspace, moment });
        let turn = match (past.allowed, found.is_allowed()) {
            (true, true) | (false, false) => {
                self.unchanged += 1;
                return;
            }
            (true, false) => Turn::AllowToDeny,
            (false, true) => Turn::DenyToAllow,
        };
        *self.turned.entry(turn).or_default() += 1;
        let key = (turn, past.caller.clone(), act, entrance);
        let room = self.by_pair.len() < PAIRS_MAX || self.by_pair.contains_key(&key);
        if room {
            *self.by_pair.entry(key).or_default() += 1;
        } else {
            self.of_other_pairs += 1;
        }
        let examples = self.examples.entry(turn).or_default();
        if examples.len() < EXAMPLES_MAX {
            examples.push(Example { past, reason: found.reason, rules: found.rules });
        }
    }

    /// Takes in what another has judged, of other decisions of the same log.
    pub fn merge(&mut self, other: Self) {
        self.unchanged += other.unchanged;
        self.of_other_pairs += other.of_other_pairs;
        for (turn, count) in other.turned {
            *self.turned.entry(turn).or_default() += count;
        }
        for (pair, count) in other.by_pair {
            if self.by_pair.len() < PAIRS_MAX || self.by_pair.contains_key(&pair) {
                *self.by_pair.entry(pair).or_default() += count;
            } else {
                self.of_other_pairs += count;
            }
        }
        for (reason, count) in other.not_replayable {
            *self.not_replayable.entry(reason).or_default() += count;
        }
        for (turn, others) in other.examples {
            let examples = self.examples.entry(turn).or_default();
            examples.extend(others);
            examples.sort_by_key(|example| example.past.seq);
            examples.truncate(EXAMPLES_MAX);
        }
    }

    /// The decisions that turn in this way by caller, act and entrance; the most first.
    #[must_use]
    pub fn pairs(&self, turn: Turn) -> Vec<Pair<'_>> {
        let of = self.by_pair.iter().filter(|((kind, ..), _)| *kind == turn);
        let mut pairs: Vec<Pair<'_>> = of
            .map(|((_, caller, act, entrance), decisions)| Pair {
                caller,
                act: *act,
                entrance: *entrance,
                decisions: *decisions,
            })
            .collect();
        pairs.sort_unstable_by_key(|pair| {
            (Reverse(pair.decisions), pair.caller, pair.entrance, pair.act.as_str())
        });
        pairs
    }

    /// How many decisions turn in this way.
    #[must_use]
    pub fn count(&self, turn: Turn) -> u64 {
        self.turned.get(&turn).copied().unwrap_or(0)
    }
}
