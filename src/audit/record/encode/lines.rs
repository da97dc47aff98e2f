//! The fields of each record in their order, which is fixed: for readers with eyes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Head {
    pub(super) time: String,
    pub(super) event: &'static str,
}

#[derive(Serialize)]
pub(super) struct OutcomeLine<'a> {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operation: Option<&'a str>,
    pub(super) decision_seq: u64,
    pub(super) outcome: &'static str,
    pub(super) reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entrances: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seam_request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upstream_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) same_as: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) same_as_replica: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) same_as_replica_seq: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) recovered: bool,
}

#[derive(Serialize)]
pub(super) struct ResolvedLine {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) request_id: String,
    pub(super) decision_seq: u64,
    pub(super) resolution: &'static str,
    pub(super) asked: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
}

#[derive(Serialize)]
pub(super) struct StrangerLine<'a> {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) caller: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credential: Option<&'a str>,
    pub(super) peer: SocketAddr,
    pub(super) reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<Certificate<'a>>,
}

#[derive(Serialize)]
pub(super) struct Certificate<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<&'static str>,
    pub(super) names: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) serial: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issuer: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct SuppressedLine<'a> {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) since: String,
    pub(super) suppressed: u64,
    pub(super) reasons: &'a BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
pub(super) struct ReloadLine<'a> {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) result: &'static str,
    pub(super) parts: &'a [&'static str],
    pub(super) revision_before: &'a str,
    pub(super) revision: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) problems: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bundle: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bundle_digest: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) signers: &'a [String],
}

#[derive(Serialize)]
pub(super) struct OrderLine<'a> {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) order: u32,
    pub(super) change: &'static str,
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) caller: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workspace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entrance_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) directive: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct StartLine<'a> {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) version: &'static str,
    pub(super) pid: u32,
    pub(super) revision: &'a str,
}

#[derive(Serialize)]
pub(super) struct RecoveryLine<'a> {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) closed_decisions: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cut_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cut_kept_in: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct CheckpointLine<'a> {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) size: u64,
    pub(super) root: String,
    pub(super) hashes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) open_from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) checkpoint: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct WitnessLine<'a> {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) checkpoints: &'a [String],
}

#[derive(Serialize)]
pub(super) struct OutageLine<'a> {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) since: String,
    pub(super) refused_decisions: u64,
    pub(super) cause: &'a str,
}
