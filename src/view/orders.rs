//! Orders: freezes and exceptions.

use serde::Serialize;

use crate::catalogue::Catalogue;
use crate::domain::{Order, OrderKind, Scope, Signature, printable};

/// An order.
#[derive(Debug, Serialize)]
pub struct ShownOrder {
    order: u32,
    kind: &'static str,
    caller: Option<String>,
    zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<String>,
    entrance_id: Option<String>,
    by: String,
    why: String,
    at: String,
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directive: Option<String>,
}

/// An order of a list that has those of before, too.
#[derive(Debug, Serialize)]
pub struct ListedOrder {
    #[serde(flatten)]
    order: ShownOrder,
    in_force: bool,
    lifted: Option<Lifted>,
}

#[derive(Debug, Serialize)]
struct Lifted {
    by: String,
    why: String,
    at: String,
}

impl ShownOrder {
    /// As it is shown.
    #[must_use]
    pub fn of(order: &Order) -> Self {
        let (kind, given) = (&order.kind, &order.given);
        Self {
            order: order.number,
            kind: kind.as_str(),
            caller: kind.caller().map(ToString::to_string),
            zone: kind.zone().map(str::to_owned),
            workspace: kind.workspace().map(ToString::to_string),
            entrance_id: kind.entrance().map(|id| id.to_string()),
            by: given.by.clone(),
            why: given.why.clone(),
            at: given.at.to_string(),
            until: order.until.map(|until| until.to_string()),
            directive: order.directive.as_ref().map(ToString::to_string),
        }
    }
}

impl ListedOrder {
    /// As it is at a time.
    #[must_use]
    pub fn of(order: &Order, at: jiff::Timestamp) -> Self {
        let lifted = order.lifted.as_ref().map(|Signature { at, by, why }| Lifted {
            by: by.clone(),
            why: why.clone(),
            at: at.to_string(),
        });
        Self { order: ShownOrder::of(order), in_force: order.holds(at), lifted }
    }
}

/// An order in one line, for people.
#[must_use]
pub fn in_words(order: &Order) -> String {
    in_words_with(order, &Catalogue::default())
}

/// The same, with what people call the entrance.
#[must_use]
pub fn in_words_with(order: &Order, names: &Catalogue) -> String {
    let Order { number, kind, given, until, directive, .. } = order;
    let name = kind.entrance().and_then(|id| names.name_of(id));
    let name = name.map_or_else(String::new, |name| format!(" ({name})"));
    let what = match kind {
        OrderKind::Freeze(scope) => frozen(scope, &name),
        OrderKind::Drill(_) => "a drill of a freeze, which stops nobody".to_owned(),
        OrderKind::Exception(caller, entrance) => {
            format!("{caller} may grant {entrance}{name} where no rule denies it")
        }
    };
    let until = until.map_or_else(String::new, |until| format!(" until {until:.0}"));
    let all = directive.as_ref();
    let all = all.map_or_else(String::new, |id| format!(" (of all gateways: {id})"));
    let (by, at, why) = (&given.by, given.at, &given.why);
    printable(&format!("order {number}{all}: {what}{until}, by {by} at {at:.0}: {why}"))
}

fn frozen(scope: &Scope, name: &str) -> String {
    match scope {
        Scope::Everything => "every grant is frozen".to_owned(),
        Scope::Caller(caller) => format!("every grant by {caller} is frozen"),
        Scope::Zone(zone) => format!("every grant for {zone} is frozen"),
        Scope::Workspace(name) => format!("every grant in workspace {name} is frozen"),
        Scope::Entrance(entrance) => format!("every grant for entrance {entrance}{name} is frozen"),
    }
}
