//! Reading the files that the settings name.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::domain::Problem;

/// No file that is read whole may be larger, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Others than the owner may not write a secret; others than its group not read it.
const SECRET_MODE_REFUSED: u32 = 0o037;

pub(super) fn read(path: &PathBuf) -> Result<Vec<u8>, Problem> {
    open(path, false)
}

/// Reads a file that holds a secret, and refuses one that others can read.
pub(super) fn read_secret(path: &PathBuf) -> Result<Zeroizing<Vec<u8>>, Problem> {
    open(path, true).map(Zeroizing::new)
}

fn open(path: &PathBuf, secret: bool) -> Result<Vec<u8>, Problem> {
    let problem = |text: String| Problem::of_file(path.display().to_string(), text);
    let cannot = |error: std::io::Error| problem(format!("cannot be read: {error}"));
    let file = std::fs::File::open(path).map_err(cannot)?;
    // Of the open file, not of the path: it may be replaced meanwhile.
    let metadata = file.metadata().map_err(cannot)?;
    if !metadata.is_file() {
        return Err(problem("is not a file".into()));
    }
    let mode = metadata.mode() & 0o777;
    if secret && mode & SECRET_MODE_REFUSED != 0 {
        return Err(problem(format!(
            "holds a secret and has mode {mode:04o}: others can read or change it; run \
             `chmod 0600` on it"
        )));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(problem("is larger than 64 MiB".into()));
    }
    Ok(bytes)
}
