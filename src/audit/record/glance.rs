//! Looks at a line without parsing it.
//!
//! A look may say that it does not know, and then the line is parsed. [`Glance`] holds for
//! every JSON text, not only for lines as the journal writes them: a text without a
//! backslash has every string in it as it is. [`Peek`] knows the journal's lines only, and
//! is for those who hash every line anyway.

use memchr::{memchr, memmem};

use crate::audit::record::event::Event;
use crate::audit::record::limits::SEQ_MAX;

/// What can be told of a line at a glance.
pub(in crate::audit) struct Glance {
    event: memmem::Finder<'static>,
    time: memmem::Finder<'static>,
    decision_seq: memmem::Finder<'static>,
    allow: memmem::Finder<'static>,
}

impl Glance {
    pub(in crate::audit) fn new() -> Self {
        Self {
            event: memmem::Finder::new(b"\"event\":\""),
            time: memmem::Finder::new(b"\"time\":\""),
            decision_seq: memmem::Finder::new(b"\"decision_seq\":"),
            allow: memmem::Finder::new(b"\"decision\":\"allow\""),
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
        ended_number(after(&self.decision_seq, line)?)
    }

    /// Whether a decision may allow. A no is certain; a yes may be a candidate's.
    pub(in crate::audit) fn may_allow(&self, line: &[u8]) -> bool {
        self.allow.find(line).is_some() || has_escapes(line)
    }
}

/// Whether strings may be written otherwise than they read.
pub(in crate::audit) fn has_escapes(line: &[u8]) -> bool {
    memchr(b'\\', line).is_some()
}

/// The sequence number, where it stands in front.
pub(in crate::audit) fn seq(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(b"{\"v\":1,").or_else(|| line.strip_prefix(b"{"))?;
    ended_number(rest.strip_prefix(b"\"seq\":")?)
}

fn after<'a>(finder: &memmem::Finder<'_>, line: &'a [u8]) -> Option<&'a [u8]> {
    line.get(finder.find(line)? + finder.needle().len()..)
}

/// A number that a comma or a brace ends.
fn ended_number(text: &[u8]) -> Option<u64> {
    let (number, rest) = number(text)?;
    matches!(rest.first(), Some(b',' | b'}')).then_some(number)
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at_checked(digits)?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, rest))
}

/// What of a line is needed most often: the fields that every record begins with stand in
/// one order.
pub(in crate::audit) struct Peek<'a> {
    pub(in crate::audit) seq: u64,
    event: &'a [u8],
}

/// `2026-11-23T09:00:00.123456Z`
const TIME_LENGTH: usize = 27;

impl<'a> Peek<'a> {
    /// None where the line must be parsed to know: it is damaged, or of another version.
    pub(in crate::audit) fn at(line: &'a [u8]) -> Option<Self> {
        if line.last() != Some(&b'}') {
            return None;
        }
        let (seq, rest) = number(line.strip_prefix(b"{\"v\":1,\"seq\":")?)?;
        let rest = match rest.strip_prefix(b",\"batch\":") {
            Some(rest) => number(rest)?.1,
            None => rest,
        };
        let rest = rest.strip_prefix(b",\"time\":\"")?.get(TIME_LENGTH..)?;
        let rest = rest.strip_prefix(b"\",\"event\":\"")?;
        let event = rest.split(|byte| *byte == b'"').next()?;
        (1..=SEQ_MAX).contains(&seq).then_some(Self { seq, event })
    }

    pub(in crate::audit) fn is(&self, event: Event) -> bool {
        self.event == event.as_str().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::parse::Record;

    const GOLDEN: &str = include_str!("../../../tests/golden/audit/records-v1.jsonl");

    #[test]
    fn a_look_sees_what_a_parser_sees() {
        let glance = Glance::new();
        for line in GOLDEN.lines().map(str::as_bytes) {
            let record = Record::parse(line).unwrap();
            assert_eq!(glance.event(line), Some(record.event().as_bytes()));
            assert_eq!(glance.time(line), Some(record.time_text().as_bytes()));
            assert_eq!(seq(line), Some(record.seq));
            assert_eq!(glance.decision_seq(line), record.decision_seq);
            assert!(glance.may_allow(line) || !record.allows());
            let peek = Peek::at(line).unwrap();
            assert_eq!((peek.seq, peek.event), (record.seq, record.event().as_bytes()));
        }
    }

    #[test]
    fn what_is_written_otherwise_is_left_to_the_parser() {
        let glance = Glance::new();
        for line in
            ["{ \"seq\":1,\"event\":\"log.stop\"}", "{\"seq\":1,\"event\":\"log.st\\u006fp\"}"]
        {
            assert_eq!(glance.event(line.as_bytes()), None);
            assert!(Peek::at(line.as_bytes()).is_none());
            assert_eq!(Record::parse(line.as_bytes()).unwrap().event(), "log.stop");
        }
        assert_eq!(glance.time(br#"{"time":"2026-11-23T10:00:00+01:00"}"#), None);
    }
}
