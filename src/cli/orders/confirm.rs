//! Whether a running gateway has taken up what was ordered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::admin::ask;
use crate::cli::{Exit, note};
use crate::config::Settings;
use crate::domain::Order;
use crate::view::orders::ShownOrder;

/// Longer than a gateway that is well ever takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks.
const EVERY: Duration = Duration::from_millis(25);

/// What a gateway says of an order.
pub(super) struct Confirmation {
    address: SocketAddr,
    /// After how long it was as wanted; else why it is not.
    found: Result<Duration, String>,
}

/// Waits until this order, and no other of its number, is in force and recorded.
pub(super) fn in_force(settings: &Settings, order: &Order) -> Confirmation {
    let wanted = serde_json::to_value(ShownOrder::of(order)).unwrap_or_default();
    let is_this = |shown: &&Value| {
        let same = |key| shown.get(key) == wanted.get(key);
        ["order", "kind", "caller", "zone", "entrance_id", "by", "why", "at"].into_iter().all(same)
    };
    wait(settings, |status| {
        let order = orders(status)?.iter().find(is_this).ok_or("it is not in force")?;
        match order.get("recorded").and_then(Value::as_bool) {
            Some(true) => Ok(()),
            _ => Err("it is in force, and not recorded"),
        }
    })
}

/// Waits until the order is not in force any more.
pub(super) fn lifted(settings: &Settings, number: u32) -> Confirmation {
    let is_this = |shown: &&Value| shown.get("order") == Some(&number.into());
    wait(settings, |status| match orders(status)?.iter().find(is_this) {
        Some(_) => Err("it is still in force"),
        None if status.get("orders_failure") != Some(&Value::Null) => {
            Err("it goes by another file")
        }
        None => Ok(()),
    })
}

fn orders(status: &Value) -> Result<&Vec<Value>, &'static str> {
    status.get("orders").and_then(Value::as_array).ok_or("what answers there is no gateway")
}

fn wait(settings: &Settings, is_so: impl Fn(&Value) -> Result<(), &'static str>) -> Confirmation {
    let (address, since) = (settings.admin.address, Instant::now());
    loop {
        let why = match status(address) {
            Err(error) => Err(format!("no gateway answers there: {error}")),
            Ok(status) => is_so(&status).map_err(|why| {
                let failure = status.get("orders_failure").and_then(Value::as_str);
                failure.map_or_else(|| why.to_owned(), |failure| format!("{why}: {failure}"))
            }),
        };
        match why {
            Ok(()) => return Confirmation { address, found: Ok(since.elapsed()) },
            Err(why) if since.elapsed() >= PATIENCE || why.starts_with("no gateway") => {
                return Confirmation { address, found: Err(why) };
            }
            Err(_) => std::thread::park_timeout(EVERY),
        }
    }
}

fn status(address: SocketAddr) -> Result<Value, String> {
    let (_, body) = ask(address, "/status").map_err(|error| error.to_string())?;
    serde_json::from_str(&body).map_err(|error| error.to_string())
}

impl Confirmation {
    /// After how long it was as wanted.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.found.as_ref().ok().map(Duration::as_secs_f64)
    }

    /// Tells it.
    pub(super) fn tell(&self) -> Exit {
        let address = self.address;
        match &self.found {
            Ok(after) => {
                let after = after.as_secs_f64();
                note(format_args!("so says the gateway at {address}, after {after:.2} s"));
                Exit::Done
            }
            Err(why) => {
                note(format_args!(
                    "WARNING: the order is written, and the gateway at {address} does not confirm \
                     it: {why}"
                ));
                Exit::Different
            }
        }
    }
}
