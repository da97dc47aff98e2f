use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot::error::TryRecvError;

use super::table::{Asked, Grant};
use super::*;
use crate::audit::search::{AttemptNews, GrantAttempt};
use crate::audit::{Journal, JournalSettings, MemoryStore, NoObserver, Started};
use crate::domain::{
    CallerId, EntranceId, Grantee, GranteeKind, Operation, Revision, SystemClock, UserIdentityId,
    WorkspaceName,
};

const LOBBY: &str = "d23d7180-c1ee-4bbe-8630-05df5031ce35";
const HOUR: Duration = Duration::from_secs(3600);

fn journal() -> Journal {
    let (clock, observer) = (Arc::new(SystemClock), Arc::new(NoObserver));
    let (settings, revision) = (JournalSettings::default(), Revision::from_sha256(&[0]));
    let opened =
        Journal::open(MemoryStore::default(), settings, &revision, clock, observer).unwrap();
    let Started { journal, .. } = opened;
    journal
}

fn person(number: u128) -> Grantee {
    Grantee::UserIdentity(UserIdentityId::from(uuid::Uuid::from_u128(number)))
}

/// A table, and what is asked of it.
struct Bench {
    table: Table,
    journal: Journal,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self::bounded(100, 1_000)
    }

    fn bounded(of_caller: usize, of_all: usize) -> Self {
        let bounds = Bounds { window: HOUR, of_caller, of_all };
        Self { table: Table::new(bounds), journal: journal(), now: Instant::now() }
    }

    fn grant(&self, caller: &str, number: u128) -> Grant {
        let asked = Asked {
            operation: Operation::GrantAccess,
            workspace: None,
            entrance: EntranceId::parse(LOBBY).unwrap(),
            grantee: self.journal.mark(person(number)),
        };
        Grant { caller: CallerId::parse(caller).unwrap(), asked }
    }

    fn begin(&mut self, caller: &str, number: u128, key: &str) -> Begun {
        let (grant, key) = (self.grant(caller, number), IdempotencyKey::of_record(key));
        self.table.begin(&grant, key.as_ref(), self.now)
    }

    /// What it comes to, in a word.
    fn ask(&mut self, number: u128, key: &str) -> String {
        said(self.begin("desk", number, key))
    }

    fn end(&mut self, number: u128, seq: u64, outcome: Outcome) {
        let grant = self.grant("desk", number);
        self.table.recorded(&grant, seq);
        drop(self.table.finish(&grant, outcome, self.now));
    }

    /// Sends one that nobody asked for before.
    fn sent(&mut self, number: u128, key: &str, seq: u64, outcome: Outcome) {
        assert_eq!(self.ask(number, key), "leads");
        self.end(number, seq, outcome);
    }
}

fn said(begun: Begun) -> String {
    match begun {
        Begun::Leads => "leads".into(),
        Begun::Joins(_) => "joins".into(),
        Begun::Known(Known::Granted(seq)) => format!("granted {seq}"),
        Begun::Known(Known::Unknown(seq)) => format!("unknown {seq}"),
        Begun::Refused(reason) => reason.as_str().into(),
    }
}

#[test]
fn what_is_in_flight_is_joined_by_the_same_caller_only() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask(1, ""), "leads");
    for key in ["", "a", "b", "a"] {
        assert_eq!(bench.ask(1, key), "joins", "{key}");
    }
    assert_eq!(bench.ask(2, ""), "leads", "another person");
    assert_eq!(said(bench.begin("kiosk", 1, "a")), "leads", "another caller");
    bench.end(1, 7, Outcome::Granted);
    for key in ["a", "b"] {
        assert_eq!(bench.ask(1, key), "granted 7", "who joined is remembered too");
    }
    assert_eq!(bench.ask(1, ""), "leads", "without a key a grant is made as often as it is asked");
}

#[test]
fn a_key_is_of_one_grant() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask(1, "a"), "leads");
    assert_eq!(bench.ask(2, "a"), "idempotency-key-reused", "in flight");
    for (seq, outcome) in [
        (7, Outcome::Rejected),
        (8, Outcome::Unknown),
        (9, Outcome::NotSent),
        (9, Outcome::Granted),
    ] {
        bench.end(1, seq, outcome);
        assert_eq!(bench.ask(2, "a"), "idempotency-key-reused", "{outcome:?}");
        if outcome == Outcome::Unknown {
            bench.table.resolved(8, Resolution::Absent);
        }
        if outcome != Outcome::Granted {
            assert_eq!(bench.ask(1, "a"), "leads", "{outcome:?}");
        }
    }
    bench.now += HOUR;
    assert_eq!(bench.ask(2, "a"), "leads", "it is forgotten");
}

#[test]
fn what_is_unknown_is_sent_again_by_a_new_key_only() {
    let mut bench = Bench::new();
    bench.sent(1, "", 7, Outcome::Unknown);
    bench.sent(2, "a", 8, Outcome::Unknown);
    bench.sent(3, "old", 9, Outcome::Rejected);
    bench.sent(3, "", 10, Outcome::Unknown);
    assert_eq!(
        [bench.ask(1, ""), bench.ask(2, "a"), bench.ask(2, "")],
        ["unknown 7", "unknown 8", "unknown 8"]
    );
    assert_eq!(bench.ask(3, "old"), "unknown 10", "a key of before is not a new one");
    // One that did not come through changes nothing of that.
    for (seq, outcome) in [(11, Outcome::NotSent), (12, Outcome::Rejected)] {
        bench.sent(1, &format!("{seq}"), seq, outcome);
        assert_eq!(bench.ask(1, ""), "unknown 7", "{outcome:?}");
    }
    bench.sent(1, "c", 13, Outcome::Granted);
    assert_eq!(bench.ask(1, "c"), "granted 13");
    bench.sent(1, "", 14, Outcome::Granted);
    bench.sent(2, "d", 15, Outcome::Unknown);
    assert_eq!(
        [bench.ask(2, "a"), bench.ask(2, "d"), bench.ask(2, "")],
        ["unknown 8", "unknown 15", "unknown 15"]
    );
    bench.now += HOUR;
    for number in 1..=3 {
        assert_eq!(bench.ask(number, ""), "leads", "it is forgotten");
        bench.end(number, 20, Outcome::Granted);
    }
    assert_eq!((bench.table.keys(), bench.table.doubts()), (0, 0));
}

#[test]
fn what_is_found_out_later_counts() {
    for (resolution, unnamed, named) in [
        (Resolution::Granted, "granted 7", "granted 7"),
        (Resolution::CannotTell, "unknown 7", "unknown 7"),
        (Resolution::Absent, "leads", "joins"),
    ] {
        let mut bench = Bench::new();
        bench.sent(1, "a", 7, Outcome::Unknown);
        bench.table.resolved(7, resolution);
        bench.table.resolved(99, Resolution::Granted);
        if resolution == Resolution::Granted {
            bench.table.resolved(7, Resolution::Absent);
        }
        assert_eq!(bench.ask(1, ""), unnamed);
        assert_eq!(bench.ask(1, "a"), named);
    }
}

#[test]
fn no_more_is_remembered_than_there_is_room_for_and_nothing_forgotten_for_it() {
    let mut bench = Bench::bounded(2, 3);
    bench.sent(1, "a", 1, Outcome::Granted);
    bench.sent(2, "b", 2, Outcome::Granted);
    assert_eq!(bench.ask(3, "c"), "idempotency-keys-exhausted");
    assert_eq!(bench.ask(3, ""), "leads", "without a key");
    assert_eq!(bench.ask(3, "c"), "idempotency-keys-exhausted", "nor does it join");
    assert_eq!([bench.ask(1, "a"), bench.ask(2, "b")], ["granted 1", "granted 2"]);
    assert_eq!(said(bench.begin("kiosk", 1, "a")), "leads", "another caller");
    assert_eq!(said(bench.begin("rota", 1, "a")), "idempotency-keys-exhausted", "of all");
    bench.now += HOUR;
    assert_eq!(bench.ask(4, "c"), "leads");
    // And of what is unknown.
    let mut bench = Bench::bounded(2, 3);
    bench.sent(1, "", 1, Outcome::Unknown);
    bench.sent(2, "", 2, Outcome::Unknown);
    assert_eq!(bench.ask(3, ""), "idempotency-keys-exhausted");
    assert_eq!(bench.ask(1, "a"), "leads", "one of these can be tried again");
    bench.end(1, 3, Outcome::Granted);
    assert_eq!(bench.ask(3, ""), "leads");
    bench.now += HOUR;
    assert_eq!([bench.ask(4, ""), bench.ask(5, "")], ["leads", "leads"]);
}

#[test]
fn what_lasts_longer_than_the_window_keeps_its_place_and_its_key() {
    let mut bench = Bench::new();
    bench.sent(1, "", 1, Outcome::Unknown);
    bench.sent(1, "a", 2, Outcome::Granted);
    assert_eq!(bench.ask(2, "b"), "leads");
    bench.now += 2 * HOUR;
    assert_eq!(bench.ask(2, ""), "joins");
    assert_eq!(bench.ask(3, "b"), "idempotency-key-reused");
    bench.end(2, 3, Outcome::Granted);
    bench.now += HOUR / 2;
    assert_eq!(bench.ask(2, "b"), "granted 3", "its time begins when it ends");
}

fn place<'d>(duplicates: &'d Duplicates, grant: &Grant) -> Place<'d> {
    assert_eq!(said(duplicates.begin(grant, IdempotencyKey::of_record("a").as_ref())), "leads");
    Place { duplicates, grant: Some(grant.clone()) }
}

fn settings() -> IdempotencySettings {
    IdempotencySettings { window: HOUR, keys_per_caller_max: 10, keys_max: 10, shared: false }
}

#[test]
fn however_a_request_ends_its_place_is_free_and_who_waits_is_told() {
    let (bench, duplicates) = (Bench::new(), Duplicates::new(&settings()));
    let grant = bench.grant("desk", 1);
    let join = || {
        let Begun::Joins(receiver) = duplicates.begin(&grant, None) else { panic!("it is free") };
        receiver
    };
    // Given up before it was recorded: nothing was sent.
    let leads = place(&duplicates, &grant);
    let mut told = join();
    assert_eq!(told.try_recv().unwrap_err(), TryRecvError::Empty);
    drop(leads);
    let said_to = told.try_recv().unwrap();
    assert_eq!((said_to.outcome, said_to.seq), (Outcome::NotSent, None));
    // Refused.
    let leads = place(&duplicates, &grant);
    let mut told = join();
    leads.refused(Reason::AuditUnavailable);
    let said_to = told.try_recv().unwrap();
    assert_eq!((said_to.outcome, said_to.reason), (Outcome::NotSent, Reason::AuditUnavailable));
    // Given up after it was: nobody knows.
    let leads = place(&duplicates, &grant);
    leads.recorded(7);
    let (mut told, gone) = (join(), join());
    drop(gone);
    drop(leads);
    let said_to = told.try_recv().unwrap();
    assert_eq!((said_to.outcome, said_to.seq), (Outcome::Unknown, Some(7)));
    assert_eq!(said(duplicates.begin(&grant, None)), "unknown 7");
}

fn attempt(seq: u64, number: u128, key: Option<&str>, age_s: i64, now: Timestamp) -> GrantAttempt {
    GrantAttempt {
        seq,
        at: now - jiff::SignedDuration::from_secs(age_s),
        caller: CallerId::parse("desk").unwrap(),
        workspace: None,
        entrance: EntranceId::parse(LOBBY).unwrap(),
        grantee: (GranteeKind::UserIdentity, uuid::Uuid::from_u128(number).to_string()),
        key: key.map(str::to_owned),
    }
}

#[test]
fn a_start_knows_what_the_log_says() {
    let (bench, duplicates) = (Bench::new(), Duplicates::new(&settings()));
    let now = Timestamp::now();
    let mut recall = duplicates.recall(HOUR, now);
    let mut take = |seq, number, key, outcome, same_as| {
        let attempt = attempt(seq, number, key, 60, now);
        recall.take(AttemptNews::Ended { attempt, outcome, same_as }, &bench.journal);
    };
    take(1, 1, Some("a"), Outcome::Granted, None);
    take(2, 2, None, Outcome::Unknown, None);
    take(3, 3, Some("c"), Outcome::Unknown, None);
    take(4, 3, Some("d"), Outcome::Unknown, Some(3));
    take(5, 4, Some("e"), Outcome::Rejected, None);
    take(6, 5, Some("f"), Outcome::Unknown, None);
    take(7, 6, None, Outcome::Unknown, None);
    take(8, 6, Some("g"), Outcome::Granted, None);
    // Told before the process was killed, whose start closed what it was told of as unknown.
    take(10, 7, Some("i"), Outcome::Granted, Some(9));
    take(9, 7, Some("h"), Outcome::Unknown, None);
    take(11, 8, None, Outcome::NotSent, None);
    take(12, 2, None, Outcome::Unknown, Some(2));
    recall.take(AttemptNews::Resolved { seq: 3, resolution: Resolution::Granted }, &bench.journal);
    recall.take(AttemptNews::Resolved { seq: 6, resolution: Resolution::Absent }, &bench.journal);
    recall.end();
    let ask = |number, key: &str| {
        let grant = bench.grant("desk", number);
        said(duplicates.begin(&grant, IdempotencyKey::of_record(key).as_ref()))
    };
    for (number, key, expected) in [
        (1, "a", "granted 1"),
        (9, "a", "idempotency-key-reused"),
        (2, "", "unknown 2"),
        (3, "c", "granted 3"),
        (3, "d", "granted 3"),
        (3, "", "granted 3"),
        (4, "e", "leads"),
        (5, "f", "leads"),
        (6, "g", "granted 8"),
        (6, "", "leads"),
        (7, "h", "granted 9"),
        (7, "i", "granted 9"),
        (8, "", "leads"),
    ] {
        assert_eq!(ask(number, key), expected, "{number} {key:?}");
    }
}

/// The same entrance and person in another workspace are another grant, before a start and after.
#[test]
fn a_workspace_tells_grants_apart() {
    let (bench, duplicates) = (Bench::new(), Duplicates::new(&settings()));
    let now = Timestamp::now();
    let lab = WorkspaceName::parse("lab").ok();
    let mut recall = duplicates.recall(HOUR, now);
    let attempt = GrantAttempt { workspace: lab.clone(), ..attempt(1, 1, None, 60, now) };
    let (outcome, same_as) = (Outcome::Unknown, None);
    recall.take(AttemptNews::Ended { attempt, outcome, same_as }, &bench.journal);
    recall.end();
    let grant = bench.grant("desk", 1);
    let asked = Asked { workspace: lab, ..grant.asked.clone() };
    let in_lab = Grant { asked, ..grant.clone() };
    assert_eq!(said(duplicates.begin(&in_lab, None)), "unknown 1");
    assert_eq!(said(duplicates.begin(&grant, None)), "leads");
}

#[test]
fn what_is_recalled_has_the_rest_of_its_time_whatever_the_clock_was() {
    let bench = Bench::new();
    let now = Timestamp::now();
    let duplicates = Duplicates::new(&settings());
    let mut recall = duplicates.recall(HOUR, now);
    // Out of order, as after a clock that was set.
    for (seq, number, age) in [(1, 1, -86_400), (2, 2, 3_000), (3, 3, 7_200)] {
        let attempt = attempt(seq, number, Some(["a", "b", "c"][number as usize - 1]), age, now);
        let outcome = Outcome::Granted;
        recall.take(AttemptNews::Ended { attempt, outcome, same_as: None }, &bench.journal);
    }
    recall.end();
    assert_eq!(duplicates.keys(), 2, "what is too old takes no room");
    let at = |seconds: u64, number, key: &str| {
        let grant = bench.grant("desk", number);
        let key = IdempotencyKey::of_record(key);
        let now = Instant::now() + Duration::from_secs(seconds);
        let begun = duplicates.table.lock().begin(&grant, key.as_ref(), now);
        let word = said(begun);
        if word == "leads" {
            drop(duplicates.table.lock().finish(&grant, Outcome::NotSent, now));
        }
        word
    };
    assert_eq!(at(0, 3, "c"), "leads", "too old");
    assert_eq!(at(0, 2, "b"), "granted 2");
    assert_eq!(at(590, 2, "b"), "granted 2");
    assert_eq!(at(610, 2, "b"), "leads", "600 seconds were left");
    assert_eq!(at(3_590, 1, "a"), "granted 1", "of the future: its whole time");
    assert_eq!(at(3_610, 1, "a"), "leads", "and no more");
}
