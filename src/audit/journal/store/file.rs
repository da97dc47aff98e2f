//! Segment files in a directory that one process owns.
//!
//! Each start begins a segment of its own, named after the sequence number of its
//! first record; rotation begins further ones.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;

use super::{Stage, Store, StoreError};
use crate::audit::journal::error::OpenError;
use crate::audit::journal::recovery::{self, Recovered};
use crate::audit::log::directory::LogReader;
use crate::audit::log::segment::segment_name;
use crate::audit::tree::note::VerifierKey;
use crate::files::sync_directory;

/// The audit log on disk.
#[derive(Debug)]
pub struct FileStore {
    directory: PathBuf,
    segment: Option<Segment>,
    /// Keeps other processes out for as long as this one lives.
    _lock: File,
}

#[derive(Debug)]
struct Segment {
    file: File,
    /// What is known to be whole lines, in bytes.
    length: u64,
    /// Up to here the disk has room for it, in bytes from the start.
    reserved: u64,
    broken: bool,
}

/// Room is taken in steps, so that few batches need a system call for it, in bytes.
const RESERVE_STEP: u64 = 256 * 1024;

impl Segment {
    /// Makes the file, or leaves none.
    fn begin(directory: &Path, path: &Path, room: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        // A segment of this name can only be an empty one: of a process that died right
        // here before.
        options.create(true).append(true).mode(0o600);
        let file = options.open(path)?;
        if file.metadata()?.len() != 0 {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the segment exists"));
        }
        let mut segment = Self { file, length: 0, reserved: 0, broken: false };
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

    /// An fsync of a file that nobody can find, or that somebody else has cut, is worth
    /// nothing.
    fn check(&self) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        if metadata.nlink() == 0 {
            return Err(io::Error::other("the segment was removed while it was in use"));
        }
        if metadata.len() != self.length {
            let text = format!(
                "the segment has {} bytes and {} were written: something else changed it",
                metadata.len(),
                self.length
            );
            return Err(io::Error::other(text));
        }
        Ok(())
    }
}

impl FileStore {
    /// Opens the directory, makes it when it does not exist (mode 0700), and locks it.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another process has it; [`OpenError::Io`].
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        if !directory.exists() {
            DirBuilder::new().mode(0o700).create(directory)?;
            let parent = directory.parent().filter(|path| !path.as_os_str().is_empty());
            sync_directory(parent.unwrap_or(Path::new(".")))?;
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(directory.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
            if errno == Errno::WOULDBLOCK { OpenError::Locked } else { OpenError::Io(errno.into()) }
        })?;
        Ok(Self { directory: directory.to_owned(), segment: None, _lock: lock })
    }

    fn segment(&mut self, stage: Stage) -> Result<&mut Segment, StoreError> {
        match &mut self.segment {
            Some(segment) if !segment.broken => Ok(segment),
            None => Err(StoreError::no_segment(stage)),
            Some(_) => {
                let error = io::Error::other("the segment failed before and is not trusted again");
                Err(StoreError { stage, error, broken: true })
            }
        }
    }
}

#[cfg(test)]
impl FileStore {
    /// Puts another file in the place of the segment's, which is given back: one that fails.
    pub(super) fn swap_file(&mut self, file: File) -> File {
        std::mem::replace(&mut self.segment.as_mut().unwrap().file, file)
    }
}

impl Store for FileStore {
    fn recover(&mut self, key: Option<&VerifierKey>) -> Result<Recovered, OpenError> {
        recovery::recover(&LogReader::new(&self.directory), key)
    }

    fn begin(&mut self, first_seq: u64, room: u64) -> Result<(), StoreError> {
        // A failed fsync is not left behind by going on elsewhere: what it was about has
        // numbers that would be given again.
        if self.segment.is_some() {
            self.segment(Stage::Begin)?;
        }
        let path = self.directory.join(segment_name(first_seq));
        let segment = Segment::begin(&self.directory, &path, room).map_err(|error| StoreError {
            stage: Stage::Begin,
            error,
            broken: false,
        })?;
        // If the process dies here an empty segment is the last: the next start reads the
        // one before it too.
        self.segment = Some(segment);
        Ok(())
    }

    fn length(&self) -> u64 {
        self.segment.as_ref().map_or(0, |segment| segment.length)
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), StoreError> {
        let segment = self.segment(Stage::Reserve)?;
        let to = segment.length.saturating_add(bytes);
        if to <= segment.reserved {
            return Ok(());
        }
        // On a disk that is nearly full, what is needed will do.
        let took =
            segment.reserve(to.saturating_add(RESERVE_STEP)).or_else(|_| segment.reserve(to));
        took.map_err(|errno| StoreError {
            stage: Stage::Reserve,
            error: errno.into(),
            broken: false,
        })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let segment = self.segment(Stage::Append)?;
        // If the process dies in here a part of the bytes may be there: recovery cuts
        // a torn line, and whole lines are records that nobody was told of.
        match segment.file.write_all(bytes) {
            Ok(()) => {
                segment.length += bytes.len() as u64;
                Ok(())
            }
            Err(error) => match segment.file.set_len(segment.length) {
                Ok(()) => {
                    // The room behind it went too: taken again before others take it.
                    let promised = segment.reserved;
                    if promised != u64::MAX {
                        segment.reserved = promised.min(segment.length);
                        let _ = segment.reserve(promised);
                    }
                    Err(StoreError { stage: Stage::Append, error, broken: false })
                }
                Err(error) => {
                    segment.broken = true;
                    Err(StoreError { stage: Stage::Truncate, error, broken: true })
                }
            },
        }
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let segment = self.segment(Stage::Sync)?;
        // If the process dies before this returns, nobody was told of the records yet,
        // whether or not they are on disk.
        segment.file.sync_data().and_then(|()| segment.check()).map_err(|error| {
            // The kernel may have dropped the pages and report success the next time.
            segment.broken = true;
            StoreError { stage: Stage::Sync, error, broken: true }
        })
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
