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

mod hours;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::domain::GranteeKind;
use hours::Hours;

/// When, and for which form of grantee, a rule is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall-clock time.
    pub at: Timestamp,
    /// How the grantee is named; nothing where the act has no grantee.
    pub grantee: Option<GranteeKind>,
}

/// One `when`.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    text: String,
    /// Each with the byte of the text at which its expression begins.
    hours: Vec<(usize, Hours)>,
    grantee: Option<GranteeKind>,
}

/// What is wrong with a `when`, and at which byte of it.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            found
                .term(term, start)
                .map_err(|(within, text)| Mistake { offset: start + within, text })?;
            offset += part.len() + 1;
        }
        Ok(found)
    }

    fn term(&mut self, term: &str, start: usize) -> Result<(), (usize, String)> {
        let (word, rest) = term.split_once(' ').unwrap_or((term, ""));
        let value = rest.trim_start_matches(' ');
        let at = term.len() - value.len();
        match word {
            "hours" => {
                let (zone, expression) = value.split_once(' ').unwrap_or((value, ""));
                let expression = expression.trim_start_matches(' ');
                let zone = hours::time_zone(zone).map_err(|text| (at, text))?;
                let at = term.len() - expression.len();
                let hours = Hours::read(zone, expression);
                let hours = hours.map_err(|mistake| (at + mistake.offset, mistake.text))?;
                self.hours.push((start + at, hours));
                Ok(())
            }
            "grantee" if self.grantee.is_some() => {
                Err((0, "`grantee` may be given once: a grantee has one form".into()))
            }
            "grantee" => {
                let wrong = || {
                    (
                        at,
                        format!(
                            "`{value}` is not a form of grantee: write `acs_user` or `user_identity`"
                        ),
                    )
                };
                self.grantee = Some(GranteeKind::parse(value).ok_or_else(wrong)?);
                Ok(())
            }
            _ => Err((
                0,
                format!(
                    "`{word}` is not a condition: write `hours ZONE EXPRESSION` or `grantee FORM`, \
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
        self.grantee.is_none_or(|kind| Some(kind) == moment.grantee)
            && self.hours.iter().all(|(_, hours)| hours.are_open(moment.at))
    }

    /// Whether it asks how a grantee is named.
    pub(super) fn asks_for_a_grantee(&self) -> bool {
        self.grantee.is_some()
    }

    /// Whether so much time shows all that it says of any.
    pub(super) fn is_shown_within(&self, time: SignedDuration) -> bool {
        self.hours.iter().all(|(_, hours)| hours.are_shown_within(time))
    }

    /// Whether there is a time between these at which all of its hours hold.
    pub(super) fn comes_between(&self, from: Timestamp, until: Timestamp) -> bool {
        let each = self.hours.iter().all(|(_, hours)| hours.open_between(from, until));
        if self.hours.len() < 2 || !each {
            return each;
        }
        let mut instants = self.changes(from, until);
        instants.push(from);
        instants.into_iter().any(|at| self.hours.iter().all(|(_, hours)| hours.are_open(at)))
    }

    /// How much work [`Self::doubts`] is.
    pub(super) fn weight(&self) -> usize {
        self.hours.iter().map(|(_, hours)| hours.weight()).sum()
    }

    /// What is valid and most likely not meant, with its place.
    pub(super) fn doubts(&self, now: Timestamp) -> Vec<Mistake> {
        let of = |(at, hours): &(usize, Hours)| {
            let text = self.text.get(*at..).unwrap_or_default();
            let text = text.split('&').next().unwrap_or_default();
            let found = hours.doubts(text, now).into_iter();
            let at = *at;
            found.map(move |doubt| Mistake { offset: at + doubt.offset, ..doubt })
        };
        self.hours.iter().flat_map(of).collect()
    }

    /// The time zones of its hours.
    pub(super) fn zones(&self) -> impl Iterator<Item = &TimeZone> {
        self.hours.iter().map(|(_, hours)| hours.zone())
    }

    /// Instants between `from` and `until` outside of which [`Condition::holds`] does
    /// not change for one form of grantee; some more may be among them.
    pub(super) fn changes(&self, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        self.hours.iter().flat_map(|(_, hours)| hours.changes(from, until)).collect()
    }
}

#[cfg(test)]
mod tests;
