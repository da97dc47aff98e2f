//! `grantgate caller list`: who may call, and by which credentials.

use clap::Args;
use jiff::Timestamp;

use super::{FileArgument, read};
use crate::authn::Callers;
use crate::authn::callers::{Caller, Suspension};
use crate::cli::{Exit, Format, say};

#[derive(Args)]
#[command(after_help = "Example: grantgate caller list --format json")]
pub(in crate::cli) struct Arguments {
    /// How to print the list
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    file: FileArgument,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let callers = match read(&arguments.file.file) {
        Ok(callers) => callers,
        Err(exit) => return exit,
    };
    match arguments.format {
        Format::Json => say(json(&callers)),
        Format::Human => human(&callers),
    }
    Exit::Done
}

fn human(callers: &Callers) {
    let now = Timestamp::now();
    for caller in callers.all() {
        say(format_args!("{}  {}", caller.id, caller.description));
        if let Some(Suspension { since, reason }) = &caller.suspended {
            say(format_args!("  SUSPENDED    since {since}: {reason}"));
        }
        for token in &caller.tokens {
            let expires = match token.expires {
                None => "does not expire".to_owned(),
                Some(time) if time <= now => format!("EXPIRED {time}"),
                Some(time) => format!("expires {time}"),
            };
            say(format_args!("  token        {}  {expires}", token.name));
        }
        for name in &caller.certificates {
            say(format_args!("  certificate  {name}"));
        }
    }
}

fn json(callers: &Callers) -> serde_json::Value {
    let one = |caller: &Caller| {
        let tokens: Vec<_> = caller
            .tokens
            .iter()
            .map(|token| {
                serde_json::json!({
                    "name": token.name,
                    "expires": token.expires.map(|time| time.to_string()),
                })
            })
            .collect();
        serde_json::json!({
            "id": caller.id.as_str(),
            "description": caller.description,
            "tokens": tokens,
            "certificates": caller.certificates,
            "suspended": caller.suspended.as_ref().map(|suspended| serde_json::json!({
                "since": suspended.since.to_string(),
                "reason": suspended.reason,
            })),
        })
    };
    callers.all().iter().map(one).collect()
}
