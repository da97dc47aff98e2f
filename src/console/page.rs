//! What all pages have: their frame, and the small things that they show alike.

use http::StatusCode;
use maud::{DOCTYPE, Markup, html};

use super::ROOT;
use super::asked::{Asked, Format, Wrong, link};
use super::assets;
use super::reply::Reply;
use super::views::{SECTIONS, VIEWS};
use crate::catalogue::Catalogue;
use crate::domain::{EntranceId, OrderKind, Problem, Scope, VERSION};

const HTML: &str = "text/html; charset=utf-8";

/// A page.
pub(super) struct Page;

impl Page {
    /// A page of the console.
    pub(super) fn of(asked: &Asked, title: &str, content: &Markup) -> Reply {
        Self::with_status(asked, StatusCode::OK, title, content)
    }

    pub(super) fn with_status(
        asked: &Asked,
        status: StatusCode,
        title: &str,
        content: &Markup,
    ) -> Reply {
        let (ready, _) = asked.console.state.checks();
        let revision = asked.snapshot.policy.revision().as_str();
        let body = html! {
            a .skip href="#content" { "Skip to the content" }
            header .top {
                a .brand href=(ROOT) { "grantgate" @if let Some(name) = &asked.console.name { " " (name) } }
                span .state.good[ready].bad[!ready] { (if ready { "ready" } else { "not ready" }) }
                @if asked.orders.holding(asked.now).any(|order| order.kind == OrderKind::Freeze(Scope::Everything)) {
                    a .state.bad href=(link("orders", &[])) { "all frozen" }
                }
                span .who { (asked.person.name) @if asked.person.may_order { " · operator" } @else { " · viewer" } }
            }
            div .body {
                nav aria-label="Pages" {
                    @for section in SECTIONS {
                        p .section { (section) }
                        ul {
                            @for view in VIEWS.iter().filter(|view| view.section == Some(section)) {
                                li {
                                    a href=(link(view.path, &[]))
                                        aria-current=[(view.path == asked.view.within()).then_some("page")] {
                                        (view.name)
                                    }
                                }
                            }
                        }
                    }
                }
                main #content tabindex="-1" {
                    h1 { (title) }
                    (content)
                }
            }
            footer {
                span { "grantgate " (VERSION) }
                span { "policy " code title=(revision) { (short(revision)) } }
                span { "as of " (time(&asked.now.to_string())) }
            }
        };
        let whole = asked.console.name.as_ref().map(|name| format!("{title} · {name}"));
        Self::frame(status, whole.as_deref().unwrap_or(title), &body)
    }

    /// Why something is not shown.
    pub(super) fn refusal(status: StatusCode, text: &str) -> Reply {
        Self::refusal_with(status, text, &html! {})
    }

    /// Why something is not shown for now; the page asks for it again by itself.
    pub(super) fn later(text: &str, again: bool) -> Reply {
        let more = html! { @if again { p { "This page asks again." } div data-refresh="10" {} } };
        Self::refusal_with(StatusCode::SERVICE_UNAVAILABLE, text, &more)
    }

    fn refusal_with(status: StatusCode, text: &str, more: &Markup) -> Reply {
        let title = status.canonical_reason().unwrap_or("Refused");
        let body = html! {
            header .top { a .brand href=(ROOT) { "grantgate" } }
            main #content {
                h1 { (title) }
                p role="alert" .problem { (text) }
                (more)
            }
        };
        Self::frame(status, title, &body)
    }

    fn frame(status: StatusCode, title: &str, body: &Markup) -> Reply {
        let version = assets::VERSION.as_str();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · grantgate" }
                    link rel="icon" href={ (ROOT) "/assets/icon.svg?" (version) };
                    link rel="stylesheet" href={ (ROOT) "/assets/console.css?" (version) };
                    script type="module" src={ (ROOT) "/assets/console.js?" (version) } {}
                }
                body { (body) }
            }
        };
        Reply::new(status, HTML, page.into_string())
    }
}

/// What is wrong with what was asked for, beside the form that asks: for programs as JSON.
pub(super) fn wrong(asked: &Asked, title: &str, form: &Markup, text: &Wrong) -> Reply {
    refused(asked, StatusCode::UNPROCESSABLE_ENTITY, title, form, text)
}

/// The same where it is not what was asked for that is wrong.
pub(super) fn unavailable(asked: &Asked, title: &str, text: &Wrong) -> Reply {
    refused(asked, StatusCode::SERVICE_UNAVAILABLE, title, &html! {}, text)
}

fn refused(asked: &Asked, status: StatusCode, title: &str, form: &Markup, text: &Wrong) -> Reply {
    match asked.format() {
        Format::Page => {
            let content = html! { (form) p role="alert" .problem { (text) } };
            Page::with_status(asked, status, title, &content)
        }
        Format::Json | Format::Csv => {
            let text = serde_json::json!({ "error": text });
            Reply::new(status, "application/json", format!("{text}\n"))
        }
    }
}

/// Problems in one line.
pub(super) fn listed(problems: &[Problem]) -> String {
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// A time for people, with the exact one for programs.
pub(super) fn time(exact: &str) -> Markup {
    let shown = match (exact.get(..10), exact.get(11..19)) {
        (Some(day), Some(clock)) => format!("{day} {clock}"),
        _ => exact.to_owned(),
    };
    html! { time datetime=(exact) title=(exact) { (shown) " UTC" } }
}

/// What people call an entrance, as a link to who may open it.
pub(super) fn door(names: &Catalogue, id: EntranceId) -> Markup {
    let id_text = id.to_string();
    let address = link("who", &[("entrance", &id_text)]);
    match names.name_of(id) {
        Some(name) => html! { a href=(address) title=(id_text) { (name) } },
        None => html! { a href=(address) { code { (id_text) } } },
    }
}

/// The same where it may be none.
pub(super) fn door_of(names: &Catalogue, id: &str) -> Markup {
    match EntranceId::parse(id) {
        Ok(id) => door(names, id),
        Err(_) if id.is_empty() => html! { span .none { "–" } },
        Err(_) => html! { code { (id) } },
    }
}

/// A caller, as a link to what it may open.
pub(super) fn caller(id: &str) -> Markup {
    match id {
        "" => html! { span .none { "–" } },
        id => html! { a href=(link("doors", &[("caller", id)])) { (id) } },
    }
}

/// A rule, as a link to its line.
pub(super) fn rule(reference: &str) -> Markup {
    // What is in no file of the gateway has no line to be looked at.
    let is_elsewhere = reference.starts_with("draft:") || reference.starts_with("bundle ");
    let line = reference.rsplit_once(':').map(|(_, line)| line).filter(|_| !is_elsewhere);
    let short = reference.rsplit_once('/').map_or(reference, |(_, name)| name);
    match line.filter(|line| line.bytes().all(|b| b.is_ascii_digit()) && !line.is_empty()) {
        Some(line) => html! {
            a .rule href=(link("policy", &[("line", line)])) title=(reference) { (short) }
        },
        None => html! { code title=(reference) { (short) } },
    }
}

/// Several, with no more than a few shown at once.
pub(super) fn rules(references: &[String]) -> Markup {
    const SHOWN: usize = 4;
    html! {
        @for (place, one) in references.iter().take(SHOWN).enumerate() {
            @if place > 0 { ", " }
            (rule(one))
        }
        @if references.len() > SHOWN { " and " (references.len() - SHOWN) " more" }
    }
}

/// `allow` or `deny`, in colour and in words.
pub(super) fn verdict(decision: &str) -> Markup {
    html! {
        span .tag.good[decision == "allow"].bad[decision == "deny"] { (decision) }
    }
}

/// A service that is asked for and is none: a name that is misspelt finds nothing, either.
pub(super) fn unknown_caller(asked: &Asked) -> Markup {
    let caller = asked.caller("caller").ok().flatten();
    let unknown = caller.filter(|one| !asked.snapshot.callers.contains(one));
    html! {
        @if let Some(caller) = unknown {
            p .notice #unknown { "`" (caller) "` is not in the callers file: only what it asked for before is here." }
        }
    }
}

/// A command to copy.
pub(super) fn command(text: &str) -> Markup {
    html! { pre .command tabindex="0" { code { (text) } } }
}

/// A field of a form that asks.
pub(super) fn field(asked: &Asked, name: &str, label: &str, hint: &str) -> Markup {
    let value = asked.query.get(name).unwrap_or_default();
    html! {
        label { span { (label) } input name=(name) value=(value) placeholder=(hint) autocomplete="off" spellcheck="false"; }
    }
}

/// A choice of words.
pub(super) fn choice(asked: &Asked, name: &str, label: &str, all: &[(&str, &str)]) -> Markup {
    let chosen = asked.query.get(name).unwrap_or_default();
    html! {
        label {
            span { (label) }
            select name=(name) {
                @for (value, text) in all { option value=(value) selected[chosen == *value] { (text) } }
            }
        }
    }
}

/// A form that asks for a page with other parameters.
pub(super) fn ask(asked: &Asked, fields: &Markup, button: &str) -> Markup {
    html! {
        form .ask method="get" action=(link(asked.view.path, &[])) {
            (fields)
            button type="submit" { (button) }
        }
    }
}

/// Links to the same in other formats.
pub(super) fn formats(asked: &Asked) -> Markup {
    html! {
        p .formats {
            "The same as "
            @for (place, format) in asked.view.formats.iter().enumerate() {
                @if place > 0 { ", " }
                a href=(asked.in_format(format)) { (format.to_uppercase()) }
            }
        }
    }
}

/// Names for a browser to suggest while somebody types.
pub(super) fn suggestions<'a>(id: &str, all: impl Iterator<Item = &'a str>) -> Markup {
    const MOST: usize = 500;
    html! { datalist id=(id) { @for one in all.take(MOST) { option value=(one) {} } } }
}

/// The first characters of a digest.
pub(super) fn short(digest: &str) -> &str {
    let digest = digest.strip_prefix("sha256:").unwrap_or(digest);
    digest.get(..12).unwrap_or(digest)
}
