//! Settings from environment variables.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::config::Setting;
use crate::domain::Problem;
use crate::toml_source::TomlSource;

const PREFIX: &str = "GRANTGATE__";

/// What the names of variables begin with that mean something to this program.
const READ: &[&str] = &["GRANTGATE", "SEAM_", "OTEL_"];

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// The variables that are text, and a problem for each that is not and would have been read.
pub fn environment_of(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Environment, Vec<Problem>) {
    let (mut environment, mut problems) = (Environment::new(), Vec::new());
    for (name, value) in variables {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => {
                environment.insert(name, value);
            }
            (Ok(name), Err(_)) => problems.extend(unreadable(&name, "its value")),
            (Err(name), _) => problems.extend(unreadable(&name.to_string_lossy(), "its name")),
        }
    }
    (environment, problems)
}

fn unreadable(name: &str, what: &str) -> Option<Problem> {
    let upper = name.to_ascii_uppercase();
    let is_read = READ.iter().any(|prefix| upper.starts_with(prefix));
    is_read.then(|| of_variable(name, format!("{what} is not UTF-8")))
}

fn of_variable(name: &str, text: impl Into<String>) -> Problem {
    Problem::of_file(format!("environment variable {name}"), text)
}

/// `GRANTGATE__LISTENER__ADDRESS` takes the place of `listener.address`. Answers the paths of
/// the settings, with the variables' names.
pub(super) fn take_overrides(
    source: &mut TomlSource,
    environment: &Environment,
) -> Vec<(String, String)> {
    let mut taken: Vec<(String, String)> = Vec::new();
    for (variable, text) in environment {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let path = rest.to_ascii_lowercase().replace("__", ".");
        if let Some((_, other)) = taken.iter().find(|(known, _)| *known == path) {
            source.report(of_variable(variable, format!("{other} sets `{path}` already")));
        }
        let quoted =
            |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
        let wrong = if text.is_empty() {
            Some("is empty; unset it, or give it a value")
        } else if text.trim() != text {
            Some("has blanks or a line end around its value; take them out")
        } else if quoted('"') || quoted('\'') {
            Some("has quotes around its value, which belong to it; take them out")
        } else {
            None
        };
        match wrong {
            Some(wrong) => source.report(of_variable(variable, wrong)),
            None => source.override_value(path.clone(), variable.clone(), text.clone()),
        }
        taken.push((path, variable.clone()));
    }
    taken
}

/// Reports variables of ours that no setting reads. Answers warnings about those that may
/// be somebody else's.
pub(super) fn report_unread(
    source: &TomlSource,
    environment: &Environment,
    overrides: &[(String, String)],
    known: &[Setting],
) -> Vec<Problem> {
    let known: Vec<&Setting> = known.iter().filter(|setting| !setting.repeated).collect();
    for (path, variable) in overrides {
        if !known.iter().any(|setting| setting.path == *path) {
            let meant = meant(variable, &known);
            let hint = meant.map_or_else(String::new, |name| format!("; write {name}"));
            source.report(of_variable(variable, format!("there is no setting `{path}`{hint}")));
        }
    }
    let mut warnings = Vec::new();
    for variable in environment.keys().filter(|name| !name.starts_with(PREFIX)) {
        let is_ours = variable.to_ascii_uppercase().starts_with(PREFIX);
        match meant(variable, &known) {
            Some(name) if is_ours => {
                source.report(of_variable(variable, format!("is not read; write {name}")));
            }
            Some(name) => {
                warnings.push(of_variable(variable, format!("is not read; the name is {name}")));
            }
            None if is_ours => source.report(of_variable(
                variable,
                "is not read: write the name in upper case, and it must be that of a setting",
            )),
            None => {}
        }
    }
    warnings
}

/// The variable whose name is the same but for case and underscores.
fn meant(variable: &str, known: &[&Setting]) -> Option<String> {
    let letters = |name: &str| name.to_ascii_uppercase().replace('_', "");
    let wanted = letters(variable);
    known.iter().map(|setting| setting.variable()).find(|name| letters(name) == wanted)
}
