//! A log in memory whose failures and delays a test can steer.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Stage, Store, StoreError};
use crate::audit::journal::error::OpenError;
use crate::audit::journal::recovery::Recovered;
use crate::audit::tree::note::VerifierKey;

/// A log in memory. Clones share it, so that a test can look at what a journal wrote.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    shared: Arc<(Mutex<Contents>, Condvar)>,
}

#[derive(Debug, Default)]
struct Contents {
    durable: Vec<u8>,
    pending: Vec<u8>,
    /// Where the segment begins.
    begun_at: usize,
    syncs: u64,
    held: bool,
    broken: bool,
    fail: Option<(Stage, u32)>,
}

/// Holds syncs back until it is dropped.
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

    /// How many syncs have succeeded.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Holds every sync back until the gate is dropped.
    #[must_use]
    pub fn hold(&self) -> Gate {
        self.lock().held = true;
        Gate(self.clone())
    }

    /// Lets the next `times` calls of `stage` fail. A failed sync breaks the store.
    pub fn fail(&self, stage: Stage, times: u32) {
        self.lock().fail = Some((stage, times));
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
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
    fn recover(&mut self, _: Option<&VerifierKey>) -> Result<Recovered, OpenError> {
        Ok(Recovered::default())
    }

    fn begin(&mut self, _: u64, _: u64) -> Result<(), StoreError> {
        let mut contents = self.lock();
        contents.check(Stage::Begin)?;
        contents.begun_at = contents.durable.len();
        Ok(())
    }

    fn length(&self) -> u64 {
        let contents = self.lock();
        (contents.durable.len() + contents.pending.len() - contents.begun_at) as u64
    }

    fn reserve(&mut self, _: u64) -> Result<(), StoreError> {
        self.lock().check(Stage::Reserve)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let mut contents = self.lock();
        contents.check(Stage::Append)?;
        contents.pending.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let mut contents = self.lock();
        while contents.held {
            contents = self.shared.1.wait(contents).unwrap_or_else(PoisonError::into_inner);
        }
        contents.check(Stage::Sync)?;
        let pending = std::mem::take(&mut contents.pending);
        contents.durable.extend_from_slice(&pending);
        contents.syncs += 1;
        Ok(())
    }
}
