//! `grantgate check`: everything that `serve` would load, without binding a port.

use std::path::{Path, PathBuf};

use clap::Args;

use super::problems::json;
use super::{Exit, Format, default_config, environment, note, read_settings, say};
use crate::config::Settings;
use crate::domain::Problem;
use crate::server::Prepared;
use crate::snapshot::{Bundles, TrialToLoad};
use crate::tls::{Finding, Severity};

#[derive(Args)]
#[command(after_help = "Example: grantgate check --config grantgate.toml --format json\n\n\
    Exit codes: 0 valid, 2 warnings with --deny-warnings, 3 problems found.")]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value_os_t = default_config())]
    config: PathBuf,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Exit with 2 when there are warnings
    #[arg(long)]
    deny_warnings: bool,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let (problems, warnings) = find(&arguments.config);
    print(arguments.format, &problems, &warnings);
    if !problems.is_empty() {
        Exit::Invalid
    } else if arguments.deny_warnings && !warnings.is_empty() {
        Exit::Different
    } else {
        Exit::Done
    }
}

fn find(file: &Path) -> (Vec<Problem>, Vec<Problem>) {
    let settings = match read_settings(file) {
        Ok(settings) => settings,
        Err(unusable) => return (unusable.problems, Vec::new()),
    };
    let in_directory = audit_directory(&settings);
    let certificate = settings.listener.certificate_file.display().to_string();
    let bundle = settings.policy_bundle.as_ref();
    let waits_for_bundle = bundle.is_some_and(|own| {
        Bundles::is_first_start(own).unwrap_or_default() && !Bundles::has_some(own)
    });
    let found = match Prepared::load(settings, &environment().0) {
        Ok(prepared) => prepared.into_found(),
        Err(found) => *found,
    };
    let (mut problems, mut warnings) = (found.reloadable, found.warnings);
    if waits_for_bundle {
        // All that is said is that there is none, which the first start may find.
        warnings.append(&mut problems);
        let text =
            "was not looked at, nor any other file that a reload reads: there is no bundle yet";
        warnings.push(Problem::of_file(certificate, text));
    }
    warnings.extend(found.trial.map(TrialToLoad::load).into_iter().flatten());
    for Finding { severity, problem } in found.certificates {
        match severity {
            Severity::Error | Severity::Outage => problems.push(problem),
            Severity::Warning => warnings.push(problem),
        }
    }
    problems.extend(in_directory);
    problems.extend(found.fixed);
    (problems, warnings)
}

/// A file can be made in the audit directory, or the directory can be made.
fn audit_directory(settings: &Settings) -> Option<Problem> {
    let directory = &settings.audit.directory;
    let exists = directory.exists();
    let place = if exists { Some(directory.as_path()) } else { directory.parent() };
    let place = place.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(place).err().map(|error| {
        let text = if exists {
            format!("the audit directory cannot be written to: {error}")
        } else {
            format!("the audit directory does not exist and cannot be made: {error}")
        };
        Problem::of_file(directory.display().to_string(), text)
    })
}

fn print(format: Format, problems: &[Problem], warnings: &[Problem]) {
    match format {
        Format::Human => {
            for problem in problems {
                say(format_args!("error: {problem}"));
            }
            for warning in warnings {
                say(format_args!("warning: {warning}"));
            }
            let counts = (problems.len(), warnings.len());
            note(match counts {
                (0, 0) => "valid".to_owned(),
                (0, warnings) => format!("valid, {warnings} warning(s)"),
                (problems, warnings) => format!("{problems} problem(s), {warnings} warning(s)"),
            });
        }
        Format::Json => say(json(problems, warnings)),
    }
}
