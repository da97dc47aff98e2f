//! `grantgate policy diff`: which services gain or lose which doors.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::sources::{Files, Ready, SpanArguments};
use crate::cli::problems::report_in;
use crate::cli::{Exit, note, say, say_json};
use crate::domain::{Act, CallerId};
use crate::policy::review::{Change, Diff, Effect, InWorkspace, diff};
use crate::view;
use crate::view::policy::when;

/// Callers and entrances of one change that are listed for people.
const LISTED_MAX: usize = 10;

#[derive(Args)]
#[command(
    after_help = "Example: grantgate policy diff main . --format markdown --fail-on widening\n\n\
    OLD and NEW are each a folder, a rules file, or a git revision of the files.\n\
    Hours are compared over --days days from --from on.\n\n\
    Exit codes: 0 no difference, or none that --fail-on names; 2 differences; 3 invalid policy."
)]
pub(in crate::cli) struct Arguments {
    /// The policy before
    old: String,
    /// The policy after
    new: String,
    /// Exit with 2 only for these
    #[arg(long, value_enum, value_name = "KIND", default_value_t = FailOn::Any)]
    fail_on: FailOn,
    /// How to print it
    #[arg(long, value_enum, default_value_t = DiffFormat::Human)]
    format: DiffFormat,
    #[command(flatten)]
    span: SpanArguments,
    #[command(flatten)]
    files: Files,
}

const EFFECTS: [Effect; 5] =
    [Effect::Gains, Effect::Widens, Effect::DiffersLater, Effect::Narrows, Effect::Loses];

const LATER: &str = "its conditions differ at times that these days do not show";

/// Bytes of Markdown. A comment on GitHub has at most 65,536 characters.
const MARKDOWN_BYTES_MAX: usize = 60_000;

/// What ends with exit code 2.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Any difference
    Any,
    /// What allows something that was not allowed, or may later
    Widening,
    /// Nothing
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DiffFormat {
    /// For people.
    Human,
    /// JSON, for programs; names everything.
    Json,
    /// For a pull request.
    Markdown,
}

pub(super) fn run(arguments: &Arguments, now: Timestamp) -> Exit {
    let read = |what: &str| match arguments.files.read_other(what) {
        Ok(sources) => Ok(sources),
        Err(problem) => {
            report_in("error", &problem, None);
            Err(Exit::Invalid)
        }
    };
    // Doors are named as they are after the change.
    let old = read(&arguments.old).and_then(|sources| sources.load_silently(now));
    let new = read(&arguments.new).and_then(|sources| sources.load(now));
    let (old, new) = match (old, new) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(exit), _) | (_, Err(exit)) => return exit,
    };
    let found = diff(&old.policy, &new.policy, arguments.span.span(now));
    match arguments.format {
        DiffFormat::Human => human(&new, &found),
        DiffFormat::Json => {
            say_json(&view::changes::diff(&old.policy, &new.policy, new.names(), &found));
        }
        DiffFormat::Markdown => say(markdown(&new, &found)),
    }
    let fails = match arguments.fail_on {
        FailOn::Any => !found.changes.is_empty(),
        FailOn::Widening => found.is_widening(),
        FailOn::Never => false,
    };
    if fails { Exit::Different } else { Exit::Done }
}

fn style(effect: Effect) -> Style {
    match effect.is_widening() {
        true => AnsiColor::Red.on_default().bold(),
        false => AnsiColor::Green.on_default().bold(),
    }
}

/// What becomes of what: of grants where nothing else is said.
fn name(effect: Effect, act: Act) -> String {
    match act {
        Act::Grant => effect.as_str().to_owned(),
        Act::Read => format!("{} ({})", effect.as_str(), act.as_str()),
    }
}

pub(super) fn human(new: &Ready, found: &Diff) {
    let mut last = None;
    for change in &found.changes {
        let kind = (change.effect, change.act);
        if last.replace(kind) != Some(kind) {
            let style = style(change.effect);
            say(format_args!("{style}{}{style:#}", name(change.effect, change.act)));
        }
        say(format_args!("  {}", callers(change)));
        say(format_args!("    {}", entrances(change)));
        if let Some(times) = times(change, found) {
            say(format_args!("    {times}"));
        }
        if change.differs_later {
            say(format_args!("    {LATER}"));
        }
        for entrance in change.entrances.iter().take(LISTED_MAX) {
            say(format_args!("      {}", new.door(*entrance)));
        }
        if change.entrances.len() > LISTED_MAX {
            let more = change.entrances.len() - LISTED_MAX;
            say(format_args!("      and {more} more; --format json names all"));
        }
    }
    note(summary(found));
}

/// Who, and by which role.
fn callers(change: &Change) -> String {
    let mut text: Vec<&str> =
        change.callers.iter().take(LISTED_MAX).map(CallerId::as_str).collect();
    let more = format!("{} more", change.callers.len().saturating_sub(LISTED_MAX));
    if change.callers.len() > LISTED_MAX {
        text.push(&more);
    }
    with_groups(text.join(", "), &change.roles)
}

fn entrances(change: &Change) -> String {
    let count = match (change.entrances.len(), change.and_every_other) {
        (0, _) => "every entrance that no policy names".to_owned(),
        (count, true) => format!("{count} entrance(s) and every one that no policy names"),
        (count, false) => format!("{count} entrance(s)"),
    };
    let workspaces: Vec<&str> = change.workspaces.iter().map(workspace).collect();
    let within = match workspaces.as_slice() {
        [] => String::new(),
        [one] => format!(" in workspace {one}"),
        several => format!(" in workspaces {}", several.join(", ")),
    };
    format!("{}{within}", with_groups(count, &change.zones))
}

fn workspace(one: &InWorkspace) -> &str {
    match one {
        InWorkspace::Named(name) => name.as_str(),
        InWorkspace::EveryOther => "that no policy names",
    }
}

fn with_groups(text: String, groups: &[String]) -> String {
    if groups.is_empty() { text } else { format!("{text} ({})", groups.join(", ")) }
}

/// From when to when, where it is a matter of hours.
fn times(change: &Change, found: &Diff) -> Option<String> {
    let before = when(&change.before, &change.conditions_before, found.span);
    let after = when(&change.after, &change.conditions_after, found.span);
    let plain = ["never", "always"];
    let matters = !plain.contains(&before.as_str()) || !plain.contains(&after.as_str());
    matters.then(|| format!("{before} -> {after}"))
}

/// Services and doors that change, in one line.
fn summary(found: &Diff) -> String {
    if found.changes.is_empty() {
        return "no service gains or loses a door".to_owned();
    }
    let mut text = String::new();
    let kinds = EFFECTS.into_iter().flat_map(|effect| Act::ALL.map(|act| (effect, act)));
    for kind in kinds {
        let of = || found.changes.iter().filter(|change| (change.effect, change.act) == kind);
        let pairs: usize = of().map(|change| change.callers.len() * change.entrances.len()).sum();
        let mut services: Vec<&CallerId> = of().flat_map(|change| &change.callers).collect();
        services.sort_unstable();
        services.dedup();
        if !services.is_empty() {
            let separator = if text.is_empty() { "" } else { "; " };
            let (name, count) = (name(kind.0, kind.1), services.len());
            let _ = write!(text, "{separator}{name}: {count} service(s), {pairs} door(s) in all");
            if of().any(|change| change.and_every_other) {
                text.push_str(" and every one that no policy names");
            }
        }
    }
    text
}

/// A table that GitHub and GitLab show, with the doors behind a fold.
fn markdown(new: &Ready, found: &Diff) -> String {
    let mut text = format!("### What this policy change does\n\n{}.\n", summary(found));
    if found.changes.is_empty() {
        return text;
    }
    text.push_str("\n| | services | doors | when |\n|---|---|---|---|\n");
    for change in &found.changes {
        if text.len() > MARKDOWN_BYTES_MAX / 2 {
            text.push_str("| | and more; `--format json` has all | | |\n");
            break;
        }
        let sign = if change.is_widening() { ":warning: " } else { "" };
        let mut when = times(change, found).unwrap_or_default();
        if change.differs_later {
            let _ = write!(when, " ({LATER})");
        }
        let _ = writeln!(
            text,
            "| {sign}{} | {} | {} | {} |",
            name(change.effect, change.act),
            cell(&callers(change)),
            cell(&entrances(change)),
            cell(&when)
        );
    }
    text.push_str("\n<details><summary>doors by name</summary>\n\n");
    for change in &found.changes {
        let name = name(change.effect, change.act);
        let _ = writeln!(text, "**{name}**: {}\n", cell(&callers(change)));
        if text.len() > MARKDOWN_BYTES_MAX {
            text.push_str("and more; `--format json` has all\n\n");
            break;
        }
        for entrance in change.entrances.iter().take(100) {
            let _ = writeln!(text, "- {}", cell(&new.door(*entrance)));
        }
        if change.entrances.len() > 100 {
            let _ = writeln!(text, "- and {} more", change.entrances.len() - 100);
        }
        text.push('\n');
    }
    text.push_str("</details>");
    text
}

/// Text that cannot leave its cell or become markup.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '|' | '<' | '>' | '*' | '_' | '`' | '[' | ']' | '\\' | '@' | '#' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}
