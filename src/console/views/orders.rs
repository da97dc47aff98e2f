//! Freezes and exceptions: those in force, and new ones by an operator who says why.

use std::pin::Pin;

use aws_lc_rs::digest;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use serde_json::json;

use super::what_if::{callers, doors};
use crate::console::asked::{Asked, Format, Query, Wrong, link};
use crate::console::heavy::busy;
use crate::console::page::{Page, command, formats, suggestions, time, wrong};
use crate::console::reply::Reply;
use crate::domain::{
    CallerId, Order, OrderKind, Scope, Signature, WorkspaceName, parse_lasting, printable,
};
use crate::inquiry::{BesideException, beside_exception, is_exception};
use crate::orders::{BY_CHARS_MAX, EditError, OrdersFile, WHY_BYTES_MAX, edit};
use crate::view::orders::{ListedOrder, in_words_with};

const TITLE: &str = "Freeze and exceptions";

/// What has to be typed to freeze everything.
const EVERYTHING: &str = "everything";

/// Apart from all questions, and waited for to its end: who freezes must not be told that it failed
/// when it did not.
pub(in crate::console) fn show_later(asked: Asked) -> Pin<Box<dyn Future<Output = Reply> + Send>> {
    Box::pin(async move {
        // An order waits for nobody who looks.
        let _place = match asked.form {
            Some(_) => None,
            None => match asked.console.work.orders.acquire().await {
                Some(place) => Some(place),
                None => return busy(&asked),
            },
        };
        let shown = tokio::task::spawn_blocking(move || show(&asked)).await;
        shown.unwrap_or_else(|_| {
            let text = "The page could not be made: a fault of this program. Look whether the order is there.";
            Page::refusal(StatusCode::INTERNAL_SERVER_ERROR, text)
        })
    })
}

fn show(asked: &Asked) -> Reply {
    let refused = match asked.form.as_ref().map(|form| order(asked, form)) {
        Some(Ok(number)) => {
            return Reply::moved(&link("orders", &[("given", &number.to_string())]));
        }
        Some(Err(text)) => Some(text),
        None => None,
    };
    let file = match asked.console.keeper.place().read() {
        Ok(file) => file,
        Err(problem) => return wrong(asked, TITLE, &html! {}, &problem.to_string()),
    };
    if let Some(text) = refused {
        if asked.format() != Format::Page {
            return wrong(asked, TITLE, &html! {}, &text);
        }
        let content = page(asked, &file, Some(&text));
        return Page::with_status(asked, StatusCode::UNPROCESSABLE_ENTITY, TITLE, &content);
    }
    match asked.format() {
        Format::Json | Format::Csv => {
            let listed = file.orders().iter().map(|order| ListedOrder::of(order, asked.now));
            Reply::json(&json!({ "orders": listed.collect::<Vec<_>>() }))
        }
        Format::Page => Page::of(asked, TITLE, &page(asked, &file, None)),
    }
}

/// Gives or takes back an order, and returns its number.
fn order(asked: &Asked, form: &Query) -> Result<u32, Wrong> {
    if !asked.person.may_order {
        return Err("Only operators give orders: the settings name them under `[console]`.".into());
    }
    let why = form.get("why").ok_or("Say why: the audit log has it.")?.to_owned();
    if why.len() > WHY_BYTES_MAX {
        return Err(format!("The reason may have {WHY_BYTES_MAX} bytes."));
    }
    // As the file has it.
    let at = Timestamp::from_microsecond(asked.now.as_microsecond()).unwrap_or(asked.now);
    let signature = Signature { at, by: signed_by(&asked.person.name), why };
    let place = asked.console.keeper.place();
    let given = match form.get("do") {
        Some("freeze") => {
            give(asked, OrderKind::Freeze(scope(asked, form)?), length(form, false)?, signature)
        }
        Some("allow") => {
            let kind = OrderKind::Exception(caller(asked, form)?, entrance(asked, form)?);
            give(asked, kind, length(form, true)?, signature)
        }
        Some("lift") => {
            let number = form.get("order").and_then(|text| text.parse().ok());
            let number: u32 = number.ok_or("Which order is to be taken back?")?;
            edit(place, |file| {
                // What enough people signed is not one person's to take back.
                if file.orders().iter().any(|one| one.number == number && one.directive.is_some()) {
                    let text = format!(
                        "order {number} was given to all gateways, signed, and is taken back so"
                    );
                    return Err(EditError::Refused(text));
                }
                let order = file.lift(number, signature.clone())?;
                Ok(order.number)
            })
        }
        _ => return Err("What is to be done: `freeze`, `allow` or `lift`?".into()),
    };
    let number = given.map_err(|error| format!("{error}."))?;
    tracing::warn!(number, by = asked.person.name, "an order came from the console");
    Ok(number)
}

/// As whom an order is given. Of a long name, which two people may begin with, the end is a digest.
fn signed_by(name: &str) -> String {
    const DIGITS: usize = 16;
    let whole = format!("console:{name}");
    if whole.chars().count() <= BY_CHARS_MAX {
        return whole;
    }
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    let digits = digest.as_ref().iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}"));
    let start = whole.chars().take(BY_CHARS_MAX - DIGITS - 1);
    start.chain(['~']).chain(digits.collect::<String>().chars()).collect()
}

fn give(
    asked: &Asked,
    kind: OrderKind,
    length: Option<SignedDuration>,
    signature: Signature,
) -> Result<u32, EditError> {
    let place = asked.console.keeper.place();
    let until = length.and_then(|length| signature.at.checked_add(length).ok());
    edit(place, |file| file.give(kind.clone(), until, signature.clone(), place.exception_max))
}

fn length(form: &Query, needed: bool) -> Result<Option<SignedDuration>, Wrong> {
    match form.get("for") {
        None if needed => Err("For how long, such as `2h`?".into()),
        None => Ok(None),
        Some(text) => match parse_lasting(text) {
            Ok(length) => Ok(Some(length)),
            Err(error) => Err(format!("The time `{text}` {error}.")),
        },
    }
}

/// What may be frozen, and the field that says which one.
const SCOPES: [(&str, &str, &str); 5] = [
    ("caller", "one service", "caller"),
    ("zone", "a zone", "zone"),
    ("entrance", "one door", "entrance"),
    ("workspace", "a workspace", "workspace"),
    (EVERYTHING, "every grant", "typed"),
];

fn scope(asked: &Asked, form: &Query) -> Result<Scope, Wrong> {
    let wanted = form.get("scope");
    let known = SCOPES.into_iter().find(|(word, ..)| wanted == Some(*word));
    let (word, text, own) = known.ok_or("What is to be frozen?")?;
    // Who fills in two means less than the one of them.
    if let Some((_, other, _)) =
        SCOPES.into_iter().find(|(_, _, field)| *field != own && form.get(field).is_some())
    {
        return Err(format!(
            "What is to be frozen is {text}, but {other} is filled in, too, and an order has one of \
             them: empty the other field."
        ));
    }
    match word {
        EVERYTHING if form.get("typed") == Some(EVERYTHING) => Ok(Scope::Everything),
        EVERYTHING => Err(format!("To freeze every grant, type `{EVERYTHING}` beside it.")),
        "caller" => Ok(Scope::Caller(caller(asked, form)?)),
        "zone" => {
            let zone = form.get("zone").ok_or("Which zone?")?;
            let is_known = asked.snapshot.policy.zones().contains(&zone);
            is_known
                .then(|| Scope::Zone(zone.to_owned()))
                .ok_or(format!("The policy names no zone `{zone}`."))
        }
        "entrance" => Ok(Scope::Entrance(entrance(asked, form)?)),
        _ => {
            let text = form.get("workspace").ok_or("Which workspace?")?;
            let name = WorkspaceName::parse(text)
                .map_err(|error| format!("The workspace `{text}` {error}."))?;
            let is_known = asked.snapshot.workspaces.named().any(|(known, _)| *known == name);
            is_known
                .then_some(Scope::Workspace(name))
                .ok_or(format!("There is no workspace `{text}`."))
        }
    }
}

fn caller(asked: &Asked, form: &Query) -> Result<CallerId, Wrong> {
    let text = form.get("caller").ok_or("Which service?")?;
    let caller = CallerId::parse(text).map_err(|error| format!("The service `{text}` {error}."))?;
    let is_known = asked.snapshot.callers.contains(&caller);
    is_known.then_some(caller).ok_or(format!("`{text}` is not in the callers file."))
}

fn entrance(asked: &Asked, form: &Query) -> Result<crate::domain::EntranceId, Wrong> {
    let text = form.get("entrance").ok_or("Which door?")?;
    asked.snapshot.names().find(text).map_err(|error| format!("{error}."))
}

fn page(asked: &Asked, file: &OrdersFile, refused: Option<&str>) -> Markup {
    let holding: Vec<&Order> =
        file.orders().iter().filter(|order| order.holds(asked.now)).collect();
    let past: Vec<&Order> =
        file.orders().iter().rev().filter(|order| !order.holds(asked.now)).collect();
    // Beside the form that it is about, where that is on the page.
    let sent = Sent { form: asked.form.as_ref(), refused };
    let lifted = sent.form.filter(|form| form.get("do") == Some("lift"));
    let lifted = lifted.and_then(|form| form.get("order")?.parse::<u32>().ok());
    let has_place = asked.person.may_order
        && (sent.is_of("freeze")
            || sent.is_of("allow")
            || holding.iter().any(|order| Some(order.number) == lifted));
    html! {
        @if !has_place { (sent.problem()) }
        @if let Some(order) = written(asked, file) {
            p .notice role="status" {
                @match &order.lifted {
                    Some(_) => { "Order " (order.number) " is taken back. What it stopped goes through once that is recorded." },
                    None => { "Order " (order.number) " is written. A freeze holds at once, an exception once it is recorded." },
                }
            }
        }
        p #count { (holding.len()) " order(s) in force." }
        @for order in &holding {
            (in_force(asked, order, &if Some(order.number) == lifted { sent.problem() } else { html! {} }))
        }
        (forms(asked, &sent))
        h2 { "Before" }
        @if past.is_empty() { p .none { "None." } } @else {
            ul { @for order in past { li { (said(asked, order)) @if let Some(lifted) = &order.lifted { ". Taken back at " (time(&lifted.at.to_string())) " by " (lifted.by) ": " (printable(&lifted.why)) } } } }
        }
        (formats(asked))
    }
}

/// A form that was sent and refused.
struct Sent<'a> {
    form: Option<&'a Query>,
    refused: Option<&'a str>,
}

impl Sent<'_> {
    fn is_of(&self, what: &str) -> bool {
        self.form.is_some_and(|form| form.get("do") == Some(what))
    }

    /// What was typed into one form stays in that one.
    fn value(&self, what: &str, name: &str) -> String {
        let form = self.form.filter(|_| self.is_of(what));
        form.and_then(|form| form.get(name)).unwrap_or_default().to_owned()
    }

    fn problem(&self) -> Markup {
        html! { @if let Some(text) = self.refused { p .problem role="alert" { (text) } } }
    }
}

/// The order that was written a moment ago.
fn written<'f>(asked: &Asked, file: &'f OrdersFile) -> Option<&'f Order> {
    let number: u32 = asked.query.get("given")?.parse().ok()?;
    file.orders().iter().find(|order| order.number == number)
}

fn in_force(asked: &Asked, order: &Order, problem: &Markup) -> Markup {
    let recorded = asked.console.keeper.has_recorded(order);
    let (number, is_of_all) = (order.number.to_string(), order.directive.is_some());
    let verb = if is_exception(order) { "withdraw" } else { "unfreeze" };
    let known = (&*asked.snapshot.policy, asked.snapshot.names());
    let beside = match &order.kind {
        OrderKind::Exception(caller, entrance) => {
            beside_exception(known, (caller, *entrance), asked.now)
        }
        OrderKind::Freeze(_) | OrderKind::Drill(_) => None,
    };
    html! {
        section .change {
            p { (said(asked, order)) }
            @match &beside {
                Some(denied @ BesideException::Denied(_)) => p .problem { "It is of no use: " (denied) "." },
                Some(allowed) => p .notice { "It is not needed: " (allowed) "." },
                None => {},
            }
            p .none { (if recorded { "In the audit log." } else { "Not in the audit log yet." }) }
            @if is_of_all {
                p { "It was given to all gateways, signed; so it is taken back:" }
                (command(&format!("grantgate {verb} {} --reason TEXT --key FILE --database publisher.toml", order.directive.as_ref().map(ToString::to_string).unwrap_or_default())))
            } @else if asked.person.may_order {
                form .ask method="post" action=(link("orders", &[])) {
                    input type="hidden" name="do" value="lift";
                    input type="hidden" name="order" value=(number);
                    label { span { "Why" } input name="why" required maxlength=(WHY_BYTES_MAX) autocomplete="off"; }
                    button type="submit" { "Take back order " (number) }
                }
                (problem)
            } @else { (command(&format!("grantgate {verb} {number} --reason TEXT"))) }
        }
    }
}

fn said(asked: &Asked, order: &Order) -> String {
    in_words_with(order, asked.snapshot.names())
}

fn forms(asked: &Asked, sent: &Sent<'_>) -> Markup {
    if !asked.person.may_order {
        return html! {
            h2 { "To give one" }
            p { "You may look. An operator freezes from here, or anybody on the gateway's machine who may:" }
            (command("grantgate freeze --caller visitor-desk --reason TEXT\ngrantgate allow visitor-desk ENTRANCE --for 2h --reason TEXT"))
        };
    }
    let has_workspaces = asked.snapshot.workspaces.named().next().is_some();
    let scopes = SCOPES.into_iter().filter(|(word, ..)| *word != "workspace" || has_workspaces);
    let frozen = |name: &str| sent.value("freeze", name);
    let allowed = |name: &str| sent.value("allow", name);
    html! {
        h2 { "Freeze" }
        @if sent.is_of("freeze") { (sent.problem()) }
        form #freeze .ask method="post" action=(link("orders", &[])) {
            input type="hidden" name="do" value="freeze";
            label { span { "What" } select name="scope" { @for (word, text, _) in scopes { option value=(word) selected[frozen("scope") == word] { (text) } } } }
            label { span { "Service" } input name="caller" list="callers" value=(frozen("caller")) autocomplete="off" spellcheck="false"; }
            label { span { "Zone" } input name="zone" list="zones" value=(frozen("zone")) autocomplete="off" spellcheck="false"; }
            label { span { "Door" } input name="entrance" list="doors" value=(frozen("entrance")) autocomplete="off" spellcheck="false"; }
            @if has_workspaces { label { span { "Workspace" } input name="workspace" value=(frozen("workspace")) autocomplete="off" spellcheck="false"; } }
            label { span { "For every grant, type “everything”" } input name="typed" autocomplete="off" spellcheck="false"; }
            label { span { "For how long" } input name="for" placeholder="until it is lifted, or 2h" value=(frozen("for")) autocomplete="off"; }
            label { span { "Why" } input name="why" required maxlength=(WHY_BYTES_MAX) value=(frozen("why")) autocomplete="off"; }
            button .danger type="submit" { "Freeze" }
        }
        h2 { "Allow for a time" }
        @if sent.is_of("allow") { (sent.problem()) }
        form #allow .ask method="post" action=(link("orders", &[])) {
            input type="hidden" name="do" value="allow";
            label { span { "Service" } input name="caller" list="callers" required value=(allowed("caller")) autocomplete="off" spellcheck="false"; }
            label { span { "Door" } input name="entrance" list="doors" required value=(allowed("entrance")) autocomplete="off" spellcheck="false"; }
            label { span { "For how long" } input name="for" placeholder="2h" required value=(allowed("for")) autocomplete="off"; }
            label { span { "Why" } input name="why" required maxlength=(WHY_BYTES_MAX) value=(allowed("why")) autocomplete="off"; }
            button type="submit" { "Allow" }
        }
        p .none { "These hold on this gateway. For all gateways an order is signed, with a key that is in no browser:" }
        (command("grantgate freeze --caller visitor-desk --reason TEXT --key FILE --database publisher.toml"))
        (callers(asked)) (doors(asked))
        (suggestions("zones", asked.snapshot.policy.zones().into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_long_names_stay_two() {
        let long = "spiffe://example.org/people/of/a/department/with/a/very/long/name/";
        let [anna, ben] = ["anna", "ben"].map(|name| signed_by(&format!("{long}{name}")));
        assert_ne!(anna, ben);
        assert_eq!(anna.chars().count(), BY_CHARS_MAX);
        assert_eq!(signed_by("dns:anna.example"), "console:dns:anna.example");
    }
}
