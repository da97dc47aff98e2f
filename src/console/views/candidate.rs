//! A policy on trial beside the one in force: what it would decide otherwise.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde::Serialize;

use crate::audit::search::{Filter, Indexes, Take, query_until};
use crate::audit::{ReadError, Record};
use crate::console::asked::{Asked, Format, link};
use crate::console::chart::{Bar, Kinds, bars};
use crate::console::page::{Page, ask, caller, command, door_of, field, formats, short, wrong};
use crate::console::reply::Reply;
use crate::domain::GranteeKind;
use crate::policy::Opinion;
use crate::snapshot::Trial;

const TITLE: &str = "Candidate";

/// Pairs that are shown.
const SHOWN_MAX: usize = 100;

/// Pairs that are counted apart.
const PAIRS_MAX: usize = 10_000;

const BARS: i64 = 30;

/// What the log has of the candidate.
#[derive(Default, Serialize)]
struct Agreement {
    since: String,
    revision: Option<String>,
    problems: Vec<String>,
    /// Since the gateway started, as the metric `candidate_decisions_total` has it.
    counted: BTreeMap<&'static str, u64>,
    /// Of the log, since then, by this candidate.
    same: u64,
    would_allow: Vec<Pair>,
    would_deny: Vec<Pair>,
    partial: bool,
    #[serde(skip)]
    over_time: Vec<[u64; 2]>,
}

#[derive(Clone, Serialize)]
struct Pair {
    caller: String,
    entrance_id: String,
    decisions: u64,
    /// The first of them.
    first: String,
    request_id: String,
    #[serde(skip)]
    asked_for: Option<GranteeKind>,
}

type Pairs = BTreeMap<(String, String), Pair>;

pub(in crate::console) fn show(asked: &Asked) -> Reply {
    let week = asked.now - jiff::SignedDuration::from_hours(7 * 24);
    let since = match asked.time("since") {
        Ok(since) => since.unwrap_or(week).min(asked.now),
        Err(text) => return wrong(asked, TITLE, &form(asked), &text),
    };
    let found = match agreement(asked, since) {
        Ok(found) => found,
        Err(text) => return wrong(asked, TITLE, &form(asked), &text),
    };
    match asked.format() {
        Format::Json | Format::Csv => Reply::json(&found),
        Format::Page => Page::of(asked, TITLE, &page(asked, &found)),
    }
}

fn agreement(asked: &Asked, since: jiff::Timestamp) -> Result<Agreement, String> {
    let (revision, problems) = match asked.snapshot.trial() {
        None => (None, Vec::new()),
        Some(Trial::Judged(policy)) => (Some(policy.revision().to_string()), Vec::new()),
        Some(Trial::Invalid(problems)) => {
            (None, problems.iter().map(ToString::to_string).collect())
        }
    };
    let metric = &asked.console.gateway.metrics.candidate_decisions;
    let counted = Opinion::AGREEMENTS.map(|one| (one, metric.with_label_values(&[one]).get()));
    let bars = usize::try_from(BARS).unwrap_or(1);
    let mut found = Agreement {
        since: since.to_string(),
        revision,
        problems,
        counted: counted.into(),
        over_time: vec![[0, 0]; bars],
        ..Agreement::default()
    };
    let Some(revision) = found.revision.clone() else { return Ok(found) };
    let length = asked.now.duration_since(since).as_secs().max(1);
    let (mut allow, mut deny) = (Pairs::new(), Pairs::new());
    let filter = Filter { since: Some(since), ..Filter::default() };
    let read = query_until(
        &asked.console.reader(),
        &filter,
        Take::All,
        (Indexes::Present, Some(asked.until)),
        &mut |hit| {
            let Some(record) = Record::parse(hit.line()) else { return Ok(()) };
            let Some(said) = record.candidate().filter(|said| said.revision == revision) else {
                return Ok(());
            };
            let pairs = match (said.decision.as_str(), record.denies()) {
                ("allow", true) => &mut allow,
                ("deny", false) => &mut deny,
                ("allow" | "deny", _) => {
                    found.same += 1;
                    count(&mut found.over_time, &record, (since, length), 0);
                    return Ok(());
                }
                _ => return Ok(()),
            };
            count(&mut found.over_time, &record, (since, length), 1);
            let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
            let key = (owned(record.caller()), owned(record.entrance_id()));
            if let Some(pair) = pairs.get_mut(&key) {
                pair.decisions += 1;
            } else if pairs.len() < PAIRS_MAX {
                let first = record.time().map(|time| time.to_string()).unwrap_or_default();
                let (caller, entrance_id) = key.clone();
                let request_id = owned(record.request_id());
                let asked_for = hit.fields().grantee_kind;
                let decisions = 1;
                let pair = Pair { caller, entrance_id, decisions, first, request_id, asked_for };
                pairs.insert(key, pair);
            } else {
                found.partial = true;
            }
            Ok(())
        },
    );
    match read {
        Ok(_) | Err(ReadError::Empty(_)) => {}
        Err(ReadError::Output(_)) => found.partial = true,
        Err(error) => return Err(error.to_string()),
    }
    (found.would_allow, found.would_deny) = (sorted(allow), sorted(deny));
    Ok(found)
}

fn count(
    over_time: &mut [[u64; 2]],
    record: &Record<'_>,
    (since, length): (jiff::Timestamp, i64),
    kind: usize,
) {
    let Some(at) = record.time() else { return };
    let place = usize::try_from(at.duration_since(since).as_secs() * BARS / length).unwrap_or(0);
    let last = over_time.len().saturating_sub(1);
    if let Some(count) = over_time.get_mut(place.min(last)).and_then(|bar| bar.get_mut(kind)) {
        *count += 1;
    }
}

/// The most first.
fn sorted(pairs: Pairs) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = pairs.into_values().collect();
    pairs.sort_by(|a, b| b.decisions.cmp(&a.decisions).then_with(|| a.first.cmp(&b.first)));
    pairs
}

fn form(asked: &Asked) -> Markup {
    ask(asked, &html! { (field(asked, "since", "Since", "7d")) }, "Count")
}

fn page(asked: &Asked, found: &Agreement) -> Markup {
    let Some(revision) = &found.revision else {
        return html! {
            @if asked.snapshot.is_loading_trial() { p { "The candidate is being loaded." } }
            @else if found.problems.is_empty() {
                p { "There is no candidate: a policy that is judged beside the one in force, and decides nothing. Name one, and look what it would change on live traffic:" }
                (command("[policy]\ncandidate_rules_file = \"policies/candidate.csv\""))
            } @else {
                div .problem role="alert" { p { "The candidate is not judged:" } ul { @for problem in &found.problems { li { (problem) } } } }
            }
        };
    };
    let since = found.since.parse().unwrap_or(asked.now);
    let length = asked.now.duration_since(since).as_secs().max(1);
    let kinds = Kinds(&[("the same", "good"), ("otherwise", "bad")]);
    let all: Vec<Bar> = found
        .over_time
        .iter()
        .enumerate()
        .map(|(place, parts)| {
            let seconds = length * i64::try_from(place).unwrap_or(0) / BARS;
            let from = since.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(since);
            Bar { label: format!("from {from:.0}"), parts: parts.to_vec() }
        })
        .collect();
    let counted = |name| found.counted.get(name).copied().unwrap_or(0);
    html! {
        p { "Candidate " code { (revision) } " is judged beside the policy in force, and decides nothing." }
        (form(asked))
        dl .facts #counted {
            dt { "Counted since the gateway started" }
            dd { @for (place, name) in Opinion::AGREEMENTS.iter().enumerate() { @if place > 0 { ", " } strong { (counted(name)) } " " (name) } }
        }
        @if found.partial { p .notice { "More decisions than this page counts in its time." } }
        (bars(&format!("Decisions of the log since {since:.0}"), &kinds, &all))
        (pairs(asked, ("It would allow what was denied", "would-allow", "deny"), found, &found.would_allow))
        (pairs(asked, ("It would deny what was allowed", "would-deny", "allow"), found, &found.would_deny))
        h2 { "To put it in force" }
        (command(&format!("grantgate policy promote {}", short(revision))))
        (formats(asked))
    }
}

fn pairs(
    asked: &Asked,
    (title, id, then): (&str, &str, &str),
    found: &Agreement,
    pairs: &[Pair],
) -> Markup {
    html! {
        h2 { (title) }
        @if pairs.is_empty() { p .none { "Nothing." } } @else {
            table id=(id) {
                thead { tr { th scope="col" { "Service" } th scope="col" { "Door" } th scope="col" .number { "Decisions" } th scope="col" { "The first" } } }
                tbody { @for pair in pairs.iter().take(SHOWN_MAX) {
                    tr {
                        th scope="row" { (caller(&pair.caller)) }
                        td { (door_of(asked.snapshot.names(), &pair.entrance_id)) }
                        td .number { a href=(link("audit", &[("caller", &pair.caller), ("entrance", &pair.entrance_id), ("decision", then), ("since", &found.since)])) { (pair.decisions) } }
                        td {
                            a href=(link("audit", &[("request_id", &pair.request_id)])) { (crate::console::page::time(&pair.first)) } " "
                            a href=(link("what-if", &[("caller", &pair.caller), ("entrance", &pair.entrance_id), ("grantee", pair.asked_for.map_or("", GranteeKind::as_str)), ("at", &pair.first), ("policy", "candidate")])) { "why" }
                        }
                    }
                } }
            }
        }
    }
}
