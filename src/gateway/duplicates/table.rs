//! What is in flight, and what is remembered of what was sent: the table itself, which reads no
//! clock.

mod room;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Told;
use crate::audit::GranteeMark;
use crate::domain::{
    CallerId, EntranceId, IdempotencyKey, Operation, Outcome, Reason, Resolution, WorkspaceName,
};

/// What is remembered, and how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) window: Duration,
    /// Keys of one caller; and as many of its grants whose outcome is unknown.
    pub(super) of_caller: usize,
    /// The same of all callers together.
    pub(super) of_all: usize,
}

/// What is asked for, without who asks: the fingerprint of a key's request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::gateway) struct Asked {
    pub(super) operation: Operation,
    /// In which workspace, where workspaces have names.
    pub(super) workspace: Option<WorkspaceName>,
    pub(super) entrance: EntranceId,
    pub(super) grantee: GranteeMark,
}

/// What is granted, by whom: two requests for the same are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::gateway) struct Grant {
    pub(super) caller: CallerId,
    pub(super) asked: Asked,
}

/// What a request does that was permitted.
#[derive(Debug)]
pub(super) enum Begun {
    /// It is sent. It has the place of its grant until [`Table::finish`].
    Leads,
    /// It is answered as the one that has the place.
    Joins(oneshot::Receiver<Told>),
    /// It is answered at once.
    Known(Known),
    /// It is refused.
    Refused(Reason),
}

/// What is known of what was sent before; with the number of its decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Seam confirmed it, or said later that it is so.
    Granted(u64),
    /// Nobody knows.
    Unknown(u64),
}

/// What was in flight and is not any more.
#[derive(Debug)]
pub(super) struct Ended {
    /// Who waits to be told.
    pub(super) waiting: Vec<oneshot::Sender<Told>>,
    /// The keys that it, and who joined it, came with.
    pub(super) keys: Vec<IdempotencyKey>,
    /// What became of them.
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) struct Table {
    bounds: Bounds,
    grants: HashMap<Grant, Latest>,
    keys: HashMap<CallerId, HashMap<IdempotencyKey, Kept>>,
    /// How many there are.
    keys_of_all: usize,
    /// What was found out of unknown outcomes, by the number of the decision.
    found: HashMap<u64, Finding>,
    /// How many doubts there are in `grants`, by caller.
    doubts: HashMap<CallerId, usize>,
    doubts_of_all: usize,
    /// What is to be forgotten, the first first.
    ends: VecDeque<(Instant, End)>,
}

/// The latest attempt at a grant.
#[derive(Debug)]
enum Latest {
    Flying(Flight),
    InDoubt(Doubt),
}

/// What is in flight.
#[derive(Debug, Default)]
struct Flight {
    /// The number of its decision, once that is durable.
    seq: Option<u64>,
    /// The keys that it, and who joined it, came with.
    keys: Vec<IdempotencyKey>,
    waiting: Vec<oneshot::Sender<Told>>,
    /// An attempt before it whose outcome is unknown.
    before: Option<Doubt>,
}

/// An attempt whose outcome is unknown, or was when it ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubt {
    pub(super) seq: u64,
    pub(super) until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    Open,
    Granted,
    Absent,
}

/// What is remembered of a key.
#[derive(Debug)]
struct Kept {
    asked: Asked,
    state: State,
    until: Instant,
}

/// What became of a key's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Flying,
    /// Seam refused it, or nothing was sent: it may be sent as if it had not been.
    Nothing,
    Granted(u64),
    Unknown(u64),
}

#[derive(Debug)]
enum End {
    Key(CallerId, IdempotencyKey),
    Doubt(Box<Grant>, u64),
}

impl Table {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            grants: HashMap::new(),
            keys: HashMap::new(),
            keys_of_all: 0,
            found: HashMap::new(),
            doubts: HashMap::new(),
            doubts_of_all: 0,
            ends: VecDeque::new(),
        }
    }

    /// Keys that are remembered.
    pub(super) fn keys(&self) -> usize {
        self.keys_of_all
    }

    /// Grants whose latest attempt is, or was, unknown.
    #[cfg(test)]
    pub(super) fn doubts(&self) -> usize {
        self.doubts_of_all
    }

    /// A permitted request looks itself up.
    pub(super) fn begin(
        &mut self,
        grant: &Grant,
        key: Option<&IdempotencyKey>,
        now: Instant,
    ) -> Begun {
        self.forget_some(now);
        let kept = key.and_then(|key| self.kept(&grant.caller, key, now));
        // Whether it is for this grant, and what became of what it was used for.
        let kept = kept.map(|kept| (kept.asked == grant.asked, kept.state));
        if let Some((is_same, state)) = kept {
            if !is_same {
                return Begun::Refused(Reason::IdempotencyKeyReused);
            }
            let known = match state {
                State::Flying | State::Nothing => None,
                State::Granted(seq) => Some(Known::Granted(seq)),
                State::Unknown(seq) => self.known(seq),
            };
            if let Some(known) = known {
                return Begun::Known(known);
            }
        }
        // Only what the caller did not name before asks for another try.
        let is_new = key.is_some() && kept.is_none();
        if is_new && !self.has_room_for_key(&grant.caller, now) {
            return Begun::Refused(Reason::IdempotencyKeysExhausted);
        }
        if let Some(Latest::Flying(flight)) = self.grants.get_mut(grant) {
            let (sender, receiver) = oneshot::channel();
            flight.waiting.push(sender);
            let own = key.filter(|_| kept.is_none_or(|(_, state)| state != State::Flying));
            flight.keys.extend(own.cloned());
            self.keep(grant, key, State::Flying, now);
            return Begun::Joins(receiver);
        }
        let doubt = self.doubt_of(grant);
        if doubt.is_none() && !self.has_room_for_doubt(&grant.caller, now) {
            return Begun::Refused(Reason::IdempotencyKeysExhausted);
        }
        let doubt = doubt.filter(|doubt| doubt.until > now && !is_new);
        if let Some(known) = doubt.and_then(|doubt| self.known(doubt.seq)) {
            return Begun::Known(known);
        }
        self.lead(grant, key, now);
        Begun::Leads
    }

    /// Takes the place of a grant.
    fn lead(&mut self, grant: &Grant, key: Option<&IdempotencyKey>, now: Instant) {
        let before = self.doubt_of(grant);
        let flight =
            Flight { before, keys: key.cloned().into_iter().collect(), ..Flight::default() };
        self.grants.insert(grant.clone(), Latest::Flying(flight));
        self.keep(grant, key, State::Flying, now);
    }

    /// That the decision of what is in flight is durable: from here on it may be sent.
    pub(super) fn recorded(&mut self, grant: &Grant, seq: u64) {
        if let Some(Latest::Flying(flight)) = self.grants.get_mut(grant) {
            flight.seq = Some(seq);
        }
    }

    /// The number of that decision.
    pub(super) fn seq(&self, grant: &Grant) -> Option<u64> {
        match self.grants.get(grant) {
            Some(Latest::Flying(flight)) => flight.seq,
            Some(Latest::InDoubt(doubt)) => Some(doubt.seq),
            None => None,
        }
    }

    /// Frees the place of what was in flight.
    pub(super) fn finish(&mut self, grant: &Grant, outcome: Outcome, now: Instant) -> Ended {
        let Some(Latest::Flying(flight)) = self.grants.remove(grant) else {
            return Ended { waiting: Vec::new(), keys: Vec::new(), state: State::Nothing };
        };
        let Flight { seq, keys, waiting, before } = flight;
        let until = now + self.bounds.window;
        let state = match (outcome, seq) {
            (Outcome::Granted | Outcome::Answered, Some(seq)) => {
                self.undoubt(&grant.caller, before);
                State::Granted(seq)
            }
            (Outcome::Unknown | Outcome::Unanswered, Some(seq)) => {
                self.undoubt(&grant.caller, before);
                self.doubt(grant, Doubt { seq, until });
                State::Unknown(seq)
            }
            // It says nothing of an attempt before it.
            (Outcome::Rejected | Outcome::NotSent, _) | (_, None) => {
                let before = before.map(Latest::InDoubt);
                self.grants.extend(before.map(|before| (grant.clone(), before)));
                State::Nothing
            }
        };
        for key in &keys {
            self.keep(grant, Some(key), state, until);
            self.ends.push_back((until, End::Key(grant.caller.clone(), key.clone())));
        }
        Ended { waiting, keys, state }
    }

    /// What was found out of an unknown outcome. What is found out once stays so.
    pub(super) fn resolved(&mut self, seq: u64, resolution: Resolution) {
        let finding = match resolution {
            Resolution::Granted => Finding::Granted,
            Resolution::Absent => Finding::Absent,
            Resolution::CannotTell => Finding::Open,
        };
        if let Some(found) = self.found.get_mut(&seq).filter(|found| **found == Finding::Open) {
            *found = finding;
        }
    }

    /// Remembers what became of a key's request.
    pub(super) fn keep(
        &mut self,
        grant: &Grant,
        key: Option<&IdempotencyKey>,
        state: State,
        until: Instant,
    ) {
        let Some(key) = key else { return };
        let asked = grant.asked.clone();
        let keys = self.keys.entry(grant.caller.clone()).or_default();
        let before = keys.insert(key.clone(), Kept { asked, state, until });
        self.keys_of_all += usize::from(before.is_none());
    }

    /// The same of one before this process began, in any order.
    pub(super) fn recall_key(
        &mut self,
        grant: &Grant,
        key: &IdempotencyKey,
        state: State,
        until: Instant,
    ) {
        self.keep(grant, Some(key), state, until);
        self.ends.push_back((until, End::Key(grant.caller.clone(), key.clone())));
    }

    /// The latest attempt at a grant ended, and nobody knows how.
    pub(super) fn doubt(&mut self, grant: &Grant, doubt: Doubt) {
        self.found.insert(doubt.seq, Finding::Open);
        self.ends.push_back((doubt.until, End::Doubt(Box::new(grant.clone()), doubt.seq)));
        if let Some(Latest::InDoubt(old)) = self.grants.get(grant) {
            if old.seq > doubt.seq {
                return;
            }
        } else {
            *self.doubts.entry(grant.caller.clone()).or_default() += 1;
            self.doubts_of_all += 1;
        }
        self.grants.insert(grant.clone(), Latest::InDoubt(doubt));
    }

    /// A later attempt at it than `before` was confirmed.
    pub(super) fn confirmed(&mut self, grant: &Grant, before: u64) {
        if matches!(self.grants.get(grant), Some(Latest::InDoubt(doubt)) if doubt.seq < before) {
            self.grants.remove(grant);
            self.undo_doubt(&grant.caller);
        }
    }

    /// After what was before was recalled: what ends first is forgotten first.
    pub(super) fn settle(&mut self) {
        self.ends.make_contiguous().sort_by_key(|(until, _)| *until);
    }

    /// What a key that is not past its time was used for.
    fn kept(&self, caller: &CallerId, key: &IdempotencyKey, now: Instant) -> Option<&Kept> {
        let kept = self.keys.get(caller)?.get(key)?;
        let counts = kept.state == State::Flying || kept.until > now;
        counts.then_some(kept)
    }

    fn doubt_of(&self, grant: &Grant) -> Option<Doubt> {
        match self.grants.get(grant) {
            Some(Latest::InDoubt(doubt)) => Some(*doubt),
            Some(Latest::Flying(_)) | None => None,
        }
    }

    /// What is known of an unknown outcome; none where nothing was changed, and so it may be
    /// sent.
    fn known(&self, seq: u64) -> Option<Known> {
        match self.found.get(&seq) {
            Some(Finding::Granted) => Some(Known::Granted(seq)),
            Some(Finding::Absent) => None,
            Some(Finding::Open) | None => Some(Known::Unknown(seq)),
        }
    }
}
