//! `grantgate policy`: look at the policy, without a configuration and without a gateway.

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
    /// Put the candidate policy in force
    Promote(promote::Arguments),
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
    }
}
