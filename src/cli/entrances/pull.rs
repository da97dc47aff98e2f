//! `grantgate entrances pull`: the catalogue from Seam.
//!
//! Nothing is written before the whole list was read, and never over a catalogue that
//! cannot be read: what it holds may be all that is left of it.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{ReadError, json, read};
use crate::catalogue::{Catalogue, Changes, Entry};
use crate::cli::{Exit, Format, default_config, fail, note, report, runtime, say, settings};
use crate::domain::WorkspaceName;
use crate::files::{lock, replace};
use crate::seam::Entrance;
use crate::snapshot;
use crate::upstream::Workspace;

/// So many changes of a kind are printed one by one.
const SHOWN_MAX: usize = 20;

#[derive(Args)]
#[command(after_help = "Example: grantgate entrances pull --config grantgate.toml --dry-run\n\n\
    A catalogue that is damaged is not overwritten: mend it, or move it away and pull again.\n\n\
    Exit codes: 0 done, 1 failed, 2 differences with --dry-run, 3 invalid configuration or \
    catalogue.")]
pub(in crate::cli) struct Arguments {
    /// The configuration file, for Seam, the workspace key and `policy.entrances_file`
    #[arg(long, value_name = "FILE", default_value_os_t = default_config())]
    config: PathBuf,
    /// The catalogue to write [default: `policy.entrances_file` of the configuration]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show what would change and write nothing
    #[arg(long)]
    dry_run: bool,
    /// How to print what changes
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    pull(arguments).unwrap_or_else(|exit| exit)
}

fn pull(arguments: &Arguments) -> Result<Exit, Exit> {
    let settings = settings(&arguments.config)?;
    report("warning", &settings.warnings);
    if settings.policy_bundle.is_some() && arguments.out.is_none() {
        let text = "`entrances.csv` is in the signed bundle: name the file of your own with --out";
        return Err(fail(text));
    }
    let file = arguments.out.as_ref().unwrap_or(&settings.policy_entrances_file);
    // A damaged catalogue is told of before Seam is asked.
    old(file)?;
    let invalid = |problems: Vec<_>| {
        report("error", &problems);
        Exit::Invalid
    };
    let workspaces = snapshot::load_workspaces(&settings, &snapshot::Files).map_err(invalid)?;
    let runtime = runtime().map_err(fail)?;
    let mut listed = Vec::new();
    for Workspace { name, upstream, .. } in workspaces.all() {
        let found = runtime.block_on(upstream.list_entrances()).map_err(|error| {
            let of = name.as_ref().map_or_else(String::new, |name| format!(" of workspace {name}"));
            fail(format_args!(
                "the entrances{of} could not be listed, nothing was written: {error}"
            ))
        })?;
        listed.extend(found.into_iter().map(|entrance| (entrance, name.clone())));
    }
    let new = catalogue(listed);
    // Not while Seam is asked: that may take longer than other commands wait.
    let unwritten = |error| fail(format_args!("`{}` cannot be written: {error}", file.display()));
    let _locked = if arguments.dry_run { None } else { lock(file).map_err(unwritten)? };
    let old = old(file)?;
    let changes = old.as_ref().map_or_else(
        || Changes { added: new.entries().iter().collect(), ..Changes::default() },
        |old| old.changes_to(&new),
    );
    // An empty workspace still gets its file.
    if new.is_empty() {
        note("note: Seam lists no entrance; is this the key of the right workspace?");
    }
    let different = old.is_none() || !changes.is_empty();
    let written = different && !arguments.dry_run;
    if written {
        replace(file, &new.to_csv(), 0o644).map_err(unwritten)?;
    }
    match arguments.format {
        Format::Human => human(file, &new, &changes, written),
        Format::Json => say(whole(file, &new, &changes, written)),
    }
    Ok(if different && arguments.dry_run { Exit::Different } else { Exit::Done })
}

/// The catalogue there is.
fn old(file: &Path) -> Result<Option<Catalogue>, Exit> {
    read(file).map_err(|error| match error {
        ReadError::Unreadable(problem) => fail(problem),
        ReadError::Invalid(problems) => {
            report("error", &problems);
            note(format_args!(
                "`{}` is left as it is: mend it, or move it away and pull again",
                file.display()
            ));
            Exit::Invalid
        }
    })
}

/// Seam's list as a catalogue.
fn catalogue(listed: Vec<(Entrance, Option<WorkspaceName>)>) -> Catalogue {
    let mut tidied = 0;
    let entry = |(Entrance { id, display_name, system, .. }, workspace)| {
        let entry = Entry::new(id, &display_name, system).unwrap_or_else(|_| {
            tidied += 1;
            Entry::tidied(id, &display_name, system)
        });
        entry.within(workspace)
    };
    let catalogue = listed.into_iter().map(entry).collect();
    if tidied > 0 {
        note(format_args!(
            "note: {tidied} name(s) are empty, too long or not fit to print, and were changed"
        ));
    }
    catalogue
}

fn human(file: &Path, new: &Catalogue, changes: &Changes<'_>, written: bool) {
    let Changes { added, removed, renamed, moved } = changes;
    let other_system = match moved.len() {
        0 => String::new(),
        moved => format!(", {moved} in another system"),
    };
    say(format_args!(
        "{} entrance(s): {} added, {} removed, {} renamed{other_system}",
        new.len(),
        added.len(),
        removed.len(),
        renamed.len()
    ));
    let plain = |entry: &&Entry| format!("{}  {}", entry.id(), entry.name());
    show("added", added, plain);
    show("removed", removed, plain);
    show("renamed", renamed, |(before, after)| {
        format!("{}  {} -> {}", after.id(), before.name(), after.name())
    });
    show("moved", moved, |(before, after)| {
        format!("{}  {}: {} -> {}", after.id(), after.name(), before.system(), after.system())
    });
    let file = file.display();
    note(if written {
        format!("`{file}` was written")
    } else {
        format!("`{file}` was not touched")
    });
}

/// The first changes of a kind, and how many more there are.
fn show<T>(kind: &str, changes: &[T], text: impl Fn(&T) -> String) {
    for change in changes.iter().take(SHOWN_MAX) {
        say(format_args!("{kind:<8} {}", text(change)));
    }
    let more = changes.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        say(format_args!("{kind:<8} and {more} more"));
    }
}

/// For programs: every change.
fn whole(file: &Path, new: &Catalogue, changes: &Changes<'_>, written: bool) -> serde_json::Value {
    let list = |entries: &[&Entry]| entries.iter().map(|e| json(e)).collect::<Vec<_>>();
    let pairs = |pairs: &[(&Entry, &Entry)]| {
        let pair = |(before, after): &(&Entry, &Entry)| serde_json::json!({ "before": json(before), "after": json(after) });
        pairs.iter().map(pair).collect::<Vec<_>>()
    };
    serde_json::json!({
        "file": file.display().to_string(),
        "written": written,
        "entrances": new.len(),
        "added": list(&changes.added),
        "removed": list(&changes.removed),
        "renamed": pairs(&changes.renamed),
        "moved": pairs(&changes.moved),
    })
}
