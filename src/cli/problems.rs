//! Problems as people see them, with the line they are in and the place marked, and as
//! programs do.

use anstyle::{AnsiColor, Style};

use super::note;
use crate::bundle::is_confusing;
use crate::domain::Problem;

/// Longer lines are cut.
const WIDTH_MAX: usize = 160;

/// The style of a kind of problem; the stream drops it where it is no terminal.
pub(super) fn style(kind: &str) -> Style {
    match kind {
        "error" => AnsiColor::Red.on_default().bold(),
        "warning" => AnsiColor::Yellow.on_default().bold(),
        _ => Style::new().bold(),
    }
}

/// Shows a problem and, out of `text`, its line with a mark under the place.
pub(super) fn report_in(kind: &str, problem: &Problem, text: Option<&[u8]>) {
    let style = style(kind);
    note(format_args!("{style}{kind}{style:#}: {}", printable(&problem.to_string())));
    let Some(number) = problem.line else { return };
    let line = text.and_then(|text| {
        text.split(|byte| *byte == b'\n').nth(usize::try_from(number).ok()?.checked_sub(1)?)
    });
    let Some(line) = line else { return };
    // The end of a line is no part of it, whatever it is.
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line: String = String::from_utf8_lossy(line).chars().map(visible).take(WIDTH_MAX).collect();
    let dim = Style::new().dimmed();
    note(format_args!("{dim}{number:>6} |{dim:#} {line}"));
    let column = problem.column.and_then(|column| usize::try_from(column).ok());
    if let Some(column) = column.filter(|column| *column <= WIDTH_MAX) {
        note(format_args!("{dim}       |{dim:#} {}{style}^{style:#}", " ".repeat(column - 1)));
    }
}

/// The same for programs.
pub(super) fn json(errors: &[Problem], warnings: &[Problem]) -> serde_json::Value {
    let list = |kind: &'static str, found: &[Problem]| -> Vec<serde_json::Value> {
        let one = |p: &Problem| {
            serde_json::json!({
                "kind": kind, "file": p.file, "line": p.line, "column": p.column, "text": p.text,
            })
        };
        found.iter().map(one).collect()
    };
    let problems = [list("error", errors), list("warning", warnings)].concat();
    serde_json::json!({ "valid": errors.is_empty(), "problems": problems })
}

/// A text of which no control character reaches the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

/// Control characters are shown, not obeyed, and so are those that cannot be seen or change what
/// others look like.
fn visible(c: char) -> char {
    if c.is_control() || is_confusing(c) { '\u{fffd}' } else { c }
}
