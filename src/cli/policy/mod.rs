//! `grantgate policy`: look at the policy, without a configuration and without a gateway.

mod bundle;
mod check;
mod diff;
mod explain;
mod fmt;
mod promote;
mod replay;
mod sources;
mod test;
mod who;
mod workspace;

use clap::Subcommand;
use jiff::Timestamp;

use super::Exit;
pub(super) use bundle::newest_bundle;
pub(super) use explain::caller_id;
pub(super) use sources::{Files, Ready};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Validate a model, rules and callers file as `serve` would, and point out what deserves a look
    Check(check::Arguments),
    /// Sort and align the rules without changing what they mean
    Fmt(fmt::Arguments),
    /// Run the cases in `policies/tests/*.toml`
    Test(test::Arguments),
    /// Tell why a request would be allowed or denied
    Explain(explain::Arguments),
    /// List who may grant or read an entrance
    Who(who::WhoArguments),
    /// List the entrances that a caller may grant or read
    Doors(who::DoorsArguments),
    /// Tell which services gain or lose which doors
    Diff(diff::Arguments),
    /// Judge audited decisions again under another policy
    Replay(replay::Arguments),
    /// Put the candidate policy in force; or give a signed bundle to gateways
    Promote(promote::Arguments),
    /// Propose a signed bundle of these files
    Push(bundle::PushArguments),
    /// Show what a proposed bundle changes, for services and doors
    Review(bundle::ReviewArguments),
    /// Sign a proposed bundle
    Approve(bundle::ApproveArguments),
    /// Propose a signed bundle with the files of an earlier one
    Rollback(bundle::RollbackArguments),
    /// Show which bundle is in force where, and what is proposed
    Status(bundle::StatusArguments),
    /// Write a signed bundle as a directory
    Pull(bundle::PullArguments),
    /// Put back a bundle that the database has lost
    Restore(bundle::RestoreArguments),
}

pub(super) fn run(command: &Command) -> Exit {
    // Read once: one command looks at one moment.
    let now = Timestamp::now();
    match command {
        Command::Check(arguments) => check::run(arguments, now),
        Command::Fmt(arguments) => fmt::run(arguments),
        Command::Test(arguments) => test::run(arguments, now),
        Command::Explain(arguments) => explain::run(arguments, now),
        Command::Who(arguments) => who::who(arguments, now),
        Command::Doors(arguments) => who::doors(arguments, now),
        Command::Diff(arguments) => diff::run(arguments, now),
        Command::Replay(arguments) => replay::run(arguments, now),
        Command::Promote(arguments) => promote::run(arguments, now),
        Command::Push(arguments) => bundle::push(arguments, now),
        Command::Review(arguments) => bundle::review(arguments, now),
        Command::Approve(arguments) => bundle::approve(arguments, now),
        Command::Rollback(arguments) => bundle::rollback(arguments, now),
        Command::Status(arguments) => bundle::status(arguments),
        Command::Pull(arguments) => bundle::pull(arguments),
        Command::Restore(arguments) => bundle::restore(arguments),
    }
}
