//! Signed bundles: push, review, approve, promote, roll back, and where they are in force.
//!
//! What the database says is shown only where signatures of keys that the file of `--database`
//! names stand behind it; effects are computed here, from the signed files.

mod effect;
mod fetched;
mod promote;
mod propose;
mod pull;
mod review;
mod signer;
mod status;

use std::fmt::Display;

use super::super::database::{At, desk};
use crate::bundle::Trust;
use crate::cli::{Exit, fail};
use crate::database::{Access, DatabaseError, Desk};

pub(super) use promote::{BundleArguments, promote};
pub(super) use propose::{PushArguments, RollbackArguments, push, rollback};
pub(super) use pull::{PullArguments, RestoreArguments, pull, restore};
pub(super) use review::{ApproveArguments, ReviewArguments, approve, review};
pub(super) use status::{StatusArguments, status};

/// Why a command ended: everything else was said already.
enum Ended {
    With(Exit),
    Database(DatabaseError),
    /// What is wrong, for people.
    Failed(String),
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

fn failed(text: impl Display) -> Ended {
    Ended::Failed(text.to_string())
}

/// A connection, and whose signatures count.
struct Open<'a> {
    access: &'a Access,
    desk: Desk,
    trust: Trust,
}

/// Does something with bundles in a database.
fn with(at: &At, work: impl AsyncFnOnce(&Open<'_>) -> Result<Exit, Ended>) -> Exit {
    let (access, trust) = match desk(at) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(error),
    };
    let ended = runtime.block_on(async {
        let desk = Desk::connect(&access).await?;
        work(&Open { access: &access, desk, trust }).await
    });
    match ended {
        Ok(exit) | Err(Ended::With(exit)) => exit,
        Err(Ended::Failed(text)) => fail(text),
        Err(Ended::Database(error)) => super::super::database::failed(&access, error),
    }
}
