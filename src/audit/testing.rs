//! Logs for tests, made by a real journal on a real disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::audit::journal::error::OpenError;
use crate::audit::journal::queue::NoObserver;
use crate::audit::journal::recovery::Recovered;
use crate::audit::journal::settings::JournalSettings;
use crate::audit::journal::store::{Batch, FileStore, Store, StoreError};
use crate::audit::journal::{Journal, Started};
use crate::audit::proof::{VerifyReport, verify};
use crate::audit::record::entry::{DecisionEntry, OutcomeEntry};
use crate::audit::{Checkpoint, Evidence, LogReader, Recorded};
use crate::domain::{
    EntranceId, Grantee, Operation, Outcome, Reason, RequestId, Revision, RuleRef, SystemClock,
    UserIdentityId,
};
use crate::note::{SigningKey, VerifierKey};

/// What a store is asked to do.
#[derive(Debug, Clone, Copy)]
pub(in crate::audit) enum Call {
    Reserve(u64),
    Commit,
    Settle,
}

/// A store with something before each call, which may refuse it.
pub(in crate::audit) struct Before<S, F>(pub(in crate::audit) S, pub(in crate::audit) F);

impl<S, F> Store for Before<S, F>
where
    S: Store,
    F: FnMut(&mut S, Call) -> Result<(), StoreError> + Send + 'static,
{
    fn recover(&mut self, key: Option<&VerifierKey>) -> Result<Recovered, OpenError> {
        self.0.recover(key)
    }

    fn begin(&mut self, first_seq: u64, room: u64) -> Result<(), StoreError> {
        self.0.begin(first_seq, room)
    }

    fn length(&self) -> u64 {
        self.0.length()
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), StoreError> {
        (self.1)(&mut self.0, Call::Reserve(bytes))?;
        self.0.reserve(bytes)
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        (self.1)(&mut self.0, Call::Commit)?;
        self.0.commit(batch)
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        (self.1)(&mut self.0, Call::Settle)?;
        self.0.settle()
    }

    fn due(&self) -> Option<Instant> {
        self.0.due()
    }

    fn upkeep(&mut self) -> Result<(), StoreError> {
        self.0.upkeep()
    }

    fn close(&mut self, end: &Batch<'_>) -> Result<(), StoreError> {
        self.0.close(end)
    }
}

#[derive(Debug)]
pub(in crate::audit) struct Asked {
    pub(in crate::audit) request_id: RequestId,
    pub(in crate::audit) allow: bool,
    pub(in crate::audit) rules: Vec<RuleRef>,
}

impl Evidence for Asked {
    fn decision(&self) -> DecisionEntry<'_> {
        DecisionEntry {
            request_id: self.request_id,
            caller: "desk",
            credential: "token:a",
            peer: ([127, 0, 0, 1], 1).into(),
            operation: Operation::GrantAccess,
            workspace: None,
            entrance: EntranceId::parse("d23d7180-c1ee-4bbe-8630-05df5031ce35").ok(),
            grantee: UserIdentityId::parse("c6247b75-f1cb-493a-9915-a85a0b9639ae")
                .ok()
                .map(Grantee::UserIdentity),
            allow: self.allow,
            reason: if self.allow { Reason::AllowedByRule } else { Reason::NoRuleMatches },
            rules: &self.rules,
            revision: "sha256:0",
            body_sha256: Some([0xab; 32]),
            at: jiff::Timestamp::now(),
            candidate: None,
            idempotency_key: None,
            is_key_unconfirmed: false,
        }
    }
}

pub(in crate::audit) fn asked(allow: bool) -> Asked {
    Asked { request_id: RequestId::generate(), allow, rules: Vec::new() }
}

pub(in crate::audit) fn outcome(recorded: &Recorded<Asked>) -> OutcomeEntry {
    OutcomeEntry {
        request_id: recorded.evidence().request_id,
        operation: Operation::GrantAccess,
        entrances: None,
        decision_seq: recorded.seq(),
        outcome: Outcome::Granted,
        reason: Reason::AllowedByRule,
        status: Some(200),
        seam_request_id: Some(format!("seam-{}", recorded.seq())),
        upstream_ms: Some(3),
        same_as: None,
        same_as_replica: None,
    }
}

pub(in crate::audit) fn open(directory: &Path, settings: JournalSettings) -> Started {
    let store = FileStore::open(directory).unwrap();
    let revision = Revision::from_sha256(&[0]);
    Journal::open(store, settings, &revision, Arc::new(SystemClock), Arc::new(NoObserver)).unwrap()
}

/// Small segments, a checkpoint every seven records.
pub(in crate::audit) fn small(key: &str) -> JournalSettings {
    JournalSettings {
        segment_bytes_max: 6_000,
        checkpoint_records_max: 7,
        signing_key: Some(SigningKey::parse(key).unwrap()),
        ..JournalSettings::default()
    }
}

/// Adds so many grants to the log, one after the other, and ends in order.
pub(in crate::audit) fn fill(directory: &Path, settings: JournalSettings, grants: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Started { journal, closer, .. } = open(directory, settings);
        for _ in 0..grants {
            let recorded = journal.record(asked(true)).await.unwrap();
            journal.complete(&outcome(&recorded));
        }
        closer.close();
    });
}

/// A signed log of several segments, and who signs it.
pub(in crate::audit) struct Log {
    pub(in crate::audit) directory: tempfile::TempDir,
    pub(in crate::audit) key: SigningKey,
    pub(in crate::audit) private: String,
}

impl Log {
    pub(in crate::audit) fn new(grants: usize) -> Self {
        let (key, private) = SigningKey::generate("example.org/doors").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let log = Self { directory, key, private: private.to_string() };
        log.go_on(grants);
        log
    }

    /// Another process adds so many grants.
    pub(in crate::audit) fn go_on(&self, grants: usize) {
        fill(self.path(), small(&self.private), grants);
    }

    pub(in crate::audit) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(in crate::audit) fn reader(&self) -> LogReader {
        LogReader::new(self.path())
    }

    pub(in crate::audit) fn verify(&self, anchored: &[Checkpoint]) -> VerifyReport {
        verify(&self.reader(), &[self.key.verifier().clone()], anchored, |_, _| {}).unwrap()
    }
}
