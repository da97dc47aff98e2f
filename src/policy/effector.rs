//! casbin's effector: which of the rules that it judged matched, and what follows.

use std::cell::RefCell;

use casbin::{EffectKind, Effector, EffectorStream};

use super::rules::RuleNo;

thread_local! {
    /// The effects of the rules that matched in this thread's last evaluation. An
    /// evaluation runs on one thread from start to end.
    static MATCHED: RefCell<Vec<(usize, EffectKind)>> = const { RefCell::new(Vec::new()) };
}

/// An effector that stops at nothing and remembers every rule that matched. Deny
/// overrides; without an allow the answer is no.
pub(super) struct Recorder;

impl Recorder {
    /// Which of the rules that were judged had this effect.
    pub(super) fn numbers(kind: EffectKind, judged: &[RuleNo]) -> Vec<RuleNo> {
        MATCHED.with_borrow(|matched| {
            let of_kind = matched.iter().filter(|(_, k)| *k == kind);
            of_kind.filter_map(|(index, _)| judged.get(*index).copied()).collect()
        })
    }
}

impl Effector for Recorder {
    fn new_stream(&self, _: &str, _: usize) -> Box<dyn EffectorStream> {
        MATCHED.with_borrow_mut(Vec::clear);
        Box::new(Stream { index: 0, allowed: false, denied: false })
    }
}

struct Stream {
    index: usize,
    allowed: bool,
    denied: bool,
}

impl EffectorStream for Stream {
    fn next(&self) -> bool {
        self.allowed && !self.denied
    }

    fn push_effect(&mut self, effect: EffectKind) -> bool {
        match effect {
            EffectKind::Allow => self.allowed = true,
            EffectKind::Deny => self.denied = true,
            EffectKind::Indeterminate => {}
        }
        if effect != EffectKind::Indeterminate {
            MATCHED.with_borrow_mut(|matched| matched.push((self.index, effect)));
        }
        self.index += 1;
        false
    }
}
