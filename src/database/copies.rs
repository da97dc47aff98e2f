//! The logs that are meant, each copied into a directory of its own until nobody reads it any more.

use std::collections::BTreeMap;
use std::time::Duration;

use tempfile::TempDir;

use super::copy::{CopyError, Reader};
use super::link::Access;
use super::read::{LogState, logs};
use crate::audit::LogReader;
use crate::audit::search::{Filter, Take};

/// One log of several, copied.
pub struct Copied {
    /// Its files.
    pub reader: LogReader,
    /// Of which gateway.
    pub replica: String,
    /// Its name, as its key and its checkpoints have it.
    pub origin: String,
    /// Checkpoints that were handed over to the database.
    pub heads: Vec<String>,
    /// Records that are kept there with something else to search for than their line has: how many,
    /// and the first.
    pub differing: (u64, Option<u64>),
    _copy: TempDir,
}

/// What of a log is needed.
#[derive(Clone, Copy)]
pub enum Part<'f> {
    /// All of it.
    Whole,
    /// What a search may find.
    Found(&'f Filter, Take),
    /// The same, of each log before the record of this number.
    Before(&'f Filter, Take, &'f BTreeMap<String, u64>),
}

/// Copies every log, or that of one gateway, by its name or its log's. A statement takes `statements` at
/// most, or as long as it does.
///
/// # Errors
/// [`CopyError`]
pub async fn copies(
    access: &Access,
    gateway: Option<&str>,
    part: Part<'_>,
    statements: Option<Duration>,
) -> Result<Vec<Copied>, CopyError> {
    let mut all = logs(access).await?;
    if let Some(name) = gateway {
        all.retain(|log| log.name == *name || log.origin == *name);
    }
    let reader = Reader::connect(access, statements).await?;
    let filter = match part {
        Part::Whole => None,
        Part::Found(filter, _) | Part::Before(filter, ..) => Some(filter),
    };
    if let Some(id) = filter.and_then(|filter| filter.request_id.as_ref()) {
        // Of the others nothing can be found; where it is of none, one says so.
        let having = reader.having_request(id).await?;
        match having.is_empty() {
            true => all.truncate(1),
            false => all.retain(|log| having.contains(&log.number)),
        }
    }
    let mut copied = Vec::new();
    for log in all {
        copied.push(copy(&reader, log, part).await?);
    }
    Ok(copied)
}

async fn copy(from: &Reader, log: LogState, part: Part<'_>) -> Result<Copied, CopyError> {
    let directory = TempDir::with_prefix("grantgate-")?;
    let (mut heads, mut differing) = (Vec::new(), (0, None));
    match part {
        Part::Whole => {
            differing = from.log(log.number, directory.path()).await?;
            heads = from.heads(log.number).await?;
        }
        Part::Found(filter, take) => {
            from.found(log.number, (filter, take), directory.path()).await?;
        }
        Part::Before(filter, take, before) => {
            let filter = Filter { before: before.get(&log.origin).copied(), ..filter.clone() };
            from.found(log.number, (&filter, take), directory.path()).await?;
        }
    }
    let reader = LogReader::new(directory.path());
    let (replica, origin) = (log.name, log.origin);
    Ok(Copied { reader, replica, origin, heads, differing, _copy: directory })
}
