//! Replacing a configuration file that somebody may be reading.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::durable::{parent, sync_directory};
use super::read::{not_regular, open_file};

/// Links that are followed, as many as Linux follows (path_resolution(7)).
pub const LINKS_MAX: usize = 40;

/// How long a lock is waited for, and between two looks.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_LOOK: Duration = Duration::from_millis(50);

/// What was replaced.
#[derive(Debug)]
pub struct Replaced {
    /// The file that has the new bytes: where the links of the given path lead.
    pub file: PathBuf,
    /// Other names of the file before (hard links); they keep the old bytes.
    pub other_names: u64,
}

/// Puts `bytes` in the place of what `path` holds, or of what it leads to. A reader sees
/// the old file or the new one, and a crash leaves one of them. Owner and mode of the old
/// file stay; a file that is new gets `mode`, less the umask.
///
/// # Errors
/// Of the operating system; [`io::ErrorKind::PermissionDenied`] when owner and group cannot be
/// kept; [`io::ErrorKind::InvalidInput`] when the place is taken by
/// something that is not a regular file. Nothing is changed then.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Replaced> {
    let file = destination(path)?;
    let before = regular(&file)?;
    let like = before.as_ref().map(Like::of);
    put(&file, bytes, mode, like)?;
    let names = before.map_or(1, |metadata| metadata.nlink());
    Ok(Replaced { file, other_names: names.saturating_sub(1) })
}

/// Puts what `from` holds, with its owner and mode, in the place of `to`, as [`replace`]
/// does.
///
/// # Errors
/// As [`replace`], and of reading `from`.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = open_file(from)?;
    let like = Like::of(&source.metadata()?);
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut source, &mut bytes)?;
    let file = destination(to)?;
    regular(&file)?;
    put(&file, &bytes, like.permissions.mode(), Some(like))
}

/// Keeps other commands from editing files of the same directory, while the value lives: each
/// reads a file, changes it and replaces it, and of two at once one would be lost. Waits for
/// ten seconds.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] after that; of the operating system.
pub fn lock(path: &Path) -> io::Result<Option<File>> {
    lock_within(path, LOCK_WAIT)
}

/// The same; waits for no longer than this.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] after that; of the operating system.
pub fn lock_within(path: &Path, wait: Duration) -> io::Result<Option<File>> {
    let directory = File::open(parent(&destination(path)?))?;
    let since = Instant::now();
    loop {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(directory)),
            Err(Errno::WOULDBLOCK) if since.elapsed() < wait => {
                std::thread::park_timeout(LOCK_LOOK);
            }
            Err(Errno::WOULDBLOCK) => break,
            // A file system that has no locks of directories, as some over a network.
            Err(_) => return Ok(None),
        }
    }
    let text = format!(
        "another command has been editing files of its directory for {} seconds; try again",
        wait.as_secs()
    );
    Err(io::Error::new(io::ErrorKind::WouldBlock, text))
}

/// Whose a file is and who may do what with it.
struct Like {
    owner: (u32, u32),
    permissions: Permissions,
}

impl Like {
    fn of(metadata: &Metadata) -> Self {
        Self { owner: (metadata.uid(), metadata.gid()), permissions: metadata.permissions() }
    }

    /// Gives a new file the same owner, group and mode. Only root may give files away, and
    /// others only to their own groups: without both, those who read the file now, such as a
    /// running gateway, might not be able to read the new one.
    fn give(&self, file: &File) -> io::Result<()> {
        let (user, group) = self.owner;
        let is_same = |metadata: Metadata| (metadata.uid(), metadata.gid()) == self.owner;
        let _ = fchown(file, None, Some(group));
        let _ = fchown(file, Some(user), None);
        if !is_same(file.metadata()?) {
            let text = format!(
                "belongs to user {user} and group {group}, which the new file could not be given \
                 to: those who read it now might not be able to any more; run this as that user \
                 or as root"
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        file.set_permissions(self.permissions.clone())
    }
}

fn put(file: &Path, bytes: &[u8], mode: u32, like: Option<Like>) -> io::Result<()> {
    let directory = parent(file);
    let mut builder = tempfile::Builder::new();
    let mut new = builder.permissions(Permissions::from_mode(mode)).tempfile_in(directory)?;
    new.write_all(bytes)?;
    if let Some(like) = like {
        like.give(new.as_file())?;
    }
    // Crash before here: the old file, and a temporary one beside it.
    new.as_file().sync_all()?;
    new.persist(file).map_err(|failed| explained(failed.error))?;
    // Crash before here: the old file or the new one.
    sync_directory(directory)
}

/// A mount point cannot be renamed over (rename(2), EBUSY): a file that is mounted by
/// itself into a container is one.
fn explained(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::ResourceBusy {
        return error;
    }
    let text = "is a mount point, which cannot be replaced: mount its directory instead of the \
                file, or edit the file where it is mounted from";
    io::Error::new(io::ErrorKind::ResourceBusy, text)
}

/// Where the links of `path` lead, also when there is no file yet.
fn destination(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match std::fs::read_link(&path) {
            Ok(target) => path = parent(&path).join(target),
            // Not a link (EINVAL), or nothing is there.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
                ) =>
            {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("leads through too many links"))
}

/// What is there, which must be a regular file; none when nothing is.
fn regular(file: &Path) -> io::Result<Option<Metadata>> {
    let metadata = match std::fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    let kind = metadata.file_type();
    if kind.is_file() { Ok(Some(metadata)) } else { Err(not_regular(kind)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_mode_of_an_old_file_stays_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(mode(&path), 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let replaced = replace(&path, b"newer", 0o600).unwrap();
        assert_eq!((replaced.file, replaced.other_names), (path.clone(), 0));
        assert_eq!((std::fs::read(&path).unwrap().as_slice(), mode(&path)), (&b"newer"[..], 0o640));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(replace(&directory.path().join("none/file"), b"", 0o600).is_err());
    }

    #[test]
    fn what_a_link_leads_to_is_replaced_and_the_link_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::create_dir(path("shared")).unwrap();
        std::fs::write(path("shared/real"), "old").unwrap();
        // Relative, absolute, and through a link to a directory.
        symlink("shared/real", path("one")).unwrap();
        symlink(path("one"), path("two")).unwrap();
        symlink("shared", path("dir")).unwrap();
        symlink("dir/real", path("three")).unwrap();
        for (name, text) in [("one", "1"), ("two", "2"), ("three", "3")] {
            replace(&path(name), text.as_bytes(), 0o600).unwrap();
            assert_eq!(std::fs::read_to_string(path("shared/real")).unwrap(), text);
            assert!(path(name).is_symlink(), "{name}");
        }
        assert_eq!(std::fs::read_dir(path("shared")).unwrap().count(), 1);
        // A link that leads to nothing yet.
        symlink("shared/fresh", path("four")).unwrap();
        replace(&path("four"), b"4", 0o600).unwrap();
        assert_eq!(std::fs::read(path("shared/fresh")).unwrap(), b"4");
        symlink("loop", path("loop")).unwrap();
        let error = replace(&path("loop"), b"", 0o600).unwrap_err();
        assert!(error.to_string().contains("too many links"), "{error}");
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_and_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let link = directory.path().join("link");
        symlink(&pipe, &link).unwrap();
        for path in [&pipe, &link] {
            let error = replace(path, b"x", 0o600).unwrap_err().to_string();
            assert_eq!(error, "is a pipe, not a regular file");
        }
        use std::os::unix::fs::FileTypeExt as _;
        assert!(std::fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
        let socket = directory.path().join("socket");
        let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = replace(&socket, b"x", 0o600).unwrap_err().to_string();
        assert_eq!(error, "is a socket, not a regular file");
        let error = replace(directory.path(), b"x", 0o600).unwrap_err().to_string();
        assert_eq!(error, "is a directory, not a regular file");
    }

    #[test]
    fn other_names_of_the_file_are_told_of() {
        let directory = tempfile::tempdir().unwrap();
        let (file, other) = (directory.path().join("file"), directory.path().join("other"));
        std::fs::write(&file, "old").unwrap();
        std::fs::hard_link(&file, &other).unwrap();
        assert_eq!(replace(&file, b"new", 0o600).unwrap().other_names, 1);
        assert_eq!(std::fs::read(&other).unwrap(), b"old");
    }

    #[test]
    fn a_copy_has_the_mode_of_what_it_is_of() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("from"), "text").unwrap();
        std::fs::set_permissions(path("from"), Permissions::from_mode(0o604)).unwrap();
        symlink("from", path("link")).unwrap();
        copy(&path("link"), &path("to")).unwrap();
        assert_eq!(
            (std::fs::read(path("to")).unwrap().as_slice(), mode(&path("to"))),
            (&b"text"[..], 0o604)
        );
        assert!(!path("to").is_symlink());
    }

    #[test]
    fn a_busy_file_is_explained() {
        let busy = explained(io::Error::from_raw_os_error(16));
        assert!(busy.to_string().contains("is a mount point"), "{busy}");
        assert!(busy.to_string().contains("mount its directory"), "{busy}");
        let other = explained(io::Error::from_raw_os_error(28));
        assert_eq!(other.raw_os_error(), Some(28));
    }
}
