//! From text and environment to [`Settings`].

use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;

use super::{NamedFile, OrdersSettings, RequestLimits, Setting, Settings};
use crate::domain::Problem;
use crate::listener::ListenerLimits;
use crate::telemetry::LogFormat;
use crate::toml_source::{Place, Section, TomlSource};
use conflicts::NamedAddress;
pub use desk::{Desk, DirectFiles, load_desk, read_desk};
pub use environment::{Environment, environment_of};
pub use policy::in_force;
use values::Use;

mod audit;
mod conflicts;
mod console;
mod database;
mod desk;
mod environment;
mod export;
mod idempotency;
mod issuers;
mod limits;
mod listener;
mod policy;
mod trust_domains;
mod upstream;
mod urls;
mod values;
mod workspaces;

/// Reads the configuration `file`, whose text is `text`. Relative paths are relative
/// to the file's directory.
///
/// # Errors
/// Every problem, in the order of the file.
pub fn load(file: &Path, text: &str, environment: &Environment) -> Result<Settings, Vec<Problem>> {
    let name = file.display().to_string();
    let mut source = TomlSource::parse(name, text.to_owned()).map_err(|problem| vec![problem])?;
    let overrides = environment::take_overrides(&mut source, environment);
    let base = file.parent().unwrap_or(Path::new(""));
    let mut reader = Reader::new(&source, base, environment);
    let settings = reader.settings();
    let Reader { mut warnings, known, .. } = reader;
    warnings.extend(environment::report_unread(&source, environment, &overrides, &known));
    let problems = source.into_problems();
    match settings {
        Some(settings) if problems.is_empty() => Ok(Settings { warnings, ..settings }),
        _ => Err(problems),
    }
}

/// Every setting that is read, in the order of reading, with its default.
#[must_use]
pub fn all_settings() -> Vec<Setting> {
    let Ok(source) = TomlSource::parse("", String::new()) else { return Vec::new() };
    let environment = Environment::new();
    let mut reader = Reader::new(&source, Path::new(""), &environment);
    reader.settings();
    // Of which there is none in the empty text.
    reader.issuer(&source.root().section("issuer").repeated());
    reader.trust_domain(&source.root().section("trust_domain").repeated());
    reader.workspace(&source.root().section("workspace").repeated(), None);
    reader.known
}

/// How log lines are to look, as far as it can be known although the rest is wrong: `text` is
/// that of the configuration file, where it could be read.
#[must_use]
pub fn log_format(text: Option<&str>, environment: &Environment) -> LogFormat {
    let source = TomlSource::parse("", text.unwrap_or_default().to_owned());
    let source = source.or_else(|_| TomlSource::parse("", String::new()));
    let Ok(mut source) = source else { return LogFormat::Human };
    environment::take_overrides(&mut source, environment);
    let mut reader = Reader::new(&source, Path::new(""), environment);
    let log = source.root().section("log");
    reader.choice(&log, "format", LOG_FORMATS).unwrap_or(LogFormat::Human)
}

const LOG_FORMATS: &[(&str, LogFormat)] = &[("human", LogFormat::Human), ("json", LogFormat::Json)];

const LOG_LEVELS: &[(&str, tracing::Level)] = &[
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
    ("warn", tracing::Level::WARN),
    ("error", tracing::Level::ERROR),
];

struct Reader<'a> {
    base: &'a Path,
    environment: &'a Environment,
    source: &'a TomlSource,
    warnings: Vec<Problem>,
    known: Vec<Setting>,
    /// What is bound, with the place where it was set.
    addresses: Vec<NamedAddress<'a>>,
    files: Vec<(NamedFile, Option<Place<'a>>)>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a TomlSource, base: &'a Path, environment: &'a Environment) -> Self {
        Self {
            base,
            environment,
            source,
            warnings: Vec::new(),
            known: Vec::new(),
            addresses: Vec::new(),
            files: Vec::new(),
        }
    }

    fn settings(&mut self) -> Option<Settings> {
        let root = self.source.root();
        let domains = self.trust_domains(root.sections("trust_domain"));
        let listener = self.listener(root.section("listener"), domains);
        let admin = self.admin(root.section("admin"));
        self.refuse_shared_addresses();
        let limits = self.limits(root.section("limits"));
        let answer_deadline = limits.as_ref().map(|limits: &AllLimits| limits.1.answer_deadline);
        let workspaces = root.sections("workspace");
        let upstream = self.upstream(root.section("upstream"), workspaces, answer_deadline);
        let policy = self.policy(root.section("policy"), root.section("callers"));
        let issuers = self.issuers(root.sections("issuer"));
        let has_remote = matches!(&admin, Some(admin) if admin.remote.is_some());
        let named = issuers.iter().flatten().map(|issuer| issuer.name.as_str());
        let console = self.console(root.section("console"), has_remote, &named.collect::<Vec<_>>());
        let orders = self.orders(root.section("orders"));
        // A gateway with a name makes a key of its own.
        let has_key = root.section("replica").value("name").is_some();
        let audit = self.audit(root.section("audit"), answer_deadline, has_key);
        let kept = audit.as_ref().and_then(|audit| audit.retention_age_max);
        let idempotency = self.idempotency(root.section("idempotency"), kept);
        let database = self.database(root.section("database"));
        let has_database = matches!(database, Some(Some(_)));
        if !has_database {
            let limits = limits.as_ref().is_some_and(|limits| limits.1.shared.is_some());
            let keys = idempotency.as_ref().is_some_and(|keys| keys.shared);
            let bundles = policy.as_ref().is_some_and(|policy| policy.bundle.is_some());
            self.refuse_without_database(limits, keys, bundles);
        }
        let replica = self.replica(root.section("replica"), has_database);
        self.refuse_shared_files();
        let reload = root.section("reload");
        let reload_poll = self.millis(&reload, "poll_ms", 1_000..=3_600_000, 30_000);
        reload.finish();
        let log = root.section("log");
        let log_format = self.choice(&log, "format", LOG_FORMATS);
        let log_level = self.choice(&log, "level", LOG_LEVELS);
        log.finish();
        root.finish();
        let (connection_limits, limits, stop_delay) = limits?;
        let policy = policy?;
        Some(Settings {
            listener: listener?,
            connection_limits,
            admin: admin?,
            console: console?,
            upstream: upstream?,
            policy_model_file: policy.model,
            policy_rules_file: policy.rules,
            policy_candidate_rules_file: policy.candidate,
            policy_entrances_file: policy.entrances,
            callers_file: policy.callers,
            policy_bundle: policy.bundle,
            issuers: issuers?,
            orders: orders?,
            idempotency: idempotency?,
            audit: audit?,
            database: database?,
            replica: replica?,
            limits,
            reload_poll: reload_poll?,
            stop_delay,
            log_format: log_format?,
            log_level: log_level?,
            files: std::mem::take(&mut self.files).into_iter().map(|(file, _)| file).collect(),
            warnings: Vec::new(),
        })
    }
}

impl<'a> Reader<'a> {
    fn refuse_without_database(&self, limits: bool, keys: bool, bundles: bool) {
        let root = self.source.root();
        if bundles {
            root.section("policy")
                .section("bundle")
                .refuse("`[policy.bundle]` needs `[database]`, where bundles come from");
        }
        for (section, is_shared) in [("limits", limits), ("idempotency", keys)] {
            if let Some(place) = root.section(section).value("shared").filter(|_| is_shared) {
                let path = place.path();
                place.refuse(format!(
                    "`{path}` needs `[database]`, where gateways know of each other"
                ));
            }
        }
    }

    fn orders(&mut self, section: Section<'a>) -> Option<OrdersSettings> {
        let file = self.path(&section, "file", Some("orders.json"), Use::Alone);
        let hours = self.number(&section, "exception_hours_max", 1..=744, 24);
        section.finish();
        let exception_max = SignedDuration::from_hours(i64::try_from(hours?).ok()?);
        Some(OrdersSettings { file: file?, exception_max })
    }
}

/// `[limits]`: of connections, of requests, and from SIGTERM to the end of accepting.
type AllLimits = (ListenerLimits, RequestLimits, Duration);

#[cfg(test)]
mod tests;
