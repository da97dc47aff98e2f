//! Which segments must be read: those that may hold a part of what is searched for.
//!
//! A decision and its outcome may lie in different segments. Where only the outcome can
//! tell, the segment of the decision must be read too; the other way round, the walk goes
//! on for as long as a decision waits for its outcome.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bloom::Kind;
use super::filter::{Filter, Keys};
use super::index::{self, Index};
use crate::audit::log::directory::LogReader;
use crate::audit::log::error::ReadError;
use crate::audit::log::segment::Segment;

/// Is told how many of the missing indexes are made, of how many.
pub type Making<'m> = &'m (dyn Fn(usize, usize) + Sync);

/// Whether indexes are used.
#[derive(Clone, Copy)]
pub enum Indexes<'m> {
    /// Used, and made where one is missing and the directory can be written to.
    Kept(Making<'m>),
    /// Used where they are there.
    Present,
    /// Every segment is read.
    Unused,
}

/// The segments in order, and which of them to read.
pub(super) struct Plan<'l> {
    pub(super) log: &'l LogReader,
    pub(super) segments: Vec<Segment>,
    pub(super) indexes: Vec<Option<Index>>,
    pub(super) read: Vec<bool>,
}

impl<'l> Plan<'l> {
    pub(super) fn new(
        log: &'l LogReader,
        filter: &Filter,
        indexes: Indexes<'_>,
    ) -> Result<Self, ReadError> {
        let segments = log.segments()?;
        let indexes = match indexes {
            Indexes::Kept(making) if filter.narrows() => indexes_of(log, &segments, making),
            Indexes::Present if filter.narrows() => present(&segments),
            Indexes::Kept(_) | Indexes::Present | Indexes::Unused => vec![None; segments.len()],
        };
        let read = indexes.iter().map(|index| index.as_ref().is_none_or(|i| i.damaged > 0));
        let mut plan = Self { log, read: read.collect(), segments, indexes };
        if filter.wants_decisions() {
            plan.read_decisions(filter);
        }
        if filter.wants_other_singles() {
            let keys = filter.single_keys();
            plan.read_where(|plan, at| plan.may_be_then(at, filter) && plan.may_hold(at, &keys));
        }
        Ok(plan)
    }

    /// The segment that a record belongs to; none when it is older than the log.
    pub(super) fn home(&self, seq: u64) -> Option<usize> {
        self.segments.partition_point(|segment| segment.first_seq <= seq).checked_sub(1)
    }

    pub(super) fn index(&self, at: usize) -> Option<&Index> {
        self.indexes.get(at).and_then(Option::as_ref)
    }

    fn read_where(&mut self, may: impl Fn(&Self, usize) -> bool) {
        for at in 0..self.segments.len() {
            if may(self, at) {
                self.mark(at);
            }
        }
    }

    fn mark(&mut self, at: usize) {
        if let Some(read) = self.read.get_mut(at) {
            *read = true;
        }
    }

    fn may_hold(&self, at: usize, keys: &Keys) -> bool {
        self.index(at).is_none_or(|index| index.may_hold(keys))
    }

    /// Whether records of this segment may be of the time that is searched.
    fn may_be_then(&self, at: usize, filter: &Filter) -> bool {
        let Some(index) = self.index(at) else { return true };
        let Some((earliest, latest)) = index.times else { return false };
        filter.since.is_none_or(|since| since.as_microsecond() <= latest)
            && filter.until.is_none_or(|until| earliest <= until.as_microsecond())
    }

    fn read_decisions(&mut self, filter: &Filter) {
        let keys = filter.decision_keys();
        let decisions: Vec<bool> = (0..self.segments.len())
            .map(|at| self.may_be_then(at, filter) && self.may_hold(at, &keys))
            .collect();
        let decision_at = |at: usize| decisions.get(at).copied().unwrap_or(true);
        let outcome_keys = filter.outcome_keys();
        if filter.request_id.is_some() {
            // Its decision may be older than the log.
            self.read_where(|plan, at| plan.may_hold(at, &outcome_keys));
        }
        if !filter.needs_outcome() {
            self.read_where(|_, at| decision_at(at));
            return;
        }
        let (mut by_outcome, mut by_decision) = (outcome_keys, None);
        if !filter.only_outcome() {
            by_outcome.extend(filter.reason_key(Kind::OutcomeReason));
            by_decision = Some(filter.reason_key(Kind::DecisionReason));
        }
        if let Some(reason) = by_decision {
            self.read_where(|plan, at| decision_at(at) && plan.may_hold(at, &reason));
        }
        for at in 0..self.segments.len() {
            if self.may_hold(at, &by_outcome) {
                self.read_outcomes(at, &decision_at);
            }
        }
    }

    /// This segment may have the outcome: it is read where its decision may be in the log,
    /// and so is what may have the decision.
    fn read_outcomes(&mut self, at: usize, decision_at: &impl Fn(usize) -> bool) {
        let from = match self.index(at) {
            None => Some(at.saturating_sub(1)),
            Some(index) => match index.outcomes_from {
                None => return,
                Some(seq) => self.home(seq),
            },
        };
        let decisions: Vec<usize> =
            (from.unwrap_or(0)..=at).filter(|at| decision_at(*at)).collect();
        if from.is_none() || !decisions.is_empty() {
            self.mark(at);
        }
        decisions.into_iter().for_each(|at| self.mark(at));
    }
}

/// The indexes that there are.
fn present(segments: &[Segment]) -> Vec<Option<Index>> {
    segments.iter().map(|one| one.is_closed().then(|| index::load(one)).flatten()).collect()
}

/// The indexes of all closed segments, made where they are missing.
fn indexes_of(log: &LogReader, segments: &[Segment], making: Making<'_>) -> Vec<Option<Index>> {
    let closed = segments.iter().filter(|segment| segment.is_closed());
    let mut found: Vec<Option<Index>> = closed.map(index::load).collect();
    let is_missing = |(at, index): (usize, &Option<Index>)| index.is_none().then_some(at);
    let missing: Vec<usize> = found.iter().enumerate().filter_map(is_missing).collect();
    let made = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(at) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            let index = segments.get(*at).and_then(|segment| index::make(log, segment));
            let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
            made.push((*at, index));
            making(made.len(), missing.len());
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 1..cores.min(missing.len()) {
            scope.spawn(work);
        }
        work();
    });
    for (at, index) in made.into_inner().unwrap_or_else(PoisonError::into_inner) {
        if let Some(place) = found.get_mut(at) {
            *place = index;
        }
    }
    // The newest has none.
    found.push(None);
    found
}
