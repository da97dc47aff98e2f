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

/// What was recorded, and the file of orders as it was then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Of orders up to this number, that they were given.
    given: u32,
    /// Of these, that they ended.
    ended: BTreeSet<u32>,
    /// The file that was taken last: what comes after must follow from it.
    file: OrdersFile,
}

/// As it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    given: u32,
    ended: BTreeSet<u32>,
    /// The text of the file.
    file: String,
}

impl Told {
    /// What an earlier process recorded.
    pub(super) fn load(directory: &Path) -> Result<Self, Problem> {
        let path = place(directory);
        let name = path.display().to_string();
        if matches!(path.try_exists(), Ok(false)) {
            return Ok(Self::default());
        }
        let bytes = read_plain(&path)?;
        let refuse = |text: String| {
            let text = format!(
                "does not say which orders are recorded: {text}; bring it back from a backup, or \
                 remove it, and those in `orders.file` are recorded once more"
            );
            Problem::of_file(&*name, text)
        };
        let stored: Stored =
            serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        let Stored { given, ended, file } = stored;
        let file = OrdersFile::parse(&name, file.as_bytes()).map_err(|p| refuse(p.text))?;
        Ok(Self { given, ended, file })
    }

    /// Makes it durable.
    pub(super) fn save(&self, directory: &Path) -> io::Result<()> {
        let place = place(directory);
        let Self { given, ended, file } = self.clone();
        let stored = Stored { given, ended, file: file.text() };
        let bytes = serde_json::to_vec(&stored).unwrap_or_default();
        install(&place.with_extension("new"), &place, |file| file.write_all(&bytes))
    }

    /// The file of orders as it was taken last.
    pub(super) fn file(&self) -> &OrdersFile {
        &self.file
    }

    /// The same.
    pub(super) fn into_file(self) -> OrdersFile {
        self.file
    }

    /// Takes a file that follows from the one before.
    pub(super) fn take(&mut self, file: OrdersFile) {
        let first = file.orders().first().map_or(u32::MAX, |order| order.number);
        self.ended.retain(|number| *number >= first);
        self.file = file;
    }

    /// Whether it is recorded that this order was given.
    pub(super) fn knows(&self, number: u32) -> bool {
        number <= self.given
    }

    /// Whether it is recorded that this order ended.
    pub(super) fn has_ended(&self, number: u32) -> bool {
        self.ended.contains(&number)
    }

    /// What is to be recorded, in this order.
    pub(super) fn missing(&self, now: Timestamp) -> Vec<OrderEntry<'_>> {
        let mut missing = Vec::new();
        for order in self.file.orders() {
            let mut tell = |change| missing.push(OrderEntry { order, change });
            if !self.knows(order.number) {
                tell(OrderChange::Given);
            }
            if !self.has_ended(order.number) {
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
}

pub(super) fn place(directory: &Path) -> PathBuf {
    directory.join(NAME)
}
