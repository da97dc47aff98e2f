//! Where the bytes of a snapshot's files come from.

use std::path::Path;

use zeroize::Zeroizing;

use crate::domain::Problem;
use crate::files::{read_plain, read_secret};

/// A file's bytes, or why there are none.
pub type Bytes = Result<Zeroizing<Vec<u8>>, Problem>;

/// A file that a part is made from.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'s> {
    /// Its name among the files of all parts. A source that has no paths knows it by this.
    pub name: &'s str,
    /// Where the settings say that it is.
    pub path: &'s Path,
    /// Whether it holds a secret: then not everybody may be able to read it.
    pub is_secret: bool,
    /// Whether there need not be such a file.
    pub is_optional: bool,
}

/// A file that a source gave.
#[derive(Debug, Clone)]
pub struct File {
    /// What messages call it.
    pub shown: String,
    /// What it holds.
    pub bytes: Bytes,
}

/// Gives the bytes of files. What it gives is of one moment, or it tells of a change: a
/// snapshot is made from all of its files together.
pub trait Source: Send + Sync {
    /// Reads a file once; `None` when there need not be one, and there is none.
    fn read(&self, wanted: &Wanted<'_>) -> Option<File>;

    /// The path at which it shows that a file has changed, when there is such a path.
    fn watched<'s>(&self, wanted: &Wanted<'s>) -> Option<&'s Path>;
}

/// Files of this machine, where the settings say that they are.
#[derive(Debug, Clone, Copy)]
pub struct Files;

impl Source for Files {
    fn read(&self, wanted: &Wanted<'_>) -> Option<File> {
        let path = wanted.path;
        if wanted.is_optional && !path.exists() {
            return None;
        }
        let bytes = if wanted.is_secret { read_secret(path) } else { read_plain(path) };
        Some(File { shown: path.display().to_string(), bytes })
    }

    fn watched<'s>(&self, wanted: &Wanted<'s>) -> Option<&'s Path> {
        Some(wanted.path)
    }
}

/// A part looks for a file that it does not list, or that its source left out.
pub(super) fn not_read(name: &str) -> Problem {
    Problem::of_file(name, "was not read")
}

impl<'s> Wanted<'s> {
    /// A file that everybody may read.
    pub(super) fn plain(name: &'s str, path: &'s Path) -> Self {
        Self { name, path, is_secret: false, is_optional: false }
    }

    /// A file that holds a secret.
    pub(super) fn secret(name: &'s str, path: &'s Path) -> Self {
        Self { is_secret: true, ..Self::plain(name, path) }
    }

    /// A file that there need not be.
    pub(super) fn optional(name: &'s str, path: &'s Path) -> Self {
        Self { is_optional: true, ..Self::plain(name, path) }
    }
}
