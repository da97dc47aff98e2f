//! What the rest of the program tells the audit log.

use std::net::SocketAddr;

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::{
    CallerId, EntranceId, Grantee, Operation, Order, Outcome, Reason, RequestId, Resolution,
    RuleRef, Signature, WorkspaceName,
};

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
    /// What was asked for.
    pub operation: Operation,
    /// In which workspace, where workspaces have names.
    pub workspace: Option<&'a WorkspaceName>,
    /// For which entrance; `None` when the request was malformed, or is about many.
    pub entrance: Option<EntranceId>,
    /// Who is to get access, where somebody is.
    pub grantee: Option<Grantee>,
    /// Whether the request will be forwarded.
    pub allow: bool,
    /// Why.
    pub reason: Reason,
    /// The rules that decided.
    pub rules: &'a [RuleRef],
    /// The policy in force.
    pub revision: &'a str,
    /// SHA-256 of the caller's body, or of its query where there is no body.
    pub body_sha256: Option<[u8; 32]>,
    /// When it was decided: the record's time.
    pub at: Timestamp,
    /// What a candidate policy said of it.
    pub candidate: Option<CandidateEntry<'a>>,
    /// The caller's own name for the request.
    pub idempotency_key: Option<&'a str>,
    /// Whether it could not be asked if another gateway knows that name.
    pub is_key_unconfirmed: bool,
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
    /// What was asked for.
    pub operation: Operation,
    /// The decision's sequence number.
    pub decision_seq: u64,
    /// How many entrances were shown, where it was to read them and Seam answered.
    pub entrances: Option<usize>,
    /// What became of the request.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// The upstream's status.
    pub status: Option<u16>,
    /// Seam's request id.
    pub seam_request_id: Option<String>,
    /// From the forward to the answer, in milliseconds.
    pub upstream_ms: Option<u64>,
    /// The decision whose outcome this is too: nothing was sent for this one.
    pub same_as: Option<u64>,
    /// The same where it is another gateway's: which, and its number there where it is known.
    pub same_as_replica: Option<(Uuid, Option<u64>)>,
}

/// The fields of an `outcome.resolved` record: what Seam said later of a grant whose outcome was
/// unknown.
#[derive(Debug)]
pub struct ResolvedEntry {
    /// The request.
    pub request_id: RequestId,
    /// The decision's sequence number.
    pub decision_seq: u64,
    /// What was found out.
    pub resolution: Resolution,
    /// How often Seam was asked.
    pub asked: u32,
    /// Why nobody can tell, where Seam was asked.
    pub reason: Option<Reason>,
    /// Seam's last status, where nobody can tell.
    pub status: Option<u16>,
}

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
    /// The signed bundle that was loaded, where policies come as such.
    pub bundle: Option<BundleEntry<'a>>,
}

/// A signed bundle.
#[derive(Debug, Clone, Copy)]
pub struct BundleEntry<'a> {
    /// Its number.
    pub number: u64,
    /// The digest of its text.
    pub digest: &'a str,
    /// The names of the keys that signed it.
    pub signers: &'a [String],
}

/// What an `order.change` record says.
#[derive(Debug, Clone, Copy)]
pub struct OrderEntry<'a> {
    /// The order.
    pub order: &'a Order,
    /// What became of it.
    pub change: OrderChange<'a>,
}

/// What became of an order.
#[derive(Debug, Clone, Copy)]
pub enum OrderChange<'a> {
    /// Somebody gave it.
    Given,
    /// Somebody took it back.
    Lifted(&'a Signature),
    /// Its time ran out.
    Expired,
}

impl OrderChange<'_> {
    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Lifted(_) => "lifted",
            Self::Expired => "expired",
        }
    }
}

impl<'a> OrderEntry<'a> {
    /// Who did it, where somebody did.
    #[must_use]
    pub const fn signature(&self) -> Option<&'a Signature> {
        match self.change {
            OrderChange::Given => Some(&self.order.given),
            OrderChange::Lifted(lifted) => Some(lifted),
            OrderChange::Expired => None,
        }
    }
}

/// The fields of an `authn.failure` record: somebody whom the gateway does not believe, and
/// mostly does not know.
#[derive(Debug, Clone, Copy)]
pub struct StrangerEntry<'a> {
    /// The request.
    pub request_id: RequestId,
    /// Where the connection came from.
    pub peer: SocketAddr,
    /// Whose credential it was, where it was good.
    pub caller: Option<&'a CallerId>,
    /// Which of its credentials.
    pub credential: Option<&'a str>,
    /// Why it was not believed.
    pub reason: Reason,
    /// The client certificate that it came with, where that is why.
    pub certificate: Option<CertificateEntry<'a>>,
}

/// A client certificate by which nobody was authenticated. The texts are a stranger's: what
/// makes this value keeps them short, and without control characters.
#[derive(Debug, Clone, Copy)]
pub struct CertificateEntry<'a> {
    /// What is wrong with it; none when it is good and names no caller.
    pub fault: Option<&'static str>,
    /// Whom it is for.
    pub names: &'a [String],
    /// Its serial number in hexadecimal digits; none where it cannot be read.
    pub serial: Option<&'a str>,
    /// Who issued it.
    pub issuer: Option<&'a str>,
}
