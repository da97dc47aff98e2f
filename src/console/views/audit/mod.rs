//! Decisions and what became of them, newest first, by every filter of `audit query`.

mod filter;
pub(in crate::console) mod record;

use maud::{Markup, html};

use crate::audit::ReadError;
use crate::audit::Record;
use crate::audit::search::{Filter, Found, Hit, Indexes, Resolutions, Take, query, resolutions};
use crate::console::asked::{Asked, Format, Wrong, link};
use crate::console::page::{Page, caller, door_of, formats, time, verdict, wrong};
use crate::console::reply::Reply;
use crate::domain::csv_cell;
use crate::view::audit::{CSV_COLUMNS, csv_row};

const TITLE: &str = "Decisions";

/// Rows of a page, and of a file.
const ROWS: u64 = 50;
const FILE_ROWS: u64 = 1_000;
const ROWS_MAX: u64 = 10_000;

/// Records may be of the same microsecond: so many more are looked at, and more where that is not enough.
const SAME_TIME: usize = 64;

pub(in crate::console) fn show(asked: &Asked) -> Reply {
    match find(asked) {
        Ok(reply) => reply,
        Err(text) => wrong(asked, TITLE, &filter::form(asked), &text),
    }
}

/// What was found.
struct Rows {
    /// In the order of the log.
    hits: Vec<Hit>,
    later: Resolutions,
    /// Whether there are older ones.
    more: bool,
    damaged: u64,
}

fn find(asked: &Asked) -> Result<Reply, Wrong> {
    let filter = filter::filter(asked)?;
    if let Some(fault) = filter.fault() {
        return Err(format!("{fault}."));
    }
    let of_page = asked.format() == Format::Page;
    let rows = asked.number("limit", if of_page { ROWS } else { FILE_ROWS }, 1..=ROWS_MAX)?;
    let before = asked.number("before", u64::MAX, 1..=u64::MAX)?;
    let before_time = asked.time("before_time")?;
    let rows = search(asked, &filter, usize::try_from(rows).unwrap_or(1), (before, before_time))?;
    Ok(match asked.format() {
        Format::Page => Page::of(asked, TITLE, &page(asked, &rows)),
        Format::Json => lines(&rows),
        Format::Csv => csv(asked, &rows),
    })
}

fn search(
    asked: &Asked,
    filter: &Filter,
    rows: usize,
    (before, before_time): (u64, Option<jiff::Timestamp>),
) -> Result<Rows, Wrong> {
    let log = asked.console.reader();
    let mut wanted = filter.clone();
    if let Some(time) = before_time {
        // Of the same microsecond there may be more, which are told apart by their number.
        let end = time.checked_add(jiff::SignedDuration::from_micros(1)).unwrap_or(time);
        wanted.until = Some(wanted.until.map_or(end, |until| until.min(end)));
    }
    let mut take = rows + 1;
    loop {
        let mut hits: Vec<Hit> = Vec::new();
        let mut met = 0_usize;
        let read = query(&log, &wanted, Take::Last(take), Indexes::Kept(&|_, _| {}), &mut |hit| {
            met += 1;
            if hit.seq() < before {
                hits.push(hit);
            }
            Ok(())
        });
        let damaged = match read {
            Ok(summary) => summary.damaged_lines,
            Err(ReadError::Empty(_)) => 0,
            Err(error) => return Err(format!("The log cannot be read: {error}.")),
        };
        let is_all = met < take;
        if hits.len() > rows || is_all {
            let more = hits.len() > rows;
            hits.drain(..hits.len().saturating_sub(rows));
            let later = resolutions(&log, filter).map_err(|error| format!("{error}."))?;
            return Ok(Rows { hits, later, more, damaged });
        }
        take += SAME_TIME.max(met - hits.len());
    }
}

/// Lines of decisions and outcomes as they are stored, as `audit query --format json` prints them.
fn lines(rows: &Rows) -> Reply {
    let mut out = Vec::new();
    for hit in &rows.hits {
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
    let _ = writer.write_record(CSV_COLUMNS.map(csv_cell));
    for hit in &rows.hits {
        let fields = hit.fields();
        let later = resolution(rows, &fields);
        let row = csv_row(&fields, later.as_deref().unwrap_or_default(), asked.snapshot.names());
        let _ = writer.write_record(row);
    }
    Reply::file("text/csv; charset=utf-8", "decisions.csv", writer.into_inner().unwrap_or_default())
}

fn resolution(rows: &Rows, fields: &Found) -> Option<String> {
    let line = rows.later.get(&fields.sent_as())?;
    Some(Record::parse(line)?.resolution()?.1)
}

fn page(asked: &Asked, rows: &Rows) -> Markup {
    let oldest = rows.hits.first().filter(|_| rows.more).map(Hit::fields);
    html! {
        (filter::form(asked))
        @if rows.damaged > 0 {
            p .problem role="alert" { (rows.damaged) " line(s) of the log are no records. " a href=(link("verification", &[])) { "Is the log whole?" } }
        }
        p #count { (rows.hits.len()) " row(s)" @if rows.more { ", the newest" } "." }
        @if !rows.hits.is_empty() {
            div .scroll tabindex="0" role="region" aria-label="Decisions" { table .decisions {
                thead { tr {
                    @for name in ["Time", "Service", "Door", "For", "Decision", "Reason", "Outcome", "Record"] { th scope="col" { (name) } }
                } }
                tbody { @for hit in rows.hits.iter().rev() { (row(asked, rows, &hit.fields())) } }
            } }
        }
        nav .pages aria-label="More decisions" {
            @if asked.query.get("before").is_some() { a href={ "?" (asked.query.with(&[("before", ""), ("before_time", "")])) } { "newest" } }
            @if let Some(oldest) = &oldest {
                a href={ "?" (asked.query.with(&[("before", &oldest.seq.to_string()), ("before_time", &oldest.time)])) } rel="next" { "older" }
            }
        }
        (formats(asked, &["json", "csv"]))
    }
}

fn row(asked: &Asked, rows: &Rows, found: &Found) -> Markup {
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
            td { (why(found)) }
            td {
                (found.outcome)
                @if !found.outcome_reason.is_empty() && found.outcome_reason != found.reason { " (" (found.outcome_reason) ")" }
                @if let Some(later) = &later { ", then " (later) }
                @if let Some(same) = found.same_as { ", same as " (same) }
            }
            td .number { a href=(link("audit/record", &[("seq", &number)])) { (number) } }
        }
    }
}

/// The reason, as a link to why that is so, at the time when it was asked.
fn why(found: &Found) -> Markup {
    let is_question =
        !found.caller.is_empty() && !found.entrance_id.is_empty() && !found.decision.is_empty();
    html! {
        @if is_question { a .why href=(question(found)) { (found.reason) } } @else { (found.reason) }
    }
}

/// What was asked, to be asked again.
fn question(found: &Found) -> String {
    let act = if found.operation.is_empty() { "" } else { "read" };
    link(
        "what-if",
        &[
            ("caller", &found.caller),
            ("entrance", &found.entrance_id),
            ("workspace", &found.workspace),
            ("act", act),
            ("at", &found.time),
        ],
    )
}
