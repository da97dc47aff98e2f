//! The walk over the lines: decisions wait in a queue for their outcomes and leave it in
//! order.
//!
//! Memory is bounded by the decisions that are open at one time. A checkpoint says which
//! those are: an older one without an outcome will never have one.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use super::bloom::Kind;
use super::filter::{Filter, Needles};
use super::plan::Plan;
use super::{Hit, QuerySummary};
use crate::audit::log::cursor::{Line, problem_at};
use crate::audit::log::directory::LogReader;
use crate::audit::log::error::{InputError, ReadError};
use crate::audit::log::segment::Segment;
use crate::audit::record::event::Event;
use crate::audit::record::glance::{self, Glance, has_escapes};
use crate::audit::record::parse::{Parsed, Record};
use crate::domain::Problem;

/// Damaged lines beyond this number are counted and not named.
const DAMAGED_NAMED_MAX: usize = 20;

/// Where a log has no checkpoints, so many rows wait for an outcome and no more.
const WAITING_MAX: usize = 100_000;

/// After so many lines it is looked at the time.
const LOOK_AT_TIME: u64 = 4_096;

/// Takes what is found.
pub(super) type Each<'e> = &'e mut dyn FnMut(Hit) -> io::Result<()>;

pub(super) struct Walk<'q> {
    plan: &'q Plan<'q>,
    filter: &'q Filter,
    /// The first segment that is looked at.
    from: usize,
    rows_max: u64,
    each: Each<'q>,
    glance: Glance,
    decision: Needles,
    outcome: Needles,
    queue: VecDeque<Waiting>,
    /// Segments that were read.
    seen: Vec<bool>,
    summary: QuerySummary,
    full: bool,
    /// Nobody waits for what is found after this.
    until: Option<Instant>,
    /// The segment and the line that is looked at.
    place: (usize, u64),
}

struct Waiting {
    seq: u64,
    /// The segment and the line.
    place: (usize, u64),
    hit: Hit,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its outcome may come.
    Open,
    /// To be judged.
    Settled,
    /// Not what is searched for.
    Dropped,
}

impl<'q> Walk<'q> {
    pub(super) fn new(
        plan: &'q Plan<'q>,
        filter: &'q Filter,
        from: usize,
        rows_max: u64,
        each: Each<'q>,
    ) -> Self {
        Self {
            plan,
            filter,
            from,
            rows_max,
            each,
            glance: Glance::new(),
            decision: Needles::of_decision(filter),
            outcome: Needles::of_outcome(filter),
            queue: VecDeque::new(),
            seen: vec![false; plan.segments.len()],
            summary: QuerySummary::default(),
            full: false,
            until: None,
            place: (0, 0),
        }
    }

    /// The same, that ends with an error at this time.
    pub(super) fn until(self, until: Option<Instant>) -> Self {
        Self { until, ..self }
    }

    /// Gives what is found to `each`, in order.
    pub(super) fn run(mut self) -> Result<QuerySummary, ReadError> {
        self.full = self.rows_max == 0;
        for (at, segment) in self.plan.segments.iter().enumerate().skip(self.from) {
            let planned = self.plan.read.get(at).copied().unwrap_or(true);
            // Behind the last record that is wanted there are outcomes of those before it, at most.
            let is_over = self.filter.is_behind(segment.first_seq) && self.queue.is_empty();
            if self.full || is_over || !(planned || self.is_awaited(at)) {
                continue;
            }
            if let Some(seen) = self.seen.get_mut(at) {
                *seen = true;
            }
            self.summary.segments_read += 1;
            self.segment(at, segment)?;
        }
        self.settle(u64::MAX)?;
        self.summary.stopped_early = self.full;
        Ok(self.summary)
    }

    /// Whether the outcome of a decision that waits may be in this segment.
    fn is_awaited(&self, at: usize) -> bool {
        let Some(index) = self.plan.index(at) else { return true };
        // Outcomes of another kind are of no use.
        if self.filter.only_outcome() && !index.may_hold(&self.filter.outcome_keys()) {
            return false;
        }
        let open = self.queue.iter().filter(|waiting| waiting.state == State::Open);
        open.filter_map(|waiting| Record::parse(&waiting.hit.line))
            .any(|r| r.request_id().is_none_or(|id| index.has(Kind::RequestId, id)))
    }

    fn segment(&mut self, at: usize, segment: &Segment) -> Result<(), ReadError> {
        let Some(mut cursor) = self.plan.log.read_if_there(segment)? else { return Ok(()) };
        let thorough = self.plan.index(at).is_some_and(|index| index.damaged > 0);
        while let Some(line) = cursor.next()? {
            if !segment.is_closed() {
                self.summary.newest_records += u64::from(line.whole().is_some());
            }
            if line.number % LOOK_AT_TIME == 1 && self.until.is_some_and(|end| Instant::now() > end)
            {
                return Err(ReadError::Output(io::ErrorKind::TimedOut.into()));
            }
            self.place = (at, line.number);
            self.line(&line, thorough)?;
            if self.full {
                break;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &Line<'_>, thorough: bool) -> Result<(), ReadError> {
        let event = line.whole().filter(|_| !thorough).and_then(|bytes| self.glance.event(bytes));
        let whole = match event {
            Some(event) => self.record(event, line.bytes)?,
            None => match line.record() {
                Some(record) => self.record(record.event().as_bytes(), line.bytes)?,
                None => false,
            },
        };
        if whole {
            return Ok(());
        }
        let mut problem = line.problem();
        if let Parsed::Newer(version) = line.parsed() {
            problem.text = format!(
                "a record of format version {version}, which a newer version of grantgate reads"
            );
        }
        if line.is_torn() {
            self.summary.torn = Some(problem);
        } else {
            self.damaged(problem);
        }
        Ok(())
    }

    fn damaged(&mut self, problem: Problem) {
        self.summary.damaged_lines += 1;
        if self.summary.damaged.len() < DAMAGED_NAMED_MAX {
            self.summary.damaged.push(problem);
        }
    }

    /// Takes a line that seems to be a record of this event; false when it is seen to be
    /// none. Most lines are not looked into.
    fn record(&mut self, event: &[u8], line: &[u8]) -> Result<bool, ReadError> {
        // One that this program does not know is not searched for.
        let Some(event) = Event::of_bytes(event) else { return Ok(true) };
        if event == Event::Decision {
            return self.decision(line);
        }
        if event == Event::Outcome && !self.outcome(line)? {
            return Ok(false);
        }
        if event == Event::Checkpoint && !self.queue.is_empty() {
            let Some(record) = Record::parse(line) else { return Ok(false) };
            self.settle(record.open_from.unwrap_or(u64::MAX))?;
        }
        if !self.filter.wants_single(event) {
            return Ok(true);
        }
        let Some(record) = Record::parse(line) else { return Ok(false) };
        if self.filter.finds_single(&record) {
            self.push(record.seq, line, State::Settled)?;
        }
        Ok(true)
    }

    fn decision(&mut self, line: &[u8]) -> Result<bool, ReadError> {
        if !self.filter.wants_decisions() || !self.decision.may_match(&self.glance, line) {
            return Ok(true);
        }
        // The word may be the candidate's: then this waits in vain, and is judged later.
        let allowed = self.glance.may_allow(line);
        let spaced = self.glance.event(line).is_none();
        let state = if allowed || spaced { State::Open } else { State::Settled };
        if state == State::Settled && self.filter.only_outcome() {
            return Ok(true);
        }
        let seq = glance::seq(line).or_else(|| Record::parse(line).map(|record| record.seq));
        let Some(seq) = seq else { return Ok(false) };
        self.push(seq, line, state)?;
        Ok(true)
    }

    fn push(&mut self, seq: u64, line: &[u8], state: State) -> Result<(), ReadError> {
        if self.filter.is_behind(seq) {
            return Ok(());
        }
        let hit = Hit { line: line.to_vec(), outcome: None };
        let waiting = Waiting { seq, place: self.place, hit, state };
        // Numbers that go back are damage: what waits is not mixed with it.
        if self.queue.back().is_some_and(|last| last.seq >= waiting.seq) {
            self.settle(u64::MAX)?;
        }
        self.queue.push_back(waiting);
        if self.queue.len() > WAITING_MAX
            && let Some(front) = self.queue.front_mut()
            && front.state == State::Open
        {
            front.state = State::Settled;
        }
        self.give_out()
    }

    fn outcome(&mut self, line: &[u8]) -> Result<bool, ReadError> {
        let searched = self.filter.needs_outcome() || self.filter.request_id.is_some();
        if !self.filter.wants_decisions() || (self.queue.is_empty() && !searched) {
            return Ok(true);
        }
        let fits = self.outcome.may_match(&self.glance, line);
        let seq = if has_escapes(line) { None } else { self.glance.decision_seq(line) };
        let seq = seq.or_else(|| Record::parse(line)?.decision_seq);
        let Some(seq) = seq else { return Ok(Record::parse(line).is_some()) };
        let Ok(place) = self.queue.binary_search_by_key(&seq, |waiting| waiting.seq) else {
            return if fits && searched { self.lone_outcome(seq, line) } else { Ok(true) };
        };
        let Some(waiting) = self.queue.get_mut(place).filter(|w| w.state == State::Open) else {
            return Ok(true);
        };
        if !fits && self.filter.only_outcome() {
            waiting.state = State::Dropped;
        } else if Record::parse(line).is_some_and(|record| record.decision_seq == Some(seq)) {
            waiting.hit.outcome = Some(line.to_vec());
            waiting.state = State::Settled;
        } else {
            return Ok(false);
        }
        self.give_out()?;
        Ok(true)
    }

    /// An outcome whose decision does not wait: it was not searched for, or its segment was
    /// not read, or it is older than the log.
    fn lone_outcome(&mut self, seq: u64, line: &[u8]) -> Result<bool, ReadError> {
        let Some(outcome) = Record::parse(line) else { return Ok(false) };
        if self.filter.is_behind(seq) {
            return Ok(true);
        }
        let Some(home) = self.plan.home(seq) else {
            if self.filter.finds_orphan(&outcome) {
                self.push(outcome.seq, line, State::Settled)?;
            }
            return Ok(true);
        };
        let judged = home < self.from || self.seen.get(home).copied().unwrap_or(true);
        let segment = self.plan.segments.get(home).filter(|_| !judged);
        let Some(segment) = segment.filter(|_| self.filter.tells_alone(&outcome)) else {
            return Ok(true);
        };
        if let Some(decision) = find(self.plan.log, segment, seq)? {
            let hit = Hit { line: decision, outcome: Some(line.to_vec()) };
            if self.is_found(&hit) == Some(true) {
                self.give(hit)?;
            }
        }
        Ok(true)
    }

    /// Decisions before this number get no outcome any more.
    fn settle(&mut self, before: u64) -> Result<(), ReadError> {
        let open = self.queue.iter_mut().take_while(|waiting| waiting.seq < before);
        open.filter(|w| w.state == State::Open).for_each(|w| w.state = State::Settled);
        self.give_out()
    }

    fn give_out(&mut self) -> Result<(), ReadError> {
        while !self.full && self.queue.front().is_some_and(|front| front.state != State::Open) {
            let Some(waiting) = self.queue.pop_front() else { break };
            if waiting.state == State::Dropped {
                continue;
            }
            match self.is_found(&waiting.hit) {
                Some(true) => self.give(waiting.hit)?,
                Some(false) => {}
                None => {
                    let (at, line) = waiting.place;
                    let segment = self.plan.segments.get(at);
                    segment.into_iter().for_each(|s| self.damaged(problem_at(s, line)));
                }
            }
        }
        Ok(())
    }

    /// Whether it is what is searched for; none when it is no record at all.
    fn is_found(&self, hit: &Hit) -> Option<bool> {
        let record = Record::parse(&hit.line)?;
        if !record.is(Event::Decision) {
            // It was judged before it was put there.
            return Some(true);
        }
        let outcome = hit.outcome.as_deref().and_then(Record::parse);
        Some(self.filter.finds(&record, outcome.as_ref()))
    }

    fn give(&mut self, hit: Hit) -> Result<(), ReadError> {
        if self.full {
            return Ok(());
        }
        (self.each)(hit).map_err(ReadError::Output)?;
        self.summary.found += 1;
        self.full = self.summary.found >= self.rows_max;
        Ok(())
    }
}

/// The line with this number.
fn find(log: &LogReader, segment: &Segment, seq: u64) -> Result<Option<Vec<u8>>, InputError> {
    let Some(mut cursor) = log.read_if_there(segment)? else { return Ok(None) };
    while let Some(line) = cursor.next()? {
        let Some(bytes) = line.whole() else { continue };
        let found = glance::seq(bytes).or_else(|| Record::parse(bytes).map(|record| record.seq));
        if found == Some(seq) {
            return Ok(Some(bytes.to_vec()));
        }
    }
    Ok(None)
}
