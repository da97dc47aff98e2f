//! What happened in the last days between services and doors: counted by whoever looks first, for
//! everybody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::audit::search::{By, Counts, StatsRequest, stats};
use crate::audit::{LogReader, ReadError};
use crate::console::asked::Asked;
use crate::console::views::others::Others;
use crate::domain::{Act, CallerId, EntranceId};
use crate::policy::review::Matrix;

/// Over which time decisions are counted.
pub(super) const PAST_DAYS: i64 = 30;

/// For how long what was counted is shown again.
const FRESH: Duration = Duration::from_secs(60);

/// How long a page waits for the count, of the seconds that it has.
const PATIENCE: Duration = Duration::from_secs(2);

/// Decisions of the last days, by who asked and for what.
#[derive(Debug, Default)]
pub(super) struct Past {
    pairs: HashMap<(String, String), Counts>,
    /// What was too much to be told apart.
    pub(super) other: Counts,
    pub(super) failure: Option<String>,
    /// Somebody counts still.
    pub(super) is_pending: bool,
}

/// What was counted last, and a sign when a count ends: everybody who looks sees the same.
#[derive(Default)]
pub(in crate::console) struct KnownPast(Arc<(Mutex<Counted>, Condvar)>);

#[derive(Default)]
struct Counted {
    known: HashMap<Act, (Instant, Arc<Past>)>,
    runs: bool,
}

/// Ends a count, however it ends.
struct Ends(Arc<(Mutex<Counted>, Condvar)>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.0.lock().runs = false;
        self.0.1.notify_all();
    }
}

/// Decisions of the last days. Where there are very many, a page goes without them, and the count goes on
/// for the next one.
pub(super) fn past(asked: &Asked, act: Act) -> Arc<Past> {
    let shared = &asked.console.work.past.0;
    let until = Instant::now() + PATIENCE;
    let mut counted = shared.0.lock();
    loop {
        let known = counted.known.get(&act);
        if let Some((at, past)) = known
            && at.elapsed() < FRESH
        {
            return past.clone();
        }
        if !counted.runs {
            counted.runs = true;
            let since = asked.now - SignedDuration::from_hours(24 * PAST_DAYS);
            let (log, ends) = (asked.console.reader(), Ends(shared.clone()));
            let work = move || {
                let past = Arc::new(count(&log, act, since));
                ends.0.0.lock().known.insert(act, (Instant::now(), past));
            };
            // One that does not begin takes `ends` with it.
            let begun = MutexGuard::unlocked(&mut counted, || {
                std::thread::Builder::new().name("console-past".into()).spawn(work)
            });
            if let Err(error) = begun {
                return Arc::new(Past { failure: Some(error.to_string()), ..Past::default() });
            }
        }
        // Perhaps for another act first.
        if shared.1.wait_until(&mut counted, until).timed_out() {
            return Arc::new(Past { is_pending: true, ..Past::default() });
        }
    }
}

fn count(log: &LogReader, act: Act, since: Timestamp) -> Past {
    let by = vec![By::Caller, By::Entrance];
    let request =
        StatsRequest { since: Some(since), act: Some(act), by, ..StatsRequest::default() };
    match stats(log, &request) {
        Ok(found) => {
            let rows = found.rows.into_iter();
            let pairs = rows.filter_map(|(key, series)| match key.as_slice() {
                [caller, entrance] => Some(((caller.clone(), entrance.clone()), series.total)),
                _ => None,
            });
            Past { pairs: pairs.collect(), other: found.other.total, ..Past::default() }
        }
        Err(ReadError::Empty(_)) => Past::default(),
        Err(error) => Past { failure: Some(error.to_string()), ..Past::default() },
    }
}

/// How many requests of each cell were allowed and denied.
pub(super) fn counted(found: &Matrix, past: &Past, others: &Others) -> Vec<Vec<Option<[u64; 2]>>> {
    let mut counts = vec![vec![None; found.columns.len()]; found.rows.len()];
    let rows = places(found.rows.iter().map(|row| row.callers.iter().map(CallerId::to_string)));
    let columns = found.columns.iter().map(|one| one.entrances.iter().map(EntranceId::to_string));
    let columns = places(columns);
    let every_other = found.columns.iter().position(|column| column.and_every_other);
    for ((caller, entrance), count) in &past.pairs {
        let Some(row) = rows.get(caller) else { continue };
        let other =
            || every_other.filter(|_| EntranceId::parse(entrance).is_ok_and(|id| others.has(id)));
        let Some(column) = columns.get(entrance).copied().or_else(other) else { continue };
        if let Some(cell) = counts.get_mut(*row).and_then(|row| row.get_mut(column)) {
            let [allow, deny] = cell.get_or_insert([0, 0]);
            *allow += count.allow;
            *deny += count.deny;
        }
    }
    counts
}

/// In which line each member is.
fn places(lines: impl Iterator<Item = impl Iterator<Item = String>>) -> HashMap<String, usize> {
    lines.enumerate().flat_map(|(place, members)| members.map(move |one| (one, place))).collect()
}
