//! Decision-to-durable time of the audit journal on a real disk, beside the raw cost
//! of write and fdatasync of as many bytes on the same disk; and a commit with and without
//! the write-ahead log, side by side. Prints Markdown tables.
//!
//! `-- side-by-side` prints the last of these alone.
//!
//! `cargo bench --profile dist --bench journal`
//!
//! The files are made in `GRANTGATE_BENCH_DIR`, else in the working directory (never
//! in a memory file system, where an fdatasync costs nothing). Rounds of all cases are
//! interleaved; each figure is the median of the rounds' own figures.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use grantgate::audit::proof::verify;
use grantgate::audit::{
    DecisionEntry, Event, Evidence, FileStore, Journal, JournalSettings, LogReader, Observer,
    Published, Started,
};
use grantgate::domain::{
    EntranceId, GrantRequest, Grantee, Operation, Reason, RequestId, Revision, RuleRef,
    SystemClock, UserIdentityId,
};
use grantgate::note::SigningKey;

const ROUNDS: usize = 7;
/// In flight, and decisions of each worker in one round.
const CASES: [(usize, usize); 4] = [(1, 400), (32, 100), (128, 50), (512, 25)];
const RAW_WRITES: usize = 300;
/// In the log that is verified.
const VERIFIED_RECORDS: usize = 1_000_000;

fn main() {
    let base = std::env::var_os("GRANTGATE_BENCH_DIR").unwrap_or_else(|| ".".into());
    let directory = tempfile::Builder::new().prefix("bench-journal-").tempdir_in(base).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();

    if std::env::args().any(|argument| argument == "side-by-side") {
        return side_by_side(&runtime, directory.path());
    }
    let line_bytes = line_bytes(&runtime, &directory.path().join("line"));
    let mut journal: [Vec<Figures>; 4] = Default::default();
    let mut raw: [Vec<Figures>; 4] = Default::default();
    let mut handed_over: [Vec<Figures>; 4] = Default::default();
    for round in 0..ROUNDS {
        for (index, (in_flight, each)) in CASES.into_iter().enumerate() {
            let path = directory.path().join(format!("{round}-{in_flight}"));
            let figures = runtime.block_on(journal_round(&path, in_flight, each, true));
            // As many bytes as the journal wrote at once in the round just past.
            let records = figures.records_per_sync.round().max(1.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let bytes = records as usize * line_bytes;
            raw.get_mut(index).unwrap().push(raw_round(&path.with_extension("raw"), bytes));
            let handed = handed_over_round(&runtime, &path.with_extension("handed"), bytes);
            handed_over.get_mut(index).unwrap().push(handed);
            journal.get_mut(index).unwrap().push(figures);
        }
    }

    println!("One record is {line_bytes} bytes. Times in µs.\n");
    println!(
        "| in flight | journal median | journal p99 | decisions/s | records per fsync | raw \
         write + fdatasync of as many bytes: median | raw p99 | raw on a thread of its own: median |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    let all = CASES.into_iter().zip(&journal).zip(&raw).zip(&handed_over);
    for ((((in_flight, _), journal), raw), handed_over) in all {
        let of = median;
        println!(
            "| {in_flight} | {:.0} | {:.0} | {:.0} | {:.1} | {:.0} | {:.0} | {:.0} |",
            of(journal, |f| f.median),
            of(journal, |f| f.p99),
            of(journal, |f| f.per_second),
            of(journal, |f| f.records_per_sync),
            of(raw, |f| f.median),
            of(raw, |f| f.p99),
            of(handed_over, |f| f.median),
        );
    }
    side_by_side(&runtime, directory.path());
    throughput(&runtime, directory.path());
    verifying(&runtime, &directory.path().join("verify"));
}

/// In flight, and decisions of each worker in one round.
const SIDE_BY_SIDE: [(usize, usize); 3] = [(1, 400), (8, 150), (32, 100)];

/// The write-ahead log and plain appending in turns, and who begins changes too.
fn side_by_side(runtime: &tokio::runtime::Runtime, directory: &Path) {
    println!(
        "\n| in flight | commit with `wal` | commit without | ratio | decisions/s, ratio | records \
         per commit, with and without |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    for (in_flight, each) in SIDE_BY_SIDE {
        let mut figures: [Vec<Figures>; 2] = Default::default();
        for round in 0..ROUNDS {
            for turn in 0..2 {
                let which = (round + turn) % 2;
                let path = directory.join(format!("side-{round}-{in_flight}-{which}"));
                let wal_bytes = Some(WAL_BYTES).filter(|_| which == 0);
                let round = commits_round(&path, in_flight, each, wal_bytes);
                figures.get_mut(which).unwrap().push(runtime.block_on(round));
            }
        }
        let [with, without] = &figures;
        let of = median;
        println!(
            "| {in_flight} | {:.0} | {:.0} | {:.2} | {:.2} | {:.1}, {:.1} |",
            of(with, |f| f.median),
            of(without, |f| f.median),
            of(with, |f| f.median) / of(without, |f| f.median),
            of(with, |f| f.per_second) / of(without, |f| f.per_second),
            of(with, |f| f.records_per_sync),
            of(without, |f| f.records_per_sync),
        );
    }
}

/// The times are those of commits, not of decisions.
async fn commits_round(
    directory: &Path,
    in_flight: usize,
    each: usize,
    wal_bytes: Option<u64>,
) -> Figures {
    let counts = Arc::new(Counts::default());
    let Started { journal, closer, .. } = open_with(directory, counts.clone(), true, wal_bytes);
    counts.took.lock().unwrap().clear();
    let started = Instant::now();
    let decisions = asked(&journal, in_flight, each).await.len();
    let took = started.elapsed();
    closer.close();
    let commits = std::mem::take(&mut *counts.took.lock().unwrap());
    #[allow(clippy::cast_precision_loss)]
    let (decisions, count) = (decisions as f64, commits.len() as f64);
    let figures = Figures::new(commits, took, decisions / count);
    Figures { per_second: decisions / took.as_secs_f64(), ..figures }
}

/// How fast a log is verified, on one core.
fn verifying(runtime: &tokio::runtime::Runtime, directory: &Path) {
    let (key, _) = SigningKey::generate("bench").unwrap();
    let public = key.verifier().clone();
    let settings = JournalSettings {
        commit_wait: Duration::from_secs(30),
        signing_key: Some(key),
        ..JournalSettings::default()
    };
    let store = FileStore::open(directory).unwrap().with_wal(Some(WAL_BYTES));
    let revision = Revision::from_sha256(&[0xab; 32]);
    let opened = Journal::open(
        store,
        settings,
        &revision,
        Arc::new(SystemClock),
        Arc::new(Counts::default()),
    );
    let Started { journal, closer, .. } = opened.unwrap();
    runtime.block_on(asked(
        &journal,
        THROUGHPUT_IN_FLIGHT,
        VERIFIED_RECORDS / THROUGHPUT_IN_FLIGHT,
    ));
    closer.close();
    let keys = [public];
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let since = Instant::now();
        let report = verify(&LogReader::new(directory), &keys, &[], |_, _| {}).unwrap();
        assert!(!report.is_damaged() && report.uncovered == 1);
        #[allow(clippy::cast_precision_loss)]
        rates.push(report.records as f64 / since.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    let rate = rates.get(rates.len() / 2).copied().unwrap();
    println!("\n`verify` of {VERIFIED_RECORDS} records on one core: {rate:.0} records/s");
}

/// So many wait at once when throughput is all that counts.
const THROUGHPUT_IN_FLIGHT: usize = 4_000;

/// Signed and unsigned side by side: records a second with all the journal can batch.
fn throughput(runtime: &tokio::runtime::Runtime, directory: &Path) {
    let mut figures: [Vec<Figures>; 2] = Default::default();
    for round in 0..ROUNDS {
        for (signed, figures) in [false, true].into_iter().zip(&mut figures) {
            let path = directory.join(format!("throughput-{round}-{signed}"));
            let round = journal_round(&path, THROUGHPUT_IN_FLIGHT, 40, signed);
            figures.push(runtime.block_on(round));
        }
    }
    println!("\n| {THROUGHPUT_IN_FLIGHT} in flight | decisions/s | records per fsync |");
    println!("|---|---:|---:|");
    for (name, figures) in ["without a key", "signed checkpoints"].into_iter().zip(&figures) {
        let of = |field: fn(&Figures) -> f64| median(figures, field);
        println!("| {name} | {:.0} | {:.0} |", of(|f| f.per_second), of(|f| f.records_per_sync));
    }
}

fn median(figures: &[Figures], field: fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = figures.iter().map(field).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap()
}

/// One round. Times in microseconds.
struct Figures {
    median: f64,
    p99: f64,
    per_second: f64,
    records_per_sync: f64,
}

impl Figures {
    fn new(mut times: Vec<Duration>, took: Duration, records_per_sync: f64) -> Self {
        times.sort_unstable();
        let at = |share: usize| {
            let time = times.get((times.len() * share / 100).min(times.len() - 1));
            time.unwrap().as_secs_f64() * 1e6
        };
        #[allow(clippy::cast_precision_loss)]
        let per_second = times.len() as f64 / took.as_secs_f64();
        Self { median: at(50), p99: at(99), per_second, records_per_sync }
    }
}

#[derive(Default)]
struct Counts {
    commits: AtomicU64,
    records: AtomicU64,
    took: Mutex<Vec<Duration>>,
}

impl Observer for Counts {
    fn committed(&self, events: &mut dyn Iterator<Item = Event>, took: Duration) {
        let records = events.filter(|event| *event == Event::Decision).count() as u64;
        if records > 0 {
            self.commits.fetch_add(1, Ordering::Relaxed);
            self.records.fetch_add(records, Ordering::Relaxed);
            self.took.lock().unwrap().push(took);
        }
    }
    fn failed(&self, stage: &'static str) {
        panic!("the audit log failed: {stage}");
    }
    fn waiting(&self, _: usize) {}
    fn checkpointed(&self, _: Published) {}
    fn rotated(&self) {}
    fn rotation_failed(&self) {}
}

/// What the gateway records of an allowed grant with the sample policy.
struct Allowed {
    request_id: RequestId,
    grant: GrantRequest,
    revision: Revision,
    rules: [RuleRef; 1],
}

impl Allowed {
    fn new() -> Self {
        Self {
            request_id: RequestId::generate(),
            grant: GrantRequest {
                entrance: EntranceId::parse("d23d7180-c1ee-4bbe-8630-05df5031ce35").unwrap(),
                grantee: Grantee::UserIdentity(
                    UserIdentityId::parse("c6247b75-f1cb-493a-9915-a85a0b9639ae").unwrap(),
                ),
            },
            revision: Revision::from_sha256(&[0xab; 32]),
            rules: [RuleRef::new("policies/policy.csv".into(), 8)],
        }
    }
}

impl Evidence for Allowed {
    fn decision(&self) -> DecisionEntry<'_> {
        DecisionEntry {
            request_id: self.request_id,
            caller: "visitor-desk",
            credential: "token:2026-11-23",
            peer: ([127, 0, 0, 1], 40_000).into(),
            operation: Operation::GrantAccess,
            workspace: None,
            entrance: Some(self.grant.entrance),
            grantee: Some(self.grant.grantee),
            // A denial: it needs no outcome, so that only decisions are timed.
            allow: false,
            reason: Reason::AllowedByRule,
            rules: &self.rules,
            revision: self.revision.as_str(),
            body_sha256: Some([0xab; 32]),
            at: jiff::Timestamp::now(),
            candidate: None,
            idempotency_key: None,
            is_key_unconfirmed: false,
        }
    }
}

/// As the configuration's default is.
const WAL_BYTES: u64 = 64 << 20;

fn open(directory: &Path, counts: Arc<Counts>, signed: bool) -> Started {
    open_with(directory, counts, signed, Some(WAL_BYTES))
}

fn open_with(
    directory: &Path,
    counts: Arc<Counts>,
    signed: bool,
    wal_bytes: Option<u64>,
) -> Started {
    let signing_key = signed.then(|| SigningKey::generate("bench").unwrap().0);
    let settings = JournalSettings {
        commit_wait: Duration::from_secs(30),
        signing_key,
        ..JournalSettings::default()
    };
    let revision = Revision::from_sha256(&[0xab; 32]);
    let store = FileStore::open(directory).unwrap().with_wal(wal_bytes);
    Journal::open(store, settings, &revision, Arc::new(SystemClock), counts).unwrap()
}

async fn journal_round(directory: &Path, in_flight: usize, each: usize, signed: bool) -> Figures {
    let counts = Arc::new(Counts::default());
    let Started { journal, closer, .. } = open(directory, counts.clone(), signed);
    let started = Instant::now();
    let times = asked(&journal, in_flight, each).await;
    let took = started.elapsed();
    closer.close();
    let (records, commits) =
        (counts.records.load(Ordering::Relaxed), counts.commits.load(Ordering::Relaxed));
    #[allow(clippy::cast_precision_loss)]
    let records_per_sync = records as f64 / commits as f64;
    Figures::new(times, took, records_per_sync)
}

/// Records so many decisions on so many tasks; the time of each.
async fn asked(journal: &Journal, in_flight: usize, each: usize) -> Vec<Duration> {
    let workers: Vec<_> = (0..in_flight)
        .map(|_| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(each);
                for _ in 0..each {
                    let evidence = Allowed::new();
                    let since = Instant::now();
                    let recorded = journal.record(evidence).await.unwrap();
                    times.push(since.elapsed());
                    drop(recorded);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await.unwrap());
    }
    times
}

/// Appends and syncs, one after the other, on this thread.
fn raw_round(path: &Path, bytes: usize) -> Figures {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    let data = vec![b'x'; bytes];
    let started = Instant::now();
    let times = (0..RAW_WRITES)
        .map(|_| {
            let since = Instant::now();
            file.write_all(&data).unwrap();
            file.sync_data().unwrap();
            since.elapsed()
        })
        .collect();
    Figures::new(times, started.elapsed(), 1.0)
}

/// The same on a thread of its own, one after the other: what it costs to wake that thread
/// and to be woken by it, which no journal that serves many can do without.
fn handed_over_round(runtime: &tokio::runtime::Runtime, path: &Path, bytes: usize) -> Figures {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    let data = vec![b'x'; bytes];
    let (work, waiting) = std::sync::mpsc::channel::<tokio::sync::oneshot::Sender<()>>();
    let thread = std::thread::spawn(move || {
        while let Ok(done) = waiting.recv() {
            file.write_all(&data).unwrap();
            file.sync_data().unwrap();
            done.send(()).unwrap();
        }
    });
    let asking = async move {
        let mut times = Vec::with_capacity(RAW_WRITES);
        for _ in 0..RAW_WRITES {
            let since = Instant::now();
            let (done, told) = tokio::sync::oneshot::channel();
            work.send(done).unwrap();
            told.await.unwrap();
            times.push(since.elapsed());
        }
        times
    };
    let started = Instant::now();
    let times = runtime.block_on(async { tokio::spawn(asking).await.unwrap() });
    thread.join().unwrap();
    Figures::new(times, started.elapsed(), 1.0)
}

/// The length of one recorded line.
fn line_bytes(runtime: &tokio::runtime::Runtime, directory: &Path) -> usize {
    let Started { journal, closer, .. } = open(directory, Arc::default(), true);
    drop(runtime.block_on(journal.record(Allowed::new())).unwrap());
    closer.close();
    let segment = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .unwrap();
    let text = std::fs::read_to_string(segment).unwrap();
    text.lines().find(|line| line.contains("grant.decision")).unwrap().len() + 1
}
