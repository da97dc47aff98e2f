//! `[upstream]`: how Seam is asked.

use std::time::Duration;

use super::Reader;
use super::limits::ms;
use super::urls::exact_url;
use super::values::Use;
use super::workspaces::Shared;
use crate::config::UpstreamSettings;
use crate::toml_source::{Place, Section};
use crate::upstream::BreakerSettings;

const SEAM_URL: &str = "https://connect.getseam.com";

impl<'a> Reader<'a> {
    pub(super) fn upstream(
        &mut self,
        section: Section<'a>,
        workspaces: Vec<Section<'a>>,
        answer_deadline: Option<Duration>,
    ) -> Option<UpstreamSettings> {
        let place = self.known_as(&section, "url", Some(format!("\"{SEAM_URL}\"")), false);
        let url = match &place {
            None => reqwest::Url::parse(SEAM_URL).ok(),
            Some(place) => self.upstream_url(place),
        };
        let alone = self.only_workspace(&section, workspaces.is_empty());
        let ca_file = self.optional_path(&section, "ca_file", Use::Pem);
        let shared = url.map(|url| Shared { url, ca_file });
        let workspaces = match workspaces.is_empty() {
            true => alone.zip(shared).map(|(alone, shared)| vec![alone.complete(shared)]),
            false => self.workspaces(workspaces, shared.as_ref()),
        };
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
            workspaces: workspaces?,
            deadline: deadline?,
            connect_timeout: connect?,
            breaker: BreakerSettings { failures: u32::try_from(failures?).ok()?, pause: pause? },
            resolve_delay: Some(resolve?).filter(|delay| !delay.is_zero()),
        })
    }

    /// `https://host[:port]` and nothing else: the path is a constant of the gateway's.
    pub(super) fn upstream_url(&mut self, place: &Place<'a>) -> Option<reqwest::Url> {
        let url = exact_url(place, SEAM_URL)?;
        let alone = url.scheme() == "https"
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        if !alone {
            let path = place.path();
            place.refuse(format!(
                "`{path}` must be https://host or https://host:port, nothing after it"
            ));
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
