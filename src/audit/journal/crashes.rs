//! The process dies, or the machine loses power, at every step of a log with a write-ahead
//! log: before and after a frame, in the middle of one, before and after its lines are in the
//! segment, around a sync and a new segment. The ring is small: it goes round many times.
//!
//! Each time readers find the same as the next start, which is all that was promised, in
//! order; and that start goes on from it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::audit::journal::store::{Batch, FileStore, StoreError};
use crate::audit::log::directory::LogReader;
use crate::audit::log::wal::{HEADER, SLOT, WAL};
use crate::audit::proof::verify;
use crate::audit::testing::{asked, outcome, small};
use crate::audit::{Checkpoint, Event};
use crate::domain::{RuleRef, SystemClock};
use crate::note::SigningKey;
use crate::note::VerifierKey;

/// So small that frames are overwritten all the time.
pub(super) const RING: u64 = 12 * SLOT as u64;

/// What is on the disk at some moment, and what was promised until then.
struct Image {
    step: String,
    files: Vec<(String, Vec<u8>)>,
    /// All lines that are durable.
    promised: Vec<u8>,
    /// Lines that may be durable or not.
    perhaps: Vec<u8>,
    checkpoints: usize,
}

#[derive(Default)]
struct Shared {
    images: Vec<Image>,
    checkpoints: Vec<Published>,
}

/// A store of which an image is taken at each step.
struct Watched {
    inner: FileStore,
    directory: PathBuf,
    shared: Arc<Mutex<Shared>>,
    promised: Vec<u8>,
    /// The newest segment, and how much of it is synced.
    newest: Option<String>,
    synced: usize,
    /// Nothing is due, so that the segment lags.
    lazy: bool,
}

impl Watched {
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            files.push((name, std::fs::read(entry.path()).unwrap()));
        }
        files
    }

    fn keep(&self, step: &str, files: Vec<(String, Vec<u8>)>, perhaps: &[u8]) {
        let mut shared = self.shared.lock().unwrap();
        let image = Image {
            step: format!("{step}, {} bytes promised", self.promised.len()),
            files,
            promised: self.promised.clone(),
            perhaps: perhaps.to_vec(),
            checkpoints: shared.checkpoints.len(),
        };
        shared.images.push(image);
    }

    /// The process dies here; or the power goes, and of what was not synced a part is there.
    fn dies(&self, step: &str, perhaps: &[u8]) {
        let files = self.files();
        self.keep(step, files.clone(), perhaps);
        let at = files.iter().position(|(name, _)| Some(name) == self.newest.as_ref());
        let Some(at) = at.filter(|at| files[*at].1.len() > self.synced) else { return };
        let (synced, pending) = files[at].1.split_at(self.synced);
        let half = pending.len() / 2;
        let zeros = |count| vec![0; count];
        let line = pending.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let left: [(&str, Vec<u8>); 6] = [
            ("nothing unsynced is there", Vec::new()),
            ("half of it", pending[..half].to_vec()),
            ("a line and a half", pending[..(line + 20).min(pending.len())].to_vec()),
            ("its end behind zeros", [&zeros(half)[..], &pending[half..]].concat()),
            ("nothing but zeros", zeros(pending.len())),
            (
                "a hole in it",
                [&pending[..half / 2], &zeros(half), &pending[half / 2 + half..]].concat(),
            ),
        ];
        for (how, left) in left {
            let mut files = files.clone();
            files[at].1 = [synced, &left].concat();
            self.keep(&format!("{step}; {how}"), files, perhaps);
        }
    }

    fn newest_length(&self) -> usize {
        let path = self.newest.as_ref().map(|name| self.directory.join(name));
        path.map_or(0, |path| usize::try_from(std::fs::metadata(path).unwrap().len()).unwrap())
    }
}

impl Store for Watched {
    fn recover(&mut self, key: Option<&VerifierKey>) -> Result<Recovered, OpenError> {
        self.inner.recover(key)
    }

    fn begin(&mut self, first_seq: u64, room: u64) -> Result<(), StoreError> {
        self.dies("before a segment", &[]);
        self.inner.begin(first_seq, room)?;
        assert_eq!(self.inner.due(), None, "what is closed is synced");
        self.newest = Some(crate::audit::log::segment::segment_name(first_seq));
        self.synced = 0;
        self.dies("after a segment", &[]);
        Ok(())
    }

    fn length(&self) -> u64 {
        self.inner.length()
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.inner.reserve(bytes)
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.dies("before a commit", &[]);
        let mut before = self.files();
        self.inner.commit(batch)?;
        let after = self.files();
        // It had to make room: before it wrote to the ring, the segment was brought up and
        // synced.
        if self.inner.due().is_none() {
            self.synced = self.newest_length();
            let newest = |(name, _): &&(String, Vec<u8>)| Some(name) == self.newest.as_ref();
            let segment = after.iter().find(newest).cloned();
            before.retain(|file| !newest(&file));
            before.extend(segment);
        }
        // Pages of the frame reach the disk in any order.
        let ring = |files: &[(String, Vec<u8>)]| {
            files.iter().position(|(name, _)| name == WAL).map(|at| (at, files[at].1.clone()))
        };
        if let (Some((at, old)), Some((_, new))) = (ring(&before), ring(&after)) {
            let changed: Vec<usize> = (0..old.len())
                .step_by(SLOT)
                .filter(|page| old[*page..*page + SLOT] != new[*page..*page + SLOT])
                .collect();
            // A frame without records is written for itself, before the other.
            let is_mark = |page: &usize| new[*page..].starts_with(b"ggwal") && new[*page + 24] == 0;
            let (marks, changed): (Vec<usize>, Vec<usize>) =
                changed.into_iter().partition(|page| is_mark(page));
            for page in marks {
                let mut torn = before.clone();
                torn[at].1[page..page + 100].copy_from_slice(&new[page..page + 100]);
                self.keep("half a mark", torn, &[]);
                before[at].1[page..page + SLOT].copy_from_slice(&new[page..page + SLOT]);
                self.keep("a mark", before.clone(), &[]);
            }
            for (kind, kept) in [("first", 0), ("last", changed.len() - 1)] {
                let mut torn = before.clone();
                let page = changed[kept];
                let whole = changed.len() > 1;
                let written = if whole { SLOT } else { (HEADER + batch.lines.len()) / 2 };
                torn[at].1[page..page + written].copy_from_slice(&new[page..page + written]);
                // What is not written may be as it was: then the frame is whole.
                self.keep(&format!("the {kind} page of a frame"), torn, batch.lines);
            }
        }
        self.promised.extend_from_slice(batch.lines);
        self.dies("after a commit", &[]);
        Ok(())
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        self.inner.settle()?;
        self.dies("after its lines are in the segment", &[]);
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        if self.lazy { None } else { self.inner.due().map(|_| Instant::now()) }
    }

    fn upkeep(&mut self) -> Result<(), StoreError> {
        self.inner.upkeep()?;
        // What is under way may have come to the disk or not; what had ended before, has.
        self.dies("after a sync began", &[]);
        while self.inner.due().is_some() {
            std::thread::yield_now();
            self.inner.upkeep()?;
        }
        self.synced = self.newest_length();
        self.dies("after a sync", &[]);
        Ok(())
    }

    fn close(&mut self, end: &Batch<'_>) -> Result<(), StoreError> {
        self.dies("before the end", &[]);
        self.inner.close(end)?;
        self.synced = self.newest_length();
        self.dies("after the end", &[]);
        Ok(())
    }
}

struct Keeper(Arc<Mutex<Shared>>);

impl Observer for Keeper {
    fn committed(&self, _: &mut dyn Iterator<Item = Event>, _: Duration) {}
    fn failed(&self, stage: &'static str) {
        panic!("{stage}");
    }
    fn waiting(&self, _: usize) {}
    fn checkpointed(&self, checkpoint: Published) {
        self.0.lock().unwrap().checkpoints.push(checkpoint);
    }
    fn rotated(&self) {}
    fn rotation_failed(&self) {}
}

/// All lines that readers find.
fn found(directory: &Path, step: &str) -> Vec<u8> {
    let log = LogReader::new(directory);
    let mut all = Vec::new();
    let mut walk = log.walk(log.list().unwrap());
    while let Some(line) = walk.next().unwrap_or_else(|error| panic!("{step}: {error}")) {
        if !line.is_torn() {
            all.extend_from_slice(line.bytes);
            all.push(b'\n');
        }
    }
    all
}

/// What is in segments.
pub(super) fn in_segments(directory: &Path) -> Vec<u8> {
    let segments = LogReader::new(directory).segments_only().list().unwrap();
    segments.iter().flat_map(|segment| std::fs::read(&segment.path).unwrap()).collect()
}

fn check(
    image: &Image,
    key: &SigningKey,
    private: &str,
    checkpoints: &[Checkpoint],
    goes_on: bool,
) {
    let step = &image.step;
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in &image.files {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    let anchored = &checkpoints[..image.checkpoints];
    let damage = || {
        let log = LogReader::new(directory.path());
        let keys = [key.verifier().clone()];
        let report = verify(&log, &keys, anchored, |_, _| {}).unwrap();
        report.is_damaged().then_some(report.findings)
    };
    let readable = found(directory.path(), step);
    let may = [&image.promised[..], &image.perhaps].concat();
    let (found, promised) = (readable.len(), image.promised.len());
    assert!(
        readable == image.promised || readable == may,
        "{step}: readers find {found} of {promised}"
    );
    if !readable.is_empty() {
        let damage = damage();
        assert!(damage.is_none(), "{step}: {damage:?}");
    }
    let mut store = FileStore::open(directory.path()).unwrap().with_wal(Some(RING));
    let recovered = store.recover(Some(key.verifier())).unwrap_or_else(|error| {
        panic!("{step}: {error}");
    });
    assert_eq!(in_segments(directory.path()), readable, "{step}: what a start finds");
    assert_eq!(recovered.cut, None, "{step}: nothing is lost");
    drop(store);
    if !goes_on {
        return;
    }
    // With the ring and without.
    for bytes in [Some(RING), None] {
        let store = FileStore::open(directory.path()).unwrap().with_wal(bytes);
        let revision = Revision::from_sha256(&[0]);
        let (clock, observer) = (Arc::new(SystemClock), Arc::new(crate::audit::NoObserver));
        let opened = Journal::open(store, small(private), &revision, clock, observer);
        opened.unwrap().closer.close();
    }
    assert!(!directory.path().join(WAL).exists());
    assert!(in_segments(directory.path()).starts_with(&readable), "{step}: it goes on");
    assert_eq!(damage().map(|findings| findings.len()), None, "{step}: damaged later");
}

fn images(lazy: bool, grants: usize) -> (Shared, SigningKey, String) {
    let (key, private) = SigningKey::generate("example.org/doors").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let shared = Arc::new(Mutex::new(Shared::default()));
    let store = Watched {
        inner: FileStore::open(directory.path()).unwrap().with_wal(Some(RING)),
        directory: directory.path().to_owned(),
        shared: shared.clone(),
        promised: Vec::new(),
        newest: None,
        synced: 0,
        lazy,
    };
    let segment_bytes_max = if lazy { 20_000 } else { 6_000 };
    let settings = JournalSettings {
        commit_wait: Duration::from_secs(20),
        segment_bytes_max,
        ..small(&private)
    };
    let revision = Revision::from_sha256(&[0]);
    let observer = Arc::new(Keeper(shared.clone()));
    let opened = Journal::open(store, settings, &revision, Arc::new(SystemClock), observer);
    let Started { journal, closer, .. } = opened.unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for number in 0..grants {
            // Some frames of several pages.
            let asked = crate::audit::testing::Asked {
                rules: vec![
                    RuleRef::new("policies/policy.csv".into(), 1);
                    if number % 4 == 3 { 180 } else { 1 }
                ],
                ..asked(number % 3 > 0)
            };
            let recorded = journal.record(asked).await.unwrap();
            if recorded.evidence().allow && number % 5 > 0 {
                journal.complete(&outcome(&recorded));
            }
        }
    });
    closer.close();
    let shared = std::mem::take(&mut *shared.lock().unwrap());
    (shared, key, private.to_string())
}

#[test]
fn whenever_it_dies_all_that_was_promised_is_there_once_and_in_order() {
    for lazy in [false, true] {
        let (shared, key, private) = images(lazy, 24);
        let text = |published: &Published| published.text.clone().unwrap();
        let checkpoints: Vec<Checkpoint> = shared
            .checkpoints
            .iter()
            .map(|given| Checkpoint::verify(&text(given), key.verifier()).unwrap())
            .collect();
        assert!(shared.images.len() > 200, "{}", shared.images.len());
        for (nth, image) in shared.images.iter().enumerate() {
            check(image, &key, &private, &checkpoints, nth % 5 == 0);
        }
    }
}
