//! The metrics registry as one struct of typed handles.

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder as _, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, Result,
    TextEncoder,
};

use super::audit::AuditMetrics;
use super::bundles::BundleMetrics;
use super::duplicates::DuplicateMetrics;
use super::export::SinkMetrics;
use super::issuers::IssuerMetrics;
use super::leases::LeaseMetrics;
use super::logging::lost_lines;
use super::orders::{OrderMetrics, ResolverMetrics};
use super::recent::{Answered, Recent};
use super::registrar::Registrar;
use super::workspaces::WorkspaceMetrics;
use crate::domain::{COMMIT, CallerId, Outcome, Reason, VERSION, WorkspaceName};

/// Buckets from 50 microseconds to 10 seconds, in seconds.
pub(super) const SECONDS: &[f64] = &[
    5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0,
];

/// Buckets for a decision, from 1 microsecond to 0.1 second.
const DECISION_SECONDS: &[f64] = &[1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 1e-3, 0.01, 0.1];

/// Values of labels that are known from the start, from those who own them.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClosedSets {
    /// Events of audit records.
    pub events: &'static [&'static str],
    /// Stages at which writing the audit log fails.
    pub stages: &'static [&'static str],
    /// What is done around the audit log.
    pub tasks: &'static [&'static str],
    /// How a candidate policy compares with the one in force.
    pub agreements: &'static [&'static str],
    /// Parts that are reloaded.
    pub parts: &'static [&'static str],
    /// Kinds of failures of sending audit records to a collector.
    pub export_failures: &'static [&'static str],
    /// How requests are answered for which nothing is sent.
    pub duplicates: &'static [&'static str],
    /// What comes of asking whether another gateway knows a key.
    pub claim_results: &'static [&'static str],
    /// What comes of asking for some of a budget.
    pub lease_results: &'static [&'static str],
    /// What comes of fetching an issuer's keys.
    pub fetch_results: &'static [&'static str],
}

const DECISIONS: &[&str] = &[decision(true), decision(false)];

const fn decision(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

/// Every metric of the gateway.
pub struct Metrics {
    registry: Registry,
    /// Those of the process, whose names every dashboard knows without our prefix.
    process: Registry,
    request: RequestMetrics,
    policy: PolicyMetrics,
    /// Decisions beside which a candidate policy was judged, by how it compares.
    pub candidate_decisions: IntCounterVec,
    /// Time of a policy decision, in seconds.
    pub decision_duration: Histogram,
    /// Time from the forward to the upstream's whole answer, in seconds.
    pub upstream_duration: Histogram,
    /// Grants for which the upstream refused the workspace key.
    pub upstream_key_refusals: IntCounter,
    /// 1 while requests are decided and recorded: what `/readyz` says.
    pub ready: IntGauge,
    /// 1 while nothing is sent to the upstream because it failed again and again.
    pub upstream_suspended: IntGauge,
    /// That of workspaces with names.
    pub workspaces: WorkspaceMetrics,
    /// Reloads, by part and result: `ok`, `failed`.
    pub reloads: IntCounterVec,
    /// When each part of what is in force was loaded, in seconds since 1970.
    pub last_reload: IntGaugeVec,
    /// 1 while the files are not what is in force.
    pub reload_failing: IntGauge,
    /// Requests of proxies whose header could not be understood.
    pub forwarded_malformed: IntCounter,
    /// Callers that were told who they are taken for.
    pub whoami: IntCounter,
    /// Callers that are suspended.
    pub callers_suspended: IntGauge,
    /// When certificates expire, by role, in seconds since 1970.
    pub certificate_expiry: IntGaugeVec,
    /// When authorities and revocation lists of trust domains expire.
    pub domain_expiry: IntGaugeVec,
    /// The listener's part.
    pub listener: ListenerMetrics,
    /// The audit log's part.
    pub audit: AuditMetrics,
    /// Of sending records to places that get every one.
    pub sinks: SinkMetrics,
    /// That of requests that were made before.
    pub duplicates: DuplicateMetrics,
    /// That of resolving unknown outcomes.
    pub resolver: ResolverMetrics,
    /// Of signed bundles.
    pub bundles: BundleMetrics,
    /// Of limits that gateways have in common.
    pub leases: LeaseMetrics,
    /// The orders' part.
    pub orders: OrderMetrics,
    /// That of token issuers.
    pub issuers: IssuerMetrics,
}

struct RequestMetrics {
    requests: IntCounterVec,
    recent: Recent,
    /// Of those that were allowed, and of others.
    duration_allowed: Histogram,
    duration_denied: Histogram,
    /// Permitted requests.
    upstream: [(Outcome, IntCounter); Outcome::ALL.len()],
}

struct PolicyMetrics {
    info: IntGaugeVec,
    rules: IntGauge,
    candidate_info: IntGaugeVec,
    candidate_invalid: IntGauge,
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
    /// Connections without the PROXY header that was expected, by reason: `missing`,
    /// `malformed`, `incomplete`.
    pub proxy_headers_refused: IntCounterVec,
}

impl ListenerMetrics {
    fn new(made: &Registrar) -> Result<Self> {
        Ok(Self {
            connections: made.gauge("connections", "Open connections.")?,
            handshake_failures: made.counters(
                "tls_handshake_failures_total",
                "TLS handshakes that failed.",
                &[("reason", &["tls", "certificate", "timeout"])],
            )?,
            refused: made.counters(
                "refused_connections_total",
                "Connections refused before the TLS handshake.",
                &[("reason", &["limit", "address-limit"])],
            )?,
            proxy_headers_refused: made.counters(
                "proxy_headers_refused_total",
                "Connections closed for want of a PROXY protocol header.",
                &[("reason", &["missing", "malformed", "incomplete"])],
            )?,
        })
    }

    /// Handles that no registry shows: for the sandbox.
    ///
    /// # Errors
    /// Never for these constant names.
    pub fn unregistered() -> Result<Self> {
        Self::new(&Registrar::default())
    }
}

impl RequestMetrics {
    fn new(made: &Registrar) -> Result<Self> {
        let duration = made.histograms(
            "request_duration_seconds",
            "Time from the head of a request to its answer.",
            SECONDS,
            &[("decision", DECISIONS)],
        )?;
        let upstream = made.counters(
            "upstream_requests_total",
            "Permitted requests, by what became of them.",
            &[("outcome", &Outcome::ALL.map(Outcome::as_str))],
        )?;
        Ok(Self {
            requests: made.counters(
                "requests_total",
                "Answered requests.",
                &[("caller", &[]), ("decision", DECISIONS), ("reason", &[])],
            )?,
            recent: Recent::default(),
            duration_allowed: duration.with_label_values(&[decision(true)]),
            duration_denied: duration.with_label_values(&[decision(false)]),
            upstream: Outcome::ALL
                .map(|outcome| (outcome, upstream.with_label_values(&[outcome.as_str()]))),
        })
    }
}

impl PolicyMetrics {
    fn new(made: &Registrar) -> Result<Self> {
        Ok(Self {
            info: made.gauges("policy_info", "The policy in force.", &["revision"])?,
            rules: made.gauge("policy_rules", "Rules in force.")?,
            candidate_info: made.gauges(
                "candidate_info",
                "The candidate policy that is judged.",
                &["revision"],
            )?,
            candidate_invalid: made.gauge(
                "candidate_invalid",
                "1 while the candidate policy has a mistake and is not judged.",
            )?,
        })
    }
}

fn certificate_expiry(made: &Registrar) -> Result<IntGaugeVec> {
    let name = "certificate_expiry_timestamp_seconds";
    made.gauges(name, "When certificates expire.", &["role"])
}

fn domain_expiry(made: &Registrar) -> Result<IntGaugeVec> {
    made.gauges(
        "trust_domain_expiry_timestamp_seconds",
        "When the authorities and revocation lists of trust domains expire.",
        &["trust_domain", "kind"],
    )
}

fn of_process() -> Result<Registry> {
    let process = Registry::new();
    process.register(Box::new(ProcessCollector::for_self()))?;
    Ok(process)
}

impl Metrics {
    /// Makes the registry and every metric in it.
    ///
    /// # Errors
    /// Never for these constant names.
    pub fn new(sets: &ClosedSets) -> Result<Self> {
        let process = of_process()?;
        let made = Registrar::new("grantgate")?;
        made.gauges("build_info", "The running build.", &["version", "commit"])?
            .with_label_values(&[VERSION, COMMIT])
            .set(1);
        made.keep(lost_lines()?)?;
        Ok(Self {
            request: RequestMetrics::new(&made)?,
            policy: PolicyMetrics::new(&made)?,
            candidate_decisions: made.counters(
                "candidate_decisions_total",
                "Decisions beside which a candidate policy was judged, by how it compares.",
                &[("agreement", sets.agreements)],
            )?,
            decision_duration: made.histogram(
                "decision_duration_seconds",
                "Time of a policy decision.",
                DECISION_SECONDS,
            )?,
            upstream_duration: made.histogram(
                "upstream_duration_seconds",
                "Time from the forward to the whole answer.",
                SECONDS,
            )?,
            upstream_key_refusals: made.counter(
                "upstream_key_refusals_total",
                "Requests for which the upstream refused the workspace key.",
            )?,
            ready: made.gauge("ready", "Whether requests are decided and recorded.")?,
            upstream_suspended: made.gauge(
                "upstream_suspended",
                "Whether nothing is sent because the upstream failed again and again.",
            )?,
            workspaces: WorkspaceMetrics::new(&made)?,
            reloads: made.counters(
                "reloads_total",
                "Reloads that changed a part.",
                &[("part", sets.parts), ("result", &["ok", "failed"])],
            )?,
            last_reload: made.gauges(
                "last_successful_reload_timestamp_seconds",
                "When each part in force was loaded.",
                &["part"],
            )?,
            reload_failing: made
                .gauge("reload_failing", "Whether the files are not what is in force: 1 or 0.")?,
            callers_suspended: made.gauge("callers_suspended", "Callers that are suspended.")?,
            forwarded_malformed: made.counter(
                "forwarded_malformed_total",
                "Requests whose forwarded header could not be understood.",
            )?,
            whoami: made
                .counter("whoami_total", "Callers that were told who they are taken for.")?,
            certificate_expiry: certificate_expiry(&made)?,
            domain_expiry: domain_expiry(&made)?,
            listener: ListenerMetrics::new(&made)?,
            audit: AuditMetrics::new(&made, sets)?,
            sinks: SinkMetrics::new(&made, sets.export_failures)?,
            duplicates: DuplicateMetrics::new(&made, sets.duplicates, sets.claim_results)?,
            resolver: ResolverMetrics::new(&made)?,
            bundles: BundleMetrics::new(&made)?,
            leases: LeaseMetrics::new(&made, sets.lease_results)?,
            orders: OrderMetrics::new(&made)?,
            issuers: IssuerMetrics::new(&made, sets.fetch_results)?,
            registry: made.into_registry(),
            process,
        })
    }

    /// Counts one answered request. `caller` is `None` for a stranger, who is counted
    /// as `other`.
    pub fn answered(&self, caller: Option<&CallerId>, allowed: bool, reason: Reason, seconds: f64) {
        let RequestMetrics { requests, recent, duration_allowed, duration_denied, .. } =
            &self.request;
        recent.count(&Answered { caller, allowed, reason }, || {
            let caller = caller.map_or("other", CallerId::as_str);
            requests.with_label_values(&[caller, decision(allowed), reason.as_str()])
        });
        let duration = if allowed { duration_allowed } else { duration_denied };
        duration.observe(seconds);
    }

    /// Counts what became of a permitted grant.
    pub fn completed(&self, workspace: Option<&WorkspaceName>, outcome: Outcome) {
        if let Some(name) = workspace {
            self.workspaces.completed(name, outcome);
        }
        let counters = self.request.upstream.iter();
        counters.filter(|(of, _)| *of == outcome).for_each(|(_, counter)| counter.inc());
    }

    /// Shows the candidate policy; an empty revision is one that is not valid.
    pub fn candidate_in_force(&self, revision: Option<&str>) {
        self.policy.candidate_info.reset();
        if let Some(revision) = revision.filter(|revision| !revision.is_empty()) {
            self.policy.candidate_info.with_label_values(&[revision]).set(1);
        }
        self.policy.candidate_invalid.set((revision == Some("")).into());
    }

    /// Shows the policy in force.
    pub fn policy_in_force(&self, revision: &str, rules: usize) {
        self.policy.info.reset();
        self.policy.info.with_label_values(&[revision]).set(1);
        self.policy.rules.set(i64::try_from(rules).unwrap_or(i64::MAX));
    }

    /// The text exposition format, and its media type.
    ///
    /// # Errors
    /// When a collector hands over something that cannot be written.
    pub fn render(&self) -> Result<(Vec<u8>, String)> {
        let encoder = TextEncoder::new();
        let mut text = Vec::new();
        encoder.encode(&self.registry.gather(), &mut text)?;
        encoder.encode(&self.process.gather(), &mut text)?;
        Ok((text, encoder.format_type().to_owned()))
    }
}

#[cfg(test)]
mod tests;
