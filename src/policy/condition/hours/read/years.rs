//! Years and weeks.

use super::tokens::Kind;
use super::{Read, Reader, refuse};
use crate::policy::condition::hours::expression::{FOR_EVER, Weeks, Years};

impl Reader<'_> {
    /// The year at the token so far ahead: four digits.
    pub(super) fn year_at(&self, ahead: usize) -> Option<i16> {
        let token = self.ahead(ahead);
        let is_year = token.kind == Kind::Number && token.text.len() == 4;
        token.text.parse().ok().filter(|year| is_year && *year >= 1900)
    }

    /// `2026`, `2026+` or `2026-2030/2`.
    pub(super) fn years(&mut self) -> Read<Vec<Years>> {
        let mut found = Vec::new();
        loop {
            self.not_iso()?;
            let first = self.year()?;
            let mut years = Years { first, last: first, step: 1 };
            if self.take_sign("+") {
                years.last = FOR_EVER;
            } else if self.hyphen(false)? {
                let token = self.peek();
                years.last = self.year()?;
                if years.last < first {
                    let text =
                        format!("{} is before {first}: write the earlier year first", years.last);
                    return refuse(token.at, text);
                }
                if self.take_sign("/") {
                    years.step = self.step(years.last - first)?;
                }
            }
            found.push(years);
            let more = self.ahead(1);
            if !self.peek().is_sign(",") || more.kind != Kind::Number {
                break;
            }
            self.next += 1;
        }
        if self.peek().kind == Kind::Word {
            return refuse(self.peek().at, "write a blank after the year");
        }
        Ok(found)
    }

    fn year(&mut self) -> Read<i16> {
        let Some(year) = self.year_at(0) else { return Err(self.unexpected()) };
        self.next += 1;
        Ok(year)
    }

    /// A step that leaves more than the first of a range with so many after it.
    fn step(&mut self, after: i16) -> Read<i16> {
        let token = self.take();
        let step = token.text.parse::<i16>().ok().filter(|_| token.kind == Kind::Number);
        match step {
            Some(step) if (1..=after).contains(&step) => Ok(step),
            _ => refuse(
                token.at,
                format!(
                    "a step of `{}` leaves only the first of this range: write 1 to {}, or no range",
                    token.text,
                    after.max(1)
                ),
            ),
        }
    }

    /// `week 10-20/2`.
    pub(super) fn weeks(&mut self, beside_years: bool) -> Read<Vec<Weeks>> {
        let mut found = Vec::new();
        self.next += 1;
        if !self.take_blank() {
            return refuse(self.peek().at, "write such as `week 10` or `week 10-20`");
        }
        loop {
            let token = self.peek();
            let first = self.week()?;
            let mut weeks = Weeks { first, last: first, step: 1 };
            if self.hyphen(false)? {
                let token = self.peek();
                weeks.last = self.week()?;
                if weeks.last < first {
                    let text = format!(
                        "week {} is before week {first}: write such as `week {first}-53,1-{}`",
                        weeks.last, weeks.last
                    );
                    return refuse(token.at, text);
                }
                if self.take_sign("/") {
                    let step = self.step(i16::from(weeks.last - first))?;
                    weeks.step = i8::try_from(step).unwrap_or(1);
                }
            }
            let crosses = [1, 52, 53].iter().any(|week| weeks.include(*week));
            if beside_years && crosses {
                return refuse(
                    token.at,
                    "the weeks 1, 52 and 53 may be in two years: write dates such as \
                     `2025 Dec 29-2026 Jan 04`",
                );
            }
            found.push(weeks);
            if !self.peek().is_sign(",") || self.ahead(1).kind != Kind::Number {
                return Ok(found);
            }
            self.next += 1;
        }
    }

    fn week(&mut self) -> Read<i8> {
        let token = self.take();
        match token.text.parse() {
            Ok(week @ 1..=53) if token.kind == Kind::Number && token.text.len() < 3 => Ok(week),
            _ => refuse(token.at, "write a week of 1 to 53"),
        }
    }
}
