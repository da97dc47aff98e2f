//! Opening hours in the local time of a zone.

mod calendar;
mod doubts;
mod expression;
mod read;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Mistake;
use expression::Expression;

/// Every date comes within it.
pub(super) const YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Hours of a `when`.
#[derive(Debug, Clone)]
pub(super) struct Hours {
    zone: TimeZone,
    expression: Expression,
}

impl Hours {
    /// Reads an expression.
    pub(super) fn read(zone: TimeZone, text: &str) -> Result<Self, Mistake> {
        Ok(Self { zone, expression: read::read(text)? })
    }

    /// How much work [`Self::doubts`] is.
    pub(super) fn weight(&self) -> usize {
        self.expression.weight()
    }

    /// What is valid and most likely not meant; `text` is what was read.
    pub(super) fn doubts(&self, text: &str, now: Timestamp) -> Vec<Mistake> {
        self.expression.doubts(text, self.zone.to_datetime(now).date())
    }

    /// Whether so much time shows all that they say of any.
    pub(super) fn are_shown_within(&self, time: SignedDuration) -> bool {
        time >= YEAR && self.expression.repeats_yearly()
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    pub(super) fn are_open(&self, at: Timestamp) -> bool {
        let local = self.zone.to_datetime(at);
        self.expression.is_open(local.date(), minute(local))
    }

    pub(super) fn changes(&self, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let local = |at| self.zone.to_datetime(at).date();
        // A day more on each side: local time may jump.
        let first = local(from).yesterday().unwrap_or(Date::MIN);
        let last = local(until).tomorrow().unwrap_or(Date::MAX);
        let edges = days(first, last).flat_map(|day| {
            let spans = self.expression.spans(day).into_iter();
            spans.flat_map(|span| [span.start, span.end]).filter_map(move |minute| at(day, minute))
        });
        // An hour that comes twice has every edge twice.
        let instants = edges.flat_map(|local| {
            let zoned = self.zone.to_ambiguous_timestamp(local);
            [zoned.earlier().ok(), zoned.later().ok()].into_iter().flatten()
        });
        let jumps = self.zone.following(from).map(|jump| jump.timestamp());
        let jumps = jumps.take_while(|jump| *jump < until);
        instants.chain(jumps).filter(|at| (from..until).contains(at)).collect()
    }

    /// Whether there is an hour on some day between these.
    pub(super) fn open_between(&self, from: Timestamp, until: Timestamp) -> bool {
        let local = |at| self.zone.to_datetime(at).date();
        days(local(from), local(until)).any(|day| !self.expression.spans(day).is_empty())
    }
}

fn minute(local: DateTime) -> u16 {
    u16::try_from(i16::from(local.hour()) * 60 + i16::from(local.minute())).unwrap_or(0)
}

/// The time of this minute; the last is the midnight after the day.
fn at(day: Date, minute: u16) -> Option<DateTime> {
    day.to_datetime(jiff::civil::Time::midnight())
        .checked_add(SignedDuration::from_mins(minute.into()))
        .ok()
}

fn days(first: Date, last: Date) -> impl Iterator<Item = Date> {
    std::iter::successors(Some(first), |day| day.tomorrow().ok())
        .take_while(move |day| *day <= last)
}

/// Only names of the IANA database, as they are written there.
pub(super) fn time_zone(name: &str) -> Result<TimeZone, String> {
    let zone = jiff::tz::db().get(name).ok();
    let zone = zone.filter(|zone| zone.iana_name() == Some(name));
    zone.ok_or_else(|| {
        format!(
            "`{name}` is not a time zone: write a name of the IANA database such as `Europe/Berlin`"
        )
    })
}

#[cfg(test)]
mod tests;
