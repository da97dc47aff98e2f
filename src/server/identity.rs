//! Who a gateway is among several: made at its first start, in the directory of its log, and of
//! that log for ever. Two logs with one key could tell two histories under one name.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::{RequestId, Secret};
use crate::files::{read_secret, replace};
use crate::note::SigningKey;

const FILE: &str = "replica.json";
const KEY: &str = "signing.key";
const VERIFIER: &str = "signing.pub";

/// Read by nobody but the gateway.
const MODE: u32 = 0o600;

/// Who a gateway is.
pub(super) struct Identity {
    pub(super) replica: Uuid,
    /// What nobody else can add to its log in the database without.
    pub(super) token: Secret,
}

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("{0}")]
    Read(crate::domain::Problem),
    /// It cannot be written.
    #[error("`{path}` cannot be written: {1}", path = .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// It is not what it should be.
    #[error("`{path}` {1}", path = .0.display())]
    Invalid(PathBuf, &'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    replica: String,
    token: String,
}

impl Identity {
    /// That of the log in this directory; it is made where there is none.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub(super) fn of(directory: &Path) -> Result<Self, IdentityError> {
        let path = directory.join(FILE);
        let Some(text) = read(&path)? else {
            let replica = RequestId::generate().to_string();
            let written = Written { replica, token: token(&path)? };
            let text = serde_json::to_vec(&written)
                .map_err(|error| IdentityError::Write(path.clone(), error.into()))?;
            write(&path, &text)?;
            return Self::from_written(written, path);
        };
        match serde_json::from_slice(&text) {
            Ok(written) => Self::from_written(written, path),
            Err(_) => Err(unfit(path)),
        }
    }

    fn from_written(written: Written, path: PathBuf) -> Result<Self, IdentityError> {
        let Written { replica, token } = written;
        let replica = Uuid::try_parse(&replica).map_err(|_| unfit(path))?;
        Ok(Self { replica, token: Secret::new(token) })
    }

    /// The key that signs this log's checkpoints where the settings name none, and beside it the
    /// public half, for those who verify.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub(super) fn signing_key(
        &self,
        directory: &Path,
        name: &str,
    ) -> Result<SigningKey, IdentityError> {
        let path = directory.join(KEY);
        let key = match read(&path)? {
            Some(text) => std::str::from_utf8(&text)
                .ok()
                .and_then(|text| SigningKey::parse(text).ok())
                .ok_or(IdentityError::Invalid(path, "is no private key; put it back as it was"))?,
            None => {
                let made = SigningKey::generate(&format!("{name}/{}", self.replica));
                let (key, text) =
                    made.map_err(|_| IdentityError::Invalid(path.clone(), "could not be made"))?;
                write(&path, text.as_bytes())?;
                key
            }
        };
        let public = directory.join(VERIFIER);
        if !public.exists() {
            write(&public, format!("{}\n", key.verifier()).as_bytes())?;
        }
        Ok(key)
    }
}

fn unfit(path: PathBuf) -> IdentityError {
    IdentityError::Invalid(path, "is not what a gateway wrote there; put it back as it was")
}

fn token(path: &Path) -> Result<String, IdentityError> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| IdentityError::Write(path.to_owned(), io::Error::other("no random bytes")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, IdentityError> {
    // A link to nothing is there, and is refused when it is read.
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    read_secret(path).map(Some).map_err(IdentityError::Read)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    let written = replace(path, bytes, MODE).map(drop);
    written.map_err(|error| IdentityError::Write(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_of_one_directory() {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let made = Identity::of(one.path()).unwrap();
        let key = made.signing_key(one.path(), "north").unwrap();
        let again = Identity::of(one.path()).unwrap();
        assert_eq!((again.replica, again.token.expose()), (made.replica, made.token.expose()));
        let same = again.signing_key(one.path(), "renamed").unwrap();
        assert_eq!(same.verifier().to_string(), key.verifier().to_string());
        let public = std::fs::read_to_string(one.path().join(VERIFIER)).unwrap();
        assert_eq!(public.trim_end(), key.verifier().to_string());
        let second = Identity::of(other.path()).unwrap();
        assert_ne!((second.replica, second.token.expose()), (made.replica, made.token.expose()));
        for file in [FILE, KEY] {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = one.path().join(file).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, MODE, "{file}");
        }
    }

    #[test]
    fn a_file_that_says_something_else_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let made = Identity::of(directory.path()).unwrap();
        made.signing_key(directory.path(), "north").unwrap();
        for file in [FILE, KEY] {
            let path = directory.path().join(file);
            write(&path, b"nonsense").unwrap();
            let error = match file {
                FILE => Identity::of(directory.path()).map(drop),
                _ => made.signing_key(directory.path(), "north").map(drop),
            };
            let error = error.unwrap_err().to_string();
            assert!(error.contains("put it back as it was"), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), b"nonsense");
        }
    }
}
