//! The metrics registry as one struct of typed handles.

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::export::ExportMetrics;
use crate::domain::{COMMIT, CallerId, Outcome, Reason, VERSION};

/// Buckets from 50 microseconds to 10 seconds, in seconds.
const SECONDS: &[f64] = &[
    5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0,
];

/// Buckets for a decision, from 1 microsecond to 0.1 second.
const DECISION_SECONDS: &[f64] = &[1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 1e-3, 0.01, 0.1];

/// The events of audit records.
const EVENTS: &[&str] = &[
    "grant.decision",
    "grant.outcome",
    "authn.failure",
    "authn.suppressed",
    "config.reload",
    "log.start",
    "log.recovery",
    "log.checkpoint",
    "log.outage",
    "log.stop",
];

/// Every metric of the gateway.
pub struct Metrics {
    registry: Registry,
    /// Those of the process, whose names every dashboard knows without our prefix.
    process: Registry,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    upstream_requests: IntCounterVec,
    policy_info: IntGaugeVec,
    candidate_info: IntGaugeVec,
    candidate_invalid: IntGauge,
    /// Decisions beside which a candidate policy was judged, by how it compares.
    pub candidate_decisions: IntCounterVec,
    /// Time of a policy decision, in seconds.
    pub decision_duration: Histogram,
    /// Time from the forward to the upstream's whole answer, in seconds.
    pub upstream_duration: Histogram,
    /// Grants for which the upstream refused the workspace key.
    pub upstream_key_refusals: IntCounter,
    /// 1 while grants are decided and recorded: what `/readyz` says.
    pub ready: IntGauge,
    /// 1 while nothing is sent to the upstream because it failed again and again.
    pub upstream_suspended: IntGauge,
    /// Rules in force.
    pub policy_rules: IntGauge,
    /// Reloads, by part and result: `ok`, `failed`.
    pub reloads: IntCounterVec,
    /// When each part of what is in force was loaded, in seconds since 1970.
    pub last_reload: IntGaugeVec,
    /// 1 while the files are not what is in force.
    pub reload_failing: IntGauge,
    /// When certificates expire, by role, in seconds since 1970.
    pub certificate_expiry: IntGaugeVec,
    /// The listener's part.
    pub listener: ListenerMetrics,
    /// The audit log's part.
    pub audit: AuditMetrics,
    /// That of sending it to a collector.
    pub export: ExportMetrics,
}

/// What the listener counts.
#[derive(Clone)]
pub struct ListenerMetrics {
    /// Open connections.
    pub connections: IntGauge,
    /// Handshakes that failed, by reason: `timeout`, `certificate` (the client's was refused,
    /// or missing), `tls`.
    pub handshake_failures: IntCounterVec,
    /// Connections refused before the handshake, by reason: `limit`, `address-limit`.
    pub refused: IntCounterVec,
}

/// What the audit log counts.
#[derive(Clone)]
pub struct AuditMetrics {
    /// Durable records, by event.
    pub records: IntCounterVec,
    /// Time of one commit (write and fdatasync), in seconds.
    pub commit_duration: Histogram,
    /// Records in one commit.
    pub batch_records: Histogram,
    /// Records waiting for a commit.
    pub queue_records: IntGauge,
    /// Failures, by stage: `reserve`, `append`, `sync`, `truncate`.
    pub failures: IntCounterVec,
    /// Failures that no grant depends on, by task: `rotate`, `anchor`, `compress`, `prune`.
    pub upkeep_failures: IntCounterVec,
    /// Records that the newest checkpoint covers.
    pub checkpoint_records: IntGauge,
}

impl ListenerMetrics {
    /// # Errors
    /// Never for these constant names.
    fn new() -> prometheus::Result<Self> {
        Ok(Self {
            connections: IntGauge::new("connections", "Open connections.")?,
            handshake_failures: counter(
                "tls_handshake_failures_total",
                "TLS handshakes that failed.",
                &["reason"],
            )?,
            refused: counter(
                "refused_connections_total",
                "Connections refused before the TLS handshake.",
                &["reason"],
            )?,
        })
    }

    /// Handles that no registry shows: for the sandbox.
    ///
    /// # Errors
    /// Never for these constant names.
    pub fn unregistered() -> prometheus::Result<Self> {
        Self::new()
    }
}

impl Metrics {
    /// Makes the registry and every metric in it.
    ///
    /// # Errors
    /// Never for these constant names.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("grantgate".into()), None)?;
        let metrics = Self {
            requests: counter(
                "requests_total",
                "Answered requests.",
                &["caller", "decision", "reason"],
            )?,
            request_duration: HistogramVec::new(
                HistogramOpts::new(
                    "request_duration_seconds",
                    "Time from the head of a request to its answer.",
                )
                .buckets(SECONDS.to_vec()),
                &["decision"],
            )?,
            upstream_requests: counter(
                "upstream_requests_total",
                "Permitted grants, by what became of them.",
                &["outcome"],
            )?,
            candidate_info: IntGaugeVec::new(
                Opts::new("candidate_info", "The candidate policy that is judged."),
                &["revision"],
            )?,
            candidate_invalid: IntGauge::new(
                "candidate_invalid",
                "1 while the candidate policy has a mistake and is not judged.",
            )?,
            candidate_decisions: counter(
                "candidate_decisions_total",
                "Decisions beside which a candidate policy was judged, by how it compares.",
                &["agreement"],
            )?,
            policy_info: IntGaugeVec::new(
                Opts::new("policy_info", "The policy in force."),
                &["revision"],
            )?,
            decision_duration: histogram(
                "decision_duration_seconds",
                "Time of a policy decision.",
                DECISION_SECONDS,
            )?,
            upstream_duration: histogram(
                "upstream_duration_seconds",
                "Time from the forward to the whole answer.",
                SECONDS,
            )?,
            upstream_key_refusals: IntCounter::new(
                "upstream_key_refusals_total",
                "Grants for which the upstream refused the workspace key.",
            )?,
            ready: IntGauge::new("ready", "Whether grants are decided and recorded.")?,
            upstream_suspended: IntGauge::new(
                "upstream_suspended",
                "Whether nothing is sent because the upstream failed again and again.",
            )?,
            policy_rules: IntGauge::new("policy_rules", "Rules in force.")?,
            reloads: counter("reloads_total", "Reloads that changed a part.", &["part", "result"])?,
            last_reload: IntGaugeVec::new(
                Opts::new(
                    "last_successful_reload_timestamp_seconds",
                    "When each part in force was loaded.",
                ),
                &["part"],
            )?,
            reload_failing: IntGauge::new(
                "reload_failing",
                "Whether the files are not what is in force: 1 or 0.",
            )?,
            certificate_expiry: IntGaugeVec::new(
                Opts::new("certificate_expiry_timestamp_seconds", "When certificates expire."),
                &["role"],
            )?,
            listener: ListenerMetrics::new()?,
            audit: AuditMetrics {
                records: counter("audit_records_total", "Durable audit records.", &["event"])?,
                commit_duration: histogram(
                    "audit_commit_duration_seconds",
                    "Time of one commit: write and fdatasync.",
                    SECONDS,
                )?,
                batch_records: histogram(
                    "audit_batch_records",
                    "Records in one commit.",
                    &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0],
                )?,
                queue_records: IntGauge::new(
                    "audit_queue_records",
                    "Records waiting for a commit.",
                )?,
                failures: counter(
                    "audit_failures_total",
                    "Failures of the audit log.",
                    &["stage"],
                )?,
                upkeep_failures: counter(
                    "audit_upkeep_failures_total",
                    "Failures around the audit log that no grant depends on.",
                    &["task"],
                )?,
                checkpoint_records: IntGauge::new(
                    "audit_checkpoint_records",
                    "Records that the newest checkpoint covers.",
                )?,
            },
            export: ExportMetrics::new()?,
            registry,
            process: Registry::new(),
        };
        metrics.register()?;
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// Shows every series of a closed set from the start: a counter that appears with its
    /// first increment hides that increment from `rate` and `increase`.
    fn begin_at_zero(&self) {
        let each = |vec: &IntCounterVec, values: &[&str]| {
            for value in values {
                vec.with_label_values(&[value]);
            }
        };
        each(&self.upstream_requests, &Outcome::ALL.map(Outcome::as_str));
        each(&self.audit.records, EVENTS);
        let agreements = ["same", "would-allow", "would-deny", "failed", "skipped"];
        each(&self.candidate_decisions, &agreements);
        each(&self.audit.failures, &["reserve", "append", "sync", "truncate"]);
        each(&self.audit.upkeep_failures, &["rotate", "anchor", "compress", "prune"]);
        each(&self.listener.handshake_failures, &["tls", "certificate", "timeout"]);
        each(&self.listener.refused, &["limit", "address-limit"]);
        for part in ["certificates", "callers", "policy", "candidate", "entrances", "upstream"] {
            for result in ["ok", "failed"] {
                self.reloads.with_label_values(&[part, result]);
            }
        }
        for decision in ["allow", "deny"] {
            self.request_duration.with_label_values(&[decision]);
        }
    }

    fn register(&self) -> prometheus::Result<()> {
        let build = IntGaugeVec::new(
            Opts::new("build_info", "The running build."),
            &["version", "commit"],
        )?;
        build.with_label_values(&[VERSION, COMMIT]).set(1);
        let collectors: Vec<Box<dyn prometheus::core::Collector>> = vec![
            Box::new(build),
            Box::new(self.requests.clone()),
            Box::new(self.request_duration.clone()),
            Box::new(self.upstream_requests.clone()),
            Box::new(self.policy_info.clone()),
            Box::new(self.candidate_info.clone()),
            Box::new(self.candidate_invalid.clone()),
            Box::new(self.candidate_decisions.clone()),
            Box::new(self.decision_duration.clone()),
            Box::new(self.upstream_duration.clone()),
            Box::new(self.upstream_key_refusals.clone()),
            Box::new(self.ready.clone()),
            Box::new(self.upstream_suspended.clone()),
            Box::new(self.policy_rules.clone()),
            Box::new(self.reloads.clone()),
            Box::new(self.last_reload.clone()),
            Box::new(self.reload_failing.clone()),
            Box::new(self.certificate_expiry.clone()),
            Box::new(self.listener.connections.clone()),
            Box::new(self.listener.handshake_failures.clone()),
            Box::new(self.listener.refused.clone()),
            Box::new(self.audit.records.clone()),
            Box::new(self.audit.commit_duration.clone()),
            Box::new(self.audit.batch_records.clone()),
            Box::new(self.audit.queue_records.clone()),
            Box::new(self.audit.failures.clone()),
            Box::new(self.audit.upkeep_failures.clone()),
            Box::new(self.audit.checkpoint_records.clone()),
        ];
        self.process
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let mut collectors = collectors.into_iter().chain(self.export.collectors());
        collectors.try_for_each(|collector| self.registry.register(collector))
    }

    /// Counts one answered request. `caller` is `None` for a stranger, who is counted
    /// as `other`.
    pub fn answered(&self, caller: Option<&CallerId>, allowed: bool, reason: Reason, seconds: f64) {
        let decision = if allowed { "allow" } else { "deny" };
        let caller = caller.map_or("other", CallerId::as_str);
        self.requests.with_label_values(&[caller, decision, reason.as_str()]).inc();
        self.request_duration.with_label_values(&[decision]).observe(seconds);
    }

    /// Counts what became of a permitted grant.
    pub fn completed(&self, outcome: Outcome) {
        self.upstream_requests.with_label_values(&[outcome.as_str()]).inc();
    }

    /// Shows the candidate policy; an empty revision is one that is not valid.
    pub fn candidate_in_force(&self, revision: Option<&str>) {
        self.candidate_info.reset();
        if let Some(revision) = revision.filter(|revision| !revision.is_empty()) {
            self.candidate_info.with_label_values(&[revision]).set(1);
        }
        self.candidate_invalid.set((revision == Some("")).into());
    }

    /// Shows the policy in force.
    pub fn policy_in_force(&self, revision: &str, rules: usize) {
        self.policy_info.reset();
        self.policy_info.with_label_values(&[revision]).set(1);
        self.policy_rules.set(i64::try_from(rules).unwrap_or(i64::MAX));
    }

    /// The text exposition format, and its media type.
    ///
    /// # Errors
    /// When a collector hands over something that cannot be written.
    pub fn render(&self) -> prometheus::Result<(Vec<u8>, String)> {
        let encoder = TextEncoder::new();
        let mut text = Vec::new();
        encoder.encode(&self.registry.gather(), &mut text)?;
        encoder.encode(&self.process.gather(), &mut text)?;
        Ok((text, encoder.format_type().to_owned()))
    }
}

fn counter(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn histogram(name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
}
