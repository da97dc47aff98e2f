//! `grantgate policy`: look at the policy without a configuration.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Exit, note, report};
use crate::authn::Callers;
use crate::domain::Problem;
use crate::policy::{Policy, PolicySource, SourceFile};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Validate a model, rules and callers file as `serve` would
    Check(CheckArguments),
}

#[derive(Args)]
#[command(after_help = "Example: grantgate policy check --rules policies/policy.csv\n\n\
    Exit codes: 0 valid, 2 warnings with --deny-warnings, 3 problems found.")]
pub(super) struct CheckArguments {
    /// The casbin model
    #[arg(long, value_name = "FILE", default_value = "policies/model.conf")]
    model: PathBuf,
    /// The rules
    #[arg(long, value_name = "FILE", default_value = "policies/policy.csv")]
    rules: PathBuf,
    /// The callers file
    #[arg(long, value_name = "FILE", default_value = "callers.toml")]
    callers: PathBuf,
    /// Exit with 2 when there are warnings
    #[arg(long)]
    deny_warnings: bool,
}

pub(super) fn run(command: &Command) -> Exit {
    let Command::Check(arguments) = command;
    match check(arguments) {
        Err(problems) => {
            report("error", &problems);
            Exit::Invalid
        }
        Ok((rules, warnings)) => {
            report("warning", &warnings);
            note(format_args!("valid: {rules} rule(s), {} warning(s)", warnings.len()));
            if arguments.deny_warnings && !warnings.is_empty() {
                Exit::Different
            } else {
                Exit::Done
            }
        }
    }
}

fn check(arguments: &CheckArguments) -> Result<(usize, Vec<Problem>), Vec<Problem>> {
    let read = |path: &PathBuf| {
        let name = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => Ok(SourceFile { name, bytes }),
            Err(error) => Err(vec![Problem::of_file(name, format!("cannot be read: {error}"))]),
        }
    };
    let callers = read(&arguments.callers)?;
    let callers = Callers::parse(&callers.name, &callers.bytes)?;
    let source = PolicySource { model: read(&arguments.model)?, rules: read(&arguments.rules)? };
    let loaded = Policy::load(&source, &callers)?;
    Ok((loaded.policy.rule_count(), loaded.warnings))
}
