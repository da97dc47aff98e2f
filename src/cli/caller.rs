//! `grantgate caller`: make, list and revoke callers and their tokens.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::output::{goes_nowhere, try_say};
use super::{Exit, Format, fail, note, report, say};
use crate::authn::callers::{EditError, add_token, revoke};
use crate::authn::{CallerToken, Callers};
use crate::domain::{CallerId, Problem, rfc3339};
use crate::files::{lock, replace};

/// An id that is less like the new one than this (0 to 1) is no slip of it.
const LIKENESS_MIN: f64 = 0.9;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a token, and the caller when it is new; the token is printed once
    New(NewArguments),
    /// List callers and the names of their tokens and certificates
    List(ListArguments),
    /// Remove one token of a caller, or the caller with all of them
    Revoke(RevokeArguments),
}

#[derive(Args)]
#[command(after_help = "Example: grantgate caller new visitor-desk --name 2026-11 \
    --expires 2027-02-01T00:00:00Z")]
pub(super) struct NewArguments {
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
    #[command(flatten)]
    file: FileArgument,
}

#[derive(Args)]
#[command(after_help = "Example: grantgate caller list --format json")]
pub(super) struct ListArguments {
    /// How to print the list
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    file: FileArgument,
}

#[derive(Args)]
#[command(after_help = "Example: grantgate caller revoke visitor-desk --token 2026-11")]
pub(super) struct RevokeArguments {
    /// The caller's id
    #[arg(value_parser = caller_id)]
    caller: CallerId,
    /// The token's name; without it the whole caller is removed
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    #[command(flatten)]
    file: FileArgument,
}

#[derive(Args)]
struct FileArgument {
    /// The callers file
    #[arg(long = "callers", value_name = "FILE", default_value = "callers.toml")]
    file: PathBuf,
}

fn caller_id(text: &str) -> Result<CallerId, String> {
    CallerId::parse(text).map_err(|error| error.to_string())
}

pub(super) fn run(command: &Command) -> Exit {
    match command {
        Command::New(arguments) => new(arguments),
        Command::List(arguments) => list(arguments),
        Command::Revoke(arguments) => {
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
    }
}

fn new(arguments: &NewArguments) -> Exit {
    if goes_nowhere() {
        return fail(
            "standard output is closed or /dev/null, where the token would be lost; nothing was done",
        );
    }
    let token = match CallerToken::generate() {
        Ok(token) => token,
        Err(error) => return fail(error),
    };
    let name = match &arguments.name {
        Some(name) => name.to_string(),
        None => Timestamp::now().to_string().chars().take(10).collect(),
    };
    let (caller, file) = (&arguments.caller, &arguments.file.file);
    let mut others = Vec::new();
    let edited = edit(file, |file, text| {
        others = ids(file, text);
        let description = arguments.description.as_deref();
        add_token(file, text, caller, description, &name, token.digest(), arguments.expires)
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
    if let Err(error) = try_say(token.expose()) {
        return fail(format_args!(
            "the token cannot be written to standard output: {error}; nobody has it, and it is \
             accepted: run `grantgate caller revoke {caller} --token {name} --callers {}`",
            file.display()
        ));
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

fn list(arguments: &ListArguments) -> Exit {
    let file = &arguments.file.file;
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => return fail(format_args!("`{}` cannot be read: {error}", file.display())),
    };
    let callers = match Callers::parse(&file.display().to_string(), &bytes) {
        Ok(callers) => callers,
        Err(problems) => {
            report("error", &problems);
            return Exit::Invalid;
        }
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
    let one = |caller: &crate::authn::callers::Caller| {
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
        })
    };
    callers.all().iter().map(one).collect()
}

/// Reads the file, edits its text and replaces it. Answers with the file that has the new
/// text: where links lead.
fn edit(
    path: &Path,
    change: impl FnOnce(&str, &str) -> Result<String, EditError>,
) -> Result<PathBuf, Exit> {
    let name = path.display().to_string();
    let locked = lock(path).map_err(|error| fail(format_args!("`{name}`: {error}")));
    let _locked = locked?;
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        // The first caller of all makes the file.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(fail(format_args!("`{name}` cannot be read: {error}"))),
    };
    let text = Problem::or_text(&name, &bytes).map_err(|problem| {
        report("error", &[problem]);
        Exit::Invalid
    })?;
    match change(&name, text) {
        Ok(text) => match replace(path, text.as_bytes(), 0o600) {
            Ok(replaced) => {
                if replaced.other_names > 0 {
                    note(format_args!(
                        "warning: `{}` had {} other name(s) (hard links), which keep what it held",
                        replaced.file.display(),
                        replaced.other_names
                    ));
                }
                Ok(replaced.file)
            }
            Err(error) => Err(fail(format_args!("`{name}` cannot be written: {error}"))),
        },
        Err(EditError::Invalid(problems)) => {
            report("error", &problems);
            Err(Exit::Invalid)
        }
        Err(error) => Err(fail(error)),
    }
}
