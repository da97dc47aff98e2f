//! What people ask about who may do what: of the command line and of the console, so that both say
//! the same.
//!
//! The policy's own answers are in [`crate::policy::review`]; what goes around them is here: what
//! people call entrances, in which workspace a question is meant, which callers may ask there at all,
//! and which orders go before the rules.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use crate::authn::Callers;
use crate::catalogue::Catalogue;
use crate::domain::{
    Act, CallerId, EntranceId, GranteeKind, Order, OrderKind, Reason, RuleRef, WorkspaceName,
};
use crate::policy::review::{Allowed, Doors, Span, doors, who};
use crate::policy::{Moment, Orders, Policy, Question};

/// Workspaces that an error names.
const NAMED_MAX: usize = 10;

/// What is known: a policy with its callers, names and orders.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// What callers may do.
    pub policy: &'a Policy,
    /// Who they are.
    pub callers: &'a Callers,
    /// What people call entrances.
    pub names: &'a Catalogue,
    /// Freezes and exceptions.
    pub orders: &'a Orders,
}

/// Why it is not known in which workspace a question is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkspaceError {
    /// Rules or orders tell workspaces apart: these.
    #[error("rules or orders tell workspaces apart ({0}): say in which one")]
    Needed(String),
    /// The entrance is in another one.
    #[error("`{entrance}` is in workspace `{known}`, say the names of entrances, not in `{given}`")]
    Other {
        /// The entrance.
        entrance: EntranceId,
        /// Where it is.
        known: WorkspaceName,
        /// Where it was said to be.
        given: WorkspaceName,
    },
}

/// Something that is asked to be done, and in which workspace.
#[derive(Clone, Copy)]
pub struct Doing<'a> {
    /// What.
    pub act: Act,
    /// Where; none where it makes no difference.
    pub workspace: Option<&'a WorkspaceName>,
    /// Over which time hours are looked at.
    pub span: Span,
    /// At what time orders are looked at.
    pub now: Timestamp,
}

/// What is said of something at one moment: of a grant for each form of its grantee.
#[derive(Debug, Clone)]
pub struct Then {
    /// The caller is refused before policy is asked.
    pub is_refused: bool,
    /// What policy and orders say.
    pub said: Vec<(Option<GranteeKind>, Reason)>,
}

impl Then {
    /// Whether it is allowed, for one form of a grantee at least.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        !self.is_refused && self.said.iter().any(|(_, reason)| reason.permits())
    }

    /// The one form of a grantee for which it is allowed, where it is not for all.
    #[must_use]
    pub fn only_for(&self) -> Option<GranteeKind> {
        let mut allowed = self.said.iter().filter(|(_, reason)| reason.permits());
        match (allowed.next(), allowed.next()) {
            (Some((kind, _)), None) if self.said.len() > 1 => *kind,
            _ => None,
        }
    }
}

impl<'a> Known<'a> {
    /// What is said at a moment, by policy and orders.
    #[must_use]
    pub fn then(
        &self,
        caller: &CallerId,
        act: Act,
        (entrance, workspace): (EntranceId, Option<&WorkspaceName>),
        at: Timestamp,
    ) -> Then {
        let grantees: &[Option<GranteeKind>] = match act {
            Act::Grant => &GranteeKind::ALL.map(Some),
            Act::Read => &[None],
        };
        let said = grantees.iter().map(|grantee| {
            let moment = Moment { at, grantee: *grantee };
            let question = Question { caller, act, entrance, workspace, moment };
            (*grantee, self.policy.evaluate_under(question, self.orders).reason)
        });
        let is_refused = !self.callers.contains(caller)
            || self.is_suspended(caller)
            || !self.is_within(caller, workspace);
        Then { is_refused, said: said.collect() }
    }

    /// Callers who may do this at a moment by an exception alone.
    #[must_use]
    pub fn excepted(
        &self,
        act: Act,
        (entrance, workspace): (EntranceId, Option<&WorkspaceName>),
        at: Timestamp,
    ) -> BTreeSet<&'a CallerId> {
        let holding = self.orders.holding(at).filter_map(|order| match &order.kind {
            OrderKind::Exception(caller, of) => (*of == entrance).then_some(caller),
            OrderKind::Freeze(_) | OrderKind::Drill(_) => None,
        });
        let is_by_exception = |caller: &&CallerId| {
            let then = self.then(caller, act, (entrance, workspace), at);
            then.is_allowed() && then.said.iter().any(|(_, why)| *why == Reason::AllowedByException)
        };
        holding.filter(is_by_exception).collect()
    }

    /// The workspace of a question about this entrance; none where it makes no difference.
    ///
    /// # Errors
    /// [`WorkspaceError`]
    pub fn workspace_of(
        &self,
        entrance: EntranceId,
        given: Option<&WorkspaceName>,
    ) -> Result<Option<WorkspaceName>, WorkspaceError> {
        match (given, self.names.workspace_of(entrance)) {
            (Some(given), Some(known)) if given != known => {
                Err(WorkspaceError::Other { entrance, known: known.clone(), given: given.clone() })
            }
            (Some(named), _) | (None, Some(named)) => Ok(Some(named.clone())),
            (None, None) => self.none_needed(),
        }
    }

    /// The workspaces of questions about this caller: what it may differs from one to the other.
    ///
    /// # Errors
    /// [`WorkspaceError`]
    pub fn workspaces_of(
        &self,
        caller: &CallerId,
        given: Option<&WorkspaceName>,
    ) -> Result<Vec<Option<WorkspaceName>>, WorkspaceError> {
        let own = self.callers.workspaces(caller);
        match given {
            Some(named) => Ok(vec![Some(named.clone())]),
            None => match self.none_needed() {
                Ok(none) => Ok(vec![none]),
                Err(_) if !own.is_empty() => Ok(own.iter().cloned().map(Some).collect()),
                Err(error) => Err(error),
            },
        }
    }

    /// No workspace, where neither the rules nor the orders tell them apart.
    ///
    /// # Errors
    /// [`WorkspaceError::Needed`]
    pub fn none_needed(&self) -> Result<Option<WorkspaceName>, WorkspaceError> {
        let of_orders = self.orders.all().iter().filter_map(|order| order.kind.workspace());
        let named = self.policy.named_workspaces().chain(of_orders).map(WorkspaceName::as_str);
        let named: BTreeSet<&str> = named.collect();
        match named.is_empty() {
            true => Ok(None),
            false => {
                let first: Vec<&str> = named.into_iter().take(NAMED_MAX).collect();
                Err(WorkspaceError::Needed(first.join(", ")))
            }
        }
    }

    /// Whether a caller may ask in a workspace, as far as the callers file says it.
    #[must_use]
    pub fn is_within(&self, caller: &CallerId, workspace: Option<&WorkspaceName>) -> bool {
        let own = self.callers.workspaces(caller);
        own.is_empty() || workspace.is_none_or(|workspace| own.contains(workspace))
    }

    /// Whether a caller is refused for now, whatever policy says.
    #[must_use]
    pub fn is_suspended(&self, caller: &CallerId) -> bool {
        self.callers.suspension(caller).is_some()
    }

    /// Who may do this to this entrance, and the orders that change what the rules say there.
    #[must_use]
    pub fn who(&self, entrance: EntranceId, doing: Doing<'_>) -> (Vec<Allowed>, Vec<&'a Order>) {
        let Doing { act, workspace, span, .. } = doing;
        let mut found = who(self.policy, act, (entrance, workspace), span);
        // Who may not ask there is refused before policy is asked.
        found.retain(|one| self.is_within(&one.caller, workspace));
        (found, self.orders_about((None, Some(entrance)), doing))
    }

    /// To which entrances of these workspaces this caller may do this, and the orders that change what
    /// the rules say of it. The workspace of `doing` is that of the orders.
    #[must_use]
    pub fn doors(
        &self,
        caller: &CallerId,
        workspaces: &[Option<WorkspaceName>],
        doing: Doing<'_>,
    ) -> (Vec<Doors>, Vec<&'a Order>) {
        let only = match workspaces {
            [only] => only.as_ref(),
            _ => None,
        };
        let of = |workspace| doors(self.policy, doing.act, (caller, workspace), doing.span);
        let mut found: Vec<Doors> = workspaces.iter().flat_map(|one| of(one.as_ref())).collect();
        self.keep_own_entrances(&mut found);
        (found, self.orders_about((Some(caller), None), Doing { workspace: only, ..doing }))
    }

    /// What the catalogue knows to be in another workspace is not listed in this one.
    fn keep_own_entrances(&self, found: &mut Vec<Doors>) {
        for group in &mut *found {
            let Some(workspace) = &group.workspace else { continue };
            let is_here = |id: &EntranceId| {
                self.names.workspace_of(*id).is_none_or(|known| known == workspace)
            };
            group.entrances.retain(is_here);
        }
        found.retain(|group| group.and_every_other || !group.entrances.is_empty());
    }

    /// The orders that change what the rules say here.
    fn orders_about(
        &self,
        (caller, entrance): (Option<&CallerId>, Option<EntranceId>),
        doing: Doing<'_>,
    ) -> Vec<&'a Order> {
        if !doing.act.gives_access() {
            return Vec::new();
        }
        self.policy.orders_about(self.orders, (caller, entrance), doing.workspace, doing.now)
    }
}

/// What the rules say of an exception without which somebody does not grant access, if they say
/// anything: that it is of no use, or that it is not needed.
#[must_use]
pub fn beside_exception(
    (policy, names): (&Policy, &Catalogue),
    (caller, entrance): (&CallerId, EntranceId),
    at: Timestamp,
) -> Option<BesideException> {
    let moment = Moment { at, grantee: Some(GranteeKind::UserIdentity) };
    let workspace = names.workspace_of(entrance);
    let question = Question { caller, act: Act::Grant, entrance, workspace, moment };
    let found = policy.evaluate(question);
    let rule = found.rules.first()?.clone();
    if found.reason == Reason::DeniedByRule {
        Some(BesideException::Denied(rule))
    } else {
        found.is_allowed().then_some(BesideException::Allowed(rule))
    }
}

/// What the rules say beside an exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BesideException {
    /// A rule denies it.
    Denied(RuleRef),
    /// A rule allows it without.
    Allowed(RuleRef),
}

impl fmt::Display for BesideException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(rule) => {
                write!(f, "{rule} denies it now, and a deny goes before an exception")
            }
            Self::Allowed(rule) => write!(f, "{rule} allows it now, without exception"),
        }
    }
}

/// Whether an order allows something.
#[must_use]
pub fn is_exception(order: &Order) -> bool {
    matches!(order.kind, OrderKind::Exception(..))
}
