//! One value with its place, and the checks that turn it into something typed.

use std::ops::{Range, RangeInclusive};

use jiff::Timestamp;
use toml_edit::Value;

use super::TomlSource;
use crate::domain::{Problem, rfc3339};

/// A value of the document or of the environment. Each accessor reports what is
/// wrong and answers `None`.
#[derive(Clone)]
pub struct Place<'a> {
    source: &'a TomlSource,
    path: String,
    value: &'a Value,
    span: Option<Range<usize>>,
    variable: Option<&'a str>,
}

impl<'a> Place<'a> {
    pub(super) fn new(
        source: &'a TomlSource,
        path: String,
        value: &'a Value,
        span: Option<Range<usize>>,
    ) -> Self {
        Self { source, path, value, span: value.span().or(span), variable: None }
    }

    pub(super) fn from_environment(
        source: &'a TomlSource,
        path: String,
        variable: &'a str,
        value: &'a Value,
    ) -> Self {
        Self { source, path, value, span: None, variable: Some(variable) }
    }

    /// The key with its section.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reports what is wrong with this value.
    pub fn refuse(&self, text: impl Into<String>) {
        self.source.report(self.problem(text));
    }

    /// A problem at this place, not reported.
    #[must_use]
    pub fn problem(&self, text: impl Into<String>) -> Problem {
        match self.variable {
            Some(name) => Problem::of_file(format!("environment variable {name}"), text),
            None => self.source.problem(self.span.clone(), text.into()),
        }
    }

    fn typed<T>(&self, value: Option<T>, expected: &str) -> Option<T> {
        if value.is_none() {
            self.refuse(format!("`{}` must be {expected}", self.path));
        }
        value
    }

    /// Whether it is a string, where it may be something else.
    #[must_use]
    pub fn is_string(&self) -> bool {
        self.value.is_str()
    }

    /// A string.
    #[must_use]
    pub fn string(&self) -> Option<&'a str> {
        self.typed(self.value.as_str(), "a string")
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        let known = match (self.variable, self.value.as_str()) {
            (Some(_), Some(text)) => text.parse().ok(),
            _ => self.value.as_bool(),
        };
        self.typed(known, "true or false")
    }

    /// A whole number within `range`.
    #[must_use]
    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let number = match (self.variable, self.value.as_str()) {
            (Some(_), Some(text)) => text.parse().ok(),
            _ => self.value.as_integer().and_then(|n| u64::try_from(n).ok()),
        };
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.typed(number.filter(|n| range.contains(n)), &expected)
    }

    /// A date and time with offset (RFC 3339).
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        let text = match self.value.as_datetime() {
            Some(datetime) => Some(datetime.to_string()),
            None => self.value.as_str().map(str::to_owned),
        };
        let time = text.and_then(|text| rfc3339(&text).ok());
        self.typed(time, "a date and time with offset, such as 2027-02-01T00:00:00Z")
    }

    /// A list of strings, each with its place. An environment variable gives them
    /// separated by commas.
    #[must_use]
    pub fn strings(&self) -> Option<Vec<(Place<'a>, String)>> {
        if let (Some(_), Some(text)) = (self.variable, self.value.as_str()) {
            return self.separated(text);
        }
        let array = self.typed(self.value.as_array(), "a list of strings")?;
        let places = array.iter().map(|value| {
            let place = Place::new(self.source, self.path.clone(), value, self.span.clone());
            place.string().map(|text| (place.clone(), text.to_owned()))
        });
        places.collect()
    }

    fn separated(&self, text: &str) -> Option<Vec<(Self, String)>> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let quoted = |part: &&str| part.trim_start_matches('[').starts_with(['"', '\'']);
        let as_toml = text == "[]" || parts.iter().any(quoted);
        let advice = "separate the elements by commas, without brackets and quotes";
        if parts.contains(&"") {
            self.refuse(format!("`{}` has an empty element; {advice}", self.path));
            return None;
        }
        if as_toml {
            self.refuse(format!("`{}` is not a list of TOML here; {advice}", self.path));
            return None;
        }
        Some(parts.into_iter().map(|part| (self.clone(), part.to_owned())).collect())
    }
}
