//! Files that are there after a crash, whole, or are not there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, OFlags, StatxFlags, statx};
use rustix::io::Errno;

use super::read::{nonblocking, not_regular};

/// Writes a file in a directory of our own: `write` fills `making`, which is then made
/// durable (mode 0600) and takes the name `place`. If the process dies before the end, what
/// had that name is still there, or the new file is. After an error `making` is gone.
///
/// # Errors
/// Of the operating system and of `write`.
pub fn install<T>(
    making: &Path,
    place: &Path,
    write: impl FnOnce(&mut File) -> io::Result<T>,
) -> io::Result<T> {
    let mut options = OpenOptions::new();
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    options.create(true).truncate(true).read(true).write(true).mode(0o600).custom_flags(no_link);
    let mut file = options.open(making)?;
    let written = write(&mut file).and_then(|written| {
        file.sync_all()?;
        std::fs::rename(making, place)?;
        Ok(written)
    });
    let written = written.inspect_err(|_| {
        let _ = std::fs::remove_file(making);
    })?;
    sync_directory(parent(place))?;
    Ok(written)
}

/// Makes a file that must not exist yet, durably. One that could not be written whole is
/// taken away again.
///
/// # Errors
/// Of the operating system; [`io::ErrorKind::AlreadyExists`].
pub fn create_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.create_new(true).write(true).mode(mode).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })?;
    sync_directory(parent(path))
}

/// Opens a regular file to add to its end; one that does not exist is made (mode 0600), and
/// its name is durable.
///
/// # Errors
/// Of the operating system; [`io::ErrorKind::InvalidInput`] for what is not a regular file.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    let is_new = !path.exists();
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(nonblocking());
    let file = options.open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() {
        return Err(not_regular(kind));
    }
    if is_new {
        sync_directory(parent(path))?;
    }
    Ok(file)
}

/// Opens a regular file of our own, which is no link, to write within it.
///
/// # Errors
/// Of the operating system; [`io::ErrorKind::InvalidInput`] for what is not a regular file.
pub fn open_to_overwrite(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = nonblocking() | i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let file = options.read(true).write(true).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() { Ok(file) } else { Err(not_regular(kind)) }
}

/// How many names an open file has, and its length in bytes.
///
/// Of the file's times nothing is asked: from Linux 6.13 on who asks for them makes the next
/// write change them on the disk as well, so that each durable write would be two.
///
/// # Errors
/// What the operating system says.
pub fn names_and_length(file: &File) -> io::Result<(u64, u64)> {
    let wanted = StatxFlags::NLINK | StatxFlags::SIZE;
    match statx(file, c"", AtFlags::EMPTY_PATH, wanted) {
        Ok(found) => Ok((u64::from(found.stx_nlink), found.stx_size)),
        // An older kernel, or a sandbox that does not know the call.
        Err(Errno::NOSYS) => file.metadata().map(|found| (found.nlink(), found.len())),
        Err(error) => Err(error.into()),
    }
}

/// Makes names in a directory durable.
///
/// # Errors
/// Of the operating system.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The directory that a file's name is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_its_place_only_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (making, place) = (directory.path().join("making"), directory.path().join("place"));
        install(&making, &place, |file| file.write_all(b"one")).unwrap();
        let failed = install(&making, &place, |file| {
            file.write_all(b"half")?;
            Err::<(), _>(io::Error::other("full"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&place).unwrap(), b"one");
        assert!(!making.exists());
        std::fs::write(&making, "rest").unwrap();
        // What an earlier try left is no hindrance, and no link is followed.
        assert_eq!(install(&making, &place, |file| file.write(b"two")).unwrap(), 3);
        assert_eq!(std::fs::read(&place).unwrap(), b"two");
        std::os::unix::fs::symlink(&place, &making).unwrap();
        assert!(install(&making, &place, |file| file.write_all(b"three")).is_err());
        assert_eq!(std::fs::read(&place).unwrap(), b"two");
    }

    #[test]
    fn a_new_file_never_overwrites_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        create_new(&path, b"one", 0o600).unwrap();
        let error = create_new(&path, b"two", 0o600).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path().join("fresh"), &link).unwrap();
        assert!(create_new(&link, b"two", 0o600).is_err(), "a link counts as a file");
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
    }
}
