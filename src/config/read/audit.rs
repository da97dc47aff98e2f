//! `[audit]`.

use std::path::PathBuf;
use std::time::Duration;

use super::Reader;
use super::limits::ms;
use super::values::Use;
use crate::config::{AuditSettings, RecordedReads};
use crate::toml_source::Section;

const DAY_MS: u64 = 86_400_000;

const READS: [(&str, RecordedReads); 2] =
    [("all", RecordedReads::All), ("denied", RecordedReads::Denied)];

const SWITCH: [(&str, bool); 2] = [("off", false), ("on", true)];

const SWITCHED_ON: [(&str, bool); 2] = [("on", true), ("off", false)];

impl<'a> Reader<'a> {
    pub(super) fn audit(
        &mut self,
        section: Section<'a>,
        answer_deadline: Option<Duration>,
        has_key: bool,
    ) -> Option<AuditSettings> {
        let directory = self.path(&section, "directory", None, Use::Alone);
        let queue = self.number(&section, "queue_records_max", 1..=1_000_000, 4_096);
        let wait = self.millis(&section, "commit_wait_ms", 10..=5_000, 2_000);
        let bytes = self.number(&section, "segment_bytes_max", 65_536..=4 << 30, 64 << 20);
        let age = self.millis(&section, "segment_age_max_ms", 1_000..=31 * DAY_MS, DAY_MS);
        let wal = self.choice(&section, "wal", &SWITCHED_ON);
        let wal_bytes = self.number(&section, "wal_bytes", 1 << 20..=1 << 30, 64 << 20);
        let compress = self.choice(&section, "compress", &SWITCH);
        let days = self.optional_number(&section, "retention_days_max", 1..=36_500);
        let kept_bytes = self.optional_number(&section, "retention_bytes_max", 1 << 20..=1 << 50);
        let signing_key_file = self.optional_path(&section, "signing_key_file", Use::Alone);
        let records = self.number(&section, "checkpoint_records_max", 1..=1_000_000, 1_000);
        let interval = self.millis(&section, "checkpoint_interval_ms", 100..=DAY_MS, 60_000);
        let anchor_file = self.optional_path(&section, "anchor_file", Use::Alone);
        let command = self.anchor_command(&section);
        let strangers = self.number(&section, "strangers_per_minute_max", 0..=60_000, 60);
        let reads = self.choice(&section, "reads", &READS);
        let pseudonym_key_file = self.pseudonym_key(&section);
        let anchors = anchor_file.is_some() || command.as_ref().is_some_and(|c| !c.is_empty());
        if anchors && signing_key_file.is_none() && !has_key {
            section.refuse(
                "anchors need `audit.signing_key_file`, or a `replica.name` with which a key is made: an \
                 unsigned checkpoint proves nothing; `grantgate audit keygen` makes a key",
            );
        }
        if let (Some(file), Some(directory), Some(place)) =
            (&anchor_file, &directory, section.value("anchor_file"))
            && file.starts_with(directory)
        {
            place.refuse(
                "`audit.anchor_file` is in `audit.directory`: those who can change the log could \
                 change it too; put it elsewhere",
            );
        }
        if let (Some(bytes), Some(Some(kept))) = (bytes, kept_bytes) {
            let text = format!(
                "is less than one segment (`audit.segment_bytes_max` is {bytes}): hardly any \
                 closed segment will be kept"
            );
            self.warn(&section, "retention_bytes_max", kept < bytes, &text);
        }
        if let (Some(wait), Some(answer)) = (wait, answer_deadline) {
            let text = format!("is never reached: `limits.answer_deadline_ms` is {}", ms(answer));
            self.warn(&section, "commit_wait_ms", wait > answer, &text);
        }
        let export = self.export(section.section("export"));
        section.finish();
        Some(AuditSettings {
            directory: directory?,
            queue_records_max: usize::try_from(queue?).ok()?,
            commit_wait: wait?,
            segment_bytes_max: bytes?,
            segment_age_max: age?,
            wal_bytes: wal_bytes.filter(|_| wal == Some(true)),
            compress: compress?,
            retention_age_max: days?.map(|days| Duration::from_millis(days * DAY_MS)),
            retention_bytes_max: kept_bytes?,
            signing_key_file,
            checkpoint_records_max: records?,
            checkpoint_interval: interval?,
            anchor_file,
            anchor_command: command?,
            strangers_per_minute_max: u32::try_from(strangers?).ok()?,
            reads: reads?,
            pseudonym_key_file,
            export: export?,
        })
    }

    /// Only both together mean something.
    fn pseudonym_key(&mut self, section: &Section<'a>) -> Option<PathBuf> {
        let pseudonymise = self.choice(section, "pseudonymise", &SWITCH);
        let file = self.optional_path(section, "pseudonym_key_file", Use::Alone);
        match (pseudonymise, &file) {
            (Some(true), None) => {
                section.refuse("`audit.pseudonymise` needs `audit.pseudonym_key_file`");
            }
            (Some(false), Some(_)) => {
                section.refuse("`audit.pseudonym_key_file` needs `audit.pseudonymise` = \"on\"");
            }
            _ => {}
        }
        file
    }

    /// A program and its arguments, each an element of its own.
    fn anchor_command(&mut self, section: &Section<'a>) -> Option<Vec<String>> {
        let command = self.list(section, "anchor_command")?;
        if let Some((place, program)) = command.first()
            && !program.starts_with('/')
            && (program.is_empty() || program.contains('/'))
        {
            place.refuse(format!(
                "`{program}` of `audit.anchor_command` must be an absolute path, or the name of \
                 a program in PATH"
            ));
        }
        Some(command.into_iter().map(|(_, text)| text).collect())
    }
}
