//! The fields of a record that can be searched, and a look at a line without parsing it.
//!
//! The quick looks may say that they do not know, and then the line is parsed. They hold
//! for every JSON text, not only for lines as the journal writes them: a text without a
//! backslash has every string in it as it is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use memchr::{memchr, memmem};
use serde::Deserialize;

use crate::audit::record::encode::FORMAT;

/// A string of a line, borrowed from it where it has no escapes.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::audit) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    pub(in crate::audit) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The fields.
#[derive(Debug, Deserialize)]
pub(in crate::audit) struct Fields<'a> {
    #[serde(default)]
    v: u32,
    pub(in crate::audit) seq: u64,
    #[serde(borrow, default)]
    pub(in crate::audit) time: Text<'a>,
    #[serde(borrow)]
    pub(in crate::audit) event: Text<'a>,
    #[serde(borrow)]
    pub(in crate::audit) request_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(in crate::audit) caller: Option<Text<'a>>,
    #[serde(borrow)]
    pub(in crate::audit) entrance_id: Option<Text<'a>>,
    #[serde(borrow)]
    acs_user_id: Option<Text<'a>>,
    #[serde(borrow)]
    user_identity_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(in crate::audit) decision: Option<Text<'a>>,
    #[serde(borrow)]
    pub(in crate::audit) reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(in crate::audit) outcome: Option<Text<'a>>,
    #[serde(borrow)]
    pub(in crate::audit) seam_request_id: Option<Text<'a>>,
    pub(in crate::audit) decision_seq: Option<u64>,
    pub(in crate::audit) open_from: Option<u64>,
    pub(in crate::audit) reasons: Option<BTreeMap<String, u64>>,
}

impl<'a> Fields<'a> {
    /// The record that a whole line is; none when it is no record of a known format.
    pub(in crate::audit) fn parse(line: &'a [u8]) -> Option<Self> {
        let fields: Self = serde_json::from_slice(line).ok()?;
        (fields.v <= FORMAT && fields.seq > 0).then_some(fields)
    }

    pub(in crate::audit) fn time(&self) -> Option<Timestamp> {
        self.time.as_str().parse().ok()
    }

    /// Who was to get access, in whichever form.
    pub(in crate::audit) fn grantee(&self) -> Option<&str> {
        self.acs_user_id.as_ref().or(self.user_identity_id.as_ref()).map(Text::as_str)
    }
}

/// The text of an optional field.
pub(in crate::audit) fn text<'f>(field: &'f Option<Text<'_>>) -> Option<&'f str> {
    field.as_ref().map(Text::as_str)
}

/// What can be told of a line at a glance.
pub(in crate::audit) struct Glance {
    event: memmem::Finder<'static>,
    time: memmem::Finder<'static>,
    decision_seq: memmem::Finder<'static>,
}

impl Glance {
    pub(in crate::audit) fn new() -> Self {
        Self {
            event: memmem::Finder::new(b"\"event\":\""),
            time: memmem::Finder::new(b"\"time\":\""),
            decision_seq: memmem::Finder::new(b"\"decision_seq\":"),
        }
    }

    /// The event; none when it takes a parser to know.
    pub(in crate::audit) fn event<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        let is_object = line.first() == Some(&b'{') && line.last() == Some(&b'}');
        if !is_object || seq(line).is_none() {
            return None;
        }
        let rest = after(&self.event, line)?;
        let event = rest.get(..memchr(b'"', rest)?)?;
        (!event.contains(&b'\\')).then_some(event)
    }

    /// The time as the journal writes it, which sorts as it is; none when it is written
    /// otherwise.
    pub(in crate::audit) fn time<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        const FORM: &[u8] = b"0000-00-00T00:00:00.000000Z";
        let time = after(&self.time, line)?.get(..FORM.len())?;
        let fits = time.iter().zip(FORM).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            _ => byte == form,
        });
        fits.then_some(time)
    }

    /// The number of the decision that an outcome is of.
    pub(in crate::audit) fn decision_seq(&self, line: &[u8]) -> Option<u64> {
        number(after(&self.decision_seq, line)?)
    }
}

/// The sequence number, where it stands in front.
pub(in crate::audit) fn seq(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(b"{\"v\":1,").or_else(|| line.strip_prefix(b"{"))?;
    number(rest.strip_prefix(b"\"seq\":")?)
}

fn after<'a>(finder: &memmem::Finder<'_>, line: &'a [u8]) -> Option<&'a [u8]> {
    line.get(finder.find(line)? + finder.needle().len()..)
}

/// A number that a comma or a brace ends.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !matches!(text.get(digits), Some(b',' | b'}')) {
        return None;
    }
    std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../../../tests/golden/audit/records-v1.jsonl");

    #[test]
    fn a_glance_sees_what_a_parser_sees() {
        let glance = Glance::new();
        for line in GOLDEN.lines() {
            let fields = Fields::parse(line.as_bytes()).unwrap();
            let line = line.as_bytes();
            assert_eq!(glance.event(line), Some(fields.event.as_str().as_bytes()));
            assert_eq!(glance.time(line), Some(fields.time.as_str().as_bytes()));
            assert_eq!(seq(line), Some(fields.seq));
            assert_eq!(glance.decision_seq(line), fields.decision_seq);
        }
    }

    #[test]
    fn what_is_written_otherwise_is_left_to_the_parser() {
        let glance = Glance::new();
        for line in
            ["{ \"seq\":1,\"event\":\"log.stop\"}", "{\"seq\":1,\"event\":\"log.st\\u006fp\"}"]
        {
            assert_eq!(glance.event(line.as_bytes()), None);
            assert_eq!(Fields::parse(line.as_bytes()).unwrap().event.as_str(), "log.stop");
        }
        assert_eq!(glance.time(br#"{"time":"2026-11-23T10:00:00+01:00"}"#), None);
        assert!(Fields::parse(br#"{"v":2,"seq":1,"event":"log.stop"}"#).is_none());
        assert!(Fields::parse(br#"{"seq":0,"event":"log.stop"}"#).is_none());
    }
}
