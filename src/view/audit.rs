//! What was found in an audit log.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::audit::proof::{Finding, VerifyReport};
use crate::audit::search::{By, Counts, Found, Series, Stats, StatsRequest};
use crate::catalogue::Catalogue;
use crate::domain::{EntranceId, csv_cell};

/// Whether a log is what it was.
#[derive(Debug, Serialize)]
pub struct Verified<'a> {
    /// The log's name, where it is one of several; and how many records are kept in the database with
    /// something else to search for than their lines have.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    differing: Option<u64>,
    verified: bool,
    exit_code: u8,
    records: u64,
    first_seq: u64,
    last_seq: u64,
    segments: u64,
    checkpoints: u64,
    verified_to: u64,
    uncovered: u64,
    pruned_records: u64,
    unsigned_checkpoints: u64,
    other_keys: &'a BTreeSet<String>,
    newer_version: Option<u64>,
    torn_bytes: u64,
    findings_total: u64,
    findings: Vec<Damage<'a>>,
    anchors: Vec<Anchor>,
}

#[derive(Debug, Serialize)]
struct Damage<'a> {
    damage: &'static str,
    from_seq: u64,
    to_seq: u64,
    file: &'a str,
    line: Option<u64>,
    text: &'a str,
}

#[derive(Debug, Serialize)]
struct Anchor {
    size: u64,
    found: &'static str,
}

/// How many decisions there were.
#[derive(Debug, Serialize)]
pub struct Counted<'a> {
    since: Option<String>,
    until: Option<String>,
    all: Total,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<Total>,
    rows: Vec<Row<'a>>,
    damaged_lines: u64,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    /// What is told apart, by its name.
    #[serde(flatten)]
    key: BTreeMap<&'static str, Option<&'a str>>,
    #[serde(flatten)]
    total: Total,
}

#[derive(Debug, Serialize)]
struct Total {
    allow: u64,
    deny: u64,
    /// Only where it was counted over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    over_time: Option<Vec<Over>>,
}

#[derive(Debug, Serialize)]
struct Over {
    from: String,
    allow: u64,
    deny: u64,
}

/// A verification, with the exit code that says what came of it; with the log's name, and the number of
/// records that differ, where it is a log of a database.
#[must_use]
pub fn verified<'a>(
    report: &'a VerifyReport,
    verified: bool,
    exit_code: u8,
    of: Option<(&'a str, u64)>,
) -> Verified<'a> {
    let anchors = report.anchors.iter();
    Verified {
        log: of.map(|(origin, _)| origin),
        differing: of.map(|(_, differing)| differing),
        verified,
        exit_code,
        records: report.records,
        first_seq: report.first_seq,
        last_seq: report.last_seq,
        segments: report.segments,
        checkpoints: report.checkpoints,
        verified_to: report.verified_to,
        uncovered: report.uncovered,
        pruned_records: report.pruned.map_or(0, |(records, _)| records),
        unsigned_checkpoints: report.unsigned_checkpoints,
        other_keys: &report.other_keys,
        newer_version: report.newer,
        torn_bytes: report.torn_bytes,
        findings_total: report.findings_total,
        findings: report.findings.iter().map(damage).collect(),
        anchors: anchors
            .map(|(size, found)| Anchor { size: *size, found: found.as_str() })
            .collect(),
    }
}

/// A log of which nothing was verified, and why.
#[must_use]
pub const fn unverified<'a>(log: &'a str, why: &'a str, exit_code: u8) -> Unverified<'a> {
    Unverified { log, verified: false, exit_code, why }
}

/// The same in JSON.
#[derive(Debug, Serialize)]
pub struct Unverified<'a> {
    log: &'a str,
    verified: bool,
    exit_code: u8,
    why: &'a str,
}

fn damage(finding: &Finding) -> Damage<'_> {
    Damage {
        damage: finding.damage.as_str(),
        from_seq: finding.from_seq,
        to_seq: finding.to_seq,
        file: &finding.file,
        line: finding.line.filter(|line| *line > 0),
        text: &finding.text,
    }
}

/// The largest row first, each with what is told apart in the request's order.
#[must_use]
pub fn sorted_rows(stats: &Stats) -> Vec<(&[String], &Series)> {
    let rows = stats.rows.iter();
    let mut rows: Vec<_> = rows.map(|(key, series)| (key.as_slice(), series)).collect();
    rows.sort_by(|a, b| b.1.total.all().cmp(&a.1.total.all()).then_with(|| a.0.cmp(b.0)));
    rows
}

/// What was too much to be told apart, where there was so much.
#[must_use]
pub fn other(stats: &Stats) -> Option<&Series> {
    Some(&stats.other).filter(|other| other.total.all() > 0)
}

/// Counts of decisions.
#[must_use]
pub fn counted<'a>(stats: &'a Stats, request: &StatsRequest, names: &'a Catalogue) -> Counted<'a> {
    let total = |series: &Series| Total {
        allow: series.total.allow,
        deny: series.total.deny,
        over_time: request.every.map(|_| series.over_time.iter().map(over).collect()),
    };
    let row = |(key, series): (&'a [String], &Series)| {
        let mut named = BTreeMap::new();
        for (by, value) in request.by.iter().zip(key) {
            let value = Some(value.as_str()).filter(|value| !value.is_empty());
            let is_entrance = *by == By::Entrance;
            named.insert(if is_entrance { "entrance_id" } else { by.as_str() }, value);
            if is_entrance {
                let id = value.and_then(|id| EntranceId::parse(id).ok());
                named.insert("entrance_name", id.and_then(|id| names.name_of(id)));
            }
        }
        Row { key: named, total: total(series) }
    };
    Counted {
        since: request.since.map(|time| time.to_string()),
        until: request.until.map(|time| time.to_string()),
        all: total(&stats.all),
        other: other(stats).map(total),
        rows: sorted_rows(stats).into_iter().map(row).collect(),
        damaged_lines: stats.damaged_lines,
    }
}

fn over((span, counts): (&Timestamp, &Counts)) -> Over {
    Over { from: span.to_string(), allow: counts.allow, deny: counts.deny }
}

/// The columns of what was found, for spreadsheets.
pub const CSV_COLUMNS: [&str; 19] = [
    "seq",
    "time",
    "event",
    "request_id",
    "caller",
    "entrance_id",
    "entrance_name",
    "grantee",
    "decision",
    "reason",
    "outcome",
    "outcome_reason",
    "seam_request_id",
    "operation",
    "resolution",
    "workspace",
    "idempotency_key",
    "same_as",
    "same_as_replica",
];

/// What was found, in these columns, with what was found out of it later.
#[must_use]
pub fn csv_row(found: &Found, resolution: &str, catalogue: &Catalogue) -> [String; 19] {
    let same_as = found.same_as.map(|seq| seq.to_string()).unwrap_or_default();
    let name = EntranceId::parse(&found.entrance_id).ok().and_then(|id| catalogue.name_of(id));
    [
        found.seq.to_string().as_str(),
        &found.time,
        &found.event,
        &found.request_id,
        &found.caller,
        &found.entrance_id,
        name.unwrap_or_default(),
        &found.grantee,
        &found.decision,
        &found.reason,
        &found.outcome,
        &found.outcome_reason,
        &found.seam_request_id,
        &found.operation,
        resolution,
        &found.workspace,
        &found.idempotency_key,
        &same_as,
        found.same_as_replica.as_deref().unwrap_or_default(),
    ]
    .map(csv_cell)
}
