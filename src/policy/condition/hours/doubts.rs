//! Hours that are valid and most likely not meant.

use jiff::civil::Date;

use super::expression::{Expression, Part};
use super::{Mistake, days};

/// Days of the week come back to the same dates after so many years.
const YEARS: i16 = 28;

/// An expression whose last year is further away than this is not looked at.
const YEARS_MAX: i16 = 100;

impl Expression {
    /// How much work [`Self::doubts`] is: parts that are looked at on a day, at the most.
    pub(super) fn weight(&self) -> usize {
        let closing = self.parts.iter().enumerate().filter(|(number, part)| {
            let later = self.parts.get(number + 1..).unwrap_or_default();
            !part.opens && later.iter().any(Part::replaces)
        });
        let days = usize::try_from(YEARS).unwrap_or(0) * 366;
        (closing.count() * days + 1) * self.parts.len()
    }

    /// Parts that others make void, from the year of `today` on; and what the text shows.
    pub(super) fn doubts(&self, text: &str, today: Date) -> Vec<Mistake> {
        let mut found = self.noted.clone();
        let last = self.last_year().unwrap_or(0).max(today.year());
        let until = last.saturating_add(YEARS).min(today.year().saturating_add(YEARS_MAX));
        let span = (Date::new(today.year(), 1, 1), Date::new(until, 12, 31));
        let (Ok(from), Ok(until)) = span else { return found };
        if last > until.year() {
            return found;
        }
        let days = || days(from, until);
        for (number, part) in self.parts.iter().enumerate() {
            let later = self.parts.get(number + 1..).unwrap_or_default();
            let doubt = match part.opens {
                true => self.is_void(part, later, days()).then(|| void(part, later, text)),
                false => self.closes_nothing(number, later, days).then(|| {
                    let part = text.get(part.place.clone()).unwrap_or_default();
                    format!("`{part}` closes nothing: a later part opens these days; put it last")
                }),
            };
            found.extend(doubt.map(|text| Mistake { offset: part.place.start, text }));
        }
        found
    }

    /// The last year that is written in it.
    fn last_year(&self) -> Option<i16> {
        self.parts.iter().filter_map(|part| part.days.last_year()).max()
    }

    /// Whether nothing is left of a part that opens, on any of its days.
    fn is_void(&self, part: &Part, later: &[Part], days: impl Iterator<Item = Date>) -> bool {
        let mut seen = false;
        for day in days.filter(|day| part.days.has(*day)) {
            seen = true;
            let on_day = || later.iter().filter(|later| later.days.has(day));
            let closed = |minute| on_day().any(|later| !later.opens && later.has(minute));
            let mut minutes = self.edges().into_iter().filter(|minute| part.has(*minute));
            if !on_day().any(Part::replaces) && minutes.any(|minute| !closed(minute)) {
                return false;
            }
        }
        seen
    }

    /// Whether a part that closes changes nothing, and a later one with more days opens some of
    /// its days. One with fewer is an exception to it.
    fn closes_nothing<Days: Iterator<Item = Date>>(
        &self,
        number: usize,
        later: &[Part],
        days: impl Fn() -> Days,
    ) -> bool {
        let Some(part) = self.parts.get(number) else { return false };
        let count = |part: &Part| days().filter(|day| part.days.has(*day)).count();
        let opens_again = later.iter().filter(|later| later.replaces()).any(|later| {
            days().any(|day| part.days.has(day) && later.days.has(day))
                && count(later) > count(part)
        });
        let mut without = self.clone();
        without.parts.remove(number);
        let same = |day| self.spans(day) == without.spans(day);
        opens_again && days().filter(|day| part.days.has(*day)).all(same)
    }
}

/// What to write in place of a part of which nothing is left.
fn void(part: &Part, later: &[Part], text: &str) -> String {
    let written = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let same = later.iter().find(|later| later.replaces() && later.days == part.days);
    let fix = match same {
        Some(same) if [same, part].iter().all(|part| part.times_at < part.place.end) => format!(
            "write `{}{},{}`",
            written(part.place.start..part.times_at),
            times(part),
            times(same)
        ),
        _ => "put it last, or write `, ` before a part that adds to it".to_owned(),
    };
    let part = written(part.place.clone());
    format!("no day is left of `{part}`: a later part takes its place on each; {fix}")
}

fn times(part: &Part) -> String {
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let spans = part.times.iter().map(|span| format!("{}-{}", time(span.start), time(span.end)));
    spans.collect::<Vec<_>>().join(",")
}
