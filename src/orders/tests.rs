use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::audit::{Journal, JournalSettings, MemoryStore, NoObserver, Stage, Started};
use crate::domain::{
    CallerId, DirectiveId, EntranceId, FixedClock, Order, OrderKind, Revision, Scope, Signature,
    SystemClock,
};
use crate::telemetry::{ClosedSets, Metrics};

const DAY: SignedDuration = SignedDuration::from_hours(24);
const LOBBY: &str = "d23d7180-c1ee-4bbe-8630-05df5031ce35";

fn signature(at: Timestamp) -> Signature {
    Signature { at, by: "ada".into(), why: "token stolen".into() }
}

fn exception() -> OrderKind {
    let entrance = EntranceId::parse(LOBBY).unwrap();
    OrderKind::Exception(CallerId::parse("desk").unwrap(), entrance)
}

fn after(at: Timestamp, hours: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_hours(hours)).unwrap()
}

#[test]
fn what_is_written_is_read_again() {
    let now: Timestamp = "2026-11-28T10:00:00.5Z".parse().unwrap();
    let mut file = OrdersFile::default();
    let caller = CallerId::parse("desk").unwrap();
    for (kind, until) in [
        (OrderKind::Freeze(Scope::Everything), None),
        (OrderKind::Freeze(Scope::Caller(caller)), Some(after(now, 2))),
        (OrderKind::Freeze(Scope::Zone("zone:lobby".into())), None),
        (OrderKind::Drill(Scope::Entrance(EntranceId::parse(LOBBY).unwrap())), None),
        (exception(), Some(after(now, 24))),
    ] {
        file.give(kind, until, signature(now), DAY).unwrap();
    }
    file.lift(3, signature(after(now, 1))).unwrap();
    let text = file.text();
    assert_eq!(OrdersFile::parse("o", text.as_bytes()).unwrap(), file);
    assert_eq!(file.orders().iter().map(|order| order.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    for end in 0..text.trim_end().len() {
        let cut = text.get(..end).unwrap();
        assert!(OrdersFile::parse("o", cut.as_bytes()).is_err(), "half a file: {cut}");
    }
}

#[test]
fn a_file_with_a_mistake_is_refused_with_its_place() {
    let entry = |more: &str| {
        format!(
            "{{\"version\":1,\"id\":\"a\",\"next\":9,\"orders\":[\n{{\"number\":1,{more},\
             \"given\":{{\"at\":\"2026-11-28T10:00:00Z\",\"by\":\"ada\",\"why\":\"x\"}}}}]}}"
        )
    };
    let freeze = entry("\"kind\":\"freeze\"");
    OrdersFile::parse("o", freeze.as_bytes()).unwrap();
    let day = "\"until\":\"2026-11-29T10:00:00Z\"";
    let of_two = format!("\"caller\":\"desk\",\"entrance_id\":\"{LOBBY}\"");
    for (text, said) in [
        (String::new(), "o:1:0: is no file of orders"),
        (freeze.replace("\"version\":1", "\"version\":3"), "has version 3; this program knows 1"),
        (freeze.replace("\"number\":1", "\"number\":9"), "order 9: numbers must grow"),
        (freeze.replace("\"number\":1", "\"number\":0"), "order 0: numbers must grow"),
        (freeze.replace("\"by\":\"ada\"", "\"by\":\"\""), "`by` must be a name"),
        (freeze.replace("\"why\":\"x\"", "\"why\":\"a\\u001bb\""), "must be one line"),
        (freeze.replace("10:00", "25:00"), "`given.at`"),
        (entry("\"kind\":\"thaw\""), "there is no order of kind `thaw`"),
        (
            entry("\"kind\":\"freeze\",\"kind\":\"drill\""),
            "o:2:34: is no file of orders: duplicate",
        ),
        (entry("\"kind\":\"freeze\",\"door\":\"x\""), "unknown field `door`"),
        (
            entry(&format!("\"kind\":\"freeze\",{of_two}")),
            "is about one caller, zone, workspace or entrance",
        ),
        (
            entry("\"kind\":\"freeze\",\"caller\":\"desk\",\"workspace\":\"lab\""),
            "is about one caller, zone, workspace or entrance",
        ),
        (entry("\"kind\":\"freeze\",\"workspace\":\"Lab\""), "`workspace` must be"),
        (entry("\"kind\":\"freeze\",\"zone\":\"lobby\""), "`zone` must begin with `zone:`"),
        (entry("\"kind\":\"freeze\",\"until\":\"2026-11-28T10:00:00Z\""), "ends before it begins"),
        (entry("\"kind\":\"freeze\",\"entrance_id\":\"lobby\""), "`entrance_id` is not a uuid"),
        (entry("\"kind\":\"exception\",\"caller\":\"desk\""), "one caller and one entrance"),
        (entry(&format!("\"kind\":\"exception\",{of_two}")), "an exception must have an end"),
    ] {
        let problem = OrdersFile::parse("o", text.as_bytes()).unwrap_err().to_string();
        assert!(problem.contains(said), "{problem}\n{text}");
    }
    OrdersFile::parse("o", entry(&format!("\"kind\":\"exception\",{of_two},{day}")).as_bytes())
        .unwrap();
}

#[test]
fn an_order_is_lifted_once_and_old_ones_are_forgotten() {
    let now: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
    let mut file = OrdersFile::default();
    let freeze = || OrderKind::Freeze(Scope::Everything);
    file.give(freeze(), Some(after(now, 1)), signature(now), DAY).unwrap();
    file.give(freeze(), None, signature(now), DAY).unwrap();
    file.lift(2, signature(now)).unwrap();
    let refused = |file: &mut OrdersFile, number, at| file.lift(number, signature(at)).unwrap_err();
    assert_eq!(refused(&mut file, 2, now).to_string(), "order 2 was lifted before");
    assert_eq!(refused(&mut file, 1, after(now, 1)).to_string(), "order 1 is over already");
    assert!(refused(&mut file, 3, now).to_string().starts_with("order 3 does not exist"));
    let later = after(now, 24 * 40);
    file.give(freeze(), None, signature(later), DAY).unwrap();
    assert_eq!(file.orders().iter().map(|order| order.number).collect::<Vec<_>>(), [3]);
    let refused = file.give(exception(), None, signature(later), DAY).unwrap_err();
    assert!(refused.to_string().contains("must have an end"));
}

/// A keeper, its file, and the log that it records to.
struct Kept {
    directory: tempfile::TempDir,
    store: MemoryStore,
    journal: Journal,
    _closer: crate::audit::JournalCloser,
}

impl Kept {
    fn new() -> Self {
        let store = MemoryStore::default();
        let revision = Revision::from_sha256(&[0]);
        let settings = JournalSettings {
            commit_wait: std::time::Duration::from_millis(50),
            ..JournalSettings::default()
        };
        let (clock, observer) = (Arc::new(SystemClock), Arc::new(NoObserver));
        let opened = Journal::open(store.clone(), settings, &revision, clock, observer);
        let Started { journal, closer, .. } = opened.unwrap();
        let directory = tempfile::tempdir().unwrap();
        Self { directory, store, journal, _closer: closer }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("orders.json")
    }

    /// As a process begins.
    fn start(&self) -> Result<Arc<Keeper>, String> {
        self.start_at(Timestamp::now())
    }

    fn start_at(&self, now: Timestamp) -> Result<Arc<Keeper>, String> {
        let file = load(&self.path()).map_err(|problem| problem.to_string())?;
        let metrics = Metrics::new(&ClosedSets::default()).unwrap().orders;
        let (directory, clock) = (self.directory.path().to_owned(), Arc::new(FixedClock(now)));
        let place = Place { file: self.path(), log: directory, exception_max: DAY };
        let keeper = Keeper::new(place, file, self.journal.clone(), metrics, clock);
        keeper.map(Arc::new).map_err(|problem| problem.to_string())
    }

    fn place(&self) -> Place {
        let log = self.directory.path().to_owned();
        Place { file: self.path(), log, exception_max: DAY }
    }

    fn give(&self, kind: OrderKind, until: Option<Timestamp>) -> u32 {
        let given = || signature(Timestamp::now());
        edit(&self.place(), |file| file.give(kind.clone(), until, given(), DAY)).unwrap()
    }

    fn lift(&self, number: u32) {
        let lifted = || signature(Timestamp::now());
        edit(&self.place(), |file| file.lift(number, lifted())).unwrap();
    }

    fn recorded(&self) -> Vec<String> {
        let durable = self.store.durable();
        let lines = durable.lines().map(|line| serde_json::from_str(line).unwrap());
        let changes = lines.filter(|line: &serde_json::Value| line["event"] == "order.change");
        changes
            .map(|line| format!("{} {}", line["order"], line["change"].as_str().unwrap()))
            .collect()
    }
}

fn numbers(keeper: &Keeper) -> Vec<u32> {
    keeper.in_force().load().all().iter().map(|order: &Order| order.number).collect()
}

async fn once(keeper: &Keeper) {
    keeper.look().await;
    keeper.record().await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn what_makes_grants_more_waits_for_its_record_and_what_makes_them_fewer_does_not() {
    let kept = Kept::new();
    let runtime = runtime();
    let keeper = kept.start().unwrap();
    let soon = || Timestamp::now().checked_add(SignedDuration::from_hours(1)).ok();
    kept.give(OrderKind::Freeze(Scope::Everything), None);
    runtime.block_on(once(&keeper));
    assert_eq!((numbers(&keeper), kept.recorded()), (vec![1], vec!["1 given".to_owned()]));

    let held = kept.store.hold();
    kept.lift(1);
    kept.give(OrderKind::Freeze(Scope::Zone("zone:lobby".into())), None);
    kept.give(exception(), soon());
    runtime.block_on(once(&keeper));
    assert_eq!(numbers(&keeper), [1, 2], "the new freeze, and still the old one");
    assert!(keeper.status().unrecorded.unwrap().starts_with("order 1: "));
    drop(held);
    // What the journal was told before is still written; the orders are told once more.
    for _ in 0..100 {
        runtime.block_on(once(&keeper));
        if keeper.status().unrecorded.is_none() {
            break;
        }
        runtime.block_on(tokio::time::sleep(std::time::Duration::from_millis(10)));
    }
    assert_eq!(numbers(&keeper), [2, 3]);
    for change in ["1 lifted", "2 given", "3 given"] {
        assert!(kept.recorded().iter().any(|found| found == change), "{change}");
    }
}

#[test]
fn a_log_that_fails_keeps_a_freeze_and_no_exception() {
    let kept = Kept::new();
    let runtime = runtime();
    let keeper = kept.start().unwrap();
    kept.store.fail(Stage::Sync, u32::MAX);
    kept.give(OrderKind::Freeze(Scope::Everything), None);
    kept.give(exception(), Some(after(Timestamp::now(), 1)));
    runtime.block_on(once(&keeper));
    assert_eq!(numbers(&keeper), [1]);
    // Another process finds the same.
    let keeper = kept.start().unwrap();
    assert_eq!(numbers(&keeper), [1]);
}

#[test]
fn each_change_is_recorded_once_over_all_processes() {
    let kept = Kept::new();
    let runtime = runtime();
    // Given and lifted while no gateway runs.
    kept.give(OrderKind::Freeze(Scope::Everything), None);
    let until = after(Timestamp::now(), 1);
    kept.give(exception(), Some(until));
    kept.lift(1);
    for _ in 0..3 {
        let keeper = kept.start().unwrap();
        runtime.block_on(once(&keeper));
        runtime.block_on(once(&keeper));
        assert_eq!(numbers(&keeper), [2]);
    }
    assert_eq!(kept.recorded(), ["1 given", "1 lifted", "2 given"]);
    // Its time is over.
    let keeper = kept.start_at(until).unwrap();
    runtime.block_on(once(&keeper));
    assert_eq!(kept.recorded().last().unwrap(), "2 expired");
    runtime.block_on(once(&kept.start_at(until).unwrap()));
    assert_eq!(kept.recorded().len(), 4);
}

#[test]
fn a_file_that_is_gone_or_broken_lifts_nothing() {
    let kept = Kept::new();
    let runtime = runtime();
    kept.give(OrderKind::Freeze(Scope::Everything), None);
    let keeper = kept.start().unwrap();
    runtime.block_on(once(&keeper));
    let unread = |keeper: &Arc<Keeper>| {
        runtime.block_on(once(keeper));
        assert_eq!(numbers(keeper), [1]);
        keeper.status().unread.unwrap()
    };
    std::fs::write(kept.path(), "{").unwrap();
    assert!(unread(&keeper).contains("is no file of orders"));
    assert!(kept.start().is_err(), "and no gateway starts");
    std::fs::remove_file(kept.path()).unwrap();
    assert!(unread(&keeper).contains("is not the file whose orders are recorded"));
    let refused = kept.start().err().unwrap();
    assert!(refused.contains("is not the file whose orders are recorded"), "{refused}");
    // The next command writes it again, with all that was in it.
    let soon = after(Timestamp::now(), 1);
    assert_eq!(kept.give(exception(), Some(soon)), 2);
    runtime.block_on(once(&keeper));
    assert_eq!((numbers(&keeper), keeper.status()), (vec![1, 2], OrdersStatus::default()));
    assert_eq!(numbers(&kept.start().unwrap()), [1, 2]);
}

/// Another file, an older one, or one that somebody changed takes nothing away and adds no
/// exception; what it freezes is frozen.
#[test]
fn a_file_that_does_not_follow_from_what_is_recorded_only_freezes() {
    let kept = Kept::new();
    let runtime = runtime();
    let freeze = |zone: &str| OrderKind::Freeze(Scope::Zone(zone.to_owned()));
    let soon = after(Timestamp::now(), 1);
    kept.give(freeze("zone:lobby"), None);
    kept.give(exception(), Some(soon));
    let keeper = kept.start().unwrap();
    runtime.block_on(once(&keeper));
    let before = std::fs::read_to_string(kept.path()).unwrap();
    kept.lift(2);
    runtime.block_on(once(&keeper));
    let now = std::fs::read_to_string(kept.path()).unwrap();
    assert_eq!(numbers(&keeper), [1]);
    let id = now.split("\"id\": \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mut other = OrdersFile::default();
    other.give(freeze("zone:other"), None, signature(Timestamp::now()), DAY).unwrap();
    other.give(exception(), Some(soon), signature(Timestamp::now()), DAY).unwrap();
    for (text, why, frozen) in [
        (before, "has another order 2 than the one recorded", vec![1]),
        (now.replace("\"kind\": \"freeze\"", "\"kind\": \"drill\""), "another order 1", vec![1]),
        (now.replace("zone:lobby", "zone:lab"), "another order 1", vec![1, 1]),
        (now.replace("token stolen", "nothing"), "another order 1", vec![1, 1]),
        (now.replace("\"next\": 3", "\"next\": 9").replace(&id, "x"), "not the file", vec![1]),
        (other.text(), "not the file", vec![1, 1]),
    ] {
        std::fs::write(kept.path(), &text).unwrap();
        runtime.block_on(once(&keeper));
        let said = keeper.status().unread.unwrap();
        assert!(said.contains(why), "{said}\n{text}");
        assert_eq!(numbers(&keeper), frozen, "{text}");
        assert!(kept.start().err().unwrap().contains(why), "{text}");
    }
    std::fs::write(kept.path(), &now).unwrap();
    runtime.block_on(once(&keeper));
    assert_eq!((numbers(&keeper), keeper.status()), (vec![1], OrdersStatus::default()));
    assert_eq!(kept.recorded(), ["1 given", "2 given", "2 lifted"]);
}

/// As the running gateway does it, so does the next one.
#[test]
fn a_lift_while_no_gateway_runs_waits_for_its_record() {
    let kept = Kept::new();
    let runtime = runtime();
    kept.give(OrderKind::Freeze(Scope::Everything), None);
    runtime.block_on(once(&kept.start().unwrap()));
    kept.lift(1);
    let keeper = kept.start().unwrap();
    assert_eq!(numbers(&keeper), [1], "until it is recorded");
    runtime.block_on(once(&keeper));
    assert_eq!(numbers(&keeper), Vec::<u32>::new());
    assert_eq!(kept.recorded(), ["1 given", "1 lifted"]);
}

#[test]
fn an_exception_that_has_ended_stays_so_whatever_the_clock_says() {
    let kept = Kept::new();
    let runtime = runtime();
    let (now, until) = (Timestamp::now(), after(Timestamp::now(), 1));
    kept.give(exception(), Some(until));
    runtime.block_on(once(&kept.start_at(now).unwrap()));
    runtime.block_on(once(&kept.start_at(until).unwrap()));
    let keeper = kept.start_at(now).unwrap();
    runtime.block_on(once(&keeper));
    assert_eq!(numbers(&keeper), Vec::<u32>::new());
    assert_eq!(kept.recorded(), ["1 given", "1 expired"]);
}

/// Whoever may read the directory can hold its lock.
#[test]
fn a_lock_that_is_held_keeps_nobody_from_a_freeze() {
    let kept = Kept::new();
    let _held = crate::files::lock(&kept.path()).unwrap().unwrap();
    assert_eq!(kept.give(OrderKind::Freeze(Scope::Everything), None), 1);
}

#[test]
fn an_exception_lasts_no_longer_than_the_settings_say_now() {
    let now: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
    let mut file = OrdersFile::default();
    file.give(exception(), Some(after(now, 20)), signature(now), DAY).unwrap();
    let mut orders = file.within(SignedDuration::from_hours(8));
    assert_eq!(orders.next().unwrap().until, Some(after(now, 8)));
    let refused = file.clone().give(exception(), Some(after(now, 25)), signature(now), DAY);
    assert!(refused.unwrap_err().to_string().contains("24 h at most"));
}

/// Whoever writes the file and may not look into the log's directory, where the copy is.
#[test]
fn what_cannot_be_read_of_the_copy_keeps_nobody_from_a_freeze() {
    let kept = Kept::new();
    std::fs::write(told::place(kept.directory.path()), "{").unwrap();
    assert_eq!(kept.give(OrderKind::Freeze(Scope::Everything), None), 1);
    assert!(kept.start().is_err());
}

#[test]
fn a_setting_that_was_lowered_ends_what_is_in_force() {
    let kept = Kept::new();
    let runtime = runtime();
    let now = Timestamp::now();
    kept.give(exception(), Some(after(now, 20)));
    let file = load(&kept.path()).unwrap();
    let metrics = Metrics::new(&ClosedSets::default()).unwrap().orders;
    let place = Place { exception_max: SignedDuration::from_hours(8), ..kept.place() };
    let (journal, clock) = (kept.journal.clone(), Arc::new(FixedClock(now)));
    let keeper = Keeper::new(place, file, journal, metrics, clock).unwrap();
    runtime.block_on(once(&keeper));
    let in_force = keeper.in_force().load_full();
    assert_eq!(in_force.holding(after(now, 7)).count(), 1);
    assert_eq!(in_force.holding(after(now, 9)).count(), 0);
    // What is recorded is this order, and no other of its number.
    let mut other = kept.place().read().unwrap().orders()[0].clone();
    assert!(keeper.has_recorded(&other));
    other.given.by = "grace".into();
    assert!(!keeper.has_recorded(&other));
}

/// A freeze without end holds again if it is told again: that it was taken back here is not forgotten.
#[test]
fn what_may_be_told_again_is_not_forgotten() {
    let now: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
    let mut file = OrdersFile::default();
    let [endless, over] = [[1; 16], [2; 16]].map(DirectiveId::of);
    for (id, until) in [(&endless, None), (&over, Some(after(now, 1)))] {
        let freeze = (OrderKind::Freeze(Scope::Everything), until, signature(now));
        file.give_directed(id, freeze, (DAY, now)).unwrap();
    }
    file.lift(1, signature(now)).unwrap();
    let later = after(now, 24 * 40);
    file.give(OrderKind::Freeze(Scope::Everything), None, signature(later), DAY).unwrap();
    assert_eq!((file.number_of(&endless), file.number_of(&over)), (Some(1), None));
}

/// Who asks for what is there already makes nobody write.
#[test]
fn an_edit_that_changes_nothing_writes_nothing() {
    use std::os::unix::fs::MetadataExt as _;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("orders.json");
    let place = Place { file: file.clone(), log: directory.path().into(), exception_max: DAY };
    let give = |file: &mut OrdersFile| {
        file.give(OrderKind::Freeze(Scope::Everything), None, signature(Timestamp::now()), DAY)
    };
    edit(&place, give).unwrap();
    let which = || file.metadata().unwrap().ino();
    let before = which();
    edit(&place, |_| Ok(())).unwrap();
    assert_eq!(which(), before);
    edit(&place, give).unwrap();
    assert_ne!(which(), before);
}
