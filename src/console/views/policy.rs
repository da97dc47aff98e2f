//! The rules in force, what deserves a second look in them, and where they come from.

use std::collections::HashSet;
use std::sync::Arc;

use maud::{Markup, html};
use parking_lot::Mutex;
use serde::Serialize;

use crate::console::asked::{Asked, Format, link};
use crate::console::next;
use crate::console::page::{Page, ask, field, formats, short, time, wrong};
use crate::console::reply::Reply;
use crate::domain::Problem;

const TITLE: &str = "Policy";

/// Rules of one page.
const RULES_MAX: usize = 200;

/// Roles or zones that are listed, and that are listed at once.
const GROUPS_MAX: usize = 300;
const GROUPS_OPEN: usize = 20;

/// The warnings of one policy on one day: looking for them takes a second where there are many rules.
#[derive(Default)]
pub(in crate::console) struct KnownWarnings(Mutex<Option<Warnings>>);

struct Warnings {
    /// Of this policy, on this day.
    of: (String, i64),
    found: Arc<[Problem]>,
}

#[derive(Serialize)]
struct Shown<'a> {
    revision: &'a str,
    file: &'a str,
    rules: usize,
    found: usize,
    shown: Vec<Rule>,
    /// Who is in which role and which door in which zone, where something was looked for.
    memberships_found: usize,
    memberships: Vec<Rule>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Rule {
    line: u32,
    rule: String,
}

pub(in crate::console) fn show(asked: &Asked) -> Reply {
    let policy = &asked.snapshot.policy;
    let total = policy.rule_count().max(1);
    let most = u64::try_from(total).unwrap_or(u64::MAX);
    let (line, skip) =
        match (asked.number("line", 0, 0..=u64::from(u32::MAX)), asked.number("skip", 0, 0..=most))
        {
            (Ok(line), Ok(skip)) => (line, usize::try_from(skip).unwrap_or(0)),
            (Err(text), _) | (_, Err(text)) => return wrong(asked, TITLE, &form(asked), &text),
        };
    let text = asked.query.get("text").unwrap_or_default().to_lowercase();
    // An entrance is found by its name, too.
    let named: HashSet<String> = match text.as_str() {
        "" => HashSet::new(),
        text => {
            let entries = asked.snapshot.names().entries().iter();
            let named = entries.filter(|entry| entry.name().to_lowercase().contains(text));
            named.map(|entry| entry.id().to_string()).collect()
        }
    };
    let is_wanted = |number: u32, rule: &str| {
        if line > 0 {
            return u64::from(number) == line;
        }
        let lower = rule.to_lowercase();
        text.is_empty()
            || lower.contains(&text)
            || entrance_of(&lower).is_some_and(|id| named.contains(id))
    };
    let of = |all: &mut dyn Iterator<Item = (u32, String)>, skip: usize| -> (usize, Vec<Rule>) {
        let (mut found, mut shown) = (0, Vec::new());
        for (number, rule) in all {
            if is_wanted(number, &rule) {
                found += 1;
                if found > skip && shown.len() < RULES_MAX {
                    shown.push(Rule { line: number, rule });
                }
            }
        }
        (found, shown)
    };
    let (found, rules) = of(&mut policy.rule_texts(), skip);
    // All of them would be everybody and every door.
    let (memberships_found, memberships) = match line > 0 || !text.is_empty() {
        true => of(&mut policy.link_texts(), 0),
        false => (0, Vec::new()),
    };
    let warnings = warnings(asked);
    match asked.format() {
        Format::Json | Format::Csv => Reply::json(&Shown {
            revision: policy.revision().as_str(),
            file: policy.file(),
            rules: policy.rule_count(),
            found,
            shown: rules,
            memberships_found,
            memberships,
            warnings: warnings.iter().map(ToString::to_string).collect(),
        }),
        Format::Page => {
            let memberships = (memberships_found, &memberships[..]);
            let content = page(asked, (found, skip), &rules, memberships, &warnings);
            Page::of(asked, TITLE, &content)
        }
    }
}

fn warnings(asked: &Asked) -> Arc<[Problem]> {
    let policy = &asked.snapshot.policy;
    // Hours that are over, or that never come any more, are among them.
    let of = (policy.revision().to_string(), asked.now.as_second() / 86_400);
    let mut known = asked.console.work.warnings.0.lock();
    if let Some(known) = known.as_ref().filter(|known| known.of == of) {
        return known.found.clone();
    }
    let found: Arc<[Problem]> = policy.warnings(&asked.snapshot.callers, asked.now).into();
    *known = Some(Warnings { of, found: found.clone() });
    found
}

fn form(asked: &Asked) -> Markup {
    ask(
        asked,
        &html! { (field(asked, "text", "Find", "a service, a role, a zone, a door, a condition")) },
        "Find",
    )
}

fn page(
    asked: &Asked,
    (found, skip): (usize, usize),
    rules: &[Rule],
    (memberships_found, memberships): (usize, &[Rule]),
    warnings: &[Problem],
) -> Markup {
    let policy = &asked.snapshot.policy;
    let status = asked.console.state.status();
    let file = policy.file();
    html! {
        dl .facts {
            dt { "Revision" } dd { code { (policy.revision().as_str()) } }
            dt { "Loaded" } dd { (time(&status.policy.loaded)) " from " code { (file) } ": " (status.policy.rules) " rules for " (status.policy.callers) " callers" }
            @if let Some(bundle) = &status.bundle {
                dt { "Bundle" } dd { (bundle.name) " " (bundle.number) " (" code { (short(&bundle.digest)) } "), signed by " (bundle.signers.join(", ")) }
                @if let Some(refused) = &bundle.refused { dt { "Refused" } dd .problem { "bundle " (refused.number) ": " (refused.why) } }
            }
            @if let Some(failure) = &status.reload_failure {
                dt { "Reload" } dd .problem { "failed at " (time(&failure.time)) ": " (failure.problems.join("; ")) }
            }
        }
        h2 { "Rules" }
        (form(asked))
        p #count { (found) " of " (policy.rule_count()) " rules" @if found > rules.len() { "; " (skip + 1) " to " (skip + rules.len()) " are shown" } "." }
        (listing(asked, rules))
        nav .pages aria-label="More rules" {
            @if skip > 0 { a href={ "?" (asked.query.with(&[("skip", &skip.saturating_sub(RULES_MAX).to_string())])) } rel="prev" { "before" } }
            @if found > skip + rules.len() { a href={ "?" (asked.query.with(&[("skip", &(skip + rules.len()).to_string())])) } rel="next" { "more" } }
        }
        @if memberships_found > 0 {
            h2 { "Who and what is in which role or zone" }
            p { (memberships_found) " line(s)" @if memberships_found > memberships.len() { ", of which the first " (memberships.len()) " are shown" } "." }
            (listing(asked, memberships))
        }
        div .columns {
            (groups("By role", policy.roles()))
            (groups("By zone", policy.zones()))
        }
        h2 { "What deserves a second look" }
        @if warnings.is_empty() { p .none { "Nothing." } } @else {
            ul { @for warning in warnings { li {
                @if let Some(line) = warning.line { a .place href=(link("policy", &[("line", &line.to_string())])) { (warning.file) ":" (line) } ": " }
                (warning.text)
            } } }
        }
        h2 { "To change it" }
        p { "Look at " a href=(link("diff", &[])) { "what an edit changes" } " first. " (next::text(asked)) }
        (next::commands(asked))
        (formats(asked))
    }
}

/// Lines of the rules file.
fn listing(asked: &Asked, lines: &[Rule]) -> Markup {
    let file = asked.snapshot.policy.file();
    html! {
        ol .rules.listing {
            @for one in lines { li { a .place href=(link("policy", &[("line", &one.line.to_string())])) { (file) ":" (one.line) } " " code { (words(asked, &one.rule)) } } }
        }
    }
}

/// The id of the entrance that a rule names.
fn entrance_of(rule: &str) -> Option<&str> {
    rule.split_once("entrance:")?.1.get(..36)
}

/// A rule in which entrances have their names.
fn words(asked: &Asked, rule: &str) -> Markup {
    let Some((before, rest)) = rule.split_once("entrance:") else { return html! { (rule) } };
    let (id, after) = rest.split_at_checked(36).unwrap_or((rest, ""));
    let name = crate::domain::EntranceId::parse(id).ok().and_then(|id| asked.snapshot.name_of(id));
    html! {
        (before) "entrance:" (id)
        @if let Some(name) = name { " " span .name { "(" (name) ")" } }
        (after)
    }
}

/// Names, each as a link to the rules that have it.
fn groups(title: &str, names: Vec<&str>) -> Markup {
    html! {
        @if !names.is_empty() {
            details open[names.len() <= GROUPS_OPEN] {
                summary { (title) " (" (names.len()) ")" }
                ul .doors { @for name in names.iter().take(GROUPS_MAX) { li { a href=(link("policy", &[("text", name)])) { (name) } } } }
                @if names.len() > GROUPS_MAX { p .none { "and " (names.len() - GROUPS_MAX) " more: find them by their text" } }
            }
        }
    }
}
