//! Replacing a file that somebody may be reading.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Puts `bytes` in the place of what `path` holds. A reader sees the old file or the new
/// one, and a crash leaves one of them. Owner and mode of the old file stay; a file that is new
/// gets `mode`, less the umask.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let mut file = builder.permissions(Permissions::from_mode(mode)).tempfile_in(directory)?;
    file.write_all(bytes)?;
    if let Ok(metadata) = std::fs::metadata(path) {
        // Only root may give files away; who may not leaves the new one as it is.
        let _ =
            std::os::unix::fs::fchown(file.as_file(), Some(metadata.uid()), Some(metadata.gid()));
        file.as_file().set_permissions(metadata.permissions())?;
    }
    // Crash before here: the old file, and a temporary one beside it.
    file.as_file().sync_all()?;
    file.persist(path)?;
    // Crash before here: the old file or the new one.
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_an_old_file_stays_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"newer", 0o600).unwrap();
        assert_eq!((std::fs::read(&path).unwrap().as_slice(), mode()), (&b"newer"[..], 0o640));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(replace(&directory.path().join("none/file"), b"", 0o600).is_err());
    }
}
