//! Daily budgets that hold for all gateways together: each takes a small part of one from the
//! database, ahead, and spends it by itself.
//!
//! What was taken counts as spent, so all gateways together never grant more than the budget; what
//! a gateway that crashed had taken is lost to its caller for the day. The database is not believed
//! more than a gateway believes itself: the whole budget is its own limit besides.

mod table;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::silence::Silence;
use super::{Counting, Gateways};
use crate::database::{DatabaseError, Leased, Link, Log, Wanted};
use crate::domain::{Budget, CallerId, EntranceId, Reason, WhenAlone, closed_set};
use crate::telemetry::LeaseMetrics;
pub use table::Paid;
use table::{Expense, Pay, Table};

/// A grant waits so long for the database, and no longer.
const ANSWER_WAIT: Duration = Duration::from_millis(250);

/// And so much longer to hear that there was none.
const GRACE: Duration = Duration::from_millis(50);

closed_set! {
    /// What comes of asking for some of a budget.
    pub enum LeaseResult {
        /// There was some.
        Taken = "taken",
        /// There is nothing left.
        UsedUp = "used-up",
        /// The database gave no answer in time.
        NoAnswer = "no-answer",
    }
}

/// What pays for grants.
pub struct Leases(Arc<Shared>);

struct Shared {
    link: Arc<Link>,
    log: Arc<Log>,
    table: Mutex<Table>,
    /// One question about each caller at a time.
    turns: Mutex<HashMap<CallerId, Arc<tokio::sync::Mutex<()>>>>,
    silence: Silence,
    /// The database knows this gateway.
    is_known: AtomicBool,
    gateways: Arc<Gateways>,
    when_alone: WhenAlone,
    metrics: LeaseMetrics,
}

/// What gives back at the end what is left, not running yet.
pub struct Lender(Arc<Shared>);

/// Asks how many gateways there are, meanwhile.
pub struct Lending {
    shared: Arc<Shared>,
    counting: JoinHandle<()>,
}

impl Leases {
    /// Nothing is taken yet.
    #[must_use]
    pub fn new(
        (link, log): (Arc<Link>, Arc<Log>),
        gateways: Arc<Gateways>,
        when_alone: WhenAlone,
        metrics: LeaseMetrics,
    ) -> (Self, Lender) {
        let shared = Arc::new(Shared {
            link,
            log,
            table: Mutex::default(),
            turns: Mutex::default(),
            silence: Silence::default(),
            is_known: AtomicBool::new(false),
            gateways,
            when_alone,
            metrics,
        });
        (Self(shared.clone()), Lender(shared))
    }

    /// Pays for a grant, on a day by this gateway's own clock (in days since 1970).
    ///
    /// # Errors
    /// [`Reason::BudgetExhausted`]; [`Reason::BudgetUnconfirmed`] where the database would know and
    /// gives no answer.
    pub async fn pay(
        &self,
        caller: &CallerId,
        door: EntranceId,
        (budget, day): (Budget, i64),
    ) -> Result<Paid, Reason> {
        let Self(shared) = self;
        let expense = Expense { caller: caller.clone(), door, budget };
        let mut pay = shared.table.lock().pay(&expense, Instant::now());
        if pay == Pay::Ask && !shared.silence.lasts() {
            let asked = timeout(ANSWER_WAIT + GRACE, shared.clone().ask(&expense)).await;
            pay = asked.unwrap_or(Pay::Ask);
        }
        match pay {
            Pay::Paid(paid) => {
                shared.ask_ahead(expense);
                Ok(paid)
            }
            Pay::UsedUp => Err(Reason::BudgetExhausted),
            // The database answers, and not all who ask at once have their turn in time.
            Pay::Ask if !shared.silence.lasts() => Err(Reason::BudgetUnconfirmed),
            Pay::Ask => {
                let (table, gateways) = (&shared.table, shared.gateways.count());
                let alone = table.lock().pay_alone(&expense, shared.when_alone, (gateways, day));
                alone.ok_or(Reason::BudgetUnconfirmed)
            }
        }
    }

    /// A grant that was made before this process began.
    pub fn recall(&self, caller: &CallerId, door: EntranceId, day: i64) {
        self.0.table.lock().recall(caller, door, day);
    }

    /// Nothing of a grant was sent.
    pub fn give_back(&self, caller: &CallerId, paid: Paid) {
        self.0.table.lock().give_back(caller, paid);
    }
}

impl Shared {
    fn turn(&self, caller: &CallerId) -> Arc<tokio::sync::Mutex<()>> {
        self.turns.lock().entry(caller.clone()).or_default().clone()
    }

    /// Asks the database, and pays; [`Pay::Ask`] where there was no answer.
    async fn ask(self: Arc<Self>, expense: &Expense) -> Pay {
        let mut turn = self.turn(&expense.caller).lock_owned().await;
        // Twice: what there was for an entrance that is new may be spent by others meanwhile.
        for _ in 0..2 {
            // Whoever came before may have taken enough for this one, too.
            let known = self.table.lock().pay(expense, Instant::now());
            if known != Pay::Ask {
                return known;
            }
            let (shared, asked, (reply, told)) =
                (self.clone(), expense.clone(), oneshot::channel());
            // A task of its own: what comes too late for this grant is there for the next one.
            tokio::spawn(async move {
                let pay = shared.take(&asked, false).await;
                if let Err((Some(Pay::Paid(paid)), _)) = reply.send((pay, turn)) {
                    shared.table.lock().give_back(&asked.caller, paid);
                }
            });
            match told.await {
                Ok((Some(Pay::Ask), back)) => turn = back,
                Ok((Some(pay), _)) => return pay,
                Ok((None, _)) | Err(_) => return Pay::Ask,
            }
        }
        Pay::Ask
    }

    /// Asks for some more before it is needed; nobody waits for it.
    fn ask_ahead(self: &Arc<Self>, expense: Expense) {
        let (gateways, now) = (self.gateways.count(), Instant::now());
        if !self.table.lock().is_low(&expense, gateways, now) {
            return;
        }
        match self.turn(&expense.caller).try_lock_owned() {
            Ok(turn) => {
                let shared = self.clone();
                tokio::spawn(async move {
                    let _ = shared.take(&expense, true).await;
                    drop(turn);
                });
            }
            // Somebody asks already.
            Err(_) => self.table.lock().unanswered(&expense.caller, 0),
        }
    }

    /// Takes some more, and pays, where it is not only to be ready; none where there was no answer.
    async fn take(&self, expense: &Expense, is_ahead: bool) -> Option<Pay> {
        let count =
            |result: LeaseResult| self.metrics.asked.with_label_values(&[result.as_str()]).inc();
        let (caller, now) = (&expense.caller, Instant::now());
        if self.silence.lasts() {
            self.table.lock().unanswered(caller, 0);
            return None;
        }
        let wanted = self.table.lock().wanted(expense, (self.gateways.count(), now, is_ahead));
        let mut asked = pin!(self.question(caller, &wanted));
        let leased = match timeout(ANSWER_WAIT, &mut asked).await {
            Ok(leased) => leased,
            Err(_) => {
                self.fall_silent(
                    caller,
                    &format!("no answer within {} ms", ANSWER_WAIT.as_millis()),
                );
                count(LeaseResult::NoAnswer);
                asked.await
            }
        };
        match leased {
            Ok(leased) => {
                self.silence.ends();
                let mut table = self.table.lock();
                let has_more = table.take(caller, (&wanted, &leased), (now, Instant::now()));
                count(if has_more { LeaseResult::Taken } else { LeaseResult::UsedUp });
                Some(match (has_more, is_ahead) {
                    (true, false) => table.pay(expense, Instant::now()),
                    (true, true) => Pay::Ask,
                    (false, _) => Pay::UsedUp,
                })
            }
            Err(error) => {
                // It may be another database by now, which never heard of this gateway.
                self.is_known.store(false, Ordering::Relaxed);
                self.fall_silent(caller, &error.to_string());
                self.table.lock().unanswered(caller, wanted.grants);
                count(LeaseResult::NoAnswer);
                None
            }
        }
    }

    async fn question(&self, caller: &CallerId, wanted: &Wanted) -> Result<Leased, DatabaseError> {
        if !self.is_known.load(Ordering::Relaxed) {
            self.link.hello(&self.log).await?;
            self.is_known.store(true, Ordering::Relaxed);
        }
        self.link.lease(&self.log, caller.as_str(), wanted).await
    }

    fn fall_silent(&self, caller: &CallerId, why: &str) {
        tracing::warn!(%caller, "no part of the budget was taken from the database: {why}");
        self.silence.begins();
    }
}

impl Lender {
    /// Begins to ask how many gateways there are.
    #[must_use]
    pub fn start(self, counting: Counting) -> Lending {
        Lending { shared: self.0, counting: tokio::spawn(counting.run()) }
    }
}

impl Lending {
    /// Gives back what is left, for at most so long. Nobody pays any more.
    pub async fn finish(own: Option<Self>, at_most: Duration) {
        let Some(Self { shared, counting }) = own else { return };
        counting.abort();
        let unused = shared.table.lock().unused(Instant::now());
        let giving = async {
            for (caller, of_day) in unused {
                let _ = shared.link.give_back(&shared.log, caller.as_str(), of_day).await;
            }
        };
        let _ = timeout(at_most, giving).await;
    }
}

#[cfg(test)]
mod tests;
