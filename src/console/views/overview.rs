//! How the gateway is, and what it has decided in the last hour.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use parking_lot::Mutex;
use serde::Serialize;

use super::verification::warning;
use crate::audit::search::{Filter, Indexes, Take, query_until};
use crate::audit::{Event, ReadError};
use crate::console::asked::{Asked, Format, link};
use crate::console::chart::{Bar, Kinds, bars};
use crate::console::page::{Page, formats, short, time};
use crate::console::reply::Reply;
use crate::view::health::{Check, Status};
use crate::view::orders::in_words_with;

/// For how long an hour that was counted is shown again.
const FRESH: Duration = Duration::from_secs(5);

/// For how long a page waits for somebody who counts.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is allowed and has no outcome yet.
const OPEN: &str = "open";

const BARS: i64 = 30;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Decisions of the last hour.
#[derive(Debug, Clone, Default, Serialize)]
pub(in crate::console) struct Hour {
    since: String,
    allow: u64,
    deny: u64,
    /// Requests of nobody who is known, by reason code; of very many only some have a record.
    strangers: BTreeMap<String, u64>,
    /// By reason code.
    denied: BTreeMap<String, u64>,
    /// By what became of what was allowed; `open` where that is not known yet.
    outcomes: BTreeMap<String, u64>,
    /// Counted only in part: there were too many for this page.
    partial: bool,
    #[serde(skip)]
    over_time: Vec<[u64; 2]>,
}

/// What was counted last: everybody who looks sees the same.
#[derive(Default)]
pub(in crate::console) struct LastHour {
    counted: Mutex<Option<(Instant, Hour)>>,
    counting: Mutex<()>,
}

#[derive(Serialize)]
struct Overview {
    ready: bool,
    checks: Vec<Check>,
    last_hour: Option<Hour>,
    status: Status,
}

pub(in crate::console) fn show(asked: &Asked) -> Reply {
    let (ready, checks) = asked.console.state.checks();
    let (status, last_hour) = (asked.console.state.status(), last_hour(asked));
    match asked.format() {
        Format::Json | Format::Csv => {
            let last_hour = last_hour.ok().flatten();
            Reply::json(&Overview { ready, checks, last_hour, status })
        }
        Format::Page => {
            Page::of(asked, "Overview", &page(asked, (ready, &checks), &status, &last_hour))
        }
    }
}

/// What was counted a moment ago, by whoever looked; none where somebody counts for so long that this
/// page is made without.
fn last_hour(asked: &Asked) -> Result<Option<Hour>, String> {
    let known = &asked.console.work.hour;
    let Some(_counting) = known.counting.try_lock_for(PATIENCE) else { return Ok(None) };
    if let Some((at, hour)) = &*known.counted.lock()
        && at.elapsed() < FRESH
    {
        return Ok(Some(hour.clone()));
    }
    let hour = count(asked)?;
    *known.counted.lock() = Some((Instant::now(), hour.clone()));
    Ok(Some(hour))
}

fn count(asked: &Asked) -> Result<Hour, String> {
    let since = asked.now - HOUR;
    let bars = usize::try_from(BARS).unwrap_or(1);
    let mut hour =
        Hour { since: since.to_string(), over_time: vec![[0, 0]; bars], ..Hour::default() };
    let events = vec![Event::Decision, Event::Stranger];
    let filter = Filter { since: Some(since), events, ..Filter::default() };
    let found = query_until(
        &asked.console.reader(),
        &filter,
        Take::All,
        (Indexes::Present, Some(asked.until)),
        &mut |hit| {
            let fields = hit.fields();
            if fields.decision.is_empty() {
                *hour.strangers.entry(fields.reason).or_default() += 1;
                return Ok(());
            }
            let is_allowed = fields.decision == "allow";
            if is_allowed {
                hour.allow += 1;
                let outcome =
                    if fields.outcome.is_empty() { OPEN.to_owned() } else { fields.outcome };
                *hour.outcomes.entry(outcome).or_default() += 1;
            } else {
                hour.deny += 1;
                *hour.denied.entry(fields.reason).or_default() += 1;
            }
            let place = fields.time.parse::<Timestamp>().ok().map(|at| at.duration_since(since));
            let place = place
                .map(|at| at.as_secs() * BARS / HOUR.as_secs())
                .and_then(|at| usize::try_from(at).ok());
            if let Some(bar) = place.and_then(|place| hour.over_time.get_mut(place.min(bars - 1))) {
                let [allow, deny] = bar;
                *(if is_allowed { allow } else { deny }) += 1;
            }
            Ok(())
        },
    );
    match found {
        Ok(_) | Err(ReadError::Empty(_)) => Ok(hour),
        Err(ReadError::Output(_)) => Ok(Hour { partial: true, ..hour }),
        Err(error) => Err(error.to_string()),
    }
}

fn page(
    asked: &Asked,
    (ready, checks): (bool, &[Check]),
    status: &Status,
    hour: &Result<Option<Hour>, String>,
) -> Markup {
    html! {
        div data-refresh="4" {}
        @if !ready {
            div .problem role="alert" #why {
                p { strong { "No grant goes through." } }
                ul { @for check in checks.iter().filter(|check| check.state == "failed") {
                    li { strong { (check.name) } ": " (check.text) }
                } }
            }
        }
        (warning(asked, None))
        @if !status.orders.is_empty() {
            div .notice {
                p { strong { "Orders in force" } " (" a href=(link("orders", &[])) { "all of them" } ")" }
                ul { @for order in asked.orders.holding(asked.now) { li { (in_words_with(order, asked.snapshot.names())) } } }
            }
        }
        @match hour {
            Ok(Some(hour)) => (decisions(hour)),
            Ok(None) => p .notice { "The decisions of the last hour are being counted." },
            Err(text) => p .problem role="alert" { "The log cannot be read: " (text) },
        }
        h2 { "Checks" }
        table .checks {
            thead { tr { th scope="col" { "What" } th scope="col" { "State" } th scope="col" { "Says" } } }
            tbody {
                @for check in checks {
                    tr {
                        th scope="row" { (check.name) }
                        td { span .tag.good[check.state == "ok"].warn[check.state == "warning"].bad[check.state == "failed"] { (check.state) } }
                        td { (check.text) }
                    }
                }
            }
        }
        h2 { "In force" }
        dl .facts {
            dt { "Policy" }
            dd { (status.policy.rules) " rules, " (status.policy.callers) " callers, loaded " (time(&status.policy.loaded)) ", revision " code { (short(&status.policy.revision)) } }
            @if let Some(bundle) = &status.bundle {
                dt { "Bundle" }
                dd { (bundle.name) " " (bundle.number) ", signed by " (bundle.signers.join(", ")) }
            }
            dt { "Audit log" }
            dd {
                (status.audit) ", " (asked.console.gateway.journal.durable_seq()) " records"
                @match &status.checkpoint {
                    Some(newest) => { "; newest checkpoint covers " (newest.size) (if newest.text.is_some() { ", signed" } else { ", not signed" }) },
                    None => "; no checkpoint yet",
                }
            }
            @for (name, place) in [("Collector", &status.export), ("Database", &status.database)] {
                @if let Some(place) = place {
                    dt { (name) }
                    dd {
                        (place.host) ": " (place.lag_records) " records to send"
                        @if let Some(failure) = &place.failure { ", failing since " (time(&failure.since)) ": " (failure.text) }
                    }
                }
            }
            dt { "Program" }
            dd { (status.version) ", commit " (short(status.commit)) ", started " (time(&status.started)) }
        }
        (formats(asked))
    }
}

fn decisions(hour: &Hour) -> Markup {
    let kinds = Kinds(&[("allowed", "good"), ("denied", "bad")]);
    let all: Vec<Bar> = hour
        .over_time
        .iter()
        .zip((1..=BARS).rev())
        .map(|(parts, place)| Bar {
            label: format!("{} min ago", place * 60 / BARS),
            parts: parts.to_vec(),
        })
        .collect();
    html! {
        h2 { "The last hour" }
        @if hour.partial { p .notice { "More decisions than this page counts in its time: these are the oldest of the hour." } }
        (bars("Decisions", &kinds, &all))
        div .columns {
            (counts("Denied, by reason", ("reason", ""), &hour.denied))
            (counts("What became of what was allowed", ("outcome", ""), &hour.outcomes))
            (counts("Not authenticated, by reason", ("reason", Event::Stranger.as_str()), &hour.strangers))
        }
    }
}

fn counts(title: &str, (key, event): (&str, &str), all: &BTreeMap<String, u64>) -> Markup {
    let mut sorted: Vec<(&String, &u64)> = all.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    html! {
        section {
            h3 { (title) }
            @if sorted.is_empty() { p .none { "None." } } @else {
                table .counts { tbody { @for (name, count) in sorted {
                    tr { th scope="row" {
                        // Of what is open nothing can be searched for.
                        @if name.as_str() == OPEN { (name) } @else { a href=(link("audit", &[(key, name), ("event", event), ("since", "1h")])) { (name) } }
                    } td .number { (count) } }
                } } }
            }
        }
    }
}
