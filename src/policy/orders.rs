//! Orders over the policy: a freeze goes before every rule, an exception only where no rule
//! says anything.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Asking, Evaluation, Memo, Policy, Question};
use crate::domain::{
    CallerId, EntranceId, Objects, Order, OrderKind, Reason, Scope, WorkspaceName,
};

/// The orders in force, and those whose time will run out.
#[derive(Debug, Default)]
pub struct Orders {
    all: Vec<Order>,
    /// Places in the list.
    freezes: Vec<usize>,
    exceptions: HashMap<(CallerId, EntranceId), Vec<usize>>,
}

impl Orders {
    /// These. Those that were lifted count for nothing.
    #[must_use]
    pub fn new(orders: impl IntoIterator<Item = Order>) -> Self {
        let all: Vec<Order> = orders.into_iter().filter(|order| order.lifted.is_none()).collect();
        let mut made = Self::default();
        for (place, order) in all.iter().enumerate() {
            match &order.kind {
                OrderKind::Freeze(_) => made.freezes.push(place),
                OrderKind::Drill(_) => {}
                OrderKind::Exception(caller, entrance) => {
                    made.exceptions.entry((caller.clone(), *entrance)).or_default().push(place);
                }
            }
        }
        Self { all, ..made }
    }

    /// Those that were in force at a time, as if it were now.
    #[must_use]
    pub fn of_time<'o>(orders: impl IntoIterator<Item = &'o Order>, at: Timestamp) -> Self {
        let held = orders.into_iter().filter(|order| order.held(at));
        Self::new(held.map(|order| Order { lifted: None, ..order.clone() }))
    }

    /// All of them, in the order in which they were given.
    #[must_use]
    pub fn all(&self) -> &[Order] {
        &self.all
    }

    /// Those that hold at this time.
    pub fn holding(&self, at: Timestamp) -> impl Iterator<Item = &Order> {
        self.all.iter().filter(move |order| order.holds(at))
    }

    /// Whether none of them decides anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.freezes.is_empty() && self.exceptions.is_empty()
    }

    fn at<'o>(&'o self, places: &'o [usize], at: Timestamp) -> impl Iterator<Item = &'o Order> {
        let orders = places.iter().filter_map(|place| self.all.get(*place));
        orders.filter(move |order| order.holds(at))
    }

    /// The first freeze that stops this, whatever the policy says.
    pub(super) fn freeze(
        &self,
        policy: &Policy,
        asking: Asking<'_>,
        objects: Objects<'_>,
    ) -> Option<&Order> {
        if self.freezes.is_empty() || !asking.act.gives_access() {
            return None;
        }
        let covers = |scope: &Scope| {
            let one = |entrance| policy.covers(scope, asking.caller, entrance, asking.workspace);
            match objects {
                Objects::One(entrance) => one(entrance),
                Objects::Some(entrances) => entrances.iter().any(|entrance| one(*entrance)),
                // It is not known which ones these are.
                Objects::All => match scope {
                    Scope::Caller(caller) => caller == asking.caller,
                    Scope::Workspace(only) => policy.is_within(asking.workspace, only),
                    Scope::Everything | Scope::Zone(_) | Scope::Entrance(_) => true,
                },
            }
        };
        self.at(&self.freezes, asking.moment.at).find(|order| match &order.kind {
            OrderKind::Freeze(scope) => covers(scope),
            OrderKind::Drill(_) | OrderKind::Exception(..) => false,
        })
    }

    /// An exception for this.
    fn exception(&self, asking: Asking<'_>, entrance: EntranceId) -> Option<&Order> {
        if self.exceptions.is_empty() || !asking.act.gives_access() {
            return None;
        }
        let places = self.exceptions.get(&(asking.caller.clone(), entrance))?;
        self.at(places, asking.moment.at).next()
    }

    /// What is said where this order decides.
    pub(super) fn evaluation(order: &Order) -> Evaluation {
        let reason = match order.kind {
            OrderKind::Freeze(_) | OrderKind::Drill(_) => Reason::Frozen,
            OrderKind::Exception(..) => Reason::AllowedByException,
        };
        Evaluation { reason, rules: [order.reference()].into() }
    }

    /// The order by which a question is answered, where that is not the policy, which has said this.
    #[must_use]
    pub fn deciding(
        &self,
        policy: &Policy,
        question: Question<'_>,
        said: Reason,
    ) -> Option<&Order> {
        let Question { caller, act, entrance, workspace, moment } = question;
        let asking = Asking { caller, act, workspace, moment };
        let objects = Objects::One(entrance);
        self.freeze(policy, asking, objects).or_else(|| self.excepting(asking, objects, said))
    }

    /// An exception for what the policy says nothing about.
    pub(super) fn excepting(
        &self,
        asking: Asking<'_>,
        objects: Objects<'_>,
        said: Reason,
    ) -> Option<&Order> {
        let Objects::One(entrance) = objects else { return None };
        self.exception(asking, entrance).filter(|_| said.is_silence())
    }
}

impl Policy {
    /// Whether a grant of this caller's for this entrance is within the scope.
    fn covers(
        &self,
        scope: &Scope,
        caller: &CallerId,
        entrance: EntranceId,
        workspace: Option<&WorkspaceName>,
    ) -> bool {
        match scope {
            Scope::Everything => true,
            Scope::Caller(only) => only == caller,
            Scope::Entrance(only) => *only == entrance,
            Scope::Zone(zone) => self.is_in(entrance, workspace, zone),
            Scope::Workspace(only) => self.is_within(workspace, only),
        }
    }

    /// A zone that the policy does not know could have any entrance in it, and is taken to.
    fn is_in(&self, entrance: EntranceId, of: Option<&WorkspaceName>, zone: &str) -> bool {
        let Some(zone) = self.rules.names.find(zone) else { return true };
        let names = [self.ids.entrance(entrance), self.ids.workspace(of)];
        names.into_iter().flatten().any(|name| self.graph.contains(name, zone))
    }

    /// So could a workspace that there is not: it may have had another name. Of a request it is not
    /// known in which it is where it is asked about without one.
    fn is_within(&self, workspace: Option<&WorkspaceName>, only: &WorkspaceName) -> bool {
        workspace.is_none_or(|workspace| workspace == only) || !self.has_workspace(only)
    }

    /// Whether there is a workspace of this name, as far as is known.
    #[must_use]
    pub fn has_workspace(&self, name: &WorkspaceName) -> bool {
        self.workspaces.as_ref().is_none_or(|known| known.contains(name))
    }

    /// Whether some rule or link names this zone, `zone:server-room`.
    #[must_use]
    pub fn knows_zone(&self, zone: &str) -> bool {
        zone.starts_with("zone:") && self.rules.names.find(zone).is_some()
    }

    /// Every zone that it names, sorted.
    #[must_use]
    pub fn zones(&self) -> Vec<&str> {
        self.named("zone:")
    }

    /// Every role, the same.
    #[must_use]
    pub fn roles(&self) -> Vec<&str> {
        self.named("role:")
    }

    fn named(&self, start: &str) -> Vec<&str> {
        let names = self.rules.names.all().map(|(_, text)| text);
        let mut named: Vec<&str> = names.filter(|text| text.starts_with(start)).collect();
        named.sort_unstable();
        named
    }

    /// The orders whose zone or workspace the policy does not know: nobody can tell what they are about.
    #[must_use]
    pub fn unclear<'o>(&self, orders: &'o Orders, at: Timestamp) -> Vec<&'o Order> {
        let is_unknown = |order: &&Order| {
            order.kind.zone().is_some_and(|zone| !self.knows_zone(zone))
                || order.kind.workspace().is_some_and(|name| !self.has_workspace(name))
        };
        orders.holding(at).filter(is_unknown).collect()
    }

    /// The orders in force that are about this caller or this entrance, where they name any.
    #[must_use]
    pub fn orders_about<'o>(
        &self,
        orders: &'o Orders,
        (caller, entrance): (Option<&CallerId>, Option<EntranceId>),
        workspace: Option<&WorkspaceName>,
        at: Timestamp,
    ) -> Vec<&'o Order> {
        let is_about = |order: &&Order| match &order.kind {
            OrderKind::Freeze(Scope::Caller(only)) => caller.is_none_or(|caller| caller == only),
            OrderKind::Freeze(scope) => match (caller, entrance) {
                (_, None) => true,
                (Some(caller), Some(entrance)) => self.covers(scope, caller, entrance, workspace),
                (None, Some(entrance)) => match scope {
                    Scope::Entrance(only) => *only == entrance,
                    Scope::Zone(zone) => self.is_in(entrance, workspace, zone),
                    Scope::Workspace(only) => self.is_within(workspace, only),
                    Scope::Everything | Scope::Caller(_) => true,
                },
            },
            OrderKind::Drill(_) => false,
            OrderKind::Exception(who, door) => {
                caller.is_none_or(|caller| caller == who) && entrance.is_none_or(|e| e == *door)
            }
        };
        orders.holding(at).filter(is_about).collect()
    }

    /// Why a grant that was permitted must not be sent any more, by the orders of now: it was
    /// frozen since, or its exception is over.
    #[must_use]
    pub fn stopped_since(
        &self,
        orders: &Orders,
        question: Question<'_>,
        permitted_by: Reason,
    ) -> Option<Reason> {
        let Question { caller, act, entrance, workspace, moment } = question;
        let asking = Asking { caller, act, workspace, moment };
        let by_exception = permitted_by == Reason::AllowedByException;
        if orders.is_empty() && !by_exception {
            return None;
        }
        if orders.freeze(self, asking, Objects::One(entrance)).is_some() {
            return Some(Reason::Frozen);
        }
        let is_over = by_exception && orders.exception(asking, entrance).is_none();
        is_over.then_some(Reason::NoRuleMatches)
    }

    /// Answers a question as these orders and the policy do together.
    #[must_use]
    pub fn evaluate_under(&self, question: Question<'_>, orders: &Orders) -> Evaluation {
        let evaluation = self.evaluate(question);
        let order = orders.deciding(self, question, evaluation.reason);
        order.map_or(evaluation, Orders::evaluation)
    }

    /// Decides one attempt while these orders are in force; else as [`Policy::decide_with`].
    #[must_use]
    pub fn decide_under(
        &self,
        attempt: super::Attempt,
        memo: &Memo,
        orders: &Orders,
    ) -> super::Decision {
        self.decide_by(attempt, Some(memo), (!orders.is_empty()).then_some(orders))
    }
}
