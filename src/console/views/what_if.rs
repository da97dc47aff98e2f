//! What would be decided, of whom, when, and why: any question may be put, and nothing comes of it.

use maud::{Markup, html};

use super::audit::record::decided_by;
use crate::audit::Record;
use crate::audit::search::record;
use crate::console::asked::{Asked, Format, Wrong, link};
use crate::console::page::{
    Page, ask, caller, choice, door, field, formats, rule, suggestions, time, verdict, wrong,
};
use crate::console::reply::Reply;
use crate::domain::{Act, CallerId, EntranceId, GranteeKind, Reason, RuleRef, WorkspaceName};
use crate::inquiry::Known;
use crate::policy::review::{ExplainedRule, Explanation, Step, explain};
use crate::policy::{Moment, Policy, Question};
use crate::snapshot::Trial;
use crate::view;
use crate::view::orders::in_words_with;

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
    match judged(asked, &put) {
        Ok(reply) => reply,
        Err(text) => wrong(asked, TITLE, &form(asked), &text),
    }
}

fn judged(asked: &Asked, put: &Put) -> Result<Reply, Wrong> {
    let Put { caller, act, entrance, workspace, moment } = put;
    let (act, entrance, moment) = (*act, *entrance, *moment);
    let question = Question { caller, act, entrance, workspace: workspace.as_ref(), moment };
    let orders = asked.orders_at(moment.at)?;
    let candidate = candidate(asked)?;
    let policy = candidate.unwrap_or(&asked.snapshot.policy);
    let known = Known { policy, orders: &orders, ..asked.known() };
    let found = explain(known.policy, question, known.orders);
    Ok(match asked.format() {
        Format::Json | Format::Csv => Reply::json(&view::policy::explained(
            known.policy,
            known.names,
            question,
            &found,
            known.is_suspended(caller),
        )),
        Format::Page => {
            let content = html! {
                (form(asked))
                (recorded(asked)?)
                (answer(known, question, &found, candidate.is_some()))
                (formats(asked))
            };
            Page::of(asked, TITLE, &content)
        }
    })
}

/// The candidate, where its opinion is asked.
fn candidate(asked: &Asked) -> Result<Option<&Policy>, Wrong> {
    match (asked.query.get("policy"), asked.snapshot.trial()) {
        (None, _) => Ok(None),
        (Some("candidate"), Some(Trial::Judged(policy))) => Ok(Some(policy)),
        (Some("candidate"), _) => Err("There is no candidate that could be asked.".into()),
        (Some(text), _) => Err(format!("`{text}` is not `candidate`.")),
    }
}

/// What was decided then, where a record of the log is asked about: the policy may be another one now.
fn recorded(asked: &Asked) -> Result<Markup, Wrong> {
    let seq = asked.number("record", 0, 1..=u64::MAX)?;
    if seq == 0 {
        return Ok(html! {});
    }
    let line = record(&asked.console.reader(), seq).map_err(|error| format!("{error}."))?;
    let line = line.ok_or(format!("The log has no record {seq}."))?;
    let decision = Record::parse(&line).filter(|one| one.decision().is_some());
    let decision = decision.ok_or(format!("Record {seq} is no decision."))?;
    let revision = decision.revision();
    let is_other = revision.is_some_and(|of| of != asked.snapshot.policy.revision().as_str());
    Ok(html! {
        section .recorded.notice[is_other] #recorded {
            p {
                a href=(link("audit/record", &[("seq", &seq.to_string())])) { "Record " (seq) } ": "
                (verdict(decision.decision().unwrap_or_default())) " " code { (decision.reason().unwrap_or_default()) } "."
            }
            (decided_by(asked, &decision))
            @if is_other { p { strong { "The policy has changed since." } " What follows is what the one in force now says." } }
        }
    })
}

fn put(asked: &Asked) -> Result<Option<Put>, Wrong> {
    let (caller, entrance) = match (asked.caller("caller")?, asked.entrance("entrance")?) {
        (Some(caller), Some(entrance)) => (caller, entrance),
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err("Which service?".into()),
        (Some(_), None) => return Err("Which door?".into()),
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
            @if asked.snapshot.trial().is_some() { (choice(asked, "policy", "By", &[("", "the policy in force"), ("candidate", "the candidate")])) }
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

fn answer(
    known: Known<'_>,
    question: Question<'_>,
    found: &Explanation,
    is_candidate: bool,
) -> Markup {
    // What is in the candidate's file has no page.
    let rule = |reference: &RuleRef| {
        let text = reference.to_string();
        if is_candidate {
            html! { code { (text) } }
        } else {
            rule(&text)
        }
    };
    let Question { caller: who, entrance, moment, workspace, .. } = question;
    let reason = found.evaluation.reason;
    let is_refused = known.is_suspended(who) || !known.is_within(who, workspace);
    let allowed = found.evaluation.is_allowed() && !is_refused;
    html! {
        section .answer.good[allowed].bad[!allowed] #verdict {
            @if is_candidate { p { "By the candidate, which decides nothing:" } }
            p .headline {
                (verdict(if allowed { "allow" } else { "deny" })) " "
                @if is_refused { "before policy is asked, which would say " }
                code { (reason.as_str()) }
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
                p .notice { (in_words_with(order, known.names)) ". Without the order: " code { (found.by_policy.as_str()) } "." }
            }
        }
        @if !found.deciding.is_empty() {
            h2 { "Because of" }
            ol .rules { @for one in &found.deciding { li { (deciding(one, &rule)) } } }
        }
        @if !found.misses.is_empty() {
            h2 { "Nearest to an allow" }
            ol .rules { @for miss in &found.misses {
                li { (rule(&miss.rule)) " " code { (miss.text) } p .missing { (miss.missing) } }
            } }
        }
        @if !found.by_policy.permits() && found.misses.is_empty() {
            p { @if found.by_policy == Reason::DeniedByRule { "Without the deny no rule would allow it either." }
                @else { "No rule allows this service to " (question.act.as_str()) " anywhere, nor anyone to " (question.act.as_str()) " here." } }
        }
        p {
            "See also: " a href=(link("who", &[("entrance", &entrance.to_string())])) { "who opens this door" } ", "
            a href=(link("audit", &[("caller", who.as_str()), ("entrance", &entrance.to_string())])) { "what happened there" } "."
        }
    }
}

fn deciding(one: &ExplainedRule, rule: &impl Fn(&RuleRef) -> Markup) -> Markup {
    html! {
        (rule(&one.rule)) " " code { (one.text) }
        @for steps in [&one.subject, &one.object] {
            @if steps.len() > 1 { p .chain { (chain(steps, rule)) } }
        }
    }
}

fn chain(steps: &[Step], rule: &impl Fn(&RuleRef) -> Markup) -> Markup {
    html! {
        @for (place, step) in steps.iter().enumerate() {
            @if place > 0 { " › " }
            code { (step.name) }
            @if let Some(link) = &step.link { " (" (rule(link)) ")" }
        }
    }
}
