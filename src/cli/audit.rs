//! `grantgate audit`: look at the audit log.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::entrances::{self, DEFAULT_CATALOGUE};
use super::{Exit, Format, fail, note, report};
use crate::audit::{self, ReadError, ShowFormat};
use crate::catalogue::Catalogue;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print the log, one line per record
    Show(ShowArguments),
}

#[derive(Args)]
#[command(after_help = "Example: grantgate audit show /var/lib/grantgate/audit --format json\n\n\
    Exit codes: 0 done, 1 cannot be read, 4 damaged lines were found.")]
pub(super) struct ShowArguments {
    /// The audit directory
    #[arg(value_name = "DIR", default_value = "audit")]
    directory: PathBuf,
    /// `json` prints the records as they are stored
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Names to show beside the ids of entrances [default: policies/entrances.csv, where
    /// there is one]
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
}

pub(super) fn run(command: &Command) -> Exit {
    let Command::Show(arguments) = command;
    let format = match arguments.format {
        Format::Human => ShowFormat::Human,
        Format::Json => ShowFormat::Json,
    };
    let catalogue = catalogue(arguments.catalogue.as_deref());
    let name_of = |id| catalogue.name_of(id).map(str::to_owned);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match audit::show(&arguments.directory, format, &name_of, &mut out) {
        Ok(summary) => {
            for problem in &summary.damaged {
                note(format_args!("damaged: {problem}"));
            }
            if let Some(problem) = &summary.torn {
                note(format_args!(
                    "note: {problem}: it is being written, or its gateway was killed"
                ));
            }
            if summary.damaged.is_empty() { Exit::Done } else { Exit::Damaged }
        }
        // The reader has seen enough: `audit show | head`.
        Err(ReadError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Exit::Done
        }
        Err(error) => fail(error),
    }
}

/// The names to show. That there are none keeps nobody from reading the log.
fn catalogue(file: Option<&Path>) -> Catalogue {
    let read = entrances::read(file.unwrap_or(Path::new(DEFAULT_CATALOGUE)));
    if let (Ok(None), Some(file)) = (&read, file) {
        note(format_args!("warning: `{}` does not exist: no names are shown", file.display()));
    }
    match read {
        Ok(catalogue) => catalogue.unwrap_or_default(),
        Err(error) => {
            report("warning", &error.into_problems());
            Catalogue::default()
        }
    }
}
