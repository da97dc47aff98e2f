//! `[upstream]`, and the workspace key.

use std::path::PathBuf;
use std::time::Duration;

use super::Reader;
use super::limits::ms;
use super::urls::exact_url;
use super::values::Use;
use crate::config::{CredentialSettings, SecretSource, UpstreamSettings};
use crate::domain::{Problem, Secret};
use crate::toml_source::{Place, Section};
use crate::upstream::BreakerSettings;

const SEAM_URL: &str = "https://connect.getseam.com";

impl<'a> Reader<'a> {
    pub(super) fn upstream(
        &mut self,
        section: Section<'a>,
        answer_deadline: Option<Duration>,
    ) -> Option<UpstreamSettings> {
        let place = self.known_as(&section, "url", Some(format!("\"{SEAM_URL}\"")), false);
        let url = match &place {
            None => reqwest::Url::parse(SEAM_URL).ok(),
            Some(place) => self.upstream_url(place),
        };
        let credential = self.credential(&section);
        let ca_file = self.optional_path(&section, "ca_file", Use::Pem);
        let deadline = self.millis(&section, "deadline_ms", 100..=30_000, 8_000);
        let connect = self.millis(&section, "connect_timeout_ms", 50..=30_000, 3_000);
        let failures = self.number(&section, "breaker_failures", 0..=10_000, 5);
        let pause = self.millis(&section, "breaker_pause_ms", 100..=600_000, 5_000);
        let resolve = self.millis(&section, "resolve_delay_ms", 0..=600_000, 10_000);
        if let (Some(deadline), Some(connect)) = (deadline, connect) {
            let text = format!("is never reached: `upstream.deadline_ms` is {}", ms(deadline));
            self.warn(&section, "connect_timeout_ms", connect > deadline, &text);
            let answer = answer_deadline.unwrap_or(Duration::MAX);
            let text = format!("is never reached: `limits.answer_deadline_ms` is {}", ms(answer));
            self.warn(&section, "deadline_ms", deadline > answer, &text);
        }
        let text = "does nothing: `upstream.breaker_failures` is 0";
        self.warn(&section, "breaker_pause_ms", failures == Some(0), text);
        section.finish();
        Some(UpstreamSettings {
            url: url?,
            credential: credential?,
            ca_file,
            deadline: deadline?,
            connect_timeout: connect?,
            breaker: BreakerSettings { failures: u32::try_from(failures?).ok()?, pause: pause? },
            resolve_delay: Some(resolve?).filter(|delay| !delay.is_zero()),
        })
    }

    /// The file's keys go before `SEAM_API_KEY` and the other variables of the SDKs.
    fn credential(&mut self, section: &Section<'a>) -> Option<CredentialSettings> {
        let key_file = self.optional_path(section, "api_key_file", Use::Alone);
        let token_file = self.optional_path(section, "personal_access_token_file", Use::Alone);
        let workspace = self.known(section, "workspace_id").and_then(|place| {
            let text = place.string()?;
            let fit = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
            if !fit {
                place
                    .refuse("`upstream.workspace_id` must be the workspace's uuid, without blanks");
            }
            fit.then(|| text.to_owned())
        });
        let workspace = workspace.or_else(|| self.variable("SEAM_WORKSPACE_ID"));
        let from_files = key_file.is_some() || token_file.is_some();
        let source = |file: Option<PathBuf>, variable: &str| match file {
            Some(file) => Some(SecretSource::File(file)),
            None if from_files => None,
            None => self.variable(variable).map(|text| SecretSource::Value(Secret::new(text))),
        };
        let key = source(key_file, "SEAM_API_KEY");
        let token = source(token_file, "SEAM_PERSONAL_ACCESS_TOKEN");
        for variable in ["SEAM_API_KEY", "SEAM_PERSONAL_ACCESS_TOKEN"] {
            if from_files && self.variable(variable).is_some() {
                let text = "is not used: the configuration names a file for the workspace key";
                let place = format!("environment variable {variable}");
                self.warnings.push(Problem::of_file(place, text));
            }
        }
        match (key, token) {
            (Some(source), None) => {
                let text = "does nothing: an API key belongs to one workspace";
                self.warn(section, "workspace_id", true, text);
                Some(CredentialSettings { source, workspace_id: None })
            }
            (None, Some(source)) if workspace.is_some() => {
                Some(CredentialSettings { source, workspace_id: workspace })
            }
            (None, Some(_)) => {
                section.refuse(
                    "a personal access token needs `upstream.workspace_id` or SEAM_WORKSPACE_ID",
                );
                None
            }
            (Some(_), Some(_)) => {
                section.refuse("give an api key or a personal access token, not both");
                None
            }
            (None, None) => {
                section.refuse(
                    "no workspace key: set `upstream.api_key_file`, or SEAM_API_KEY in the environment",
                );
                None
            }
        }
    }

    /// `https://host[:port]` and nothing else: the path is a constant of the gateway's.
    fn upstream_url(&mut self, place: &Place<'a>) -> Option<reqwest::Url> {
        let url = exact_url(place, SEAM_URL)?;
        let alone = url.scheme() == "https"
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        if !alone {
            place.refuse(
                "`upstream.url` must be https://host or https://host:port, nothing after it",
            );
            return None;
        }
        self.refuse_own_address(place, &url);
        let host = url.host_str().unwrap_or_default();
        if host != "connect.getseam.com" {
            self.warnings.push(place.problem(format!(
                "the workspace key will be sent to `{host}`, which is not connect.getseam.com"
            )));
        }
        Some(url)
    }
}
