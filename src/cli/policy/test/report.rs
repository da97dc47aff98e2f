//! What came of the cases: for people, as JSON and as JUnit XML.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Coverage, Outcome};
use crate::cli::problems::{printable, style};
use crate::cli::{note, say};

/// Rules that no case reached are listed for people up to this number.
const LISTED_MAX: usize = 20;

pub(super) fn human(outcomes: &[Outcome], coverage: &Coverage) {
    for outcome in outcomes {
        let (kind, word) = if outcome.failure.is_some() { ("error", "FAIL") } else { ("ok", "ok") };
        let style = style(kind);
        say(format_args!("{style}{word:4}{style:#}  {}", printable(&outcome.case.name)));
        if let Some(failure) = &outcome.failure {
            let wanted = if outcome.case.allow { "allow" } else { "deny" };
            say(format_args!(
                "      {}: wants `{wanted}`: {}",
                printable(&outcome.case.place),
                printable(failure)
            ));
        }
    }
    let missed: Vec<_> = coverage.missed().collect();
    if !missed.is_empty() {
        say("\nrules that decided in no case");
        for (line, text) in missed.iter().take(LISTED_MAX) {
            say(format_args!("{line:>6}  {text}"));
        }
        if missed.len() > LISTED_MAX {
            say(format_args!(
                "        and {} more; --format json lists all",
                missed.len() - LISTED_MAX
            ));
        }
    }
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    let (reached, rules) = (coverage.reached.len(), coverage.rules.len());
    note(format_args!(
        "{} passed, {failed} failed; {reached} of {rules} rule(s) decided in some case ({} %)",
        outcomes.len() - failed,
        coverage.percent()
    ));
}

pub(super) fn json(outcomes: &[Outcome], coverage: &Coverage) -> serde_json::Value {
    let one = |outcome: &Outcome| {
        serde_json::json!({
            "name": outcome.case.name,
            "place": outcome.case.place,
            "passed": outcome.failure.is_none(),
            "failure": outcome.failure,
        })
    };
    let missed =
        coverage.missed().map(|(line, text)| serde_json::json!({ "line": line, "text": text }));
    serde_json::json!({
        "passed": outcomes.iter().all(|outcome| outcome.failure.is_none()),
        "cases": outcomes.iter().map(one).collect::<Vec<_>>(),
        "coverage": {
            "rules": coverage.rules.len(),
            "reached": coverage.reached.len(),
            "percent": coverage.percent(),
            "missed": missed.collect::<Vec<_>>(),
        },
    })
}

/// A suite for each file, as CI systems show it.
pub(super) fn junit(outcomes: &[Outcome]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut report = Report::new("grantgate policy test");
    let mut suites: Vec<TestSuite> = Vec::new();
    for outcome in outcomes {
        let file = outcome.case.place.rsplit_once(':').map_or("", |(file, _)| file);
        let status = match &outcome.failure {
            None => TestCaseStatus::success(),
            Some(failure) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(failure.as_str());
                status
            }
        };
        let mut case = TestCase::new(outcome.case.name.as_str(), status);
        case.set_classname(file);
        match suites.last_mut().filter(|suite| suite.name.as_str() == file) {
            Some(suite) => {
                suite.add_test_case(case);
            }
            None => {
                let mut suite = TestSuite::new(file);
                suite.add_test_case(case);
                suites.push(suite);
            }
        }
    }
    report.add_test_suites(suites);
    let mut out = Vec::new();
    report.serialize(&mut out)?;
    Ok(out)
}
