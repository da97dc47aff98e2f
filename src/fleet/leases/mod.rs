//! Daily budgets that hold for all gateways together: each takes a small part of one from the
//! database, ahead, and spends it by itself.
//!
//! What was taken counts as spent, so all gateways together never grant more than the budget; what
//! a gateway that crashed had taken is lost to its caller for the day. The database is not believed
//! more than a gateway believes itself: the whole budget is its own limit besides.

mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Counting, Gateways};
use crate::database::{Link, Log};
use crate::domain::{Budget, CallerId, EntranceId, Reason, WhenAlone, closed_set};
use crate::telemetry::LeaseMetrics;
pub use table::Paid;
use table::{Expense, Pay, Table};

/// A grant waits so long for the database, and no longer.
const ANSWER_WAIT: Duration = Duration::from_millis(250);

/// After no answer, nobody waits for one for so long.
const UNREACHABLE_FOR: Duration = Duration::from_secs(1);

/// Who asks at the same time; more are answered as if the database were gone.
const ASKING_MAX: usize = 4_096;

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
pub struct Leases {
    shared: Arc<Shared>,
    asks: mpsc::Sender<Ask>,
}

struct Shared {
    table: Mutex<Table>,
    gateways: Arc<Gateways>,
    when_alone: WhenAlone,
    metrics: LeaseMetrics,
}

struct Ask {
    expense: Expense,
    /// None where more is asked for before it is needed.
    reply: Option<oneshot::Sender<Pay>>,
}

/// What asks the database, not running yet.
pub struct Lender {
    shared: Arc<Shared>,
    asks: mpsc::Receiver<Ask>,
    link: Arc<Link>,
    log: Arc<Log>,
    unreachable: Option<Instant>,
    /// The database knows this gateway.
    is_known: bool,
    ending: CancellationToken,
}

/// Asks it.
pub struct Lending {
    task: JoinHandle<()>,
    counting: JoinHandle<()>,
    ending: CancellationToken,
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
        let table = Mutex::new(Table::default());
        let shared = Arc::new(Shared { table, gateways, when_alone, metrics });
        let (asks, asked) = mpsc::channel(ASKING_MAX);
        let lender = Lender {
            shared: shared.clone(),
            asks: asked,
            link,
            log,
            unreachable: None,
            is_known: false,
            ending: CancellationToken::new(),
        };
        (Self { shared, asks }, lender)
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
        let expense = Expense { caller: caller.clone(), door, budget };
        let pay = self.shared.table.lock().pay(&expense, Instant::now());
        let pay = match pay {
            Pay::Ask => self.ask(&expense).await,
            Pay::Paid(_) | Pay::UsedUp => pay,
        };
        match pay {
            Pay::Paid(paid) => {
                let (gateways, now) = (self.shared.gateways.count(), Instant::now());
                if self.shared.table.lock().is_low(&expense, gateways, now) {
                    let ahead = Ask { expense: expense.clone(), reply: None };
                    if self.asks.try_send(ahead).is_err() {
                        self.shared.table.lock().unanswered(caller);
                    }
                }
                Ok(paid)
            }
            Pay::UsedUp => Err(Reason::BudgetExhausted),
            Pay::Ask => {
                let Shared { table, gateways, when_alone, .. } = &*self.shared;
                let alone = table.lock().pay_alone(&expense, *when_alone, (gateways.count(), day));
                alone.ok_or(Reason::BudgetUnconfirmed)
            }
        }
    }

    /// [`Pay::Ask`] where there was no answer.
    async fn ask(&self, expense: &Expense) -> Pay {
        let (reply, told) = oneshot::channel();
        let ask = Ask { expense: expense.clone(), reply: Some(reply) };
        match self.asks.try_send(ask) {
            Err(_) => Pay::Ask,
            // Who is asked has a time-out of its own, and many may be before this one.
            Ok(()) => told.await.unwrap_or(Pay::Ask),
        }
    }

    /// A grant that was made before this process began.
    pub fn recall(&self, caller: &CallerId, door: EntranceId, day: i64) {
        self.shared.table.lock().recall(caller, door, day);
    }

    /// Nothing of a grant was sent.
    pub fn give_back(&self, caller: &CallerId, paid: Paid) {
        self.shared.table.lock().give_back(caller, paid);
    }
}

impl Lender {
    /// Begins to answer, and to ask how many gateways there are.
    #[must_use]
    pub fn start(self, counting: Counting) -> Lending {
        let ending = self.ending.clone();
        let counting = tokio::spawn(counting.run());
        Lending { task: tokio::spawn(self.run()), counting, ending }
    }

    /// Answers to its end; then gives back what is left.
    async fn run(mut self) {
        loop {
            let asked = tokio::select! {
                asked = self.asks.recv() => asked,
                () = self.ending.cancelled() => None,
            };
            let Some(Ask { expense, reply }) = asked else { break };
            let Some(reply) = reply else {
                // It was to be ready before it is needed.
                let _ = self.more(&expense, true).await;
                continue;
            };
            if reply.is_closed() {
                continue;
            }
            // Whoever came before may have taken enough for this one, too.
            let known = self.shared.table.lock().pay(&expense, Instant::now());
            let pay = match known {
                Pay::Ask => self.more(&expense, false).await,
                Pay::Paid(_) | Pay::UsedUp => known,
            };
            if let Err(Pay::Paid(paid)) = reply.send(pay) {
                self.shared.table.lock().give_back(&expense.caller, paid);
            }
        }
        let unused = self.shared.table.lock().unused(Instant::now());
        for (caller, of_day) in unused {
            let given = self.link.give_back(&self.log, caller.as_str(), of_day);
            if !matches!(timeout(ANSWER_WAIT, given).await, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// Takes some more, and pays where it is not only to be ready.
    async fn more(&mut self, expense: &Expense, is_ahead: bool) -> Pay {
        let Shared { table, gateways, metrics, .. } = &*self.shared;
        let count = |result: LeaseResult| metrics.asked.with_label_values(&[result.as_str()]).inc();
        let (caller, now) = (&expense.caller, Instant::now());
        if self.unreachable.is_some_and(|until| until > now) {
            table.lock().unanswered(caller);
            return Pay::Ask;
        }
        let wanted = table.lock().wanted(expense, (gateways.count(), now, is_ahead));
        let leased = async {
            if !self.is_known {
                self.link.hello(&self.log).await?;
                self.is_known = true;
            }
            self.link.lease(&self.log, caller.as_str(), &wanted).await
        };
        let why = match timeout(ANSWER_WAIT, leased).await {
            Ok(Ok(leased)) => {
                self.unreachable = None;
                let (mut table, now) = (table.lock(), Instant::now());
                let has_more = table.take(caller, (&wanted, &leased), now);
                count(if has_more { LeaseResult::Taken } else { LeaseResult::UsedUp });
                return match (has_more, is_ahead) {
                    (true, false) => table.pay(expense, now),
                    (true, true) => Pay::Ask,
                    (false, _) => Pay::UsedUp,
                };
            }
            Ok(Err(error)) => {
                // It may be another database by now, which never heard of this gateway.
                self.is_known = false;
                error.to_string()
            }
            Err(_) => format!("no answer within {} ms", ANSWER_WAIT.as_millis()),
        };
        tracing::warn!(%caller, "no part of the budget was taken from the database: {why}");
        self.unreachable = Some(Instant::now() + UNREACHABLE_FOR);
        table.lock().unanswered(caller);
        count(LeaseResult::NoAnswer);
        Pay::Ask
    }
}

impl Lending {
    /// Gives back what is left, for at most so long. Nobody pays any more.
    pub async fn finish(own: Option<Self>, at_most: Duration) {
        let Some(mut own) = own else { return };
        own.counting.abort();
        own.ending.cancel();
        if timeout(at_most, &mut own.task).await.is_err() {
            own.task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
