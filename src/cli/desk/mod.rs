//! Commands that sign, and put what is signed into a database.

mod signer;
mod ways;

use std::fmt::Display;

use super::database::{At, block_on, desk};
use super::problems::printable;
use super::{Exit, fail};
use crate::bundle::Trust;
use crate::database::{Access, DatabaseError, Desk};
pub(super) use signer::{Signer, SignerArguments};
pub(super) use ways::{Ways, with_ways};

/// Why a command ended: everything else was said already.
pub(super) enum Ended {
    With(Exit),
    Database(DatabaseError),
    /// What is wrong, for people.
    Failed(String),
}

impl Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::With(_) => f.write_str("it cannot be loaded"),
            Self::Database(error) => Display::fmt(error, f),
            Self::Failed(text) => f.write_str(text),
        }
    }
}

impl From<DatabaseError> for Ended {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<Exit> for Ended {
    fn from(exit: Exit) -> Self {
        Self::With(exit)
    }
}

pub(super) fn failed(text: impl Display) -> Ended {
    Ended::Failed(text.to_string())
}

/// A connection, and whose signatures count.
pub(super) struct Open {
    pub(super) desk: Desk,
    pub(super) trust: Trust,
}

/// Does something with bundles in a database.
pub(super) fn with(at: &At, work: impl AsyncFnOnce(&Open) -> Result<Exit, Ended>) -> Exit {
    let (access, trust, _) = match desk(at) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    let ended = block_on(async {
        let desk = Desk::connect(&access).await?;
        work(&Open { desk, trust }).await
    });
    exit(&access, ended)
}

/// How it ended, which is printed where it was not.
fn exit(access: &Access, ended: Result<Result<Exit, Ended>, Exit>) -> Exit {
    match ended {
        Ok(Ok(exit) | Err(Ended::With(exit))) | Err(exit) => exit,
        Ok(Err(Ended::Failed(text))) => fail(printable(&text)),
        Ok(Err(Ended::Database(error))) => super::database::failed(access, error),
    }
}
