//! `grantgate policy check`: everything that the loader refuses, and what deserves a look.

use clap::Args;
use jiff::Timestamp;

use super::sources::{Files, reported};
use crate::cli::problems::{json, report_in};
use crate::cli::{Exit, Format, note, say};
use crate::domain::Problem;

#[derive(Args)]
#[command(
    after_help = "Example: grantgate policy check --rules policies/policy.csv --deny-warnings\n\n\
    Exit codes: 0 valid, 2 warnings with --deny-warnings, 3 problems found."
)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    files: Files,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Exit with 2 when there are warnings
    #[arg(long)]
    deny_warnings: bool,
}

pub(super) fn run(arguments: &Arguments, now: Timestamp) -> Exit {
    let loaded = match (arguments.files.read(), arguments.format) {
        (Err(problem), Format::Json) => return refused(&[problem]),
        (Err(problem), Format::Human) => return reported(&[problem], None),
        (Ok(sources), Format::Human) => sources.load_silently(now),
        (Ok(sources), Format::Json) => match sources.try_load(now) {
            Err(problems) => return refused(&problems),
            Ok(ready) => Ok(ready),
        },
    };
    let ready = match loaded {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    match arguments.format {
        Format::Json => say(json(&[], &ready.warnings)),
        Format::Human => {
            for warning in &ready.warnings {
                report_in("warning", warning, ready.sources.text(&warning.file));
            }
            let (rules, warnings) = (ready.policy.rule_count(), ready.warnings.len());
            note(format_args!("valid: {rules} rule(s), {warnings} warning(s)"));
        }
    }
    if arguments.deny_warnings && !ready.warnings.is_empty() { Exit::Different } else { Exit::Done }
}

fn refused(problems: &[Problem]) -> Exit {
    say(json(problems, &[]));
    Exit::Invalid
}
