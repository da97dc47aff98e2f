//! `grantgate caller revoke`: a credential, or a caller, that is not accepted any more.

use clap::Args;

use super::{FileArgument, caller_id, edit};
use crate::authn::callers::revoke;
use crate::cli::{Exit, note};
use crate::domain::CallerId;

#[derive(Args)]
#[command(after_help = "Example: grantgate caller revoke visitor-desk --token 2026-11")]
pub(in crate::cli) struct Arguments {
    /// The caller's id
    #[arg(value_parser = caller_id)]
    caller: CallerId,
    /// The token's name; without it the whole caller is removed
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    #[command(flatten)]
    file: FileArgument,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let (caller, name) = (&arguments.caller, arguments.token.as_deref());
    let edited = edit(&arguments.file.file, |file, text| revoke(file, text, caller, name));
    let what = match name {
        Some(name) => format!("token `{name}` of caller `{caller}`"),
        None => format!("caller `{caller}`"),
    };
    match edited {
        Ok(file) => {
            note(format_args!("{what} was removed from `{}`", file.display()));
            Exit::Done
        }
        Err(exit) => exit,
    }
}
