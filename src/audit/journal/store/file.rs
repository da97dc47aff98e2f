//! Segment files in a directory that one process owns, with or without a write-ahead log.
//!
//! Each start begins a segment of its own, named after the sequence number of its
//! first record; rotation begins further ones.
//!
//! With a write-ahead log a batch is durable once its frame is, and its lines are appended to
//! the segment without a sync. Without one, or where a batch is too large for a frame, the
//! segment itself is synced.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use memchr::memchr_iter;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::segment::Segment;
use super::syncer::Syncer;
use super::wal::Wal;
use super::{Batch, Stage, Store, StoreError};
use crate::audit::journal::error::OpenError;
use crate::audit::journal::recovery::{self, Recovered};
use crate::audit::log::directory::LogReader;
use crate::audit::log::segment::segment_name;
use crate::audit::log::wal::{Held, WAL, WalError};
use crate::files::sync_directory;
use crate::note::VerifierKey;

/// The audit log on disk.
#[derive(Debug)]
pub struct FileStore {
    directory: PathBuf,
    segment: Option<Segment>,
    /// The size of the write-ahead log; none without one.
    wal_bytes: Option<u64>,
    wal: Option<(Wal, Syncer)>,
    /// Lines that are durable in the write-ahead log and not in the segment.
    unsettled: Vec<u8>,
    /// The segment did not take them.
    lags: bool,
    /// The last record that is durable.
    last: u64,
    unsynced: Unsynced,
    /// Keeps other processes out for as long as this one lives.
    _lock: File,
}

/// What was appended to the segment since it was last synced.
#[derive(Debug, Default)]
struct Unsynced {
    bytes: u64,
    since: Option<Instant>,
}

/// The segment is synced after this: what a copy of the directory without the write-ahead log
/// lacks at most. Or after so many bytes: commits share the disk with the sync, and wait for
/// as long as it keeps that busy.
const SYNC_AFTER: Duration = Duration::from_secs(1);
const SYNC_BYTES: u64 = 1 << 20;

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
        Ok(Self {
            directory: directory.to_owned(),
            segment: None,
            wal_bytes: None,
            wal: None,
            unsettled: Vec::new(),
            lags: false,
            last: 0,
            unsynced: Unsynced::default(),
            _lock: lock,
        })
    }

    /// With a write-ahead log of this size, which recovery makes. With none, recovery removes
    /// the one that is there, once all that it holds is in segments.
    #[must_use]
    pub fn with_wal(self, bytes: Option<u64>) -> Self {
        Self { wal_bytes: bytes, ..self }
    }

    fn segment(&mut self, stage: Stage) -> Result<&mut Segment, StoreError> {
        if self.wal.as_ref().is_some_and(|(wal, _)| wal.is_broken()) {
            return Err(StoreError::not_trusted(stage, "the write-ahead log"));
        }
        match &mut self.segment {
            Some(segment) if !segment.broken => Ok(segment),
            None => Err(StoreError::no_segment(stage)),
            Some(_) => Err(StoreError::not_trusted(stage, "the segment")),
        }
    }

    fn held(&self) -> Result<Option<Held>, OpenError> {
        Held::read(&self.directory).map_err(|error| match error {
            WalError::Io(error) => OpenError::Io(error),
            WalError::Damaged(_) | WalError::Newer(_) => OpenError::DamagedWal {
                file: self.directory.join(WAL).display().to_string(),
                text: error.to_string(),
            },
        })
    }

    /// The write-ahead log as it is to be; all that the one before holds is in segments.
    fn renew_wal(&mut self, held: Option<&Held>) -> Result<(), OpenError> {
        let path = self.directory.join(WAL);
        let Some(bytes) = self.wal_bytes else {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                removed => removed?,
            }
            return Ok(sync_directory(&self.directory)?);
        };
        let file = path.display().to_string();
        let wal = Wal::open(&self.directory, bytes, held, self.last);
        let wal = wal.map_err(|error| OpenError::NoWal { file, bytes, error })?;
        self.wal = Some((wal, Syncer::start()?));
        Ok(())
    }

    /// Writes a frame. Where there is no room for it, what the others hold is brought to the
    /// segment first, and that is synced.
    fn write_ahead(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        // What is durable here is for a segment that others can find, as it was left.
        self.segment(Stage::Commit)?.check_untouched()?;
        let lacks = |wal: &Wal| !wal.has_room(batch.lines.len());
        if self.wal.as_ref().is_some_and(|(wal, _)| lacks(wal)) {
            self.settle()?;
            self.sync()?;
        }
        let Some((wal, _)) = &mut self.wal else { return Ok(()) };
        let marked = if lacks(wal) { wal.mark(batch) } else { Ok(()) };
        let written = marked.and_then(|()| wal.write(batch));
        written.map_err(|error| failed(wal, error))?;
        self.unsettled.extend_from_slice(batch.lines);
        Ok(())
    }

    /// Syncs the segment. Where lines are not in it yet, they stay in the write-ahead log.
    fn sync(&mut self) -> Result<(), StoreError> {
        if let Some((_, syncer)) = &mut self.wal
            && let Some(ended) = syncer.end()
        {
            self.synced(ended)?;
        }
        if self.unsynced.since.is_none() {
            return Ok(());
        }
        let last = self.last_settled();
        self.segment(Stage::Sync)?.sync()?;
        self.unsynced = Unsynced::default();
        self.synced(Ok(last))
    }

    /// The last record that is in the segment.
    fn last_settled(&self) -> u64 {
        let lines = memchr_iter(b'\n', &self.unsettled).count() as u64;
        self.last.saturating_sub(lines)
    }

    /// A sync has ended.
    fn synced(&mut self, ended: io::Result<u64>) -> Result<(), StoreError> {
        let segment = self.segment(Stage::Sync)?;
        let last = segment.trust_after(ended)?;
        if let Some((wal, _)) = &mut self.wal {
            wal.set_synced(last);
        }
        Ok(())
    }

    fn append(&mut self, lines: &[u8]) -> Result<(), StoreError> {
        self.segment(Stage::Append)?.append(lines)?;
        self.unsynced.bytes += lines.len() as u64;
        self.unsynced.since.get_or_insert_with(Instant::now);
        Ok(())
    }
}

#[cfg(test)]
impl FileStore {
    /// Puts another file in the place of the segment's, which is given back: one that fails.
    pub(super) fn swap_file(&mut self, file: File) -> File {
        let segment = self.segment.as_mut().unwrap();
        let real = std::mem::replace(&mut segment.file, std::sync::Arc::new(file));
        // No sync is under way.
        std::sync::Arc::into_inner(real).unwrap()
    }

    pub(in crate::audit::journal) fn has_room_for(&self, batch: &Batch<'_>) -> bool {
        self.wal.as_ref().unwrap().0.has_room(batch.lines.len())
    }

    /// As if the kernel took no writes that are durable when they return.
    pub(in crate::audit::journal) fn without_durable_writes(&mut self) {
        self.wal_mut().without_durable_writes();
    }

    pub(super) fn wal_mut(&mut self) -> &mut Wal {
        &mut self.wal.as_mut().unwrap().0
    }
}

impl Store for FileStore {
    fn recover(&mut self, key: Option<&VerifierKey>) -> Result<Recovered, OpenError> {
        let held = self.held()?;
        let found = recovery::recover(&LogReader::new(&self.directory), key, held.as_ref())?;
        self.last = found.next_seq - 1;
        self.renew_wal(held.as_ref())?;
        Ok(found)
    }

    fn begin(&mut self, first_seq: u64, room: u64) -> Result<(), StoreError> {
        // A failed fsync is not left behind by going on elsewhere: what it was about has
        // numbers that would be given again.
        if self.segment.is_some() {
            self.settle()?;
            self.sync()?;
            self.segment(Stage::Begin)?;
        }
        let path = self.directory.join(segment_name(first_seq));
        let segment = Segment::begin(&self.directory, &path, room)
            .map_err(|error| StoreError::passing(Stage::Begin, error))?;
        // If the process dies here an empty segment is the last: the next start reads the
        // one before it too.
        self.segment = Some(segment);
        Ok(())
    }

    fn length(&self) -> u64 {
        self.segment.as_ref().map_or(0, |segment| segment.length) + self.unsettled.len() as u64
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.segment(Stage::Reserve)?;
        if self.lags {
            self.settle()?;
        }
        let unsettled = self.unsettled.len() as u64;
        self.segment(Stage::Reserve)?.reserve_more(unsettled.saturating_add(bytes))
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.segment(Stage::Append)?;
        if self.wal.as_ref().is_some_and(|(wal, _)| wal.takes(batch.lines.len())) {
            self.write_ahead(batch)?;
            self.last = batch.last_seq();
            return Ok(());
        }
        // In order: what is before it first.
        self.settle()?;
        self.append(batch.lines)?;
        // If the process dies before this returns, nobody was told of the records yet,
        // whether or not they are on disk.
        self.last = batch.last_seq();
        self.sync()
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        if self.unsettled.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.unsettled);
        let appended = self.append(&lines);
        self.unsettled = lines;
        self.lags = appended.is_err();
        if !self.lags {
            self.unsettled.clear();
        }
        appended
    }

    fn due(&self) -> Option<Instant> {
        let (wal, syncer) = self.wal.as_ref()?;
        let since = self.unsynced.since;
        if let Some(look) = syncer.due() {
            return Some(look);
        }
        // Before there is no room for another frame.
        let much = self.unsynced.bytes >= SYNC_BYTES || wal.used() > wal.bytes() / 2;
        since.map(|since| if much { since } else { since + SYNC_AFTER })
    }

    fn upkeep(&mut self) -> Result<(), StoreError> {
        self.segment(Stage::Sync)?;
        let last = self.last_settled();
        let Some((_, syncer)) = &mut self.wal else { return Ok(()) };
        if let Some(ended) = syncer.ended() {
            self.synced(ended)?;
        }
        // What came during that sync has its own time to wait.
        let due = self.due().is_some_and(|due| due <= Instant::now());
        if let (Some((_, syncer)), Some(segment)) = (&mut self.wal, &mut self.segment)
            && due
            && syncer.due().is_none()
        {
            self.unsynced = Unsynced::default();
            let begun = syncer.begin(&segment.file, last);
            segment.trust_after(begun)?;
        }
        Ok(())
    }

    fn close(&mut self, end: &Batch<'_>) -> Result<(), StoreError> {
        if self.segment.is_none() {
            return Ok(());
        }
        self.segment(Stage::Sync)?;
        self.settle()?;
        self.sync()?;
        let Some((wal, _)) = &mut self.wal else { return Ok(()) };
        wal.mark(end).map_err(|error| failed(wal, error))
    }
}

fn failed(wal: &Wal, error: io::Error) -> StoreError {
    StoreError { stage: Stage::Commit, error, broken: wal.is_broken() }
}
