//! What an expression says of a day and a minute.
//!
//! An expression is a list of parts. A part is for some days and says of some hours that
//! they are open or closed. A later part overrides the earlier ones: one that opens takes
//! their place on each of its days, one that closes or that is added (`, `) changes only
//! its own hours.

use std::ops::Range;

use jiff::civil::{Date, Weekday};

use super::Mistake;
use super::calendar::{Point, around};

/// The last year there is: that of `2026+`.
pub(super) const FOR_EVER: i16 = 9999;

/// Minutes of a day.
pub(super) const DAY: u16 = 24 * 60;

/// Opening hours, as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expression {
    /// At least one.
    pub(super) parts: Vec<Part>,
    /// What is valid and most likely not meant, as far as the text shows it.
    pub(super) noted: Vec<Mistake>,
}

/// Some hours of some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) days: Days,
    /// Minutes from the midnight with which the day begins, up to the second one after it.
    pub(super) times: Vec<Range<u16>>,
    /// Open then, or closed.
    pub(super) opens: bool,
    /// Added to the parts before it: a comma in place of a semicolon.
    pub(super) adds: bool,
    /// Where it is in the text, and where its times begin.
    pub(super) place: Range<usize>,
    pub(super) times_at: usize,
}

/// Which days: those that every list that is not empty has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Days {
    pub(super) years: Vec<Years>,
    pub(super) dates: Vec<Dates>,
    pub(super) weeks: Vec<Weeks>,
    pub(super) weekdays: Vec<Weekdays>,
}

/// `2026-2030/2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Years {
    pub(super) first: i16,
    pub(super) last: i16,
    pub(super) step: i16,
}

/// Dates, or whole months.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dates {
    /// `Nov-Feb`.
    Months { first: i8, last: i8 },
    /// `Dec 25`.
    One(Point),
    /// `Dec 24-Jan 02`, or from a date of one year to one of another. Where it wraps, each
    /// ends in the year after the one in which it begins.
    From { first: Point, last: Point, wraps: bool },
}

/// `week 10-20/2`, as ISO 8601 counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weeks {
    pub(super) first: i8,
    pub(super) last: i8,
    pub(super) step: i8,
}

/// `Mo-Fr`, or `Mo[1,-1] +1 day`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weekdays {
    pub(super) first: Weekday,
    pub(super) last: Weekday,
    /// Which of the month, a bit for each: all where neither has one.
    pub(super) from_start: u8,
    pub(super) from_end: u8,
    /// So many days later.
    pub(super) offset: i16,
}

impl Expression {
    /// Whether it is open in this minute of this day.
    pub(super) fn is_open(&self, date: Date, minute: u16) -> bool {
        // The last word is that of the last part that has one.
        for part in self.parts.iter().rev().filter(|part| part.days.has(date)) {
            if part.has(minute) {
                return part.opens;
            }
            if part.replaces() {
                break;
            }
        }
        self.is_left_over(date, minute)
    }

    /// Whether yesterday's hours reach into this minute. Where they can, they are the only part.
    fn is_left_over(&self, date: Date, minute: u16) -> bool {
        let [part] = self.parts.as_slice() else { return false };
        let yesterday = || date.yesterday().is_ok_and(|day| part.days.has(day));
        part.opens && part.has(minute.saturating_add(DAY)) && yesterday()
    }

    /// The minutes of a day in which it is open.
    pub(super) fn spans(&self, date: Date) -> Vec<Range<u16>> {
        let edges = self.edges();
        let mut spans: Vec<Range<u16>> = Vec::new();
        for (start, end) in edges.iter().copied().zip(edges.iter().copied().skip(1)) {
            match spans.last_mut() {
                _ if !self.is_open(date, start) => {}
                Some(last) if last.end == start => last.end = end,
                _ => spans.push(start..end),
            }
        }
        spans
    }

    /// The minutes at which something may begin or end, of any day: the first and the last too.
    pub(super) fn edges(&self) -> Vec<u16> {
        let times = self.parts.iter().flat_map(|part| &part.times);
        let ends = times.flat_map(|time| [time.start, time.end]);
        // What goes past midnight has an end on the day after.
        let ends = ends.map(|end| if end > DAY { end - DAY } else { end });
        let mut edges: Vec<u16> = ends.chain([0, DAY]).collect();
        edges.sort_unstable();
        edges.dedup();
        edges
    }

    /// Whether what it says of one year it says of every other: no years, no weeks, no days
    /// of the week at a date, no day that moves, no 29 February.
    pub(super) fn repeats_yearly(&self) -> bool {
        self.parts.iter().all(|part| {
            let days = &part.days;
            days.years.is_empty()
                && days.weeks.is_empty()
                && (days.dates.is_empty() || days.weekdays.is_empty())
                && days.dates.iter().all(Dates::repeat_yearly)
        })
    }
}

impl Part {
    pub(super) fn has(&self, minute: u16) -> bool {
        self.times.iter().any(|time| time.contains(&minute))
    }

    /// Whether nothing of the parts before it is left on its days.
    pub(super) fn replaces(&self) -> bool {
        self.opens && !self.adds
    }
}

impl Days {
    /// Whether this is one of them.
    pub(super) fn has(&self, date: Date) -> bool {
        fn any<T>(list: &[T], has: impl Fn(&T) -> bool) -> bool {
            list.is_empty() || list.iter().any(has)
        }
        any(&self.weekdays, |weekdays| weekdays.have(date))
            && any(&self.years, |years| years.have(date))
            && any(&self.dates, |dates| dates.have(date))
            && any(&self.weeks, |weeks| weeks.have(date))
    }

    /// The last year that is written.
    pub(super) fn last_year(&self) -> Option<i16> {
        let years = self
            .years
            .iter()
            .map(|years| if years.last == FOR_EVER { years.first } else { years.last });
        let dates = self.dates.iter().filter_map(|dates| match dates {
            Dates::Months { .. } => None,
            Dates::One(point) | Dates::From { last: point, .. } => point.year,
        });
        years.chain(dates).max()
    }

    /// Whether it is every day there is.
    pub(super) fn are_all(&self) -> bool {
        *self == Self::default()
    }
}

impl Years {
    fn have(&self, date: Date) -> bool {
        let year = date.year();
        (self.first..=self.last).contains(&year) && (year - self.first) % self.step == 0
    }
}

impl Dates {
    fn have(&self, date: Date) -> bool {
        match self {
            Self::Months { first, last } => {
                let month = date.month();
                match first <= last {
                    true => (*first..=*last).contains(&month),
                    false => month >= *first || month <= *last,
                }
            }
            Self::One(point) => point.is(date),
            Self::From { first, last, wraps } => around(date).any(|year| {
                let first_year = first.year.unwrap_or(year);
                let last_year = last.year.unwrap_or(year + i16::from(*wraps));
                let (first, last) = (first.as_first(first_year), last.as_last(last_year));
                first.is_some_and(|first| first <= date) && last.is_some_and(|last| date <= last)
            }),
        }
    }

    fn repeat_yearly(&self) -> bool {
        match self {
            Self::Months { .. } => true,
            Self::One(point) => point.is_yearly(),
            Self::From { first, last, .. } => first.is_yearly() && last.is_yearly(),
        }
    }
}

impl Weeks {
    fn have(&self, date: Date) -> bool {
        self.include(date.iso_week_date().week())
    }

    /// Whether the week of this number is one of them.
    pub(super) fn include(&self, week: i8) -> bool {
        (self.first..=self.last).contains(&week) && (week - self.first) % self.step == 0
    }
}

impl Weekdays {
    fn have(&self, date: Date) -> bool {
        let Ok(date) = date.checked_sub(jiff::Span::new().days(self.offset)) else { return false };
        let after = |day: Weekday| day.to_monday_zero_offset() - self.first.to_monday_zero_offset();
        if after(date.weekday()).rem_euclid(7) > after(self.last).rem_euclid(7) {
            return false;
        }
        let bit = |bits: u8, days: i8| bits >> (days / 7) & 1 == 1;
        (self.from_start, self.from_end) == (0, 0)
            || bit(self.from_start, date.day() - 1)
            || bit(self.from_end, date.days_in_month() - date.day())
    }
}
