//! The file that names a database for the command line.

use std::path::{Path, PathBuf};

use reqwest::Url;

use super::Reader;
use super::environment::Environment;
use super::policy::read_trust;
use super::urls::exact_url;
use super::values::Use;
use crate::bundle::Trust;
use crate::database::Files;
use crate::domain::Problem;
use crate::files::read_plain;
use crate::toml_source::{Place, Section, TomlSource};

/// What the file says.
#[derive(Debug)]
pub struct Desk {
    /// Where the database is, and how to be known there.
    pub files: Files,
    /// Whose signatures count, where the file says so.
    pub trust: Option<Trust>,
    /// Where signed orders go as well.
    pub direct: Option<DirectFiles>,
}

/// `[direct]`: gateways that are told themselves what is ordered.
#[derive(Debug)]
pub struct DirectFiles {
    /// Their remote admin listeners.
    pub gateways: Vec<Url>,
    /// Whose certificates they have, unless the machine trusts those.
    pub ca_file: Option<PathBuf>,
    /// As whom they are told: the chain.
    pub certificate_file: PathBuf,
    /// And its key.
    pub private_key_file: PathBuf,
}

/// Reads such a file.
///
/// # Errors
/// Every problem, in the order of the file.
pub fn read_desk(file: &Path) -> Result<Desk, Vec<Problem>> {
    let bytes = read_plain(file).map_err(|problem| vec![problem])?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| vec![Problem::of_file(file.display().to_string(), "is not UTF-8")])?;
    load_desk(file, text)
}

/// Reads what `[database]` has, on its own, `[bundle]` with what `[policy.bundle]` has about
/// signatures, and `[direct]`.
///
/// # Errors
/// Every problem, in the order of the file.
pub fn load_desk(file: &Path, text: &str) -> Result<Desk, Vec<Problem>> {
    let name = file.display().to_string();
    let source = TomlSource::parse(name, text.to_owned()).map_err(|problem| vec![problem])?;
    let (base, environment) = (file.parent().unwrap_or(Path::new("")), Environment::new());
    let mut reader = Reader::new(&source, base, &environment);
    let root = source.root();
    reader.known_as(&root, "url", None, true);
    let files = reader.database_files(&root);
    let bundle = root.section("bundle");
    let trust = read_trust(&mut reader, &bundle, false);
    bundle.finish();
    let direct = reader.direct(root.section("direct"));
    root.finish();
    let problems = source.into_problems();
    match (files, trust, direct) {
        (Some(files), Some(trust), Some(direct)) if problems.is_empty() => {
            Ok(Desk { files, trust, direct })
        }
        _ => Err(problems),
    }
}

impl<'a> Reader<'a> {
    /// None where there is none.
    fn direct(&mut self, section: Section<'a>) -> Option<Option<DirectFiles>> {
        let gateways = self.known(&section, "gateways");
        let ca_file = self.optional_path(&section, "ca_file", Use::Pem);
        let certificate_file = self.optional_path(&section, "certificate_file", Use::Pem);
        let private_key_file = self.optional_path(&section, "private_key_file", Use::Pem);
        let found = match (gateways, certificate_file, private_key_file) {
            (None, None, None) if ca_file.is_none() => Some(None),
            (Some(place), Some(certificate_file), Some(private_key_file)) => gateways_of(&place)
                .map(|gateways| {
                    Some(DirectFiles { gateways, ca_file, certificate_file, private_key_file })
                }),
            _ => {
                section.refuse(
                    "`direct` needs `gateways`, `certificate_file` and `private_key_file`: remote admin \
                     listeners ask for a certificate",
                );
                None
            }
        };
        section.finish();
        found
    }
}

/// At least one, and each by TLS.
fn gateways_of(place: &Place<'_>) -> Option<Vec<Url>> {
    const SUCH_AS: &str = "\"https://north-1.example:9443\"";
    let mut gateways = Vec::new();
    for (one, _) in place.strings()? {
        let url = exact_url(&one, SUCH_AS)?;
        let is_bare = url.username().is_empty() && url.password().is_none() && url.path() == "/";
        let ends = url.query().is_none() && url.fragment().is_none();
        if url.scheme() != "https" || !is_bare || !ends {
            one.refuse(format!("`{}` must be `https://host[:port]`, and nothing more", one.path()));
            return None;
        }
        gateways.push(url);
    }
    if gateways.is_empty() {
        place.refuse(format!("`{}` names no gateway; name one such as {SUCH_AS}", place.path()));
        return None;
    }
    Some(gateways)
}
