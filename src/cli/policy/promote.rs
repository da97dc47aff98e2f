//! `grantgate policy promote`: put the candidate policy in force.

use std::path::PathBuf;

use clap::Args;

use super::sources::{Files, Sources};
use crate::cli::problems::report_in;
use crate::cli::replace::replace;
use crate::cli::{Exit, default_config, fail, note, say, settings};
use crate::config::Settings;
use crate::domain::Problem;

/// So much of a revision names it.
const REVISION_BYTES_MIN: usize = 12;

#[derive(Args)]
#[command(after_help = "Example: grantgate policy promote sha256:2f7d1c0a9b3e\n\n\
    REVISION is the candidate's, as audit records, metrics and `/readyz?verbose` show it, or its\n\
    first 12 digits: what is put in force is what was tried. The rules that were in force stay\n\
    beside them with `.before` at the end of their name. A running gateway puts the new ones in\n\
    force as any edit, and records both revisions.\n\n\
    Exit codes: 0 done, 1 cannot be written, 2 the candidate has another revision, \
    3 invalid configuration or candidate.")]
pub(in crate::cli) struct Arguments {
    /// The candidate's revision
    revision: String,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value_os_t = default_config())]
    config: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let settings = match settings(&arguments.config) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let Some(candidate) = settings.policy_candidate_rules_file.clone() else {
        return fail("there is no candidate: set `policy.candidate_rules_file`");
    };
    let loaded = read(&settings, &candidate).map_err(|problem| {
        report_in("error", &problem, None);
        Exit::Invalid
    });
    // Valid, by the model and the callers of now.
    let ready = match loaded.and_then(Sources::load) {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    let revision = ready.policy.revision().as_str();
    if !names(&arguments.revision, revision) {
        note(format_args!("error: the candidate is {revision}, not `{}`", arguments.revision));
        note("a revision is of model, rules and callers: an edit of any of them changes it");
        return Exit::Different;
    }
    let rules = &settings.policy_rules_file;
    let mut before = rules.clone().into_os_string();
    before.push(".before");
    let kept = std::fs::read(rules).and_then(|bytes| replace(before.as_ref(), &bytes, 0o644));
    // If the process dies between these, the rules are whole and the candidate is the same.
    let done = kept
        .and_then(|()| replace(rules, &ready.sources.policy.rules.bytes, 0o644))
        .and_then(|()| std::fs::remove_file(&candidate));
    match done {
        Ok(()) => {
            say(revision);
            note(format_args!(
                "`{}` has the candidate's rules; `{}` has those from before",
                rules.display(),
                before.display()
            ));
            Exit::Done
        }
        Err(error) => fail(format_args!("`{}` cannot be replaced: {error}", rules.display())),
    }
}

fn read(settings: &Settings, candidate: &std::path::Path) -> Result<Sources, Problem> {
    Files {
        model: settings.policy_model_file.clone(),
        rules: candidate.to_owned(),
        callers: settings.callers_file.clone(),
        entrances: settings.policy_entrances_file.clone(),
    }
    .read()
}

/// Whether `given` is the revision or enough of its beginning, with or without `sha256:`.
fn names(given: &str, revision: &str) -> bool {
    let digits = |text: &str| text.strip_prefix("sha256:").unwrap_or(text).to_owned();
    let (given, revision) = (digits(given), digits(revision));
    given.len() >= REVISION_BYTES_MIN && revision.starts_with(&given)
}
