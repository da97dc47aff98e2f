//! `[database]` and `[replica]`.

use std::time::Duration;

use super::Reader;
use super::values::Use;
use crate::config::{DatabaseSettings, ReplicaSettings};
use crate::database::{Address, Files};
use crate::toml_source::Section;

const DAY: Duration = Duration::from_secs(86_400);

/// A name's characters: those of host names, since most are one.
const NAME_MAX: usize = 63;

impl<'a> Reader<'a> {
    /// None where no database is named.
    pub(super) fn database(&mut self, section: Section<'a>) -> Option<Option<DatabaseSettings>> {
        let place = self.known(&section, "url");
        let files = self.database_files(&section);
        let days = self.number(&section, "keep_confirmed_days", 0..=3_650, 7);
        let witness = self.number(&section, "witness_interval_s", 1..=86_400, 300);
        if place.is_none() {
            let keys = ["password_file", "ca_file", "keep_confirmed_days", "witness_interval_s"];
            if let Some(set) = keys.iter().find_map(|key| section.value(key)) {
                set.refuse(format!("`{}` needs `{}`", set.path(), section.path_of("url")));
            }
        }
        section.finish();
        if place.is_none() {
            return Some(None);
        }
        let keep_confirmed = DAY.saturating_mul(u32::try_from(days?).ok()?);
        let witness_interval = Duration::from_secs(witness?);
        Some(Some(DatabaseSettings { files: files?, keep_confirmed, witness_interval }))
    }

    /// Where the database is and how to be known there; `url` is known to be a setting.
    pub(super) fn database_files(&mut self, section: &Section<'a>) -> Option<Files> {
        let password_file = self.optional_path(section, "password_file", Use::Alone);
        let ca_file = self.optional_path(section, "ca_file", Use::Pem);
        let place = section.value("url")?;
        match Address::parse(place.string()?) {
            Ok(address) => Some(Files { address, password_file, ca_file }),
            Err(text) => {
                place.refuse(format!("`{}` {text}", place.path()));
                None
            }
        }
    }

    /// None where it is one gateway alone.
    pub(super) fn replica(
        &mut self,
        section: Section<'a>,
        has_database: bool,
    ) -> Option<Option<ReplicaSettings>> {
        let place = self.known(&section, "name");
        let name = match &place {
            Some(place) => {
                let name = place.string()?;
                if !is_name(name) {
                    place.refuse(format!(
                        "`{}` must be 1 to {NAME_MAX} letters, digits, dots and hyphens",
                        place.path()
                    ));
                    return None;
                }
                Some(name.to_owned())
            }
            None if has_database => {
                section.refuse(
                    "`[database]` needs `replica.name`, by which people know this gateway, such as \
                     its host's name",
                );
                return None;
            }
            None => None,
        };
        section.finish();
        Some(name.map(|name| ReplicaSettings { name }))
    }
}

fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    (1..=NAME_MAX).contains(&text.len()) && text.chars().all(is_part)
}
