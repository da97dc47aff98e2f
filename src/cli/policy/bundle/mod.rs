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
mod status;

pub(in crate::cli) use effect::newest_bundle;
pub(super) use promote::{BundleArguments, promote};
pub(super) use propose::{PushArguments, RollbackArguments, push, rollback};
pub(super) use pull::{PullArguments, RestoreArguments, pull, restore};
pub(super) use review::{ApproveArguments, ReviewArguments, approve, review};
pub(super) use status::{StatusArguments, status};
