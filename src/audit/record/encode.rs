//! Records and their JSON lines: format version 1, frozen; `docs/audit-format.md` is its
//! reference.
//!
//! A line is encoded once, by whoever submits it, without its sequence number; the
//! writer puts `{"v":1,"seq":N` before it. Field order is fixed, for readers with eyes:
//! `lines.rs` has it. The two records of every request are written by hand (`hot.rs`), and a
//! test compares each byte.

mod hot;
mod lines;
#[cfg(test)]
mod oracle;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::audit::record::entry::{
    DecisionEntry, OrderEntry, OutcomeEntry, ReloadEntry, ResolvedEntry, StrangerEntry,
};
use crate::audit::record::event::Event;
use crate::audit::record::limits::LINE_BYTES_MAX;
use crate::audit::record::pseudonym::PseudonymKey;
use crate::audit::tree::{Frontier, Hash};
use crate::domain::{
    CallerId, DirectiveId, Effect, Operation, Outcome, Reason, RequestId, VERSION, WorkspaceName,
    rfc3339_micros,
};

use lines::{
    Certificate, CheckpointLine, Head, OrderLine, OutageLine, OutcomeLine, RecoveryLine,
    ReloadLine, ResolvedLine, StartLine, StrangerLine, SuppressedLine, WitnessLine,
};

/// The version of the format that is written. What came before it has no `v` and counts
/// as version 0.
pub(in crate::audit) const FORMAT: u32 = 1;

/// What a record is, for its writer.
#[derive(Debug, Clone, Copy)]
pub(in crate::audit) struct Kind {
    pub(in crate::audit) event: Event,
    /// The decision that this outcome is of.
    pub(in crate::audit) closes: Option<u64>,
    /// Why a stranger was not believed: such a record may be left out and counted.
    pub(in crate::audit) stranger: Option<&'static str>,
}

/// A record without its sequence number.
pub(in crate::audit) trait Unnumbered {
    fn kind(&self) -> Kind;
    /// Appends the line from its `time` on, without its end.
    fn write(&self, out: &mut Vec<u8>);
}

/// A record without its sequence number, encoded.
pub(in crate::audit) struct Draft {
    pub(in crate::audit) kind: Kind,
    /// The line from its `time` on.
    pub(in crate::audit) rest: Vec<u8>,
}

impl Unnumbered for Draft {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.rest);
    }
}

/// A decision; with a key the grantee stands in it under a pseudonym.
pub(in crate::audit) struct DecisionRecord<'a>(
    pub(in crate::audit) &'a DecisionEntry<'a>,
    pub(in crate::audit) Option<&'a PseudonymKey>,
);

impl Unnumbered for DecisionRecord<'_> {
    fn kind(&self) -> Kind {
        Kind::of(Event::Decision)
    }

    fn write(&self, out: &mut Vec<u8>) {
        hot::decision(self.0, self.1, out);
    }
}

/// What became of what was permitted, at this time.
pub(in crate::audit) struct OutcomeRecord<'a>(
    pub(in crate::audit) &'a OutcomeEntry,
    pub(in crate::audit) Timestamp,
);

impl Unnumbered for OutcomeRecord<'_> {
    fn kind(&self) -> Kind {
        Kind { closes: Some(self.0.decision_seq), ..Kind::of(Event::Outcome) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        hot::outcome(self.0, self.1, out);
    }
}

impl Kind {
    fn of(event: Event) -> Self {
        Self { event, closes: None, stranger: None }
    }
}

/// What a `log.recovery` record says: what the start found and mended.
pub(in crate::audit) struct RecoveryEntry<'a> {
    pub(in crate::audit) closed_decisions: usize,
    /// Bytes that were no record, and the file that holds them now.
    pub(in crate::audit) cut: Option<(u64, &'a str)>,
}

/// What a `log.checkpoint` record says.
pub(in crate::audit) struct CheckpointEntry<'a> {
    pub(in crate::audit) tree: &'a Frontier,
    /// The oldest decision whose outcome is not in the log yet.
    pub(in crate::audit) open_from: Option<u64>,
    /// The signed text; none when the log is not signed.
    pub(in crate::audit) checkpoint: Option<&'a str>,
}

/// What a `log.outage` record says: until now nothing could be written.
#[derive(Debug)]
pub(in crate::audit) struct Outage {
    pub(in crate::audit) since: Timestamp,
    /// Decisions that were refused for it.
    pub(in crate::audit) refused: u64,
    pub(in crate::audit) cause: String,
}

/// What an `authn.suppressed` record says: failures that got no record of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::audit) struct Suppressed {
    pub(in crate::audit) since: Timestamp,
    pub(in crate::audit) reasons: BTreeMap<&'static str, u64>,
}

impl Draft {
    /// Closes a decision that an earlier process left open.
    /// Its operation may be one that a later version has and this one does not.
    pub(in crate::audit) fn recovered(
        request_id: &str,
        operation: Option<&str>,
        decision_seq: u64,
        time: Timestamp,
    ) -> Self {
        let effect =
            operation.and_then(Operation::parse).map_or(Effect::Changes, Operation::effect);
        let draft = Self::new(Event::Outcome, time, |head| OutcomeLine {
            head,
            request_id,
            operation,
            entrances: None,
            decision_seq,
            outcome: Outcome::in_doubt(effect).as_str(),
            reason: Reason::GatewayRestarted.as_str(),
            status: None,
            seam_request_id: None,
            upstream_ms: None,
            same_as: None,
            same_as_replica: None,
            same_as_replica_seq: None,
            recovered: true,
        });
        draft.closing(decision_seq)
    }

    pub(in crate::audit) fn resolved(entry: &ResolvedEntry, time: Timestamp) -> Self {
        Self::new(Event::Resolved, time, |head| ResolvedLine {
            head,
            request_id: entry.request_id.to_string(),
            decision_seq: entry.decision_seq,
            resolution: entry.resolution.as_str(),
            asked: entry.asked,
            reason: entry.reason.map(Reason::as_str),
            status: entry.status,
        })
    }

    pub(in crate::audit) fn stranger(entry: &StrangerEntry<'_>, time: Timestamp) -> Self {
        let draft = Self::new(Event::Stranger, time, |head| StrangerLine {
            head,
            request_id: entry.request_id.to_string(),
            caller: entry.caller.map(CallerId::as_str),
            credential: entry.credential,
            peer: entry.peer,
            reason: entry.reason.as_str(),
            certificate: entry.certificate.map(|certificate| Certificate {
                fault: certificate.fault,
                names: certificate.names,
                serial: certificate.serial,
                issuer: certificate.issuer,
            }),
        });
        let kind = Kind { stranger: Some(entry.reason.as_str()), ..draft.kind };
        Self { kind, ..draft }
    }

    pub(in crate::audit) fn suppressed(entry: &Suppressed, time: Timestamp) -> Self {
        Self::new(Event::Suppressed, time, |head| SuppressedLine {
            head,
            since: rfc3339_micros(entry.since),
            suppressed: entry.reasons.values().sum(),
            reasons: &entry.reasons,
        })
    }

    pub(in crate::audit) fn start(revision: &str, time: Timestamp) -> Self {
        let pid = std::process::id();
        Self::new(Event::Start, time, |head| StartLine { head, version: VERSION, pid, revision })
    }

    pub(in crate::audit) fn recovery(entry: &RecoveryEntry<'_>, time: Timestamp) -> Self {
        Self::new(Event::Recovery, time, |head| RecoveryLine {
            head,
            closed_decisions: entry.closed_decisions,
            cut_bytes: entry.cut.map(|(bytes, _)| bytes),
            cut_kept_in: entry.cut.map(|(_, file)| file),
        })
    }

    pub(in crate::audit) fn checkpoint(entry: &CheckpointEntry<'_>, time: Timestamp) -> Self {
        Self::new(Event::Checkpoint, time, |head| CheckpointLine {
            head,
            size: entry.tree.size(),
            root: entry.tree.root().to_base64(),
            hashes: entry.tree.nodes().iter().copied().map(Hash::to_base64).collect(),
            open_from: entry.open_from,
            checkpoint: entry.checkpoint,
        })
    }

    pub(in crate::audit) fn reload(entry: &ReloadEntry<'_>, time: Timestamp) -> Self {
        Self::new(Event::Reload, time, |head| ReloadLine {
            head,
            result: if entry.problems.is_empty() { "ok" } else { "failed" },
            parts: entry.parts,
            revision_before: entry.revision_before,
            revision: entry.revision,
            problems: entry.problems,
            bundle: entry.bundle.map(|bundle| bundle.number),
            bundle_digest: entry.bundle.map(|bundle| bundle.digest),
            signers: entry.bundle.map_or(&[], |bundle| bundle.signers),
        })
    }

    pub(in crate::audit) fn order(entry: &OrderEntry<'_>, time: Timestamp) -> Self {
        let (order, signature) = (entry.order, entry.signature());
        Self::new(Event::Order, time, |head| OrderLine {
            head,
            order: order.number,
            change: entry.change.as_str(),
            kind: order.kind.as_str(),
            caller: order.kind.caller().map(CallerId::as_str),
            zone: order.kind.zone(),
            workspace: order.kind.workspace().map(WorkspaceName::as_str),
            entrance_id: order.kind.entrance().map(|id| id.to_string()),
            by: signature.map(|signature| signature.by.as_str()),
            why: signature.map(|signature| signature.why.as_str()),
            at: signature.map(|signature| rfc3339_micros(signature.at)),
            until: order.until.map(rfc3339_micros),
            directive: order.directive.as_ref().map(DirectiveId::as_str),
        })
    }

    pub(in crate::audit) fn witness(checkpoints: &[String], time: Timestamp) -> Self {
        Self::new(Event::Witness, time, |head| WitnessLine { head, checkpoints })
    }

    pub(in crate::audit) fn outage(outage: &Outage, time: Timestamp) -> Self {
        Self::new(Event::Outage, time, |head| OutageLine {
            head,
            since: rfc3339_micros(outage.since),
            refused_decisions: outage.refused,
            cause: &outage.cause,
        })
    }

    pub(in crate::audit) fn stop(time: Timestamp) -> Self {
        Self::new(Event::Stop, time, |head| head)
    }

    fn new<T: Serialize>(event: Event, time: Timestamp, record: impl FnOnce(Head) -> T) -> Self {
        let head = Head { time: rfc3339_micros(time), event: event.as_str() };
        // Strings, numbers and lists of strings always encode.
        let encoded = serde_json::to_vec(&record(head)).unwrap_or_default();
        let rest = encoded.get(1..).unwrap_or_default().to_vec();
        Self { kind: Kind::of(event), rest }
    }

    fn closing(self, decision_seq: u64) -> Self {
        Self { kind: Kind { closes: Some(decision_seq), ..self.kind }, ..self }
    }

    /// Writes the whole line with its sequence number, as [`write_line`] does.
    pub(in crate::audit) fn write(&self, seq: u64, batch: u64, out: &mut Vec<u8>) {
        write_line(&self.rest, seq, batch, out);
    }
}

/// Whether a text of so many bytes is a line that readers take, whatever number it gets.
pub(in crate::audit) fn fits(text_bytes: usize) -> bool {
    const HEAD_BYTES_MAX: usize = 64;
    text_bytes + HEAD_BYTES_MAX < LINE_BYTES_MAX
}

/// Writes a whole line: a sequence number before a record's text, which begins at `time`.
/// `batch` is the number of the first record that is written and synced together with it:
/// recovery must know what a crash may have left in pieces.
pub(in crate::audit) fn write_line(text: &[u8], seq: u64, batch: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"v\":1,\"seq\":");
    out.extend_from_slice(itoa::Buffer::new().format(seq).as_bytes());
    if batch != seq {
        out.extend_from_slice(b",\"batch\":");
        out.extend_from_slice(itoa::Buffer::new().format(batch).as_bytes());
    }
    out.push(b',');
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// The operation as records name it: those of before there were several name none.
fn named(operation: Operation) -> Option<&'static str> {
    (operation != Operation::GrantAccess).then_some(operation.as_str())
}

/// How far a key counts that could not be asked for elsewhere.
const UNCONFIRMED: &str = "gateway";

/// What a decision permits, for the outcome that closes it.
#[derive(Debug, Clone, Copy)]
pub(in crate::audit) struct Permitted {
    pub(in crate::audit) request_id: RequestId,
    pub(in crate::audit) operation: Operation,
}

/// The outcome of a permit that was recorded and then not used.
pub(in crate::audit) fn not_sent(permitted: Permitted, decision_seq: u64) -> OutcomeEntry {
    OutcomeEntry {
        request_id: permitted.request_id,
        operation: permitted.operation,
        entrances: None,
        decision_seq,
        outcome: Outcome::NotSent,
        reason: Reason::AuditUnavailable,
        status: None,
        seam_request_id: None,
        upstream_ms: None,
        same_as: None,
        same_as_replica: None,
    }
}

#[cfg(test)]
mod tests;
