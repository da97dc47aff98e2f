//! `[upstream]`, and the workspace key.

use std::path::PathBuf;

use super::Reader;
use crate::config::{CredentialSettings, SecretSource, UpstreamSettings};
use crate::domain::Secret;
use crate::toml_source::{Place, Section};
use crate::upstream::BreakerSettings;

const SEAM_URL: &str = "https://connect.getseam.com";

impl Reader<'_> {
    pub(super) fn upstream(&mut self, section: Section<'_>) -> Option<UpstreamSettings> {
        let place = self.known(&section, "url");
        let text = place.as_ref().map_or(Some(SEAM_URL), Place::string);
        let url = text.and_then(|text| upstream_url(text, place.as_ref()));
        if let (Some(url), Some(place)) = (&url, &place)
            && url.host_str() != Some("connect.getseam.com")
        {
            let host = url.host_str().unwrap_or_default();
            self.warnings.push(place.problem(format!(
                "the workspace key will be sent to `{host}`, which is not connect.getseam.com"
            )));
        }
        let credential = self.credential(&section);
        let ca_file = self.optional_path(&section, "ca_file");
        let deadline = self.millis(&section, "deadline_ms", 100..=30_000, 8_000);
        let connect = self.millis(&section, "connect_timeout_ms", 50..=30_000, 3_000);
        let failures = self.number(&section, "breaker_failures", 0..=10_000, 5);
        let pause = self.millis(&section, "breaker_pause_ms", 100..=600_000, 5_000);
        section.finish();
        Some(UpstreamSettings {
            url: url?,
            credential: credential?,
            ca_file,
            deadline: deadline?,
            connect_timeout: connect?,
            breaker: BreakerSettings { failures: u32::try_from(failures?).ok()?, pause: pause? },
        })
    }

    /// The file's keys go before `SEAM_API_KEY` and the other variables of the SDKs.
    fn credential(&mut self, section: &Section<'_>) -> Option<CredentialSettings> {
        let key_file = self.optional_path(section, "api_key_file");
        let token_file = self.optional_path(section, "personal_access_token_file");
        let workspace = self.known(section, "workspace_id").and_then(|p| p.string());
        let workspace = workspace.map(str::to_owned).or_else(|| self.variable("SEAM_WORKSPACE_ID"));
        let from_files = key_file.is_some() || token_file.is_some();
        let source = |file: Option<PathBuf>, variable: &str| match file {
            Some(file) => Some(SecretSource::File(file)),
            None if from_files => None,
            None => self.variable(variable).map(|text| SecretSource::Value(Secret::new(text))),
        };
        let key = source(key_file, "SEAM_API_KEY");
        let token = source(token_file, "SEAM_PERSONAL_ACCESS_TOKEN");
        match (key, token) {
            (Some(source), None) => Some(CredentialSettings { source, workspace_id: None }),
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
}

/// `https://host[:port]` and nothing else: the path is a constant of the gateway's.
fn upstream_url(text: &str, place: Option<&Place<'_>>) -> Option<reqwest::Url> {
    let url = reqwest::Url::parse(text).ok().filter(|url| {
        url.scheme() == "https"
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
    });
    if let (None, Some(place)) = (&url, place) {
        place.refuse("`upstream.url` must be https://host or https://host:port, nothing after it");
    }
    url
}
