//! What an earlier process sent, out of the log.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Duplicates;
use super::table::{Asked, Doubt, Grant, State, Table};
use crate::audit::search::{AttemptNews, GrantAttempt};
use crate::audit::{GranteeMark, Journal};
use crate::domain::{IdempotencyKey, Operation, Outcome};

/// Takes in what the log says, in its order.
#[derive(Debug)]
pub struct Recall<'d> {
    duplicates: &'d Duplicates,
    window: Duration,
    /// Both now.
    clocks: (Timestamp, Instant),
    /// Decisions of which another was told that they were granted.
    confirmed: HashSet<u64>,
}

impl Duplicates {
    /// Takes in what was sent since `window` before this time; nothing is asked for meanwhile.
    #[must_use]
    pub fn recall(&self, window: Duration, now: Timestamp) -> Recall<'_> {
        let (clocks, confirmed) = ((now, Instant::now()), HashSet::new());
        Recall { duplicates: self, window, clocks, confirmed }
    }
}

impl Recall<'_> {
    /// Takes in one thing that the log says.
    pub fn take(&mut self, news: AttemptNews, journal: &Journal) {
        match news {
            AttemptNews::Ended { attempt, outcome, same_as } => {
                let (kind, text) = &attempt.grantee;
                // One that names nobody is none that can be asked for again.
                if let Some(grantee) = journal.mark_of_record(*kind, text) {
                    self.ended(&attempt, grantee, outcome, same_as);
                }
            }
            AttemptNews::Resolved { seq, resolution } => {
                self.duplicates.resolved(seq, resolution);
            }
        }
    }

    fn ended(
        &mut self,
        attempt: &GrantAttempt,
        grantee: GranteeMark,
        outcome: Outcome,
        same_as: Option<u64>,
    ) {
        let (operation, entrance) = (Operation::GrantAccess, attempt.entrance);
        let workspace = attempt.workspace.clone();
        let asked = Asked { operation, workspace, entrance, grantee };
        let grant = Grant { caller: attempt.caller.clone(), asked };
        let until = self.until(attempt.at);
        if until <= self.clocks.1 {
            return;
        }
        let (seq, sent_as) = (attempt.seq, same_as.unwrap_or(attempt.seq));
        let mut table = self.duplicates.table.lock();
        let state = match outcome {
            Outcome::Granted | Outcome::Answered => {
                match same_as {
                    None => table.confirmed(&grant, seq),
                    Some(sent_as) => {
                        self.confirmed.insert(sent_as);
                        confirm(&mut table, sent_as);
                    }
                }
                State::Granted(sent_as)
            }
            Outcome::Unknown | Outcome::Unanswered => {
                if same_as.is_none() {
                    table.doubt(&grant, Doubt { seq, until });
                    if self.confirmed.contains(&seq) {
                        confirm(&mut table, seq);
                    }
                }
                State::Unknown(sent_as)
            }
            Outcome::Rejected | Outcome::NotSent => State::Nothing,
        };
        if let Some(key) = attempt.key.as_deref().and_then(IdempotencyKey::of_record) {
            table.recall_key(&grant, &key, state, until);
        }
    }

    /// When something of this time is forgotten. What is of the future, by a clock that was set
    /// back since, has its whole time before it and no more.
    fn until(&self, at: Timestamp) -> Instant {
        let (now, instant) = self.clocks;
        let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
        instant + self.window.saturating_sub(age)
    }

    /// All of it was taken in.
    pub fn end(self) {
        self.duplicates.table.lock().settle();
    }
}

/// Somebody was told that it was granted, so it was: whatever its own record says, or that of
/// the start which closed it.
fn confirm(table: &mut Table, seq: u64) {
    table.resolved(seq, crate::domain::Resolution::Granted);
}
