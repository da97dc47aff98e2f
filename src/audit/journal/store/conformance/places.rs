//! Stores whose failures a test can steer: real ones, where there is a disk.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::audit::journal::store::{FileStore, MemoryStore, Stage, Store};
use crate::audit::log::directory::LogReader;
use crate::audit::log::segment::segment_name;
use crate::audit::log::wal::{SLOT, WAL};

/// A place for logs whose failures a test can steer.
pub(super) trait Place {
    type Store: Store;
    /// Whose failure breaks a commit.
    const BREAKS: &'static [Stage];
    fn new() -> Self;
    /// As a new process does. There is no other one.
    fn open(&self) -> Self::Store;
    /// What is in the log: of all segments, durable or not.
    fn text(&self, store: &Self::Store) -> String;
    fn segments(&self) -> Vec<u64>;
    /// A crash leaves this at the end. No process has the log.
    fn leave(&self, bytes: &[u8]);
    /// Lets the next call of a stage fail, with the segment `next_seq` where that is `Begin`.
    fn fail(&mut self, store: &mut Self::Store, stage: Stage, next_seq: u64);
    /// Ends that.
    fn heal(&mut self, store: &mut Self::Store);
    /// Leaves nothing but segments. No process has the log.
    fn forget_all_but_segments(&self) {}
}

pub(super) struct Memory(MemoryStore);

impl Place for Memory {
    type Store = MemoryStore;
    const BREAKS: &'static [Stage] = &[Stage::Sync, Stage::Truncate];

    fn new() -> Self {
        Self(MemoryStore::default())
    }

    fn open(&self) -> MemoryStore {
        self.0.clone()
    }

    fn text(&self, store: &MemoryStore) -> String {
        format!("{}{}", store.durable(), store.pending())
    }

    fn segments(&self) -> Vec<u64> {
        self.0.segments()
    }

    fn leave(&self, bytes: &[u8]) {
        self.0.leave(bytes);
    }

    fn fail(&mut self, store: &mut MemoryStore, stage: Stage, _: u64) {
        store.fail(stage, 1);
    }

    fn heal(&mut self, _: &mut MemoryStore) {}
}

pub(super) struct Files {
    pub(super) directory: tempfile::TempDir,
    /// The segment's own file, while another one stands in its place.
    real: Option<File>,
    /// Another handle of that one, where it holds the log.
    stands_in: Option<File>,
    in_the_way: Option<PathBuf>,
    real_wal: Option<File>,
    /// The other end of what can be written and not synced.
    reader: Option<std::io::PipeReader>,
}

impl Files {
    fn newest(&self) -> PathBuf {
        LogReader::new(self.directory.path())
            .segments_only()
            .segments()
            .unwrap()
            .pop()
            .unwrap()
            .path
    }

    /// A copy of the segment on a disk on which a part of the next record fits, and no more.
    fn nearly_full(&mut self) -> File {
        const PAGE: usize = 4096;
        let content = std::fs::read(self.newest()).unwrap_or_default();
        let full = content.len().next_multiple_of(PAGE);
        let mut file = File::from(memfd_create("full", MemfdFlags::ALLOW_SEALING).unwrap());
        file.write_all(&content).unwrap();
        file.set_len(full as u64).unwrap();
        fcntl_add_seals(&file, SealFlags::GROW).unwrap();
        self.stands_in = Some(file.try_clone().unwrap());
        file
    }
}

impl Place for Files {
    type Store = FileStore;
    const BREAKS: &'static [Stage] = &[Stage::Sync, Stage::Truncate];

    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            directory,
            real: None,
            stands_in: None,
            in_the_way: None,
            real_wal: None,
            reader: None,
        }
    }

    fn open(&self) -> FileStore {
        FileStore::open(self.directory.path()).unwrap()
    }

    fn text(&self, _: &FileStore) -> String {
        let log = LogReader::new(self.directory.path()).segments_only();
        let mut files: Vec<_> = log.list().unwrap().into_iter().map(|s| s.path).collect();
        let newest = self.stands_in.as_ref().map(|file| {
            files.pop();
            let mut file = file.try_clone().unwrap();
            let place = file.stream_position().unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            file.seek(SeekFrom::Start(place)).unwrap();
            text
        });
        let before: String =
            files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        before + newest.as_deref().unwrap_or_default()
    }

    fn segments(&self) -> Vec<u64> {
        let found = LogReader::new(self.directory.path()).segments_only().list().unwrap();
        found.iter().map(|segment| segment.first_seq).collect()
    }

    fn leave(&self, bytes: &[u8]) {
        let mut file = std::fs::OpenOptions::new().append(true).open(self.newest()).unwrap();
        file.write_all(bytes).unwrap();
    }

    fn fail(&mut self, store: &mut FileStore, stage: Stage, next_seq: u64) {
        let file = match stage {
            // Something is there already.
            Stage::Begin => {
                let path = self.directory.path().join(segment_name(next_seq));
                std::fs::write(&path, "x").unwrap();
                self.in_the_way = Some(path);
                return;
            }
            // A test asks for more than any disk has.
            Stage::Reserve => return,
            Stage::Commit => {
                // Not written.
                let wal = File::open(self.directory.path().join(WAL)).unwrap();
                self.real_wal = Some(store.wal_mut().swap_file(wal));
                return;
            }
            Stage::Append => self.nearly_full(),
            // Neither written nor cut.
            Stage::Truncate => File::open(self.newest()).unwrap(),
            // Nothing that can be synced.
            Stage::Sync => {
                let (reader, writer) = std::io::pipe().unwrap();
                self.reader = Some(reader);
                std::os::fd::OwnedFd::from(writer).into()
            }
        };
        self.real = Some(store.swap_file(file));
    }

    fn heal(&mut self, store: &mut FileStore) {
        self.stands_in = None;
        if let Some(file) = self.real.take() {
            store.swap_file(file);
        }
        if let Some(file) = self.real_wal.take() {
            store.wal_mut().swap_file(file);
        }
        if let Some(path) = self.in_the_way.take() {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// A write-ahead log that is so small that long records find no place in it.
pub(super) struct Ahead(Files);

impl Place for Ahead {
    type Store = FileStore;
    const BREAKS: &'static [Stage] = &[Stage::Commit, Stage::Sync];

    fn new() -> Self {
        Self(Files::new())
    }

    fn open(&self) -> FileStore {
        self.0.open().with_wal(Some(8 * SLOT as u64))
    }

    fn text(&self, store: &FileStore) -> String {
        self.0.text(store)
    }

    fn segments(&self) -> Vec<u64> {
        self.0.segments()
    }

    fn leave(&self, bytes: &[u8]) {
        self.0.leave(bytes);
    }

    fn fail(&mut self, store: &mut FileStore, stage: Stage, next_seq: u64) {
        self.0.fail(store, stage, next_seq);
    }

    fn heal(&mut self, store: &mut FileStore) {
        self.0.heal(store);
    }

    fn forget_all_but_segments(&self) {
        std::fs::remove_file(self.0.directory.path().join(WAL)).unwrap();
    }
}
