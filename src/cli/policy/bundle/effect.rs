//! What a bundle changes, from the signed files of both.

use jiff::Timestamp;

use super::fetched::Heads;
use crate::authn::callers::{CallerChange, changes};
use crate::bundle::{Bundle, Contents, Entry, FileName, Signed};
use crate::cli::desk::{Ended, Open};
use crate::cli::policy::diff::human;
use crate::cli::policy::sources::{Ready, Sources, SpanArguments};
use crate::cli::problems::printable;
use crate::cli::{note, say};
use crate::policy::review::{Diff, diff};

/// Doors with another name that are listed.
const RENAMED_MAX: usize = 50;

/// What a bundle changes of one that gateways are to have.
pub(super) struct Effect {
    /// What is compared with; none where there is no bundle yet.
    pub(super) before: Option<(Signed, Ready)>,
    pub(super) diff: Diff,
    pub(super) callers: Vec<CallerChange>,
    /// The files that differ.
    pub(super) files: Vec<&'static str>,
}

/// A policy out of a bundle's files.
pub(super) fn ready(id: &str, contents: &Contents, now: Timestamp) -> Result<Ready, Ended> {
    Ok(Sources::of_bundle(id, contents).load(now)?)
}

/// What it changes of each bundle that gateways are to have.
pub(super) async fn effects(
    open: &Open,
    heads: &Heads,
    (bundle, new): (&Bundle, &Ready),
    (span, now): (&SpanArguments, Timestamp),
) -> Result<Vec<Effect>, Ended> {
    let mut found = Vec::new();
    for before in heads.each() {
        let contents = open.contents(before).await?;
        let old = ready(&before.id(), &contents, now)?;
        found.push(Effect {
            diff: diff(&old.policy, &new.policy, span.span(now)),
            callers: changes(&old.callers, &new.callers),
            files: differing(&before.bundle.files, &bundle.files),
            before: Some((before.clone(), old)),
        });
    }
    if found.is_empty() {
        // All that it allows is new.
        let nothing = Sources::without_rules(&new.sources).load_silently(now)?;
        found.push(Effect {
            before: None,
            diff: diff(&nothing.policy, &new.policy, span.span(now)),
            callers: changes(&crate::authn::Callers::none(), &new.callers),
            files: differing(&[], &bundle.files),
        });
    }
    Ok(found)
}

fn differing(before: &[Entry], after: &[Entry]) -> Vec<&'static str> {
    let of = |files: &[Entry], name| files.iter().find(|entry| entry.name == name).copied();
    let names = FileName::ALL.iter().filter(|name| of(before, **name) != of(after, **name));
    names.map(|name| name.as_str()).collect()
}

/// Shows it to people.
pub(super) fn show(new: &Ready, effects: &[Effect]) {
    for Effect { before, diff, callers, files } in effects {
        match before {
            Some((before, _)) => say(format_args!("changes of bundle {}:", before.bundle.number)),
            None => say("there is no bundle yet: all that this one allows is new"),
        }
        say(format_args!(
            "files: {}",
            if files.is_empty() { "none".into() } else { files.join(", ") }
        ));
        for CallerChange { caller, added, removed } in callers {
            say(format_args!("caller {caller}"));
            for text in removed {
                say(format_args!("  - {}", printable(text)));
            }
            for text in added {
                say(format_args!("  + {}", printable(text)));
            }
        }
        if let Some((_, old)) = before {
            names(old, new);
        }
        if files.contains(&FileName::Model.as_str()) && before.is_some() {
            note("note: the model differs: how rules are matched may be another");
        }
        human(new, diff);
    }
}

/// Doors that are called otherwise from now on: below they have their new names.
fn names(old: &Ready, new: &Ready) {
    let changes = old.names().changes_to(new.names());
    for (before, after) in changes.renamed.iter().take(RENAMED_MAX) {
        let (id, was, is) = (before.id(), printable(before.name()), printable(after.name()));
        say(format_args!("door {id} is called `{is}`, and was `{was}`"));
    }
    let more = changes.renamed.len().saturating_sub(RENAMED_MAX);
    if more > 0 {
        say(format_args!("and {more} more doors are called otherwise"));
    }
    let (added, removed) = (changes.added.len(), changes.removed.len());
    if added + removed > 0 {
        say(format_args!("names of {added} door(s) are new, of {removed} gone"));
    }
}

/// The policy that all gateways are to have; or why it cannot be looked at.
pub(in crate::cli) async fn newest_bundle(open: &Open) -> Result<Ready, String> {
    let heads = open.heads().await.map_err(|ended| ended.to_string())?;
    let newest = heads.newest_for_all().ok_or("no bundle was given to all gateways yet")?;
    let contents = open.contents(newest).await.map_err(|ended| ended.to_string())?;
    let loaded = Sources::of_bundle(&newest.id(), &contents).try_load(Timestamp::now());
    loaded.map_err(|problems| problems.first().map_or_else(String::new, ToString::to_string))
}
