//! Months and dates.

use super::tokens::{Kind, Token};
use super::{Read, Reader, days, leaves_its_year, refuse, runs_over};
use crate::policy::condition::hours::calendar::{Day, MONTHS, Point, days_of};
use crate::policy::condition::hours::expression::Dates;

/// Years for which the order of a range is looked at: the calendar repeats after 400.
const CALENDAR: std::ops::Range<i16> = 2000..2400;

/// The month of this name, 1 to 12.
pub(super) fn month(text: &str) -> Option<i8> {
    let number = MONTHS.iter().position(|month| *month == text)?;
    i8::try_from(number + 1).ok()
}

/// What is wrong with `Dec 25 -Su`.
pub(super) const NEXT_TO_DATE: &str = "a day of the week before or after a date is \
     not read; write the dates, or such as `Dec Su[-1]`";

impl Reader<'_> {
    /// Whether a date begins so far ahead, its year left out: not a month alone.
    pub(super) fn is_date_at(&self, ahead: usize) -> bool {
        let [word, blank, day] = [0, 1, 2].map(|more| self.ahead(ahead + more));
        if word.is_word("easter") {
            return true;
        }
        if month(word.text).is_none() || blank.kind != Kind::Blank {
            return false;
        }
        let counted = days::weekday(day.text).is_some() && self.ahead(ahead + 3).is_sign("[");
        if !counted {
            return day.kind == Kind::Number;
        }
        // `Jan Su[1]`; in `Jan Su[1,3]` and `Jan Su[1],Mo` the days are days of the week.
        let minus = usize::from(self.ahead(ahead + 4).is_sign("-"));
        let [_, closing, comma, more] = [4, 5, 6, 7].map(|more| self.ahead(ahead + more + minus));
        let list = comma.is_sign(",") && days::weekday(more.text).is_some();
        closing.is_sign("]") && !list
    }

    /// `Nov-Feb`, `Dec 25`, `Dec 24-Jan 02`, `Dec 25,26`, each also with a year.
    pub(super) fn dates(&mut self, beside_years: bool) -> Read<Vec<Dates>> {
        let mut found: Vec<Dates> = Vec::new();
        loop {
            let token = self.peek();
            let days = token.kind == Kind::Number && token.text.len() < 3;
            let item = match found.last() {
                Some(before) if days => self.more_days(*before)?,
                _ => self.date_or_months()?,
            };
            let year_of = |dates: &Dates| match dates {
                Dates::Months { .. } => None,
                Dates::One(point) | Dates::From { first: point, .. } => point.year,
            };
            let year = year_of(&item);
            if found.first().is_some_and(|first| year_of(first).is_some() != year.is_some()) {
                return refuse(token.at, "either all dates of a list have a year or none has");
            }
            if beside_years && year.is_some() {
                return refuse(token.at, "this date has a year beside those before it");
            }
            if beside_years && runs_over(&item) {
                return refuse(
                    token.at,
                    "beside years this would be cut at the end of each: write a year at both ends, \
                     such as `2026 Dec 24-2027 Jan 02`",
                );
            }
            if beside_years && leaves_its_year(&item) {
                return refuse(
                    token.at,
                    "beside years this would be cut where it leads into another year: write the \
                     date that is meant",
                );
            }
            found.push(item);
            if found.len() > 1 && found.iter().any(counts) {
                return refuse(token.at, days::COUNTED_BESIDE);
            }
            let more = self.ahead(1);
            let month = more.is_word("easter") || month(more.text).is_some();
            if !self.peek().is_sign(",") || !(month || more.kind == Kind::Number) {
                return Ok(found);
            }
            self.next += 1;
        }
    }

    /// More days of the month before: `26` of `Dec 25,26`, or `29-31`.
    fn more_days(&mut self, before: Dates) -> Read<Dates> {
        let context = match before {
            Dates::One(point) => Some((point, point)),
            Dates::From { first, last, .. } => Some((first, last)),
            Dates::Months { .. } => None,
        };
        let (year, month) = match context.map(|(a, b)| (a.year, a.day, b.year, b.day)) {
            Some((year, Day::Fixed { month, .. }, to, Day::Fixed { month: end, .. }))
                if (year, month) == (to, end) =>
            {
                (year, month)
            }
            _ => {
                let text = format!("write the month of `{}` too", self.peek().text);
                return refuse(self.peek().at, text);
            }
        };
        let first = Point { year, day: self.day_of(year, month)?, offset: 0 };
        self.range_from(first)
    }

    fn date_or_months(&mut self) -> Read<Dates> {
        let year = self.year_of_date()?;
        if self.is_date_at(0) {
            let first = self.point(year)?;
            return self.range_from(first);
        }
        let token = self.peek();
        let Some(first) = month(token.text) else { return Err(self.unexpected()) };
        if year.is_some() {
            return refuse(
                token.at,
                "months of another year need a part of their own, such as `2026 Dec; 2027 Jan`",
            );
        }
        self.next += 1;
        if !self.hyphen(false)? {
            return Ok(Dates::Months { first, last: first });
        }
        let Some(last) = month(self.peek().text) else { return Err(self.unexpected()) };
        self.next += 1;
        Ok(Dates::Months { first, last })
    }

    /// The year that a date begins with, and the blank after it.
    fn year_of_date(&mut self) -> Read<Option<i16>> {
        let year = self.year_at(0);
        if year.is_some() {
            self.not_iso()?;
            self.next += 1;
            if !self.take_blank() {
                let text = "write a blank after the year, and a month and a day";
                return refuse(self.peek().at, text);
            }
        }
        Ok(year)
    }

    /// A date, after its year: it is one, by [`Reader::is_date_at`].
    fn point(&mut self, year: Option<i16>) -> Read<Point> {
        let start = self.peek();
        let day = match month(start.text) {
            None => {
                self.next += 1;
                Day::Easter
            }
            Some(month) => {
                self.next += 2;
                match days::weekday(self.peek().text) {
                    None => self.day_of(year, month)?,
                    Some(weekday) => {
                        self.next += 2;
                        let sign = if self.take_sign("-") { -1 } else { 1 };
                        let nth = sign * self.nth()?;
                        self.next += 1;
                        Day::Nth { month, weekday, nth }
                    }
                }
            }
        };
        let sign = self.ahead(1);
        let offset = self.offset()?;
        if offset != 0 && matches!(day, Day::Fixed { .. }) {
            return refuse(sign.at, "write the date that is meant: this one is known");
        }
        let point = Point { year, day, offset };
        match year {
            Some(year) if point.on(year).is_none() => {
                refuse(start.at, format!("{year} has no such day"))
            }
            _ => Ok(point),
        }
    }

    /// The number of a day of this month.
    fn day_of(&mut self, year: Option<i16>, month: i8) -> Read<Day> {
        let token = self.take();
        let name = usize::try_from(month - 1).ok().and_then(|number| MONTHS.get(number));
        let name = name.copied().unwrap_or_default();
        if token.text.len() == 4 {
            let text = format!("a year goes before its month: write `{} {name}`", token.text);
            return refuse(token.at, text);
        }
        let day = token.text.parse::<i8>().unwrap_or(0);
        if !(1..=days_of(month)).contains(&day) {
            let days = days_of(month);
            let text = format!("there is no `{name} {}`: {name} has {days} days", token.text);
            return refuse(token.at, text);
        }
        let day = Day::Fixed { month, day };
        match year {
            Some(year) if (Point { year: None, day, offset: 0 }).on(year).is_none() => {
                refuse(token.at, format!("there is no `Feb 29` in {year}: it is not a leap year"))
            }
            _ => Ok(day),
        }
    }

    /// What may follow a date: the end of a range.
    fn range_from(&mut self, first: Point) -> Read<Dates> {
        let after = self.peek();
        if after.is_sign("+") || after.is_sign("-") && days::weekday(self.ahead(1).text).is_some() {
            return refuse(
                after.at,
                match days::weekday(self.ahead(1).text) {
                    Some(_) => NEXT_TO_DATE,
                    None => {
                        "an open end (`+`) is not known; write an end such as `2026 Dec 25-2099 Dec 31`"
                    }
                },
            );
        }
        if !self.hyphen(true)? {
            return Ok(Dates::One(first));
        }
        let token = self.peek();
        let mut last = match (token.kind, first.day) {
            (Kind::Number, Day::Fixed { month, .. }) if token.text.len() < 3 => {
                Point { year: first.year, day: self.day_of(first.year, month)?, offset: 0 }
            }
            _ => {
                let year = self.year_of_date()?;
                if !self.is_date_at(0) {
                    return Err(self.no_date());
                }
                self.point(year)?
            }
        };
        if first.year.is_none() && last.year.is_some() {
            return refuse(token.at, "write the year of the first date too");
        }
        let missing = first.year.is_some() && last.year.is_none();
        last.year = last.year.or(first.year);
        let wraps = self.wraps(first, last, token, missing)?;
        Ok(Dates::From { first, last, wraps })
    }

    /// Whether the end is in the year after the beginning.
    fn wraps(&self, first: Point, last: Point, end: Token<'_>, missing: bool) -> Read<bool> {
        if let (Some(from), Some(to)) = (first.year, last.year) {
            return match (first.on(from), last.on(to)) {
                (Some(from), Some(to)) if from <= to => Ok(false),
                _ if missing => {
                    refuse(end.at, "the end is before the beginning: write its year too")
                }
                _ => {
                    refuse(end.at, "the end is before the beginning: write the earlier date first")
                }
            };
        }
        if let (Day::Fixed { month, day }, Day::Fixed { month: to, day: last_day }) =
            (first.day, last.day)
        {
            return match (to, last_day) < (month, day) {
                true if to == month => {
                    refuse(end.at, "the end is before the beginning: write the earlier day first")
                }
                wraps => Ok(wraps),
            };
        }
        let wraps_in = |year| Some(last.as_last(year)? < first.as_first(year)?);
        let usual = wraps_in(CALENDAR.start);
        for year in CALENDAR {
            match wraps_in(year) {
                None => {
                    let text =
                        format!("not every year has both ends, as {year}: write dates with years");
                    return refuse(end.at, text);
                }
                found if found != usual => {
                    return refuse(
                        end.at,
                        format!(
                            "which end comes first changes from year to year, as in {year}: write \
                             dates with years"
                        ),
                    );
                }
                _ => {}
            }
        }
        Ok(usual == Some(true))
    }
}

/// Whether a day of the week is counted in it.
fn counts(dates: &Dates) -> bool {
    let counted = |point: &Point| matches!(point.day, Day::Nth { .. });
    match dates {
        Dates::Months { .. } => false,
        Dates::One(point) => counted(point),
        Dates::From { first, last, .. } => counted(first) || counted(last),
    }
}
