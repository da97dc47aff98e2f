//! Days of the week, and times.

use std::ops::Range;

use jiff::civil::Weekday;

use super::tokens::Kind;
use super::{Mistake, Read, Reader, refuse};
use crate::policy::condition::hours::calendar::{DAYS, Day, Point};
use crate::policy::condition::hours::expression::{DAY, Dates, Weekdays};

/// What is wrong with `Jan,Jun Mo[1]`: of June alone, or of both.
pub(super) const COUNTED_BESIDE: &str = "beside several dates a counted day is read in \
     two ways: write parts such as `Jan Mo[1]; Jun Mo[1]`";

/// Minutes up to which a span may go: the midnight after the next.
const TWO_DAYS: u16 = 2 * DAY;

/// The day of the week of this name.
pub(super) fn weekday(text: &str) -> Option<Weekday> {
    let number = DAYS.iter().position(|day| *day == text)?;
    Weekday::from_monday_zero_offset(i8::try_from(number).ok()?).ok()
}

/// What is wrong with a day of the week that is counted.
const COUNTED: &str = "write 1 to 5, or -1 to -5 from the end of the month, such as `Mo[1]`";

impl Reader<'_> {
    /// `Mo-Fr,Su` or `Mo[1]`.
    pub(super) fn weekdays(&mut self, beside: &[Dates]) -> Read<Vec<Weekdays>> {
        let mut found = Vec::new();
        if let [Dates::One(Point { day: Day::Nth { .. }, .. })] = beside {
            let text =
                "after a counted day such as `Jun Mo[1]` days of the week are read in two ways";
            return refuse(self.peek().at, text);
        }
        loop {
            let token = self.peek();
            let Some(first) = weekday(token.text) else { return Err(self.unexpected()) };
            self.next += 1;
            let mut days = Weekdays { first, last: first, from_start: 0, from_end: 0, offset: 0 };
            if self.peek().is_sign("[") && beside.len() > 1 {
                return refuse(token.at, COUNTED_BESIDE);
            } else if self.take_sign("[") {
                self.counted(&mut days)?;
                let at = self.peek().at + 1;
                days.offset = self.offset()?;
                if days.offset != 0 && !beside.is_empty() {
                    return refuse(
                        at,
                        "days before or after are not read beside dates: write the dates, or one \
                         such day such as `Jan Mo[1] +1 day`",
                    );
                }
            } else if self.hyphen(false)? {
                let Some(last) = weekday(self.peek().text) else { return Err(self.unexpected()) };
                self.next += 1;
                days.last = last;
                if self.peek().is_sign("[") {
                    return refuse(self.peek().at, "count one day of the week, such as `Mo[1]`");
                }
            }
            found.push(days);
            let more = self.ahead(1);
            if !self.peek().is_sign(",") || more.kind != Kind::Word {
                return Ok(found);
            }
            self.next += 1;
        }
    }

    /// `1,3-5]` or `-1]`.
    fn counted(&mut self, days: &mut Weekdays) -> Read<()> {
        loop {
            let from_end = self.take_sign("-");
            let first = self.nth()?;
            let start = self.peek().at + 1;
            let last = if !from_end && self.take_sign("-") { self.nth()? } else { first };
            if last < first {
                return refuse(
                    start,
                    format!("`{last}` is before `{first}`: write `{last}-{first}`"),
                );
            }
            let bits = if from_end { &mut days.from_end } else { &mut days.from_start };
            (first..=last).for_each(|nth| *bits |= 1 << (nth - 1));
            if self.take_sign("]") {
                return Ok(());
            }
            if !self.take_sign(",") {
                return refuse(self.peek().at, COUNTED);
            }
        }
    }

    /// 1 to 5.
    pub(super) fn nth(&mut self) -> Read<i8> {
        let token = self.take();
        match token.text.parse() {
            Ok(nth @ 1..=5) if token.kind == Kind::Number => Ok(nth),
            _ => refuse(token.at, COUNTED),
        }
    }

    /// `08:00-12:00,13:00-18:00`, and where the first comma with a blank after it is.
    pub(super) fn times(&mut self) -> Read<(Vec<Range<u16>>, Option<usize>)> {
        let mut found = Vec::new();
        let mut loose = None;
        loop {
            found.push(self.span()?);
            let comma = self.peek();
            let blank = self.ahead(1).kind == Kind::Blank;
            if !comma.is_sign(",") || self.ahead(1 + usize::from(blank)).kind != Kind::Time {
                return Ok((found, loose));
            }
            self.next += 1;
            if self.take_blank() {
                loose.get_or_insert(comma.at);
            }
        }
    }

    fn span(&mut self) -> Read<Range<u16>> {
        let first = self.peek();
        let start = self.time()?;
        if start >= DAY {
            return refuse(first.at, "a span begins before 24:00, on its own day");
        }
        if self.peek().is_sign("+") {
            return refuse(self.peek().at, OPEN_END);
        }
        if !self.hyphen(true)? {
            let sign = self.peek();
            if sign.kind == Kind::Sign && ![",", ";", "|"].contains(&sign.text) {
                return Err(self.unexpected());
            }
            let text = format!(
                "`{}` is a point in time and opens nothing; write a span such as `{}-18:00`",
                first.text, first.text
            );
            return refuse(first.at, text);
        }
        let last = self.peek();
        let mut end = self.time()?;
        if end == start {
            return refuse(
                last.at,
                "the span ends when it begins: write `00:00-24:00` for a whole day",
            );
        }
        if end < start {
            end += DAY;
        }
        if end == DAY - 1 || end == TWO_DAYS - 1 {
            let text = "the minute after 23:59 is not in it: write `24:00` for the end of the day";
            self.noted.push(Mistake { offset: last.at, text: text.into() });
        }
        if end > DAY {
            self.past_midnight.get_or_insert(first.at);
        }
        let after = self.ahead(usize::from(self.peek().kind == Kind::Blank));
        if self.peek().is_sign("+") {
            return refuse(self.peek().at, OPEN_END);
        }
        if after.is_sign("/") {
            return refuse(after.at, "points in time (`/`) open nothing; write spans");
        }
        Ok(start..end)
    }

    fn time(&mut self) -> Read<u16> {
        let token = self.peek();
        if token.kind != Kind::Time {
            return Err(self.unexpected());
        }
        self.next += 1;
        let (hours, minutes) = token.text.split_once(':').unwrap_or_default();
        if hours.len() > 2 || minutes.len() != 2 {
            let text =
                format!("`{}` is not a time: write hours and minutes such as `08:00`", token.text);
            return refuse(token.at, text);
        }
        let number = |text: &str| text.parse::<u16>().unwrap_or(u16::MAX);
        let time = number(hours).saturating_mul(60).saturating_add(number(minutes));
        if number(minutes) > 59 || time > TWO_DAYS {
            let text = format!(
                "there is no time `{}`: hours go to 24:00, and to 48:00 for an end on the next day",
                token.text
            );
            return refuse(token.at, text);
        }
        Ok(time)
    }
}

/// What is wrong with an end that is left open.
pub(super) const OPEN_END: &str = "an open end (`+`) is not known; write when it ends";
