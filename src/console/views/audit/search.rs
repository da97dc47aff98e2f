//! What of which log is shown: the rows of a page, and where the next one begins.

use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

use super::filter;
use crate::audit::search::{Filter, Hit, Indexes, Resolutions, Take, query, resolutions};
use crate::audit::{LogReader, ReadError};
use crate::config::read_desk;
use crate::console::asked::{Asked, Format, Wrong};
use crate::console::heavy::AT_MOST;
use crate::database::{Access, Copied, Part, copies};

/// Rows of a page, and of a file.
const ROWS: u64 = 50;
const FILE_ROWS: u64 = 1_000;
const ROWS_MAX: u64 = 10_000;

/// Records may be of the same microsecond: so many more are looked at, and more where that is not enough.
const SAME_TIME: usize = 64;

const MICROSECOND: SignedDuration = SignedDuration::from_micros(1);

/// How all gateways are asked for.
const ALL: &str = "all";

/// Copies of the logs of all gateways, or of one, as far as something may be found in them.
pub(super) async fn copied(asked: &Asked, gateway: &str) -> Result<Vec<Copied>, Wrong> {
    let file = asked.console.settings.database_file.clone();
    let file = file.ok_or("No database is named: set `console.database_file`.")?;
    let (filter, rows, cursor) = wanted(asked)?;
    let access = read_desk(&file).and_then(|desk| Access::load(&desk.files));
    let access = access.map_err(|problems| {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        texts.join("; ")
    })?;
    let (filter, gateway) = (cursor.narrowed(&filter), Some(gateway).filter(|name| *name != ALL));
    let part = Part::Found(&filter, Take::Last(rows + 1 + SAME_TIME));
    let copies = timeout(AT_MOST, copies(&access, gateway, part)).await;
    match copies {
        Err(_) => Err("The database does not answer in time: narrow it down.".into()),
        Ok(Err(error)) => Err(format!("The database: {error}.")),
        Ok(Ok(logs)) if logs.is_empty() => Err("The database has no such log.".into()),
        Ok(Ok(logs)) => Ok(logs),
    }
}

/// A row: in whose log, where there are several, and what was found.
pub(super) struct Row {
    pub(super) gateway: Option<String>,
    pub(super) hit: Hit,
}

/// What was found.
pub(super) struct Rows {
    /// In the order of time.
    pub(super) found: Vec<Row>,
    /// What was found out of it later; of a log alone.
    pub(super) later: Resolutions,
    /// Whether there are older ones.
    pub(super) more: bool,
    pub(super) damaged: u64,
}

/// The oldest row that was shown: only what is before it is wanted.
#[derive(Default)]
struct Cursor {
    time: Option<Timestamp>,
    gateway: Option<String>,
    seq: Option<u64>,
}

impl Cursor {
    fn of(asked: &Asked) -> Result<Self, Wrong> {
        let seq = asked.number("before", 0, 0..=u64::MAX)?;
        let gateway = asked.query.get("before_gateway").map(str::to_owned);
        Ok(Self {
            time: asked.time("before_time")?,
            gateway,
            seq: Some(seq).filter(|seq| *seq > 0),
        })
    }

    /// Of the same microsecond there may be more, which are told apart by their number.
    fn narrowed(&self, filter: &Filter) -> Filter {
        let end = self.time.map(|time| time.checked_add(MICROSECOND).unwrap_or(time));
        let until = filter.until.into_iter().chain(end).min();
        Filter { until, ..filter.clone() }
    }

    /// Whether this one comes before it.
    fn is_behind(&self, gateway: Option<&str>, hit: &Hit) -> bool {
        let Some(seq) = self.seq else { return true };
        if self.gateway.as_deref() == gateway {
            return hit.seq() < seq;
        }
        let at = hit.fields().time.parse::<Timestamp>().ok();
        (at, gateway, hit.seq()) < (self.time, self.gateway.as_deref(), seq)
    }
}

/// What is wanted: by which filter, how many rows, and from where on.
fn wanted(asked: &Asked) -> Result<(Filter, usize, Cursor), Wrong> {
    let filter = filter::filter(asked)?;
    if let Some(fault) = filter.fault() {
        return Err(format!("{fault}."));
    }
    let default = if asked.format() == Format::Page { ROWS } else { FILE_ROWS };
    let rows = asked.number("limit", default, 1..=ROWS_MAX)?;
    Ok((filter, usize::try_from(rows).unwrap_or(1), Cursor::of(asked)?))
}

/// The rows that are wanted.
pub(super) fn rows(asked: &Asked) -> Result<Rows, Wrong> {
    let (filter, rows, cursor) = wanted(asked)?;
    let own = asked.console.reader();
    let mut logs: Vec<(Option<&str>, &LogReader)> = Vec::new();
    logs.extend(asked.logs.iter().map(|log| (Some(log.replica.as_str()), &log.reader)));
    if logs.is_empty() {
        logs.push((None, &own));
    }
    let mut all = Rows { found: Vec::new(), later: Resolutions::new(), more: false, damaged: 0 };
    for (gateway, log) in logs {
        let is_wanted = |hit: &Hit| cursor.is_behind(gateway, hit);
        let (hits, damaged) = newest(log, &cursor.narrowed(&filter), rows + 1, &is_wanted)?;
        all.damaged += damaged;
        let gateway = gateway.map(str::to_owned);
        all.found.extend(hits.into_iter().map(|hit| Row { gateway: gateway.clone(), hit }));
        // Of several logs numbers mean nothing; each row's own page has what was found out later.
        if gateway.is_none() {
            all.later = resolutions(log, &filter).map_err(|error| format!("{error}."))?;
        }
    }
    if !asked.logs.is_empty() {
        let place = |one: &Row| {
            let at = one.hit.fields().time.parse::<Timestamp>().ok();
            (at, one.gateway.clone(), one.hit.seq())
        };
        all.found.sort_by_cached_key(place);
    }
    all.more = all.found.len() > rows;
    all.found.drain(..all.found.len().saturating_sub(rows));
    Ok(all)
}

/// The newest so many of a log that are wanted, in its order, and how many lines of it are damaged.
fn newest(
    log: &LogReader,
    filter: &Filter,
    most: usize,
    is_wanted: &dyn Fn(&Hit) -> bool,
) -> Result<(Vec<Hit>, u64), Wrong> {
    let mut take = most;
    loop {
        let (mut hits, mut met) = (Vec::new(), 0_usize);
        let each = &mut |hit: Hit| {
            met += 1;
            if is_wanted(&hit) {
                hits.push(hit);
            }
            Ok(())
        };
        let damaged = match query(log, filter, Take::Last(take), Indexes::Kept(&|_, _| {}), each) {
            Ok(summary) => summary.damaged_lines,
            Err(ReadError::Empty(_)) => 0,
            Err(error) => return Err(format!("The log cannot be read: {error}.")),
        };
        if hits.len() >= most || met < take {
            hits.drain(..hits.len().saturating_sub(most));
            return Ok((hits, damaged));
        }
        take += SAME_TIME.max(met - hits.len());
    }
}
