//! What of which log is shown: the rows of a page, and where the next one begins.

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::Timestamp;

use super::filter;
use crate::audit::search::{Filter, Hit, Indexes, Resolutions, Take, query_until, resolutions};
use crate::audit::{LogReader, ReadError};
use crate::console::asked::{Asked, Format, Wrong};
use crate::console::heavy::{AT_MOST, DATABASE_BUSY};
use crate::database::{Copied, Part, copies};

/// Rows of a page, and of a file.
const ROWS: u64 = 50;
pub(super) const FILE_ROWS: u64 = 1_000;
pub(super) const ROWS_MAX: u64 = 10_000;

/// How all gateways are asked for.
const ALL: &str = "all";

/// What the gateway's own log is called among the places of a page.
const OWN: &str = "";

/// Copies of the logs of all gateways, or of one, as far as something may be found in them.
pub(super) async fn copied(asked: &Asked, gateway: &str) -> Result<Vec<Copied>, Wrong> {
    let desk = asked.console.desk()?;
    let (filter, rows, places) = wanted(asked)?;
    let gateway = Some(gateway).filter(|name| *name != ALL);
    let part = Part::Before(&filter, Take::Last(rows + 1), &places.0);
    let copying = copies(&desk.access, gateway, part, Some(AT_MOST));
    match asked.console.work.database.run(copying).await {
        None => Err(format!("{DATABASE_BUSY} Narrow it down.")),
        Some(Err(error)) => Err(format!("The database: {error}.")),
        Some(Ok(logs)) if logs.is_empty() => Err("The database has no such log.".into()),
        Some(Ok(logs)) => Ok(logs),
    }
}

/// A row: in whose log, where there are several, and what was found.
pub(super) struct Row {
    pub(super) gateway: Option<String>,
    pub(super) hit: Hit,
}

/// What was found.
pub(super) struct Rows {
    /// By time; of each log in its order.
    pub(super) found: Vec<Row>,
    /// What was found out of it later; of a log alone.
    pub(super) later: Resolutions,
    /// Where the page of older ones begins, if there are any.
    pub(super) next: Option<Places>,
    pub(super) damaged: u64,
}

/// Of each log the oldest record that was shown: its number goes on from page to page, whatever the
/// clocks said.
#[derive(Clone, Default)]
pub(super) struct Places(BTreeMap<String, u64>);

impl Places {
    /// `before=41` of the own log; with `@` and a log's name of several.
    fn of(asked: &Asked) -> Result<Self, Wrong> {
        let one = |text: &str| -> Option<(String, u64)> {
            let (number, log) = text.split_once('@').unwrap_or((text, OWN));
            Some((log.to_owned(), number.parse().ok().filter(|number| *number > 0)?))
        };
        let read = asked.query.all("before").map(|text| {
            one(text).ok_or(format!("`{text}` is no place in a log: write the number of a record."))
        });
        Ok(Self(read.collect::<Result<_, _>>()?))
    }

    /// As an address has them.
    pub(super) fn address(&self, asked: &Asked) -> String {
        let texts = self.0.iter().map(|(log, number)| match log.as_str() {
            OWN => number.to_string(),
            log => format!("{number}@{log}"),
        });
        texts
            .fold(asked.query.without("before"), |query, text| query.and("before", &text))
            .written()
    }
}

/// What is wanted: by which filter, how many rows, and from where on.
fn wanted(asked: &Asked) -> Result<(Filter, usize, Places), Wrong> {
    let filter = filter::filter(asked)?;
    if let Some(fault) = filter.fault() {
        return Err(format!("{fault}."));
    }
    let default = if asked.format() == Format::Page { ROWS } else { FILE_ROWS };
    let rows = asked.number("limit", default, 1..=ROWS_MAX)?;
    Ok((filter, usize::try_from(rows).unwrap_or(1), Places::of(asked)?))
}

/// One log, with what was found in it and was not shown yet.
struct Source {
    name: String,
    gateway: Option<String>,
    hits: Vec<Hit>,
}

impl Source {
    fn newest(&self) -> Option<Timestamp> {
        self.hits.last()?.fields().time.parse().ok()
    }
}

/// The rows that are wanted.
pub(super) fn rows(asked: &Asked) -> Result<Rows, Wrong> {
    let (filter, most, mut places) = wanted(asked)?;
    let own = asked.console.reader();
    let mut logs: Vec<(&str, Option<&str>, &LogReader)> = Vec::new();
    logs.extend(asked.logs.iter().map(|log| (&*log.origin, Some(&*log.replica), &log.reader)));
    let mut later = Resolutions::new();
    if logs.is_empty() {
        // Of several logs numbers mean nothing; there each row's own page has it.
        later = resolutions(&own, &filter, bounds(asked)).map_err(|error| said(&error))?;
        logs.push((OWN, None, &own));
    }
    let (mut sources, mut damaged) = (Vec::new(), 0);
    for (name, gateway, log) in logs {
        let before = places.0.get(name).copied();
        let of_log = Filter { before, ..filter.clone() };
        let (hits, lines) = newest(asked, log, &of_log, most + 1)?;
        damaged += lines;
        sources.push(Source { name: name.to_owned(), gateway: gateway.map(str::to_owned), hits });
    }
    // From the end, each time of the log whose last one is the newest: of each its own order holds.
    let mut found = Vec::new();
    while found.len() < most {
        let newest = sources.iter_mut().max_by_key(|source| source.newest());
        let Some(source) = newest else { break };
        let Some(hit) = source.hits.pop() else { break };
        places.0.insert(source.name.clone(), hit.seq());
        found.push(Row { gateway: source.gateway.clone(), hit });
    }
    found.reverse();
    let has_more = sources.iter().any(|source| !source.hits.is_empty());
    Ok(Rows { found, later, next: has_more.then_some(places), damaged })
}

/// The newest so many of a log, in its order, and how many lines of it are damaged.
fn newest(
    asked: &Asked,
    log: &LogReader,
    filter: &Filter,
    most: usize,
) -> Result<(Vec<Hit>, u64), Wrong> {
    let mut hits = Vec::new();
    let each = &mut |hit: Hit| {
        hits.push(hit);
        Ok(())
    };
    match query_until(log, filter, Take::Last(most), bounds(asked), each) {
        Ok(summary) => Ok((hits, summary.damaged_lines)),
        Err(ReadError::Empty(_)) => Ok((hits, 0)),
        Err(error) => Err(said(&error)),
    }
}

/// A page makes no index, and ends in time.
fn bounds(asked: &Asked) -> (Indexes<'static>, Option<Instant>) {
    (Indexes::Present, Some(asked.until))
}

fn said(error: &ReadError) -> Wrong {
    match error {
        ReadError::Output(_) => {
            "This takes too long here: narrow it down, or ask `grantgate audit query`, which also makes \
             indexes that searches are faster by."
                .into()
        }
        ReadError::Input(_) | ReadError::Empty(_) => format!("The log cannot be read: {error}."),
    }
}
