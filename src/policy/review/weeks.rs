//! How many hours a week something is allowed: the same figure whatever day it is asked on.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan as _};

use super::access::{Access, Span, total};
use crate::domain::GranteeKind;

/// The hours of a week.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Access {
    /// Hours a week, on average over the whole weeks of the time that was looked at; none
    /// where it has no whole week.
    #[must_use]
    pub fn hours_a_week(&self, kind: GranteeKind) -> Option<f64> {
        let times = match self {
            Self::Never => return Some(0.0),
            Self::Always => return Some(WEEK.as_secs_f64() / 3600.0),
            Self::Sometimes(times) => times,
        };
        let (weeks, count) = whole_weeks(times.span(), times.zone())?;
        let within = times.of(kind).iter().filter_map(|span| span.within(weeks));
        Some(total(within.map(|span| span.length())).as_secs_f64() / 3600.0 / f64::from(count))
    }
}

/// The whole weeks with which a span begins, and how many they are. A week has the hours of
/// the clock on the wall: 167 or 169 where the clocks change.
fn whole_weeks(span: Span, zone: &TimeZone) -> Option<(Span, u16)> {
    let start = zone.to_datetime(span.from);
    let most = span.length().as_secs() / WEEK.as_secs() + 1;
    let mut ends = (1..=most).rev().filter_map(|count| {
        let end = zone.to_ambiguous_timestamp(start.checked_add(count.weeks()).ok()?);
        let end = end.compatible().ok()?;
        Some((Span { from: span.from, until: end }, u16::try_from(count).ok()?))
    });
    ends.find(|(weeks, _)| weeks.until <= span.until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_are_counted_on_the_wall() {
        let table = [
            // A week in which the clocks go forward has 167 hours, one in which they go back 169.
            ("2026-03-25T12:00:00Z", 167, "Europe/Berlin", Some(1)),
            ("2026-03-25T12:00:00Z", 167, "Etc/UTC", None),
            ("2026-10-21T12:00:00Z", 168, "Europe/Berlin", None),
            ("2026-10-21T12:00:00Z", 169, "Europe/Berlin", Some(1)),
            ("2026-11-28T03:00:00Z", 24 * 366, "Europe/Berlin", Some(52)),
            ("2026-11-28T03:00:00Z", 24 * 6, "Europe/Berlin", None),
            ("2026-11-28T03:00:00Z", 24 * 3660, "Europe/Berlin", Some(522)),
        ];
        for (from, hours, zone, expected) in table {
            let from = from.parse().unwrap();
            let span = Span { from, until: from + SignedDuration::from_hours(hours) };
            let zone = jiff::tz::db().get(zone).unwrap();
            let found = whole_weeks(span, &zone).map(|(_, count)| count);
            assert_eq!(found, expected, "{from} {hours}");
        }
    }
}
