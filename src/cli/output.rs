//! What commands print: results on standard output, everything else on standard error.
//!
//! A result that could not be written is a failure of the command, whatever else it did:
//! [`exit`] turns it into exit code 1. A reader that has gone away (`… | head`) has seen
//! enough and is none.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::sync::OnceLock;

use serde::Serialize;

use super::Exit;
use crate::domain::Problem;

/// Why standard output failed first.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// Prints a line of the result.
pub(super) fn say(text: impl Display) {
    noted(try_say(text));
}

/// Prints what was found as one line of JSON.
pub(super) fn say_json(view: &impl Serialize) {
    let mut line = Vec::new();
    match write_json(&mut line, view) {
        Ok(()) => print(&line),
        Err(error) => noted(Err(error)),
    }
}

/// Writes a line of JSON, its keys in the order of the alphabet.
pub(super) fn write_json(out: &mut impl io::Write, view: &impl Serialize) -> io::Result<()> {
    writeln!(out, "{}", serde_json::to_value(view)?)
}

/// Prints a line of the result that must not be lost.
///
/// # Errors
/// When it did not reach standard output, also because its reader has gone away.
pub(super) fn try_say(text: impl Display) -> io::Result<()> {
    let mut out = anstream::stdout();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

/// Prints a result that has its own ends of lines.
pub(super) fn print(text: &[u8]) {
    let mut out = io::stdout();
    noted(out.write_all(text).and_then(|()| out.flush()));
}

/// Prints what the argument parser has to say: help, the version, or what is wrong.
pub(super) fn parser(error: &clap::Error) -> Exit {
    let printed = error.print();
    if error.use_stderr() {
        return Exit::Usage;
    }
    noted(printed.and_then(|()| io::stdout().flush()));
    exit(Exit::Done)
}

/// Whether standard output is the null device: what Rust programs get in place of one that is
/// closed (`>&-`).
pub(super) fn goes_nowhere() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let output = rustix::fs::fstat(io::stdout());
    let null = std::fs::metadata("/dev/null").map(|metadata| metadata.rdev());
    output.ok().zip(null.ok()).is_some_and(|(output, null)| output.st_rdev == null)
}

fn noted(written: io::Result<()>) {
    if let Err(error) = written {
        let _ = FAILED.set(error);
    }
}

/// How the command ends: as it says, unless its result was lost.
pub(super) fn exit(ended: Exit) -> Exit {
    match FAILED.get() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(format_args!("the result cannot be written to standard output: {error}"))
        }
        _ => ended,
    }
}

/// Prints a line about the command itself. Where standard error cannot be written either,
/// nobody is left to tell.
pub(super) fn note(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Prints why a command failed.
pub(super) fn fail(error: impl Display) -> Exit {
    note(format_args!("error: {error}"));
    Exit::Failed
}

/// Prints problems, each on a line of its own.
pub(super) fn report(kind: &str, problems: &[Problem]) {
    for problem in problems {
        note(format_args!("{kind}: {problem}"));
    }
}
