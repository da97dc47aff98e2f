//! A search finds what a plain look at every line finds, whatever the indexes say.

use std::collections::HashMap;
use std::path::Path;

use proptest::prelude::*;

use super::index::{load, make};
use super::*;
use crate::domain::{Act, CallerId, EntranceId, Outcome, Reason, WorkspaceName};

const KEPT: Indexes<'static> = Indexes::Kept(&|_, _| ());

const DOORS: [&str; 2] =
    ["d23d7180-c1ee-4bbe-8630-05df5031ce35", "5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08"];
const DECISION_REASONS: [Reason; 3] =
    [Reason::AllowedByRule, Reason::NoRuleMatches, Reason::DeniedByRule];
const OUTCOMES: [(Outcome, Reason); 3] = [
    (Outcome::Granted, Reason::AllowedByRule),
    (Outcome::Unknown, Reason::UpstreamTimeout),
    (Outcome::Unknown, Reason::GatewayRestarted),
];

/// Numbers that look random and come again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).unwrap()
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len())]
    }

    fn time(&mut self) -> String {
        format!("2026-11-{:02}T{:02}:00:00.000000Z", 10 + self.roll(3), self.roll(24))
    }
}

/// A log as a gateway might leave it, with damage, in segments of a few records.
fn write_log(directory: &Path, dice: &mut Dice) {
    let oldest = 1 + dice.roll(2) as u64 * 7;
    let (mut seq, mut open) = (oldest, Vec::<u64>::new());
    let damage = dice.roll(2) == 0;
    for _ in 0..1 + dice.roll(6) {
        let first = seq;
        let mut text = String::new();
        for _ in 0..1 + dice.roll(12) {
            let line = record(seq, oldest, &mut open, dice);
            seq += 1;
            match if damage { dice.roll(30) } else { 99 } {
                0 => text += "xx\n",
                1 => text += &line[..line.len() / 2],
                2 => text += &(line.replacen(':', "::", 1) + "\n"),
                3 => text += &(line.replacen("{\"v\"", "{ \"v\"", 1) + "\n"),
                4 => text += &(line.replacen("desk", "des\\u006b", 1) + "\n"),
                _ => text += &(line + "\n"),
            }
        }
        let name = format!("{first:020}.jsonl");
        if dice.roll(3) == 0 {
            let compressed = zstd::encode_all(text.as_bytes(), 1).unwrap();
            std::fs::write(directory.join(name + ".zst"), compressed).unwrap();
        } else {
            std::fs::write(directory.join(name), text).unwrap();
        }
    }
}

fn record(seq: u64, oldest: u64, open: &mut Vec<u64>, dice: &mut Dice) -> String {
    let head = format!(r#"{{"v":1,"seq":{seq},"time":"{}","event":"#, dice.time());
    // An outcome of a decision that is older than the log, now and then.
    let closes = (oldest > 1 && dice.roll(9) == 0).then(|| seq % 7 + 1);
    match dice.roll(10) {
        0..4 => {
            let (reason, door, person) =
                (dice.of(&DECISION_REASONS), dice.of(&DOORS), dice.roll(4));
            let allowed = reason == Reason::AllowedByRule;
            if allowed {
                open.push(seq);
            }
            let caller = dice.of(&["desk", "kiosk"]);
            let workspace = dice.of(&["", r#","workspace":"hq""#, r#","workspace":"lab""#]);
            let candidate = dice.of(&["", r#","candidate":{"revision":"x","decision":"allow"}"#]);
            let named = ["", r#","idempotency_key":"k1""#, r#","idempotency_key":"k\"2""#];
            let key = dice.of(&named);
            let decision = if allowed { "allow" } else { "deny" };
            let operations =
                ["", r#","operation":"acs/entrances/get""#, r#","operation":"acs/new""#];
            let operation = dice.of(&operations);
            let (form, reason) = (dice.of(&["acs_user_id", "user_identity_id"]), reason.as_str());
            format!(
                r#"{head}"grant.decision","request_id":"q{seq}","caller":"{caller}"{operation}{workspace},"entrance_id":"{door}","{form}":"p{person}","decision":"{decision}"{key},"reason":"{reason}"{candidate}}}"#
            )
        }
        4..8 if !open.is_empty() || closes.is_some() => {
            let of = closes.unwrap_or_else(|| open.remove(dice.roll(open.len())));
            let (outcome, reason) = dice.of(&OUTCOMES);
            let (outcome, reason) = (outcome.as_str(), reason.as_str());
            let seam = dice.of(&["s1", "s2", r#"s\"3"#, "s4"]);
            format!(
                r#"{head}"grant.outcome","request_id":"q{of}","decision_seq":{of},"outcome":"{outcome}","reason":"{reason}","seam_request_id":"{seam}"}}"#
            )
        }
        8 => {
            let from = open.iter().min();
            let from = from.map_or(String::new(), |from| format!(r#","open_from":{from}"#));
            format!(r#"{head}"log.checkpoint","size":1,"root":"","hashes":[]{from}}}"#)
        }
        9 => {
            let whose = ["", r#""caller":"desk","#, r#""caller":"kiosk","#];
            let whose = dice.of(&whose);
            format!(
                r#"{head}"authn.failure","request_id":"q{seq}",{whose}"reason":"token-unknown"}}"#
            )
        }
        _ => {
            format!(r#"{head}"authn.suppressed","suppressed":2,"reasons":{{"token-unknown":2}}}}"#)
        }
    }
}

fn filter(dice: &mut Dice) -> Filter {
    let mut maybe = |sides| dice.roll(sides) == 0;
    let [caller, door, grantee, allowed, reason, outcome] = [(); 6].map(|()| maybe(5));
    let [workspace, key, before] = [(); 3].map(|()| maybe(6));
    let [since, until, request, seam, event, act] = [(); 6].map(|()| maybe(6));
    let reasons = [Reason::TokenUnknown, Reason::UpstreamTimeout, Reason::GatewayRestarted];
    let reasons = [DECISION_REASONS, reasons].concat();
    Filter {
        caller: caller.then(|| CallerId::parse(dice.of(&["desk", "kiosk", "none"])).unwrap()),
        act: act.then(|| dice.of(&Act::ALL)),
        workspace: workspace.then(|| WorkspaceName::parse(dice.of(&["hq", "lab"])).unwrap()),
        entrance: door.then(|| EntranceId::parse(dice.of(&DOORS)).unwrap()),
        grantees: if grantee { vec![format!("p{}", dice.roll(5)), "x".into()] } else { vec![] },
        allowed: allowed.then(|| dice.roll(2) == 0),
        reason: reason.then(|| dice.of(&reasons)),
        outcome: outcome.then(|| dice.of(&OUTCOMES).0),
        since: since.then(|| dice.time().parse().unwrap()),
        until: until.then(|| dice.time().parse().unwrap()),
        before: before.then(|| u64::try_from(dice.roll(60)).unwrap()),
        request_id: request.then(|| format!("q{}", dice.roll(40))),
        seam_request_id: seam.then(|| dice.of(&["s1", "s\"3", "s9"]).to_owned()),
        idempotency_key: key.then(|| dice.of(&["k1", "k\"2", "k3"]).to_owned()),
        events: if event { vec![dice.of(Event::ALL)] } else { vec![] },
    }
}

/// Every line is parsed, and then everything is compared with everything.
fn naively(directory: &Path, filter: &Filter) -> Vec<Hit> {
    let mut records = Vec::new();
    let log = LogReader::new(directory);
    let segments = log.list().unwrap();
    for segment in &segments {
        let mut lines = log.read(segment).unwrap();
        while let Some(line) = lines.next().unwrap() {
            if line.record().is_some() {
                records.push(line.bytes.to_vec());
            }
        }
    }
    let parsed: Vec<_> = records.iter().map(|line| Record::parse(line).unwrap()).collect();
    let of_event = |event| parsed.iter().zip(&records).filter(move |(f, _)| f.is(event));
    let outcomes: HashMap<u64, _> = of_event(Event::Outcome)
        .rev()
        .map(|(f, line)| (f.decision_seq.unwrap(), (f, line)))
        .collect();
    let mut found: Vec<(u64, Hit)> = Vec::new();
    for (fields, line) in parsed.iter().zip(&records) {
        let outcome = outcomes.get(&fields.seq).filter(|_| fields.is(Event::Decision));
        let hit = match fields.known_event() {
            Some(Event::Decision) => {
                filter.wants_decisions() && filter.finds(fields, outcome.map(|(fields, _)| *fields))
            }
            Some(Event::Outcome) if fields.decision_seq.unwrap() < segments[0].first_seq => {
                filter.finds_orphan(fields) || filter.finds_single(fields)
            }
            _ => filter.finds_single(fields),
        };
        if hit && !filter.is_behind(fields.seq) {
            let outcome = outcome.map(|(_, line)| (*line).clone());
            found.push((fields.seq, Hit { line: line.clone(), outcome }));
        }
    }
    found.into_iter().map(|(_, hit)| hit).collect()
}

fn searched(directory: &Path, filter: &Filter, take: Take, indexes: Indexes<'_>) -> Vec<Hit> {
    let mut found = Vec::new();
    let mut each = |hit| {
        found.push(hit);
        Ok(())
    };
    query(&LogReader::new(directory), filter, take, indexes, &mut each).unwrap();
    found
}

/// Out of order is only what had to be looked up.
fn sorted(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by_key(|hit| hit.fields().seq);
    hits
}

/// Makes every index bad in one of the ways in which an index can be.
fn spoil(directory: &Path, dice: &mut Dice) {
    let all = LogReader::new(directory).list().unwrap();
    for (place, segment) in all.iter().enumerate() {
        let file = segment.index_path();
        match dice.roll(4) {
            0 => drop(std::fs::write(&file, b"nonsense")),
            1 if file.exists() => {
                let mut bytes = std::fs::read(&file).unwrap();
                let at = dice.roll(bytes.len());
                bytes[at] ^= 0x10;
                std::fs::write(&file, bytes).unwrap();
            }
            // That of another segment.
            2 if place > 0 && all[place - 1].index_path().exists() => {
                std::fs::copy(all[place - 1].index_path(), &file).unwrap();
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_search_finds_what_a_plain_look_finds(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path();
        write_log(log, &mut dice);
        for _ in 0..6 {
            let filter = filter(&mut dice);
            let expected = naively(log, &filter);
            let unused = searched(log, &filter, Take::All, Indexes::Unused);
            prop_assert_eq!(&sorted(unused), &expected, "{:?}", &filter);
            for _ in 0..2 {
                let kept = searched(log, &filter, Take::All, KEPT);
                prop_assert_eq!(&sorted(kept), &expected, "with indexes: {:?}", &filter);
            }
            let most = dice.roll(4);
            let last = searched(log, &filter, Take::Last(most), KEPT);
            let newest = &expected[expected.len().saturating_sub(most)..];
            prop_assert_eq!(&sorted(last), newest, "the last {}: {:?}", most, &filter);
            spoil(log, &mut dice);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        tail in "(\\{\"seq\":[0-9]{1,22},\"event\":\"grant.(decision|outcome)\"[a-z\":,0-9_]{0,20}\\}\n){0,5}",
    ) {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path();
        for (first, content) in [(1, bytes.as_slice()), (50, tail.as_bytes()), (90, b"{")] {
            std::fs::write(log.join(format!("{first:020}.jsonl")), content).unwrap();
        }
        std::fs::write(log.join(format!("{:020}.jsonl.zst", 99)), &bytes).unwrap();
        for filter in [Filter::default(), Filter { outcome: Some(Outcome::Granted), ..Filter::default() }] {
            let _ = query(&LogReader::new(log), &filter, Take::Last(1), KEPT, &mut |hit| {
                let _ = hit.fields();
                Ok(())
            });
        }
    }
}

fn decision(seq: u64, request_id: &str) -> String {
    format!(
        r#"{{"v":1,"seq":{seq},"time":"2026-11-23T09:00:00.000000Z","event":"grant.decision","request_id":"{request_id}","caller":"desk","decision":"deny","reason":"no-rule-matches"}}
"#
    )
}

fn by_request(id: &str) -> Filter {
    Filter { request_id: Some(id.into()), ..Filter::default() }
}

#[test]
fn segments_that_hold_nothing_of_it_are_not_read_and_a_changed_one_is() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path();
    for seq in 1..=5 {
        let name = log.join(format!("{seq:020}.jsonl"));
        std::fs::write(name, decision(seq, &format!("request-{seq}"))).unwrap();
    }
    let mut none = |_| Ok(());
    let mut read = |id: &str| {
        let summary =
            query(&LogReader::new(log), &by_request(id), Take::All, KEPT, &mut none).unwrap();
        assert_eq!((summary.records, summary.segments), (Some(5), 5));
        (summary.found, summary.segments_read)
    };
    assert_eq!(read("request-2"), (1, 2), "its segment, and the newest, which has no index");
    let segment = &LogReader::new(log).list().unwrap()[0];
    assert!(load(segment).is_some() && load(&LogReader::new(log).list().unwrap()[4]).is_none());
    // The same first number, more bytes: the index is stale, and is made anew.
    let more = decision(1, "request-1") + decision(2, "late").as_str();
    std::fs::write(&segment.path, more).unwrap();
    assert_eq!(read("late"), (1, 2));
    assert!(load(segment).is_some());
    // A damaged line may have been anything: the segment is read, and the damage told of.
    std::fs::write(&segment.path, decision(1, "request-1") + "xx\n").unwrap();
    let summary =
        query(&LogReader::new(log), &by_request("none"), Take::All, KEPT, &mut |_| Ok(())).unwrap();
    assert_eq!((summary.damaged_lines, summary.segments_read), (1, 2));
}

#[test]
fn a_directory_that_cannot_be_written_to_is_searched_without_indexes() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path();
    for seq in 1..=3 {
        std::fs::write(log.join(format!("{seq:020}.jsonl")), decision(seq, "r")).unwrap();
    }
    std::fs::set_permissions(log, std::fs::Permissions::from_mode(0o500)).unwrap();
    // The superuser may write everywhere; `/proc/self/fd` and the like are no help either.
    let writable = std::fs::write(log.join("try"), "").is_ok();
    let found = searched(log, &by_request("r"), Take::First(2), KEPT);
    assert_eq!(found.len(), 2);
    if !writable {
        assert!(make(&LogReader::new(log), &LogReader::new(log).list().unwrap()[0]).is_none());
        assert_eq!(std::fs::read_dir(log).unwrap().count(), 3, "nothing was left there");
    }
    std::fs::set_permissions(log, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_filter_that_can_find_nothing_says_so() {
    let of = |event| Filter { events: vec![event], ..Filter::default() };
    let caller = Some(CallerId::parse("desk").unwrap());
    let fault = Filter { caller, ..of(Event::Stop) }.fault().unwrap();
    assert!(fault.contains("no record of `log.stop` has a caller"), "{fault}");
    assert_eq!(Filter { reason: Some(Reason::TokenUnknown), ..of(Event::Stranger) }.fault(), None);
    let now = jiff::Timestamp::UNIX_EPOCH;
    assert!(Filter { since: Some(now), until: Some(now), ..Filter::default() }.fault().is_some());
}
