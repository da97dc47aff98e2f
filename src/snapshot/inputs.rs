//! Reading the files of all parts, each once.

use std::collections::BTreeMap;

use aws_lc_rs::digest;

use super::part::{PARTS, Part};
use super::source::{File, Source, Wanted};
use crate::config::Settings;

/// What a snapshot is built from: the files of all parts, by name.
pub(super) struct Inputs(BTreeMap<String, File>);

/// SHA-256 of each part's files. Kept in memory only: some are of secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digests([[u8; 32]; PARTS.len()]);

impl Digests {
    fn of(&self, part: &Part) -> Option<&[u8; 32]> {
        PARTS.iter().zip(&self.0).find(|(known, _)| known.name == part.name).map(|(_, of)| of)
    }

    /// Whether the files of this part are the same.
    pub(super) fn agree_on(&self, part: &Part, other: &Self) -> bool {
        self.of(part).is_some_and(|digest| other.of(part) == Some(digest))
    }

    /// Whether all that decides is the same.
    pub(super) fn decide_as(&self, other: &Self) -> bool {
        PARTS.iter().filter(|part| part.decides).all(|part| self.agree_on(part, other))
    }

    /// The names of the parts whose files are not the same.
    pub(super) fn changed_from(&self, other: &Self) -> Vec<&'static str> {
        let changed = PARTS.iter().filter(|part| !self.agree_on(part, other));
        changed.map(|part| part.name).collect()
    }
}

impl Inputs {
    /// Reads the files of all parts.
    pub(super) fn read(settings: &Settings, source: &dyn Source) -> (Self, Digests) {
        let mut all = BTreeMap::new();
        let digests = PARTS.map(|part| {
            let files = read(&part, settings, source);
            let digest = digest(files.iter().map(|(_, file)| file.as_ref()));
            all.extend(files.into_iter().filter_map(|(name, file)| Some((name, file?))));
            digest
        });
        (Self(all), Digests(digests))
    }

    /// Reads those of one part.
    pub(super) fn of_part(part: &Part, settings: &Settings, source: &dyn Source) -> Self {
        let files = read(part, settings, source).into_iter();
        Self(files.filter_map(|(name, file)| Some((name, file?))).collect())
    }

    /// A file; none when it is not configured, or there need not be one and there is none.
    pub(super) fn file(&self, name: &str) -> Option<&File> {
        self.0.get(name)
    }

    /// Those of one part, by the last that wants them.
    pub(super) fn take_all(&mut self, wanted: &[Wanted<'_>]) -> Self {
        let names = wanted.iter().map(|wanted| wanted.name.to_owned());
        Self(names.filter_map(|name| self.0.remove_entry(&name)).collect())
    }

    /// SHA-256 of these files.
    pub(super) fn digest_of(&self, names: &[&str]) -> [u8; 32] {
        digest(names.iter().map(|name| self.file(name)))
    }

    /// The same, by the last that wants it.
    pub(super) fn take(&mut self, name: &str) -> Option<File> {
        self.0.remove(name)
    }
}

fn read(part: &Part, settings: &Settings, source: &dyn Source) -> Vec<(String, Option<File>)> {
    let wanted = (part.files)(settings).into_iter();
    wanted.map(|wanted| (wanted.name.to_owned(), source.read(&wanted))).collect()
}

/// Each file goes in with its length, and a missing one as its problem, so that no two
/// states of the files look alike.
fn digest<'a>(files: impl IntoIterator<Item = Option<&'a File>>) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for file in files {
        let (kind, bytes) = match file.map(|file| &file.bytes) {
            None => (0, Vec::new()),
            Some(Ok(bytes)) => (1, digest::digest(&digest::SHA256, bytes).as_ref().to_vec()),
            Some(Err(problem)) => (2, problem.to_string().into_bytes()),
        };
        context.update(&[kind]);
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(&bytes);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
