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

use chrono::{NaiveDate, NaiveDateTime};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use opening_hours::OpeningHours;
use opening_hours_syntax::rules::day::WeekDayRange;
use opening_hours_syntax::rules::time::{Time, TimeSpan};
use opening_hours_syntax::rules::{OpeningHoursExpression, RuleKind};
use opening_hours_syntax::{Parser, Warning};

use crate::domain::GranteeKind;

/// When, and for which form of grantee, a rule is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall-clock time.
    pub at: Timestamp,
    /// How the grantee is named.
    pub grantee: GranteeKind,
}

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

    /// Instants between `from` and `until` outside of which [`Condition::holds`] does
    /// not change for one form of grantee; some more may be among them.
    pub(super) fn changes(&self, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        self.hours.iter().flat_map(|hours| hours.changes(from, until)).collect()
    }
}

impl Hours {
    fn are_open(&self, at: Timestamp) -> bool {
        // Outside of what a calendar can say nothing is open.
        naive(self.zone.to_datetime(at)).is_some_and(|local| self.expression.is_open(local))
    }

    fn changes(&self, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let local = |at| naive(self.zone.to_datetime(at));
        let (Some(start), Some(end)) = (local(from), local(until)) else { return Vec::new() };
        // A day more on each side: local time may jump.
        let day = chrono::TimeDelta::days(1);
        let ranges = self.expression.iter_range(start - day, end + day);
        let edges = ranges.flat_map(|range| [range.range.start, range.range.end]);
        // An hour that comes twice has every edge twice.
        let instants = edges.filter_map(civil).flat_map(|local| {
            let zoned = self.zone.to_ambiguous_timestamp(local);
            [zoned.earlier().ok(), zoned.later().ok()].into_iter().flatten()
        });
        let jumps = self.zone.following(from).map(|jump| jump.timestamp());
        let jumps = jumps.take_while(|jump| *jump < until);
        instants.chain(jumps).filter(|at| (from..until).contains(at)).collect()
    }
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
    let of_time = |span: &TimeSpan| {
        if variable(&span.range.start) || variable(&span.range.end) {
            Some("the sun is not known here; write times of the clock")
        } else if span.open_end {
            Some("an open end (`+`) is not known; write when it ends")
        } else if span.repeats.is_some() {
            Some("points in time (`/`) open nothing; write spans")
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
    use chrono::{Datelike as _, Timelike as _};
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
        ];
        for (text, offset, said) in table {
            let mistake = Condition::parse(text).unwrap_err();
            assert!(mistake.text.contains(said), "{text}: {mistake:?}");
            assert_eq!(mistake.offset, offset, "{text}: {mistake:?}");
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
            let condition =
                Condition::parse(&format!("hours {zone} 01:30-02:15,02:40-03:30")).unwrap();
            let from: Timestamp = from.parse().unwrap();
            let until = from + jiff::SignedDuration::from_hours(48);
            let mut changes = condition.changes(from, until);
            changes.sort_unstable();
            let holds = |at| condition.holds(Moment { at, grantee: GranteeKind::AcsUser });
            let mut at = from;
            while at < until {
                let last = changes.iter().rev().find(|change| **change <= at).copied();
                assert_eq!(holds(at), holds(last.unwrap_or(from)), "{zone} {at}");
                at += jiff::SignedDuration::from_mins(5);
            }
        }
    }
}
