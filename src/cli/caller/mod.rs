//! `grantgate caller`: make, list and revoke callers and their tokens.

mod list;
mod new;
mod revoke;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Exit, fail, note, report};
use crate::authn::Callers;
use crate::authn::callers::EditError;
use crate::domain::{CallerId, Problem};
use crate::files::{lock, replace};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a token, and the caller when it is new; the token is printed once
    New(new::Arguments),
    /// List callers and the names of their tokens and certificates
    List(list::Arguments),
    /// Remove one token of a caller, or the caller with all of them
    Revoke(revoke::Arguments),
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
        Command::Revoke(arguments) => revoke::run(arguments),
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
