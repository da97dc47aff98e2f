//! What this gateway has taken of callers' budgets, and what becomes of it: no clock, no database.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::database::{Leased, Wanted};
use crate::domain::{Budget, CallerId, EntranceId, WhenAlone};

/// Of a budget, a gateway takes so many parts of its share at once: a crash wastes one.
const PARTS: u64 = 20;

const DAY: Duration = Duration::from_secs(86_400);

/// A budget that is used up is not asked for again within this.
const USED_UP_FOR: Duration = Duration::from_secs(1);

/// How a grant was paid for, to be given back where nothing of it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paid {
    /// Out of what was taken on a day of the database's.
    Leased(i32),
    /// Out of what a gateway may spend by itself on a day.
    Alone(i64),
}

/// Whether a grant is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pay {
    Paid(Paid),
    /// The database has to be asked.
    Ask,
    /// There is nothing left, for all gateways.
    UsedUp,
}

/// One grant, to be paid for.
#[derive(Debug, Clone)]
pub(super) struct Expense {
    pub(super) caller: CallerId,
    pub(super) door: EntranceId,
    pub(super) budget: Budget,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    leases: HashMap<CallerId, Lease>,
    alone: HashMap<CallerId, Alone>,
}

/// Of one caller's budget of a day.
#[derive(Debug)]
struct Lease {
    day: i32,
    until: Instant,
    had: u64,
    left: u64,
    /// What earlier processes took on this day.
    before: u64,
    /// What was asked for without an answer: it may have been taken.
    lost: u64,
    doors: HashSet<EntranceId>,
    /// There was nothing more at this time.
    used_up: Option<Instant>,
    /// More is on its way.
    is_asked: bool,
}

impl Lease {
    fn new(day: i32, before: u64, now: Instant) -> Self {
        Self {
            before,
            lost: 0,
            day,
            until: now,
            had: 0,
            left: 0,
            doors: HashSet::new(),
            used_up: None,
            is_asked: false,
        }
    }

    /// Whether there was nothing more a moment ago.
    fn is_used_up(&self, now: Instant) -> bool {
        self.used_up.is_some_and(|at| now.saturating_duration_since(at) < USED_UP_FOR)
    }
}

/// What was spent without the database, on one day by this gateway's clock.
#[derive(Debug, Default)]
struct Alone {
    day: i64,
    grants: u64,
    doors: HashSet<EntranceId>,
}

/// How many grants a gateway takes at once.
fn part(budget: Budget, gateways: u32) -> u64 {
    let share = u64::from(budget.grants.unwrap_or_default()) / PARTS / u64::from(gateways.max(1));
    share.max(1)
}

impl Table {
    fn lease(&mut self, caller: &CallerId, now: Instant) -> Option<&mut Lease> {
        self.leases.get_mut(caller).filter(|lease| lease.until > now)
    }

    /// Pays for a grant out of what was taken.
    pub(super) fn pay(&mut self, expense: &Expense, now: Instant) -> Pay {
        let Expense { caller, door, budget } = expense;
        let Some(lease) = self.lease(caller, now) else { return Pay::Ask };
        if budget.doors.is_some() && !lease.doors.contains(door) {
            return Pay::Ask;
        }
        match (budget.grants, lease.left) {
            (None, _) => Pay::Paid(Paid::Leased(lease.day)),
            (Some(_), 0) if lease.is_used_up(now) => Pay::UsedUp,
            (Some(_), 0) => Pay::Ask,
            (Some(_), _) => {
                lease.left -= 1;
                Pay::Paid(Paid::Leased(lease.day))
            }
        }
    }

    /// Whether more should be asked for before it is needed; true once, until there is an answer.
    pub(super) fn is_low(&mut self, expense: &Expense, gateways: u32, now: Instant) -> bool {
        let Expense { caller, budget, .. } = expense;
        let half = part(*budget, gateways) / 2;
        let Some(lease) = self.lease(caller, now) else { return false };
        let is_low = budget.grants.is_some() && lease.left < half;
        let asks = is_low && !lease.is_asked && !lease.is_used_up(now);
        lease.is_asked |= asks;
        asks
    }

    /// What to ask the database for: what this grant needs, or what the next ones will.
    pub(super) fn wanted(
        &mut self,
        expense: &Expense,
        (gateways, now, is_ahead): (u32, Instant, bool),
    ) -> Wanted {
        let Expense { caller, door, budget } = expense;
        let had = self.leases.get(caller).map(|lease| (lease.day, lease.before + lease.had));
        let has_some = self.lease(caller, now).is_some_and(|lease| lease.left > 0);
        let is_limited = budget.grants.is_some() && (is_ahead || !has_some);
        Wanted {
            had,
            grants: if is_limited { part(*budget, gateways) } else { 0 },
            door: (budget.doors.is_some() && !is_ahead).then_some(*door),
            budget: *budget,
        }
    }

    /// The database has answered; false where it has nothing more. What it says is never more than
    /// was asked for.
    pub(super) fn take(
        &mut self,
        caller: &CallerId,
        (wanted, leased): (&Wanted, &Leased),
        (asked, now): (Instant, Instant),
    ) -> bool {
        let grants = leased.grants.min(wanted.grants);
        let before = leased.taken.saturating_sub(grants);
        let known = self.leases.remove(caller).filter(|lease| lease.day == leased.day);
        let mut lease = known.unwrap_or_else(|| Lease::new(leased.day, before, now));
        // Taken by a question whose answer never came.
        let back = before.saturating_sub(lease.before).saturating_sub(lease.had).min(lease.lost);
        lease.lost = 0;
        let grants = grants + back;
        lease.until = asked + leased.lasts.min(DAY);
        lease.had = lease.had.saturating_add(grants);
        lease.left = lease.left.saturating_add(grants);
        lease.is_asked = false;
        lease.doors.extend(wanted.door.filter(|_| leased.door));
        let is_in = wanted.door.is_none() || leased.door;
        let has_more = wanted.grants == 0 || grants > 0;
        // Of an entrance that is not among those of the day no grants are given: that says nothing of
        // those that are.
        lease.used_up = (is_in && !has_more).then_some(now);
        self.leases.insert(caller.clone(), lease);
        is_in && has_more
    }

    /// No answer came to a question for so many.
    pub(super) fn unanswered(&mut self, caller: &CallerId, grants: u64) {
        if let Some(lease) = self.leases.get_mut(caller) {
            lease.is_asked = false;
            lease.lost = lease.lost.saturating_add(grants);
        }
    }

    /// Pays for a grant without the database, of which each gateway may spend its share by itself.
    pub(super) fn pay_alone(
        &mut self,
        expense: &Expense,
        when_alone: WhenAlone,
        (gateways, day): (u32, i64),
    ) -> Option<Paid> {
        let Expense { caller, door, budget } = expense;
        if when_alone == WhenAlone::Refuse {
            return None;
        }
        let spent = self.alone_on(caller, day);
        let share = |most: u32| u64::from(most) / u64::from(gateways.max(1));
        let doors = spent.doors.len() as u64 + u64::from(!spent.doors.contains(door));
        let fits = budget.grants.is_none_or(|most| spent.grants < share(most))
            && budget.doors.is_none_or(|most| doors <= share(most));
        fits.then(|| {
            spent.grants += 1;
            spent.doors.insert(*door);
            Paid::Alone(day)
        })
    }

    /// A grant of before this process began: whether it was paid for by a lease is not known.
    pub(super) fn recall(&mut self, caller: &CallerId, door: EntranceId, day: i64) {
        let spent = self.alone_on(caller, day);
        spent.grants = spent.grants.saturating_add(1);
        spent.doors.insert(door);
    }

    fn alone_on(&mut self, caller: &CallerId, day: i64) -> &mut Alone {
        let spent = self.alone.entry(caller.clone()).or_default();
        // A clock that was set back gives nobody a second share.
        if day > spent.day {
            *spent = Alone { day, ..Alone::default() };
        }
        spent
    }

    /// Nothing of it was sent. An entrance stays one of the day.
    pub(super) fn give_back(&mut self, caller: &CallerId, paid: Paid) {
        match paid {
            Paid::Leased(day) => {
                let lease = self.leases.get_mut(caller).filter(|lease| lease.day == day);
                if let Some(lease) = lease.filter(|lease| lease.left < lease.had) {
                    lease.left += 1;
                    lease.used_up = None;
                }
            }
            Paid::Alone(day) => {
                if let Some(spent) = self.alone.get_mut(caller).filter(|spent| spent.day == day) {
                    spent.grants = spent.grants.saturating_sub(1);
                }
            }
        }
    }

    /// All that is left, which is nobody's from now on.
    pub(super) fn unused(&mut self, now: Instant) -> Vec<(CallerId, (i32, u64))> {
        let all = std::mem::take(&mut self.leases).into_iter();
        let left = all.filter(|(_, lease)| lease.until > now && lease.left > 0);
        left.map(|(caller, lease)| (caller, (lease.day, lease.left))).collect()
    }
}
