//! Where names lead: every link on the way to a file, and the file at its end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::files::LINKS_MAX;

/// What decides which bytes some paths lead to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct WatchPoints {
    /// Directories on the way, and the names in them that count: of links, of the files
    /// themselves, and of what is missing. Of those without a name only their own counts.
    pub(super) names: BTreeMap<PathBuf, BTreeSet<OsString>>,
    /// The files at the end.
    pub(super) files: BTreeSet<PathBuf>,
}

impl WatchPoints {
    /// Follows each of the paths, as far as there is something.
    pub(super) fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut points = Self::default();
        for path in paths {
            if let Ok(path) = std::path::absolute(path) {
                points.follow(&path);
            }
        }
        points
    }

    fn follow(&mut self, path: &Path) {
        let mut left: VecDeque<OsString> = parts(path).collect();
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let here = at.join(&name);
            match std::fs::read_link(&here) {
                Ok(target) if links < LINKS_MAX => {
                    links += 1;
                    self.name(&at, name);
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                        left.push_front(part);
                    }
                }
                // Not a link.
                Err(error) if error.kind() == ErrorKind::InvalidInput => {
                    if left.is_empty() {
                        self.name(&at, name);
                        self.files.insert(here);
                        return;
                    }
                    at = here;
                    // It may be moved away, and another put in its place.
                    self.names.entry(at.clone()).or_default();
                }
                // Missing, it may come; what cannot be looked into is looked at now and then.
                _ => return self.name(&at, name),
            }
        }
    }

    fn name(&mut self, directory: &Path, name: OsString) {
        self.names.entry(directory.to_owned()).or_default().insert(name);
    }
}

/// The parts of a path that are names, or lead up.
fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_link_on_the_way_counts_and_so_does_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let path = |name: &str| root.join(name);
        std::fs::create_dir_all(path("releases/1")).unwrap();
        std::fs::write(path("releases/1/policy.csv"), "").unwrap();
        symlink("releases/1", path("current")).unwrap();
        std::fs::create_dir(path("etc")).unwrap();
        symlink("../current/policy.csv", path("etc/policy.csv")).unwrap();
        symlink(path("none"), path("etc/gone")).unwrap();
        symlink("loop", path("etc/loop")).unwrap();
        let all = ["etc/policy.csv", "etc/gone", "etc/loop", "etc/./missing/deep"].map(path);
        let points = WatchPoints::of(all.iter().map(PathBuf::as_path));
        let names = |list: &[&str]| list.iter().map(OsString::from).collect::<BTreeSet<_>>();
        let expected = [
            (root.clone(), names(&["current", "none"])),
            (path("etc"), names(&["policy.csv", "gone", "loop", "missing"])),
            (path("releases/1"), names(&["policy.csv"])),
        ];
        let on_the_way = [&*root, &path("etc"), &path("releases"), &path("releases/1")];
        assert!(on_the_way.iter().all(|directory| points.names.contains_key(*directory)));
        let with_names = points.names.into_iter().filter(|(_, names)| !names.is_empty());
        assert_eq!(with_names.collect::<BTreeMap<_, _>>(), expected.into());
        assert_eq!(points.files, [path("releases/1/policy.csv")].into());
    }
}
