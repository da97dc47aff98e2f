//! Services by doors: who may, when, by which rule, and what happened there; with a draft laid over it.

mod past;

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde::Serialize;

use super::others::{Others, listed};
use super::what_if::{callers, doors};
use crate::console::asked::{Asked, Format, Wrong, link};
use crate::console::draft::{self, Draft};
use crate::console::page::{Page, ask, choice, field, formats, rules, suggestions, wrong};
use crate::console::reply::Reply;
use crate::domain::{RuleRef, WorkspaceName};
use crate::policy::review::{
    Access, Cell, Column, Frame, Matrix, Only, Row, Said, Span, Unfold, matrix,
};
use crate::view;
use crate::view::orders::in_words_with;
use crate::view::policy::when;
pub(in crate::console) use past::KnownPast;
use past::{PAST_DAYS, Past, counted, past};

const TITLE: &str = "Services by doors";

/// Cells of a page.
const CELLS_MAX: usize = 6_000;

/// How long the names of what is unfolded may be together: each link to unfold more has them.
const UNFOLDED_BYTES_MAX: usize = 2_000;

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    matrix: view::matrix::Matrix<'a>,
    past_days: i64,
    /// For each row and column how many requests were allowed and denied; null where there was none.
    past: Vec<Vec<Option<[u64; 2]>>>,
    past_of_other_pairs: u64,
    /// They are being counted still: none of them is here yet.
    past_is_pending: bool,
}

pub(in crate::console) fn show(asked: &Asked) -> Reply {
    let draft = match Draft::of(asked) {
        Ok(draft) => draft,
        Err(broken) => return broken.reply(asked, TITLE, &form(asked), &html! {}),
    };
    let proposed = draft.as_ref().map(|draft| &draft.loaded.policy);
    let shown = workspace(asked).and_then(|workspace| {
        let (frame, act, span) = (frame(asked, proposed.is_some())?, asked.act()?, asked.span()?);
        let policy = &asked.snapshot.policy;
        let doing = (act, workspace.as_ref());
        let found = matrix(policy, proposed, doing, &frame, span);
        Ok((found, span))
    });
    let (found, span) = match shown {
        Ok(shown) => shown,
        Err(text) => return wrong(asked, TITLE, &form(asked), &text),
    };
    let past = past(asked, found.act);
    let others = Others::of(asked, proposed);
    match asked.format() {
        Format::Json | Format::Csv => {
            let (policy, names) = (&asked.snapshot.policy, asked.snapshot.names());
            Reply::json(&Shown {
                matrix: view::matrix::matrix(policy, proposed, names, &found, span),
                past_days: PAST_DAYS,
                past: counted(&found, &past, &others),
                past_of_other_pairs: past.other.all(),
                past_is_pending: past.is_pending,
            })
        }
        Format::Page => {
            Page::of(asked, TITLE, &page(asked, (&found, &others), span, &past, draft.as_ref()))
        }
    }
}

/// In which workspace: it has to be said where rules tell them apart.
fn workspace(asked: &Asked) -> Result<Option<WorkspaceName>, Wrong> {
    match asked.workspace()? {
        Some(given) => Ok(Some(given)),
        None => asked.known().none_needed().map_err(|error| format!("{error}.")),
    }
}

fn frame(asked: &Asked, has_draft: bool) -> Result<Frame, Wrong> {
    let query = &asked.query;
    let owned = |name: &str| query.get(name).map(str::to_owned);
    let all = |name: &str| -> BTreeSet<String> { query.all(name).map(str::to_owned).collect() };
    let only = Only {
        role: owned("role"),
        caller: asked.caller("caller")?,
        zone: owned("zone"),
        entrance: asked.entrance("entrance")?,
        changes: has_draft && query.get("changes").is_some(),
    };
    for (name, start) in [("role", "role:"), ("zone", "zone:")] {
        if let Some(text) = query.get(name).filter(|text| !text.starts_with(start)) {
            return Err(format!(
                "`{text}` is no {name}: write it as the rules do, such as `{start}…`."
            ));
        }
    }
    let policy = &asked.snapshot.policy;
    let unknown = |names: Vec<&str>, text: &Option<String>| {
        text.clone().filter(|text| !has_draft && !names.contains(&text.as_str()))
    };
    if let Some(caller) = only.caller.as_ref().filter(|one| !asked.snapshot.callers.contains(one)) {
        return Err(format!("`{caller}` is not in the callers file."));
    }
    let unknown = unknown(policy.roles(), &only.role).or(unknown(policy.zones(), &only.zone));
    if let Some(text) = unknown {
        return Err(format!("The policy names no `{text}`."));
    }
    let unfold = Unfold { rows: all("row"), columns: all("column") };
    let unfolded = unfold.rows.iter().chain(&unfold.columns);
    if unfolded.map(String::len).sum::<usize>() > UNFOLDED_BYTES_MAX {
        return Err("So much cannot be unfolded at a time: fold something, or narrow it.".into());
    }
    Ok(Frame { only, unfold, cells_max: CELLS_MAX })
}

fn form(asked: &Asked) -> Markup {
    let zones = asked.snapshot.policy.zones();
    let value = |name: &str| asked.query.get(name).unwrap_or_default().to_owned();
    ask(
        asked,
        &html! {
            label { span { "Role" } input name="role" list="roles" value=(value("role")) placeholder="all" autocomplete="off" spellcheck="false"; }
            label { span { "Service" } input name="caller" list="callers" value=(value("caller")) placeholder="all" autocomplete="off" spellcheck="false"; }
            label { span { "Zone" } input name="zone" list="zones" value=(value("zone")) placeholder="all" autocomplete="off" spellcheck="false"; }
            label { span { "Door" } input name="entrance" list="doors" value=(value("entrance")) placeholder="all" autocomplete="off" spellcheck="false"; }
            (choice(asked, "act", "To", &[("", "grant access"), ("read", "read")]))
            @if asked.snapshot.policy.named_workspaces().next().is_some() { (field(asked, "workspace", "Workspace", "which one")) }
            (callers(asked)) (doors(asked))
            (suggestions("zones", zones.into_iter()))
            (suggestions("roles", asked.snapshot.policy.roles().into_iter()))
        },
        "Show",
    )
}

fn page(
    asked: &Asked,
    (found, others): (&Matrix, &Others),
    span: Span,
    past: &Past,
    draft: Option<&Draft>,
) -> Markup {
    let counts = counted(found, past, others);
    let other_names = others.names(asked);
    let left = found.left_out;
    let mut orders = asked.orders.holding(asked.now).peekable();
    html! {
        (form(asked))
        @if found.act.gives_access() && orders.peek().is_some() {
            div .notice { p { strong { "But for now" } } ul { @for order in orders { li { (in_words_with(order, asked.snapshot.names())) } } } }
        }
        @if asked.query.get("row").is_some() || asked.query.get("column").is_some() {
            p { a href={ "?" (asked.query.with(&[("row", ""), ("column", "")])) } { "Fold everything" } }
        }
        p #count {
            (found.rows.len()) " row(s) of services, " (found.columns.len()) " column(s) of doors. Services that no rule tells apart are one row, and such doors one column; a number in parentheses unfolds them."
        }
        @if !left.is_nothing() {
            p .notice { (left.rows) " more row(s) and " (left.columns) " more column(s) do not fit: narrow it to a role or a zone."
                @if left.changing_rows + left.changing_columns > 0 { " Of these " (left.changing_rows) " row(s) and " (left.changing_columns) " column(s) may change by the draft." } }
        }
        @if let Some(text) = &past.failure { p .problem role="alert" { "The log cannot be read: " (text) } }
        @if past.is_pending { p .notice { "The decisions of the last " (PAST_DAYS) " days are being counted: load the page again to see them." } }
        @if past.other.all() > 0 { p .notice { (past.other.all()) " decision(s) of the last " (PAST_DAYS) " days are of pairs that are not told apart here." } }
        p .legend {
            span .a { "●" } " at all times " span .s { "◐" } " at times " span .d { "✕" } " denied by a rule; empty: no rule says anything. Numbers: requests of the last " (PAST_DAYS) " days, denied ones in red."
            @if draft.is_some() { " The draft: " span .w { "+" } " allows more " span .l { "−" } " allows less." }
        }
        div .scroll tabindex="0" role="region" aria-label="Services by doors" {
            table .matrix {
                thead { tr { td {} @for column in &found.columns { th scope="col" { div { (column_label(asked, column)) } } } } }
                tbody { @for (place, row) in found.rows.iter().enumerate() {
                    tr {
                        th scope="row" { (row_label(asked, row)) }
                        @for column in 0..found.columns.len() {
                            (cell(found, counts.get(place).and_then(|row| row.get(column)).copied().flatten(), (place, column)))
                        }
                    }
                } }
            }
        }
        @if found.columns.iter().any(|column| column.and_every_other) && !other_names.is_empty() {
            p #others { "In “every other entrance”, which no rule names: " (listed(&other_names)) "." }
        }
        h2 { "What the signs stand for" }
        @if found.kinds.is_empty() { p .none { "Nothing is allowed here." } }
        ol .kinds { @for (number, kind) in found.kinds.iter().enumerate() { li id={ "k" (number) } { (told(kind, span)) } } }
        details open[draft.is_some()] {
            summary { "Lay a draft over it" }
            (draft::form(asked, draft.map(|draft| draft.text.as_str()), &html! {}))
        }
        @if draft.is_none() { (formats(asked)) }
    }
}

/// How many members a group has, as what unfolds it. Where there is a draft it is sent again.
fn unfold(asked: &Asked, (name, key): (&str, &str), count: usize) -> Markup {
    let address = format!("{}?{}", link("matrix", &[]), asked.query.and(name, key).written());
    html! {
        @if asked.form.is_some() {
            button .link type="submit" form=(draft::FORM) formaction=(address) title="unfold" { "(" (count) ")" }
        } @else { a href=(address) title="unfold" { "(" (count) ")" } }
    }
}

fn row_label(asked: &Asked, row: &Row) -> Markup {
    html! {
        @match row.callers.as_slice() {
            [one] => {
                a href=(link("doors", &[("caller", one.as_str())])) { (one.as_str()) }
                @if asked.known().is_suspended(one) { " " span .tag.warn { "suspended" } }
            },
            several => { (row.label) " " (unfold(asked, ("row", &row.key), several.len())) },
        }
    }
}

fn column_label(asked: &Asked, column: &Column) -> Markup {
    html! {
        @match column.entrances.as_slice() {
            [one] if !column.and_every_other => {
                a href=(link("who", &[("entrance", &one.to_string())])) { (asked.snapshot.name_of(*one).unwrap_or(&column.label)) }
            },
            [] => (column.label),
            several => { (column.label) " " (unfold(asked, ("column", &column.key), several.len())) },
        }
    }
}

/// The sign of an access, with the class of its colour.
fn sign(said: &Said) -> (&'static str, &'static str) {
    match said.access {
        Access::Always => ("a", "●"),
        Access::Sometimes(_) => ("s", "◐"),
        Access::Never if said.denied_by.is_empty() => ("", ""),
        Access::Never => ("d", "✕"),
    }
}

fn cell(found: &Matrix, past: Option<[u64; 2]>, (row, column): (usize, usize)) -> Markup {
    let place = found.cells.get(row).and_then(|row| row.get(column)).copied().flatten();
    let Some((number, kind)) = place.and_then(|place| Some((place, found.kinds.get(place)?)))
    else {
        return html! { td { (requests(past)) } };
    };
    let said = kind.proposed.as_ref().unwrap_or(&kind.now);
    let (class, sign) = sign(said);
    let (change, mark) = match (kind.effect.is_some(), kind.is_widening()) {
        (true, true) => ("w", "+"),
        (true, false) => ("l", "−"),
        (false, _) => ("", ""),
    };
    let class = [class, change].join(" ");
    html! {
        td class=[Some(class.trim()).filter(|class| !class.is_empty())] {
            @if !sign.is_empty() || !mark.is_empty() { a href={ "#k" (number) } { (mark) (sign) } }
            (requests(past))
        }
    }
}

fn requests(past: Option<[u64; 2]>) -> Markup {
    let [allow, deny] = past.unwrap_or_default();
    html! {
        @if allow > 0 { small { (allow) } }
        @if deny > 0 { small .deny { (deny) } }
    }
}

/// What a cell says, in words.
fn told(kind: &Cell, span: Span) -> Markup {
    let words = |said: &Said| when(&said.access, &said.conditions, span);
    html! {
        @match &kind.proposed {
            Some(proposed) if kind.effect.is_some() => {
                span .tag.bad[kind.is_widening()].good[!kind.is_widening()] { @if let Some(effect) = kind.effect { (effect.as_str()) } } " "
                (words(&kind.now)) " → " strong { (words(proposed)) } " " (by(proposed))
            },
            _ => { (words(&kind.now)) " " (by(&kind.now)) },
        }
        @if kind.differs_later { " Its conditions differ at times that these days do not show." }
    }
}

fn by(said: &Said) -> Markup {
    let texts = |all: &[RuleRef]| -> Vec<String> { all.iter().map(RuleRef::to_string).collect() };
    html! {
        @if !said.allowed_by.is_empty() { "by " (rules(&texts(&said.allowed_by))) }
        @if !said.denied_by.is_empty() { " denied by " (rules(&texts(&said.denied_by))) }
    }
}
