//! Days of the calendar as an expression names them.

use jiff::Span;
use jiff::civil::{Date, Weekday};

/// Days of the week as they are written, Monday first.
pub(super) const DAYS: [&str; 7] = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];

/// Months as they are written.
pub(super) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A day of a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Day {
    /// `Dec 25`.
    Fixed { month: i8, day: i8 },
    /// `Mar Su[-1]`: of that month the `nth` such weekday, from its end where negative.
    Nth { month: i8, weekday: Weekday, nth: i8 },
    /// Easter Sunday of the Gregorian calendar.
    Easter,
}

/// A day of every year, or of one, or so many days from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) year: Option<i16>,
    pub(super) day: Day,
    pub(super) offset: i16,
}

impl Point {
    /// The date in that year; none where the year has no such day.
    pub(super) fn on(&self, year: i16) -> Option<Date> {
        let day = match self.day {
            Day::Fixed { month, day } => Date::new(year, month, day).ok()?,
            Day::Nth { month, weekday, nth } => {
                Date::new(year, month, 1).ok()?.nth_weekday_of_month(nth, weekday).ok()?
            }
            Day::Easter => easter(year)?,
        };
        day.checked_add(Span::new().days(self.offset)).ok()
    }

    /// The first day of a range that begins here: 1 March for 29 February in a year of 365.
    pub(super) fn as_first(&self, year: i16) -> Option<Date> {
        self.on(year).or_else(|| self.leap_day().and_then(|()| Date::new(year, 3, 1).ok()))
    }

    /// The last day of a range that ends here.
    pub(super) fn as_last(&self, year: i16) -> Option<Date> {
        self.on(year).or_else(|| self.leap_day().and_then(|()| Date::new(year, 2, 28).ok()))
    }

    fn leap_day(&self) -> Option<()> {
        (self.day == Day::Fixed { month: 2, day: 29 }).then_some(())
    }

    /// Whether it is the same day in every year, and in each.
    pub(super) fn is_yearly(&self) -> bool {
        let fixed = matches!(self.day, Day::Fixed { .. }) && self.leap_day().is_none();
        fixed && self.year.is_none() && self.offset == 0
    }

    /// Whether the offset leads out of the year, in some year of 28.
    pub(super) fn leaves_its_year(&self) -> bool {
        self.offset != 0
            && (2000..2028).any(|year| self.on(year).is_some_and(|date| date.year() != year))
    }

    /// Whether it is this date in some year.
    pub(super) fn is(&self, date: Date) -> bool {
        if let (Day::Fixed { month, day }, None) = (self.day, self.year) {
            return (date.month(), date.day()) == (month, day);
        }
        match self.year {
            Some(year) => self.on(year) == Some(date),
            None => around(date).any(|year| self.on(year) == Some(date)),
        }
    }
}

/// The years of which an offset, of 366 days at most, may lead to this date.
pub(super) fn around(date: Date) -> std::ops::RangeInclusive<i16> {
    date.year() - 2..=date.year() + 2
}

/// Days of a month; of February in a leap year.
pub(super) fn days_of(month: i8) -> i8 {
    Date::new(2000, month, 1).map_or(31, Date::days_in_month)
}

/// Easter Sunday, by the anonymous Gregorian algorithm.
fn easter(year: i16) -> Option<Date> {
    let year = i32::from(year);
    let (a, b, c) = (year % 19, year / 100, year % 100);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - b / 4 - g + 15) % 30;
    let m = (a + 11 * h) / 319;
    let r = (2 * (b % 4) + 2 * (c / 4) - c % 4 - h + m + 32) % 7;
    let month = (h - m + r + 90) / 25;
    let day = (h - m + r + month + 19) % 32;
    let part = |part: i32| i8::try_from(part).ok();
    Date::new(i16::try_from(year).ok()?, part(month)?, part(day)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easter_is_when_the_churches_say() {
        for (year, month, day) in [
            (1943, 4, 25),
            (2000, 4, 23),
            (2008, 3, 23),
            (2024, 3, 31),
            (2025, 4, 20),
            (2026, 4, 5),
            (2027, 3, 28),
            (2038, 4, 25),
            (2285, 3, 22),
        ] {
            assert_eq!(easter(year), Date::new(year, month, day).ok());
        }
    }
}
