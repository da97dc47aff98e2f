//! Directories of our own that are there whole or not at all, and a link that names one of them.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::durable::{create_new, parent, sync_directory};

/// Makes a directory with these files, durably; what had its name is removed. If the process dies
/// before the end there is what was there, or all of it.
///
/// # Errors
/// Of the operating system.
pub fn install_directory(place: &Path, files: &[(&str, &[u8])]) -> io::Result<()> {
    let making = beside(place);
    remove(&making)?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&making)?;
    for (name, bytes) in files {
        create_new(&making.join(name), bytes, 0o600)?;
    }
    sync_directory(&making)?;
    match renameat_with(CWD, &making, CWD, place, RenameFlags::EXCHANGE) {
        Ok(()) => {}
        Err(Errno::NOENT) => std::fs::rename(&making, place)?,
        // A file system that cannot: for a moment there is nothing.
        Err(Errno::INVAL | Errno::NOSYS) => {
            remove(place)?;
            std::fs::rename(&making, place)?;
        }
        Err(error) => return Err(error.into()),
    }
    sync_directory(parent(place))?;
    remove(&making)
}

/// Lets a link name something else in its directory, in one step.
///
/// # Errors
/// Of the operating system; [`io::ErrorKind::AlreadyExists`] where there is something else than a
/// link.
pub fn point(link: &Path, target: &str) -> io::Result<()> {
    if link.symlink_metadata().is_ok_and(|found| !found.is_symlink()) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let making = beside(link);
    remove(&making)?;
    std::os::unix::fs::symlink(target, &making)?;
    std::fs::rename(&making, link)?;
    sync_directory(parent(link))
}

/// Removes a directory and what is in it, or a link.
///
/// # Errors
/// Of the operating system.
pub fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Where something is made before it takes its name.
fn beside(place: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(place.file_name().unwrap_or_default());
    name.push(".new");
    parent(place).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_there_whole_and_a_link_names_it() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        // What an earlier try left is no hindrance.
        std::fs::create_dir(at(".43.new")).unwrap();
        std::fs::write(at(".43.new/rest"), "").unwrap();
        install_directory(&at("43"), &[("a", b"one"), ("b", b"two")]).unwrap();
        install_directory(&at("43"), &[("a", b"three")]).unwrap();
        assert_eq!(std::fs::read(at("43/a")).unwrap(), b"three");
        assert_eq!(std::fs::read_dir(at("43")).unwrap().count(), 1);
        assert!(!at(".43.new").exists());
        for target in ["42", "43"] {
            point(&at("current"), target).unwrap();
            assert_eq!(std::fs::read_link(at("current")).unwrap(), Path::new(target));
        }
        assert_eq!(std::fs::read(at("current/a")).unwrap(), b"three");
        let error = point(&at("43"), "42").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        remove(&at("current")).unwrap();
        assert!(at("43").exists());
    }
}
