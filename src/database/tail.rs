//! The newest records of all logs, and those that come.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::error::DatabaseError;
use super::gateway::{signed, unsigned};
use super::link::Access;
use super::read::LogState;
use crate::audit::Record;
use crate::audit::search::{Chosen, TailFilter};

/// Records of one log that are read at once, at least.
const AT_ONCE: i64 = 1_000;

/// A record of one of several logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailedLine {
    /// What people call its gateway.
    pub replica: String,
    /// The record as it is stored.
    pub line: String,
}

/// A place in each log, at the end of what was read.
pub struct Tails {
    client: Client,
    /// Only the log of this gateway, by its name or its log's.
    replica: Option<String>,
    filter: TailFilter,
    places: HashMap<i32, Place>,
}

struct Place {
    next: i64,
    chosen: Chosen,
}

impl Tails {
    /// Reads the newest `count` records of all logs together, by their time, and stays behind them.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn open(
        access: &Access,
        replica: Option<String>,
        filter: TailFilter,
        count: usize,
    ) -> Result<(Self, Vec<TailedLine>), DatabaseError> {
        let client = access.connect(None).await?;
        let mut tails = Self { client, replica, filter, places: HashMap::new() };
        let mut all = Vec::new();
        for log in tails.logs().await? {
            all.extend(tails.last(&log, count).await?);
        }
        by_time(&mut all);
        let newest = all.split_off(all.len().saturating_sub(count));
        Ok((tails, newest))
    }

    /// Whether there is a log.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What came since, of new logs from their beginning on.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn more(&mut self) -> Result<Vec<TailedLine>, DatabaseError> {
        let mut all = Vec::new();
        for log in self.logs().await? {
            let new = || Place { next: 1, chosen: Chosen::new(self.filter.clone()) };
            let place = self.places.entry(log.number).or_insert_with(new);
            if unsigned(place.next) >= log.next {
                continue;
            }
            let rows = "SELECT seq, line FROM audit_record WHERE log_id = $1 AND seq >= $2 \
                        ORDER BY seq LIMIT $3";
            for row in self.client.query(rows, &[&log.number, &place.next, &AT_ONCE]).await? {
                place.next = row.try_get::<_, i64>(0)? + 1;
                all.extend(taken(&mut place.chosen, &log.name, row.try_get(1)?));
            }
        }
        by_time(&mut all);
        Ok(all)
    }

    async fn logs(&self) -> Result<Vec<LogState>, DatabaseError> {
        let mut all = super::read::logs_of(&self.client).await?;
        if let Some(name) = &self.replica {
            all.retain(|log| log.name == *name || log.origin == *name);
        }
        Ok(all)
    }

    /// The newest records of one log that are shown.
    async fn last(
        &mut self,
        log: &LogState,
        count: usize,
    ) -> Result<Vec<TailedLine>, DatabaseError> {
        let mut few = AT_ONCE.max(i64::try_from(count).unwrap_or(i64::MAX));
        loop {
            let newest = "SELECT seq, line FROM audit_record WHERE log_id = $1 AND seq < $2 \
                          ORDER BY seq DESC LIMIT $3";
            let next = signed(log.next);
            let rows = self.client.query(newest, &[&log.number, &next, &few]).await?;
            let mut chosen = Chosen::new(self.filter.clone());
            let mut found = Vec::new();
            for row in rows.iter().rev() {
                found.extend(taken(&mut chosen, &log.name, row.try_get(1)?));
            }
            let is_all = rows.len() < usize::try_from(few).unwrap_or(usize::MAX);
            if is_all || found.len() >= count {
                self.places.insert(log.number, Place { next, chosen });
                return Ok(found.split_off(found.len().saturating_sub(count)));
            }
            few = few.saturating_mul(4);
        }
    }
}

/// A line that is shown.
fn taken(chosen: &mut Chosen, replica: &str, line: String) -> Option<TailedLine> {
    let record = Record::parse(line.as_bytes())?;
    chosen.takes(&record).then(|| TailedLine { replica: replica.to_owned(), line })
}

/// Those of one moment stay in their order.
fn by_time(lines: &mut [TailedLine]) {
    lines.sort_by_cached_key(|one| Record::parse(one.line.as_bytes()).and_then(|it| it.time()));
}
