//! `grantgate policy fmt`: one layout for rules files.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Exit, fail, note, say};
use crate::files::{lock, replace};
use crate::policy::format::{format, statements};

#[derive(Args)]
#[command(after_help = "Example: grantgate policy fmt --check\n\n\
    Comments and empty lines stay; the lines between two of them are sorted and aligned.\n\n\
    Exit codes: 0 done, or formatted already; 1 cannot be read or written; 2 not formatted, \
    with --check; 3 the file is cut off or begins with a byte order mark.")]
pub(in crate::cli) struct Arguments {
    /// The rules
    #[arg(long, value_name = "FILE", default_value = "policies/policy.csv")]
    rules: PathBuf,
    /// Write nothing; exit with 2 when the file is not formatted
    #[arg(long)]
    check: bool,
}

/// Lines that are listed.
const LISTED_MAX: usize = 10;

pub(super) fn run(arguments: &Arguments) -> Exit {
    let name = arguments.rules.display();
    let _locked = match lock(&arguments.rules) {
        Ok(locked) => locked,
        Err(error) => return fail(format_args!("`{name}`: {error}")),
    };
    let text = match std::fs::read_to_string(&arguments.rules) {
        Ok(text) => text,
        Err(error) => return fail(format_args!("`{name}` cannot be read: {error}")),
    };
    // The loader refuses these too: a line would be lost or mean something else.
    let damaged = if text.starts_with('\u{feff}') {
        Some("starts with a byte order mark; save it as UTF-8 without one")
    } else if !text.is_empty() && !text.ends_with('\n') {
        Some("the last line has no end: the file may be cut off; add a newline")
    } else {
        None
    };
    if let Some(text) = damaged {
        note(format_args!("error: {name}: {text}"));
        return Exit::Invalid;
    }
    let formatted = format(&text);
    if formatted == text {
        note(format_args!("`{name}` is formatted"));
        return Exit::Done;
    }
    if arguments.check {
        for (number, text) in differences(&text, &formatted).iter().take(LISTED_MAX) {
            say(format_args!("{name}:{number}: {text}"));
        }
        note(format_args!("`{name}` is not formatted; run `grantgate policy fmt`"));
        return Exit::Different;
    }
    if statements(&text) != statements(&formatted) {
        return fail(format_args!("`{name}` was not written: a statement would have been lost"));
    }
    match replace(&arguments.rules, formatted.as_bytes(), 0o644) {
        Ok(_) => {
            note(format_args!("formatted `{name}`"));
            Exit::Done
        }
        Err(error) => fail(format_args!("`{name}` cannot be written: {error}")),
    }
}

/// Which lines would be others, and what they would be. Line ends of Windows are one finding,
/// with the first line that has one.
fn differences(before: &str, after: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let ends = || before.split('\n').zip(1..).filter(|(line, _)| line.ends_with('\r'));
    if let Some((_, first)) = ends().next() {
        let lines = ends().count();
        found.push((
            first,
            format!("{lines} line(s) from here on end with CR LF, would end with LF"),
        ));
    }
    let mut after = after.lines();
    for (before, number) in before.lines().zip(1..) {
        match after.next() {
            Some(after) if after == before => {}
            Some(after) => found.push((number, format!("would be `{after}`"))),
            None => found.push((number, "would be taken out".to_owned())),
        }
    }
    found
}
