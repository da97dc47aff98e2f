//! What became of grants of which nobody knows: Seam is asked, later and with patience, and
//! the answer recorded.
//!
//! A grant is unknown when the connection broke, or the process was killed, between the send
//! and the answer. It is never sent again. Seam can be asked whether the person can open the
//! entrance now: the *resolution* of the outcome. It says what is so, not by whose doing: who
//! could open it before can open it still.

mod schedule;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::SignedDuration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

pub use crate::audit::search::UnknownGrant;
use crate::audit::search::unresolved;
use crate::audit::{Journal, LogReader, ResolvedEntry};
use crate::domain::{Clock, Reason, Resolution};
use crate::snapshot::Snapshot;
use crate::telemetry::ResolverMetrics;
use crate::upstream::{Connections, NoAnswer, Workspace};
use schedule::{Next, Schedule};

/// Outcomes that are waited for at a time; of further ones it is recorded that nobody can tell.
const WAITING_MAX: usize = 1_000;

/// What an earlier process left is asked about when it is not older: too much may have happened
/// since.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// Between two questions: Seam has other things to do.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes in what is unknown. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Resolver(Option<mpsc::Sender<UnknownGrant>>);

impl Resolver {
    /// One that asks nobody.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// Takes it in. Never waits; the next start finds in the log what there is no room for.
    pub fn add(&self, unknown: UnknownGrant) {
        if let Some(sender) = &self.0
            && let Err(error) = sender.try_send(unknown)
        {
            tracing::warn!(%error, "an unknown outcome is not resolved before the next start");
        }
    }
}

/// What asks.
pub struct Resolving {
    receiver: mpsc::Receiver<UnknownGrant>,
    schedule: Schedule,
    snapshot: Arc<ArcSwap<Snapshot>>,
    journal: Journal,
    clock: Arc<dyn Clock>,
    metrics: ResolverMetrics,
    connections: Connections,
    waiting: Vec<Waiting>,
    tell: Tell,
}

/// Is told what was found out, by the number of the decision.
pub type Tell = Box<dyn Fn(u64, Resolution) + Send + Sync>;

struct Waiting {
    unknown: UnknownGrant,
    since: Instant,
    /// How often Seam was asked.
    asked: u32,
    /// How often it said one after the other that the person cannot open the entrance.
    absent: u32,
    /// Why it gave no answer the last time.
    last: Option<NoAnswer>,
    due: Instant,
}

/// What is said at the end.
struct Said {
    resolution: Resolution,
    reason: Option<Reason>,
    status: Option<u16>,
}

/// For outcomes of `snapshot`'s upstream. Seam is asked first after `delay`. What is found out
/// goes on record, and `tell` is told.
#[must_use]
pub fn resolver(
    delay: Duration,
    snapshot: Arc<ArcSwap<Snapshot>>,
    journal: Journal,
    clock: Arc<dyn Clock>,
    metrics: ResolverMetrics,
    tell: Tell,
) -> (Resolver, Resolving) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let resolving = Resolving {
        receiver,
        schedule: Schedule::new(delay),
        snapshot,
        journal,
        clock,
        metrics,
        connections: Connections::default(),
        waiting: Vec::new(),
        tell,
    };
    (Resolver(Some(sender)), resolving)
}

impl Resolving {
    /// Asks until nobody can add anything any more. What an earlier process left is looked up in
    /// the log first.
    pub async fn run(mut self, log: LogReader) {
        let since = self.clock.now().checked_sub(AGE_MAX).unwrap_or_default();
        let left = tokio::task::spawn_blocking(move || unresolved(&log, since)).await;
        match left {
            Ok(Ok(left)) => left.into_iter().for_each(|unknown| self.take(unknown)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the log was not searched for unknown outcomes");
            }
            Err(error) => tracing::error!(%error, "the log was not searched"),
        }
        loop {
            let due = self.waiting.iter().map(|waiting| waiting.due).min();
            let due_at = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                added = self.receiver.recv() => match added {
                    Some(unknown) => self.take(unknown),
                    None => return,
                },
                () = sleep_until(due_at), if due.is_some() => {
                    self.ask_next().await;
                    tokio::time::sleep(PAUSE.min(self.schedule.delay())).await;
                }
            }
        }
    }

    fn take(&mut self, unknown: UnknownGrant) {
        let known = self.waiting.iter().any(|w| w.unknown.decision_seq == unknown.decision_seq);
        if known {
            return;
        }
        let cannot_tell = Said { resolution: Resolution::CannotTell, reason: None, status: None };
        if unknown.grantee.is_none() || self.waiting.len() >= WAITING_MAX {
            return self.resolve(&unknown, 0, &cannot_tell);
        }
        let since = Instant::now();
        let due = since + self.schedule.delay();
        self.waiting.push(Waiting { unknown, since, asked: 0, absent: 0, last: None, due });
        self.show();
    }

    /// Asks about what has waited longest beyond its time.
    async fn ask_next(&mut self) {
        let next = (0..self.waiting.len()).min_by_key(|n| self.waiting.get(*n).map(|w| w.due));
        let Some(mut waiting) = next.map(|next| self.waiting.swap_remove(next)) else { return };
        let UnknownGrant { ref workspace, entrance, grantee, at, .. } = waiting.unknown;
        let Some(grantee) = grantee else { return };
        let workspaces = self.snapshot.load().workspaces.clone();
        let answer = match workspaces.find(workspace.as_ref()) {
            Some(Workspace { upstream, .. }) => {
                upstream.can_open(&self.connections, grantee, entrance).await
            }
            // Another one would say, and truly, that nobody can open it.
            None => Err(NoAnswer { reason: Reason::WorkspaceUnknown, status: None }),
        };
        waiting.asked += 1;
        let age = self.clock.now().duration_since(at);
        let said = match answer {
            Ok(true) => Some(Said { resolution: Resolution::Granted, reason: None, status: None }),
            // Twice: one look, and a clock that was set, say little.
            Ok(false) if waiting.absent > 0 && self.schedule.is_final(age) => {
                Some(Said { resolution: Resolution::Absent, reason: None, status: None })
            }
            Ok(false) => {
                (waiting.absent, waiting.last) = (waiting.absent + 1, None);
                None
            }
            Err(no_answer) => {
                waiting.absent = 0;
                waiting.last = Some(no_answer);
                None
            }
        };
        let said = said.or_else(|| match self.schedule.next(waiting.asked) {
            Next::After(wait) => {
                waiting.due = waiting.since + wait;
                None
            }
            Next::GiveUp => Some(Said {
                resolution: Resolution::CannotTell,
                reason: waiting.last.map(|last| last.reason),
                status: waiting.last.and_then(|last| last.status),
            }),
        });
        match said {
            Some(said) => self.resolve(&waiting.unknown, waiting.asked, &said),
            None => self.waiting.push(waiting),
        }
        self.show();
    }

    fn resolve(&self, unknown: &UnknownGrant, asked: u32, said: &Said) {
        let UnknownGrant { request_id, decision_seq, entrance, .. } = unknown;
        let resolution = said.resolution.as_str();
        tracing::info!(%request_id, %entrance, resolution, asked, "an unknown outcome is resolved");
        self.metrics.resolved.with_label_values(&[resolution]).inc();
        self.journal.note_resolved(&ResolvedEntry {
            request_id: *request_id,
            decision_seq: *decision_seq,
            resolution: said.resolution,
            asked,
            reason: said.reason,
            status: said.status,
        });
        (self.tell)(*decision_seq, said.resolution);
    }

    fn show(&self) {
        let count = i64::try_from(self.waiting.len()).unwrap_or(i64::MAX);
        self.metrics.unresolved.set(count);
    }
}
