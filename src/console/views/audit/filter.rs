//! What of the log is wanted, as the form of the page says it.

use maud::{Markup, html};

use super::super::what_if::{callers, doors};
use crate::audit::search::Filter;
use crate::audit::{Event, PseudonymKey};
use crate::console::asked::{Asked, Wrong};
use crate::console::page::{ask, choice, field, suggestions};
use crate::domain::{Act, Outcome, Reason, UserIdentityId};

/// All of it must hold.
pub(super) fn filter(asked: &Asked) -> Result<Filter, Wrong> {
    let query = &asked.query;
    let owned = |name: &str| query.get(name).map(str::to_owned);
    let events: Result<Vec<Event>, Wrong> = query
        .all("event")
        .map(|code| Event::of(code).ok_or(format!("No event has the code `{code}`.")))
        .collect();
    Ok(Filter {
        caller: asked.caller("caller")?,
        act: query.get("act").map(|_| asked.act()).transpose()?,
        workspace: asked.workspace()?,
        entrance: asked.entrance("entrance")?,
        grantees: query
            .get("for")
            .map(|text| grantees(asked, text))
            .transpose()?
            .unwrap_or_default(),
        allowed: match query.get("decision") {
            None => None,
            Some("allow") => Some(true),
            Some("deny") => Some(false),
            Some(text) => return Err(format!("`{text}` is neither `allow` nor `deny`.")),
        },
        reason: query.get("reason").map(reason).transpose()?,
        outcome: query.get("outcome").map(outcome).transpose()?,
        since: asked.time("since")?,
        until: asked.time("until")?,
        before: None,
        request_id: owned("request_id"),
        seam_request_id: owned("seam_request_id"),
        idempotency_key: owned("idempotency_key"),
        events: events?,
    })
}

/// An id, as it is and as the log hides it, if it does; or a pseudonym.
fn grantees(asked: &Asked, text: &str) -> Result<Vec<String>, Wrong> {
    if let Ok(id) = UserIdentityId::parse(text) {
        let id = id.to_string();
        let hidden = asked.console.gateway.journal.pseudonym(&id);
        return Ok([Some(id), hidden].into_iter().flatten().collect());
    }
    let known = PseudonymKey::is_pseudonym(text).then(|| vec![text.to_owned()]);
    known.ok_or(format!(
        "`{text}` is no person's id: a uuid, or `hmac-sha256:` and 32 hexadecimal digits."
    ))
}

fn reason(text: &str) -> Result<Reason, Wrong> {
    let found = Reason::ALL.iter().find(|reason| reason.as_str() == text).copied();
    found.ok_or(format!("No reason has the code `{text}`."))
}

fn outcome(text: &str) -> Result<Outcome, Wrong> {
    let found = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text);
    found.ok_or(format!("No outcome is called `{text}`."))
}

/// Filters that are asked for often, and behind a fold the others.
pub(super) fn form(asked: &Asked) -> Markup {
    let seldom = [
        "gateway",
        "workspace",
        "act",
        "outcome",
        "event",
        "request_id",
        "seam_request_id",
        "idempotency_key",
    ];
    let is_open = seldom.iter().any(|name| asked.query.get(name).is_some());
    let outcomes: Vec<(&str, &str)> = [("", "any")]
        .into_iter()
        .chain(Outcome::ALL.iter().map(|one| (one.as_str(), one.as_str())))
        .collect();
    let events: Vec<(&str, &str)> = [("", "decisions")]
        .into_iter()
        .chain(Event::CODES.iter().map(|code| (*code, *code)))
        .collect();
    ask(
        asked,
        &html! {
            label { span { "Service" } input name="caller" list="callers" value=(asked.query.get("caller").unwrap_or_default()) autocomplete="off" spellcheck="false"; }
            label { span { "Door" } input name="entrance" list="doors" value=(asked.query.get("entrance").unwrap_or_default()) placeholder="name or id" autocomplete="off" spellcheck="false"; }
            (choice(asked, "decision", "Decision", &[("", "any"), ("allow", "allow"), ("deny", "deny")]))
            label { span { "Reason" } input name="reason" list="reasons" value=(asked.query.get("reason").unwrap_or_default()) autocomplete="off" spellcheck="false"; }
            (field(asked, "for", "Person", "id"))
            (field(asked, "since", "Since", "7d, or 2026-11-25 20:00"))
            (field(asked, "until", "Until", "now"))
            details open[is_open] {
                summary { "More" }
                div .ask {
                    @if asked.console.settings.database_file.is_some() { (field(asked, "gateway", "Gateway", "this one, a name, or all")) }
                    (field(asked, "workspace", "Workspace", ""))
                    (choice(asked, "act", "To", &[("", "anything"), (Act::Grant.as_str(), "grant"), (Act::Read.as_str(), "read")]))
                    (choice(asked, "outcome", "Outcome", &outcomes))
                    (choice(asked, "event", "Records of", &events))
                    (field(asked, "request_id", "Request", "its seam-request-id"))
                    (field(asked, "seam_request_id", "Request at Seam", ""))
                    (field(asked, "idempotency_key", "Idempotency key", ""))
                }
            }
            (callers(asked)) (doors(asked))
            (suggestions("reasons", Reason::ALL.iter().map(|reason| reason.as_str())))
        },
        "Search",
    )
}
