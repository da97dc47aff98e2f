//! The doors of a service, by zone and rule.

use maud::{Markup, html};

use super::moment::{At, csv, in_cell, in_tag, may};
use super::others::{Others, listed};
use super::what_if::callers as suggested_callers;
use crate::console::asked::{Asked, Format, Wrong, link};
use crate::console::page::{Page, ask, caller, choice, door, field, formats, rules, time, wrong};
use crate::console::reply::Reply;
use crate::domain::{CallerId, EntranceId, Order, RuleRef, WorkspaceName};
use crate::inquiry::{Doing, Known, Then};
use crate::policy::review::Doors;
use crate::view;
use crate::view::orders::in_words_with;
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
    let at = asked.time("at")?;
    let orders_then = asked.orders_at(at.unwrap_or(asked.now))?;
    let then = At { known: Known { orders: &orders_then, ..known }, act, at };
    Ok(match asked.format() {
        Format::Json => {
            let found = (&found[..], &orders[..]);
            let suspended = known.is_suspended(caller);
            Reply::json(&view::policy::doors(
                known.policy,
                known.names,
                act,
                (caller, suspended),
                found,
                span,
                |group, id| {
                    let said = then.said(caller, (id, group.workspace.as_ref()));
                    said.map(|then| then.said)
                },
            ))
        }
        Format::Csv => {
            let rows = found.iter().flat_map(|group| {
                let named = group.entrances.iter().map(move |id| (group, Some(*id)));
                named.chain(group.and_every_other.then_some((group, None)))
            });
            let has_workspaces = found.iter().any(|group| group.workspace.is_some());
            let rows = rows.map(|(group, id)| {
                // Every other door is `*`, as the rules have it.
                let name = id.and_then(|id| known.names.name_of(id)).unwrap_or_default();
                let workspace = group.workspace.as_ref();
                let said = id.and_then(|id| then.said(caller, (id, workspace)));
                let said = at.map(|_| in_cell(said.as_ref()));
                let id = id.map_or_else(|| "*".to_owned(), |id| id.to_string());
                let rules: Vec<String> = group.allowed_by.iter().map(RuleRef::to_string).collect();
                let when = when(&group.access, &group.conditions, span);
                let workspace = has_workspaces.then(|| workspace.map_or("", WorkspaceName::as_str));
                let more = workspace.map(str::to_owned).into_iter().chain(said).collect();
                ([id, name.to_owned(), caller.to_string(), when, rules.join(" ")], more)
            });
            let more = has_workspaces.then_some("workspace").into_iter().chain(at.map(|_| "then"));
            csv("doors.csv", &more.collect::<Vec<_>>(), rows)
        }
        Format::Page => {
            Page::of(asked, TITLE, &page(asked, (caller, &then), doing, &found, &orders))
        }
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
    (who, then): (&CallerId, &At<'_>),
    doing: Doing<'_>,
    found: &[Doors],
    orders: &[&Order],
) -> Markup {
    let (known, at) = (asked.known(), then.at);
    // Which doors of each group, the closed ones last, and what is said of them.
    let of_group = |group: &Doors| {
        let place = |id| (id, group.workspace.as_ref());
        let mut all: Vec<(EntranceId, Option<Then>)> =
            group.entrances.iter().map(|id| (*id, then.said(who, place(*id)))).collect();
        all.sort_by_key(|(_, said)| !may(said.as_ref()));
        all
    };
    let found: Vec<_> = found.iter().map(|group| (group, of_group(group))).collect();
    let others = Others::of(asked, None).names(asked);
    let all = || found.iter().flat_map(|(_, doors)| doors);
    let count = all().filter(|(_, said)| may(said.as_ref())).count();
    html! {
        (form(asked))
        h2 { (caller(who.as_str())) @if known.is_suspended(who) { " " span .tag.warn { "suspended" } } }
        @if !orders.is_empty() {
            div .notice { p { strong { "But for now" } } ul { @for order in orders { li { (in_words_with(order, asked.snapshot.names())) } } } }
        }
        @for workspace in found.iter().filter_map(|(group, _)| group.workspace.as_ref()).filter(|one| !known.is_within(who, Some(*one))).take(1) {
            p .notice { "The service is not in workspace " (workspace) ": every request of it there is refused, whatever policy says." }
        }
        p #count {
            (count) " door(s) by name"
            @if let Some(at) = at { " may be opened at " (time(&at.to_string())) ", of " (all().count()) }
            "."
        }
        @for (group, doors) in &found {
            section .group {
                h3 {
                    @if group.zones.is_empty() { "Doors" } @else { (group.zones.join(", ")) }
                    @if let Some(workspace) = &group.workspace { " in " (workspace) }
                }
                p { (when(&group.access, &group.conditions, doing.span)) ", by " (rules(&group.allowed_by.iter().map(RuleRef::to_string).collect::<Vec<_>>())) }
                ul .doors {
                    @for (id, said) in doors.iter().take(SHOWN_MAX) {
                        li .off[!may(said.as_ref())] {
                            (door(known.names, *id))
                            @if let Some(said) = said { " " (in_tag(said)) }
                        }
                    }
                    @if group.and_every_other { li { "every door that the policy does not name" @if !others.is_empty() { ": " (listed(&others)) } } }
                }
                @if doors.len() > SHOWN_MAX { p .none { "and " (doors.len() - SHOWN_MAX) " more; CSV has all" } }
            }
        }
        p { a href=(link("audit", &[("caller", who.as_str())])) { "What this service asked for" } }
        (formats(asked))
    }
}
