//! `grantgate policy fmt`: one layout for rules files.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Exit, fail, note, say};
use crate::files::replace;
use crate::policy::format::{format, statements};

#[derive(Args)]
#[command(after_help = "Example: grantgate policy fmt --check\n\n\
    Comments and empty lines stay; the lines between two of them are sorted and aligned.\n\n\
    Exit codes: 0 done, or formatted already; 1 cannot be read or written; 2 not formatted, \
    with --check; 3 the file is cut off.")]
pub(in crate::cli) struct Arguments {
    /// The rules
    #[arg(long, value_name = "FILE", default_value = "policies/policy.csv")]
    rules: PathBuf,
    /// Write nothing; exit with 2 when the file is not formatted
    #[arg(long)]
    check: bool,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let name = arguments.rules.display();
    let text = match std::fs::read_to_string(&arguments.rules) {
        Ok(text) => text,
        Err(error) => return fail(format_args!("`{name}` cannot be read: {error}")),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        let text = "the last line has no end: the file may be cut off; add a newline";
        note(format_args!("error: {name}: {text}"));
        return Exit::Invalid;
    }
    let formatted = format(&text);
    if formatted == text {
        note(format_args!("`{name}` is formatted"));
        return Exit::Done;
    }
    if arguments.check {
        let pairs = text.lines().zip(formatted.lines()).zip(1..);
        for ((_, after), number) in pairs.filter(|((before, after), _)| before != after).take(10) {
            say(format_args!("{name}:{number}: would be `{after}`"));
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
