//! Reports: what a command writes to where it is told, for others to read.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// Opens what `path` names and writes `bytes` to it: a file, which is made or overwritten,
/// a pipe or a device. Nothing is renamed, so that a pipe stays a pipe.
///
/// # Errors
/// Of the operating system; a file may then hold a part.
pub fn write_report(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    // Some file systems tell only now that there was no room. Not of a pipe or a device.
    if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};

    #[test]
    fn a_pipe_stays_a_pipe_and_a_link_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        // Both ends, and no waiting.
        let mut both = std::fs::OpenOptions::new();
        both.read(true).write(true).custom_flags(super::super::read::nonblocking());
        let mut reader = both.open(path("pipe")).unwrap();
        write_report(&path("pipe"), b"report").unwrap();
        let mut read = [0; 64];
        assert_eq!(reader.read(&mut read).unwrap(), 6);
        assert!(read.starts_with(b"report"));
        let kind = std::fs::symlink_metadata(path("pipe")).unwrap().file_type();
        assert!(kind.is_fifo());
        std::os::unix::fs::symlink("real", path("link")).unwrap();
        write_report(&path("link"), b"a longer report").unwrap();
        write_report(&path("link"), b"report").unwrap();
        assert_eq!(std::fs::read(path("real")).unwrap(), b"report");
        let error = write_report(directory.path(), b"report").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
