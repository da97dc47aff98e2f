//! `grantgate audit`: read, search, verify and keep the audit log.

mod endorse;
mod keygen;
mod plot;
mod prove;
mod query;
mod retain;
mod rows;
mod search;
mod show;
mod source;
mod stats;
mod table;
mod tail;
mod verify;

use std::path::Path;

use clap::Subcommand;

use super::entrances::{self, DEFAULT_CATALOGUE};
use super::{Exit, fail, note, report};
use jiff::Timestamp;

use crate::audit::Checkpoint;
use crate::catalogue::Catalogue;
use crate::domain::parse_time;
use crate::note::VerifierKey;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print the log, one line per record
    Show(show::Arguments),
    /// Make the key that signs checkpoints
    Keygen(keygen::Arguments),
    /// Say which logs count as evidence: their keys, signed by those who sign policies
    Endorse(endorse::Arguments),
    /// Check that no record was altered, removed, moved or added
    Verify(verify::Arguments),
    /// Prove that a record is in the log, without showing the others
    Prove(prove::Arguments),
    /// Check a proof with the log's public key alone
    CheckProof(prove::CheckArguments),
    /// Check that one checkpoint continues another
    Consistency(prove::ConsistencyArguments),
    /// Compress closed segments
    Compress(retain::CompressArguments),
    /// Remove old segments; what remains still verifies
    Prune(retain::PruneArguments),
    /// Print what stands in the log for the id of a grantee
    Pseudonym(keygen::PseudonymArguments),
    /// Search for decisions: by caller, entrance, person, reason, time or request
    Query(Box<query::Arguments>),
    /// Print the newest records, and go on with those that come
    Tail(tail::Arguments),
    /// Count decisions by caller, entrance, reason and time
    Stats(stats::Arguments),
}

pub(super) fn run(command: &Command) -> Exit {
    match command {
        Command::Show(arguments) => show::run(arguments),
        Command::Keygen(arguments) => keygen::run(arguments),
        Command::Endorse(arguments) => endorse::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Prove(arguments) => prove::run(arguments),
        Command::CheckProof(arguments) => prove::check(arguments),
        Command::Consistency(arguments) => prove::consistency(arguments),
        Command::Compress(arguments) => retain::compress(arguments),
        Command::Prune(arguments) => retain::prune(arguments),
        Command::Pseudonym(arguments) => keygen::pseudonym(arguments),
        Command::Query(arguments) => query::run(arguments),
        Command::Tail(arguments) => tail::run(arguments),
        Command::Stats(arguments) => stats::run(arguments),
    }
}

/// A public key: its text, or the file that holds it.
fn key(argument: &str) -> Result<VerifierKey, Exit> {
    if let Ok(key) = VerifierKey::parse(argument) {
        return Ok(key);
    }
    let text = read(Path::new(argument))?;
    VerifierKey::parse(&text).map_err(|error| fail(format_args!("`{argument}`: {error}")))
}

/// The signed checkpoints in a file.
fn checkpoints(file: &Path, keys: &[VerifierKey]) -> Result<Vec<Checkpoint>, Exit> {
    let text = read(file)?;
    let mut found = Vec::new();
    for (text, number) in Checkpoint::texts(&text).into_iter().zip(1..) {
        let mut why = None;
        let verified = keys.iter().find_map(|key| match Checkpoint::verify(text, key) {
            Ok(checkpoint) => Some(checkpoint),
            Err(error) => {
                why = Some(error);
                None
            }
        });
        match (verified, why) {
            (Some(checkpoint), _) => found.push(checkpoint),
            // The rest of one that was not written to its end.
            (None, Some(why)) if why.is_malformed() => {
                note(format_args!("warning: `{}`, text {number}: {why}", file.display()));
            }
            (None, why) => {
                let why = why.map_or_else(|| "no key was given".to_owned(), |why| why.to_string());
                fail(format_args!("`{}`, checkpoint {number}: {why}", file.display()));
                return Err(Exit::Foreign);
            }
        }
    }
    if found.is_empty() {
        return Err(fail(format_args!("`{}` holds no checkpoint", file.display())));
    }
    Ok(found)
}

fn read(file: &Path) -> Result<String, Exit> {
    std::fs::read_to_string(file)
        .map_err(|error| fail(format_args!("`{}` cannot be read: {error}", file.display())))
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

/// A time of the arguments.
fn time(text: &str) -> Result<Timestamp, String> {
    parse_time(text, Timestamp::now())
}
