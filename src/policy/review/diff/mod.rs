//! What an edit changes, in services and doors.
//!
//! Callers that no rule of either policy tells apart are compared as one, and so are
//! entrances; each pair of groups that a rule could match is put to both engines. Hours
//! are compared over a span of time, at every instant at which one may change.

mod comparison;
mod side;

use super::access::{Access, Span};
use crate::domain::{Act, CallerId, EntranceId};
use crate::policy::Policy;
use comparison::Comparison;
use side::Side;

/// What becomes of a caller's access to an entrance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It may do what it could not.
    Gains,
    /// It may do it at other times, or for another form of grantee; at some that are new.
    Widens,
    /// Nothing changes within the span, but conditions differ that it does not show whole:
    /// of other years, or of hours when it is shorter than a year.
    DiffersLater,
    /// It may do it at fewer times.
    Narrows,
    /// It may no longer do it.
    Loses,
}

impl Effect {
    /// Whether something is allowed that was not, or may be later.
    #[must_use]
    pub fn is_widening(self) -> bool {
        matches!(self, Self::Gains | Self::Widens | Self::DiffersLater)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gains => "gains",
            Self::Widens => "widens",
            Self::DiffersLater => "differs-later",
            Self::Narrows => "narrows",
            Self::Loses => "loses",
        }
    }
}

/// One change for a group of callers and a group of entrances.
#[derive(Debug)]
pub struct Change {
    /// What may be done, or no longer be done.
    pub act: Act,
    /// What becomes of it.
    pub effect: Effect,
    /// Conditions differ that the span does not show whole: more may be allowed later.
    pub differs_later: bool,
    /// The callers, by id.
    pub callers: Vec<CallerId>,
    /// The roles that all of them are in.
    pub roles: Vec<String>,
    /// The entrances, by id.
    pub entrances: Vec<EntranceId>,
    /// Also every entrance that neither policy names.
    pub and_every_other: bool,
    /// The zones that all of them are in.
    pub zones: Vec<String>,
    /// When it was allowed.
    pub before: Access,
    /// When it is.
    pub after: Access,
    /// The conditions it had.
    pub conditions_before: Vec<String>,
    /// The conditions it has.
    pub conditions_after: Vec<String>,
}

/// What an edit changes.
#[derive(Debug)]
pub struct Diff {
    /// Widening first.
    pub changes: Vec<Change>,
    /// Over which time hours were compared.
    pub span: Span,
}

impl Change {
    /// Whether something is allowed that was not, or may be later.
    #[must_use]
    pub fn is_widening(&self) -> bool {
        self.effect.is_widening() || self.differs_later
    }
}

impl Diff {
    /// Whether something is allowed that was not, or may be later.
    #[must_use]
    pub fn is_widening(&self) -> bool {
        self.changes.iter().any(Change::is_widening)
    }
}

/// Compares two policies.
#[must_use]
pub fn diff(old: &Policy, new: &Policy, span: Span) -> Diff {
    let changes = Act::ALL.into_iter().flat_map(|act| {
        let (old, new) = (Side::new(old, new, act, span), Side::new(new, old, act, span));
        Comparison { old, new, span }.changes()
    });
    let mut changes: Vec<Change> = changes.collect();
    // Stable: of one effect, grants come first.
    changes.sort_by_key(|change| change.effect);
    Diff { changes, span }
}
