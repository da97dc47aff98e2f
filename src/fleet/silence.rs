//! A database that has given no answer is left alone for a moment, so that not each grant waits for it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Nobody asks for so long.
const LASTS: Duration = Duration::from_secs(1);

/// Since when it is silent, where it is.
#[derive(Default)]
pub(super) struct Silence(Mutex<Option<Instant>>);

impl Silence {
    pub(super) fn lasts(&self) -> bool {
        self.0.lock().is_some_and(|since| since.elapsed() < LASTS)
    }

    pub(super) fn begins(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    pub(super) fn ends(&self) {
        *self.0.lock() = None;
    }
}
