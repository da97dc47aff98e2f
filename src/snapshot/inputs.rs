//! Reading the files of all parts, each once.

use std::collections::BTreeMap;

use aws_lc_rs::digest;

use super::bundles::{Whole, is_of_bundle};
use super::part::{PARTS, Part};
use super::source::{File, Source, Wanted};
use crate::bundle::Offer;
use crate::config::Settings;

/// What a snapshot is built from: the files of all parts, by name.
pub(super) struct Inputs(BTreeMap<String, File>);

/// SHA-256 of each part's files, and the bundle that some are of. Kept in memory only: some are
/// of secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digests {
    parts: [[u8; 32]; PARTS.len()],
    bundle: Option<Offer>,
}

impl Digests {
    fn of(&self, part: &Part) -> Option<&[u8; 32]> {
        PARTS.iter().zip(&self.parts).find(|(known, _)| known.name == part.name).map(|(_, of)| of)
    }

    /// Whether the files of this part are the same.
    pub(super) fn agree_on(&self, part: &Part, other: &Self) -> bool {
        self.of(part).is_some_and(|digest| other.of(part) == Some(digest))
    }

    /// Whether all that decides is the same.
    pub(super) fn decide_as(&self, other: &Self) -> bool {
        let mut deciding = PARTS.iter().filter(|part| part.decides);
        self.bundle == other.bundle && deciding.all(|part| self.agree_on(part, other))
    }

    /// The names of the parts whose files are not the same.
    pub(super) fn changed_from(&self, other: &Self) -> Vec<&'static str> {
        let changed = PARTS.iter().filter(|part| !self.agree_on(part, other));
        changed.map(|part| part.name).collect()
    }

    /// Whether nothing but the files of bundles is another than in `other`: they are whole.
    pub(super) fn differ_by_bundle(&self, other: &Self, settings: &Settings) -> bool {
        let mut changed = PARTS.iter().filter(|part| !self.agree_on(part, other));
        self.bundle.is_some() && changed.all(|part| (part.files)(settings).iter().all(is_of_bundle))
    }
}

impl Inputs {
    /// Reads the files of all parts; those that come in bundles from this one.
    pub(super) fn read(
        settings: &Settings,
        source: &dyn Source,
        bundle: Option<&Whole>,
    ) -> (Self, Digests) {
        let mut all = BTreeMap::new();
        let parts = PARTS.map(|part| {
            let files = read(&part, settings, source, bundle);
            let digest = digest(files.iter().map(|(_, file)| file.as_ref()));
            all.extend(files.into_iter().filter_map(|(name, file)| Some((name, file?))));
            digest
        });
        (Self(all), Digests { parts, bundle: bundle.map(Whole::offer) })
    }

    /// Reads those of one part, none of which comes in a bundle.
    pub(super) fn of_part(part: &Part, settings: &Settings, source: &dyn Source) -> Self {
        let files = read(part, settings, source, None).into_iter();
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

fn read(
    part: &Part,
    settings: &Settings,
    source: &dyn Source,
    bundle: Option<&Whole>,
) -> Vec<(String, Option<File>)> {
    let read = |wanted: &Wanted<'_>| match bundle {
        Some(bundle) if is_of_bundle(wanted) => bundle.file(wanted),
        _ => source.read(wanted),
    };
    let wanted = (part.files)(settings).into_iter();
    wanted.map(|wanted| (wanted.name.to_owned(), read(&wanted))).collect()
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
