//! Daily budgets: how many grants a caller may make on one day (UTC), and for how many
//! different entrances.
//!
//! A grant is spent when it is permitted, before its record, so that two at once cannot both
//! be the last one. It is given back when not a byte of it was sent.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;

use super::Gateway;
use crate::authn::Callers;
use crate::domain::{Budget, CallerId, EntranceId, Reason};
use crate::fleet::{Leases, Paid};
use crate::policy::Decision;

/// What was spent today, by each caller that has a budget.
#[derive(Default)]
pub struct Budgets {
    /// Of callers that have none of their own.
    default: Budget,
    today: Mutex<Today>,
    /// Where they hold for all gateways together.
    leases: Option<Leases>,
}

#[derive(Debug, Default)]
struct Today {
    /// Days since 1970.
    day: i64,
    /// Since when these are counted, by a clock that nobody sets.
    since: Option<Instant>,
    spent: HashMap<CallerId, Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    grants: u32,
    /// How many grants for each.
    doors: HashMap<EntranceId, u32>,
}

const DAY: Duration = Duration::from_secs(86_400);

/// A grant that was spent, to be given back where nothing of it was sent.
#[derive(Debug)]
pub(super) struct Expense {
    caller: CallerId,
    entrance: EntranceId,
    at: Timestamp,
    /// Where budgets are shared.
    paid: Option<Paid>,
}

/// The day of a time, in UTC, counted from 1970.
fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

/// When the day of a time begins.
#[must_use]
pub fn midnight(at: Timestamp) -> Timestamp {
    Timestamp::from_second(day_of(at) * 86_400).unwrap_or(Timestamp::MIN)
}

impl Budgets {
    /// Nothing is spent yet.
    #[must_use]
    pub fn new(default: Budget) -> Self {
        Self { default, ..Self::default() }
    }

    /// Budgets hold for all gateways together.
    #[must_use]
    pub fn shared_by(self, leases: Option<Leases>) -> Self {
        Self { leases, ..self }
    }

    /// The budget of a caller.
    #[must_use]
    pub fn of(&self, callers: &Callers, caller: &CallerId) -> Budget {
        callers.budget(caller).or(self.default)
    }

    /// Spends a grant that was made before this process began; nothing where that was on another
    /// day than now.
    pub fn recall(
        &self,
        caller: &CallerId,
        entrance: EntranceId,
        (at, now): (Timestamp, Timestamp),
    ) {
        if day_of(at) == day_of(now) {
            self.spend(Budget::default(), caller, entrance, at);
            if let Some(leases) = &self.leases {
                leases.recall(caller, entrance, day_of(at));
            }
        }
    }

    /// Spends one grant; false where that is more than the budget.
    fn spend(
        &self,
        budget: Budget,
        caller: &CallerId,
        entrance: EntranceId,
        at: Timestamp,
    ) -> bool {
        let (mut today, day) = (self.today.lock(), day_of(at));
        // A clock that was set back gives nobody a second budget; one that was ahead for a moment
        // does not take those of the days to come.
        let is_old = today.since.is_none_or(|since| since.elapsed() >= DAY);
        if day > today.day || day != today.day && is_old {
            *today = Today { day, since: Some(Instant::now()), spent: HashMap::new() };
        }
        if !today.spent.contains_key(caller) {
            today.spent.insert(caller.clone(), Spent::default());
        }
        let Some(spent) = today.spent.get_mut(caller) else { return false };
        let is_new = !spent.doors.contains_key(&entrance);
        let doors = spent.doors.len() + usize::from(is_new);
        let fits = |max: Option<u32>, count: usize| {
            max.is_none_or(|max| usize::try_from(max).is_ok_and(|max| count <= max))
        };
        let grants = usize::try_from(spent.grants).unwrap_or(usize::MAX).saturating_add(1);
        if !fits(budget.grants, grants) || !fits(budget.doors, doors) {
            return false;
        }
        spent.grants = spent.grants.saturating_add(1);
        *spent.doors.entry(entrance).or_default() += 1;
        true
    }

    /// Gives a grant back: nothing of it was sent.
    pub(super) fn give_back(&self, expense: Option<Expense>) {
        let Some(Expense { caller, entrance, at, paid }) = expense else { return };
        if let Some((leases, paid)) = self.leases.as_ref().zip(paid) {
            leases.give_back(&caller, paid);
        }
        let mut today = self.today.lock();
        if day_of(at) != today.day {
            return;
        }
        let Some(spent) = today.spent.get_mut(&caller) else { return };
        spent.grants = spent.grants.saturating_sub(1);
        if let Some(count) = spent.doors.get_mut(&entrance) {
            *count -= 1;
            if *count == 0 {
                spent.doors.remove(&entrance);
            }
        }
    }
}

impl Gateway {
    /// The decision, with what a permit costs of the caller's budget of the day; or a denial,
    /// where that is more than is left.
    pub(super) async fn within_budget(
        &self,
        callers: &Callers,
        decision: Decision,
    ) -> (Decision, Option<Expense>) {
        let Decision::Permit(permit) = decision else { return (decision, None) };
        let attempt = permit.attempt();
        let (caller, act) = (attempt.principal.caller(), attempt.request.operation().act());
        let budget = self.budgets.of(callers, caller);
        let limited = attempt.request.entrance().filter(|_| act.gives_access());
        let Some(entrance) = limited.filter(|_| !budget.is_unlimited()) else {
            return (Decision::Permit(permit), None);
        };
        let at = attempt.at;
        if !self.budgets.spend(budget, caller, entrance, at) {
            return (Decision::Denial(permit.refuse(Reason::BudgetExhausted)), None);
        }
        let mut expense = Expense { caller: caller.clone(), entrance, at, paid: None };
        if let Some(leases) = &self.budgets.leases {
            // Boxed: it may wait, and most requests have no such budget.
            let paying = Box::pin(leases.pay(caller, entrance, (budget, day_of(at))));
            match paying.await {
                Ok(paid) => expense.paid = Some(paid),
                Err(reason) => {
                    self.budgets.give_back(Some(expense));
                    return (Decision::Denial(permit.refuse(reason)), None);
                }
            }
        }
        (Decision::Permit(permit), Some(expense))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn caller(id: &str) -> CallerId {
        CallerId::parse(id).unwrap()
    }

    fn door(n: u8) -> EntranceId {
        EntranceId::parse(&format!("d23d7180-c1ee-4bbe-8630-05df5031ce{n:02x}")).unwrap()
    }

    const BUDGET: Budget = Budget { grants: Some(3), doors: Some(2) };

    #[test]
    fn grants_and_doors_of_one_day_are_counted_for_each_caller() {
        let budgets = Budgets::new(Budget::default());
        let (desk, rota) = (caller("desk"), caller("rota"));
        let noon = at("2026-11-28T12:00:00Z");
        let spend = |who: &CallerId, n: u8, at| budgets.spend(BUDGET, who, door(n), at);
        assert!(spend(&desk, 1, noon) && spend(&desk, 2, noon));
        assert!(!spend(&desk, 3, noon), "a third door");
        assert!(spend(&desk, 1, noon), "a door that it had");
        assert!(!spend(&desk, 1, noon), "a fourth grant");
        assert!(spend(&rota, 3, noon), "another caller");
        let last = at("2026-11-28T23:59:59.999Z");
        assert!(!spend(&desk, 1, last));
        let next = at("2026-11-29T00:00:00Z");
        assert!(spend(&desk, 3, next), "another day");
        assert!(spend(&desk, 3, last), "a clock that was set back counts for the later day");
        assert!(spend(&desk, 3, next) && !spend(&desk, 3, next));
    }

    #[test]
    fn what_was_not_sent_is_given_back_on_its_own_day() {
        let budgets = Budgets::new(Budget::default());
        let (desk, noon) = (caller("desk"), at("2026-11-28T12:00:00Z"));
        assert!(budgets.spend(BUDGET, &desk, door(1), noon));
        assert!(budgets.spend(BUDGET, &desk, door(2), noon));
        budgets.give_back(Some(Expense {
            caller: desk.clone(),
            entrance: door(2),
            at: noon,
            paid: None,
        }));
        assert!(budgets.spend(BUDGET, &desk, door(3), noon), "the door is given back, too");
        let next = at("2026-11-29T00:00:00Z");
        for _ in 0..3 {
            assert!(budgets.spend(BUDGET, &desk, door(1), next));
        }
        budgets.give_back(Some(Expense {
            caller: desk.clone(),
            entrance: door(3),
            at: noon,
            paid: None,
        }));
        assert!(!budgets.spend(BUDGET, &desk, door(1), next), "yesterday's is not today's");
        budgets.give_back(Some(Expense {
            caller: caller("nobody"),
            entrance: door(1),
            at: next,
            paid: None,
        }));
    }

    #[test]
    fn what_was_recalled_counts_beyond_any_budget() {
        let budgets = Budgets::new(Budget::default());
        let (desk, noon) = (caller("desk"), at("2026-11-28T12:00:00Z"));
        for n in 0..9 {
            budgets.recall(&desk, door(n), (noon, noon));
        }
        // By a clock that was ahead: they take nothing away of what counts.
        budgets.recall(&desk, door(1), (at("2026-11-29T00:00:00Z"), noon));
        assert!(!budgets.spend(BUDGET, &desk, door(1), noon));
        assert_eq!(midnight(noon), at("2026-11-28T00:00:00Z"));
    }
}
