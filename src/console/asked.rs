//! What is asked for: a page, with what its address or its form says.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::guard::Person;
use super::proposals::Proposed;
use super::views::View;
use super::{Console, ROOT};
use crate::database::Copied;
use crate::domain::{Act, CallerId, EntranceId, GranteeKind, WorkspaceName, parse_time};
use crate::inquiry::Known;
use crate::policy::Orders;
use crate::policy::review::Span;
use crate::snapshot::Snapshot;

/// The longest time that hours are looked at: the command line looks at ten years.
const DAYS_MAX: u64 = 366;

/// What may be said several times.
const REPEATED: [&str; 4] = ["before", "column", "event", "row"];

/// Names and values, as an address or a form has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what the URL Standard calls `application/x-www-form-urlencoded` (section 5).
    pub(super) fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The first value of this name that says something.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let named = self.0.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.trim()).find(|value| !value.is_empty())
    }

    /// Every value of this name that says something.
    pub(super) fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// The value of this name as it came, with every blank.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// With one more pair.
    pub(super) fn and(&self, name: &str, value: &str) -> Self {
        let mut pairs = self.0.clone();
        pairs.push((name.to_owned(), value.to_owned()));
        Self(pairs)
    }

    /// Without this name.
    pub(super) fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(known, _)| known != name).cloned().collect())
    }

    /// As the end of an address.
    pub(super) fn written(&self) -> String {
        self.with(&[])
    }

    /// Without these names, and with these pairs, as the end of an address.
    pub(super) fn with(&self, pairs: &[(&str, &str)]) -> String {
        let mut writer = form_urlencoded::Serializer::new(String::new());
        let is_new = |name: &str| pairs.iter().any(|(new, _)| *new == name);
        for (name, value) in
            self.0.iter().filter(|(name, value)| !value.is_empty() && !is_new(name))
        {
            writer.append_pair(name, value);
        }
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            writer.append_pair(name, value);
        }
        writer.finish()
    }
}

/// The address of a page with these parameters.
pub(super) fn link(path: &str, pairs: &[(&str, &str)]) -> String {
    let query = Query::default().with(pairs);
    let mark = if query.is_empty() { "" } else { "?" };
    let slash = if path.is_empty() { "" } else { "/" };
    format!("{ROOT}{slash}{path}{mark}{query}")
}

/// Who asks for what, and what is in force while it is answered.
pub(super) struct Asked {
    pub(super) console: Arc<Console>,
    pub(super) view: &'static View,
    pub(super) query: Query,
    /// Where a form was sent.
    pub(super) form: Option<Query>,
    pub(super) person: Person,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) orders: Arc<Orders>,
    /// A bundle that is proposed, where one is asked about.
    pub(super) proposed: Option<Proposed>,
    /// The logs that are meant, where they are others than the gateway's own.
    pub(super) logs: Vec<Copied>,
    pub(super) now: Timestamp,
    /// Nobody waits for the answer any more after this.
    pub(super) until: Instant,
}

/// What is wrong with what was asked for, in words for people.
pub(super) type Wrong = String;

impl Asked {
    pub(super) fn new(
        console: Arc<Console>,
        view: &'static View,
        query: Query,
        form: Option<Query>,
        person: Person,
    ) -> Self {
        let snapshot = console.gateway.snapshot.load_full();
        let orders = console.gateway.orders.load_full();
        let now = console.gateway.clock.now();
        let until = Instant::now() + super::heavy::AT_MOST;
        Self {
            console,
            view,
            query,
            form,
            person,
            snapshot,
            orders,
            proposed: None,
            logs: Vec::new(),
            now,
            until,
        }
    }

    /// What questions about the policy in force are answered from.
    pub(super) fn known(&self) -> Known<'_> {
        Known {
            policy: &self.snapshot.policy,
            callers: &self.snapshot.callers,
            names: self.snapshot.names(),
            orders: &self.orders,
        }
    }

    /// Orders at a moment: those that the gateway follows; for what is past those that held then, though
    /// they were lifted.
    pub(super) fn orders_at(&self, at: Timestamp) -> Result<Arc<Orders>, Wrong> {
        if at >= self.now {
            return Ok(self.orders.clone());
        }
        let file = self.console.keeper.place().read().map_err(|problem| problem.to_string())?;
        Ok(Arc::new(Orders::of_time(file.orders(), at)))
    }

    /// What of the address is not understood: a filter that is not known would else be one that is
    /// not there.
    pub(super) fn fault(&self) -> Option<Wrong> {
        let View { asks, formats, .. } = self.view;
        for (place, (name, value)) in self.query.0.iter().enumerate() {
            if name == "format" {
                if !formats.contains(&value.as_str()) {
                    let all = formats.join("` or `");
                    return Some(match formats {
                        [] => "The page has no other format.".to_owned(),
                        _ => format!("The format `{value}` is not `{all}`."),
                    });
                }
            } else if !asks.contains(&name.as_str()) {
                return Some(format!("`{name}` is not asked here: {}.", said_of(asks)));
            } else if !value.is_empty()
                && !REPEATED.contains(&name.as_str())
                && self
                    .query
                    .0
                    .iter()
                    .skip(place + 1)
                    .any(|(other, more)| other == name && !more.is_empty())
            {
                return Some(format!("`{name}` is said twice: it has one value here."));
            }
        }
        None
    }

    /// Whether a program asks.
    pub(super) fn format(&self) -> Format {
        match self.query.get("format") {
            Some("json") => Format::Json,
            Some("csv") => Format::Csv,
            _ => Format::Page,
        }
    }

    /// The same address in another format.
    pub(super) fn in_format(&self, format: &str) -> String {
        format!("?{}", self.query.with(&[("format", format)]))
    }

    /// Whether nobody waits any more.
    pub(super) fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }

    pub(super) fn caller(&self, name: &str) -> Result<Option<CallerId>, Wrong> {
        let parsed = self.query.get(name).map(|text| {
            CallerId::parse(text).map_err(|error| format!("The caller `{text}` {error}."))
        });
        parsed.transpose()
    }

    /// An entrance, by id or by name.
    pub(super) fn entrance(&self, name: &str) -> Result<Option<EntranceId>, Wrong> {
        let found = self.query.get(name).map(|text| self.snapshot.names().find(text));
        found.transpose().map_err(|error| {
            let mut text = error.to_string();
            if let Some(first) = text.get_mut(0..1) {
                first.make_ascii_uppercase();
            }
            text
        })
    }

    pub(super) fn workspace(&self) -> Result<Option<WorkspaceName>, Wrong> {
        let parsed = self.query.get("workspace").map(|text| {
            WorkspaceName::parse(text).map_err(|error| format!("The workspace `{text}` {error}."))
        });
        parsed.transpose()
    }

    /// To grant, unless something else is asked about.
    pub(super) fn act(&self) -> Result<Act, Wrong> {
        match self.query.get("act") {
            None => Ok(Act::Grant),
            Some(text) => {
                Act::parse(text).ok_or(format!("`{text}` is neither `grant` nor `read`."))
            }
        }
    }

    pub(super) fn grantee(&self) -> Result<Option<GranteeKind>, Wrong> {
        let parsed = self.query.get("grantee").map(|text| {
            GranteeKind::parse(text)
                .ok_or(format!("`{text}` is neither `acs_user` nor `user_identity`."))
        });
        parsed.transpose()
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, Wrong> {
        self.query.get(name).map(|text| moment(text, self.now)).transpose()
    }

    /// A whole number within bounds.
    pub(super) fn number(
        &self,
        name: &str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, Wrong> {
        let Some(text) = self.query.get(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or(format!(
            "`{text}` must be a number from {} to {}.",
            range.start(),
            range.end()
        ))
    }

    /// The time over which hours are looked at, as the command line has it: where a moment is asked
    /// about, from then on, whether it is past or far away.
    pub(super) fn span(&self) -> Result<Span, Wrong> {
        let from = self.time("from")?.or(self.time("at")?).unwrap_or(self.now);
        let days = i64::try_from(self.number("days", 366, 1..=DAYS_MAX)?).unwrap_or(366);
        let until = from.checked_add(jiff::SignedDuration::from_hours(24 * days));
        Ok(Span { from, until: until.unwrap_or(Timestamp::MAX) })
    }
}

fn said_of(asks: &[&str]) -> String {
    match asks {
        [] => "the page takes nothing but `format`".to_owned(),
        _ => format!("the page takes `{}`", asks.join("`, `")),
    }
}

/// A time as the command line reads it, or as a browser's field writes it: in UTC, to the minute.
pub(super) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Wrong> {
    let joined = text.replacen(' ', "T", 1);
    let zoned = match text.len() {
        16 => format!("{joined}:00Z"),
        19 => format!("{joined}Z"),
        _ => joined,
    };
    let error = match parse_time(text, now) {
        Ok(time) => return Ok(time),
        Err(error) => error,
    };
    parse_time(&zoned, now)
        .map_err(|_| format!("The time `{text}` {error}; or `2026-11-25 20:00`, in UTC."))
}

/// How an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// For people.
    Page,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_says_is_read_and_written_alike() {
        let query = Query::parse("caller=a+b%26&caller=&entrance=%3Cimg%3E&x");
        assert_eq!(query.get("caller"), Some("a b&"));
        assert_eq!(query.get("entrance"), Some("<img>"));
        assert_eq!(query.get("x"), None);
        assert_eq!(query.with(&[("x", "1"), ("caller", "")]), "entrance=%3Cimg%3E&x=1");
        assert_eq!(link("who", &[("entrance", "a b")]), "/console/who?entrance=a+b");
        assert_eq!(link("", &[]), "/console");
    }

    #[test]
    fn times_are_read_as_people_and_browsers_write_them() {
        let now = "2026-11-25T22:00:00Z".parse().unwrap();
        let expected: Timestamp = "2026-11-25T20:00:00Z".parse().unwrap();
        for text in [
            "2026-11-25T20:00:00Z",
            "2026-11-25T21:00:00+01:00",
            "2026-11-25T20:00",
            "2026-11-25 20:00",
            "2026-11-25 20:00:00",
            "2h",
        ] {
            assert_eq!(moment(text, now), Ok(expected), "{text}");
        }
        assert_eq!(moment("2026-11-25", now), Ok("2026-11-25T00:00:00Z".parse().unwrap()));
        for wrong in ["", "20:00", "2026-11-31", "yesterday", "2026-11-25T25:00"] {
            assert!(moment(wrong, now).unwrap_err().contains("RFC 3339"), "{wrong}");
        }
    }
}
