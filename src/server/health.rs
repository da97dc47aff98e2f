//! What the admin listener says about the gateway's state.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;

use crate::audit::JournalHealth;
use crate::audit::upkeep::Anchors;
use crate::authn::jwt::{self, IssuerKeys};
use crate::console;
use crate::database::{Beat, BundleState, LEAVING};
use crate::domain::{COMMIT, Order, Problem, VERSION, WorkspaceName};
use crate::fleet::SignedOrders;
use crate::gateway::Gateway;
use crate::listener::{Listener, Stop};
use crate::orders::Keeper;
use crate::shipping::{Condition, ShippingState};
use crate::snapshot::{Certificates, Reloader, Trial};
use crate::tls::{self, DomainExpiry, Severity};
use crate::upstream::Workspace;
use crate::view::health::{
    self as view, CertificateFinding, Checkpoint, Expiry, PolicyInForce, ReloadFailure, Status,
};
use crate::view::orders::{self, ShownOrder};

/// The parts whose state is shown.
pub(super) struct Health {
    pub(super) gateway: Arc<Gateway>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) stop: Stop,
    pub(super) started: Timestamp,
    pub(super) anchors: Arc<Anchors>,
    /// Where signed orders are followed.
    pub(super) orders: Option<Arc<SignedOrders>>,
    /// Where records are sent to a collector.
    pub(super) export: Option<Arc<ShippingState>>,
    /// And to the database.
    pub(super) database: Option<Arc<ShippingState>>,
}

/// One thing that was looked at.
struct Check {
    name: &'static str,
    state: State,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    /// Shown; grants are still decided and recorded.
    Warning,
    /// No grant can go through.
    Failed,
}

/// How this gateway is, for the database.
pub(super) fn condition(health: Arc<Health>, listener: &Listener) -> Condition {
    let address = listener.local_address().map_or_else(|_| String::new(), |own| own.to_string());
    Box::new(move || Beat {
        address: address.clone(),
        state: match (health.stop.is_leaving(), health.ready(false).0) {
            (true, _) => LEAVING,
            (false, true) => "ready",
            (false, false) => "not ready",
        },
        revision: health.gateway.snapshot.load().policy.revision().to_string(),
        durable: health.gateway.journal.durable_seq(),
        confirmed: health.database.as_ref().map_or(0, |state| state.confirmed()),
        bundle: health.bundle_state(),
    })
}

fn shipping(name: &'static str, of: Option<&Arc<ShippingState>>) -> Check {
    let (state, text) = match of.map(|of| of.check()) {
        None => (State::Ok, "off".to_owned()),
        Some((false, text)) => (State::Ok, text),
        // Records wait in the log; no grant does.
        Some((true, text)) => (State::Warning, text),
    };
    Check { name, state, text }
}

impl console::State for Health {
    fn checks(&self) -> (bool, Vec<view::Check>) {
        let checks = Self::checks(self);
        let ready = checks.iter().all(|check| check.state != State::Failed);
        let shown = |Check { name, state, text }| view::Check { name, state: state.as_str(), text };
        (ready, checks.into_iter().map(shown).collect())
    }

    fn status(&self) -> Status {
        Self::status(self)
    }
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Health {
    fn bundle_state(&self) -> BundleState {
        BundleState {
            in_force: self.gateway.snapshot.load().bundle.as_ref().map(|one| one.offer.number),
            refused: self.refused(),
            directives: self.orders.as_ref().map(|orders| orders.followed().place()),
            directive_problem: self.orders.as_ref().and_then(|orders| orders.followed().problem()),
        }
    }

    /// A bundle that was offered and is not in force, and why.
    fn refused(&self) -> Option<(u64, String)> {
        self.reloader.bundles()?.refused()
    }

    /// Where policies come as bundles.
    fn bundle(&self) -> Option<Check> {
        let snapshot = self.gateway.snapshot.load();
        let in_force = snapshot.bundle.as_ref()?;
        let number = in_force.offer.number;
        let (state, text) = match self.refused() {
            None => {
                let by = in_force.signers.join(", ");
                (State::Ok, format!("{number} of {}, signed by {by}", in_force.name))
            }
            // What is in force is still decided and recorded by.
            Some((_, why)) => (State::Warning, format!("{number} stays in force: {why}")),
        };
        Some(Check { name: "bundle", state, text })
    }

    fn checks(&self) -> Vec<Check> {
        let (policy, trial, reload) = (self.policy(), self.trial(), self.reload());
        let database = self.database.as_ref().map(|state| shipping("database", Some(state)));
        let all = [
            policy,
            trial,
            reload,
            self.orders(),
            self.audit(),
            self.anchors(),
            shipping("export", self.export.as_ref()),
            self.certificates(),
            self.upstream(),
            self.issuers(),
            self.draining(),
        ];
        all.into_iter().chain(self.bundle()).chain(database).collect()
    }

    /// Whether grants can be decided and recorded, and a text that says so: the checks
    /// that failed, or with `verbose` all of them.
    pub(super) fn ready(&self, verbose: bool) -> (bool, String) {
        let checks = self.checks();
        let ready = checks.iter().all(|check| check.state != State::Failed);
        let mut text = String::new();
        for check in checks.iter().filter(|check| verbose || check.state == State::Failed) {
            let mark = match check.state {
                State::Ok => "+",
                State::Warning => "!",
                State::Failed => "-",
            };
            let _ = writeln!(text, "[{mark}] {}: {}", check.name, check.text);
        }
        text.push_str(if ready { "ready\n" } else { "not ready\n" });
        (ready, text)
    }

    /// Everything, for programs.
    pub(super) fn status(&self) -> Status {
        let snapshot = self.gateway.snapshot.load();
        let (reload, orders) = (self.reloader.status(), self.keeper.status());
        let texts = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect();
        let finding = |finding: tls::Finding| CertificateFinding {
            severity: finding.severity.as_str(),
            file: finding.problem.file,
            line: finding.problem.line,
            text: finding.problem.text,
        };
        let findings = snapshot.certificates.findings(self.gateway.clock.now());
        Status {
            version: VERSION,
            commit: COMMIT,
            started: self.started.to_string(),
            ready: self.checks().iter().all(|check| check.state != State::Failed),
            draining: self.stop.is_leaving(),
            policy: PolicyInForce {
                revision: snapshot.policy.revision().to_string(),
                rules: snapshot.policy.rule_count(),
                callers: snapshot.callers.all().len(),
                loaded: reload.loaded.to_string(),
            },
            candidate: snapshot.trial().map(|trial| match trial {
                Trial::Judged(policy) => view::Trial::Revision(policy.revision().to_string()),
                Trial::Invalid(problems) => view::Trial::Problems(texts(problems)),
            }),
            reload_failure: reload.failure.map(|failure| ReloadFailure {
                time: failure.time.to_string(),
                problems: failure.problems,
            }),
            orders: self.orders_in_force(),
            orders_failure: orders.unread.or(orders.unrecorded),
            bundle: self.shown_bundle(),
            upstream_suspended: snapshot.workspaces.is_any_suspended(),
            workspaces: snapshot.workspaces.named().map(workspace).collect(),
            audit: self.gateway.journal.health().to_string(),
            checkpoint: self.anchors.newest().map(|newest| Checkpoint {
                size: newest.size,
                root: newest.root,
                text: newest.text,
            }),
            issuers: snapshot.issuers.all().iter().map(issuer).collect(),
            export: self.export.as_ref().map(|export| export.status()),
            database: self.database.as_ref().map(|database| database.status()),
            certificates: expiries(&snapshot.certificates).collect(),
            certificate_findings: findings.into_iter().map(finding).collect(),
        }
    }

    fn shown_bundle(&self) -> Option<view::Bundle> {
        let snapshot = self.gateway.snapshot.load();
        let in_force = snapshot.bundle.as_ref()?;
        Some(view::Bundle {
            name: in_force.name.clone(),
            number: in_force.offer.number,
            digest: in_force.offer.digest.to_string(),
            signers: in_force.signers.clone(),
            refused: self.refused().map(|(number, why)| view::RefusedBundle { number, why }),
        })
    }

    fn orders_in_force(&self) -> Vec<view::OrderInForce> {
        let in_force = self.gateway.orders.load();
        let shown = |order: &Order| view::OrderInForce {
            order: ShownOrder::of(order),
            recorded: self.keeper.has_recorded(order),
        };
        in_force.holding(self.gateway.clock.now()).map(shown).collect()
    }

    fn policy(&self) -> Check {
        let snapshot = self.gateway.snapshot.load();
        let (rules, revision) = (snapshot.policy.rule_count(), snapshot.policy.revision());
        let text = format!("{rules} rules, {}", revision.as_str());
        Check { name: "policy", state: State::Ok, text }
    }

    fn trial(&self) -> Check {
        let snapshot = self.gateway.snapshot.load();
        let (state, text) = match snapshot.trial() {
            None if snapshot.is_loading_trial() => (State::Ok, "is being loaded".to_owned()),
            None => (State::Ok, "none".to_owned()),
            Some(Trial::Judged(policy)) => {
                (State::Ok, format!("judged and not in force, {}", policy.revision()))
            }
            // It decides nothing.
            Some(Trial::Invalid(problems)) => {
                let first = problems.first().map_or_else(String::new, ToString::to_string);
                (State::Warning, format!("not judged: {first}"))
            }
        };
        Check { name: "candidate", state, text }
    }

    fn reload(&self) -> Check {
        let status = self.reloader.status();
        let (state, text) = match status.failure {
            None => (State::Ok, format!("loaded {}", status.loaded)),
            Some(failure) => {
                let first = failure.problems.first().map_or("", String::as_str);
                let more = failure.problems.len().saturating_sub(1);
                let more = if more == 0 { String::new() } else { format!(" and {more} more") };
                let text = format!(
                    "what is in force is of {}; failed at {}: {first}{more}",
                    status.loaded, failure.time
                );
                (State::Warning, text)
            }
        };
        Check { name: "reload", state, text }
    }

    /// A freeze keeps no gateway from being ready: those who ask are refused, and are told why.
    fn orders(&self) -> Check {
        let (status, now) = (self.keeper.status(), self.gateway.clock.now());
        let in_force = self.gateway.orders.load();
        let held: Vec<String> = in_force.holding(now).map(orders::in_words).collect();
        let unfollowed = self.orders.as_ref().and_then(|orders| orders.followed().problem());
        if let Some(lasts) = self.gateway.isolation.as_ref().and_then(|it| it.is_too_long()) {
            let text = format!(
                "grants are refused: nothing was heard of signed orders for {} s",
                lasts.as_secs()
            );
            return Check { name: "orders", state: State::Failed, text };
        }
        let wrong = [status.unread, status.unrecorded, unfollowed].into_iter().flatten();
        let text: Vec<String> = wrong.chain(held).collect();
        match text.is_empty() {
            true => Check { name: "orders", state: State::Ok, text: "none".into() },
            false => Check { name: "orders", state: State::Warning, text: text.join("; ") },
        }
    }

    fn audit(&self) -> Check {
        let health = self.gateway.journal.health();
        let state = if health == JournalHealth::Healthy { State::Ok } else { State::Failed };
        Check { name: "audit", state, text: health.to_string() }
    }

    fn anchors(&self) -> Check {
        let (state, text) = match (self.anchors.failure(), self.anchors.newest()) {
            // The log has it, and it is tried again with the next.
            (Some(why), _) => {
                (State::Warning, format!("the newest checkpoint is not anchored: {why}"))
            }
            (None, None) => (State::Ok, "no checkpoint yet".to_owned()),
            (None, Some(newest)) => {
                let signed = if newest.text.is_some() { "signed" } else { "not signed" };
                (State::Ok, format!("{} records, {signed}", newest.size))
            }
        };
        Check { name: "checkpoint", state, text }
    }

    fn certificates(&self) -> Check {
        let snapshot = self.gateway.snapshot.load();
        let certificates = &snapshot.certificates;
        let findings = certificates.findings(self.gateway.clock.now());
        // What only deserves a look is in the log and in `/status`.
        let wrong: Vec<_> = findings.iter().filter(|f| f.severity > Severity::Warning).collect();
        let state = match wrong.first().map(|finding| finding.severity) {
            Some(Severity::Outage) => State::Failed,
            Some(Severity::Error) => State::Warning,
            Some(Severity::Warning) | None => State::Ok,
        };
        let wrong = wrong.iter().map(|finding| finding.problem.to_string());
        let expiries = expiries(certificates);
        let expiries = expiries.map(|of| format!("{} expires {}", of.role, of.expires));
        let text: Vec<String> = wrong.chain(expiries).collect();
        Check { name: "certificates", state, text: text.join(", ") }
    }

    fn upstream(&self) -> Check {
        let workspaces = self.gateway.snapshot.load().workspaces.clone();
        let stopped = workspaces.named().filter(|(_, one)| one.upstream.is_suspended());
        let stopped: Vec<&str> = stopped.map(|(name, _)| name.as_str()).collect();
        let (state, text) = if workspaces.is_any_suspended() {
            // Shared by all replicas: taking them out of service helps nobody.
            let text = "it failed again and again; nothing is sent for a while";
            let which = if stopped.is_empty() { "" } else { ": workspace " };
            (State::Warning, format!("{text}{which}{}", stopped.join(", ")))
        } else {
            (State::Ok, "grants are sent".to_owned())
        };
        Check { name: "upstream", state, text }
    }

    /// Their callers are refused; others are not.
    fn issuers(&self) -> Check {
        let snapshot = self.gateway.snapshot.load();
        let all = snapshot.issuers.all();
        let without = all.iter().filter(|issuer| issuer.usable().is_none());
        let without: Vec<&str> = without.map(|issuer| &*issuer.rules.name).collect();
        let (state, text) = match (all.len(), without.as_slice()) {
            (0, _) => (State::Ok, "none".to_owned()),
            (count, []) => (State::Ok, format!("{count} with keys")),
            (_, names) => {
                let names = names.join(", ");
                (State::Warning, format!("without keys that are young enough: {names}"))
            }
        };
        Check { name: "issuers", state, text }
    }

    /// Puts into metrics what is true at this moment.
    pub(super) fn show_issuers(&self) {
        let (metrics, snapshot) = (&self.gateway.metrics.issuers, self.gateway.snapshot.load());
        for issuer in snapshot.issuers.all() {
            metrics.usable_now(&issuer.rules.name, issuer.usable().is_some());
        }
        let counts = snapshot.issuers.cached();
        metrics.cache(counts.tokens, counts.hits, counts.misses);
    }

    fn draining(&self) -> Check {
        let (state, text) =
            if self.stop.is_leaving() { (State::Failed, "yes") } else { (State::Ok, "no") };
        Check { name: "draining", state, text: text.into() }
    }
}

/// When each kind of certificate or list expires.
fn expiries(certificates: &Certificates) -> impl Iterator<Item = Expiry> {
    let own = certificates.expiries.iter().map(|(role, until)| ((*role).to_owned(), *until));
    let of_domain = |expiry: &DomainExpiry| {
        let DomainExpiry { domain, kind, until } = expiry;
        (format!("{kind} of trust domain {domain}"), *until)
    };
    let all = own.chain(certificates.domain_expiries.iter().map(of_domain));
    all.map(|(role, until)| Expiry { role, expires: until.to_string() })
}

fn workspace((name, of): (&WorkspaceName, &Workspace)) -> view::Workspace {
    view::Workspace {
        name: name.to_string(),
        id: of.id.as_ref().map(|id| id.as_str().to_owned()),
        host: of.upstream.host().to_owned(),
        is_default: of.is_default,
        suspended: of.upstream.is_suspended(),
    }
}

fn issuer(issuer: &jwt::Issuer) -> view::Issuer {
    let (keys, fetched) = match &issuer.keys {
        IssuerKeys::File(keys) => (keys.len(), None),
        IssuerKeys::Fetched(fetched) => match fetched.last() {
            Some(held) => (held.keys.len(), Some(held.fetched.to_string())),
            None => (0, None),
        },
    };
    let usable = issuer.usable().is_some();
    view::Issuer { name: issuer.rules.name.to_string(), usable, keys, fetched }
}
