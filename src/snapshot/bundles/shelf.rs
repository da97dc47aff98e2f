//! Verified copies of bundles: a directory each, by number, and a link to the one in force.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Whole;
use crate::bundle::{Contents, Offer, Signed, Trust};
use crate::config::in_force;
use crate::domain::Problem;
use crate::files::{install_directory, point, read_plain, remove};

/// The text and its signatures.
const NOTE: &str = "bundle";

/// Copies that are kept besides the one in force.
const BEFORE_MAX: usize = 4;

/// A directory of bundles.
pub(super) struct Shelf(PathBuf);

fn problem(path: &Path, text: impl std::fmt::Display) -> Problem {
    Problem::of_file(path.display().to_string(), text.to_string())
}

/// Writes a bundle as a directory of files.
///
/// # Errors
/// Of the operating system.
pub fn write(place: &Path, signed: &Signed, contents: &Contents) -> Result<(), Problem> {
    let mut files = vec![(NOTE, signed.note.as_bytes())];
    files.extend(contents.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    install_directory(place, &files)
        .map_err(|error| problem(place, format_args!("cannot be written: {error}")))
}

/// Reads a bundle from a directory of files, and verifies all of it.
pub(super) fn read(directory: &Path, trust: &Trust) -> Result<Whole, Problem> {
    let path = directory.join(NOTE);
    let note = read_plain(&path)?;
    let note = std::str::from_utf8(&note).map_err(|_| problem(&path, "is not UTF-8"))?;
    let signed = trust.accept(note).map_err(|error| problem(&path, error))?;
    let mut contents = Contents::new();
    for entry in &signed.bundle.files {
        let bytes = std::mem::take(&mut *read_plain(&directory.join(entry.name.as_str()))?);
        contents.insert(entry.name, bytes);
    }
    signed.bundle.check(&contents).map_err(|error| problem(directory, error))?;
    Ok(Whole { signed, contents, directory: directory.to_owned() })
}

impl Shelf {
    pub(super) const fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Whether one is in force.
    pub(super) fn has_current(&self) -> Result<bool, Problem> {
        let link = in_force(&self.0);
        match std::fs::read_link(&link) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(problem(
                &link,
                format_args!(
                    "is no link to a bundle: {error}; remove it, and \
                 the next start takes the newest bundle from the database"
                ),
            )),
        }
    }

    /// The one in force, when the process before ended.
    pub(super) fn current(&self, trust: &Trust) -> Result<Option<Whole>, Problem> {
        if !self.has_current()? {
            return Ok(None);
        }
        let link = in_force(&self.0);
        let target = std::fs::read_link(&link).map_err(|error| problem(&link, error))?;
        let whole = read(&self.0.join(&target), trust)?;
        // A link to an older one would bring it back.
        let number = whole.offer().number.to_string();
        match target == Path::new(&number) {
            true => Ok(Some(whole)),
            false => Err(problem(
                &link,
                format_args!("leads to bundle {number}, whose place is `{number}`"),
            )),
        }
    }

    /// The copy of a bundle, where there is a good one.
    pub(super) fn find(&self, offer: Offer, trust: &Trust) -> Option<Whole> {
        let found = read(&self.place(offer.number), trust).ok()?;
        (found.offer() == offer).then_some(found)
    }

    /// The newest copy of which none was in force yet: of a first start.
    pub(super) fn newest(&self, trust: &Trust) -> Option<Whole> {
        let mut numbers = self.numbers();
        numbers.sort_unstable();
        numbers.into_iter().rev().find_map(|number| read(&self.place(number), trust).ok())
    }

    fn place(&self, number: u64) -> PathBuf {
        self.0.join(number.to_string())
    }

    fn numbers(&self) -> Vec<u64> {
        let names = std::fs::read_dir(&self.0).into_iter().flatten();
        names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
    }

    /// Keeps a verified bundle, whose files are looked at here. A good copy stays as it is: it may be
    /// the one that the next start begins with.
    pub(super) fn put(
        &self,
        signed: Signed,
        contents: Contents,
        trust: &Trust,
    ) -> Result<Whole, Problem> {
        let directory = self.place(signed.bundle.number);
        signed.bundle.check(&contents).map_err(|error| problem(&directory, error))?;
        if self.find(signed.offer(), trust).is_none() {
            write(&directory, &signed, &contents)?;
        }
        Ok(Whole { signed, contents, directory })
    }

    /// Makes it the one that a start begins with. Old ones are removed.
    pub(super) fn point_to(&self, whole: &Whole, trust: &Trust) -> Result<(), Problem> {
        let link = in_force(&self.0);
        let target = whole.offer().number.to_string();
        let place = self.place(whole.offer().number);
        let is_kept = place == whole.directory || self.find(whole.offer(), trust).is_some();
        if is_kept && std::fs::read_link(&link).is_ok_and(|now| now == Path::new(&target)) {
            return Ok(());
        }
        if !is_kept {
            // It is elsewhere: the one to begin with.
            write(&place, &whole.signed, &whole.contents)?;
        }
        point(&link, &target)
            .map_err(|error| problem(&link, format_args!("cannot be written: {error}")))?;
        self.tidy(whole.offer().number);
        Ok(())
    }

    /// What cannot be removed is in nobody's way.
    fn tidy(&self, current: u64) {
        let mut before = self.numbers();
        before.retain(|number| *number < current);
        before.sort_unstable_by(|one, other| other.cmp(one));
        for number in before.into_iter().skip(BEFORE_MAX) {
            if let Err(error) = remove(&self.0.join(number.to_string())) {
                tracing::warn!(number, %error, "an old bundle is not removed");
            }
        }
    }
}
