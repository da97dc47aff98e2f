//! `grantgate caller new`: a token, and its caller when that is new.

use clap::Args;
use jiff::Timestamp;

use super::{
    FileArgument, caller_id, edit, form, generate, hand_over, note_suspension, read, today,
};
use crate::authn::callers::{NewToken, add_token};
use crate::authn::{Callers, TokenForm};
use crate::cli::{Exit, note};
use crate::domain::{CallerId, rfc3339};

/// An id that is less like the new one than this (0 to 1) is no slip of it.
const LIKENESS_MIN: f64 = 0.9;

#[derive(Args)]
#[command(after_help = "Example: grantgate caller new visitor-desk --name 2026-11 \
    --expires 2027-02-01T00:00:00Z")]
pub(in crate::cli) struct Arguments {
    /// The caller's id
    #[arg(value_parser = caller_id)]
    caller: CallerId,
    /// What the caller is, for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The token's name, which audit records show [default: today's date]
    #[arg(long, value_name = "NAME", value_parser = caller_id)]
    name: Option<CallerId>,
    /// When the token stops being accepted (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    expires: Option<Timestamp>,
    /// What Seam's SDK of the service is told that the token is: `pat` for a personal access
    /// token, with which every request names its workspace
    #[arg(long, value_name = "FORM", default_value = "api-key", value_parser = form)]
    form: TokenForm,
    #[command(flatten)]
    file: FileArgument,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let token = match generate(arguments.form) {
        Ok(token) => token,
        Err(exit) => return exit,
    };
    let name = arguments.name.as_ref().map_or_else(today, CallerId::to_string);
    let (caller, file) = (&arguments.caller, &arguments.file.file);
    let mut others = Vec::new();
    let edited = edit(file, |file, text| {
        others = ids(file, text);
        let description = arguments.description.as_deref();
        let (sha256, expires, form) = (token.digest(), arguments.expires, arguments.form);
        let new = NewToken { name: &name, sha256, expires, form };
        add_token(file, text, caller, description, new)
    });
    if let Err(exit) = edited {
        return exit;
    }
    if others.contains(caller) {
        note(format_args!("caller `{caller}` has a new token `{name}`; it is shown only now:"));
    } else {
        note(format_args!(
            "`{caller}` is a NEW caller, with token `{name}`; it is shown only now:"
        ));
    }
    if let Err(exit) = hand_over(&token, caller, &name, file) {
        return exit;
    }
    if let Ok(callers) = read(file) {
        note_suspension(&callers, caller);
    }
    // Last, where it is seen.
    if let Some(like) = nearest(caller, &others) {
        note(format_args!(
            "note: there is a caller `{like}`; if you meant that one, run `grantgate caller revoke \
             {caller} --callers {}` and try again",
            file.display()
        ));
    }
    Exit::Done
}

/// The callers that a text has already.
fn ids(file: &str, text: &str) -> Vec<CallerId> {
    let callers = Callers::parse(file, text.as_bytes());
    callers.map_or_else(|_| Vec::new(), |callers| callers.ids().cloned().collect())
}

/// A caller whose id a new one may be a slip of.
fn nearest<'a>(new: &CallerId, others: &'a [CallerId]) -> Option<&'a CallerId> {
    if others.contains(new) {
        return None;
    }
    let likeness = |other: &CallerId| strsim::jaro_winkler(other.as_str(), new.as_str());
    let best = others.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    best.filter(|other| likeness(other) >= LIKENESS_MIN)
}
