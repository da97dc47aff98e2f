//! Keys that are fetched: what is held of an issuer between one fetch and the next.
//!
//! A request reads what is there and waits for nobody. A token that names a key which is not
//! there asks for a fetch, at most one in [`ASK_AGAIN`] however many such tokens come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::key_set::KeySet;

/// Between two fetches that tokens ask for.
pub const ASK_AGAIN: Duration = Duration::from_secs(30);

/// The keys of one issuer, as they were fetched last.
pub struct FetchedKeys {
    held: ArcSwapOption<Held>,
    stale_max: Duration,
    asked: Mutex<Option<Instant>>,
    wanted: Notify,
    is_wanted: AtomicBool,
    /// Whether a fetch is wanted or on its way.
    busy: watch::Sender<bool>,
}

/// What one fetch gave.
pub struct Held {
    /// The keys.
    pub keys: Arc<KeySet>,
    /// When they were fetched.
    pub fetched: Timestamp,
    until: Instant,
}

impl FetchedKeys {
    /// None yet. What is fetched serves for `stale_max`.
    #[must_use]
    pub fn new(stale_max: Duration) -> Self {
        Self {
            held: ArcSwapOption::empty(),
            stale_max,
            asked: Mutex::new(None),
            wanted: Notify::new(),
            is_wanted: AtomicBool::new(false),
            busy: watch::Sender::new(true),
        }
    }

    /// The keys that may be used now.
    pub(super) fn usable(&self) -> Option<Arc<KeySet>> {
        let held = self.held.load();
        held.as_ref().filter(|held| Instant::now() < held.until).map(|held| held.keys.clone())
    }

    /// What was fetched last, also when it is too old to be used.
    #[must_use]
    pub fn last(&self) -> Option<Arc<Held>> {
        self.held.load_full()
    }

    /// A token names a key that is not there: fetch, unless that was asked for lately.
    pub(super) fn ask(&self) {
        let now = Instant::now();
        let mut asked = self.asked.lock();
        if asked.is_some_and(|asked| now.duration_since(asked) < ASK_AGAIN) {
            return;
        }
        *asked = Some(now);
        drop(asked);
        self.busy.send_replace(true);
        self.is_wanted.store(true, Ordering::Release);
        self.wanted.notify_one();
    }

    /// Whether a fetch is wanted or on its way.
    pub(super) fn is_busy(&self) -> bool {
        *self.busy.borrow()
    }

    /// Waits until none is.
    pub async fn settled(&self) {
        let mut busy = self.busy.subscribe();
        let _ = busy.wait_for(|busy| !busy).await;
    }

    /// For the one who fetches: waits until a token asks for it.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// A fetch begins.
    pub fn begin(&self) {
        self.is_wanted.store(false, Ordering::Release);
        self.busy.send_replace(true);
    }

    /// It has ended; with keys, if it succeeded.
    pub fn end(&self, keys: Option<Arc<KeySet>>, now: Timestamp) {
        if let Some(keys) = keys {
            let until = Instant::now() + self.stale_max;
            self.held.store(Some(Arc::new(Held { keys, fetched: now, until })));
        }
        if !self.is_wanted.load(Ordering::Acquire) {
            self.busy.send_replace(false);
        }
    }

    /// Whether what is held may be used.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.usable().is_some()
    }
}
