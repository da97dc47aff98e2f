//! Decisions and what became of them, newest first, by every filter of `audit query`.

mod filter;
pub(in crate::console) mod record;
mod search;

use std::pin::Pin;

use http::HeaderValue;
use http::header::LINK;
use maud::{Markup, html};

use crate::audit::Record;
use crate::audit::search::Found;
use crate::console::asked::{Asked, Format, Wrong, link};
use crate::console::page::{Page, caller, door_of, formats, time, unknown_caller, verdict, wrong};
use crate::console::reply::Reply;
use crate::domain::{GranteeKind, csv_cell};
use crate::view::audit::{CSV_COLUMNS, csv_row};
use search::{FILE_ROWS, ROWS_MAX, Row, Rows, copied, rows};

const TITLE: &str = "Decisions";

pub(in crate::console) fn show(asked: &Asked) -> Reply {
    match find(asked) {
        Ok(reply) => reply,
        Err(text) => wrong(asked, TITLE, &filter::form(asked), &text),
    }
}

/// The same, in the logs of all gateways or of one, where these are asked for: what may be found is
/// copied out of the database first.
pub(in crate::console) fn show_later(
    mut asked: Asked,
) -> Pin<Box<dyn Future<Output = Reply> + Send>> {
    Box::pin(async move {
        if let Some(gateway) = asked.query.get("gateway").map(str::to_owned) {
            match copied(&asked, &gateway).await {
                Ok(logs) => asked.logs = logs,
                Err(text) => return wrong(&asked, TITLE, &filter::form(&asked), &text),
            }
        }
        let console = asked.console.clone();
        console.work.heavy.run(asked, show).await
    })
}

fn find(asked: &Asked) -> Result<Reply, Wrong> {
    let all = rows(asked)?;
    Ok(match asked.format() {
        Format::Page => Page::of(asked, TITLE, &page(asked, &all)),
        Format::Json => going_on(asked, &all, lines(&all)),
        Format::Csv => going_on(asked, &all, csv(asked, &all)),
    })
}

/// A file that is not all says where it goes on (RFC 8288).
fn going_on(asked: &Asked, rows: &Rows, file: Reply) -> Reply {
    let next = rows.next.as_ref().map(|next| format!("<?{}>; rel=\"next\"", next.address(asked)));
    match next.and_then(|next| HeaderValue::from_str(&next).ok()) {
        Some(next) => file.with(LINK, next),
        None => file,
    }
}

/// Lines of decisions and outcomes as they are stored, as `audit query --format json` prints them.
fn lines(rows: &Rows) -> Reply {
    let mut out = Vec::new();
    for Row { hit, .. } in &rows.found {
        let later = rows.later.get(&hit.fields().sent_as()).map(Vec::as_slice);
        for line in [Some(hit.line()), hit.outcome_line(), later].into_iter().flatten() {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
    }
    Reply::new(http::StatusCode::OK, "application/x-ndjson", out)
}

fn csv(asked: &Asked, rows: &Rows) -> Reply {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Memory takes everything.
    let several = (!asked.logs.is_empty()).then_some("replica");
    let _ = writer.write_record(CSV_COLUMNS.into_iter().chain(several));
    for Row { gateway, hit } in &rows.found {
        let fields = hit.fields();
        let later = resolution(rows, &fields);
        let row = csv_row(&fields, later.as_deref().unwrap_or_default(), asked.snapshot.names());
        let _ = writer.write_record(row.into_iter().chain(gateway.as_deref().map(csv_cell)));
    }
    Reply::file("text/csv; charset=utf-8", "decisions.csv", writer.into_inner().unwrap_or_default())
}

fn resolution(rows: &Rows, fields: &Found) -> Option<String> {
    let line = rows.later.get(&fields.sent_as())?;
    Some(Record::parse(line)?.resolution()?.1)
}

fn page(asked: &Asked, rows: &Rows) -> Markup {
    let columns = ["Time", "Service", "Door", "For", "Decision", "Reason", "Outcome", "Record"];
    let several = (!asked.logs.is_empty()).then_some("Gateway");
    html! {
        (filter::form(asked))
        (unknown_caller(asked))
        @if rows.damaged > 0 {
            p .problem role="alert" { (rows.damaged) " line(s) of the log are no records. " a href=(link("verification", &[])) { "Is the log whole?" } }
        }
        p #count { (rows.found.len()) " row(s)" @if rows.next.is_some() && asked.query.get("before").is_none() { ", the newest" } "." }
        @if !rows.found.is_empty() {
            div .scroll tabindex="0" role="region" aria-label="Decisions" { table .decisions {
                thead { tr {
                    @for name in columns.into_iter().chain(several) { th scope="col" { (name) } }
                } }
                tbody { @for one in rows.found.iter().rev() { (row(asked, rows, one)) } }
            } }
        }
        nav .pages aria-label="More decisions" {
            @if asked.query.get("before").is_some() { a href={ "?" (asked.query.without("before").written()) } { "newest" } }
            @if let Some(next) = &rows.next { a href={ "?" (next.address(asked)) } rel="next" { "older" } }
        }
        (formats(asked))
        @if rows.next.is_some() {
            p .none #files { "Such a file has the newest " (FILE_ROWS) "; with " code { "limit" } " in its address up to " (ROWS_MAX) ", and all of them from " code { "grantgate audit query" } "." }
        }
    }
}

fn row(asked: &Asked, rows: &Rows, one: &Row) -> Markup {
    let found = &one.hit.fields();
    let later = resolution(rows, found);
    // Nobody is to get access where entrances are read.
    let grantee = if found.grantee.is_empty() { &found.operation } else { &found.grantee };
    let number = found.seq.to_string();
    html! {
        tr {
            td { (time(&found.time)) }
            td { (caller(&found.caller)) }
            td { (door_of(asked.snapshot.names(), &found.entrance_id)) @if !found.workspace.is_empty() { " in " (found.workspace) } }
            td .id title=(grantee) { (grantee) }
            td { @if found.decision.is_empty() { (found.event) } @else { (verdict(&found.decision)) } }
            td { (why(found, one.gateway.is_none())) }
            td {
                (found.outcome)
                @if !found.outcome_reason.is_empty() && found.outcome_reason != found.reason { " (" (found.outcome_reason) ")" }
                @if let Some(later) = &later { ", then " (later) }
                @if let Some(same) = found.same_as { ", same as " (same) }
            }
            @match &one.gateway {
                // Its page is on its own gateway.
                Some(gateway) => { td .number { (number) } td { (gateway) } },
                None => td .number { a href=(link("audit/record", &[("seq", &number)])) { (number) } },
            }
        }
    }
}

/// The reason, as a link to why that is so, at the time when it was asked.
fn why(found: &Found, is_own: bool) -> Markup {
    let is_question =
        !found.caller.is_empty() && !found.entrance_id.is_empty() && !found.decision.is_empty();
    html! {
        @if is_question { a .why href=(question(found, is_own)) { (found.reason) } } @else { (found.reason) }
    }
}

/// What was asked, to be asked again; of the gateway's own log with what was decided.
fn question(found: &Found, is_own: bool) -> String {
    let act = if found.operation.is_empty() { "" } else { "read" };
    let grantee = found.grantee_kind.map_or("", GranteeKind::as_str);
    let record = if is_own { found.seq.to_string() } else { String::new() };
    link(
        "what-if",
        &[
            ("caller", &found.caller),
            ("entrance", &found.entrance_id),
            ("workspace", &found.workspace),
            ("act", act),
            ("grantee", grantee),
            ("at", &found.time),
            ("record", &record),
        ],
    )
}
