//! From text and environment to [`Settings`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    AdminSettings, ClientSettings, ListenerSettings, RemoteAdminSettings, RequestLimits, Settings,
};
use crate::domain::Problem;
use crate::listener::ListenerLimits;
use crate::telemetry::LogFormat;
use crate::toml_source::{Place, Section, TomlSource};

mod audit;
mod export;
mod upstream;

const PREFIX: &str = "GRANTGATE__";

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// Reads the configuration `file`, whose text is `text`. Relative paths are relative
/// to the file's directory.
///
/// # Errors
/// Every problem, in the order of the file.
pub fn load(file: &Path, text: &str, environment: &Environment) -> Result<Settings, Vec<Problem>> {
    let name = file.display().to_string();
    let mut source = TomlSource::parse(name, text.to_owned()).map_err(|problem| vec![problem])?;
    let overrides = take_overrides(&mut source, environment);
    let base = file.parent().unwrap_or(Path::new(""));
    let mut reader =
        Reader { base, environment, warnings: Vec::new(), known: Vec::new(), source: &source };
    let settings = reader.settings();
    let Reader { warnings, known, .. } = reader;
    for (path, variable) in overrides {
        if !known.contains(&path) {
            let text = format!("there is no setting `{path}`");
            source.report(Problem::of_file(format!("environment variable {variable}"), text));
        }
    }
    let problems = source.into_problems();
    match settings {
        Some(settings) if problems.is_empty() => Ok(Settings { warnings, ..settings }),
        _ => Err(problems),
    }
}

/// `GRANTGATE__LISTENER__ADDRESS` takes the place of `listener.address`.
fn take_overrides(source: &mut TomlSource, environment: &Environment) -> Vec<(String, String)> {
    let mut taken = Vec::new();
    for (variable, text) in environment {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let path = rest.to_ascii_lowercase().replace("__", ".");
        source.override_value(path.clone(), variable.clone(), text.clone());
        taken.push((path, variable.clone()));
    }
    taken
}

struct Reader<'a> {
    base: &'a Path,
    environment: &'a Environment,
    warnings: Vec<Problem>,
    known: Vec<String>,
    source: &'a TomlSource,
}

impl Reader<'_> {
    fn settings(&mut self) -> Option<Settings> {
        let root = self.source.root();
        let listener = self.listener(root.section("listener"));
        let admin = self.admin(root.section("admin"));
        let upstream = self.upstream(root.section("upstream"));
        let policy = root.section("policy");
        let model = self.path(&policy, "model_file", Some("policies/model.conf"));
        let rules = self.path(&policy, "rules_file", Some("policies/policy.csv"));
        let candidate = self.optional_path(&policy, "candidate_rules_file");
        if candidate.is_some() && candidate == rules {
            policy.refuse("`policy.candidate_rules_file` is `policy.rules_file`: give it another");
        }
        let entrances = self.path(&policy, "entrances_file", Some("policies/entrances.csv"));
        policy.finish();
        let callers = root.section("callers");
        let callers_file = self.path(&callers, "file", Some("callers.toml"));
        callers.finish();
        let audit = self.audit(root.section("audit"));
        let limits = self.limits(root.section("limits"));
        let reload = root.section("reload");
        let reload_poll = self.millis(&reload, "poll_ms", 1_000..=3_600_000, 30_000);
        reload.finish();
        let log = root.section("log");
        let log_format =
            self.choice(&log, "format", &[("human", LogFormat::Human), ("json", LogFormat::Json)]);
        let levels = [
            ("info", tracing::Level::INFO),
            ("debug", tracing::Level::DEBUG),
            ("warn", tracing::Level::WARN),
            ("error", tracing::Level::ERROR),
        ];
        let log_level = self.choice(&log, "level", &levels);
        log.finish();
        root.finish();
        let (connection_limits, limits, stop_delay) = limits?;
        Some(Settings {
            listener: listener?,
            connection_limits,
            admin: admin?,
            upstream: upstream?,
            policy_model_file: model?,
            policy_rules_file: rules?,
            policy_candidate_rules_file: candidate,
            policy_entrances_file: entrances?,
            callers_file: callers_file?,
            audit: audit?,
            limits,
            reload_poll: reload_poll?,
            stop_delay,
            log_format: log_format?,
            log_level: log_level?,
            warnings: Vec::new(),
        })
    }

    fn listener(&mut self, section: Section<'_>) -> Option<ListenerSettings> {
        let address = self.address(&section, "address", "0.0.0.0:8443").map(|(_, a)| a);
        let certificate_file = self.path(&section, "certificate_file", None);
        let private_key_file = self.path(&section, "private_key_file", None);
        let ca_file = self.optional_path(&section, "client_ca_file");
        let crl_file = self.optional_path(&section, "client_crl_file");
        let choices = [("optional", false), ("required", true)];
        let required = self.choice(&section, "client_certificates", &choices);
        if let (None, Some(place)) = (&ca_file, section.value("client_crl_file")) {
            place.refuse("`listener.client_crl_file` needs `listener.client_ca_file`");
        }
        if let (None, Some(true)) = (&ca_file, required) {
            section.refuse("required client certificates need `listener.client_ca_file`");
        }
        let hostnames = self.known(&section, "hostnames").and_then(|place| place.strings());
        let hostnames = hostnames.unwrap_or_default();
        section.finish();
        let clients = match (ca_file, required) {
            (Some(ca_file), Some(required)) => Some(ClientSettings { ca_file, crl_file, required }),
            _ => None,
        };
        Some(ListenerSettings {
            address: address?,
            certificate_file: certificate_file?,
            private_key_file: private_key_file?,
            clients,
            hostnames: hostnames.into_iter().map(|(_, name)| name.to_ascii_lowercase()).collect(),
        })
    }

    fn admin(&mut self, section: Section<'_>) -> Option<AdminSettings> {
        let address = self.address(&section, "address", "127.0.0.1:9464");
        if let Some((Some(place), address)) = &address
            && !address.ip().is_loopback()
        {
            place.refuse(
                "the admin listener has no TLS and no authentication: bind it to a loopback \
                 address such as 127.0.0.1:9464, and set `admin.remote` for other machines",
            );
        }
        let remote = self.remote_admin(section.section("remote"));
        section.finish();
        Some(AdminSettings { address: address?.1, remote: remote? })
    }

    /// All of it or none of it.
    fn remote_admin(&mut self, section: Section<'_>) -> Option<Option<RemoteAdminSettings>> {
        let address = self.known(&section, "address");
        let address = address.map(|place| self.parse_address(&place, "0.0.0.0:9465"));
        let certificate_file = self.optional_path(&section, "certificate_file");
        let private_key_file = self.optional_path(&section, "private_key_file");
        let client_ca_file = self.optional_path(&section, "client_ca_file");
        let remote = match (address, certificate_file, private_key_file, client_ca_file) {
            (None, None, None, None) => Some(None),
            (
                Some(address),
                Some(certificate_file),
                Some(private_key_file),
                Some(client_ca_file),
            ) => {
                let address = address?;
                Some(Some(RemoteAdminSettings {
                    address,
                    certificate_file,
                    private_key_file,
                    client_ca_file,
                }))
            }
            _ => {
                section.refuse(
                    "`admin.remote` needs `address`, `certificate_file`, `private_key_file` and \
                     `client_ca_file`: only clients with a certificate are served",
                );
                None
            }
        };
        section.finish();
        remote
    }

    fn connection_limits(&mut self, section: &Section<'_>) -> Option<ListenerLimits> {
        let connections = self.number(section, "connections_max", 1..=1_000_000, 10_000);
        let handshake = self.millis(section, "handshake_timeout_ms", 100..=60_000, 10_000);
        let header = self.millis(section, "header_timeout_ms", 100..=3_600_000, 10_000);
        let idle = self.millis(section, "idle_timeout_ms", 100..=3_600_000, 60_000);
        let age = self.millis(section, "connection_age_max_ms", 1_000..=86_400_000, 3_600_000);
        let per_address = self.number(section, "connections_per_address_max", 1..=1_000_000, 1_000);
        let streams = self.number(section, "streams_per_connection_max", 1..=1_000, 100);
        let header_bytes = self.number(section, "header_bytes_max", 8_192..=65_536, 16_384);
        let drain = self.millis(section, "drain_timeout_ms", 0..=600_000, 15_000);
        Some(ListenerLimits {
            connections_max: usize::try_from(connections?).ok()?,
            handshake_timeout: handshake?,
            header_timeout: header?,
            idle_timeout: idle?,
            connection_age_max: age?,
            connections_per_address_max: usize::try_from(per_address?).ok()?,
            streams_per_connection_max: u32::try_from(streams?).ok()?,
            header_bytes_max: u32::try_from(header_bytes?).ok()?,
            drain_timeout: drain?,
        })
    }

    fn limits(
        &mut self,
        section: Section<'_>,
    ) -> Option<(ListenerLimits, RequestLimits, Duration)> {
        let connections = self.connection_limits(&section);
        let stop_delay = self.millis(&section, "stop_delay_ms", 0..=600_000, 3_000);
        let body = self.number(&section, "body_bytes_max", 256..=65_536, 8_192);
        let headers = self.number(&section, "headers_max", 8..=100, 64);
        let body_timeout = self.millis(&section, "body_timeout_ms", 100..=60_000, 10_000);
        let in_flight = self.number(&section, "requests_in_flight_max", 1..=100_000, 1_024);
        let deadline = self.millis(&section, "answer_deadline_ms", 500..=60_000, 9_000);
        let own = self.number(&section, "caller_requests_in_flight_max", 1..=100_000, 256);
        let rate = self.number(&section, "caller_requests_per_second", 1..=1_000_000, 100);
        let burst = self.number(&section, "caller_requests_burst", 1..=1_000_000, 200);
        section.finish();
        let count = |number: u64| NonZeroU32::new(u32::try_from(number).ok()?);
        let requests = RequestLimits {
            body_bytes_max: usize::try_from(body?).ok()?,
            headers_max: usize::try_from(headers?).ok()?,
            body_timeout: body_timeout?,
            requests_in_flight_max: usize::try_from(in_flight?).ok()?,
            answer_deadline: deadline?,
            caller_requests_in_flight_max: usize::try_from(own?).ok()?,
            caller_requests_per_second: count(rate?)?,
            caller_requests_burst: count(burst?)?,
        };
        Some((connections?, requests, stop_delay?))
    }

    fn known<'s>(&mut self, section: &Section<'s>, key: &str) -> Option<Place<'s>> {
        self.known.push(section.path_of(key));
        section.value(key)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.environment.get(name).filter(|text| !text.is_empty()).cloned()
    }

    fn path(&mut self, section: &Section<'_>, key: &str, default: Option<&str>) -> Option<PathBuf> {
        self.known.push(section.path_of(key));
        match default {
            None => section.required(key)?.string().map(|text| self.base.join(text)),
            Some(default) => {
                let text = section.value(key).map_or(Some(default), |place| place.string());
                text.map(|text| self.base.join(text))
            }
        }
    }

    fn optional_path(&mut self, section: &Section<'_>, key: &str) -> Option<PathBuf> {
        self.known(section, key)?.string().map(|text| self.base.join(text))
    }

    fn number(
        &mut self,
        section: &Section<'_>,
        key: &str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> Option<u64> {
        self.known(section, key).map_or(Some(default), |place| place.integer(range))
    }

    /// None where it is not set.
    fn optional_number(
        &mut self,
        section: &Section<'_>,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Option<Option<u64>> {
        self.known(section, key).map_or(Some(None), |place| place.integer(range).map(Some))
    }

    fn millis(
        &mut self,
        section: &Section<'_>,
        key: &str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> Option<Duration> {
        self.number(section, key, range, default).map(Duration::from_millis)
    }

    fn address<'s>(
        &mut self,
        section: &Section<'s>,
        key: &str,
        default: &str,
    ) -> Option<(Option<Place<'s>>, SocketAddr)> {
        let place = self.known(section, key);
        let address = match &place {
            Some(place) => self.parse_address(place, default),
            None => default.parse().ok(),
        };
        Some((place, address?))
    }

    fn parse_address(&self, place: &Place<'_>, such_as: &str) -> Option<SocketAddr> {
        let text = place.string()?;
        let address = text.parse().ok();
        if address.is_none() {
            place.refuse(format!("`{text}` is no address and port such as {such_as}"));
        }
        address
    }

    /// The first choice is the default.
    fn choice<T: Copy>(&mut self, section: &Section<'_>, key: &str, of: &[(&str, T)]) -> Option<T> {
        let Some(place) = self.known(section, key) else { return of.first().map(|(_, v)| *v) };
        let text = place.string()?;
        let found = of.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = of.iter().map(|(name, _)| *name).collect();
            place.refuse(format!("`{}` must be one of `{}`", place.path(), names.join("`, `")));
        }
        found
    }
}

#[cfg(test)]
mod tests;
