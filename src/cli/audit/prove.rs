//! `grantgate audit prove`, `check-proof` and `consistency`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::source::Source;
use super::{checkpoints, key, read};
use crate::audit::proof::{self, ConsistencyProof, InclusionProof, ProofError};
use crate::audit::{Checkpoint, LogReader, ReadError};
use crate::cli::{Exit, fail, note, say};
use crate::files::write_report;

#[derive(Args)]
#[command(
    after_help = "Example: grantgate audit prove 41 /var/lib/grantgate/audit > 41.tlog-proof\n\n\
    The proof is text as C2SP's tlog-proof says; it holds the record, and of the others only \
    hashes.\n\nExit codes: 0 done, 1 cannot be proven, 4 the log is damaged, 6 no log."
)]
pub(in crate::cli) struct Arguments {
    /// The record's sequence number
    #[arg(value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    seq: u64,
    #[command(flatten)]
    source: Source,
    /// Prove it under this signed checkpoint [default: the first that covers the record]
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let under = match arguments.checkpoint.as_deref().map(read).transpose() {
        Ok(under) => under,
        Err(exit) => return exit,
    };
    let log = match arguments.source.log() {
        Ok(log) => log,
        Err(exit) => return exit,
    };
    match proof::prove(&log.reader, arguments.seq, under.as_deref()) {
        Ok(proof) => {
            // It ends with a newline of its own.
            say(proof.to_text().trim_end_matches('\n'));
            Exit::Done
        }
        Err(error) => failed(&error),
    }
}

#[derive(Args)]
#[command(
    after_help = "Example: grantgate audit check-proof 41.tlog-proof --key audit_signing_key.pub\n\n\
    Prints the record when the proof is true.\n\n\
    Exit codes: 0 the record is in the log, 1 cannot be read, 4 the proof is false, 5 it is not \
    signed by the key."
)]
pub(in crate::cli) struct CheckArguments {
    /// What `grantgate audit prove` printed
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The log's public key, or the file that holds it
    #[arg(long, value_name = "KEY")]
    key: String,
}

pub(super) fn check(arguments: &CheckArguments) -> Exit {
    let file = arguments.file.display();
    let inputs = || -> Result<_, Exit> { Ok((key(&arguments.key)?, read(&arguments.file)?)) };
    let (key, text) = match inputs() {
        Ok(inputs) => inputs,
        Err(exit) => return exit,
    };
    let proof = match InclusionProof::parse(&text) {
        Ok(proof) => proof,
        Err(error) => return fail(format_args!("`{file}`: {error}")),
    };
    match proof.check(&key) {
        Ok(checkpoint) => {
            say(printable(&proof.record));
            note(format_args!(
                "record {} is in the log `{}`, under its checkpoint of {} records",
                proof.seq, checkpoint.origin, checkpoint.size
            ));
            Exit::Done
        }
        Err(error) => {
            note(format_args!("`{file}`:"));
            failed(&error)
        }
    }
}

/// A record has no control characters; what only claims to be one may.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[derive(Args)]
#[command(
    after_help = "Example: grantgate audit consistency january february --key audit_signing_key.pub \
    --log /var/lib/grantgate/audit --write-proof january-february.proof\n\n\
    Exit codes: 0 the new one continues the old one, 1 cannot be read, 4 it does not, 5 one of \
    them is not signed by the key."
)]
pub(in crate::cli) struct ConsistencyArguments {
    /// The earlier checkpoint
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The later one
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// The log's public key, or the file that holds it
    #[arg(long, value_name = "KEY")]
    key: String,
    /// The audit directory to compare them with
    #[arg(long, value_name = "DIR", required_unless_present = "proof")]
    log: Option<PathBuf>,
    /// Write the proof, so that others can check it without the log
    #[arg(long, value_name = "FILE", requires = "log")]
    write_proof: Option<PathBuf>,
    /// Check this proof instead of a log
    #[arg(long, value_name = "FILE", conflicts_with = "log")]
    proof: Option<PathBuf>,
}

pub(super) fn consistency(arguments: &ConsistencyArguments) -> Exit {
    let one = |file: &Path| -> Result<Checkpoint, Exit> {
        let keys = [key(&arguments.key)?];
        // Of several in a file, the last.
        checkpoints(file, &keys)?.pop().ok_or(Exit::Failed)
    };
    let (old, new) = match (one(&arguments.old), one(&arguments.new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(exit), _) | (_, Err(exit)) => return exit,
    };
    let checked = match (&arguments.log, &arguments.proof) {
        (Some(log), _) => from_log(arguments, log, &old, &new),
        (None, Some(file)) => match read(file).map(|text| ConsistencyProof::parse(&text)) {
            Ok(Ok(proof)) => proof.check(&old, &new).map_err(|error| failed(&error)),
            Ok(Err(error)) => Err(fail(format_args!("`{}`: {error}", file.display()))),
            Err(exit) => Err(exit),
        },
        (None, None) => Err(Exit::Usage),
    };
    match checked {
        Ok(()) => {
            say(format_args!(
                "consistent: the log of {} records begins with that of {}",
                new.size, old.size
            ));
            Exit::Done
        }
        Err(exit) => exit,
    }
}

fn from_log(
    arguments: &ConsistencyArguments,
    log: &Path,
    old: &Checkpoint,
    new: &Checkpoint,
) -> Result<(), Exit> {
    let proof =
        proof::consistency(&LogReader::new(log), old, new).map_err(|error| failed(&error))?;
    let Some(file) = &arguments.write_proof else { return Ok(()) };
    write_report(file, proof.to_text().as_bytes())
        .map_err(|error| fail(format_args!("`{}` cannot be written: {error}", file.display())))
}

fn failed(error: &ProofError) -> Exit {
    fail(error);
    match error {
        ProofError::Read(ReadError::Empty(_)) => Exit::Empty,
        ProofError::Truncated(..)
        | ProofError::Damaged
        | ProofError::WrongWay(..)
        | ProofError::False(_) => Exit::Damaged,
        ProofError::Checkpoint(_) => Exit::Foreign,
        ProofError::Read(_)
        | ProofError::NoRecord(_)
        | ProofError::NotCovered(_)
        | ProofError::Malformed(..) => Exit::Failed,
    }
}
