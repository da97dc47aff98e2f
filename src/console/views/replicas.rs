//! All gateways, as the database knows them: who is behind, and who holds a roll-out up.

use std::pin::Pin;

use maud::{Markup, html};

use crate::bundle::{Signed, Trust};
use crate::console::Desk;
use crate::console::asked::{Asked, Format, link};
use crate::console::heavy::{AT_MOST, DATABASE_BUSY};
use crate::console::page::{Page, command, formats, short, time, unavailable, wrong};
use crate::console::proposals::gathered;
use crate::console::reply::Reply;
use crate::database::{
    self, Access, DatabaseError, LogState, Promoted, RETIRED, ReplicaState, Schema,
};
use crate::view::database::Status;

const TITLE: &str = "Replicas";

/// A gateway speaks every second: who has said nothing for so many is marked.
const QUIET_S: f64 = 3.0;

/// A clock that is further away is marked: budgets and hours go by it.
const SKEW_MS: u64 = 1_000;

/// What the database says.
struct Known {
    schema: Schema,
    replicas: Vec<ReplicaState>,
    logs: Vec<LogState>,
    /// Bundles that were given to gateways, the newest first.
    promoted: Vec<Promoted>,
    /// Those that are proposed, by signatures that count.
    proposed: Vec<Signed>,
}

pub(in crate::console) fn show(asked: Asked) -> Pin<Box<dyn Future<Output = Reply> + Send>> {
    Box::pin(async move {
        if asked.console.settings.database_file.is_none() {
            return alone(&asked);
        }
        let Desk { access, trust } = match asked.console.desk() {
            Ok(desk) => desk,
            Err(text) => return unavailable(&asked, TITLE, &text),
        };
        match asked.console.work.database.run(known(&access, trust.as_ref())).await {
            None => unavailable(&asked, TITLE, &DATABASE_BUSY.into()),
            Some(Err(error)) => unavailable(&asked, TITLE, &format!("The database: {error}.")),
            Some(Ok(known)) => match asked.format() {
                Format::Json | Format::Csv => {
                    let Schema { made, newest } = known.schema;
                    Reply::json(&Status::of((made, newest), &known.replicas, &known.logs))
                }
                Format::Page => Page::of(&asked, TITLE, &page(&asked, &known, trust.as_ref())),
            },
        }
    })
}

async fn known(access: &Access, trust: Option<&Trust>) -> Result<Known, DatabaseError> {
    let schema = database::schema(access).await?;
    let (replicas, logs) = (database::replicas(access).await?, database::logs(access).await?);
    let desk = database::Desk::connect_for(access, AT_MOST).await?;
    let promoted = desk.promoted(20).await?;
    let proposed = match trust {
        None => Vec::new(),
        Some(trust) => {
            let next = promoted.first().map_or(1, |newest| newest.number + 1);
            gathered(trust, desk.proposals(next).await?).collect()
        }
    };
    Ok(Known { schema, replicas, logs, promoted, proposed })
}

/// Where no database is named.
fn alone(asked: &Asked) -> Reply {
    if asked.format() != Format::Page {
        let text = "no database is named: set `console.database_file`".to_owned();
        return wrong(asked, TITLE, &html! {}, &text);
    }
    let content = html! {
        p { "This gateway shows itself alone. Where several share a database, name the file with which the command line looks there, as a reader:" }
        (command("[console]\ndatabase_file = \"reader.toml\""))
    };
    Page::of(asked, TITLE, &content)
}

/// The number of the bundle that a gateway is to have.
fn wanted(known: &Known, replica: &ReplicaState) -> Option<u64> {
    let is_for =
        |names: &Option<Vec<String>>| names.as_ref().is_none_or(|all| all.contains(&replica.name));
    known.promoted.iter().find(|one| is_for(&one.only_for)).map(|one| one.number)
}

/// What is wrong with a gateway, in words.
fn marks(known: &Known, replica: &ReplicaState) -> Vec<String> {
    let mut marks = Vec::new();
    if replica.is_gone() {
        return marks;
    }
    if replica.silent_s >= QUIET_S {
        marks.push(format!("silent for {:.0} s", replica.silent_s));
    } else if replica.state != "ready" {
        marks.push(replica.state.clone());
    }
    if replica.skew_ms.unsigned_abs() >= SKEW_MS {
        let way = if replica.skew_ms > 0 { "ahead" } else { "behind" };
        marks.push(format!("its clock is {} ms {way}", replica.skew_ms.unsigned_abs()));
    }
    if replica.is_behind() {
        marks.push(format!("{} records behind", replica.to_come()));
    }
    match (replica.bundle, wanted(known, replica), &replica.bundle_refused) {
        (_, _, Some((number, why))) => marks.push(format!("refuses bundle {number}: {why}")),
        (Some(has), Some(wanted), None) if has != wanted => {
            marks.push(format!("has bundle {has}, is to have {wanted}"));
        }
        _ => {}
    }
    marks.extend(replica.directive_problem.clone());
    marks
}

fn page(asked: &Asked, known: &Known, trust: Option<&Trust>) -> Markup {
    let marked = known.replicas.iter().filter(|one| !marks(known, one).is_empty()).count();
    let gone = known.replicas.iter().filter(|one| one.is_gone()).count();
    let there = known.replicas.len() - gone;
    html! {
        div data-refresh="3" {}
        p #count .problem[marked > 0] {
            (there) " gateway(s)" @if gone > 0 { " and " (gone) " that left" } "; "
            @if marked == 0 { "all of them are well." } @else { strong { (marked) " of them need a look." } }
        }
        div .scroll tabindex="0" role="region" aria-label="Gateways" { table #replicas {
            thead { tr { @for name in ["Gateway", "State", "What is wrong", "Bundle", "Policy", "Records to come", "Clock ahead", "Last seen", "Version"] { th scope="col" { (name) } } } }
            tbody { @for replica in &known.replicas { (row(asked, known, replica)) } }
        } }
        h2 { "Logs" }
        table {
            thead { tr { th scope="col" { "Log" } th scope="col" { "Of" } th scope="col" .number { "Records" } th scope="col" { "The last came" } } }
            tbody { @for log in &known.logs {
                tr { th scope="row" { code { (log.origin) } } td { (log.name) } td .number { (log.next.saturating_sub(1)) }
                     td { @match &log.shipped { Some(at) => (time(&at.to_string())), None => "never" } } }
            } }
        }
        @if !known.promoted.is_empty() || !known.proposed.is_empty() { (bundles(known, trust)) }
        h2 { "To stop all of them" }
        p { "An order for all gateways is signed, with a key that is in no browser and on no gateway: from the desk of somebody who has one. On this gateway alone " a href=(link("orders", &[])) { "an operator freezes from here" } "." }
        (command("grantgate freeze --reason TEXT --key FILE --database publisher.toml"))
        (formats(asked))
    }
}

fn row(asked: &Asked, known: &Known, replica: &ReplicaState) -> Markup {
    let own = asked.snapshot.policy.revision().as_str();
    let is_here = asked.console.name.as_ref() == Some(&replica.name);
    let marks = marks(known, replica);
    let is_bad = !marks.is_empty();
    let state = match replica.state.as_str() {
        RETIRED => "retired",
        // What it said last is not so any more.
        _ if !replica.is_gone() && replica.silent_s >= QUIET_S => "silent",
        state => state,
    };
    html! {
        tr .marked[is_bad] {
            th scope="row" { (replica.name) @if is_here { " (this one)" } @if let Some(address) = &replica.address { br; span .none { (address) } } }
            td { span .tag.good[!is_bad && replica.state == "ready"].bad[is_bad] { (state) } }
            td { @for mark in &marks { p { (mark) } } @if marks.is_empty() { span .none { "–" } } }
            td {
                @match replica.bundle { Some(number) => (number), None => "from files" }
                @if let Some(wanted) = wanted(known, replica) { " of " (wanted) }
            }
            td { @if let Some(revision) = &replica.revision { code title=(revision) { (short(revision)) } @if revision != own { " (another than here)" } } }
            td .number { (replica.to_come()) }
            td .number { (replica.skew_ms) " ms" }
            td .number { (format!("{:.0} s ago", replica.silent_s)) }
            td { (replica.version) }
        }
    }
}

/// Policies for all of them: what is proposed, and what they were given.
fn bundles(known: &Known, trust: Option<&Trust>) -> Markup {
    html! {
        h2 { "Bundles" }
        @for one in &known.proposed {
            p .notice {
                "Proposed: " a href=(link("diff", &[("proposal", &one.bundle.number.to_string())])) { (one.id()) } ", " (one.bundle.why)
                " (by " (one.bundle.by) ", signed by " (one.signers.join(", ")) @if let Some(trust) = trust { ": " (one.signers.len()) " of " (trust.signatures_min()) } ")"
            }
        }
        table {
            thead { tr { @for name in ["Bundle", "Given at", "To", "Why", "Signed by"] { th scope="col" { (name) } } } }
            tbody { @for one in &known.promoted { tr {
                th scope="row" .number { (one.number) }
                td { (time(&one.promoted.to_string())) }
                td { @match &one.only_for { Some(names) => (names.join(", ")), None => "all" } }
                @match trust.map(|trust| trust.accept(&one.note)) {
                    Some(Ok(signed)) => { td { (signed.bundle.why) } td { (signed.signers.join(", ")) } },
                    Some(Err(error)) => td .problem colspan="2" { "not to be trusted: " (error) },
                    None => td .none colspan="2" { "the file of the database names no " code { "[bundle]" } ": whose signatures count" },
                }
            } } }
        }
    }
}
