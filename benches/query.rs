//! Searching a log of months: with and without the indexes of its segments. Prints a
//! Markdown table.
//!
//! `cargo bench --profile dist --bench query`
//!
//! The log is written in format version 1, in segments of 64 MiB, into
//! `GRANTGATE_BENCH_DIR`, else the working directory; `GRANTGATE_BENCH_RECORDS` says how
//! many records (1,000,000). Half are decisions, most of them allowed, each with its
//! outcome a few records later. Everything is in the page cache: it was just written.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use grantgate::audit::LogReader;
use grantgate::audit::search::{By, Every, Filter, Indexes, StatsRequest, Take, query, stats};
use grantgate::domain::{CallerId, Outcome};
use jiff::{SignedDuration, Timestamp};

const SEGMENT_BYTES: usize = 64 << 20;
/// One record for each of so many microseconds: ten million are about four months.
const MICROS_PER_RECORD: u64 = 1_000_000;
const CALLERS: u64 = 40;
const DOORS: u64 = 2_000;
const PEOPLE: u64 = 20_000;
const KEPT: Indexes<'static> = Indexes::Kept(&|_, _| ());
const ROUNDS: usize = 5;

fn main() {
    let base = std::env::var_os("GRANTGATE_BENCH_DIR").unwrap_or_else(|| ".".into());
    let records =
        std::env::var("GRANTGATE_BENCH_RECORDS").map_or(1_000_000, |n| n.parse().unwrap());
    let directory = tempfile::Builder::new().prefix("bench-query-").tempdir_in(base).unwrap();
    let log = directory.path();
    let (segments, bytes) = write_log(log, records);
    println!("{records} records, {} MiB in {segments} segments.\n", bytes >> 20);

    // Odd ones are decisions.
    let mut in_the_middle = ((records / 2) | 1..records).step_by(2);
    let middle = in_the_middle.find(|seq| !is_denied(*seq)).unwrap();
    let by_request = Filter { request_id: Some(request_id(middle)), ..Filter::default() };
    let seam = Some(format!("seam-{middle:012}"));
    let by_seam = Filter { seam_request_id: seam, ..Filter::default() };
    let none = Filter { request_id: Some(request_id(u64::MAX / 2)), ..Filter::default() };
    let by_caller = Filter {
        caller: Some(CallerId::parse("caller-7").unwrap()),
        since: Some(time(records / 2)),
        until: Some(time(records / 2 + 86_400)),
        ..Filter::default()
    };
    let unknown = Filter { outcome: Some(Outcome::Unknown), ..Filter::default() };

    let (first, _) = timed(1, || search(log, &by_request, Take::All, KEPT));
    println!("| | median | rows | segments read |\n|---|---:|---:|---:|");
    row("first search: makes all indexes", first, (1, segments));
    for (name, filter) in [
        ("by request id", &by_request),
        ("by Seam's request id", &by_seam),
        ("by a request id that is not there", &none),
        ("by caller, within a day", &by_caller),
        ("by outcome `unknown`", &unknown),
    ] {
        for (how, indexes) in [("with", KEPT), ("without", Indexes::Unused)] {
            let rounds = if how == "with" { ROUNDS } else { 1 };
            let (took, found) = timed(rounds, || search(log, filter, Take::All, indexes));
            row(&format!("{name}, {how} indexes"), took, found);
        }
    }
    let all = Filter::default();
    let (took, found) = timed(ROUNDS, || search(log, &all, Take::Last(10), KEPT));
    row("the newest ten decisions", took, found);
    let (took, found) = timed(1, || search(log, &all, Take::All, KEPT));
    row("every decision with its outcome", took, found);
    let request = StatsRequest {
        by: vec![By::Caller, By::Entrance],
        every: Some(Every::Day),
        ..StatsRequest::default()
    };
    let (took, rows) = timed(1, || stats(&LogReader::new(log), &request).unwrap().all.total.all());
    row("stats by caller and entrance, every day", took, (rows, segments));
    let indexes = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap());
    let indexes = indexes.filter(|entry| entry.path().extension().is_some_and(|e| e == "index"));
    let kept: u64 = indexes.map(|entry| entry.metadata().unwrap().len()).sum();
    println!("\nThe indexes have {} KiB.", kept >> 10);
}

fn row(name: &str, took: Duration, (found, read): (u64, usize)) {
    println!("| {name} | {:.3} s | {found} | {read} |", took.as_secs_f64());
}

fn timed<T>(rounds: usize, mut work: impl FnMut() -> T) -> (Duration, T) {
    let mut times = Vec::new();
    loop {
        let since = Instant::now();
        let result = work();
        times.push(since.elapsed());
        if times.len() == rounds {
            times.sort_unstable();
            return (times.get(rounds / 2).copied().unwrap(), result);
        }
    }
}

fn search(log: &Path, filter: &Filter, take: Take, indexes: Indexes<'_>) -> (u64, usize) {
    let summary = query(&LogReader::new(log), filter, take, indexes, &mut |_| Ok(())).unwrap();
    assert_eq!(summary.damaged_lines, 0);
    (summary.found, summary.segments_read)
}

fn write_log(log: &Path, records: u64) -> (usize, usize) {
    let (mut segments, mut bytes, mut waiting) = (0, 0, VecDeque::new());
    let (mut seq, mut text) = (1, String::new());
    while seq <= records {
        let first = seq;
        let file = File::create(log.join(format!("{first:020}.jsonl"))).unwrap();
        let mut out = BufWriter::new(file);
        let mut length = 0;
        while length < SEGMENT_BYTES && seq <= records {
            text.clear();
            record(seq, &mut waiting, &mut text);
            out.write_all(text.as_bytes()).unwrap();
            length += text.len();
            seq += 1;
        }
        out.flush().unwrap();
        segments += 1;
        bytes += length;
    }
    (segments, bytes)
}

/// Odd numbers are decisions, and even ones the outcomes of those eight records before.
fn record(seq: u64, waiting: &mut VecDeque<u64>, out: &mut String) {
    let time = format!("{:.6}", time(seq));
    let open = if waiting.len() >= 4 { waiting.pop_front() } else { None };
    if seq.is_multiple_of(4_096) {
        let from = open.or(waiting.front().copied()).unwrap_or(seq);
        waiting.extend(open);
        waiting.make_contiguous().sort_unstable();
        let _ = writeln!(
            out,
            r#"{{"v":1,"seq":{seq},"time":"{time}","event":"log.checkpoint","size":{},"root":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","hashes":["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="],"open_from":{from}}}"#,
            seq - 1
        );
    } else if let Some(decision) = open.filter(|_| seq.is_multiple_of(2)) {
        let number = mixed(decision);
        let (outcome, reason) = match number % 100_000 {
            1 => ("unknown", "upstream-timeout"),
            _ => ("granted", "allowed-by-rule"),
        };
        let _ = writeln!(
            out,
            r#"{{"v":1,"seq":{seq},"time":"{time}","event":"grant.outcome","request_id":"{}","decision_seq":{decision},"outcome":"{outcome}","reason":"{reason}","status":200,"seam_request_id":"seam-{decision:012}","upstream_ms":{}}}"#,
            request_id(decision),
            number % 400,
        );
    } else {
        // One that was not closed after all goes on waiting, as the oldest.
        if let Some(open) = open {
            waiting.push_front(open);
        }
        let number = mixed(seq);
        let (decision, reason, rules) = if is_denied(seq) {
            ("deny", "no-rule-matches", "")
        } else {
            waiting.push_back(seq);
            ("allow", "allowed-by-rule", "\"policies/policy.csv:8\"")
        };
        let door = mixed(number % DOORS);
        let person = mixed(number / 7 % PEOPLE);
        let _ = writeln!(
            out,
            r#"{{"v":1,"seq":{seq},"time":"{time}","event":"grant.decision","request_id":"{}","caller":"caller-{}","credential":"token:2026-11-23","peer":"10.0.0.7:40000","entrance_id":"{}","user_identity_id":"{}","decision":"{decision}","reason":"{reason}","rules":[{rules}],"revision":"sha256:abababababababababababababababababababababababababababababababab","body_sha256":"{number:064x}"}}"#,
            request_id(seq),
            number / 3 % CALLERS,
            uuid(door),
            uuid(person),
        );
    }
}

fn is_denied(seq: u64) -> bool {
    mixed(seq).is_multiple_of(20)
}

fn time(seq: u64) -> Timestamp {
    let start: Timestamp = "2026-07-01T00:00:00Z".parse().unwrap();
    let after = SignedDuration::from_micros(i64::try_from(seq * MICROS_PER_RECORD).unwrap());
    start.checked_add(after).unwrap()
}

fn request_id(seq: u64) -> String {
    uuid(mixed(seq ^ 0x5bd1))
}

fn uuid(number: u64) -> String {
    let text = format!("{number:016x}{:016x}", mixed(number));
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| text.get(part).unwrap());
    parts.join("-")
}

/// The numbers of splitmix64.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
