//! `grantgate caller suspend` and `resume`: a caller that is refused for a while, whatever it
//! presents, with nothing of it lost.

use clap::Args;
use jiff::Timestamp;

use super::{FileArgument, caller_id, edit_some};
use crate::authn::callers::{
    Suspension, reason_of_suspension, resume as resumed, suspend as suspended,
};
use crate::cli::{Exit, note};
use crate::domain::CallerId;

#[derive(Args)]
#[command(
    after_help = "Example: grantgate caller suspend visitor-desk --reason \"tablet lost\"\n\n\
    Exit codes: 0 it is suspended, 1 failed, 3 invalid callers file."
)]
pub(in crate::cli) struct SuspendArguments {
    /// The caller's id
    #[arg(value_parser = caller_id)]
    caller: CallerId,
    /// Why, on one line: whoever is to resume it reads this
    #[arg(long, value_name = "TEXT", value_parser = reason_of_suspension)]
    reason: String,
    #[command(flatten)]
    file: FileArgument,
}

#[derive(Args)]
#[command(after_help = "Example: grantgate caller resume visitor-desk\n\n\
    Exit codes: 0 it is not suspended, 1 failed, 3 invalid callers file.")]
pub(in crate::cli) struct ResumeArguments {
    /// The caller's id
    #[arg(value_parser = caller_id)]
    caller: CallerId,
    #[command(flatten)]
    file: FileArgument,
}

pub(super) fn suspend(arguments: &SuspendArguments) -> Exit {
    let caller = &arguments.caller;
    let suspension = Suspension { since: Timestamp::now(), reason: arguments.reason.clone() };
    let edited =
        edit_some(&arguments.file.file, |file, text| suspended(file, text, caller, &suspension));
    match edited {
        Ok(Some(file)) => note(format_args!(
            "caller `{caller}` is suspended in `{}`: a gateway that reads this file refuses every \
             request of it within seconds, until `grantgate caller resume {caller}`",
            file.display()
        )),
        Ok(None) => note(format_args!(
            "caller `{caller}` was suspended already, and stays so as it was: `grantgate caller \
             list` says since when and why"
        )),
        Err(exit) => return exit,
    }
    Exit::Done
}

pub(super) fn resume(arguments: &ResumeArguments) -> Exit {
    let caller = &arguments.caller;
    match edit_some(&arguments.file.file, |file, text| resumed(file, text, caller)) {
        Ok(Some(file)) => {
            note(format_args!(
                "caller `{caller}` is not suspended any more in `{}`",
                file.display()
            ));
        }
        Ok(None) => note(format_args!("caller `{caller}` was not suspended; nothing was changed")),
        Err(exit) => return exit,
    }
    Exit::Done
}
