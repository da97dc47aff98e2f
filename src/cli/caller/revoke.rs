//! `grantgate caller revoke`: a credential, or a caller, that is not accepted any more.

use clap::Args;

use super::{FileArgument, caller_id, edit, read};
use crate::authn::callers::{Removed, revoke};
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
    /// Remove all tokens of the caller; its certificates stay
    #[arg(long, conflicts_with = "token")]
    all: bool,
    #[command(flatten)]
    file: FileArgument,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let caller = &arguments.caller;
    let (removed, what) = match arguments.token.as_deref() {
        Some(name) => (Removed::Token(name), format!("token `{name}` of caller `{caller}`")),
        None if arguments.all => (Removed::Tokens, format!("every token of caller `{caller}`")),
        None => (Removed::Caller, format!("caller `{caller}`")),
    };
    let path = &arguments.file.file;
    let edited = edit(path, |file, text| revoke(file, text, caller, removed));
    let file = match edited {
        Ok(file) => file,
        Err(exit) => return exit,
    };
    note(format_args!("{what} was removed from `{}`", file.display()));
    let callers = read(path).ok();
    let left = callers.as_ref().and_then(|callers| callers.all().iter().find(|c| c.id == *caller));
    if let Some(left) = left.filter(|left| !left.certificates.is_empty()) {
        let names = left.certificates.join("`, `");
        note(format_args!("note: it is still accepted with a certificate: `{names}`"));
    }
    Exit::Done
}
