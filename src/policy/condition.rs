//! The `when` column of a rule: opening hours, and how the grantee is named.
//!
//! ```text
//! when = term *( " & " term )
//! term = "hours" SP zone SP expression     e.g. hours Europe/Berlin Mo-Fr 08:00-18:00
//!      / "grantee" SP ( "acs_user" / "user_identity" )
//! ```
//! `expression` is OpenStreetMap's `opening_hours`, read in the local time of an IANA
//! time zone. What it can say and a gateway cannot know is refused: holidays, the sun,
//! and times that are only "unknown".

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

use crate::domain::GranteeKind;

/// When, and for which form of grantee, a rule is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall-clock time.
    pub at: Timestamp,
    /// How the grantee is named.
    pub grantee: GranteeKind,
}

/// Every date comes within it.
const YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Minutes of a day.
const DAY: u32 = 24 * 60;

/// One `when`.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    text: String,
    hours: Vec<Hours>,
    grantee: Option<GranteeKind>,
}

#[derive(Debug, Clone)]
struct Hours {
    zone: TimeZone,
    expression: OpeningHours,
}

/// What is wrong with a `when`, and at which byte of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) offset: usize,
    pub(super) text: String,
}

impl Condition {
    /// Reads the text of one `when`.
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        let mut found = Self { text: text.to_owned(), hours: Vec::new(), grantee: None };
        let mut offset = 0;
        for part in text.split('&') {
            let term = part.trim_matches(' ');
            let start = offset + part.len() - part.trim_start_matches(' ').len();
            found.term(term).map_err(|(within, text)| Mistake { offset: start + within, text })?;
            offset += part.len() + 1;
        }
        Ok(found)
    }

    fn term(&mut self, term: &str) -> Result<(), (usize, String)> {
        let (word, rest) = term.split_once(' ').unwrap_or((term, ""));
        let value = rest.trim_start_matches(' ');
        let at = term.len() - value.len();
        match word {
            "hours" => {
                let (zone, expression) = value.split_once(' ').unwrap_or((value, ""));
                let expression = expression.trim_start_matches(' ');
                let zone = time_zone(zone).map_err(|text| (at, text))?;
                let at = term.len() - expression.len();
                let expression = hours(expression).map_err(|text| (at, text))?;
                self.hours.push(Hours { zone, expression });
                Ok(())
            }
            "grantee" if self.grantee.is_some() => {
                Err((0, "`grantee` may stand once: a grantee has one form".into()))
            }
            "grantee" => {
                let wrong = || {
                    (
                        at,
                        format!(
                            "`{value}` is no form of grantee: write `acs_user` or `user_identity`"
                        ),
                    )
                };
                self.grantee = Some(GranteeKind::parse(value).ok_or_else(wrong)?);
                Ok(())
            }
            _ => Err((
                0,
                format!(
                    "`{word}` is no condition: write `hours ZONE EXPRESSION` or `grantee FORM`, \
                     joined by ` & `"
                ),
            )),
        }
    }

    /// The text as it stands in the rule.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the rule counts.
    pub(super) fn holds(&self, moment: Moment) -> bool {
        self.grantee.is_none_or(|kind| kind == moment.grantee)
            && self.hours.iter().all(|hours| hours.are_open(moment.at))
    }

    /// Whether so much time shows all that it says of any.
    pub(super) fn is_shown_within(&self, time: SignedDuration) -> bool {
        let yearly = |hours: &Hours| repeats_yearly(&hours.expression.get_expression());
        self.hours.is_empty() || (time >= YEAR && self.hours.iter().all(yearly))
    }

    /// Whether each of its hours comes at all between these. Together they may still not.
    pub(super) fn comes_between(&self, from: Timestamp, until: Timestamp) -> bool {
        self.hours.iter().all(|hours| hours.open_between(from, until))
    }

    /// Instants between `from` and `until` outside of which [`Condition::holds`] does
    /// not change for one form of grantee; some more may be among them.
    pub(super) fn changes(&self, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        self.hours.iter().flat_map(|hours| hours.changes(from, until)).collect()
    }
}

impl Hours {
    fn are_open(&self, at: Timestamp) -> bool {
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

    fn changes(&self, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
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
    fn open_between(&self, from: Timestamp, until: Timestamp) -> bool {
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
fn time_zone(name: &str) -> Result<TimeZone, String> {
    let zone = jiff::tz::db().get(name).ok();
    let zone = zone.filter(|zone| zone.iana_name() == Some(name));
    zone.ok_or_else(|| {
        format!(
            "`{name}` is no time zone: write a name of the IANA database such as `Europe/Berlin`"
        )
    })
}

fn hours(text: &str) -> Result<OpeningHours, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, at: &str, grantee: GranteeKind) -> bool {
        let at = at.parse().unwrap();
        Condition::parse(text).unwrap().holds(Moment { at, grantee })
    }

    #[test]
    fn hours_are_those_of_the_clock_on_the_wall() {
        let office = "hours Europe/Berlin Mo-Fr 08:00-18:00; Dec 25 off";
        let night = "hours America/New_York Mo-Su 22:00-06:00";
        let table = [
            // 2026-11-25 is a Wednesday; Berlin is an hour ahead of UTC in winter.
            (office, "2026-11-25T06:59:59Z", false),
            (office, "2026-11-25T07:00:00Z", true),
            (office, "2026-11-25T16:59:59Z", true),
            (office, "2026-11-25T17:00:00Z", false),
            // Two hours in summer.
            (office, "2026-07-01T06:00:00Z", true),
            (office, "2026-11-28T10:00:00Z", false),
            (office, "2026-12-25T10:00:00Z", false),
            // Past midnight, in another zone.
            (night, "2026-11-25T02:59:00Z", false),
            (night, "2026-11-25T03:00:00Z", true),
            (night, "2026-11-25T10:59:00Z", true),
            (night, "2026-11-25T11:00:00Z", false),
        ];
        for (text, at, expected) in table {
            assert_eq!(holds(text, at, GranteeKind::AcsUser), expected, "{text} {at}");
        }
    }

    #[test]
    fn every_term_must_hold() {
        use GranteeKind::{AcsUser, UserIdentity};
        let both = "grantee user_identity & hours Etc/UTC 10:00-12:00 & hours Etc/UTC 11:00-13:00";
        assert!(holds(both, "2026-11-25T11:30:00Z", UserIdentity));
        assert!(!holds(both, "2026-11-25T11:30:00Z", AcsUser));
        assert!(!holds(both, "2026-11-25T10:30:00Z", UserIdentity));
    }

    #[test]
    fn mistakes_have_a_place_and_say_what_to_write() {
        let table = [
            ("", 0, "`` is no condition"),
            ("open Mo-Fr", 0, "`open` is no condition"),
            ("grantee person", 8, "`person` is no form of grantee"),
            ("grantee acs_user & grantee acs_user", 19, "may stand once"),
            ("hours", 5, "`` is no time zone"),
            ("hours Berlin Mo-Fr", 6, "`Berlin` is no time zone"),
            ("hours europe/berlin Mo-Fr", 6, "`europe/berlin` is no time zone"),
            ("hours Europe/Berlin", 19, "are no opening hours"),
            ("hours Europe/Berlin Monday", 20, "are no opening hours"),
            ("hours Europe/Berlin  25:00-26:00", 21, "are no opening hours"),
            ("hours Europe/Berlin Mo-Fr 08:00-18:00; PH off", 20, "holidays (`PH`, `SH`)"),
            ("hours Europe/Berlin sunrise-sunset", 20, "the sun is not known"),
            ("hours Europe/Berlin 18:00+", 20, "an open end"),
            ("hours Europe/Berlin Mo unknown", 20, "`unknown` neither opens"),
            ("hours Europe/Berlin 10:00-16:00/01:30", 20, "points in time"),
            ("hours Europe/Berlin mo 10:00-16:00", 20, "should be capitalized"),
            ("hours Etc/UTC Mo-Su 22:00-06:00; Dec 25 off", 14, "past midnight must be alone"),
            ("hours Etc/UTC Mo 08:00-18:00, Su 22:00-28:00", 14, "past midnight must be alone"),
        ];
        for (text, offset, said) in table {
            let mistake = Condition::parse(text).unwrap_err();
            assert!(mistake.text.contains(said), "{text}: {mistake:?}");
            assert_eq!(mistake.offset, offset, "{text}: {mistake:?}");
        }
    }

    fn changes_are_complete(text: &str, from: &str, days: i64, step: i64) {
        let Ok(condition) = Condition::parse(text) else { return };
        let from: Timestamp = from.parse().unwrap();
        let until = from + jiff::SignedDuration::from_hours(24 * days);
        let mut changes = condition.changes(from, until);
        changes.sort_unstable();
        let holds = |at| condition.holds(Moment { at, grantee: GranteeKind::AcsUser });
        let mut at = from;
        let mut known = holds(from);
        let mut next = changes.iter().copied().peekable();
        while at < until {
            while let Some(change) = next.next_if(|change| *change <= at) {
                known = holds(change);
            }
            assert_eq!(holds(at), known, "{text} {at}");
            at += jiff::SignedDuration::from_mins(step);
        }
    }

    #[test]
    fn between_two_changes_nothing_changes() {
        // Around both changes of the clock, in a zone that has half an hour of it.
        for (zone, from) in [
            ("Europe/Berlin", "2026-03-28T00:00:00Z"),
            ("Europe/Berlin", "2026-10-24T00:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-04T00:00:00Z"),
        ] {
            let text = format!("hours {zone} 01:30-02:15,02:40-03:30");
            changes_are_complete(&text, from, 2, 5);
        }
        for text in [
            "hours Etc/UTC Nov 25 00:00-48:00",
            "hours Etc/UTC Mo-Fr 15:00-17:00 || 24/7 off",
            "hours Etc/UTC 24/7; 2027 off",
        ] {
            changes_are_complete(text, "2026-11-21T00:00:00Z", 400, 30);
        }
    }

    #[test]
    fn what_does_not_come_every_year_is_known() {
        for (text, yearly) in [
            ("hours Etc/UTC Mo-Fr 08:00-18:00; Dec 24-26 off", true),
            ("hours Etc/UTC Jun-Aug 08:00-18:00", true),
            ("grantee acs_user", true),
            ("hours Etc/UTC 2028-2099", false),
            ("hours Etc/UTC 2027 Jan 1-2027 Feb 1", false),
            ("hours Etc/UTC Dec 25 Mo 08:00-18:00", false),
            ("hours Etc/UTC Feb 29", false),
            ("hours Etc/UTC week 53 Mo", false),
            ("hours Etc/UTC easter", false),
        ] {
            let condition = Condition::parse(text).unwrap();
            assert_eq!(condition.is_shown_within(YEAR), yearly, "{text}");
            assert_eq!(condition.is_shown_within(SignedDuration::ZERO), text == "grantee acs_user");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 300, ..Default::default() })]

        /// Random expressions, half an hour by half an hour for two months.
        #[test]
        fn no_change_is_missed(
            rules in proptest::collection::vec(
                "(Mo|Tu-Fr|Sa,Su|Nov 25-Dec 2|Dec 24|2026|2027 Jan|week 48-50/2|Nov-Dec) ?(08:00-18:00|09:00-12:00,13:00-17:30|00:00-48:00|22:00-06:00|22:00-24:00|)( off|)",
                1..4,
            ),
            separator in "(; |, | \\|\\| )",
        ) {
            let text = format!("hours Europe/Berlin {}", rules.join(&separator));
            changes_are_complete(&text, "2026-11-20T00:00:00Z", 60, 30);
        }
    }
}
