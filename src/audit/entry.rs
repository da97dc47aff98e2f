//! Records and their JSON lines.
//!
//! A line is encoded once, by whoever submits it, without its sequence number; the
//! writer puts `{"seq":N` before it. Field order is fixed, for readers with eyes.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{GrantRequest, Grantee, Outcome, Reason, RequestId, VERSION, rfc3339_micros};

/// What can be recorded as a decision.
pub trait Evidence {
    /// The record's fields.
    fn decision(&self) -> DecisionEntry<'_>;
}

/// The fields of a `grant.decision` record.
#[derive(Debug)]
pub struct DecisionEntry<'a> {
    /// The request.
    pub request_id: RequestId,
    /// The caller's id.
    pub caller: &'a str,
    /// Which of its credentials it used.
    pub credential: &'a str,
    /// Where the connection came from.
    pub peer: SocketAddr,
    /// What was asked for; `None` when the request was malformed.
    pub grant: Option<GrantRequest>,
    /// Whether the grant will be forwarded.
    pub allow: bool,
    /// Why.
    pub reason: Reason,
    /// The rules that decided, as `file:line`.
    pub rules: Vec<String>,
    /// The policy in force.
    pub revision: &'a str,
    /// SHA-256 of the caller's body.
    pub body_sha256: Option<[u8; 32]>,
    /// When it was decided: the record's time.
    pub at: Timestamp,
    /// What a candidate policy said of it.
    pub candidate: Option<CandidateEntry<'a>>,
}

/// What a policy said that decides nothing.
#[derive(Debug, Clone, Copy)]
pub struct CandidateEntry<'a> {
    /// The candidate.
    pub revision: &'a str,
    /// `allow`, `deny`, `failed` or `skipped`.
    pub decision: &'static str,
    /// Why; none when it was skipped.
    pub reason: Option<Reason>,
}

/// The fields of a `grant.outcome` record.
#[derive(Debug, Clone)]
pub struct OutcomeEntry {
    /// The request.
    pub request_id: RequestId,
    /// The decision's sequence number.
    pub decision_seq: u64,
    /// What became of the grant.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// The upstream's status.
    pub status: Option<u16>,
    /// Seam's request id.
    pub seam_request_id: Option<String>,
    /// From the forward to the answer, in milliseconds.
    pub upstream_ms: Option<u64>,
}

/// A record without its sequence number: the line from its second field on.
pub(super) struct Line {
    pub(super) event: &'static str,
    pub(super) rest: Vec<u8>,
}

#[derive(Serialize)]
struct Head {
    time: String,
    event: &'static str,
}

#[derive(Serialize)]
struct Decision<'a> {
    #[serde(flatten)]
    head: Head,
    request_id: String,
    caller: &'a str,
    credential: &'a str,
    peer: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrance_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acs_user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_identity_id: Option<String>,
    decision: &'static str,
    reason: &'static str,
    rules: &'a [String],
    revision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate: Option<Candidate<'a>>,
}

#[derive(Serialize)]
struct Candidate<'a> {
    revision: &'a str,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Serialize)]
struct OutcomeLine<'a> {
    #[serde(flatten)]
    head: Head,
    request_id: &'a str,
    decision_seq: u64,
    outcome: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seam_request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recovered: bool,
}

#[derive(Serialize)]
struct Start<'a> {
    #[serde(flatten)]
    head: Head,
    version: &'static str,
    pid: u32,
    revision: &'a str,
    closed_decisions: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_kept_in: Option<&'a str>,
}

/// What a `log.start` record says.
pub(super) struct StartEntry<'a> {
    pub(super) revision: &'a str,
    pub(super) closed_decisions: usize,
    pub(super) cut: Option<(u64, &'a str)>,
}

pub(super) const DECISION: &str = "grant.decision";
pub(super) const OUTCOME: &str = "grant.outcome";
/// What a `config.reload` record says: a reload that took effect, or one that failed
/// and changed nothing.
#[derive(Debug)]
pub struct ReloadEntry<'a> {
    /// The parts whose files changed.
    pub parts: &'a [&'static str],
    /// The policy in force until now.
    pub revision_before: &'a str,
    /// The policy in force from now on.
    pub revision: &'a str,
    /// Why it failed; empty when it did not.
    pub problems: &'a [String],
}

#[derive(Serialize)]
struct Reload<'a> {
    #[serde(flatten)]
    head: Head,
    result: &'static str,
    parts: &'a [&'static str],
    revision_before: &'a str,
    revision: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    problems: &'a [String],
}

pub(super) const RELOAD: &str = "config.reload";
/// What a `log.outage` record says: until now nothing could be written.
#[derive(Debug)]
pub(super) struct Outage {
    pub(super) since: Timestamp,
    /// Decisions that were refused for it.
    pub(super) refused: u64,
    pub(super) cause: String,
}

#[derive(Serialize)]
struct OutageLine<'a> {
    #[serde(flatten)]
    head: Head,
    since: String,
    refused_decisions: u64,
    cause: &'a str,
}

pub(super) const OUTAGE: &str = "log.outage";
pub(super) const START: &str = "log.start";
pub(super) const STOP: &str = "log.stop";

impl Line {
    pub(super) fn decision(entry: &DecisionEntry<'_>) -> Self {
        let (acs_user_id, user_identity_id) = match entry.grant.map(|grant| grant.grantee) {
            Some(Grantee::AcsUser(id)) => (Some(id.to_string()), None),
            Some(Grantee::UserIdentity(id)) => (None, Some(id.to_string())),
            None => (None, None),
        };
        Self::new(DECISION, entry.at, |head| Decision {
            head,
            request_id: entry.request_id.to_string(),
            caller: entry.caller,
            credential: entry.credential,
            peer: entry.peer,
            entrance_id: entry.grant.map(|grant| grant.entrance.to_string()),
            acs_user_id,
            user_identity_id,
            decision: if entry.allow { "allow" } else { "deny" },
            reason: entry.reason.as_str(),
            rules: &entry.rules,
            revision: entry.revision,
            body_sha256: entry.body_sha256.map(|digest| hex(&digest)),
            candidate: entry.candidate.map(|candidate| Candidate {
                revision: candidate.revision,
                decision: candidate.decision,
                reason: candidate.reason.map(Reason::as_str),
            }),
        })
    }

    pub(super) fn outcome(entry: &OutcomeEntry, time: Timestamp) -> Self {
        let request_id = entry.request_id.to_string();
        Self::new(OUTCOME, time, |head| OutcomeLine {
            head,
            request_id: &request_id,
            decision_seq: entry.decision_seq,
            outcome: entry.outcome.as_str(),
            reason: entry.reason.as_str(),
            status: entry.status,
            seam_request_id: entry.seam_request_id.as_deref(),
            upstream_ms: entry.upstream_ms,
            recovered: false,
        })
    }

    /// Closes a decision that an earlier process left open.
    pub(super) fn recovered(request_id: &str, decision_seq: u64, time: Timestamp) -> Self {
        Self::new(OUTCOME, time, |head| OutcomeLine {
            head,
            request_id,
            decision_seq,
            outcome: Outcome::Unknown.as_str(),
            reason: Reason::GatewayRestarted.as_str(),
            status: None,
            seam_request_id: None,
            upstream_ms: None,
            recovered: true,
        })
    }

    pub(super) fn start(entry: &StartEntry<'_>, time: Timestamp) -> Self {
        Self::new(START, time, |head| Start {
            head,
            version: VERSION,
            pid: std::process::id(),
            revision: entry.revision,
            closed_decisions: entry.closed_decisions,
            cut_bytes: entry.cut.map(|(bytes, _)| bytes),
            cut_kept_in: entry.cut.map(|(_, file)| file),
        })
    }

    pub(super) fn reload(entry: &ReloadEntry<'_>, time: Timestamp) -> Self {
        Self::new(RELOAD, time, |head| Reload {
            head,
            result: if entry.problems.is_empty() { "ok" } else { "failed" },
            parts: entry.parts,
            revision_before: entry.revision_before,
            revision: entry.revision,
            problems: entry.problems,
        })
    }

    pub(super) fn outage(outage: &Outage, time: Timestamp) -> Self {
        Self::new(OUTAGE, time, |head| OutageLine {
            head,
            since: rfc3339_micros(outage.since),
            refused_decisions: outage.refused,
            cause: &outage.cause,
        })
    }

    pub(super) fn stop(time: Timestamp) -> Self {
        Self::new(STOP, time, |head| head)
    }

    fn new<T: Serialize>(
        event: &'static str,
        time: Timestamp,
        record: impl FnOnce(Head) -> T,
    ) -> Self {
        let head = Head { time: rfc3339_micros(time), event };
        // Strings, numbers and lists of strings always encode.
        let encoded = serde_json::to_vec(&record(head)).unwrap_or_default();
        Self { event, rest: encoded.get(1..).unwrap_or_default().to_vec() }
    }

    /// Writes the whole line with its sequence number. `batch` is that of the first
    /// record that is written and synced together with it: recovery must know what a
    /// crash may have left in pieces.
    pub(super) fn write(&self, seq: u64, batch: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"seq\":");
        out.extend_from_slice(seq.to_string().as_bytes());
        if batch != seq {
            out.extend_from_slice(b",\"batch\":");
            out.extend_from_slice(batch.to_string().as_bytes());
        }
        out.push(b',');
        out.extend_from_slice(&self.rest);
        out.push(b'\n');
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EntranceId, UserIdentityId};

    #[test]
    fn records_have_the_documented_lines() {
        let time: Timestamp = "2026-11-23T09:00:00.1234567Z".parse().unwrap();
        let request_id = RequestId::parse("01890a5d-ac96-774b-bcce-b302099a8057").unwrap();
        let entry = DecisionEntry {
            request_id,
            caller: "desk",
            credential: "token:a",
            peer: "127.0.0.1:4711".parse().unwrap(),
            grant: Some(GrantRequest {
                entrance: EntranceId::parse("d23d7180-c1ee-4bbe-8630-05df5031ce35").unwrap(),
                grantee: Grantee::UserIdentity(
                    UserIdentityId::parse("c6247b75-f1cb-493a-9915-a85a0b9639ae").unwrap(),
                ),
            }),
            allow: true,
            reason: Reason::AllowedByRule,
            rules: vec!["policy.csv:12".into()],
            revision: "sha256:00",
            body_sha256: Some([0xab; 32]),
            at: time,
            candidate: Some(CandidateEntry {
                revision: "sha256:01",
                decision: "deny",
                reason: Some(Reason::NoRuleMatches),
            }),
        };
        let mut out = Vec::new();
        Line::decision(&entry).write(41, 41, &mut out);
        Line::outcome(
            &OutcomeEntry {
                request_id,
                decision_seq: 41,
                outcome: Outcome::Granted,
                reason: Reason::AllowedByRule,
                status: Some(200),
                seam_request_id: Some("r1".into()),
                upstream_ms: Some(87),
            },
            time,
        )
        .write(42, 41, &mut out);
        Line::stop(time).write(43, 43, &mut out);
        let digest = "ab".repeat(32);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!(
                "{{\"seq\":41,\"time\":\"2026-11-23T09:00:00.123456Z\",\"event\":\"grant.decision\",\
                 \"request_id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"caller\":\"desk\",\
                 \"credential\":\"token:a\",\"peer\":\"127.0.0.1:4711\",\
                 \"entrance_id\":\"d23d7180-c1ee-4bbe-8630-05df5031ce35\",\
                 \"user_identity_id\":\"c6247b75-f1cb-493a-9915-a85a0b9639ae\",\
                 \"decision\":\"allow\",\"reason\":\"allowed-by-rule\",\"rules\":[\"policy.csv:12\"],\
                 \"revision\":\"sha256:00\",\"body_sha256\":\"{digest}\",\
                 \"candidate\":{{\"revision\":\"sha256:01\",\"decision\":\"deny\",\
                 \"reason\":\"no-rule-matches\"}}}}\n\
                 {{\"seq\":42,\"batch\":41,\"time\":\"2026-11-23T09:00:00.123456Z\",\"event\":\"grant.outcome\",\
                 \"request_id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"decision_seq\":41,\
                 \"outcome\":\"granted\",\"reason\":\"allowed-by-rule\",\"status\":200,\
                 \"seam_request_id\":\"r1\",\"upstream_ms\":87}}\n\
                 {{\"seq\":43,\"time\":\"2026-11-23T09:00:00.123456Z\",\"event\":\"log.stop\"}}\n"
            )
        );
    }
}
