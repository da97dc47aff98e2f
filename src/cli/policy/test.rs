//! `grantgate policy test`: what the policy must decide, as cases in files of their own.

mod cases;
mod report;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use super::sources::{Files, Ready, SpanArguments};
use crate::cli::problems::report_in;
use crate::cli::{Exit, Format, fail, note, say};
use crate::domain::{Act, GranteeKind};
use crate::files::write_report;
use crate::policy::review::{Access, Span, access_of, is_conditional};
use crate::policy::{Evaluation, Moment, Question};
use cases::Case;

#[derive(Args)]
#[command(after_help = "Example: grantgate policy test --junit report.xml --min-coverage 80\n\n\
    A case in policies/tests/*.toml:\n\n  \
    [[case]]\n  \
    name = \"the desk lets visitors in by day\"\n  \
    caller = \"visitor-desk\"\n  \
    entrance = \"d23d7180-c1ee-4bbe-8630-05df5031ce35\"   # or its name in the catalogue\n  \
    act = \"grant\"                   # or \"read\"; without it: \"grant\"\n  \
    at = 2026-11-25T10:00:00Z       # without it: at all times from --from on, for --days\n  \
    grantee = \"user_identity\"       # without it: in both forms\n  \
    decision = \"allow\"              # or \"deny\"\n  \
    reason = \"allowed-by-rule\"      # optional\n  \
    rule = \"p, role:front-desk, zone:lobby, grant, allow\"   # optional: a rule that decides\n\n\
    Exit codes: 0 all pass, 2 a case fails or the coverage is too low, 1 the report cannot be\n    written, 3 invalid policy or cases.")]
pub(in crate::cli) struct Arguments {
    /// Files of cases, or folders of them
    #[arg(value_name = "PATH", default_value = "policies/tests")]
    paths: Vec<PathBuf>,
    /// Write a JUnit XML report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Exit with 2 when fewer rules than this decided in some case, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    min_coverage: u8,
    /// How to print the results
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    span: SpanArguments,
    #[command(flatten)]
    files: Files,
}

/// What came of a case.
struct Outcome {
    case: Case,
    /// Why it fails.
    failure: Option<String>,
}

/// The rules, and which of them decided in some case.
struct Coverage {
    rules: Vec<(u32, String)>,
    reached: BTreeSet<u32>,
}

impl Coverage {
    fn missed(&self) -> impl Iterator<Item = &(u32, String)> {
        self.rules.iter().filter(|(line, _)| !self.reached.contains(line))
    }

    fn percent(&self) -> usize {
        self.reached.len() * 100 / self.rules.len().max(1)
    }
}

pub(super) fn run(arguments: &Arguments, now: Timestamp) -> Exit {
    let ready = match arguments.files.load(now) {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    let cases = match read_cases(&arguments.paths, &ready) {
        Ok(cases) => cases,
        Err(exit) => return exit,
    };
    let rules = ready.policy.rule_texts().collect();
    let mut coverage = Coverage { rules, reached: BTreeSet::new() };
    let span = arguments.span.span(now);
    let judged = cases.into_iter().map(|case| {
        let failure = judge(&ready, &case, span, &mut coverage).err();
        Outcome { case, failure }
    });
    let outcomes: Vec<Outcome> = judged.collect();
    match arguments.format {
        Format::Human => report::human(&outcomes, &coverage),
        Format::Json => say(report::json(&outcomes, &coverage)),
    }
    if let Some(file) = &arguments.junit {
        let written = report::junit(&outcomes).and_then(|xml| Ok(write_report(file, &xml)?));
        if let Err(error) = written {
            return fail(format_args!("`{}` cannot be written: {error}", file.display()));
        }
    }
    let covered = coverage.percent() >= usize::from(arguments.min_coverage);
    if !covered {
        let (found, least) = (coverage.percent(), arguments.min_coverage);
        note(format_args!("coverage is {found} %, and at least {least} % are asked for"));
    }
    let passed = outcomes.iter().all(|outcome| outcome.failure.is_none());
    if passed && covered { Exit::Done } else { Exit::Different }
}

/// The cases of files or folders that fail, and why; or a report of what is wrong with the cases.
pub(super) fn failures(
    ready: &Ready,
    path: &Path,
    span: Span,
) -> Result<Vec<(String, String)>, Exit> {
    let cases = read_cases(&[path.to_owned()], ready)?;
    let mut coverage =
        Coverage { rules: ready.policy.rule_texts().collect(), reached: BTreeSet::new() };
    let fails = |case: Case| {
        let failure = judge(ready, &case, span, &mut coverage).err()?;
        Some((case.name, failure))
    };
    Ok(cases.into_iter().filter_map(fails).collect())
}

fn read_cases(paths: &[PathBuf], ready: &Ready) -> Result<Vec<Case>, Exit> {
    cases::read(paths, ready).map_err(|found| {
        for (problem, text) in &found {
            report_in("error", problem, text.as_deref());
        }
        note(format_args!("{} problem(s)", found.len()));
        Exit::Invalid
    })
}

/// Puts one case to the engine, in every form and at every time that it leaves open.
fn judge(ready: &Ready, case: &Case, span: Span, coverage: &mut Coverage) -> Result<(), String> {
    let (caller, act, entrance) = (&case.caller, case.act, case.entrance);
    let kinds = match (act, case.grantee) {
        (Act::Read, _) => vec![None],
        (Act::Grant, None) => GranteeKind::ALL.map(Some).to_vec(),
        (Act::Grant, kind) => vec![kind],
    };
    for grantee in kinds {
        let moment = Moment { at: case.at.unwrap_or(span.from), grantee };
        let names_why = case.reason.is_some() || case.rule.is_some();
        let workspace = case.workspace.as_ref();
        let question = Question { caller, act, entrance, workspace, moment };
        let conditional = || is_conditional(&ready.policy, question);
        if case.at.is_none() && names_why && conditional() {
            return Err("which rule decides may depend on the time: add `at` to this case".into());
        }
        if case.at.is_none() {
            let found = access_of(&ready.policy, question, span);
            // Both are the same where there is none.
            let kind = grantee.unwrap_or(GranteeKind::UserIdentity);
            let time = found.time(span, kind);
            let whole = Access::Always.time(span, kind);
            if !time.is_zero() && time != whole {
                return Err("it depends on the time: add `at` to this case".into());
            }
        }
        let found = ready.policy.evaluate(question);
        let lines = found.rules.iter().map(crate::policy::RuleRef::line);
        coverage.reached.extend(lines);
        compare(case, &found, grantee, coverage)?;
    }
    Ok(())
}

fn compare(
    case: &Case,
    found: &Evaluation,
    grantee: Option<GranteeKind>,
    coverage: &Coverage,
) -> Result<(), String> {
    let allowed = found.is_allowed();
    let rules: Vec<String> = found.rules.iter().map(ToString::to_string).collect();
    let by = if rules.is_empty() { String::new() } else { format!(" by {}", rules.join(", ")) };
    let form = grantee.map_or_else(String::new, |kind| format!(", for {}", kind.as_str()));
    let named = grantee
        .map_or_else(String::new, |kind| format!(", for a grantee named by {}", kind.as_str()));
    if allowed != case.allow {
        let word = if allowed { "allowed" } else { "denied" };
        return Err(format!("{word} ({}){by}{named}", found.reason.as_str()));
    }
    if let Some(reason) = case.reason.as_deref().filter(|reason| *reason != found.reason.as_str()) {
        let decided = found.reason.as_str();
        return Err(format!("the reason is `{decided}`, not `{reason}`{form}"));
    }
    if let Some(rule) = &case.rule {
        let texts = found.rules.iter().filter_map(|decided| {
            coverage.rules.iter().find(|(line, _)| *line == decided.line()).map(|(_, text)| text)
        });
        if !texts.into_iter().any(|text| text == rule) {
            return Err(format!("decided{by}, not by `{rule}`{form}"));
        }
    }
    Ok(())
}
