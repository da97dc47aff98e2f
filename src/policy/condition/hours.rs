//! Opening hours in the local time of a zone.

use std::ops::Range;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike as _};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use opening_hours::OpeningHours;
use opening_hours_syntax::rules::day::{Date, DateOffset, Month, MonthdayRange, WeekDayRange};
use opening_hours_syntax::rules::time::{Time, TimeSpan};
use opening_hours_syntax::rules::{OpeningHoursExpression, RuleKind};
use opening_hours_syntax::{ExtendedTime, Parser, Warning};

/// Every date comes within it.
pub(super) const YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Minutes of a day.
const DAY: u32 = 24 * 60;

/// Hours of a `when`.
#[derive(Debug, Clone)]
pub(super) struct Hours {
    zone: TimeZone,
    expression: OpeningHours,
}

impl Hours {
    pub(super) fn new(zone: TimeZone, expression: OpeningHours) -> Self {
        Self { zone, expression }
    }

    /// Whether so much time shows all that they say of any.
    pub(super) fn are_shown_within(&self, time: SignedDuration) -> bool {
        time >= YEAR && repeats_yearly(&self.expression.get_expression())
    }

    pub(super) fn are_open(&self, at: Timestamp) -> bool {
        // Outside of what a calendar can say nothing is open.
        naive(self.zone.to_datetime(at)).is_some_and(|local| {
            let minute = local.time().num_seconds_from_midnight() / 60;
            self.spans(local.date()).iter().any(|span| span.contains(&minute))
        })
    }

    /// The minutes of a day in which it is open. Both the decision and what is said of other
    /// times come from here: the library's own search for the next change skips some.
    fn spans(&self, date: NaiveDate) -> Vec<Range<u32>> {
        let minutes = |time: ExtendedTime| u32::from(time.mins_from_midnight()).min(DAY);
        let ranges = self.expression.schedule_at(date).into_iter();
        let open = ranges.filter(|range| range.kind == RuleKind::Open);
        open.map(|range| minutes(range.range.start)..minutes(range.range.end)).collect()
    }

    pub(super) fn changes(&self, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let local = |at| naive(self.zone.to_datetime(at)).map(|local| local.date());
        let (Some(start), Some(end)) = (local(from), local(until)) else { return Vec::new() };
        // A day more on each side: local time may jump.
        let days = start.pred_opt().unwrap_or(start).iter_days();
        let days = days.take_while(|day| *day <= end.succ_opt().unwrap_or(end));
        let edges = days.flat_map(|day| {
            let spans = self.spans(day).into_iter();
            let edges = spans.flat_map(|span| [span.start, span.end]);
            edges.filter_map(move |minute| {
                day.and_time(NaiveTime::MIN).checked_add_signed(TimeDelta::minutes(minute.into()))
            })
        });
        // An hour that comes twice has every edge twice.
        let instants = edges.filter_map(civil).flat_map(|local| {
            let zoned = self.zone.to_ambiguous_timestamp(local);
            [zoned.earlier().ok(), zoned.later().ok()].into_iter().flatten()
        });
        let jumps = self.zone.following(from).map(|jump| jump.timestamp());
        let jumps = jumps.take_while(|jump| *jump < until);
        instants.chain(jumps).filter(|at| (from..until).contains(at)).collect()
    }

    /// Whether there is an hour on some day between these.
    pub(super) fn open_between(&self, from: Timestamp, until: Timestamp) -> bool {
        let local = |at| naive(self.zone.to_datetime(at)).map(|local| local.date());
        let (Some(start), Some(end)) = (local(from), local(until)) else { return false };
        let mut days = start.iter_days().take_while(|day| *day <= end);
        days.any(|day| !self.spans(day).is_empty())
    }
}

/// Whether what it says of one year it says of every other: no years, no weeks, no days of
/// the week at a date, no Easter.
fn repeats_yearly(expression: &OpeningHoursExpression) -> bool {
    let fixed = |date: &Date| match date {
        Date::Fixed { year, month, day } => {
            year.is_none() && (*month, *day) != (Month::February, 29)
        }
        Date::Weekday { .. } | Date::Easter { .. } => false,
    };
    let regular = |range: &MonthdayRange| match range {
        MonthdayRange::Month { year, .. } => year.is_none(),
        MonthdayRange::Date { start, end } => {
            fixed(&start.0)
                && fixed(&end.0)
                && [start.1, end.1].iter().all(|offset| *offset == DateOffset::default())
        }
    };
    expression.rules.iter().all(|rule| {
        let days = &rule.day_selector;
        days.year.is_empty()
            && days.week.is_empty()
            && (days.monthday.is_empty() || days.weekday.is_empty())
            && days.monthday.iter().all(regular)
    })
}

/// Only names of the IANA database, as they are written there.
pub(super) fn time_zone(name: &str) -> Result<TimeZone, String> {
    let zone = jiff::tz::db().get(name).ok();
    let zone = zone.filter(|zone| zone.iana_name() == Some(name));
    zone.ok_or_else(|| {
        format!(
            "`{name}` is no time zone: write a name of the IANA database such as `Europe/Berlin`"
        )
    })
}

/// Reads an expression and refuses what a decision cannot rest on.
pub(super) fn parse(text: &str) -> Result<OpeningHours, String> {
    let mut warnings = Vec::new();
    let note = |warning: Warning<'_>| warnings.push(warning.to_string());
    let parsed = OpeningHours::parse_with(&mut Parser::default().with_warning_handler(note), text);
    let parsed = parsed.map_err(|error| {
        let error = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
        let error = error.trim_start_matches("= ");
        format!("`{text}` are no opening hours such as `Mo-Fr 08:00-18:00`: {error}")
    })?;
    if let Some(warning) = warnings.first() {
        return Err(format!("opening hours: {warning}"));
    }
    match unknowable(&parsed.get_expression()) {
        Some(what) => Err(format!("opening hours: {what}")),
        None => Ok(parsed),
    }
}

/// What the grammar has and a decision about a door cannot rest on.
fn unknowable(expression: &OpeningHoursExpression) -> Option<&'static str> {
    let variable = |time: &Time| matches!(time, Time::Variable(_));
    let several = expression.rules.len() > 1;
    let past_midnight = |span: &TimeSpan| match (span.range.start, span.range.end) {
        (Time::Fixed(start), Time::Fixed(end)) => end > ExtendedTime::MIDNIGHT_24 || end <= start,
        _ => false,
    };
    let of_time = |span: &TimeSpan| {
        if variable(&span.range.start) || variable(&span.range.end) {
            Some("the sun is not known here; write times of the clock")
        } else if span.open_end {
            Some("an open end (`+`) is not known; write when it ends")
        } else if span.repeats.is_some() {
            Some("points in time (`/`) open nothing; write spans")
        } else if several && past_midnight(span) {
            // The library lets the rules of a day cut what another day's left over, or not.
            Some(
                "a span past midnight must be alone: beside `;`, `,` or `||` it would end or stay at \
                 midnight; write two spans such as `22:00-24:00,00:00-06:00`, or a rule of its own",
            )
        } else {
            None
        }
    };
    expression.rules.iter().find_map(|rule| {
        let holiday = |day: &WeekDayRange| matches!(day, WeekDayRange::Holiday { .. });
        if rule.kind == RuleKind::Unknown {
            Some("`unknown` neither opens nor closes; write `open` or `off`")
        } else if rule.day_selector.weekday.iter().any(holiday) {
            Some(
                "holidays (`PH`, `SH`) are not known here; write their dates, such as `Dec 25 off`",
            )
        } else {
            rule.time_selector.spans.iter().find_map(of_time)
        }
    })
}

fn naive(local: DateTime) -> Option<NaiveDateTime> {
    let part = |part: i8| u32::try_from(part).ok();
    let date =
        NaiveDate::from_ymd_opt(i32::from(local.year()), part(local.month())?, part(local.day())?)?;
    date.and_hms_opt(part(local.hour())?, part(local.minute())?, part(local.second())?)
}

fn civil(local: NaiveDateTime) -> Option<DateTime> {
    use chrono::Datelike as _;
    let part = |part: u32| i8::try_from(part).ok();
    let year = i16::try_from(local.year()).ok()?;
    let (month, day) = (part(local.month())?, part(local.day())?);
    let (hour, minute, second) =
        (part(local.hour())?, part(local.minute())?, part(local.second())?);
    DateTime::new(year, month, day, hour, minute, second, 0).ok()
}
