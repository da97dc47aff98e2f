//! What was found out of unknown outcomes, long after their decisions.

use std::collections::BTreeMap;
use std::time::Instant;

use super::query::{Filter, Indexes, Take, query_until};
use crate::audit::log::directory::LogReader;
use crate::audit::log::error::ReadError;
use crate::audit::record::event::Event;
use crate::audit::record::parse::Record;
use crate::domain::Outcome;

/// The lines of the log that say so, by the number of the decision.
pub type Resolutions = BTreeMap<u64, Vec<u8>>;

/// Those of the outcomes that are searched for, within the same bounds as these; none where these are
/// others than unknown ones.
///
/// # Errors
/// [`ReadError`]
pub fn resolutions(
    log: &LogReader,
    filter: &Filter,
    bounds: (Indexes<'_>, Option<Instant>),
) -> Result<Resolutions, ReadError> {
    let mut found = Resolutions::new();
    if filter.outcome == Some(Outcome::Unknown) {
        let events = vec![Event::Resolved];
        let wanted = Filter { events, since: filter.since, ..Filter::default() };
        query_until(log, &wanted, Take::All, bounds, &mut |hit| {
            let resolution = Record::parse(hit.line()).and_then(|record| record.resolution());
            found.extend(resolution.map(|(decision, _)| (decision, hit.line().to_vec())));
            Ok(())
        })?;
    }
    Ok(found)
}
