//! How many gateways share what they have in common.

use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::database::{Link, Log};
use crate::files::{install, read_plain};
use crate::telemetry::LeaseMetrics;

/// Beside the log's segments: how many there were.
const NAME: &str = "gateways";

/// How often the database is asked.
const EVERY: Duration = Duration::from_secs(2);

/// A database that says more than this is not believed: shares would be nothing.
const MOST: u32 = 1_000;

/// How many gateways there are, as far as is known.
#[derive(Debug)]
pub struct Gateways(AtomicU32);

/// One alone.
impl Default for Gateways {
    fn default() -> Self {
        Self(AtomicU32::new(1))
    }
}

impl Gateways {
    /// As many as there were when this was kept in the directory of the log; else one.
    #[must_use]
    pub fn kept_in(directory: &Path) -> Arc<Self> {
        let bytes = read_plain(&directory.join(NAME)).unwrap_or_default();
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let count = text.trim_end().parse::<NonZeroU32>().map_or(1, NonZeroU32::get);
        Arc::new(Self(AtomicU32::new(count.min(MOST))))
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// False where it was so before.
    pub(crate) fn told(&self, count: u32) -> bool {
        self.0.swap(count, Ordering::Relaxed) != count
    }
}

/// Asks the database how many there are.
pub struct Counting {
    /// The connection to it.
    pub link: Arc<Link>,
    /// As whom it is asked.
    pub log: Arc<Log>,
    /// What is known.
    pub gateways: Arc<Gateways>,
    /// Where it is kept over a start that finds no database: the directory of the log.
    pub directory: PathBuf,
    /// Shows it.
    pub metrics: LeaseMetrics,
}

impl Counting {
    /// Asks without end. What is known stays while there is no answer: those that are cut off do not
    /// share among fewer.
    pub async fn run(self) {
        self.metrics.gateways.set(self.gateways.count().into());
        loop {
            match self.link.gateways(&self.log).await {
                Ok(count) => self.told(count.clamp(1, MOST)).await,
                Err(error) => tracing::debug!(%error, "how many gateways there are is not known"),
            }
            self.metrics.gateways.set(self.gateways.count().into());
            sleep(EVERY).await;
        }
    }

    async fn told(&self, count: u32) {
        if !self.gateways.told(count) {
            return;
        }
        tracing::info!(count, "so many gateways share the limits of callers");
        let place = self.directory.join(NAME);
        let kept = spawn_blocking(move || {
            let text = format!("{count}\n");
            install(&place.with_extension("new"), &place, |file| file.write_all(text.as_bytes()))
        });
        if let Ok(Err(error)) = kept.await {
            tracing::warn!(%error, "how many gateways there are is not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_a_number_that_makes_sense() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Gateways::kept_in(directory.path()).count(), 1);
        for (text, count) in [("3\n", 3), ("0\n", 1), ("", 1), ("many", 1), ("99999", MOST)] {
            std::fs::write(directory.path().join(NAME), text).unwrap();
            assert_eq!(Gateways::kept_in(directory.path()).count(), count, "{text:?}");
        }
    }
}
