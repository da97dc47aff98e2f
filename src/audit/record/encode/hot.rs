//! The two records of every request, written straight into a buffer: fields in the order and
//! form that `lines.rs` has them, which is what a test compares them with.

use std::io::Write as _;

use jiff::Timestamp;

use super::{UNCONFIRMED, named};
use crate::audit::record::entry::{DecisionEntry, OutcomeEntry};
use crate::audit::record::event::{Event, verdict};
use crate::audit::record::pseudonym::PseudonymKey;
use crate::domain::{Grantee, Reason, write_rfc3339_micros};

/// Writes a decision from its time on. With a key, the grantee's id is replaced by its
/// pseudonym, and the body's digest is left out: ids could be tried on it.
pub(super) fn decision(entry: &DecisionEntry<'_>, key: Option<&PseudonymKey>, out: &mut Vec<u8>) {
    let mut line = Line::new(Event::Decision, entry.at, out);
    line.key("request_id").quoted(|out| entry.request_id.write(out));
    line.key("caller").string(entry.caller);
    line.key("credential").string(entry.credential);
    line.key("peer").quoted(|out| {
        let _ = write!(out, "{}", entry.peer);
    });
    if let Some(operation) = named(entry.operation) {
        line.key("operation").string(operation);
    }
    if let Some(workspace) = entry.workspace {
        line.key("workspace").string(workspace.as_str());
    }
    if let Some(entrance) = entry.entrance {
        line.key("entrance_id").quoted(|out| entrance.write(out));
    }
    if let Some(grantee) = entry.grantee {
        line.grantee(grantee, key);
    }
    line.key("decision").string(verdict(entry.allow));
    line.key("reason").string(entry.reason.as_str());
    line.key("rules").out.push(b'[');
    for (number, rule) in entry.rules.iter().enumerate() {
        if number > 0 {
            line.out.push(b',');
        }
        line.quoted(|out| {
            escape(rule.file(), out);
            out.push(b':');
            write_number(rule.line(), out);
        });
    }
    line.out.push(b']');
    line.key("revision").string(entry.revision);
    if let Some(digest) = entry.body_sha256.filter(|_| key.is_none()) {
        line.key("body_sha256").quoted(|out| write_hex(&digest, out));
    }
    if let Some(candidate) = entry.candidate {
        line.key("candidate").out.extend_from_slice(b"{\"revision\":");
        line.string(candidate.revision);
        line.key("decision").string(candidate.decision);
        if let Some(reason) = candidate.reason.map(Reason::as_str) {
            line.key("reason").string(reason);
        }
        line.out.push(b'}');
    }
    if let Some(key) = entry.idempotency_key {
        line.key("idempotency_key").string(key);
    }
    if entry.is_key_unconfirmed {
        line.key("idempotency_scope").string(UNCONFIRMED);
    }
    line.out.push(b'}');
}

/// Writes an outcome from its time on.
pub(super) fn outcome(entry: &OutcomeEntry, time: Timestamp, out: &mut Vec<u8>) {
    let mut line = Line::new(Event::Outcome, time, out);
    line.key("request_id").quoted(|out| entry.request_id.write(out));
    if let Some(operation) = named(entry.operation) {
        line.key("operation").string(operation);
    }
    line.key("decision_seq").number(entry.decision_seq);
    line.key("outcome").string(entry.outcome.as_str());
    line.key("reason").string(entry.reason.as_str());
    if let Some(entrances) = entry.entrances {
        line.key("entrances").number(entrances);
    }
    if let Some(status) = entry.status {
        line.key("status").number(status);
    }
    if let Some(id) = &entry.seam_request_id {
        line.key("seam_request_id").string(id);
    }
    if let Some(millis) = entry.upstream_ms {
        line.key("upstream_ms").number(millis);
    }
    if let Some(seq) = entry.same_as {
        line.key("same_as").number(seq);
    }
    if let Some((replica, seq)) = entry.same_as_replica {
        line.key("same_as_replica").quoted(|out| {
            let _ = write!(out, "{replica}");
        });
        if let Some(seq) = seq {
            line.key("same_as_replica_seq").number(seq);
        }
    }
    line.out.push(b'}');
}

/// A line that is being written.
struct Line<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Line<'a> {
    fn new(event: Event, time: Timestamp, out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(b"\"time\":\"");
        write_rfc3339_micros(time, out);
        out.extend_from_slice(b"\",\"event\":\"");
        out.extend_from_slice(event.as_str().as_bytes());
        out.push(b'"');
        Self { out }
    }

    /// A further field. Its name is one of ours: there is nothing to escape in it.
    fn key(&mut self, key: &str) -> &mut Self {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self
    }

    fn string(&mut self, text: &str) {
        self.quoted(|out| escape(text, out));
    }

    fn quoted(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.push(b'"');
        write(self.out);
        self.out.push(b'"');
    }

    fn number(&mut self, number: impl itoa::Integer) {
        write_number(number, self.out);
    }

    fn grantee(&mut self, grantee: Grantee, key: Option<&PseudonymKey>) {
        let name = match grantee {
            Grantee::AcsUser(_) => "acs_user_id",
            Grantee::UserIdentity(_) => "user_identity_id",
        };
        let start = self.key(name).out.len() + 1;
        self.quoted(|out| match grantee {
            Grantee::AcsUser(id) => id.write(out),
            Grantee::UserIdentity(id) => id.write(out),
        });
        if let Some(key) = key {
            let id = self.out.get(start..self.out.len() - 1).unwrap_or_default();
            let pseudonym = key.pseudonym(&String::from_utf8_lossy(id));
            self.out.truncate(start - 1);
            self.string(&pseudonym);
        }
    }
}

fn write_number(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |number: u8| DIGITS.get(usize::from(number)).copied().unwrap_or_default();
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

/// As JSON has it (RFC 8259, section 7), with the short forms where there are any.
fn escape(text: &str, out: &mut Vec<u8>) {
    let plain = |byte: &u8| *byte >= b' ' && !matches!(byte, b'"' | b'\\');
    if text.as_bytes().iter().all(plain) {
        return out.extend_from_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\x08' => out.extend_from_slice(b"\\b"),
            b'\x0c' => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                write_hex(&[byte], out);
            }
            _ => out.push(byte),
        }
    }
}
