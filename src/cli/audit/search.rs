//! What the commands that search have in common: their arguments and how a line is made
//! fit to print.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::names;
use crate::catalogue::Catalogue;
use crate::cli::{Exit, note};
use crate::domain::{CallerId, EntranceId, Problem, Reason, WorkspaceName};
pub(super) use crate::domain::{csv_cell, is_unfit, printable};

/// Below this likeness (0 to 1) a code is no help as a suggestion.
const LIKENESS_MIN: f64 = 0.7;

/// Filters that every search has.
#[derive(Args)]
pub(super) struct Common {
    /// Only what this caller asked for
    #[arg(long, value_name = "ID", value_parser = caller_id)]
    pub(super) caller: Option<CallerId>,
    /// Only for this entrance: its id, its name in the catalogue, or a part of its name
    #[arg(long, value_name = "ENTRANCE")]
    entrance: Option<String>,
    /// Only in this workspace
    #[arg(long, value_name = "NAME", value_parser = workspace_name)]
    pub(super) workspace: Option<WorkspaceName>,
    /// Only what was decided so
    #[arg(long, value_enum)]
    decision: Option<Verdict>,
    /// The names of entrances [default: policies/entrances.csv, where there is one]
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Verdict {
    Allow,
    Deny,
}

fn caller_id(text: &str) -> Result<CallerId, String> {
    CallerId::parse(text).map_err(|error| error.to_string())
}

fn workspace_name(text: &str) -> Result<WorkspaceName, String> {
    WorkspaceName::parse(text).map_err(|error| error.to_string())
}

/// The reason of this code.
pub(super) fn reason(text: &str) -> Result<Reason, String> {
    if let Some(reason) = Reason::ALL.iter().find(|reason| reason.as_str() == text) {
        return Ok(*reason);
    }
    let likeness = |reason: &Reason| strsim::jaro_winkler(reason.as_str(), text);
    let nearest = Reason::ALL.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let nearest = nearest.filter(|reason| likeness(reason) >= LIKENESS_MIN);
    Err(nearest.map_or_else(
        || {
            "no reason has this code; `grantgate audit stats --by reason` lists those of a log"
                .to_owned()
        },
        |reason| format!("no reason has this code; did you mean `{}`?", reason.as_str()),
    ))
}

impl Common {
    pub(super) fn allowed(&self) -> Option<bool> {
        self.decision.map(|decision| decision == Verdict::Allow)
    }

    pub(super) fn names(&self) -> Catalogue {
        names(self.catalogue.as_deref())
    }

    /// The entrance that is meant, or why none is.
    pub(super) fn entrance(&self, catalogue: &Catalogue) -> Result<Option<EntranceId>, Exit> {
        let found = self.entrance.as_deref().map(|text| catalogue.find(text)).transpose();
        found.map_err(|error| usage(format_args!("--entrance: {error}")))
    }
}

/// Prints what was wrong with the arguments.
pub(super) fn usage(text: impl std::fmt::Display) -> Exit {
    note(format_args!("error: {text}"));
    Exit::Usage
}

/// Tells of damage, and of a line that is being written.
pub(super) fn tell_damage(damaged: &[Problem], lines: u64, torn: Option<&Problem>) {
    for problem in damaged {
        note(format_args!("damaged: {problem}"));
    }
    if lines > u64::try_from(damaged.len()).unwrap_or(u64::MAX) {
        note(format_args!("damaged: {lines} lines in all"));
    }
    if let Some(problem) = torn {
        note(format_args!("note: {problem}: it is being written, or its gateway was killed"));
    }
    if lines > 0 {
        note("`grantgate audit verify` tells whether records are missing");
    }
}

/// What people call an entrance, else its id.
pub(super) fn door(catalogue: &Catalogue, id: &str) -> String {
    match name(catalogue, id) {
        Some(name) => name.to_owned(),
        None if id.is_empty() => "-".to_owned(),
        None => printable(id),
    }
}

/// What people call an entrance.
pub(super) fn name<'c>(catalogue: &'c Catalogue, id: &str) -> Option<&'c str> {
    EntranceId::parse(id).ok().and_then(|id| catalogue.name_of(id))
}

/// Writes CSV as RFC 4180 has it.
pub(super) fn csv_writer<W: std::io::Write>(out: W) -> csv::Writer<W> {
    csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out)
}

/// What the CSV writer says as what its output said.
pub(super) fn io_error(error: csv::Error) -> std::io::Error {
    let text = error.to_string();
    if let csv::ErrorKind::Io(error) = error.into_kind() {
        error
    } else {
        std::io::Error::other(text)
    }
}

/// The audit directory as messages have it.
pub(super) fn shown(directory: &Path) -> String {
    printable(&directory.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_is_mistyped_is_suggested() {
        assert_eq!(reason("token-expired"), Ok(Reason::TokenExpired));
        assert!(reason("tokn-expird").unwrap_err().contains("did you mean `token-expired`?"));
        assert!(reason("").unwrap_err().contains("stats --by reason"));
    }

    #[test]
    fn a_comma_is_in_quotes() {
        let mut out = Vec::new();
        let mut writer = csv_writer(&mut out);
        writer.write_record(["a,b", "say \"x\""]).unwrap();
        drop(writer);
        assert_eq!(out, b"\"a,b\",\"say \"\"x\"\"\"\r\n");
    }
}
