//! What an edit changes, in services and doors, before anybody loads it.

use std::pin::Pin;

use maud::{Markup, html};

use crate::audit::ReadError;
use crate::audit::search::{AuditedDecision, decisions_while};
use crate::authn::callers::{CallerChange, changes};
use crate::catalogue::Catalogue;
use crate::console::asked::{Asked, Format, link};
use crate::console::draft::{self, Draft};
use crate::console::next;
use crate::console::page::{Page, command, rules, time, wrong};
use crate::console::proposals::Proposed;
use crate::console::reply::Reply;
use crate::domain::{CallerId, EntranceId, RuleRef};
use crate::policy::review::{Change, Diff, Effect, InWorkspace, Past, Replay, Turn, diff};
use crate::policy::{Loaded, Policy};
use crate::view;
use crate::view::policy::when;

const TITLE: &str = "What an edit changes";

/// Changes that are shown.
const CHANGES_MAX: usize = 200;

/// Callers and doors of one change that are shown at once.
const SHOWN_MAX: usize = 100;

/// Of a bundle that is proposed, or of a draft.
pub(in crate::console) fn show_later(
    mut asked: Asked,
) -> Pin<Box<dyn Future<Output = Reply> + Send>> {
    Box::pin(async move {
        let number = asked.number("proposal", 0, 1..=u64::from(u32::MAX));
        let fetched = match number {
            Ok(0) => Ok(None),
            Ok(number) => Proposed::fetch(&asked, number).await.map(Some),
            Err(text) => Err(text),
        };
        match fetched {
            Ok(proposed) => asked.proposed = proposed,
            Err(text) => return wrong(&asked, TITLE, &form(&asked, None), &text),
        }
        let console = asked.console.clone();
        console.work.heavy.run(asked, show).await
    })
}

fn show(asked: &Asked) -> Reply {
    if let Some(proposed) = &asked.proposed {
        return match proposed.load(asked.now) {
            Ok((loaded, callers)) => {
                let changed = changes(&asked.snapshot.callers, &callers);
                let model = proposed.changes_model(asked);
                let before = html! { (about(proposed)) (beside(&changed, model)) };
                effects(asked, (&before, model || !changed.is_empty()), &loaded, &next(proposed))
            }
            Err(problems) => {
                let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
                wrong(asked, TITLE, &about(proposed), &texts.join("; "))
            }
        };
    }
    let Draft { text, loaded } = match Draft::of(asked) {
        Ok(Some(draft)) => draft,
        Ok(None) => return Page::of(asked, TITLE, &form(asked, None)),
        Err(broken) => return broken.reply(asked, TITLE, &html! {}, &replay_too(asked)),
    };
    let next = html! {
        p { "Nothing has changed yet. " (next::text(asked)) }
        (next::commands(asked))
    };
    effects(asked, (&form(asked, Some(&text)), false), &loaded, &next)
}

/// What a policy changes of the one in force, and what comes next; `is_more` where something else than
/// rules changes, too.
fn effects(
    asked: &Asked,
    (before, is_more): (&Markup, bool),
    loaded: &Loaded,
    next: &Markup,
) -> Reply {
    let span = match asked.span() {
        Ok(span) => span,
        Err(text) => return wrong(asked, TITLE, before, &text),
    };
    let in_force = &asked.snapshot.policy;
    let found = diff(in_force, &loaded.policy, span);
    if asked.format() != Format::Page {
        let names = asked.snapshot.names();
        return Reply::json(&view::changes::diff(in_force, &loaded.policy, names, &found));
    }
    let replayed = wants_replay(asked).then(|| replay(asked, &loaded.policy));
    let content = html! {
        (before)
        (summary(&found, is_more))
        @if asked.proposed.is_some() && !wants_replay(asked) {
            p { a href={ "?" (asked.query.with(&[("replay", "1")])) } { "Judge the decisions of the log again by it" } }
        }
        @if asked.form.is_some() && !found.changes.is_empty() {
            p .none { "Doors, services and records open beside this page, as they are now." }
        }
        @for change in found.changes.iter().take(CHANGES_MAX) { (one(asked, change, &found)) }
        @if found.changes.len() > CHANGES_MAX { p .notice { "and " (found.changes.len() - CHANGES_MAX) " more change(s): the command line shows all." } }
        @if !loaded.warnings.is_empty() {
            h2 { "What deserves a second look" }
            ul { @for warning in &loaded.warnings { li { (warning.to_string()) } } }
        }
        @if let Some(replayed) = &replayed { (replayed_page(asked, replayed)) }
        h2 { "To put it in force" }
        (next)
    };
    Page::of(asked, TITLE, &content)
}

/// Whose it is, and how far it is signed.
fn about(proposed: &Proposed) -> Markup {
    let Proposed { signed, signatures_min, .. } = proposed;
    html! {
        p { "Bundle " code { (signed.id()) } ", made by " (signed.bundle.by) " at " (time(&signed.bundle.made.to_string())) ": " strong { (signed.bundle.why) } }
        p { "Signed by " (signed.signers.join(", ")) " (" (signed.signers.len()) " of " (signatures_min) "). Compared with what is in force on this gateway." }
    }
}

/// What a bundle changes beside the rules: who may call, how it is proven, and what rules mean. Whoever
/// signs it signs that, too.
fn beside(changed: &[CallerChange], model: bool) -> Markup {
    html! {
        @if model { p .problem { "Its model is another one: the same rules may mean something else. " code { "grantgate policy review" } " shows the files." } }
        @if !changed.is_empty() {
            section .change.bad #callers {
                h2 { "Who may call, and how it is proven" }
                ul { @for one in changed { li {
                    strong { (one.caller.as_str()) } ": "
                    @for fact in &one.added { span .tag.bad { "+ " (fact) } " " }
                    @for fact in &one.removed { span .tag.good { "− " (fact) } " " }
                } } }
            }
        }
    }
}

fn next(proposed: &Proposed) -> Markup {
    let Proposed { signed, signatures_min, .. } = proposed;
    let id = signed.id();
    html! {
        @if signed.signers.len() < *signatures_min {
            p { "It takes another signature, of somebody who has looked at it:" }
            (command(&format!("grantgate policy approve {id} --key FILE --database publisher.toml")))
        } @else {
            p { "It is signed by enough:" }
            (command(&format!("grantgate policy promote {} --database publisher.toml", signed.bundle.number)))
        }
    }
}

fn wants_replay(asked: &Asked) -> bool {
    let form = asked.form.as_ref();
    asked.query.get("replay").is_some() || form.is_some_and(|form| form.get("replay").is_some())
}

fn form(asked: &Asked, draft: Option<&str>) -> Markup {
    draft::form(asked, draft, &replay_too(asked))
}

fn replay_too(asked: &Asked) -> Markup {
    html! {
        label .check { input type="checkbox" name="replay" value="1" checked[wants_replay(asked)]; " and judge the decisions of the log again by it" }
    }
}

fn summary(found: &Diff, is_more: bool) -> Markup {
    let is_bad = found.is_widening() || is_more;
    html! {
        section .answer.bad[is_bad].good[!is_bad] #changes {
            p .headline {
                @if found.changes.is_empty() && is_more { "No rule opens or closes a door; but see what else changes." }
                @else if found.changes.is_empty() { "No service gains or loses a door." }
                @else if found.is_widening() { "More is allowed than before." }
                @else { "Nothing is allowed that was not." }
            }
            @if !found.changes.is_empty() {
                p { (found.changes.len()) " change(s), over the hours from " (time(&found.span.from.to_string())) " until " (time(&found.span.until.to_string())) "." }
            }
        }
    }
}

/// Links of a page that was sent with a draft: back to it, a browser would send the draft again, and so
/// they open beside it.
#[derive(Clone, Copy)]
struct Beside(bool);

impl Beside {
    fn of(asked: &Asked) -> Self {
        Self(asked.form.is_some())
    }

    fn link(self, address: &str, title: Option<&str>, text: &str) -> Markup {
        html! { a href=(address) title=[title] target=[self.0.then_some("_blank")] { (text) } }
    }

    fn caller(self, id: &str) -> Markup {
        self.link(&link("doors", &[("caller", id)]), None, id)
    }

    fn door(self, names: &Catalogue, id: EntranceId) -> Markup {
        let text = id.to_string();
        let address = link("who", &[("entrance", &text)]);
        self.link(&address, Some(&text), names.name_of(id).unwrap_or(&text))
    }
}

fn one(asked: &Asked, change: &Change, found: &Diff) -> Markup {
    let (names, beside) = (asked.snapshot.names(), Beside::of(asked));
    let [before, after] =
        [(&change.before, &change.conditions_before), (&change.after, &change.conditions_after)]
            .map(|(access, conditions)| when(access, conditions, found.span));
    html! {
        section .change.bad[change.is_widening()].good[!change.is_widening()] {
            h2 { span .tag.bad[change.is_widening()].good[!change.is_widening()] { (change.effect.as_str()) } " " (change.act.as_str()) }
            p {
                @for (place, id) in change.callers.iter().take(SHOWN_MAX).enumerate() { @if place > 0 { ", " } (beside.caller(id.as_str())) }
                @if change.callers.len() > SHOWN_MAX { " and " (change.callers.len() - SHOWN_MAX) " more" }
                @if !change.roles.is_empty() { " (" (change.roles.join(", ")) ")" }
                @if !change.workspaces.is_empty() { " in workspace " (workspaces(&change.workspaces)) }
                ": " (before) " → " strong { (after) }
                @if change.differs_later || change.effect == Effect::DiffersLater { ". Its conditions differ at times that these days do not show." }
            }
            ul .doors {
                @for id in change.entrances.iter().take(SHOWN_MAX) { li { (beside.door(names, *id)) } }
                @if change.entrances.len() > SHOWN_MAX { li { "and " (change.entrances.len() - SHOWN_MAX) " more" } }
                @if change.and_every_other { li { "every door that neither policy names" } }
            }
            @if !change.zones.is_empty() { p .none { (change.zones.join(", ")) } }
        }
    }
}

fn workspaces(all: &[InWorkspace]) -> String {
    let names = all.iter().map(|one| match one {
        InWorkspace::Named(name) => name.as_str(),
        InWorkspace::EveryOther => "that no policy names",
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Decisions of the log, judged again; and whether all of them were.
fn replay(asked: &Asked, policy: &Policy) -> Result<(Replay, bool), String> {
    let mut replay = Replay::default();
    let mut whole = true;
    let read = decisions_while(
        &asked.console.reader(),
        |_, _| {},
        |decision| {
            whole = !asked.is_late();
            if whole {
                replay.add(policy, past(decision));
            }
            whole
        },
    );
    match read {
        Ok(_) | Err(ReadError::Empty(_)) => Ok((replay, whole)),
        Err(error) => Err(error.to_string()),
    }
}

fn past(decision: AuditedDecision) -> Past {
    let AuditedDecision {
        seq,
        time,
        caller,
        operation,
        workspace,
        entrance,
        grantee,
        allowed,
        reason,
        ..
    } = decision;
    Past { seq, caller, operation, workspace, entrance, grantee, at: time, allowed, reason }
}

fn replayed_page(asked: &Asked, replayed: &Result<(Replay, bool), String>) -> Markup {
    let (replay, whole) = match replayed {
        Ok(replayed) => replayed,
        Err(text) => return html! { h2 { "Decisions of the log" } p .problem { (text) } },
    };
    let (names, beside) = (asked.snapshot.names(), Beside::of(asked));
    html! {
        h2 { "Decisions of the log, judged again" }
        @if !whole { p .notice { "Only the oldest of them were judged in the time of this page; " code { "grantgate policy replay" } " judges all." } }
        p #replayed {
            (replay.unchanged) " stay, " (replay.count(Turn::DenyToAllow)) " denied ones would be allowed, "
            (replay.count(Turn::AllowToDeny)) " allowed ones would be denied."
        }
        @for (turn, words, then) in [
            (Turn::DenyToAllow, "Denied, and would be allowed", "deny"),
            (Turn::AllowToDeny, "Allowed, and would be denied", "allow"),
        ] {
            @let pairs = replay.pairs(turn);
            @if !pairs.is_empty() {
                table {
                    caption { (words) }
                    thead { tr { th scope="col" { "Service" } th scope="col" { "Door" } th scope="col" .number { "Decisions" } } }
                    tbody { @for pair in pairs.iter().take(SHOWN_MAX) {
                        @let (who, which) = (CallerId::as_str(pair.caller), pair.entrance.to_string());
                        @let decisions = link("audit", &[("caller", who), ("entrance", &which), ("decision", then)]);
                        tr { th scope="row" { (beside.caller(who)) } td { (beside.door(names, pair.entrance)) } td .number { (beside.link(&decisions, None, &pair.decisions.to_string())) } }
                    } }
                }
                @for example in replay.examples.get(&turn).into_iter().flatten().take(1) {
                    @let (seq, now) = (example.past.seq.to_string(), rules(&example.rules.iter().map(RuleRef::to_string).collect::<Vec<_>>()));
                    p { "First: " (beside.link(&link("audit/record", &[("seq", &seq)]), None, &format!("record {seq}"))) " at " (time(&example.past.at.to_string())) ", then " code { (example.past.reason) } ", now " code { (example.reason.as_str()) } " " (now) }
                }
            }
        }
    }
}
