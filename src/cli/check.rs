//! `grantgate check`: everything that `serve` would load, without binding a port.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::problems::json;
use super::{Exit, Format, default_config, environment, note, read_settings, say};
use crate::config::Settings;
use crate::domain::Problem;
use crate::server::{journal_settings, traces_from};
use crate::shipping;
use crate::snapshot::{self, Files, Trial, Unloaded};
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
    let mut settings = match read_settings(file) {
        Ok(settings) => settings,
        Err(unusable) => return (unusable.problems, Vec::new()),
    };
    let mut warnings = std::mem::take(&mut settings.warnings);
    let now = Timestamp::now();
    let (mut problems, findings) = match snapshot::load(&settings, Arc::new(Files)) {
        Ok(loaded) => {
            warnings.extend(loaded.warnings);
            let findings = loaded.snapshot.certificates.findings(now);
            if let Some(trial) = loaded.trial {
                trial.load();
            }
            // It decides nothing: a mistake in it does not keep a gateway from starting.
            if let Some(Trial::Invalid(problems)) = loaded.snapshot.trial() {
                warnings.extend(problems.iter().cloned());
            }
            (Vec::new(), findings)
        }
        Err(Unloaded { problems, certificates }) => {
            (problems, certificates.map(|of| of.findings(now)).unwrap_or_default())
        }
    };
    for Finding { severity, problem } in findings {
        match severity {
            Severity::Error | Severity::Outage => problems.push(problem),
            Severity::Warning => warnings.push(problem),
        }
    }
    problems.extend(check_audit(&settings));
    problems.extend(journal_settings(&settings.audit).err().into_iter().flatten());
    problems.extend(shipping::sink(&settings.audit).err().into_iter().flatten());
    let traces = traces_from(&environment().0, |file| std::fs::read(file));
    problems.extend(traces.err().map(|error| Problem::of_file("traces", error.to_string())));
    (problems, warnings)
}

/// A file can be made in the audit directory, or the directory can be made.
fn check_audit(settings: &Settings) -> Option<Problem> {
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
