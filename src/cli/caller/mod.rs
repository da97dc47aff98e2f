//! `grantgate caller`: make, list, suspend and revoke callers and their tokens.

mod expiring;
mod list;
mod new;
mod revoke;
mod rotate;
mod suspend;
mod whoami;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::output::{goes_nowhere, try_say};
use super::{Exit, fail, note, report};
use crate::authn::callers::{EditError, Suspension};
use crate::authn::{CallerToken, Callers, TokenForm};
use crate::domain::{CallerId, Problem};
use crate::files::{lock, replace};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a token, and the caller when it is new; the token is printed once
    New(new::Arguments),
    /// List callers and the names of their tokens, certificates and JWT rules
    List(list::Arguments),
    /// Make a token that takes the place of old ones, which are accepted a while longer
    Rotate(rotate::Arguments),
    /// Refuse every request of a caller, until it is resumed
    Suspend(suspend::SuspendArguments),
    /// Accept the credentials of a suspended caller again
    Resume(suspend::ResumeArguments),
    /// Remove one token of a caller, all of them, or the caller with every credential
    Revoke(revoke::Arguments),
    /// List tokens that expire soon, or have expired
    Expiring(expiring::Arguments),
    /// Ask a gateway who it takes a service for
    Whoami(whoami::Arguments),
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
        Command::New(arguments) => new::run(arguments),
        Command::List(arguments) => list::run(arguments),
        Command::Rotate(arguments) => rotate::run(arguments),
        Command::Suspend(arguments) => suspend::suspend(arguments),
        Command::Resume(arguments) => suspend::resume(arguments),
        Command::Revoke(arguments) => revoke::run(arguments),
        Command::Expiring(arguments) => expiring::run(arguments),
        Command::Whoami(arguments) => whoami::run(arguments),
    }
}

/// The callers that a file has.
fn read(file: &Path) -> Result<Callers, Exit> {
    let bytes = std::fs::read(file)
        .map_err(|error| fail(format_args!("`{}` cannot be read: {error}", file.display())))?;
    Callers::parse(&file.display().to_string(), &bytes).map_err(|problems| {
        report("error", &problems);
        Exit::Invalid
    })
}

/// The name of a token that was given none: today's date.
fn today() -> String {
    Timestamp::now().to_string().chars().take(10).collect()
}

/// A new token, unless it could be shown to nobody.
fn generate(form: TokenForm) -> Result<CallerToken, Exit> {
    if goes_nowhere() {
        return Err(fail(
            "standard output is closed or /dev/null, where the token would be lost; nothing was done",
        ));
    }
    CallerToken::generate(form).map_err(fail)
}

/// For a command line.
fn form(text: &str) -> Result<TokenForm, String> {
    let words = TokenForm::CODES.join("` or `");
    TokenForm::parse(text).ok_or_else(|| format!("must be `{words}`"))
}

/// Shows a token that is in the file, this once.
fn hand_over(token: &CallerToken, caller: &CallerId, name: &str, file: &Path) -> Result<(), Exit> {
    try_say(token.expose()).map_err(|error| {
        fail(format_args!(
            "the token cannot be written to standard output: {error}; nobody has it, and it is \
             accepted: run `grantgate caller revoke {caller} --token {name} --callers {}`",
            file.display()
        ))
    })
}

/// Says that a caller is suspended: whoever deals with its credentials may not expect that.
fn note_suspension(callers: &Callers, caller: &CallerId) {
    if let Some(Suspension { since, reason }) = callers.suspension(caller) {
        note(format_args!(
            "note: caller `{caller}` is suspended since {since} ({reason}): it is refused until \
             `grantgate caller resume {caller}`"
        ));
    }
}

/// The same as [`edit_some`], of a change that always changes something.
fn edit(
    path: &Path,
    change: impl FnOnce(&str, &str) -> Result<String, EditError>,
) -> Result<PathBuf, Exit> {
    let edited = edit_some(path, |file, text| change(file, text).map(Some))?;
    Ok(edited.unwrap_or_else(|| path.to_owned()))
}

/// Reads the file, edits its text and replaces it. Answers with the file that has the new
/// text, where links lead; none where there was nothing to change.
fn edit_some(
    path: &Path,
    change: impl FnOnce(&str, &str) -> Result<Option<String>, EditError>,
) -> Result<Option<PathBuf>, Exit> {
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
        Ok(None) => Ok(None),
        Ok(Some(text)) => match replace(path, text.as_bytes(), 0o600) {
            Ok(replaced) => {
                if replaced.other_names > 0 {
                    note(format_args!(
                        "warning: `{}` had {} other name(s) (hard links), which keep what it held",
                        replaced.file.display(),
                        replaced.other_names
                    ));
                }
                Ok(Some(replaced.file))
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
