//! The single writer: takes all that waits, makes it durable at once, tells all.
//!
//! It also closes full segments, and writes checkpoints of the tree: each covers records
//! that are durable already, so that no crash leaves a signature on what was lost.

mod head;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::audit::journal::error::AuditError;
use crate::audit::journal::group::{Group, Item};
use crate::audit::journal::queue::{JournalHealth, Queue};
use crate::audit::journal::settings::JournalSettings;
use crate::audit::journal::store::{Batch, Store, StoreError};
use crate::audit::record::encode::{Outage, OutcomeRecord, Permitted, not_sent, write_line};
use crate::audit::tree::{Frontier, Hash};
use head::Head;
pub(in crate::audit) use head::checkpoint;

/// An outcome's record is not longer than this, in bytes.
const OUTCOME_BYTES_MAX: u64 = 768;

/// Nor a checkpoint's than this.
const CHECKPOINT_BYTES_MAX: u64 = 6 * 1024;

/// An outage is over when there is room for so much more, in bytes: not when one more
/// record fits, only to begin again with the next.
const ROOM_AFTER_OUTAGE: u64 = 64 * 1024;

/// What is durable is brought to where readers look after this, or when it is so many bytes:
/// not with every commit, as each time costs about as much as a commit of a few records.
const SETTLE_AFTER: Duration = Duration::from_millis(5);
const SETTLE_BYTES: usize = 64 * 1024;

/// How long a segment that could not be closed goes on before the next try.
const ROTATE_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Owns the store, on a thread of its own.
pub(in crate::audit) struct Writer<S> {
    store: S,
    queue: Arc<Queue>,
    settings: Arc<JournalSettings>,
    /// Over all durable records; the next one has the number behind its size.
    tree: Frontier,
    /// Permits whose outcome is not written yet: there is room for it.
    open: BTreeSet<u64>,
    /// Outcomes that could not be written yet.
    retained: Group,
    /// Since when nothing can be written. Recorded with the first write that succeeds,
    /// and tried for its sake: while it is there readiness is refused, and no decision
    /// may come to try.
    outage: Option<Outage>,
    /// Why nothing can be written until the process is started anew.
    broken: Option<String>,
    /// Records that no checkpoint covers, and since when there is one.
    uncovered: (u64, Option<Instant>),
    /// Bytes that readers may not find yet, and when they are to find them.
    unsettled: (usize, Option<Instant>),
    /// The next batch begins with a checkpoint whether or not one is due.
    checkpoint_first: bool,
    /// The segment is new, and has no record yet.
    rotated: bool,
    /// When the segment was begun, or could not be closed.
    segment_since: Instant,
    rotate_again: Option<Instant>,
    buffer: Vec<u8>,
}

impl<S: Store> Writer<S> {
    /// `uncovered` records at the end of the tree are covered by no checkpoint.
    pub(in crate::audit) fn new(
        store: S,
        queue: Arc<Queue>,
        settings: Arc<JournalSettings>,
        tree: Frontier,
        uncovered: u64,
    ) -> Self {
        Self {
            store,
            queue,
            settings,
            tree,
            open: BTreeSet::new(),
            retained: Group::default(),
            outage: None,
            broken: None,
            uncovered: (uncovered, Some(Instant::now())),
            unsettled: (0, None),
            checkpoint_first: false,
            rotated: false,
            segment_since: Instant::now(),
            rotate_again: None,
            buffer: Vec::new(),
        }
    }

    fn next_seq(&self) -> u64 {
        self.tree.size() + 1
    }

    /// Runs until the queue is closed and empty. Should it panic, whoever waits is
    /// told by the drop of its ticket.
    pub(in crate::audit) fn run(mut self) {
        struct Ending(Arc<Queue>);
        impl Drop for Ending {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.abandon();
                }
            }
        }
        let _ending = Ending(self.queue.clone());
        let mut last_try = false;
        loop {
            let retained = !self.retained.is_empty() || self.outage.is_some();
            let Some(groups) = self.queue.take(retained, || self.next_due()) else { break };
            let closing = self.queue.is_closing();
            if closing && groups.is_empty() && std::mem::replace(&mut last_try, true) {
                tracing::error!(lost = self.retained.len(), "outcomes could not be recorded");
                return;
            }
            let before = std::mem::take(&mut self.retained);
            let before = Some(before).filter(|group| !group.is_empty());
            let batch: Vec<Group> = before.into_iter().chain(groups).collect();
            let own = self.outage.is_some() || self.due().is_some_and(|due| due <= Instant::now());
            if !batch.is_empty() || own {
                self.commit(batch);
            }
            self.upkeep();
        }
        self.checkpoint_first = self.uncovered.0 > 0;
        if self.checkpoint_first && self.queue.health() == JournalHealth::Healthy {
            self.commit(Vec::new());
        }
        if self.broken.is_none() {
            self.settle();
        }
        if self.broken.is_none() {
            let (first_seq, root) = (self.next_seq(), self.tree.root());
            let closed = self.store.close(&Batch { first_seq, count: 0, lines: &[], root });
            self.failed_if(closed);
        }
    }

    /// When the writer has something to do, whether or not there are records.
    fn next_due(&self) -> Option<Instant> {
        // What is due while nothing can be written waits for the next try.
        if self.broken.is_some() || self.outage.is_some() {
            return None;
        }
        // What could not be written yet has its own time, and what else is to be written goes
        // with it.
        let own = self.due().filter(|_| self.retained.is_empty());
        own.into_iter().chain(self.store.due()).chain(self.unsettled.1).min()
    }

    /// When a checkpoint or a count of strangers is to be written.
    fn due(&self) -> Option<Instant> {
        if self.broken.is_some() {
            return None;
        }
        let (records, since) = self.uncovered;
        let checkpoint = since.filter(|_| records > 0).map(|since| {
            let full = records >= self.settings.checkpoint_records_max;
            if full { since } else { since + self.settings.checkpoint_interval }
        });
        checkpoint.into_iter().chain(self.queue.strangers.due()).min()
    }

    /// Writes and syncs one batch, then tells all who wait.
    pub(in crate::audit) fn commit(&mut self, mut batch: Vec<Group>) {
        if let Some(why) = self.broken.clone() {
            // The store is not touched again: nothing that it says could be believed.
            return self.refuse(batch, &why);
        }
        self.queue.observer.waiting(batch.iter().map(Group::len).sum());
        let started = Instant::now();
        self.queue.set_committing(Some(started));
        self.rotate();
        let mut head = self.head();
        let mut ends = self.encode(&head, &batch);
        // Of these records, and of the outcomes of all permits: a grant that was forwarded
        // must not lack its outcome because the disk is full.
        let permits = records(&batch).filter(|(item, _)| item.permits.is_some()).count() as u64;
        let more = if self.outage.is_some() { ROOM_AFTER_OUTAGE } else { 0 };
        let room = self.buffer.len() as u64 + self.room_for_outcomes(permits) + more;
        let full = self.store.reserve(room).err();
        if let Some(error) = &full {
            self.queue.set_committing(None);
            // The room that was kept is for outcomes only, and for what a segment must
            // begin with; other notes wait.
            let mut outcomes = Group::default();
            batch.iter_mut().for_each(|group| group.take_outcomes(&mut outcomes));
            self.fail(batch, error);
            head = self.give_back(head);
            if outcomes.is_empty() {
                return;
            }
            batch = vec![outcomes];
            ends = self.encode(&head, &batch);
            self.queue.set_committing(Some(started));
        }
        // If the process dies before this returns, no one was told: nothing was
        // forwarded and nothing answered on the strength of these records.
        let written = self.store.commit(&Batch {
            first_seq: self.next_seq(),
            count: u32::try_from(ends.len()).unwrap_or(u32::MAX),
            lines: &self.buffer,
            root: self.tree.root(),
        });
        self.queue.set_committing(None);
        if let Err(error) = written {
            self.give_back(head);
            return self.fail(batch, &error);
        }
        self.count(&head, &batch, started.elapsed());
        if full.is_none() {
            self.queue.set_health(JournalHealth::Healthy);
            if self.outage.take().is_some() {
                tracing::info!("the audit log can be written again");
            }
        }
        self.tell(batch, self.next_seq() + head.drafts.len() as u64);
        self.cover(&ends, head);
    }

    fn count(&self, head: &Head, batch: &[Group], took: Duration) {
        let drafts = head.drafts.iter().map(|draft| draft.kind.event);
        let mut events = drafts.chain(records(batch).map(|(item, _)| item.kind.event));
        self.queue.observer.committed(&mut events, took);
    }

    /// If the process dies from here on, the records are there, and the next start closes
    /// those that got no outcome.
    fn tell(&mut self, batch: Vec<Group>, first_seq: u64) {
        let mut seq = first_seq;
        for group in batch {
            let first = seq;
            for (item, _) in group.records() {
                if item.permits.is_some() {
                    self.open.insert(seq);
                }
                if let Some(decision) = item.kind.closes {
                    self.open.remove(&decision);
                }
                seq += 1;
            }
            for (permitted, seq) in group.committed(first) {
                self.close_abandoned(permitted, seq);
            }
        }
    }

    /// Puts the lines that are durable now into the tree.
    fn cover(&mut self, ends: &[usize], head: Head) {
        let mut start = 0;
        for end in ends {
            let line = self.buffer.get(start..end.saturating_sub(1)).unwrap_or_default();
            self.tree.push(Hash::of_leaf(line));
            start = *end;
        }
        self.unsettled.0 += self.buffer.len();
        self.unsettled.1.get_or_insert_with(|| Instant::now() + SETTLE_AFTER);
        let mut records = ends.len() as u64;
        if let Some(published) = head.published {
            // Who is told of it looks for what it covers.
            self.settle();
            records -= 1;
            self.uncovered = (0, None);
            self.checkpoint_first = false;
            self.queue.observer.checkpointed(published);
            // Not before: an empty segment is none, and the one before it the newest.
            if std::mem::take(&mut self.rotated) {
                self.queue.observer.rotated();
            }
        }
        if records > 0 {
            self.uncovered.0 += records;
            self.uncovered.1.get_or_insert_with(Instant::now);
        }
    }

    /// Brings what is durable to where readers look, who are told up to where it is.
    fn settle(&mut self) {
        self.unsettled = (0, None);
        match self.store.settle() {
            Ok(()) => self.queue.set_durable(self.tree.size()),
            Err(error) => self.fail(Vec::new(), &error),
        }
    }

    fn upkeep(&mut self) {
        let (bytes, due) = self.unsettled;
        let due = due.is_some_and(|due| bytes >= SETTLE_BYTES || due <= Instant::now());
        if self.broken.is_none() && due {
            self.settle();
        }
        if self.broken.is_none() && self.store.due().is_some_and(|due| due <= Instant::now()) {
            let done = self.store.upkeep();
            self.failed_if(done);
        }
    }

    fn failed_if(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.fail(Vec::new(), &error);
        }
    }

    fn room_for_outcomes(&self, more_permits: u64) -> u64 {
        (self.open.len() as u64 + more_permits) * OUTCOME_BYTES_MAX
    }

    /// Begins a new segment when this one is large or old enough. Where that fails, this
    /// one goes on.
    fn rotate(&mut self) {
        let full = self.store.length() >= self.settings.segment_bytes_max;
        let old = self.segment_since.elapsed() >= self.settings.segment_age_max;
        let waiting = self.rotate_again.is_some_and(|time| Instant::now() < time);
        if self.checkpoint_first || waiting || !(full || old) {
            return;
        }
        let room = self.room_for_outcomes(0) + CHECKPOINT_BYTES_MAX;
        match self.store.begin(self.next_seq(), room) {
            Ok(()) => {
                self.segment_since = Instant::now();
                self.rotate_again = None;
                self.checkpoint_first = true;
                self.rotated = true;
            }
            Err(error) => {
                self.rotate_again = Some(Instant::now() + ROTATE_AGAIN_AFTER);
                self.queue.observer.rotation_failed();
                tracing::warn!(%error, "the segment could not be closed and goes on");
            }
        }
    }

    /// Puts the lines of one batch into the buffer, and tells where each ends.
    fn encode(&mut self, head: &Head, batch: &[Group]) -> Vec<usize> {
        self.buffer.clear();
        let first = self.next_seq();
        let drafts = head.drafts.iter().map(|draft| draft.rest.as_slice());
        let texts = drafts.chain(records(batch).map(|(_, text)| text));
        let mut ends = Vec::new();
        for (seq, text) in (first..).zip(texts) {
            write_line(text, seq, first, &mut self.buffer);
            ends.push(self.buffer.len());
        }
        ends
    }

    /// Whoever asked for this permit has given up: nobody will forward it.
    fn close_abandoned(&mut self, permitted: Permitted, decision_seq: u64) {
        let entry = not_sent(permitted, decision_seq);
        if let Err(error) = self.retained.note(&OutcomeRecord(&entry, self.queue.clock.now())) {
            tracing::error!(%error, decision_seq, "an unused permit could not be closed");
        }
    }

    fn fail(&mut self, batch: Vec<Group>, error: &StoreError) {
        if self.outage.is_none() {
            tracing::error!(stage = error.stage.as_str(), %error, broken = error.broken, "audit log");
        }
        self.queue.observer.failed(error.stage.as_str());
        let why = error.to_string();
        if error.broken {
            self.queue.set_health(JournalHealth::Broken(why.clone()));
            self.outage = None;
            self.broken = Some(why.clone());
        } else {
            self.queue.set_health(JournalHealth::Failing(why.clone()));
            let refused: usize = batch.iter().map(Group::waited).sum();
            let since = self.queue.clock.now();
            let outage = Outage { since, refused: 0, cause: why.clone() };
            self.outage.get_or_insert(outage).refused += refused as u64;
        }
        self.refuse(batch, &why);
    }

    /// Tells all who wait. What nobody waits for is tried again, unless it never will be.
    fn refuse(&mut self, batch: Vec<Group>, why: &str) {
        let broken = self.broken.is_some();
        let of = if broken { AuditError::Broken } else { AuditError::Failed };
        let error = of(why.to_owned());
        for group in batch {
            for (item, text) in group.records().filter(|(item, _)| !item.is_waited_for()) {
                if let Some(reason) = item.kind.stranger {
                    self.queue.strangers.count(reason, self.queue.clock.now());
                } else if !broken {
                    self.retained.adopt(item, text);
                }
            }
            if broken {
                group.log_notes(&error);
            }
            group.refused(&error);
        }
    }
}

fn records(batch: &[Group]) -> impl Iterator<Item = (&Item, &[u8])> {
    batch.iter().flat_map(Group::records)
}

#[cfg(test)]
mod tests;
