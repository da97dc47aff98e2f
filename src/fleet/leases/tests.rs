//! Any number of gateways, and a database that loses answers, hangs, and falls back: what is paid for
//! together is never more than the budget.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::database::{Access, Address, Files, Leased, Wanted};
use crate::domain::Secret;
use crate::telemetry::{ClosedSets, Metrics};

const GATEWAYS: usize = 3;

fn caller() -> CallerId {
    CallerId::parse("visitor-desk").unwrap()
}

fn door(n: u8) -> EntranceId {
    EntranceId::parse(&format!("d23d7180-c1ee-4bbe-8630-05df5031ce{n:02x}")).unwrap()
}

/// What `lease_1` does.
#[derive(Debug, Clone, Default)]
struct Model {
    leases: BTreeMap<usize, u64>,
    doors: BTreeSet<u128>,
}

const DAY: i32 = 9_000;

impl Model {
    fn lease(&mut self, gateway: usize, wanted: &Wanted) -> Leased {
        let Wanted { had, grants, door, budget } = *wanted;
        let mut is_in = true;
        if let Some(door) = door {
            let most = budget.doors.map_or(usize::MAX, |most| most as usize);
            is_in = self.doors.contains(&door.as_u128()) || self.doors.len() < most;
            if is_in {
                self.doors.insert(door.as_u128());
            }
        }
        let others: u64 =
            self.leases.iter().filter(|(who, _)| **who != gateway).map(|(_, n)| n).sum();
        let own = self.leases.get(&gateway).copied().unwrap_or_default();
        let own = own.max(had.filter(|(day, _)| *day == DAY).map_or(0, |(_, had)| had));
        let most = budget.grants.map_or(u64::MAX, u64::from);
        let given = if is_in { grants.min(most.saturating_sub(others + own)) } else { 0 };
        let taken = own + given;
        self.leases.insert(gateway, taken);
        Leased { grants: given, taken, door: is_in, day: DAY, lasts: Duration::from_secs(3_600) }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A grant at a gateway, for a door.
    Grant(usize, u8),
    /// The same, and the answer of the database gets lost.
    Lost(usize, u8),
    /// The same, and the database cannot be reached.
    CutOff(usize, u8),
    /// The last grant at a gateway was not sent.
    NotSent(usize),
    /// The database falls back to what it was when this was last said.
    Falls,
    Copied,
    /// A gateway is killed.
    Killed(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let at = || (0..GATEWAYS, 0..6_u8);
    prop_oneof![
        12 => at().prop_map(|(gateway, door)| Step::Grant(gateway, door)),
        2 => at().prop_map(|(gateway, door)| Step::Lost(gateway, door)),
        2 => at().prop_map(|(gateway, door)| Step::CutOff(gateway, door)),
        1 => (0..GATEWAYS).prop_map(Step::NotSent),
        1 => Just(Step::Falls),
        1 => Just(Step::Copied),
        1 => (0..GATEWAYS).prop_map(Step::Killed),
    ]
}

/// What came of a run.
#[derive(Default)]
struct Run {
    leased: u64,
    alone: [u64; GATEWAYS],
    doors: BTreeSet<u128>,
    /// What the database has forgotten was taken.
    forgotten: u64,
    forgotten_doors: usize,
}

/// All there is.
struct World {
    budget: Budget,
    when_alone: WhenAlone,
    model: Model,
    copy: Model,
    tables: [Table; GATEWAYS],
    paid: [Vec<Paid>; GATEWAYS],
    run: Run,
    now: Instant,
}

fn run(steps: &[Step], budget: Budget, when_alone: WhenAlone) -> Run {
    let mut world = World {
        budget,
        when_alone,
        model: Model::default(),
        copy: Model::default(),
        tables: Default::default(),
        paid: Default::default(),
        run: Run::default(),
        now: Instant::now(),
    };
    steps.iter().for_each(|step| world.step(step));
    world.run
}

impl World {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Grant(gateway, door) => self.grant(gateway, door, Answers::Comes),
            Step::Lost(gateway, door) => self.grant(gateway, door, Answers::IsLost),
            Step::CutOff(gateway, door) => self.grant(gateway, door, Answers::Never),
            Step::NotSent(gateway) => {
                let Some(last) = self.paid[gateway].pop() else { return };
                self.tables[gateway].give_back(&caller(), last);
                match last {
                    Paid::Leased(_) => self.run.leased -= 1,
                    Paid::Alone(_) => self.run.alone[gateway] -= 1,
                }
            }
            Step::Falls => {
                let taken = |of: &Model| of.leases.values().sum::<u64>();
                let (model, copy) = (&self.model, &self.copy);
                self.run.forgotten += taken(model).saturating_sub(taken(copy));
                self.run.forgotten_doors += model.doors.len() - copy.doors.len();
                self.model = self.copy.clone();
            }
            Step::Copied => self.copy = self.model.clone(),
            Step::Killed(gateway) => {
                self.tables[gateway] = Table::default();
                for _ in 0..self.run.alone[gateway] {
                    self.tables[gateway].recall(&caller(), door(0), 1);
                }
                self.paid[gateway].clear();
            }
        }
    }

    fn grant(&mut self, gateway: usize, which: u8, answers: Answers) {
        let gateways = u32::try_from(GATEWAYS).unwrap();
        let (table, now) = (&mut self.tables[gateway], self.now);
        let expense = Expense { caller: caller(), door: door(which), budget: self.budget };
        let mut pay = table.pay(&expense, now);
        if pay == Pay::Ask && answers != Answers::Never {
            let wanted = table.wanted(&expense, (gateways, now, false));
            let leased = self.model.lease(gateway, &wanted);
            if answers == Answers::IsLost {
                table.unanswered(&caller(), wanted.grants);
            } else {
                pay = match table.take(&caller(), (&wanted, &leased), (now, now)) {
                    true => table.pay(&expense, now),
                    false => Pay::UsedUp,
                };
            }
        }
        let how = match pay {
            Pay::Paid(how) => how,
            Pay::UsedUp => return,
            Pay::Ask => match table.pay_alone(&expense, self.when_alone, (gateways, 1)) {
                Some(how) => how,
                None => return,
            },
        };
        self.paid[gateway].push(how);
        match how {
            Paid::Leased(_) => {
                self.run.leased += 1;
                self.run.doors.insert(expense.door.as_u128());
            }
            Paid::Alone(_) => self.run.alone[gateway] += 1,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    Comes,
    IsLost,
    Never,
}

proptest! {
    #[test]
    fn together_they_spend_no_more_than_the_budget(
        steps in proptest::collection::vec(step(), 0..200),
        grants in 1..80_u32,
        doors in proptest::option::of(1..6_u32),
        shares: bool,
    ) {
        let budget = Budget { grants: Some(grants), doors };
        let when_alone = if shares { WhenAlone::Share } else { WhenAlone::Refuse };
        let run = run(&steps, budget, when_alone);
        let most = u64::from(grants) + run.forgotten;
        prop_assert!(run.leased <= most, "{} of {most}", run.leased);
        let most = doors.map(|doors| doors as usize + run.forgotten_doors);
        prop_assert!(most.is_none_or(|most| run.doors.len() <= most), "{:?} of {most:?}", run.doors);
        let share = if shares { u64::from(grants) / GATEWAYS as u64 } else { 0 };
        prop_assert!(run.alone.iter().all(|alone| *alone <= share), "{:?} of {share}", run.alone);
    }

    /// Nothing is lost to a caller where nothing fails.
    #[test]
    fn together_they_spend_all_of_it(grants in 1..80_u32, order in proptest::collection::vec(0..GATEWAYS, 400)) {
        let steps: Vec<Step> = order.iter().map(|gateway| Step::Grant(*gateway, 0)).collect();
        let run = run(&steps, Budget { grants: Some(grants), doors: None }, WhenAlone::Refuse);
        // What others have taken and did not need yet.
        let idle = (GATEWAYS as u64 - 1) * (u64::from(grants) / 20 / GATEWAYS as u64).max(1);
        prop_assert!(run.leased + idle >= u64::from(grants), "{} of {grants}", run.leased);
    }
}

fn expense(grants: Option<u32>, doors: Option<u32>) -> Expense {
    Expense { caller: caller(), door: door(1), budget: Budget { grants, doors } }
}

/// To a gateway that has `before`.
fn answer(grants: u64, day: i32, before: u64) -> Leased {
    let taken = before + grants;
    Leased { grants, taken, door: true, day, lasts: Duration::from_secs(60) }
}

#[test]
fn a_lease_ends_with_its_day_and_is_asked_for_before_it_is_needed() {
    let (mut table, expense, now) = (Table::default(), expense(Some(800), None), Instant::now());
    let wanted = table.wanted(&expense, (2, now, false));
    assert_eq!((wanted.grants, wanted.had), (20, None));
    assert!(table.take(&caller(), (&wanted, &answer(20, 1, 0)), (now, now)));
    for left in (0..20).rev() {
        assert_eq!(table.pay(&expense, now), Pay::Paid(Paid::Leased(1)));
        // Once, when it has come to less than half.
        assert_eq!(table.is_low(&expense, 2, now), left == 9, "{left}");
    }
    assert_eq!(table.pay(&expense, now), Pay::Ask);
    let wanted = table.wanted(&expense, (2, now, false));
    assert_eq!(wanted.had, Some((1, 20)));
    assert!(table.take(&caller(), (&wanted, &answer(20, 1, 20)), (now, now)));
    let tomorrow = now + Duration::from_secs(61);
    assert_eq!(table.pay(&expense, tomorrow), Pay::Ask, "it was of yesterday");
    let wanted = table.wanted(&expense, (2, tomorrow, false));
    assert!(table.take(&caller(), (&wanted, &answer(20, 2, 0)), (tomorrow, tomorrow)));
    table.give_back(&caller(), Paid::Leased(1));
    assert_eq!(
        table.unused(tomorrow),
        [(caller(), (2, 20))],
        "what is of yesterday comes back to nobody"
    );
}

/// A database that lies gives no more than was asked for, and no longer than for a day.
#[test]
fn a_database_is_believed_so_far() {
    let (mut table, expense, now) = (Table::default(), expense(Some(40), None), Instant::now());
    let wanted = table.wanted(&expense, (1, now, false));
    let lasts = Duration::MAX;
    let lies = Leased { lasts, ..answer(u64::MAX / 2, 1, 0) };
    assert!(table.take(&caller(), (&wanted, &lies), (now, now)));
    assert_eq!(table.unused(now + Duration::from_secs(1)), [(caller(), (1, 2))]);
    assert!(table.take(&caller(), (&wanted, &lies), (now, now)));
    assert!(table.unused(now + Duration::from_secs(86_400)).is_empty());
}

#[test]
fn what_is_used_up_is_asked_for_again_after_a_second() {
    let (mut table, expense, now) = (Table::default(), expense(Some(5), None), Instant::now());
    let wanted = table.wanted(&expense, (1, now, false));
    assert!(!table.take(&caller(), (&wanted, &answer(0, 1, 5)), (now, now)));
    assert_eq!(table.pay(&expense, now), Pay::UsedUp);
    assert!(!table.is_low(&expense, 1, now));
    assert_eq!(table.pay(&expense, now + Duration::from_secs(1)), Pay::Ask);
}

#[test]
fn an_entrance_is_asked_for_once_a_day_and_no_grants_with_it_where_there_are_some() {
    let (mut table, now) = (Table::default(), Instant::now());
    let mut expense = expense(Some(40), Some(2));
    let wanted = table.wanted(&expense, (1, now, false));
    assert_eq!((wanted.grants, wanted.door), (2, Some(door(1))));
    assert!(table.take(&caller(), (&wanted, &answer(2, 1, 0)), (now, now)));
    assert_eq!(table.pay(&expense, now), Pay::Paid(Paid::Leased(1)));
    expense.door = door(2);
    assert_eq!(table.pay(&expense, now), Pay::Ask);
    let wanted = table.wanted(&expense, (1, now, false));
    assert_eq!((wanted.grants, wanted.door), (0, Some(door(2))));
    let no = Leased { door: false, ..answer(0, 1, 2) };
    assert!(!table.take(&caller(), (&wanted, &no), (now, now)));
    assert_eq!(table.pay(&expense, now), Pay::Ask, "another gateway may have had it");
    expense.door = door(1);
    assert_eq!(table.pay(&expense, now), Pay::Paid(Paid::Leased(1)));
}

/// What a question took whose answer got lost comes back with the next one: nothing of a budget is lost
/// to its caller while the database is slow.
#[test]
fn what_was_taken_without_an_answer_is_found_again() {
    let (mut table, expense, now) = (Table::default(), expense(Some(40), None), Instant::now());
    let wanted = table.wanted(&expense, (1, now, false));
    assert!(
        table.take(&caller(), (&wanted, &answer(2, 1, 6)), (now, now)),
        "six by an earlier process"
    );
    for _ in 0..2 {
        assert_eq!(table.pay(&expense, now), Pay::Paid(Paid::Leased(1)));
    }
    for _ in 0..3 {
        table.unanswered(&caller(), 2);
    }
    // Two of the three had come to the database.
    let wanted = table.wanted(&expense, (1, now, false));
    assert_eq!(wanted.had, Some((1, 8)), "a database that fell back is to hear of all of it");
    assert!(table.take(&caller(), (&wanted, &answer(2, 1, 12)), (now, now)));
    assert_eq!(table.unused(now + Duration::from_secs(1)), [(caller(), (1, 6))]);
}

/// Asking for what is not among the entrances of the day says nothing of those that are.
#[test]
fn an_entrance_that_is_refused_uses_nothing_up() {
    let (mut table, now) = (Table::default(), Instant::now());
    let mut expense = expense(Some(40), Some(1));
    let wanted = table.wanted(&expense, (1, now, false));
    assert!(table.take(&caller(), (&wanted, &answer(1, 1, 0)), (now, now)));
    assert_eq!(table.pay(&expense, now), Pay::Paid(Paid::Leased(1)));
    expense.door = door(2);
    let wanted = table.wanted(&expense, (1, now, false));
    let no = Leased { door: false, ..answer(0, 1, 1) };
    assert!(!table.take(&caller(), (&wanted, &no), (now, now)));
    expense.door = door(1);
    assert_eq!(table.pay(&expense, now), Pay::Ask);
}

/// A day ends when it does, however late the answer came that says so.
#[test]
fn an_answer_that_comes_late_lengthens_no_day() {
    let (mut table, expense, asked) = (Table::default(), expense(Some(40), None), Instant::now());
    let wanted = table.wanted(&expense, (1, asked, false));
    let now = asked + Duration::from_secs(15);
    assert!(table.take(&caller(), (&wanted, &answer(2, 1, 0)), (asked, now)));
    assert_eq!(table.pay(&expense, now), Pay::Paid(Paid::Leased(1)));
    assert_eq!(table.pay(&expense, asked + Duration::from_secs(60)), Pay::Ask);
}

/// A database that nobody listens for.
fn leases(when_alone: WhenAlone) -> Leases {
    let address = Address::parse("postgresql://gate@/grantgate?host=/nowhere").unwrap();
    let files = Files { address, password_file: None, ca_file: None };
    let link = Arc::new(Link::new(Access::load(&files).unwrap()));
    let log = Log {
        replica: uuid::Uuid::nil(),
        name: "north".into(),
        origin: "north".into(),
        verifier_key: String::new(),
        token: Secret::new(String::new()),
    };
    let metrics = Metrics::new(&ClosedSets::default()).unwrap().leases;
    Leases::new((link, Arc::new(log)), Arc::default(), when_alone, metrics).0
}

/// While the database answers, nobody spends by itself who only has not had its turn.
#[tokio::test]
async fn who_waits_for_its_turn_in_vain_is_not_alone() {
    let (leases, budget) = (leases(WhenAlone::Share), Budget { grants: Some(4), doors: None });
    let turn = leases.0.turn(&caller()).lock_owned().await;
    let waited = leases.pay(&caller(), door(1), (budget, 1)).await;
    assert_eq!(waited, Err(Reason::BudgetUnconfirmed));
    drop(turn);
    for _ in 0..4 {
        assert_eq!(leases.pay(&caller(), door(1), (budget, 1)).await, Ok(Paid::Alone(1)));
    }
    let beyond = leases.pay(&caller(), door(1), (budget, 1)).await;
    assert_eq!(beyond, Err(Reason::BudgetUnconfirmed));
}
