//! The doors of a service, by zone and rule.

use jiff::Timestamp;
use maud::{Markup, html};

use super::what_if::callers as suggested_callers;
use crate::console::asked::{Asked, Format, Wrong, link};
use crate::console::page::{Page, ask, caller, choice, door, field, formats, rules, time, wrong};
use crate::console::reply::Reply;
use crate::domain::{CallerId, GranteeKind, Order, RuleRef, csv_cell};
use crate::inquiry::Doing;
use crate::policy::review::{Access, Doors, Span};
use crate::view;
use crate::view::orders::in_words;
use crate::view::policy::when;

const TITLE: &str = "Doors of a service";

/// Doors of one group that are shown at once.
const SHOWN_MAX: usize = 200;

pub(in crate::console) fn show(asked: &Asked) -> Reply {
    let caller = match asked.caller("caller") {
        Ok(Some(caller)) => caller,
        Ok(None) if asked.format() == Format::Page => return Page::of(asked, TITLE, &form(asked)),
        Ok(None) => return wrong(asked, TITLE, &html! {}, &"A caller is needed.".into()),
        Err(text) => return wrong(asked, TITLE, &form(asked), &text),
    };
    match find(asked, &caller) {
        Ok(reply) => reply,
        Err(text) => wrong(asked, TITLE, &form(asked), &text),
    }
}

fn find(asked: &Asked, caller: &CallerId) -> Result<Reply, Wrong> {
    let known = asked.known();
    if !known.callers.contains(caller) {
        return Err(format!("`{caller}` is not in the callers file."));
    }
    let (act, span) = (asked.act()?, asked.span()?);
    let workspaces = known.workspaces_of(caller, asked.workspace()?.as_ref());
    let workspaces = workspaces.map_err(|error| format!("{error}."))?;
    let doing = Doing { act, workspace: None, span, now: asked.now };
    let (found, orders) = known.doors(caller, &workspaces, doing);
    Ok(match asked.format() {
        Format::Json => {
            let found = (&found[..], &orders[..]);
            let suspended = known.is_suspended(caller);
            Reply::json(&view::policy::doors(
                known.policy,
                known.names,
                act,
                caller,
                found,
                span,
                suspended,
            ))
        }
        Format::Csv => {
            let rows = found.iter().flat_map(|group| {
                let named = group.entrances.iter().map(move |id| (group, Some(*id)));
                named.chain(group.and_every_other.then_some((group, None)))
            });
            let rows = rows.map(|(group, id)| {
                // Every other door is `*`, as the rules have it.
                let name = id.and_then(|id| known.names.name_of(id)).unwrap_or_default();
                let id = id.map_or_else(|| "*".to_owned(), |id| id.to_string());
                let rules: Vec<String> = group.allowed_by.iter().map(RuleRef::to_string).collect();
                let when = when(&group.access, &group.conditions, span);
                [id, name.to_owned(), caller.to_string(), when, rules.join(" ")]
            });
            csv("doors.csv", rows)
        }
        Format::Page => Page::of(asked, TITLE, &page(asked, caller, doing, &found, &orders)),
    })
}

fn form(asked: &Asked) -> Markup {
    ask(
        asked,
        &html! {
            label { span { "Service" } input name="caller" list="callers" value=(asked.query.get("caller").unwrap_or_default()) autocomplete="off" spellcheck="false"; }
            (choice(asked, "act", "To", &[("", "grant access"), ("read", "read")]))
            (field(asked, "at", "At", "at any time"))
            (suggested_callers(asked))
        },
        "Show",
    )
}

fn page(
    asked: &Asked,
    who: &CallerId,
    doing: Doing<'_>,
    found: &[Doors],
    orders: &[&Order],
) -> Markup {
    let known = asked.known();
    let at = asked.time("at").ok().flatten();
    let may = |group: &&Doors| at.is_none_or(|at| times(&group.access).allows(at));
    let count: usize = found.iter().filter(may).map(|group| group.entrances.len()).sum();
    html! {
        (form(asked))
        h2 { (caller(who.as_str())) @if known.is_suspended(who) { " " span .tag.warn { "suspended" } } }
        @if !orders.is_empty() {
            div .notice { p { strong { "But for now" } } ul { @for order in orders { li { (in_words(order)) } } } }
        }
        @for workspace in found.iter().filter_map(|group| group.workspace.as_ref()).filter(|one| !known.is_within(who, Some(*one))).take(1) {
            p .notice { "The service is not in workspace " (workspace) ": every request of it there is refused, whatever policy says." }
        }
        p #count { (count) " door(s) by name" @if let Some(at) = at { " at " (time(&at.to_string())) } "." }
        @for group in found {
            section .group.off[!may(&group)] {
                h3 {
                    @if group.zones.is_empty() { "Doors" } @else { (group.zones.join(", ")) }
                    @if let Some(workspace) = &group.workspace { " in " (workspace) }
                }
                p { (when(&group.access, &group.conditions, doing.span)) ", by " (rules(&group.allowed_by.iter().map(RuleRef::to_string).collect::<Vec<_>>())) }
                ul .doors {
                    @for id in group.entrances.iter().take(SHOWN_MAX) { li { (door(known.names, *id)) } }
                    @if group.and_every_other { li { "every door that the policy does not name" } }
                }
                @if group.entrances.len() > SHOWN_MAX { p .none { "and " (group.entrances.len() - SHOWN_MAX) " more; CSV has all" } }
            }
        }
        p { a href=(link("audit", &[("caller", who.as_str())])) { "What this service asked for" } }
        (formats(asked, &["json", "csv"]))
    }
}

/// Whether something is allowed at a moment, for either form of grantee.
pub(super) struct At<'a>(&'a Access);

pub(super) const fn times(access: &Access) -> At<'_> {
    At(access)
}

impl At<'_> {
    pub(super) fn allows(&self, at: Timestamp) -> bool {
        match self.0 {
            Access::Never => false,
            Access::Always => true,
            Access::Sometimes(times) => {
                let within = |span: &Span| span.from <= at && at < span.until;
                GranteeKind::ALL.iter().any(|kind| times.of(*kind).iter().any(within))
            }
        }
    }
}

/// A table for spreadsheets (RFC 4180); what one would take for a formula begins with an apostrophe.
pub(super) fn csv(name: &str, rows: impl Iterator<Item = [String; 5]>) -> Reply {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Memory takes everything.
    let _ = writer.write_record(["entrance_id", "entrance_name", "caller", "when", "allowed_by"]);
    for row in rows {
        let _ = writer.write_record(row.map(|cell| csv_cell(&cell)));
    }
    Reply::file("text/csv; charset=utf-8", name, writer.into_inner().unwrap_or_default())
}
