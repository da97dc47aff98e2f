//! `grantgate policy promote`: put the candidate policy in force.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use super::bundle::{BundleArguments, promote};
use super::sources::{Files, Sources};
use crate::cli::problems::report_in;
use crate::cli::{Exit, default_config, fail, note, say, settings};
use crate::config::Settings;
use crate::domain::Problem;
use crate::files::{copy, lock, replace};

/// So much of a revision names it.
const REVISION_BYTES_MIN: usize = 12;

#[derive(Args)]
#[command(after_help = "Example: grantgate policy promote sha256:2f7d1c0a9b3e\n\n\
    REVISION is the candidate's, as audit records, metrics and `/readyz?verbose` show it, or its\n\
    first 12 digits: what is put in force is what was tried. The rules that were in force stay\n\
    beside them with `.before` at the end of their name. A running gateway puts the new ones in\n\
    force as any edit, and records both revisions.\n\n\
    Example: grantgate policy promote 44 --database publisher.toml --wait 30s\n\n\
    With --database a bundle that enough keys have signed is given to gateways, and is waited for.\n\n\
    Exit codes: 0 done, 1 failed, 2 the candidate has another revision, or the bundle is not in force \
    everywhere yet, 3 invalid configuration or candidate.")]
pub(in crate::cli) struct Arguments {
    /// The candidate's revision; with --database the bundle's number, or 44@DIGITS
    #[arg(value_name = "REVISION|BUNDLE")]
    revision: String,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value_os_t = default_config())]
    config: PathBuf,
    #[command(flatten)]
    bundle: BundleArguments,
}

pub(super) fn run(arguments: &Arguments, now: Timestamp) -> Exit {
    if let Some(exit) = promote(&arguments.revision, &arguments.bundle) {
        return exit;
    }
    let settings = match settings(&arguments.config) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    if settings.policy_bundle.is_some() {
        return fail("policies come as signed bundles here: promote one with --database");
    }
    let Some(candidate) = settings.policy_candidate_rules_file.clone() else {
        return fail("there is no candidate: set `policy.candidate_rules_file`");
    };
    let rules = &settings.policy_rules_file;
    // Before anything is read: of two promotions at once the second must see that there is
    // no candidate any more, or it would put its rules over those from before.
    let _locked = match lock(rules) {
        Ok(locked) => locked,
        Err(error) => return fail(format_args!("`{}`: {error}", rules.display())),
    };
    let loaded = read(&settings, &candidate).map_err(|problem| {
        report_in("error", &problem, None);
        Exit::Invalid
    });
    // Valid, by the model and the callers of now.
    let ready = match loaded.and_then(|sources| sources.load(now)) {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    let revision = ready.policy.revision().as_str();
    if !names(&arguments.revision, revision) {
        note(format_args!("error: the candidate is {revision}, not `{}`", arguments.revision));
        note("a revision is of model, rules and callers: an edit of any of them changes it");
        return Exit::Different;
    }
    let mut before = rules.clone().into_os_string();
    before.push(".before");
    let before = PathBuf::from(before);
    if [rules, &before].iter().any(|path| is_same_file(path, &candidate)) {
        return fail(format_args!(
            "`{}` is also where the rules in force are or go: give the candidate a file of its own",
            candidate.display()
        ));
    }
    let bytes = &ready.sources.policy.rules.bytes;
    // If the process dies between these, the rules are whole, and the candidate is the same
    // or is still there.
    let done = copy(rules, &before)
        .and_then(|()| replace(rules, bytes, 0o644))
        .and_then(|_| remove_unchanged(&candidate, bytes));
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

fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    id(one) == id(other)
}

/// Removes the candidate, unless it was edited meanwhile: then it is another candidate.
fn remove_unchanged(candidate: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if std::fs::read(candidate)? == bytes {
        return std::fs::remove_file(candidate);
    }
    note(format_args!("`{}` was edited meanwhile and stays", candidate.display()));
    Ok(())
}

fn read(settings: &Settings, candidate: &Path) -> Result<Sources, Problem> {
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
