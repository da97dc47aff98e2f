//! How many decisions were made, by whom, for which door, and when.
//!
//! Memory is bounded: beyond a number of different keys the rest is counted together, and
//! called `other`.

use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;

use jiff::{SignedDuration, Timestamp};

use crate::audit::log::cursor::Line;
use crate::audit::log::directory::LogReader;
use crate::audit::log::error::ReadError;
use crate::audit::log::segment::Segment;
use crate::audit::record::event::Event;
use crate::audit::record::glance::Glance;
use crate::audit::record::parse::Record;
use crate::audit::search::query::load_index;
use crate::domain::{Act, Operation, Problem};

/// Different keys that are counted apart.
const KEYS_MAX: usize = 10_000;

/// Counts that are kept, over keys and spans of time.
const CELLS_MAX: usize = 500_000;

/// Damaged lines beyond this number are counted and not named.
const DAMAGED_NAMED_MAX: usize = 20;

/// What decisions are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Who asked.
    Caller,
    /// In which workspace.
    Workspace,
    /// For which entrance.
    Entrance,
    /// The reason code.
    Reason,
    /// `allow` or `deny`.
    Decision,
}

impl By {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Workspace => "workspace",
            Self::Entrance => "entrance",
            Self::Reason => "reason",
            Self::Decision => "decision",
        }
    }
}

/// A span of time that counts are summed over. All begin in UTC; weeks on Mondays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// Full hours.
    Hour,
    /// Days.
    Day,
    /// Weeks of ISO 8601.
    Week,
}

impl Every {
    /// How long one is.
    #[must_use]
    pub const fn length(self) -> SignedDuration {
        match self {
            Self::Hour => SignedDuration::from_hours(1),
            Self::Day => SignedDuration::from_hours(24),
            Self::Week => SignedDuration::from_hours(168),
        }
    }

    /// The beginning of the span that a time is in.
    fn start_of(self, time: Timestamp) -> Timestamp {
        // 1970 began on a Thursday.
        let shift = if matches!(self, Self::Week) { 3 * 86_400 } else { 0 };
        let second = time.as_second() + shift;
        let start = second - second.rem_euclid(self.length().as_secs()) - shift;
        Timestamp::from_second(start).unwrap_or(Timestamp::MIN)
    }
}

/// What is counted.
#[derive(Debug, Clone, Default)]
pub struct StatsRequest {
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Only of this; of anything where there is none.
    pub act: Option<Act>,
    /// What is told apart.
    pub by: Vec<By>,
    /// Over which spans of time; none for all of it.
    pub every: Option<Every>,
}

/// Decisions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Allowed.
    pub allow: u64,
    /// Denied.
    pub deny: u64,
}

impl Counts {
    /// Both.
    #[must_use]
    pub const fn all(self) -> u64 {
        self.allow + self.deny
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.allow += other.allow;
        self.deny += other.deny;
    }
}

/// Decisions, in all and over time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    /// In all.
    pub total: Counts,
    /// By the beginning of each span in which there was one.
    pub over_time: BTreeMap<Timestamp, Counts>,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Stats {
    /// All decisions.
    pub all: Series,
    /// By the values of what is told apart, in its order; an entrance is empty where the
    /// request named none.
    pub rows: HashMap<Vec<String>, Series>,
    /// What was too much to be told apart.
    pub other: Series,
    /// Lines that are no records, in all, among those that were looked into.
    pub damaged_lines: u64,
    /// The first of them.
    pub damaged: Vec<Problem>,
    cells: usize,
}

/// Counts the decisions of the log.
///
/// # Errors
/// [`ReadError`].
pub fn stats(log: &LogReader, request: &StatsRequest) -> Result<Stats, ReadError> {
    stats_of([log], request)
}

/// The same of several logs together.
///
/// # Errors
/// [`ReadError`].
pub fn stats_of<'l>(
    logs: impl IntoIterator<Item = &'l LogReader>,
    request: &StatsRequest,
) -> Result<Stats, ReadError> {
    let mut stats = Stats::default();
    let (mut all, mut empty) = (0, None);
    for log in logs {
        all += 1;
        match stats.log(log, request) {
            Err(error @ ReadError::Empty(_)) => empty = Some(error),
            read => read?,
        }
    }
    // One of several may have nothing yet.
    empty.filter(|_| all == 1).map_or(Ok(stats), Err)
}

impl Stats {
    fn log(&mut self, log: &LogReader, request: &StatsRequest) -> Result<(), ReadError> {
        let mut segments = log.segments()?;
        segments.retain(|segment| !segment.is_closed() || !is_of_another_time(segment, request));
        let glance = Glance::new();
        let mut walk = log.walk(segments).over_gaps();
        while let Some(line) = walk.next()? {
            if !line.is_torn() && self.line(&line, &glance, request).is_none() {
                self.damaged(&line);
            }
        }
        Ok(())
    }
}

/// Whether its index is sure that nothing in it counts.
fn is_of_another_time(segment: &Segment, request: &StatsRequest) -> bool {
    if request.since.is_none() && request.until.is_none() {
        return false;
    }
    let Some(index) = load_index(segment).filter(|index| index.damaged == 0) else { return false };
    index.times.is_none_or(|(earliest, latest)| {
        request.since.is_some_and(|since| latest < since.as_microsecond())
            || request.until.is_some_and(|until| earliest > until.as_microsecond())
    })
}

impl Stats {
    /// Counts a line; none when it is no record.
    fn line(&mut self, line: &Line<'_>, glance: &Glance, request: &StatsRequest) -> Option<()> {
        let decision = Event::Decision.as_str().as_bytes();
        if glance.event(line.whole()?).is_some_and(|event| event != decision) {
            return Some(());
        }
        let record = line.record()?;
        if !record.is(Event::Decision) {
            return Some(());
        }
        let time = record.time()?;
        let act = || record.operation().map(Operation::act);
        let counts = request.act.is_none_or(|wanted| act() == Some(wanted))
            && request.since.is_none_or(|since| since <= time)
            && request.until.is_none_or(|until| time < until);
        if counts {
            self.add(&record, time, request);
        }
        Some(())
    }

    fn add(&mut self, record: &Record<'_>, time: Timestamp, request: &StatsRequest) {
        let allow = record.allows();
        let count = Counts { allow: u64::from(allow), deny: u64::from(!allow) };
        let span = request.every.map(|every| every.start_of(time));
        let value = |by: &By| match by {
            By::Caller => record.caller(),
            By::Workspace => record.workspace(),
            By::Entrance => record.entrance_id(),
            By::Reason => record.reason(),
            By::Decision => record.decision(),
        };
        let key: Vec<String> =
            request.by.iter().map(|by| value(by).unwrap_or_default().to_owned()).collect();
        let room = self.cells < CELLS_MAX;
        self.cells += usize::from(self.all.add(count, span, room));
        if request.by.is_empty() {
            return;
        }
        let many = self.rows.len() >= KEYS_MAX;
        let series = match self.rows.get_mut(&key) {
            // What it has no room for is not lost.
            Some(series) if room || series.has(span) => series,
            None if room && !many => self.rows.entry(key).or_default(),
            _ => &mut self.other,
        };
        self.cells += usize::from(series.add(count, span, room));
    }

    fn damaged(&mut self, line: &Line<'_>) {
        self.damaged_lines += 1;
        if self.damaged.len() < DAMAGED_NAMED_MAX {
            self.damaged.push(line.problem());
        }
    }
}

impl Series {
    fn has(&self, span: Option<Timestamp>) -> bool {
        span.is_none_or(|span| self.over_time.contains_key(&span))
    }

    /// Whether it has one more span than before.
    fn add(&mut self, count: Counts, span: Option<Timestamp>, room: bool) -> bool {
        self.total += count;
        let Some(span) = span else { return false };
        if !room && !self.over_time.contains_key(&span) {
            return false;
        }
        let before = self.over_time.len();
        *self.over_time.entry(span).or_default() += count;
        self.over_time.len() > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(seq: usize, time: &str, caller: &str, decision: &str) -> String {
        format!(
            r#"{{"v":1,"seq":{seq},"time":"{time}","event":"grant.decision","request_id":"r","caller":"{caller}","decision":"{decision}","reason":"x"}}
"#
        )
    }

    fn log(lines: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("00000000000000000001.jsonl"), lines).unwrap();
        directory
    }

    #[test]
    fn spans_begin_at_full_hours_days_and_mondays() {
        let at = "2026-11-25T13:14:15.5Z".parse().unwrap();
        for (every, start) in [
            (Every::Hour, "2026-11-25T13:00:00Z"),
            (Every::Day, "2026-11-25T00:00:00Z"),
            (Every::Week, "2026-11-23T00:00:00Z"),
        ] {
            assert_eq!(every.start_of(at).to_string(), start);
            let before: Timestamp = "1969-12-28T23:00:00Z".parse().unwrap();
            assert!(every.start_of(before) <= before);
        }
        assert_eq!(Every::Week.start_of(Timestamp::UNIX_EPOCH).to_string(), "1969-12-29T00:00:00Z");
    }

    #[test]
    fn decisions_are_counted_by_key_and_time() {
        let text = [
            decision(1, "2026-11-23T09:00:00Z", "desk", "allow"),
            decision(2, "2026-11-23T10:00:00Z", "desk", "deny"),
            decision(3, "2026-11-24T10:00:00Z", "desk", "allow"),
            decision(4, "2026-11-24T10:00:00Z", "kiosk", "allow"),
            decision(5, "2026-11-25T10:00:00Z", "kiosk", "allow"),
            "{\"v\":1,\"seq\":6,\"event\":\"log.stop\"}\nxx\n".into(),
            "{\"v\":1".into(),
        ];
        let directory = log(&text.concat());
        let request = StatsRequest {
            until: Some("2026-11-25T00:00:00Z".parse().unwrap()),
            by: vec![By::Caller],
            every: Some(Every::Day),
            ..StatsRequest::default()
        };
        let stats = stats(&LogReader::new(directory.path()), &request).unwrap();
        assert_eq!(stats.all.total, Counts { allow: 3, deny: 1 });
        assert_eq!(stats.rows.len(), 2);
        let desk = &stats.rows[&vec!["desk".to_owned()]];
        let days: Vec<_> = desk.over_time.values().copied().collect();
        assert_eq!(days, [Counts { allow: 1, deny: 1 }, Counts { allow: 1, deny: 0 }]);
        assert_eq!((stats.damaged_lines, stats.damaged[0].line), (1, Some(7)));
        assert_eq!(stats.other, Series::default());
    }

    #[test]
    fn too_many_keys_are_counted_together_and_none_is_lost() {
        let lines = (1..=KEYS_MAX + 5)
            .map(|seq| decision(seq, "2026-11-23T09:00:00.000000Z", &format!("c{seq}"), "allow"));
        let directory = log(&lines.collect::<String>());
        let request = StatsRequest {
            by: vec![By::Caller, By::Decision],
            every: Some(Every::Hour),
            ..StatsRequest::default()
        };
        let stats = stats(&LogReader::new(directory.path()), &request).unwrap();
        assert_eq!((stats.rows.len(), stats.other.total.allow), (KEYS_MAX, 5));
        assert_eq!(stats.all.total.all(), KEYS_MAX as u64 + 5);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let text = String::from_utf8_lossy(&bytes).replace(['"', '\\'], "");
            let odd = decision(1, &text, &text, "allow");
            let directory = log(&odd);
            std::fs::write(directory.path().join("00000000000000000002.jsonl"), bytes).unwrap();
            let request = StatsRequest { every: Some(Every::Week), ..StatsRequest::default() };
            let _ = stats(&LogReader::new(directory.path()), &request);
        }
    }
}
