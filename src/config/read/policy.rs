//! `[policy]`, `[policy.bundle]` and `[callers]`: where what is judged by comes from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Reader;
use super::values::Use;
use crate::bundle::{FileName, Trust, TrustError, is_name};
use crate::config::BundleSettings;
use crate::note::VerifierKey;
use crate::toml_source::{Place, Section};

/// Where the verified copy of the bundle in force is found.
const IN_FORCE: &str = "current";

/// The files of a policy.
pub(super) struct PolicyFiles {
    pub(super) model: PathBuf,
    pub(super) rules: PathBuf,
    pub(super) candidate: Option<PathBuf>,
    pub(super) entrances: PathBuf,
    pub(super) callers: PathBuf,
    pub(super) bundle: Option<BundleSettings>,
}

impl PolicyFiles {
    fn of_bundle(bundle: BundleSettings) -> Self {
        let in_force = bundle.directory.join(IN_FORCE);
        let file = |name: FileName| in_force.join(name.as_str());
        Self {
            model: file(FileName::Model),
            rules: file(FileName::Rules),
            candidate: Some(file(FileName::Candidate)),
            entrances: file(FileName::Entrances),
            callers: file(FileName::Callers),
            bundle: Some(bundle),
        }
    }
}

impl<'a> Reader<'a> {
    /// Files that the settings name, or those of a bundle.
    pub(super) fn policy(
        &mut self,
        section: Section<'a>,
        callers: Section<'a>,
    ) -> Option<PolicyFiles> {
        let bundle = self.bundle(section.section("bundle"));
        let set = |section: &Section<'a>, key: &str| section.value(key);
        let named = ["model_file", "rules_file", "candidate_rules_file", "entrances_file"];
        let mut named: Vec<Place<'a>> = named.iter().filter_map(|key| set(&section, key)).collect();
        named.extend(set(&callers, "file"));
        let model = self.path(&section, "model_file", Some("policies/model.conf"), Use::Alone);
        let rules = self.path(&section, "rules_file", Some("policies/policy.csv"), Use::Alone);
        let candidate = self.optional_path(&section, "candidate_rules_file", Use::Alone);
        let entrances = Some("policies/entrances.csv");
        let entrances = self.path(&section, "entrances_file", entrances, Use::Alone);
        section.finish();
        let callers_file = self.path(&callers, "file", Some("callers.toml"), Use::Alone);
        callers.finish();
        match bundle? {
            None => Some(PolicyFiles {
                model: model?,
                rules: rules?,
                candidate,
                entrances: entrances?,
                callers: callers_file?,
                bundle: None,
            }),
            Some(bundle) => {
                for place in named {
                    place.refuse(format!(
                        "`{}` does nothing beside `[policy.bundle]`: the file is in the bundle",
                        place.path()
                    ));
                }
                Some(PolicyFiles::of_bundle(bundle))
            }
        }
    }

    /// None where policies are files.
    fn bundle(&mut self, section: Section<'a>) -> Option<Option<BundleSettings>> {
        let directory = self.known_as(&section, "directory", Some("\"bundles\"".into()), false);
        let seed_directory = self.optional_path(&section, "seed_directory", Use::Alone);
        let isolation = self.optional_number(&section, "isolation_max_s", 5..=604_800);
        let keys = ["directory", "seed_directory", "isolation_max_s"];
        let is_set = keys.iter().any(|key| section.has(key));
        let trust = read_trust(self, &section, is_set);
        section.finish();
        let directory = match &directory {
            Some(place) => self.base.join(place.string()?),
            None => self.base.join("bundles"),
        };
        let isolation_max = isolation?.map(Duration::from_secs);
        Some(trust?.map(|trust| BundleSettings { trust, directory, seed_directory, isolation_max }))
    }
}

/// Whose signatures count.
fn trust<'a>(
    section: &Section<'a>,
    name: &Place<'a>,
    keys: &[(Place<'a>, String)],
    min: &Place<'a>,
) -> Option<Trust> {
    let text = name.string()?;
    if !is_name(text) {
        name.refuse(format!("`{}` must be a name such as `example.org/doors`", name.path()));
        return None;
    }
    let mut known = Vec::new();
    for (place, text) in keys {
        match VerifierKey::parse(text) {
            Ok(key) => known.push(key),
            Err(error) => {
                place.refuse(format!("a key of `{}` is {error}", section.path_of("keys")))
            }
        }
    }
    if keys.is_empty() {
        section.refuse(format!("`{}` names no key", section.path_of("keys")));
    }
    if known.is_empty() || known.len() != keys.len() {
        return None;
    }
    let count = usize::try_from(min.integer(1..=64)?).ok()?;
    match Trust::new(text.to_owned(), known, count) {
        Ok(trust) => Some(trust),
        Err(error @ TrustError::Same(..)) => {
            section.refuse(error.to_string());
            None
        }
        Err(error @ TrustError::SignaturesMin(_)) => {
            min.refuse(format!("`{}` {error}", min.path()));
            None
        }
    }
}

/// Reads whose signatures count; none where nothing says so, which is wrong where it is needed.
pub(super) fn read_trust<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    is_needed: bool,
) -> Option<Option<Trust>> {
    let [name, keys, min] =
        ["name", "keys", "signatures_min"].map(|key| reader.known(section, key));
    match (name, keys, min) {
        (None, None, None) if !is_needed => Some(None),
        (Some(name), Some(keys), Some(min)) => {
            trust(section, &name, &keys.strings()?, &min).map(Some)
        }
        (name, keys, _) => {
            let missing = match (name, keys) {
                (None, _) => "name",
                (Some(_), None) => "keys",
                (Some(_), Some(_)) => "signatures_min",
            };
            section.refuse(format!("`{}` is missing", section.path_of(missing)));
            None
        }
    }
}

/// The link to what is in force, in a directory of bundles.
#[must_use]
pub fn in_force(directory: &Path) -> PathBuf {
    directory.join(IN_FORCE)
}
