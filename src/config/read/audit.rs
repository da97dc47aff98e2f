//! `[audit]`.

use std::time::Duration;

use super::Reader;
use crate::config::AuditSettings;
use crate::toml_source::Section;

const DAY_MS: u64 = 86_400_000;

impl Reader<'_> {
    pub(super) fn audit(&mut self, section: Section<'_>) -> Option<AuditSettings> {
        let directory = self.path(&section, "directory", None);
        let queue = self.number(&section, "queue_records_max", 1..=1_000_000, 4_096);
        let wait = self.millis(&section, "commit_wait_ms", 10..=5_000, 2_000);
        let bytes = self.number(&section, "segment_bytes_max", 65_536..=4 << 30, 64 << 20);
        let age = self.millis(&section, "segment_age_max_ms", 1_000..=31 * DAY_MS, DAY_MS);
        let switch = [("off", false), ("on", true)];
        let compress = self.choice(&section, "compress", &switch);
        let days = self.optional_number(&section, "retention_days_max", 1..=36_500);
        let kept_bytes = self.optional_number(&section, "retention_bytes_max", 1 << 20..=1 << 50);
        let signing_key_file = self.optional_path(&section, "signing_key_file");
        let records = self.number(&section, "checkpoint_records_max", 1..=1_000_000, 1_000);
        let interval = self.millis(&section, "checkpoint_interval_ms", 100..=DAY_MS, 60_000);
        let anchor_file = self.optional_path(&section, "anchor_file");
        let command = self.known(&section, "anchor_command").map(|place| place.strings());
        let command = command.unwrap_or_else(|| Some(Vec::new()));
        let strangers = self.number(&section, "strangers_per_minute_max", 0..=60_000, 60);
        let pseudonymise = self.choice(&section, "pseudonymise", &switch);
        let pseudonym_key_file = self.optional_path(&section, "pseudonym_key_file");
        let anchors = anchor_file.is_some() || command.as_ref().is_some_and(|c| !c.is_empty());
        if anchors && signing_key_file.is_none() {
            section.refuse(
                "anchors need `audit.signing_key_file`: an unsigned checkpoint proves nothing; \
                 `grantgate audit keygen` makes a key",
            );
        }
        match (pseudonymise, &pseudonym_key_file) {
            (Some(true), None) => {
                section.refuse("`audit.pseudonymise` needs `audit.pseudonym_key_file`");
            }
            (Some(false), Some(_)) => {
                section.refuse("`audit.pseudonym_key_file` needs `audit.pseudonymise` = \"on\"");
            }
            _ => {}
        }
        let export = self.export(section.section("export"));
        section.finish();
        Some(AuditSettings {
            directory: directory?,
            queue_records_max: usize::try_from(queue?).ok()?,
            commit_wait: wait?,
            segment_bytes_max: bytes?,
            segment_age_max: age?,
            compress: compress?,
            retention_age_max: days?.map(|days| Duration::from_millis(days * DAY_MS)),
            retention_bytes_max: kept_bytes?,
            signing_key_file,
            checkpoint_records_max: records?,
            checkpoint_interval: interval?,
            anchor_file,
            anchor_command: command?.into_iter().map(|(_, text)| text).collect(),
            strangers_per_minute_max: u32::try_from(strangers?).ok()?,
            pseudonym_key_file,
            export: export?,
        })
    }
}
