//! A log in memory whose failures and delays a test can steer.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Batch, Stage, Store, StoreError};
use crate::audit::journal::error::OpenError;
use crate::audit::journal::recovery::{Recovered, recover_bytes};
use crate::note::VerifierKey;

/// A log in memory. Clones share it, so that a test can look at what a journal wrote.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    shared: Arc<(Mutex<Contents>, Condvar)>,
}

#[derive(Debug, Default)]
struct Contents {
    durable: Vec<u8>,
    pending: Vec<u8>,
    /// The first sequence number of each segment, and where it begins.
    segments: Vec<(u64, usize)>,
    /// Whether this process has begun one.
    begun: bool,
    commits: u64,
    held: bool,
    broken: bool,
    fail: Option<(Stage, u32)>,
}

/// Holds commits back until it is dropped.
#[derive(Debug)]
pub struct Gate(MemoryStore);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.lock().held = false;
        self.0.shared.1.notify_all();
    }
}

impl MemoryStore {
    /// Everything that is durable.
    #[must_use]
    pub fn durable(&self) -> String {
        String::from_utf8_lossy(&self.lock().durable).into_owned()
    }

    /// The first sequence number of each segment.
    #[must_use]
    pub fn segments(&self) -> Vec<u64> {
        self.lock().segments.iter().map(|(first_seq, _)| *first_seq).collect()
    }

    /// How many commits have succeeded.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// Holds every commit back until the gate is dropped.
    #[must_use]
    pub fn hold(&self) -> Gate {
        self.lock().held = true;
        Gate(self.clone())
    }

    /// Lets the next `times` calls of `stage` fail. A failed sync breaks the store.
    pub fn fail(&self, stage: Stage, times: u32) {
        self.lock().fail = Some((stage, times));
    }

    /// What is appended and not durable.
    #[cfg(test)]
    pub(super) fn pending(&self) -> String {
        String::from_utf8_lossy(&self.lock().pending).into_owned()
    }

    /// Adds what no writer wrote.
    #[cfg(test)]
    pub(super) fn leave(&self, bytes: &[u8]) {
        self.lock().durable.extend_from_slice(bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    /// Of what needs a segment.
    fn check_segment(&mut self, stage: Stage) -> Result<(), StoreError> {
        if self.begun { self.check(stage) } else { Err(StoreError::no_segment(stage)) }
    }

    fn check_unbroken(&self, stage: Stage) -> Result<(), StoreError> {
        if self.broken { Err(StoreError::not_trusted(stage, "it")) } else { Ok(()) }
    }

    fn check(&mut self, stage: Stage) -> Result<(), StoreError> {
        let failure =
            |broken| Err(StoreError { stage, error: io::Error::other("told to fail"), broken });
        if self.broken {
            return failure(true);
        }
        match &mut self.fail {
            Some((failing, times)) if *failing == stage && *times > 0 => {
                *times -= 1;
                self.broken = matches!(stage, Stage::Sync | Stage::Truncate);
                failure(self.broken)
            }
            _ => Ok(()),
        }
    }
}

impl Store for MemoryStore {
    fn recover(&mut self, key: Option<&VerifierKey>) -> Result<Recovered, OpenError> {
        let mut contents = self.lock();
        let (recovered, length) = recover_bytes(contents.durable.clone(), key)?;
        contents.durable.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        // Of another process, which has ended.
        contents.pending.clear();
        (contents.begun, contents.broken) = (false, false);
        Ok(recovered)
    }

    fn begin(&mut self, first_seq: u64, _: u64) -> Result<(), StoreError> {
        let mut contents = self.lock();
        contents.check(Stage::Begin)?;
        let at = contents.durable.len();
        contents.segments.push((first_seq, at));
        contents.begun = true;
        Ok(())
    }

    fn length(&self) -> u64 {
        let contents = self.lock();
        let begun_at = contents.segments.last().filter(|_| contents.begun).map(|(_, at)| *at);
        begun_at.map_or(0, |at| (contents.durable.len() + contents.pending.len() - at) as u64)
    }

    fn reserve(&mut self, _: u64) -> Result<(), StoreError> {
        self.lock().check_segment(Stage::Reserve)
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let mut contents = self.lock();
        contents.check_segment(Stage::Append)?;
        // One that fails, and cannot be undone.
        contents.check(Stage::Truncate)?;
        contents.pending.extend_from_slice(batch.lines);
        while contents.held {
            contents = self.shared.1.wait(contents).unwrap_or_else(PoisonError::into_inner);
        }
        contents.check(Stage::Sync)?;
        let pending = std::mem::take(&mut contents.pending);
        contents.durable.extend_from_slice(&pending);
        contents.commits += 1;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        self.lock().check_unbroken(Stage::Append)
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn upkeep(&mut self) -> Result<(), StoreError> {
        self.lock().check_unbroken(Stage::Sync)
    }

    fn close(&mut self, _: &Batch<'_>) -> Result<(), StoreError> {
        self.lock().check_unbroken(Stage::Sync)
    }
}
