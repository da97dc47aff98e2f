//! A month of made-up decisions, so that the audit log of a demo is not empty at the first look.
//!
//! What is asked for is made up (`plan`), and decided by the policy of the demo. It is written by
//! the journal that writes every log, with a clock that says the time of each record: the gateway
//! finds a log of before, closed in order, with checkpoints that its own key has signed.

mod dice;
mod doors;
mod entry;
mod plan;
mod services;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Failure;
use crate::audit::{
    AuditError, Event, FileStore, Journal, JournalCloser, JournalSettings, Observer, OutcomeEntry,
    Published, Recorded, ResolvedEntry, Started, StrangerEntry,
};
use crate::config::AuditSettings;
use crate::domain::{Clock, Operation, RequestId, Revision};
use crate::server::{Prepared, journal_settings};
use entry::{Asked, Entry, What};

/// The month ends so long before the gateway starts.
const BEFORE_START: SignedDuration = SignedDuration::from_mins(4);

/// So often somebody restarted the gateway.
const RESTARTED_EVERY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// And so long it took.
const RESTART: SignedDuration = SignedDuration::from_secs(4);

/// Records until a checkpoint. They become durable together.
const GROUP: u64 = 250;

/// The disk of a demo may be slow, and nobody waits for its checkpoints.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Writes the month before `now` where the gateway will find it. Where there is a log already,
/// or what could be one, it stays as it is.
pub(super) async fn write(prepared: &Prepared, now: Timestamp) -> Result<(), Failure> {
    let audit = &prepared.settings().audit;
    if audit.directory.exists() {
        return Ok(());
    }
    let policy = &prepared.snapshot().policy;
    let until = now.checked_sub(BEFORE_START)?;
    let (mut begin, entries) = (plan::beginning(until), plan::entries(policy, until)?);
    let mut rest = entries.as_slice();
    while begin < until {
        let end = begin.checked_add(RESTARTED_EVERY)?.min(until);
        let (week, later) = rest.split_at(rest.partition_point(|entry| entry.at < end));
        let mut run = Run::start(audit, policy.revision(), begin)?;
        run.write(week).await?;
        run.stop(end);
        (begin, rest) = (end.checked_add(RESTART)?, later);
    }
    Ok(())
}

/// Says the time of what is being recorded.
struct Hands(Mutex<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

/// Tells of each checkpoint how many records are before it.
struct Checkpoints(UnboundedSender<u64>);

impl Observer for Checkpoints {
    fn committed(&self, _: &mut dyn Iterator<Item = Event>, _: Duration) {}
    fn failed(&self, _: &'static str) {}
    fn waiting(&self, _: usize) {}
    fn checkpointed(&self, checkpoint: Published) {
        let _ = self.0.send(checkpoint.size);
    }
    fn rotated(&self) {}
    fn rotation_failed(&self) {}
}

/// A record on its way to the disk.
type Recording = Pin<Box<dyn Future<Output = Result<Recorded<Arc<Asked>>, AuditError>>>>;

/// From one start of a gateway to its end.
struct Run {
    journal: Journal,
    closer: JournalCloser,
    hands: Arc<Hands>,
    checkpoints: UnboundedReceiver<u64>,
}

impl Run {
    fn start(audit: &AuditSettings, revision: &Revision, at: Timestamp) -> Result<Self, Failure> {
        let settings = journal_settings(audit).map_err(|problems| {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        })?;
        let settings = JournalSettings {
            checkpoint_records_max: GROUP,
            checkpoint_interval: PATIENCE,
            commit_wait: PATIENCE,
            strangers_per_minute_max: u32::MAX,
            ..settings
        };
        let store = FileStore::open(&audit.directory)?;
        let hands = Arc::new(Hands(Mutex::new(at)));
        let (sender, mut checkpoints) = unbounded_channel();
        let observer = Arc::new(Checkpoints(sender));
        let started = Journal::open(store, settings, revision, hands.clone(), observer)?;
        let Started { journal, closer, .. } = started;
        // That of the start itself.
        let _ = checkpoints.try_recv();
        Ok(Self { journal, closer, hands, checkpoints })
    }

    /// Records all of this in its order.
    async fn write(&mut self, entries: &[Entry]) -> Result<(), Failure> {
        let mut next_seq = self.journal.durable_seq() + 1;
        let mut seqs = HashMap::new();
        // That of the start is a record of the first group.
        let (mut rest, mut room) = (entries, GROUP - 1);
        while !rest.is_empty() {
            let size = usize::try_from(room)?.min(rest.len());
            let (group, later) = rest.split_at(size);
            let mut recordings = Vec::new();
            for (seq, entry) in (next_seq..).zip(group) {
                *self.hands.0.lock() = entry.at;
                recordings.extend(self.record(seq, entry, &mut seqs)?.map(|it| (seq, it)));
            }
            for (seq, recording) in recordings {
                let found = recording.await?.seq();
                if found != seq {
                    return Err(format!("record {seq} of the month became {found}").into());
                }
            }
            if later.is_empty() {
                break;
            }
            // The writer adds a checkpoint when the group is full. The next record is behind it.
            let covered = self.checkpoints.recv().await.ok_or("the audit writer has ended")?;
            (next_seq, rest, room) = (covered + 2, later, GROUP);
        }
        Ok(())
    }

    /// Hands one record to the writer, who will give it this number: an outcome names that of its
    /// decision before the decision is durable. Nothing hangs on it.
    fn record(
        &self,
        seq: u64,
        entry: &Entry,
        seqs: &mut HashMap<RequestId, u64>,
    ) -> Result<Option<Recording>, Failure> {
        let seq_of = |of: &RequestId, seqs: &HashMap<_, _>| {
            seqs.get(of).copied().ok_or("an outcome without a decision")
        };
        match &entry.what {
            What::Decided(asked) => {
                seqs.insert(asked.request_id, seq);
                let (journal, asked) = (self.journal.clone(), asked.clone());
                let mut recording: Recording = Box::pin(async move { journal.record(asked).await });
                // It is handed over when it is looked at for the first time.
                let mut nobody = Context::from_waker(Waker::noop());
                return match recording.as_mut().poll(&mut nobody) {
                    Poll::Pending => Ok(Some(recording)),
                    Poll::Ready(early) => Ok(Some(Box::pin(async { early }))),
                };
            }
            What::Answered { of, answer } => self.journal.complete(&OutcomeEntry {
                request_id: *of,
                operation: Operation::GrantAccess,
                decision_seq: seq_of(of, seqs)?,
                entrances: None,
                outcome: answer.outcome,
                reason: answer.reason,
                status: answer.status,
                seam_request_id: answer.seam_request_id.clone(),
                upstream_ms: answer.upstream_ms,
                same_as: None,
                same_as_replica: None,
            }),
            What::Resolved { of, resolution, asked } => {
                self.journal.note_resolved(&ResolvedEntry {
                    request_id: *of,
                    decision_seq: seq_of(of, seqs)?,
                    resolution: *resolution,
                    asked: *asked,
                    reason: None,
                    status: None,
                });
            }
            What::Stranger { request_id, peer, reason } => {
                self.journal.note_stranger(&StrangerEntry {
                    request_id: *request_id,
                    peer: *peer,
                    caller: None,
                    credential: None,
                    reason: *reason,
                    certificate: None,
                });
            }
        }
        Ok(None)
    }

    /// Ends in order at this time.
    fn stop(self, at: Timestamp) {
        *self.hands.0.lock() = at;
        self.closer.close();
    }
}

#[cfg(test)]
mod tests;
