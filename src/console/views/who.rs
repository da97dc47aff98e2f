//! Who may open a door.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::moment::{At, csv, in_cell, in_tag, may};
use super::what_if::doors as suggested_doors;
use crate::console::asked::{Asked, Format, Wrong, link};
use crate::console::page::{self, Page, ask, choice, door, field, formats, rules, wrong};
use crate::console::reply::Reply;
use crate::domain::{CallerId, EntranceId, Order, RuleRef, WorkspaceName};
use crate::inquiry::{Doing, Known, Then};
use crate::policy::review::{Allowed, Frame, Only, Span, matrix};
use crate::view;
use crate::view::orders::in_words_with;
use crate::view::policy::{Standing, when};

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
    let at = asked.time("at")?;
    let orders_then = asked.orders_at(at.unwrap_or(asked.now))?;
    let then = Known { orders: &orders_then, ..known };
    let then = At { known: then, act, at };
    Ok(match asked.format() {
        Format::Json => {
            let standing = |caller: &_| Standing {
                suspended: known.is_suspended(caller),
                then: then.said(caller, place).map(|then| then.said),
            };
            let found = (&found[..], &orders[..]);
            Reply::json(&view::policy::who(
                known.policy,
                known.names,
                act,
                place,
                found,
                span,
                standing,
            ))
        }
        Format::Csv => {
            let rows = found.iter().map(|one| {
                let name = known.names.name_of(entrance).unwrap_or_default();
                let rules: Vec<String> = one.allowed_by.iter().map(RuleRef::to_string).collect();
                let when = when(&one.access, &one.conditions, span);
                let cells = [
                    entrance.to_string(),
                    name.to_owned(),
                    one.caller.to_string(),
                    when,
                    rules.join(" "),
                ];
                let said = then.said(&one.caller, place);
                (cells, at.map(|_| in_cell(said.as_ref())).into_iter().collect())
            });
            csv("who.csv", at.map_or(&[], |_| &["then"]), rows)
        }
        Format::Page => {
            Page::of(asked, TITLE, &page(asked, place, doing, (&found, &orders), &then))
        }
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
    (found, orders): (&[Allowed], &[&Order]),
    then: &At<'_>,
) -> Markup {
    let (known, at, place) = (asked.known(), then.at, (entrance, workspace));
    let entrance_text = entrance.to_string();
    // Who may not at that moment comes last.
    let mut shown: Vec<(&Allowed, Option<Then>)> =
        found.iter().map(|one| (one, then.said(&one.caller, place))).collect();
    shown.sort_by_key(|(_, said)| !may(said.as_ref()));
    let excepted = then.excepted(place);
    let excepted = excepted.iter().filter(|one| !found.iter().any(|known| known.caller == ***one));
    let excepted: Vec<&CallerId> = excepted.copied().collect();
    let count = shown.iter().filter(|(_, said)| may(said.as_ref())).count() + excepted.len();
    shown.truncate(SHOWN_MAX);
    html! {
        (form(asked))
        h2 { (door(known.names, entrance)) @if let Some(workspace) = workspace { " in " (workspace) } }
        @if !orders.is_empty() {
            div .notice { p { strong { "But for now" } } ul { @for order in orders { li { (in_words_with(order, asked.snapshot.names())) } } } }
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
        @if !found.is_empty() || !excepted.is_empty() {
            table {
                thead { tr { th scope="col" { "Service" } th scope="col" { "When" } @if at.is_some() { th scope="col" { "Then" } } th scope="col" { "By" } th scope="col" { "Ask" } } }
                tbody {
                    @for caller in excepted { tr {
                        th scope="row" { (page::caller(caller.as_str())) }
                        td { "for a time" }
                        td { span .tag.good { "may" } }
                        td { "an exception" }
                        td { (why(asked, caller)) }
                    } }
                    @for (one, said) in shown { (row(asked, one, said.as_ref(), doing.span)) }
                }
            }
            @if found.len() > SHOWN_MAX { p .none { "and " (found.len() - SHOWN_MAX) " more; CSV has all" } }
        }
        @if found.is_empty() {
            @let denying = denied_by(asked, doing, entrance);
            p #nobody {
                @if denying.is_empty() { "No rule allows it." } @else { "Denied by " (rules(&denying)) "." }
                " Ask " a href=(link("what-if", &[("entrance", &entrance_text)])) { "why a service may not" } "."
            }
        }
        p { a href=(link("audit", &[("entrance", &entrance_text)])) { "What happened at this door" } }
        (formats(asked))
    }
}

fn row(asked: &Asked, one: &Allowed, said: Option<&Then>, span: Span) -> Markup {
    html! {
        tr .off[!may(said)] {
            th scope="row" {
                (page::caller(one.caller.as_str()))
                @if asked.known().is_suspended(&one.caller) { " " span .tag.warn { "suspended" } }
            }
            td { (when(&one.access, &one.conditions, span)) }
            @if let Some(said) = said { td { (in_tag(said)) } }
            td {
                (rules(&refs(&one.allowed_by)))
                @if !one.denied_by.is_empty() { ", denied at times by " (rules(&refs(&one.denied_by))) }
            }
            td { (why(asked, &one.caller)) }
        }
    }
}

/// The same question of one service.
fn why(asked: &Asked, caller: &CallerId) -> Markup {
    let asks = ["entrance", "act", "workspace", "at"];
    let asks = asks.map(|name| (name, asked.query.get(name).unwrap_or_default()));
    let asks: Vec<(&str, &str)> = [("caller", caller.as_str())].into_iter().chain(asks).collect();
    html! { a href=(link("what-if", &asks)) { "why" } }
}

/// Rules by which this is denied to somebody, at whatever time.
fn denied_by(asked: &Asked, doing: Doing<'_>, entrance: EntranceId) -> Vec<String> {
    let only = Only { entrance: Some(entrance), ..Only::default() };
    let frame = Frame { only, ..Frame::default() };
    let policy = &asked.snapshot.policy;
    let found = matrix(policy, None, (doing.act, doing.workspace), &frame, doing.span);
    let rules = found.kinds.iter().flat_map(|kind| &kind.now.denied_by);
    let rules: BTreeSet<String> = rules.map(RuleRef::to_string).collect();
    rules.into_iter().collect()
}

fn refs(all: &[RuleRef]) -> Vec<String> {
    all.iter().map(RuleRef::to_string).collect()
}
