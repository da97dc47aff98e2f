//! `grantgate audit show`: the records as they are.

use std::path::PathBuf;

use clap::Args;

use super::names;
use super::source::Source;
use crate::audit::ReadError;
use crate::audit::search::{self, ShowFormat};
use crate::cli::{Exit, Format, fail, note};

#[derive(Args)]
#[command(after_help = "Example: grantgate audit show /var/lib/grantgate/audit --format json\n\n\
    Exit codes: 0 done, 1 cannot be read, 4 damaged lines were found.")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// `json` prints the records as they are stored
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Names to show beside the ids of entrances [default: policies/entrances.csv, where
    /// there is one]
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let format = match arguments.format {
        Format::Human => ShowFormat::Human,
        Format::Json => ShowFormat::Json,
    };
    let catalogue = names(arguments.catalogue.as_deref());
    let name_of = |id| catalogue.name_of(id).map(str::to_owned);
    let log = match arguments.source.log() {
        Ok(log) => log,
        Err(exit) => return exit,
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match search::show(&log.reader, format, &name_of, &mut out) {
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
