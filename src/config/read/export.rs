//! `[audit.export]`.

use super::Reader;
use super::urls::{exact_url, is_loopback};
use super::values::Use;
use crate::config::ExportSettings;
use crate::toml_source::{Place, Section};

impl<'a> Reader<'a> {
    /// None where no collector is named.
    pub(super) fn export(&mut self, section: Section<'a>) -> Option<Option<ExportSettings>> {
        let place = self.known(&section, "url");
        let url = place.as_ref().map(collector_url);
        if let (Some(place), Some(Some(url))) = (&place, &url) {
            self.refuse_own_address(place, url);
        }
        let ca_file = self.optional_path(&section, "ca_file", Use::Pem);
        let headers_file = self.optional_path(&section, "headers_file", Use::Alone);
        let records = self.number(&section, "batch_records_max", 1..=10_000, 512);
        let timeout = self.millis(&section, "timeout_ms", 100..=120_000, 10_000);
        if place.is_none() {
            let keys = ["ca_file", "headers_file", "batch_records_max", "timeout_ms"];
            if let Some(set) = keys.iter().find_map(|key| section.value(key)) {
                set.refuse(format!("`{}` needs `audit.export.url`", set.path()));
            }
        }
        section.finish();
        let Some(url) = url else { return Some(None) };
        Some(Some(ExportSettings {
            url: url?,
            ca_file,
            headers_file,
            batch_records_max: usize::try_from(records?).ok()?,
            timeout: timeout?,
        }))
    }
}

/// Where logs are posted to. Plain HTTP does not leave the machine.
fn collector_url(place: &Place<'_>) -> Option<reqwest::Url> {
    let url = exact_url(place, "https://collector.example:4318/v1/logs")?;
    let refuse = |text: &str| {
        place.refuse(text);
        None
    };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return refuse(
                "`audit.export.url` must be https://…; http:// only to a loopback address",
            );
        }
        _ => return refuse("`audit.export.url` must be https://…"),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return refuse(
            "`audit.export.url` may hold no credential and no query; put what the collector \
             wants to be told into `audit.export.headers_file`",
        );
    }
    if url.path() == "/" || url.fragment().is_some() {
        return refuse("`audit.export.url` must end with the path for logs, mostly /v1/logs");
    }
    Some(url)
}
