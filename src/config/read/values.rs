//! Single values: what is asked for is known, with its default.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Reader;
use super::conflicts::NamedAddress;
use crate::config::{NamedFile, Setting};
use crate::domain::Problem;
use crate::toml_source::{Place, Section};

/// Whether another setting may name the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// PEM, of which each setting takes its own blocks.
    Pem,
    /// The file is of one setting only.
    Alone,
}

impl<'a> Reader<'a> {
    /// A setting that need not be given.
    pub(super) fn known(&mut self, section: &Section<'a>, key: &str) -> Option<Place<'a>> {
        self.known_as(section, key, None, false)
    }

    /// A setting with its default, written as in the file.
    pub(super) fn known_as(
        &mut self,
        section: &Section<'a>,
        key: &str,
        default: Option<String>,
        required: bool,
    ) -> Option<Place<'a>> {
        let (path, repeated) = (section.path_of(key), section.is_repeated());
        self.known.push(Setting { path, default, required, repeated });
        if required { section.required(key) } else { section.value(key) }
    }

    /// A variable that is not a setting's, such as those of Seam's SDKs. Empty is unset.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let text = self.environment.get(name).filter(|text| !text.is_empty())?;
        if text.trim() != text {
            let place = format!("environment variable {name}");
            let text = "has blanks or a line end around its value; take them out";
            self.source.report(Problem::of_file(place, text));
        }
        Some(text.clone())
    }

    /// A path; without default it is required.
    pub(super) fn path(
        &mut self,
        section: &Section<'a>,
        key: &str,
        default: Option<&str>,
        used: Use,
    ) -> Option<PathBuf> {
        let shown = default.map(|text| format!("\"{text}\""));
        let place = self.known_as(section, key, shown, default.is_none());
        match (place, default) {
            (Some(place), _) => self.named(section.path_of(key), &place, used),
            (None, Some(default)) => {
                let path = self.base.join(default);
                self.keep_file(section.path_of(key), &path, used, None);
                Some(path)
            }
            (None, None) => None,
        }
    }

    pub(super) fn optional_path(
        &mut self,
        section: &Section<'a>,
        key: &str,
        used: Use,
    ) -> Option<PathBuf> {
        let place = self.known(section, key)?;
        self.named(section.path_of(key), &place, used)
    }

    fn named(&mut self, setting: String, place: &Place<'a>, used: Use) -> Option<PathBuf> {
        let text = place.string()?;
        if text.is_empty() {
            place.refuse(format!("`{setting}` is empty; name a file, or leave it out"));
            return None;
        }
        if text.starts_with("seam_") && !text.contains('/') {
            // Not repeated: it ends in logs.
            place.refuse(format!(
                "`{setting}` names a file, and this looks like a key of Seam's: put the key into a \
                 file that only its owner can read, and write the file's path here (a file of such \
                 a name as `./seam_…`)"
            ));
            return None;
        }
        if text.starts_with("~/") {
            place.refuse(format!("`{text}`: `~` is not replaced here; write the whole path"));
            return None;
        }
        let path = self.base.join(text);
        self.keep_file(setting, &path, used, Some(place.clone()));
        Some(path)
    }

    fn keep_file(&mut self, setting: String, path: &Path, used: Use, place: Option<Place<'a>>) {
        let file = NamedFile { setting, path: path.to_owned(), shared: used == Use::Pem };
        self.files.push((file, place));
    }

    pub(super) fn number(
        &mut self,
        section: &Section<'a>,
        key: &str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> Option<u64> {
        let place = self.known_as(section, key, Some(default.to_string()), false);
        place.map_or(Some(default), |place| place.integer(range))
    }

    /// None where it is not set.
    pub(super) fn optional_number(
        &mut self,
        section: &Section<'a>,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Option<Option<u64>> {
        self.known(section, key).map_or(Some(None), |place| place.integer(range).map(Some))
    }

    pub(super) fn millis(
        &mut self,
        section: &Section<'a>,
        key: &str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> Option<Duration> {
        self.number(section, key, range, default).map(Duration::from_millis)
    }

    /// A list of strings, empty unless it is set.
    pub(super) fn list(
        &mut self,
        section: &Section<'a>,
        key: &str,
    ) -> Option<Vec<(Place<'a>, String)>> {
        let place = self.known_as(section, key, Some("[]".to_owned()), false);
        place.map_or(Some(Vec::new()), |place| place.strings())
    }

    /// An address to bind; `such_as` is the default unless it is optional.
    pub(super) fn address(
        &mut self,
        section: &Section<'a>,
        key: &str,
        default: &str,
    ) -> Option<SocketAddr> {
        let place = self.known_as(section, key, Some(format!("\"{default}\"")), false);
        let address = match &place {
            Some(place) => self.parse_address(place, default)?,
            None => default.parse().ok()?,
        };
        self.addresses.push(NamedAddress { setting: section.path_of(key), place, address });
        Some(address)
    }

    pub(super) fn parse_address(&mut self, place: &Place<'a>, such_as: &str) -> Option<SocketAddr> {
        let text = place.string()?;
        let Ok(address) = text.parse::<SocketAddr>() else {
            place.refuse(format!("`{text}` is not an address and port such as {such_as}"));
            return None;
        };
        if address.port() == 0 {
            self.warnings.push(place.problem(format!(
                "`{}` has port 0: each start takes another port, which only the log tells",
                place.path()
            )));
        }
        Some(address)
    }

    /// The first choice is the default.
    pub(super) fn choice<T: Copy>(
        &mut self,
        section: &Section<'a>,
        key: &str,
        of: &[(&str, T)],
    ) -> Option<T> {
        let default = of.first().map(|(name, _)| format!("\"{name}\""));
        let Some(place) = self.known_as(section, key, default, false) else {
            return of.first().map(|(_, value)| *value);
        };
        let text = place.string()?;
        let found = of.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = of.iter().map(|(name, _)| *name).collect();
            place.refuse(format!("`{}` must be one of `{}`", place.path(), names.join("`, `")));
        }
        found
    }

    /// Warns about a value that was set and does nothing.
    pub(super) fn warn(&mut self, section: &Section<'a>, key: &str, when: bool, text: &str) {
        if let Some(place) = section.value(key).filter(|_| when) {
            self.warnings.push(place.problem(format!("`{}` {text}", place.path())));
        }
    }
}
