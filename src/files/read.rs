//! Reading files that settings and arguments name, each whole and once.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::domain::Problem;

/// No file that is read whole may be larger, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Others than the owner may not write a secret; others than its group not read it.
const SECRET_MODE_REFUSED: u32 = 0o037;

/// Opens a regular file for reading. A pipe in a file's place must not keep the reader
/// until somebody writes to it.
///
/// # Errors
/// Of the operating system; [`io::ErrorKind::InvalidInput`] for what is not a regular file.
pub fn open_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(nonblocking()).open(path);
    let file = file.map_err(|error| match std::fs::metadata(path) {
        // A socket cannot be opened at all.
        Ok(metadata) if metadata.file_type().is_socket() => not_regular(metadata.file_type()),
        _ => error,
    })?;
    // Of the open file, not of the path: it may be replaced meanwhile.
    let kind = file.metadata()?.file_type();
    if kind.is_file() { Ok(file) } else { Err(not_regular(kind)) }
}

/// The flag with which opening a pipe does not wait for its other end.
pub(super) fn nonblocking() -> i32 {
    i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0)
}

pub(super) fn not_regular(kind: std::fs::FileType) -> io::Error {
    let what = if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    io::Error::new(io::ErrorKind::InvalidInput, format!("is {what}, not a regular file"))
}

/// Reads a file that holds a secret.
///
/// # Errors
/// When it cannot be read, or others can read or change it.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Problem> {
    read(path, true)
}

/// Reads a file that holds no secret.
///
/// # Errors
/// When it cannot be read.
pub fn read_plain(path: &Path) -> Result<Zeroizing<Vec<u8>>, Problem> {
    read(path, false)
}

fn read(path: &Path, secret: bool) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let problem = |text: String| Problem::of_file(path.display().to_string(), text);
    let cannot = |error: io::Error| {
        let is_regular = error.kind() != io::ErrorKind::InvalidInput;
        problem(if is_regular { format!("cannot be read: {error}") } else { error.to_string() })
    };
    let file = open_file(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    let mode = metadata.mode() & 0o777;
    if secret && mode & SECRET_MODE_REFUSED != 0 {
        return Err(problem(format!(
            "holds a secret and has mode {mode:04o}: others can read or change it; run \
             `chmod 0600` on it"
        )));
    }
    // Room for all of it, so that no copy of a secret is left behind in a smaller one.
    let room = usize::try_from(metadata.len().min(FILE_BYTES_MAX)).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(problem("is larger than 256 MiB".into()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_pipe_a_device_and_a_directory_are_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for (path, said) in [
            (pipe.as_path(), "is a pipe"),
            (Path::new("/dev/null"), "is a device"),
            (directory.path(), "is a directory"),
        ] {
            let text = read_plain(path).unwrap_err().to_string();
            assert!(text.contains(said) && text.contains("not a regular file"), "{text}");
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_also_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("key"), directory.path().join("link"));
        std::fs::write(&file, "secret").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for (mode, good) in [(0o600, true), (0o640, true), (0o644, false), (0o620, false)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_secret(&link).is_ok(), good, "{mode:o}");
            assert!(read_plain(&link).is_ok());
        }
    }
}
