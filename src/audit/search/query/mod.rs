//! Searching a log: which decisions were made and what became of them.
//!
//! Needs no lock. All that it writes are indexes beside closed segments, and only where it
//! may. What is found does not depend on them: an index only tells which segments need not
//! be read.

mod bloom;
mod filter;
mod index;
mod plan;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use crate::audit::log::directory::LogReader;
use crate::audit::log::error::ReadError;
use crate::audit::record::event::Event;
use crate::audit::record::glance;
use crate::audit::record::parse::Record;
use crate::domain::{GranteeKind, Problem};
pub use filter::Filter;
pub(in crate::audit) use index::load as load_index;
use plan::Plan;
pub use plan::{Indexes, Making};
use scan::Walk;

/// How much of what is found is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// All of it.
    All,
    /// The oldest so many.
    First(usize),
    /// The newest so many.
    Last(usize),
}

/// One thing that was found, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    line: Vec<u8>,
    outcome: Option<Vec<u8>>,
}

/// The fields of a hit as texts; those that it does not have are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its sequence number.
    pub seq: u64,
    /// When, RFC 3339.
    pub time: String,
    /// The event.
    pub event: String,
    /// The gateway's id of the request.
    pub request_id: String,
    /// Who asked.
    pub caller: String,
    /// What was asked for; empty where it was to grant access.
    pub operation: String,
    /// In which workspace, where workspaces have names.
    pub workspace: String,
    /// For which entrance.
    pub entrance_id: String,
    /// For whom.
    pub grantee: String,
    /// In which form that was said; none where nobody is to get access.
    pub grantee_kind: Option<GranteeKind>,
    /// `allow` or `deny`.
    pub decision: String,
    /// Why.
    pub reason: String,
    /// What became of it.
    pub outcome: String,
    /// Why it became that.
    pub outcome_reason: String,
    /// Seam's id of the request.
    pub seam_request_id: String,
    /// The caller's own name for the request.
    pub idempotency_key: String,
    /// The decision of this log whose outcome this is too.
    pub same_as: Option<u64>,
    /// The gateway one of whose decisions it is, where it is another one's.
    pub same_as_replica: Option<String>,
}

impl Found {
    /// The decision for which something was sent: its own, or the one whose outcome it has.
    #[must_use]
    pub fn sent_as(&self) -> u64 {
        self.same_as.unwrap_or(self.seq)
    }
}

impl Hit {
    /// A line alone.
    #[must_use]
    pub fn of_line(line: &[u8]) -> Self {
        Self { line: line.to_vec(), outcome: None }
    }

    /// The line of the decision, or of whatever else was found, without its newline.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The line of the decision's outcome.
    #[must_use]
    pub fn outcome_line(&self) -> Option<&[u8]> {
        self.outcome.as_deref()
    }

    /// Its sequence number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        glance::seq(&self.line)
            .or_else(|| Record::parse(&self.line).map(|record| record.seq))
            .unwrap_or_default()
    }

    /// The fields.
    #[must_use]
    pub fn fields(&self) -> Found {
        let Some(line) = Record::parse(&self.line) else { return Found::default() };
        let outcome = self.outcome.as_deref().and_then(Record::parse);
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        // An outcome on its own has these itself.
        let closed = if line.is(Event::Decision) { outcome.as_ref() } else { Some(&line) };
        let counted = line.reasons.iter().flat_map(|reasons| reasons.keys());
        let counted: Vec<&str> = counted.map(String::as_str).collect();
        Found {
            seq: line.seq,
            time: line.time_text().to_owned(),
            event: line.event().to_owned(),
            request_id: owned(line.request_id()),
            caller: owned(line.caller()),
            operation: owned(line.operation_name()),
            workspace: owned(line.workspace()),
            entrance_id: owned(line.entrance_id()),
            grantee: owned(line.grantee()),
            grantee_kind: line.grantee_kind(),
            decision: owned(line.decision()),
            reason: line.reason().map_or_else(|| counted.join(" "), str::to_owned),
            outcome: match line.resolution() {
                Some((_, resolution)) => resolution,
                None => owned(closed.and_then(Record::outcome)),
            },
            outcome_reason: owned(outcome.as_ref().and_then(Record::reason)),
            seam_request_id: owned(closed.and_then(Record::seam_request_id)),
            idempotency_key: line.idempotency_key().unwrap_or_default(),
            same_as: closed.and_then(Record::same_as),
            same_as_replica: closed.and_then(Record::same_as_replica),
        }
    }
}

/// What a search came to.
#[derive(Debug, Default)]
pub struct QuerySummary {
    /// Rows that were given out.
    pub found: u64,
    /// Records in the log; none when the search ended before it had seen all of them.
    pub records: Option<u64>,
    /// Segments that were read.
    pub segments_read: usize,
    /// And how many there are.
    pub segments: usize,
    /// Lines that are no records, in all, among those that were looked into.
    pub damaged_lines: u64,
    /// The first of them.
    pub damaged: Vec<Problem>,
    /// The last line of all, when it has no end: it is being written, or its gateway was
    /// killed while it was.
    pub torn: Option<Problem>,
    newest_records: u64,
    stopped_early: bool,
}

/// Gives what `filter` finds in the log to `each`, in the order of sequence
/// numbers.
///
/// # Errors
/// [`ReadError`]. That the directory cannot be written to is none.
pub fn query(
    log: &LogReader,
    filter: &Filter,
    take: Take,
    indexes: Indexes<'_>,
    each: &mut dyn FnMut(Hit) -> io::Result<()>,
) -> Result<QuerySummary, ReadError> {
    query_until(log, filter, take, (indexes, None), each)
}

/// The same for somebody who does not wait longer than until this time: then it is
/// [`ReadError::Output`], of time that is out.
///
/// # Errors
/// [`ReadError`].
pub fn query_until(
    log: &LogReader,
    filter: &Filter,
    take: Take,
    (indexes, until): (Indexes<'_>, Option<Instant>),
    each: &mut dyn FnMut(Hit) -> io::Result<()>,
) -> Result<QuerySummary, ReadError> {
    let plan = Plan::new(log, filter, indexes)?;
    let mut summary = match take {
        Take::All => Walk::new(&plan, filter, 0, u64::MAX, each).until(until).run()?,
        Take::First(most) => {
            let most = u64::try_from(most).unwrap_or(u64::MAX);
            Walk::new(&plan, filter, 0, most, each).until(until).run()?
        }
        Take::Last(most) => newest(&plan, filter, (most, until), each)?,
    };
    summary.segments = plan.segments.len();
    let first_seqs = (plan.segments.first(), plan.segments.last());
    if let (false, (Some(first), Some(last))) = (summary.stopped_early, first_seqs) {
        summary.records = Some(last.first_seq - first.first_seq + summary.newest_records);
    }
    Ok(summary)
}

/// Reads a few of the newest segments, and more of them until there is enough: decisions
/// come before their outcomes, so that what is found in a few is what is found there in
/// all.
fn newest(
    plan: &Plan<'_>,
    filter: &Filter,
    (most, until): (usize, Option<Instant>),
    each: &mut dyn FnMut(Hit) -> io::Result<()>,
) -> Result<QuerySummary, ReadError> {
    let wanted = plan.segments.iter().take_while(|segment| !filter.is_behind(segment.first_seq));
    let (all, mut few) = (wanted.count(), 1);
    loop {
        let from = all.saturating_sub(few);
        let mut kept = VecDeque::new();
        let mut keep = |hit: Hit| {
            // What had to be looked up comes late.
            let place = kept.partition_point(|other: &Hit| other.seq() < hit.seq());
            kept.insert(place, hit);
            if kept.len() > most {
                kept.pop_front();
            }
            Ok(())
        };
        let mut summary = Walk::new(plan, filter, from, u64::MAX, &mut keep).until(until).run()?;
        if from == 0 || kept.len() >= most {
            summary.found = u64::try_from(kept.len()).unwrap_or(u64::MAX);
            kept.into_iter().try_for_each(each).map_err(ReadError::Output)?;
            return Ok(summary);
        }
        few *= 2;
    }
}
