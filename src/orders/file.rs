//! The file of orders: JSON that commands write, read whole or not at all.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::{
    CallerId, DirectiveId, EntranceId, Order, OrderKind, Problem, Scope, Signature, WorkspaceName,
    rfc3339, rfc3339_micros,
};
use crate::files::read_plain;

/// The version of the file that is written; and of one that has orders of all gateways, which
/// programs of before do not know.
const VERSION: u32 = 1;
const VERSION_DIRECTED: u32 = 2;

/// More orders than any file has.
pub(super) const ORDERS_MAX: usize = 10_000;

/// The longest name of who gave an order, in characters.
pub const BY_CHARS_MAX: usize = 64;

/// The longest reason, in bytes.
pub const WHY_BYTES_MAX: usize = 500;

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrdersFile {
    /// What tells it from every other such file, from its first order on.
    pub(super) id: String,
    /// The number of the next order.
    pub(super) next: u32,
    /// By number.
    pub(super) orders: Vec<Order>,
}

impl Default for OrdersFile {
    fn default() -> Self {
        Self { id: String::new(), next: 1, orders: Vec::new() }
    }
}

/// Reads the file; one that is not there holds no order.
///
/// # Errors
/// What is wrong with it, and where.
pub fn load(path: &Path) -> Result<OrdersFile, Problem> {
    let name = path.display().to_string();
    if !path.exists() {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        return match parent.is_none_or(Path::is_dir) && !path.is_symlink() {
            true => Ok(OrdersFile::default()),
            false => Err(Problem::of_file(
                name,
                "there is no such directory: orders could not be given; make it, or name another \
                 file in `orders.file`",
            )),
        };
    }
    OrdersFile::parse(&name, &read_plain(path)?)
}

impl OrdersFile {
    /// Every order, also those that hold no more.
    #[must_use]
    pub fn orders(&self) -> &[Order] {
        &self.orders
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// The first mistake, and where it is.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Problem> {
        let text = Problem::or_text(file, bytes)?;
        let document: Document = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            // It ends with its place, which stands before it here.
            let said = error.to_string();
            let what = said.split(" at line ").next().unwrap_or_default();
            let text = format!(
                "is no file of orders: {what}; bring it back from `orders-recorded.json` in the \
                 audit directory or from a backup; to stop every grant now, stop the gateway"
            );
            Problem {
                file: file.to_owned(),
                line: u32::try_from(line).ok(),
                column: u32::try_from(column).ok(),
                text,
            }
        })?;
        let refuse = |text: String| Problem::of_file(file, text);
        if ![VERSION, VERSION_DIRECTED].contains(&document.version) {
            let text = format!(
                "has version {}; this program knows {VERSION} and {VERSION_DIRECTED}",
                document.version
            );
            return Err(refuse(text));
        }
        if document.orders.len() > ORDERS_MAX {
            return Err(refuse(format!("has more than {ORDERS_MAX} orders")));
        }
        let mut orders: Vec<Order> = Vec::new();
        for entry in document.orders {
            let number = entry.number;
            let last = orders.last().map_or(0, |order| order.number);
            let order =
                entry.order().and_then(|order| match (last + 1..document.next).contains(&number) {
                    true => Ok(order),
                    false => Err("numbers must grow, and be less than `next`".into()),
                });
            orders.push(order.map_err(|text| refuse(format!("order {number}: {text}")))?);
        }
        Ok(Self { id: document.id, next: document.next, orders })
    }

    /// Its orders, of which no exception lasts longer than the settings say now.
    pub fn within(&self, exception_max: SignedDuration) -> impl Iterator<Item = Order> {
        self.orders.iter().cloned().map(move |order| match order.kind {
            OrderKind::Freeze(_) | OrderKind::Drill(_) => order,
            OrderKind::Exception(..) => {
                let last = order.given.at.checked_add(exception_max).unwrap_or(Timestamp::MAX);
                let until = order.until.map_or(last, |until| until.min(last));
                Order { until: Some(until), ..order }
            }
        })
    }

    /// Whether this is what became of `before` by orders that were given and lifted. Anything else
    /// would take an order away, or change one, without a record of it.
    pub(super) fn follows(&self, before: &Self, now: Timestamp) -> Result<(), String> {
        if before.next == 1 {
            return Ok(());
        }
        if self.id != before.id {
            return Err(
                "is not the file whose orders are recorded: it was removed, or another one \
                        took its place"
                    .into(),
            );
        }
        if self.next < before.next {
            return Err("is older than what is recorded: it has fewer orders".into());
        }
        for old in &before.orders {
            let number = old.number;
            match self.orders.iter().find(|order| order.number == number) {
                None if old.holds(now) => return Err(format!("has order {number} no more")),
                None => {}
                Some(new) => {
                    let lifted = old.lifted.clone().or_else(|| new.lifted.clone());
                    if *new != (Order { lifted, ..old.clone() }) {
                        return Err(format!("has another order {number} than the one recorded"));
                    }
                }
            }
        }
        let is_known = |order: &&Order| before.orders.iter().any(|o| o.number == order.number);
        let mut strange = self.orders.iter().filter(|order| order.number < before.next);
        match strange.find(|order| !is_known(order)) {
            Some(order) => Err(format!("has an order {} that was never given", order.number)),
            None => Ok(()),
        }
    }

    /// Whether what is written is read as the same: a file that cannot be read would keep every
    /// order back.
    pub(super) fn is_readable(&self) -> Result<(), String> {
        let micros = |time: Timestamp| time.as_microsecond();
        let read =
            Self::parse("the file", self.text().as_bytes()).map_err(|problem| problem.text)?;
        let same = self.orders.iter().zip(&read.orders).all(|(own, read)| {
            own.number == read.number && micros(own.given.at) == micros(read.given.at)
        });
        match same && self.orders.len() == read.orders.len() && self.next == read.next {
            true => Ok(()),
            false => Err("it could not be read again as it is written".into()),
        }
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let orders = self.orders.iter().map(Entry::of).collect();
        let is_directed = self.orders.iter().any(|order| order.directive.is_some());
        let version = if is_directed { VERSION_DIRECTED } else { VERSION };
        let document = Document { version, id: self.id.clone(), next: self.next, orders };
        // Strings, numbers and lists always encode.
        serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    id: String,
    next: u32,
    orders: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    number: u32,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workspace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entrance_id: Option<String>,
    given: Signed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifted: Option<Signed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    directive: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    at: String,
    by: String,
    why: String,
}

impl Entry {
    fn of(order: &Order) -> Self {
        Self {
            number: order.number,
            kind: order.kind.as_str().to_owned(),
            caller: order.kind.caller().map(ToString::to_string),
            zone: order.kind.zone().map(str::to_owned),
            workspace: order.kind.workspace().map(ToString::to_string),
            entrance_id: order.kind.entrance().map(|id| id.to_string()),
            given: Signed::of(&order.given),
            until: order.until.map(rfc3339_micros),
            lifted: order.lifted.as_ref().map(Signed::of),
            directive: order.directive.as_ref().map(ToString::to_string),
        }
    }

    fn order(self) -> Result<Order, String> {
        let caller =
            self.caller.map(|id| CallerId::parse(&id).map_err(|e| format!("`caller` {e}")));
        let entrance = self.entrance_id.map(|id| EntranceId::parse(&id));
        let entrance = entrance.map(|id| id.map_err(|error| format!("`entrance_id` {error}")));
        let workspace = self.workspace.map(|name| WorkspaceName::parse(&name));
        let workspace = workspace.map(|name| name.map_err(|error| format!("`workspace` {error}")));
        let about = (caller.transpose()?, self.zone, workspace.transpose()?, entrance.transpose()?);
        let kind = match self.kind.as_str() {
            "freeze" => OrderKind::Freeze(scope(about)?),
            "drill" => OrderKind::Drill(scope(about)?),
            "exception" => match about {
                (Some(caller), None, None, Some(entrance)) => {
                    OrderKind::Exception(caller, entrance)
                }
                _ => return Err("an exception is about one caller and one entrance".into()),
            },
            other => return Err(format!("there is no order of kind `{other}`")),
        };
        let (given, lifted) = (self.given.signature("given")?, self.lifted);
        let lifted = lifted.map(|lifted| lifted.signature("lifted")).transpose()?;
        let until = self.until.map(|text| rfc3339(&text).map_err(|e| format!("`until` {e}")));
        let until = until.transpose()?;
        check_time(&kind, given.at, until)?;
        let directive = self.directive.map(|id| {
            DirectiveId::parse(&id).ok_or("`directive` must be 32 hexadecimal digits".to_owned())
        });
        let directive = directive.transpose()?;
        Ok(Order { number: self.number, kind, given, until, lifted, directive })
    }
}

/// The caller, zone, workspace and entrance that an order names.
type About = (Option<CallerId>, Option<String>, Option<WorkspaceName>, Option<EntranceId>);

fn scope(about: About) -> Result<Scope, String> {
    match about {
        (None, None, None, None) => Ok(Scope::Everything),
        (Some(caller), None, None, None) => Ok(Scope::Caller(caller)),
        (None, Some(zone), None, None) if zone.starts_with("zone:") => Ok(Scope::Zone(zone)),
        (None, Some(_), None, None) => Err("`zone` must begin with `zone:`".to_owned()),
        (None, None, Some(workspace), None) => Ok(Scope::Workspace(workspace)),
        (None, None, None, Some(entrance)) => Ok(Scope::Entrance(entrance)),
        _ => Err("is about one caller, zone, workspace or entrance, or everything".to_owned()),
    }
}

/// An order ends after it begins, and an exception does end.
pub(super) fn check_time(
    kind: &OrderKind,
    given: Timestamp,
    until: Option<Timestamp>,
) -> Result<(), String> {
    if until.is_some_and(|until| until <= given) {
        return Err("ends before it begins".into());
    }
    match (kind, until) {
        (OrderKind::Exception(..), None) => Err("an exception must have an end".into()),
        _ => Ok(()),
    }
}

/// What a person typed, to be shown in logs and tables.
pub(super) fn check_signature(signature: &Signature) -> Result<(), String> {
    let has_control = |text: &str| text.chars().any(char::is_control);
    if signature.by.is_empty()
        || signature.by.chars().count() > BY_CHARS_MAX
        || has_control(&signature.by)
    {
        return Err(format!("`by` must be a name of 1 to {BY_CHARS_MAX} characters"));
    }
    if signature.why.trim().is_empty() {
        return Err("a reason is needed: the audit log keeps it".into());
    }
    if signature.why.len() > WHY_BYTES_MAX || has_control(&signature.why) {
        return Err(format!("the reason must be one line of at most {WHY_BYTES_MAX} bytes"));
    }
    Ok(())
}

impl Signed {
    fn of(signature: &Signature) -> Self {
        let Signature { at, by, why } = signature;
        Self { at: rfc3339_micros(*at), by: by.clone(), why: why.clone() }
    }

    fn signature(self, what: &str) -> Result<Signature, String> {
        let at = rfc3339(&self.at).map_err(|error| format!("`{what}.at` {error}"))?;
        let signature = Signature { at, by: self.by, why: self.why };
        check_signature(&signature).map_err(|error| format!("`{what}`: {error}"))?;
        Ok(signature)
    }
}
