//! Who may open a door.

use maud::{Markup, html};

use super::doors::{csv, times};
use super::what_if::doors as suggested_doors;
use crate::console::asked::{Asked, Format, Wrong, link};
use crate::console::page::{Page, ask, caller, choice, door, field, formats, rules, wrong};
use crate::console::reply::Reply;
use crate::domain::{EntranceId, Order, RuleRef, WorkspaceName};
use crate::inquiry::Doing;
use crate::policy::review::Allowed;
use crate::view;
use crate::view::orders::in_words;
use crate::view::policy::when;

const TITLE: &str = "Who opens a door";

/// Services that are shown at once.
const SHOWN_MAX: usize = 500;

pub(in crate::console) fn show(asked: &Asked) -> Reply {
    let entrance = match asked.entrance("entrance") {
        Ok(Some(entrance)) => entrance,
        Ok(None) if asked.format() == Format::Page => return Page::of(asked, TITLE, &form(asked)),
        Ok(None) => return wrong(asked, TITLE, &html! {}, &"An entrance is needed.".into()),
        Err(text) => return wrong(asked, TITLE, &form(asked), &text),
    };
    match find(asked, entrance) {
        Ok(reply) => reply,
        Err(text) => wrong(asked, TITLE, &form(asked), &text),
    }
}

fn find(asked: &Asked, entrance: EntranceId) -> Result<Reply, Wrong> {
    let known = asked.known();
    let (act, span) = (asked.act()?, asked.span()?);
    let workspace = known.workspace_of(entrance, asked.workspace()?.as_ref());
    let workspace = workspace.map_err(|error| format!("{error}."))?;
    let place = (entrance, workspace.as_ref());
    let doing = Doing { act, workspace: workspace.as_ref(), span, now: asked.now };
    let (found, orders) = known.who(entrance, doing);
    Ok(match asked.format() {
        Format::Json => {
            let suspended = |caller: &_| known.is_suspended(caller);
            let found = (&found[..], &orders[..]);
            Reply::json(&view::policy::who(
                known.policy,
                known.names,
                act,
                place,
                found,
                span,
                suspended,
            ))
        }
        Format::Csv => {
            let rows = found.iter().map(|one| {
                let name = known.names.name_of(entrance).unwrap_or_default();
                let rules: Vec<String> = one.allowed_by.iter().map(RuleRef::to_string).collect();
                let when = when(&one.access, &one.conditions, span);
                [
                    entrance.to_string(),
                    name.to_owned(),
                    one.caller.to_string(),
                    when,
                    rules.join(" "),
                ]
            });
            csv("who.csv", rows)
        }
        Format::Page => Page::of(asked, TITLE, &page(asked, place, doing, &found, &orders)),
    })
}

fn form(asked: &Asked) -> Markup {
    ask(
        asked,
        &html! {
            label { span { "Door" } input name="entrance" list="doors" value=(asked.query.get("entrance").unwrap_or_default()) placeholder="name or id" autocomplete="off" spellcheck="false"; }
            (choice(asked, "act", "To", &[("", "grant access"), ("read", "read")]))
            (field(asked, "at", "At", "at any time"))
            (suggested_doors(asked))
        },
        "Show",
    )
}

fn page(
    asked: &Asked,
    (entrance, workspace): (EntranceId, Option<&WorkspaceName>),
    doing: Doing<'_>,
    found: &[Allowed],
    orders: &[&Order],
) -> Markup {
    let known = asked.known();
    let at = asked.time("at").ok().flatten();
    let entrance_text = entrance.to_string();
    let may = |one: &Allowed| at.is_none_or(|at| times(&one.access).allows(at));
    let count = found.iter().filter(|one| may(one)).count();
    // Who may not at that moment comes last.
    let mut shown: Vec<&Allowed> = found.iter().collect();
    shown.sort_by_key(|one| !may(one));
    shown.truncate(SHOWN_MAX);
    html! {
        (form(asked))
        h2 { (door(known.names, entrance)) @if let Some(workspace) = workspace { " in " (workspace) } }
        @if !orders.is_empty() {
            div .notice { p { strong { "But for now" } } ul { @for order in orders { li { (in_words(order)) } } } }
        }
        p #count {
            @match (count, at) {
                (0, _) => "No service may",
                (1, _) => "One service may",
                (count, _) => { (count) " services may" },
            }
            (if doing.act == crate::domain::Act::Grant { " grant access to this door" } else { " read this door" })
            @if let Some(at) = at { " at " (crate::console::page::time(&at.to_string())) }
            "."
        }
        @if !found.is_empty() {
            table {
                thead { tr { th scope="col" { "Service" } th scope="col" { "When" } @if at.is_some() { th scope="col" { "Then" } } th scope="col" { "By" } th scope="col" { "Ask" } } }
                tbody { @for one in shown {
                    tr .off[!may(one)] {
                        th scope="row" {
                            (caller(one.caller.as_str()))
                            @if known.is_suspended(&one.caller) { " " span .tag.warn { "suspended" } }
                        }
                        td { (when(&one.access, &one.conditions, doing.span)) }
                        @if at.is_some() { td { @if may(one) { span .tag.good { "may" } } @else { span .tag.bad { "may not" } } } }
                        td {
                            (rules(&refs(&one.allowed_by)))
                            @if !one.denied_by.is_empty() { ", denied at times by " (rules(&refs(&one.denied_by))) }
                        }
                        td { a href=(link("what-if", &[("caller", one.caller.as_str()), ("entrance", &entrance_text), ("act", asked.query.get("act").unwrap_or_default()), ("workspace", asked.query.get("workspace").unwrap_or_default()), ("at", asked.query.get("at").unwrap_or_default())])) { "why" } }
                    }
                } }
            }
            @if found.len() > SHOWN_MAX { p .none { "and " (found.len() - SHOWN_MAX) " more; CSV has all" } }
        }
        p { a href=(link("audit", &[("entrance", &entrance_text)])) { "What happened at this door" } }
        (formats(asked, &["json", "csv"]))
    }
}

fn refs(all: &[RuleRef]) -> Vec<String> {
    all.iter().map(RuleRef::to_string).collect()
}
