//! What would be decided, of whom, when, and why: any question may be put, and nothing comes of it.

use std::sync::Arc;

use jiff::Timestamp;
use maud::{Markup, html};

use crate::console::asked::{Asked, Format, Wrong, link};
use crate::console::page::{
    Page, ask, caller, choice, door, field, formats, rule, suggestions, time, verdict, wrong,
};
use crate::console::reply::Reply;
use crate::domain::{Act, CallerId, EntranceId, GranteeKind, Reason, WorkspaceName};
use crate::inquiry::Known;
use crate::policy::review::{ExplainedRule, Explanation, Step, explain};
use crate::policy::{Moment, Orders, Question};
use crate::view;
use crate::view::orders::in_words;

const TITLE: &str = "What if";

/// A question, with what it is about.
struct Put {
    caller: CallerId,
    act: Act,
    entrance: EntranceId,
    workspace: Option<WorkspaceName>,
    moment: Moment,
}

pub(in crate::console) fn show(asked: &Asked) -> Reply {
    let put = match put(asked) {
        Ok(Some(put)) => put,
        Ok(None) if asked.format() == Format::Page => {
            let content = html! {
                p { "Ask what would be decided. Nothing comes of it: nothing is recorded, and nothing is sent." }
                (form(asked))
            };
            return Page::of(asked, TITLE, &content);
        }
        Ok(None) => {
            return wrong(asked, TITLE, &html! {}, &"A caller and an entrance are needed.".into());
        }
        Err(text) => return wrong(asked, TITLE, &form(asked), &text),
    };
    let Put { caller, act, entrance, workspace, moment } = &put;
    let (act, entrance, moment) = (*act, *entrance, *moment);
    let question = Question { caller, act, entrance, workspace: workspace.as_ref(), moment };
    let orders = match orders(asked, moment.at) {
        Ok(orders) => orders,
        Err(text) => return wrong(asked, TITLE, &form(asked), &text),
    };
    let known = Known { orders: &orders, ..asked.known() };
    let found = explain(known.policy, question, known.orders);
    let suspended = known.is_suspended(caller);
    match asked.format() {
        Format::Json | Format::Csv => Reply::json(&view::policy::explained(
            known.policy,
            known.names,
            question,
            &found,
            suspended,
        )),
        Format::Page => {
            let content = html! {
                (form(asked))
                (answer(known, question, &found))
                (formats(asked, &["json"]))
            };
            Page::of(asked, TITLE, &content)
        }
    }
}

/// Those that the gateway follows; for what is past those that held then, though they were lifted.
fn orders(asked: &Asked, at: Timestamp) -> Result<Arc<Orders>, Wrong> {
    if at >= asked.now {
        return Ok(asked.orders.clone());
    }
    let file = asked.console.keeper.place().read().map_err(|problem| problem.to_string())?;
    Ok(Arc::new(Orders::of_time(file.orders(), at)))
}

fn put(asked: &Asked) -> Result<Option<Put>, Wrong> {
    let (Some(caller), Some(entrance)) = (asked.caller("caller")?, asked.entrance("entrance")?)
    else {
        return Ok(None);
    };
    let act = asked.act()?;
    let grantee = match (act, asked.grantee()?) {
        (Act::Grant, given) => given.or(Some(GranteeKind::UserIdentity)),
        (Act::Read, _) => None,
    };
    let at = asked.time("at")?.unwrap_or(asked.now);
    let given = asked.workspace()?;
    let workspace = asked.known().workspace_of(entrance, given.as_ref());
    let workspace = workspace.map_err(|error| format!("{error}."))?;
    Ok(Some(Put { caller, act, entrance, workspace, moment: Moment { at, grantee } }))
}

fn form(asked: &Asked) -> Markup {
    let grantees = [("", "a user identity"), ("acs_user", "an acs user")];
    let acts = [("", "grant access"), ("read", "read")];
    let has_workspaces = asked.known().policy.named_workspaces().next().is_some();
    ask(
        asked,
        &html! {
            label { span { "Service" } input name="caller" list="callers" value=(asked.query.get("caller").unwrap_or_default()) autocomplete="off" spellcheck="false"; }
            label { span { "Door" } input name="entrance" list="doors" value=(asked.query.get("entrance").unwrap_or_default()) placeholder="name or id" autocomplete="off" spellcheck="false"; }
            (choice(asked, "act", "To", &acts))
            (choice(asked, "grantee", "For", &grantees))
            (field(asked, "at", "When", "now, or 2026-11-25 20:00 (UTC)"))
            @if has_workspaces { (field(asked, "workspace", "Workspace", "that of the door")) }
            (callers(asked)) (doors(asked))
        },
        "Ask",
    )
}

/// Callers to choose from.
pub(super) fn callers(asked: &Asked) -> Markup {
    suggestions("callers", asked.snapshot.callers.ids().map(CallerId::as_str))
}

/// Doors to choose from.
pub(super) fn doors(asked: &Asked) -> Markup {
    suggestions("doors", asked.snapshot.names().entries().iter().map(crate::catalogue::Entry::name))
}

fn answer(known: Known<'_>, question: Question<'_>, found: &Explanation) -> Markup {
    let Question { caller: who, entrance, moment, workspace, .. } = question;
    let allowed = found.evaluation.is_allowed();
    let reason = found.evaluation.reason;
    html! {
        section .answer.good[allowed].bad[!allowed] #verdict {
            p .headline {
                (verdict(if allowed { "allow" } else { "deny" })) " " code { (reason.as_str()) }
            }
            p {
                (caller(who.as_str()))
                @if !known.callers.contains(who) { " (not in the callers file)" }
                (if question.act == Act::Grant { " asks to grant access to " } else { " asks to read " })
                (door(known.names, entrance))
                @if let Some(workspace) = workspace { " in workspace " (workspace) }
                @if let Some(grantee) = moment.grantee { ", for " (if grantee == GranteeKind::AcsUser { "an acs user" } else { "a user identity" }) }
                ", at " (time(&moment.at.to_string())) "."
            }
            @if known.is_suspended(who) {
                p .notice { "The service is suspended: every request of it is refused, whatever policy says." }
            }
            @if !known.is_within(who, workspace) {
                p .notice { "The service is not in that workspace: every request of it there is refused, whatever policy says." }
            }
            @if let Some(order) = &found.order {
                p .notice { (in_words(order)) ". Without the order: " code { (found.by_policy.as_str()) } "." }
            }
        }
        @if !found.deciding.is_empty() {
            h2 { "Because of" }
            ol .rules { @for one in &found.deciding { li { (deciding(one)) } } }
        }
        @if !found.misses.is_empty() {
            h2 { "Nearest to an allow" }
            ol .rules { @for miss in &found.misses {
                li { (rule(&miss.rule.to_string())) " " code { (miss.text) } p .missing { (miss.missing) } }
            } }
        }
        @if !found.by_policy.permits() && found.misses.is_empty() {
            p { @if found.by_policy == Reason::DeniedByRule { "Without the deny no rule would allow it either." }
                @else { "No rule allows this service anything, nor anyone this door." } }
        }
        p {
            "See also: " a href=(link("who", &[("entrance", &entrance.to_string())])) { "who opens this door" } ", "
            a href=(link("audit", &[("caller", who.as_str()), ("entrance", &entrance.to_string())])) { "what happened there" } "."
        }
    }
}

fn deciding(one: &ExplainedRule) -> Markup {
    html! {
        (rule(&one.rule.to_string())) " " code { (one.text) }
        @for steps in [&one.subject, &one.object] {
            @if steps.len() > 1 { p .chain { (chain(steps)) } }
        }
    }
}

fn chain(steps: &[Step]) -> Markup {
    html! {
        @for (place, step) in steps.iter().enumerate() {
            @if place > 0 { " › " }
            code { (step.name) }
            @if let Some(link) = &step.link { " (" (rule(&link.to_string())) ")" }
        }
    }
}
