//! `grantgate entrances`: the names that people know entrances by.

mod pull;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Exit, Format, fail, report, say};
use crate::catalogue::{Catalogue, Entry};
use crate::domain::Problem;

/// Where a catalogue is looked for when none is named.
pub(super) const DEFAULT_CATALOGUE: &str = "policies/entrances.csv";

#[derive(Subcommand)]
pub(super) enum Command {
    /// Fetch the names of all entrances from Seam into the catalogue
    Pull(pull::Arguments),
    /// List the entrances of the catalogue by name
    List(ListArguments),
    /// Find one entrance by its name, a part of its name, or its id
    Find(FindArguments),
}

#[derive(Args)]
#[command(after_help = "Example: grantgate entrances list --format json\n\n\
    Exit codes: 0 done, 1 cannot be read, 3 invalid catalogue.")]
pub(super) struct ListArguments {
    #[command(flatten)]
    file: FileArgument,
    /// How to print the list
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Args)]
#[command(after_help = "Example: grantgate entrances find \"main entrance\"\n\n\
    Exit codes: 0 found, 1 no such entrance or more than one, 3 invalid catalogue.")]
pub(super) struct FindArguments {
    /// A name, a part of one in any case, or an id
    #[arg(value_name = "TEXT")]
    text: String,
    #[command(flatten)]
    file: FileArgument,
    /// How to print the entrance
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Args)]
struct FileArgument {
    /// The catalogue
    #[arg(long = "catalogue", value_name = "FILE", default_value = DEFAULT_CATALOGUE)]
    file: PathBuf,
}

pub(super) fn run(command: &Command) -> Exit {
    match command {
        Command::Pull(arguments) => pull::run(arguments),
        Command::List(arguments) => list(arguments),
        Command::Find(arguments) => find(arguments),
    }
}

fn list(arguments: &ListArguments) -> Exit {
    let catalogue = match open(&arguments.file.file) {
        Ok(catalogue) => catalogue,
        Err(exit) => return exit,
    };
    match arguments.format {
        Format::Human => catalogue.entries().iter().for_each(|entry| say(line(entry))),
        Format::Json => say(catalogue.entries().iter().map(json).collect::<serde_json::Value>()),
    }
    Exit::Done
}

fn find(arguments: &FindArguments) -> Exit {
    let file = &arguments.file.file;
    let catalogue = match open(file) {
        Ok(catalogue) => catalogue,
        Err(exit) => return exit,
    };
    let id = match catalogue.find(&arguments.text) {
        Ok(id) => id,
        Err(error) => return fail(error),
    };
    match (catalogue.entry(id), arguments.format) {
        (Some(entry), Format::Human) => say(line(entry)),
        (Some(entry), Format::Json) => say(json(entry)),
        (None, _) => {
            let file = file.display();
            return fail(format_args!("`{file}` has no entrance `{id}`"));
        }
    }
    Exit::Done
}

/// The catalogue that a person names: it must exist.
fn open(file: &Path) -> Result<Catalogue, Exit> {
    match read(file) {
        Ok(Some(catalogue)) => Ok(catalogue),
        Ok(None) => Err(fail(format_args!(
            "`{}` does not exist; `grantgate entrances pull` writes it",
            file.display()
        ))),
        Err(ReadError::Unreadable(problem)) => Err(fail(problem)),
        Err(ReadError::Invalid(problems)) => {
            report("error", &problems);
            Err(Exit::Invalid)
        }
    }
}

/// Why there is no catalogue where there should be one.
pub(super) enum ReadError {
    /// It cannot be read.
    Unreadable(Problem),
    /// It is damaged.
    Invalid(Vec<Problem>),
}

impl ReadError {
    /// All that is wrong.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        match self {
            Self::Unreadable(problem) => vec![problem],
            Self::Invalid(problems) => problems,
        }
    }
}

/// Reads a catalogue; `None` when there is no file.
pub(super) fn read(file: &Path) -> Result<Option<Catalogue>, ReadError> {
    let name = file.display().to_string();
    match std::fs::read(file) {
        Ok(bytes) => Catalogue::parse(&name, &bytes).map(Some).map_err(ReadError::Invalid),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(ReadError::Unreadable(Problem::of_file(name, format!("cannot be read: {error}"))))
        }
    }
}

fn line(entry: &Entry) -> String {
    format!("{}  {}", entry.id(), entry.name())
}

fn json(entry: &Entry) -> serde_json::Value {
    let mut shown = serde_json::json!({
        "entrance_id": entry.id().to_string(),
        "display_name": entry.name(),
        "acs_system_id": entry.system().to_string(),
    });
    if let (Some(shown), Some(workspace)) = (shown.as_object_mut(), entry.workspace()) {
        shown.insert("workspace".into(), workspace.as_str().into());
    }
    shown
}
