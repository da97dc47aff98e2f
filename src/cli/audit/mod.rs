//! `grantgate audit`: read, search and verify the audit log.

mod show;

use std::path::Path;

use clap::Subcommand;

use super::entrances::{self, DEFAULT_CATALOGUE};
use super::{Exit, note, report};
use crate::catalogue::Catalogue;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print the log, one line per record
    Show(show::Arguments),
}

pub(super) fn run(command: &Command) -> Exit {
    match command {
        Command::Show(arguments) => show::run(arguments),
    }
}

/// The names to show. That there are none keeps nobody from reading the log.
fn names(file: Option<&Path>) -> Catalogue {
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
