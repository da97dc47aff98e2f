//! `grantgate audit`: look at the audit log.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Exit, Format, fail, note};
use crate::audit::{self, ReadError, ShowFormat};

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
}

pub(super) fn run(command: &Command) -> Exit {
    let Command::Show(arguments) = command;
    let format = match arguments.format {
        Format::Human => ShowFormat::Human,
        Format::Json => ShowFormat::Json,
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match audit::show(&arguments.directory, format, &mut out) {
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
