//! What of the orders the audit log has been told, from one process to the next.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::OrdersFile;
use crate::audit::{OrderChange, OrderEntry};
use crate::domain::{Order, Problem};
use crate::files::{install, read_plain};

/// Beside the log's segments.
const NAME: &str = "orders-recorded.json";

/// What was recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    /// Of orders up to this number, that they were given.
    given: u32,
    /// Of these, that they ended.
    ended: BTreeSet<u32>,
}

impl Told {
    /// What an earlier process recorded.
    pub(super) fn load(directory: &Path) -> Result<Self, Problem> {
        let path = place(directory);
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes = read_plain(&path)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let text = format!(
                "does not say which orders are recorded: {error}; remove it, and those in \
                 `orders.file` are recorded once more"
            );
            Problem::of_file(path.display().to_string(), text)
        })
    }

    /// Makes it durable.
    pub(super) fn save(&self, directory: &Path) -> io::Result<()> {
        let place = place(directory);
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        install(&place.with_extension("new"), &place, |file| file.write_all(&bytes))
    }

    /// Whether it is recorded that this order was given.
    pub(super) fn knows(&self, number: u32) -> bool {
        number <= self.given
    }

    /// What is to be recorded, in this order.
    pub(super) fn missing<'f>(&self, file: &'f OrdersFile, now: Timestamp) -> Vec<OrderEntry<'f>> {
        let mut missing = Vec::new();
        for order in file.orders() {
            let mut tell = |change| missing.push(OrderEntry { order, change });
            if !self.knows(order.number) {
                tell(OrderChange::Given);
            }
            if !self.ended.contains(&order.number) {
                match &order.lifted {
                    Some(lifted) => tell(OrderChange::Lifted(lifted)),
                    None if order.is_over(now) => tell(OrderChange::Expired),
                    None => {}
                }
            }
        }
        missing
    }

    /// One of these was recorded.
    pub(super) fn note(&mut self, entry: &OrderEntry<'_>) {
        let Order { number, .. } = *entry.order;
        match entry.change {
            OrderChange::Given => self.given = self.given.max(number),
            OrderChange::Lifted(_) | OrderChange::Expired => {
                self.ended.insert(number);
            }
        }
    }

    /// Of orders that the file has no more nothing need be known.
    pub(super) fn forget(&mut self, file: &OrdersFile) {
        let first = file.orders().first().map_or(u32::MAX, |order| order.number);
        self.ended.retain(|number| *number >= first);
    }
}

pub(super) fn place(directory: &Path) -> PathBuf {
    directory.join(NAME)
}
