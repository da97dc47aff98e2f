//! What an edit changes, in services and doors.
//!
//! Callers that no rule of either policy tells apart are compared as one, and so are
//! entrances; each pair of groups that a rule could match is put to both engines. Hours
//! are compared over a span of time, at every instant at which one may change.

mod comparison;
mod side;

use super::access::{Access, Span};
use crate::domain::{Act, CallerId, EntranceId, WorkspaceName};
use crate::policy::Policy;
pub(super) use comparison::{Comparison, Reaching};
pub(super) use side::{Group, Pair};

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
    /// In which workspaces; empty where it makes no difference.
    pub workspaces: Vec<InWorkspace>,
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

/// A workspace, as far as rules tell them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InWorkspace {
    /// The one of this name.
    Named(WorkspaceName),
    /// Each that neither policy names.
    EveryOther,
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
    /// Whether the other says the same, of another workspace.
    fn is_same(&self, other: &Self) -> bool {
        let key = |of: &Self| (of.act, of.effect, of.differs_later, of.and_every_other);
        let conditions = |of: &Self| (of.conditions_before.clone(), of.conditions_after.clone());
        key(self) == key(other)
            && (&self.callers, &self.entrances) == (&other.callers, &other.entrances)
            && (&self.before, &self.after) == (&other.before, &other.after)
            && conditions(self) == conditions(other)
    }

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
    let mut named: Vec<&WorkspaceName> =
        old.named_workspaces().chain(new.named_workspaces()).collect();
    named.sort_unstable();
    named.dedup();
    let places: Vec<Option<&WorkspaceName>> = named.into_iter().map(Some).chain([None]).collect();
    let mut changes: Vec<Change> = Vec::new();
    for act in Act::ALL {
        let first = changes.len();
        for place in &places {
            let found = Comparison::new((old, new), act, *place, span).changes();
            let place =
                place.map_or(InWorkspace::EveryOther, |name| InWorkspace::Named(name.clone()));
            for change in found {
                let known = changes.iter_mut().skip(first).find(|known| known.is_same(&change));
                match known {
                    Some(known) => known.workspaces.push(place.clone()),
                    None => changes.push(Change { workspaces: vec![place.clone()], ..change }),
                }
            }
        }
        // What is so in all of them does not depend on them.
        for change in changes.iter_mut().skip(first) {
            if change.workspaces.len() == places.len() {
                change.workspaces.clear();
            }
        }
    }
    // Stable: of one effect, grants come first.
    changes.sort_by_key(|change| change.effect);
    Diff { changes, span }
}
