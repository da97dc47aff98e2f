//! `grantgate audit compress` and `audit prune`.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use crate::audit::upkeep::{self, RetainError, Retained, Retention};
use crate::cli::{Exit, fail, say};

#[derive(Args)]
#[command(after_help = "Example: grantgate audit compress /var/lib/grantgate/audit\n\n\
    The newest segment stays as it is; a gateway may be writing it. `audit.compress` = \"on\" does \
    the same whenever a segment is closed.\n\nExit codes: 0 done, 1 failed.")]
pub(in crate::cli) struct CompressArguments {
    /// The audit directory
    #[arg(value_name = "DIR", default_value = "audit")]
    directory: PathBuf,
}

pub(super) fn compress(arguments: &CompressArguments) -> Exit {
    report("compressed", upkeep::compress(&arguments.directory))
}

#[derive(Args)]
#[command(
    after_help = "Example: grantgate audit prune /var/lib/grantgate/audit --before 2026-01-01\n\n\
    Whole segments are removed, never the newest. Their checkpoints stay, in `pruned.jsonl`: what \
    remains still verifies against every checkpoint that was ever kept.\n\n\
    Exit codes: 0 done, 1 failed, 4 a segment is damaged and stays."
)]
pub(in crate::cli) struct PruneArguments {
    /// The audit directory
    #[arg(value_name = "DIR", default_value = "audit")]
    directory: PathBuf,
    /// Remove segments whose last record is before this time: RFC 3339, a date (UTC), or how
    /// long ago (`90d`)
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    before: Timestamp,
    /// Also what the collector or the database does not have yet, and will then never have
    #[arg(long)]
    unsent: bool,
}

pub(super) fn prune(arguments: &PruneArguments) -> Exit {
    let keep_from = match arguments.unsent {
        true => None,
        false => upkeep::lacked(&arguments.directory),
    };
    let retention = Retention { before: Some(arguments.before), keep_from, ..Retention::default() };
    report("removed", upkeep::prune(&arguments.directory, &retention))
}

fn report(what: &str, result: Result<Retained, RetainError>) -> Exit {
    match result {
        Ok(done) => {
            say(format_args!(
                "{what} {} segment(s), {} byte(s) freed; the log begins with record {}",
                done.segments, done.freed_bytes, done.first_seq
            ));
            Exit::Done
        }
        Err(error @ RetainError::Damaged { .. }) => {
            fail(error);
            Exit::Damaged
        }
        Err(error) => fail(error),
    }
}
