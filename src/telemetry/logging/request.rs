//! The line of a request: printed by `tracing` as any other, or written by hand, which a test
//! compares.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

use super::LogFormat;
use crate::domain::{
    CallerId, EntranceId, Operation, Outcome, Reason, RequestId, WorkspaceName,
    write_rfc3339_micros,
};

/// Where the line says that it comes from.
pub(super) const TARGET: &str = "grantgate::gateway::account";

/// What is logged of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'a> {
    /// The gateway's id of it.
    pub request_id: RequestId,
    /// Its trace, where there is one.
    pub trace_id: Option<u128>,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Who asked; none is a stranger.
    pub caller: Option<&'a CallerId>,
    /// For what.
    pub operation: Option<Operation>,
    /// In which workspace, where workspaces have names.
    pub workspace: Option<&'a WorkspaceName>,
    /// Where to.
    pub entrance: Option<EntranceId>,
    /// What people call it.
    pub entrance_name: Option<&'a str>,
    /// Whether policy permitted it.
    pub permitted: bool,
    /// Why it was answered so.
    pub reason: Reason,
    /// What became of it after it was permitted.
    pub outcome: Option<Outcome>,
    /// The decision whose outcome this is too, where nothing was sent.
    pub same_as: Option<u64>,
    /// The status of the answer.
    pub status: u16,
    /// How long the decision took.
    pub decided: Duration,
    /// How long its record.
    pub recorded: Duration,
    /// How long the upstream.
    pub forwarded: Duration,
    /// How long all of it.
    pub took: Duration,
}

/// Fields in their order; `write` has the same.
macro_rules! event {
    ($level:ident, $line:expr) => {
        tracing::$level!(
            target: TARGET,
            request_id = %$line.request_id,
            trace_id = $line.trace_id.map(|id| format!("{id:032x}")),
            peer = %$line.peer,
            caller = $line.caller.map(CallerId::as_str),
            operation = $line.operation.map(Operation::as_str),
            workspace = $line.workspace.map(WorkspaceName::as_str),
            entrance = $line.entrance.map(tracing::field::display),
            entrance_name = $line.entrance_name,
            decision = decision($line.permitted),
            reason = $line.reason.as_str(),
            outcome = $line.outcome.map(Outcome::as_str),
            same_as = $line.same_as,
            status = $line.status,
            decided_us = micros($line.decided),
            recorded_us = micros($line.recorded),
            forwarded_us = micros($line.forwarded),
            took_us = micros($line.took),
            "request"
        )
    };
}

impl RequestLine<'_> {
    pub(super) fn info(&self) {
        event!(info, self);
    }

    /// Logs it for whoever debugs.
    pub fn debug(&self) {
        event!(debug, self);
    }

    /// Writes it as `tracing` prints it without colours, with its end.
    pub(super) fn write(&self, format: LogFormat, time: Timestamp, out: &mut Vec<u8>) {
        let mut fields = Fields::begin(format, time, out);
        fields.plain("request_id", |out| self.request_id.write(out));
        if let Some(trace_id) = self.trace_id {
            let out = fields.key("trace_id");
            drop(write!(out, "\"{trace_id:032x}\""));
        }
        fields.plain("peer", |out| drop(write!(out, "{}", self.peer)));
        if let Some(caller) = self.caller {
            fields.text("caller", caller.as_str());
        }
        if let Some(operation) = self.operation {
            fields.text("operation", operation.as_str());
        }
        if let Some(workspace) = self.workspace {
            fields.text("workspace", workspace.as_str());
        }
        if let Some(entrance) = self.entrance {
            fields.plain("entrance", |out| entrance.write(out));
        }
        if let Some(name) = self.entrance_name {
            fields.text("entrance_name", name);
        }
        fields.text("decision", decision(self.permitted));
        fields.text("reason", self.reason.as_str());
        if let Some(outcome) = self.outcome {
            fields.text("outcome", outcome.as_str());
        }
        if let Some(seq) = self.same_as {
            fields.number("same_as", seq);
        }
        fields.number("status", self.status.into());
        fields.number("decided_us", micros(self.decided));
        fields.number("recorded_us", micros(self.recorded));
        fields.number("forwarded_us", micros(self.forwarded));
        fields.number("took_us", micros(self.took));
        fields.end();
    }
}

fn decision(permitted: bool) -> &'static str {
    if permitted { "allow" } else { "deny" }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A line whose fields are being written.
struct Fields<'a> {
    format: LogFormat,
    out: &'a mut Vec<u8>,
}

impl<'a> Fields<'a> {
    fn begin(format: LogFormat, time: Timestamp, out: &'a mut Vec<u8>) -> Self {
        let (before, after) = match format {
            LogFormat::Human => ("", "  INFO request"),
            LogFormat::Json => {
                ("{\"timestamp\":\"", "\",\"level\":\"INFO\",\"message\":\"request\"")
            }
        };
        out.extend_from_slice(before.as_bytes());
        write_rfc3339_micros(time, out);
        out.extend_from_slice(after.as_bytes());
        Self { format, out }
    }

    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        let (before, after): (_, &[u8]) = match self.format {
            LogFormat::Human => (b" ".as_slice(), b"="),
            LogFormat::Json => (b",\"".as_slice(), b"\":"),
        };
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(after);
        self.out
    }

    /// A value that needs no escapes, and is quoted in JSON only.
    fn plain(&mut self, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
        let quote: &[u8] = match self.format {
            LogFormat::Human => b"",
            LogFormat::Json => b"\"",
        };
        let out = self.key(key);
        out.extend_from_slice(quote);
        value(out);
        out.extend_from_slice(quote);
    }

    fn text(&mut self, key: &str, value: &str) {
        let format = self.format;
        let out = self.key(key);
        let plain = |byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        // A write to memory does not fail.
        if value.bytes().all(plain) {
            out.push(b'"');
            out.extend_from_slice(value.as_bytes());
            out.push(b'"');
        } else {
            match format {
                LogFormat::Human => drop(write!(out, "{value:?}")),
                LogFormat::Json => json(value, out),
            }
        }
    }

    fn number(&mut self, key: &str, number: u64) {
        let mut digits = itoa::Buffer::new();
        self.key(key).extend_from_slice(digits.format(number).as_bytes());
    }

    fn end(self) {
        if self.format == LogFormat::Json {
            self.out.extend_from_slice(b",\"target\":\"");
            self.out.extend_from_slice(TARGET.as_bytes());
            self.out.extend_from_slice(b"\"}");
        }
        self.out.push(b'\n');
    }
}

/// Writes a string of JSON (RFC 8259, section 7) with the escapes that must be.
fn json(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            0x00..0x20 => {
                drop(write!(out, "\\u{byte:04x}"));
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
