//! The segment that is written: a file that grows by whole lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::{Stage, StoreError};
use crate::files::{names_and_length, sync_directory};

#[derive(Debug)]
pub(super) struct Segment {
    /// Shared with the thread that syncs: another descriptor might not be had.
    pub(super) file: Arc<File>,
    /// What is known to be whole lines, in bytes.
    pub(super) length: u64,
    /// Up to here the disk has room for it, in bytes from the start.
    reserved: u64,
    pub(super) broken: bool,
}

/// Room is taken in steps, so that few batches need a system call for it, in bytes.
const RESERVE_STEP: u64 = 256 * 1024;

impl Segment {
    /// Makes the file, or leaves none.
    pub(super) fn begin(directory: &Path, path: &Path, room: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        // A segment of this name can only be an empty one: of a process that died right
        // here before.
        options.create(true).append(true).mode(0o600);
        let file = options.open(path)?;
        if file.metadata()?.len() != 0 {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the segment exists"));
        }
        let mut segment = Self { file: Arc::new(file), length: 0, reserved: 0, broken: false };
        let begun = segment.reserve(room).map_err(io::Error::from);
        // If the process dies here the segment may be missing or empty: no record was
        // acknowledged yet.
        begun
            .and_then(|()| segment.file.sync_all())
            .and_then(|()| sync_directory(directory))
            .inspect_err(|_| {
                let _ = std::fs::remove_file(path);
            })?;
        Ok(segment)
    }

    /// Takes room for so many bytes behind what is there.
    pub(super) fn reserve_more(&mut self, bytes: u64) -> Result<(), StoreError> {
        let to = self.length.saturating_add(bytes);
        if to <= self.reserved {
            return Ok(());
        }
        // On a disk that is nearly full, what is needed will do.
        let took = self.reserve(to.saturating_add(RESERVE_STEP)).or_else(|_| self.reserve(to));
        took.map_err(|errno| StoreError::passing(Stage::Reserve, errno.into()))
    }

    /// The blocks are taken, the length stays: whoever reads along sees no filler.
    fn reserve(&mut self, to: u64) -> Result<(), Errno> {
        let missing = to.saturating_sub(self.reserved);
        if missing == 0 {
            return Ok(());
        }
        let took = rustix::io::retry_on_intr(|| {
            fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.reserved, missing)
        });
        match took {
            Ok(()) => self.reserved = to,
            // This file system cannot promise room.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.reserved = u64::MAX,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// All bytes or none.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        // If the process dies in here a part of the bytes may be there: recovery cuts
        // a torn line, and whole lines are records that nobody was told of, or that the
        // write-ahead log has too.
        let Err(error) = (&*self.file).write_all(bytes) else {
            self.length += bytes.len() as u64;
            return Ok(());
        };
        if let Err(error) = self.file.set_len(self.length) {
            self.broken = true;
            return Err(StoreError { stage: Stage::Truncate, error, broken: true });
        }
        // The room behind it went too: taken again before others take it.
        let promised = self.reserved;
        if promised != u64::MAX {
            self.reserved = promised.min(self.length);
            let _ = self.reserve(promised);
        }
        Err(StoreError::passing(Stage::Append, error))
    }

    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        let synced = self.file.sync_data();
        self.broken_unless(synced.and_then(|()| self.check()))
    }

    /// That nobody else has changed the file.
    pub(super) fn check_untouched(&mut self) -> Result<(), StoreError> {
        let checked = self.check();
        self.broken_unless(checked)
    }

    /// After a sync on another thread.
    pub(super) fn trust_after<T>(&mut self, synced: io::Result<T>) -> Result<T, StoreError> {
        let checked = synced.and_then(|synced| self.check().map(|()| synced));
        self.broken_unless(checked)
    }

    fn broken_unless<T>(&mut self, result: io::Result<T>) -> Result<T, StoreError> {
        result.map_err(|error| {
            // The kernel may have dropped the pages and report success the next time.
            self.broken = true;
            StoreError { stage: Stage::Sync, error, broken: true }
        })
    }

    /// An fsync of a file that nobody can find, or that somebody else has cut, is worth
    /// nothing.
    fn check(&self) -> io::Result<()> {
        let (names, length) = names_and_length(&self.file)?;
        if names == 0 {
            return Err(io::Error::other("the segment was removed while it was in use"));
        }
        if length != self.length {
            let text = format!(
                "the segment has {length} bytes and {} were written: something else changed it",
                self.length
            );
            return Err(io::Error::other(text));
        }
        Ok(())
    }
}

impl Drop for Segment {
    /// Gives back the room that was not needed. What a crash keeps the next start frees,
    /// which writes the segment anew.
    fn drop(&mut self) {
        if !self.broken && self.check().is_ok() {
            let _ = self.file.set_len(self.length);
        }
    }
}
