//! Every step of writing fails in every way; then the process dies and a new one starts.
//!
//! Whatever failed: no record that was acknowledged is lost, no permit is without a record
//! and an outcome, what was cut is kept, and the log verifies, also against every checkpoint
//! that was given away.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::audit::journal::store::{Batch, FileStore, Stage, StoreError};
use crate::audit::log::directory::LogReader;
use crate::audit::log::segment::segment_name;
use crate::audit::proof::verify;
use crate::audit::testing::{asked, outcome, small};
use crate::audit::{Checkpoint, Observer, Published};
use crate::domain::{RequestId, SystemClock};
use crate::note::SigningKey;
use crate::note::VerifierKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Refused, and nothing was done.
    NotDone,
    /// Done, and reported as failed.
    DoneAndFailed,
    /// Half of it done, and reported as failed.
    Torn,
    /// There was no space.
    NoSpace,
    /// Of what was not synced, nothing is there after the crash.
    Lost,
    /// Of what was not synced, the end is there, and zeros before it.
    Holes,
}

const FAULTS: [Fault; 6] =
    [Fault::NotDone, Fault::DoneAndFailed, Fault::Torn, Fault::NoSpace, Fault::Lost, Fault::Holes];

/// A disk that fails at the `nth` call of one stage.
struct Faulty {
    inner: FileStore,
    directory: PathBuf,
    stage: Stage,
    fault: Fault,
    calls_left: u32,
    synced: u64,
    segment: PathBuf,
    happened: Arc<Mutex<bool>>,
    /// It does not come back, as the contract of a store says.
    is_broken: bool,
}

impl Faulty {
    fn now(&mut self, stage: Stage) -> bool {
        if stage != self.stage {
            return false;
        }
        self.calls_left = self.calls_left.saturating_sub(1);
        self.calls_left == 0 && !std::mem::replace(&mut *self.happened.lock().unwrap(), true)
    }

    fn broken(&self) -> bool {
        self.stage == Stage::Sync || (self.stage == Stage::Append && self.leaves_something())
    }

    fn leaves_something(&self) -> bool {
        matches!(self.fault, Fault::DoneAndFailed | Fault::Torn | Fault::Lost | Fault::Holes)
    }

    fn error(&self) -> StoreError {
        // ENOSPC, EIO.
        let number = if self.fault == Fault::NoSpace { 28 } else { 5 };
        let error = io::Error::from_raw_os_error(number);
        StoreError { stage: self.stage, error, broken: self.broken() }
    }

    /// What a power loss leaves of what was not synced.
    fn lose_power(&self) {
        let path = self.segment.clone();
        let bytes = std::fs::read(&path).unwrap();
        let synced = usize::try_from(self.synced).unwrap().min(bytes.len());
        let (kept, pending) = bytes.split_at(synced);
        let after = match self.fault {
            Fault::Lost => Vec::new(),
            Fault::Torn => pending[..pending.len() / 2].to_vec(),
            Fault::Holes => {
                let half = pending.len() / 2;
                [vec![0; half], pending[half..].to_vec()].concat()
            }
            Fault::NotDone | Fault::DoneAndFailed | Fault::NoSpace => pending.to_vec(),
        };
        std::fs::write(path, [kept, &after].concat()).unwrap();
    }
}

impl Store for Faulty {
    fn recover(&mut self, key: Option<&VerifierKey>) -> Result<Recovered, OpenError> {
        self.inner.recover(key)
    }

    fn begin(&mut self, first_seq: u64, room: u64) -> Result<(), StoreError> {
        if self.now(Stage::Begin) {
            if self.leaves_something() {
                // An empty file that nobody could remove any more.
                std::fs::write(self.directory.join(segment_name(first_seq)), "").unwrap();
            }
            return Err(self.error());
        }
        self.inner.begin(first_seq, room)?;
        self.synced = 0;
        self.segment = self.directory.join(segment_name(first_seq));
        Ok(())
    }

    fn length(&self) -> u64 {
        self.inner.length()
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), StoreError> {
        if self.now(Stage::Reserve) { Err(self.error()) } else { self.inner.reserve(bytes) }
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        if self.is_broken {
            return Err(self.error());
        }
        let bytes = batch.lines;
        let segment = self.segment.clone();
        let leave = |written: &[u8]| {
            let mut file = OpenOptions::new().append(true).open(&segment).unwrap();
            file.write_all(written).unwrap();
        };
        if self.now(Stage::Append) {
            self.is_broken = self.broken();
            leave(match self.fault {
                Fault::NotDone | Fault::NoSpace => &[],
                Fault::Torn | Fault::Lost | Fault::Holes => &bytes[..bytes.len() / 2],
                Fault::DoneAndFailed => bytes,
            });
            return Err(self.error());
        }
        if self.now(Stage::Sync) {
            self.is_broken = true;
            leave(bytes);
            self.lose_power();
            return Err(self.error());
        }
        self.inner.commit(batch)?;
        self.synced = self.inner.length();
        Ok(())
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        self.inner.settle()
    }

    fn due(&self) -> Option<Instant> {
        self.inner.due()
    }

    fn upkeep(&mut self) -> Result<(), StoreError> {
        self.inner.upkeep()
    }

    fn close(&mut self, end: &Batch<'_>) -> Result<(), StoreError> {
        self.inner.close(end)
    }
}

/// Keeps every checkpoint that was given away.
#[derive(Default)]
struct Anchored(Mutex<Vec<Published>>);

impl Observer for Anchored {
    fn committed(&self, _: &mut dyn Iterator<Item = crate::audit::Event>, _: Duration) {}
    fn failed(&self, _: &'static str) {}
    fn waiting(&self, _: usize) {}
    fn checkpointed(&self, checkpoint: Published) {
        self.0.lock().unwrap().push(checkpoint);
    }
    fn rotated(&self) {}
    fn rotation_failed(&self) {}
}

/// What was promised to those who asked.
#[derive(Default)]
struct Promised {
    recorded: Vec<(u64, RequestId)>,
    happened: bool,
    refused: Option<String>,
}

async fn run(store: Faulty, private: &str, anchored: &Arc<Anchored>, requests: usize) -> Promised {
    let happened = store.happened.clone();
    let settings = JournalSettings { commit_wait: Duration::from_secs(20), ..small(private) };
    let revision = Revision::from_sha256(&[0]);
    let opened = Journal::open(store, settings, &revision, Arc::new(SystemClock), anchored.clone());
    let mut promised =
        Promised { refused: opened.as_ref().err().map(ToString::to_string), ..Promised::default() };
    if let Ok(Started { journal, closer, .. }) = opened {
        for number in 0..requests {
            let Ok(recorded) = journal.record(asked(number % 3 > 0)).await else { continue };
            promised.recorded.push((recorded.seq(), recorded.evidence().request_id));
            if recorded.evidence().allow && number % 5 > 0 {
                journal.complete(&outcome(&recorded));
            }
        }
        closer.close();
    }
    promised.happened = *happened.lock().unwrap();
    promised
}

fn faulty(directory: &Path, stage: Stage, fault: Fault, nth: u32) -> Faulty {
    Faulty {
        inner: FileStore::open(directory).unwrap(),
        directory: directory.to_owned(),
        stage,
        fault,
        calls_left: nth,
        synced: 0,
        segment: PathBuf::new(),
        happened: Arc::default(),
        is_broken: false,
    }
}

/// Everything that was promised holds in what a new process finds.
fn check(name: &str, directory: &Path, key: &SigningKey, promised: &Promised, anchored: &Anchored) {
    let mut decided = std::collections::BTreeMap::new();
    let mut closed = std::collections::BTreeSet::new();
    let mut permits = Vec::new();
    let log = LogReader::new(directory);
    for segment in log.list().unwrap() {
        let mut lines = log.read(&segment).unwrap();
        while let Some(line) = lines.next().unwrap() {
            let record: serde_json::Value = serde_json::from_slice(line.bytes).unwrap();
            let seq = record["seq"].as_u64().unwrap();
            if record["event"] == "grant.decision" {
                decided.insert(seq, record["request_id"].as_str().unwrap().to_owned());
                if record["decision"] == "allow" {
                    permits.push(seq);
                }
            }
            if let Some(of) = record["decision_seq"].as_u64() {
                assert!(closed.insert(of), "{name}: two outcomes of {of}");
            }
        }
    }
    for (seq, request) in &promised.recorded {
        assert_eq!(decided.get(seq), Some(&request.to_string()), "{name}: record {seq} is lost");
    }
    for seq in permits {
        assert!(closed.contains(&seq), "{name}: permit {seq} has no outcome");
    }
    let anchored = anchored.0.lock().unwrap();
    let anchored: Vec<Checkpoint> = anchored
        .iter()
        .map(|given| Checkpoint::verify(given.text.as_ref().unwrap(), key.verifier()).unwrap())
        .collect();
    assert!(anchored.len() > 3 || !promised.happened, "{name}");
    let report =
        verify(&LogReader::new(directory), &[key.verifier().clone()], &anchored, |_, _| {})
            .unwrap();
    assert!(!report.is_damaged(), "{name}: {:?} {:?}", report.findings, report.anchors);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_step_fails_in_whatever_way_nothing_that_was_promised_is_lost() {
    let (key, private) = SigningKey::generate("example.org/doors").unwrap();
    let mut happened = 0;
    for stage in [Stage::Begin, Stage::Reserve, Stage::Append, Stage::Sync] {
        for fault in FAULTS {
            for nth in [1, 2, 4, 7, 13] {
                let name = format!("{fault:?} at call {nth} of {}", stage.as_str());
                let directory = tempfile::tempdir().unwrap();
                let anchored = Arc::new(Anchored::default());
                let store = faulty(directory.path(), stage, fault, nth);
                let mut promised = run(store, &private, &anchored, 30).await;
                happened += u32::from(promised.happened);
                // The disk is well again: twice, so that what is mended stays mended.
                for _ in 0..2 {
                    let well = faulty(directory.path(), Stage::Truncate, Fault::NotDone, 1);
                    let more = run(well, &private, &anchored, 8).await;
                    let recorded = more.recorded.len();
                    assert_eq!(recorded, 8, "{name}: it does not go on: {:?}", more.refused);
                    promised.recorded.extend(more.recorded);
                }
                // Closes what is open.
                crate::audit::testing::open(directory.path(), small(&private)).closer.close();
                check(&name, directory.path(), &key, &promised, &anchored);
            }
        }
    }
    assert!(happened > 90, "the faults happen: {happened}");
}
