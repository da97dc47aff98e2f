//! Keeps the orders of the file in force in a running gateway, and in the audit log.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::told::{self, Told};
use super::{OrdersFile, load};
use crate::audit::Journal;
use crate::domain::{Clock, Order, OrderKind, Problem};
use crate::policy::Orders;
use crate::telemetry::OrderMetrics;

/// How often the file is looked at. A freeze is in force well within a second.
const EVERY: Duration = Duration::from_millis(200);

/// What the keeper works with.
pub struct Keeper {
    path: PathBuf,
    exception_max: SignedDuration,
    /// Of the audit log: where it is kept what was recorded.
    directory: PathBuf,
    in_force: Arc<ArcSwap<Orders>>,
    journal: Journal,
    clock: Arc<dyn Clock>,
    metrics: OrderMetrics,
    known: Mutex<Known>,
}

struct Known {
    file: OrdersFile,
    told: Told,
    status: OrdersStatus,
}

/// What is wrong with the orders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrdersStatus {
    /// The file is not what is in force.
    pub unread: Option<String>,
    /// What changed is not recorded yet, so that what would allow more is not in force.
    pub unrecorded: Option<String>,
}

impl Keeper {
    /// For the orders of a file that was read before. Freezes are in force from now on;
    /// exceptions only where the log has them.
    ///
    /// # Errors
    /// What is wrong with what an earlier process left.
    pub fn new(
        (path, exception_max): (PathBuf, SignedDuration),
        file: OrdersFile,
        directory: PathBuf,
        journal: Journal,
        metrics: OrderMetrics,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Problem> {
        let told = Told::load(&directory)?;
        if told.knows(file.next) {
            let text = format!(
                "has fewer orders than the audit log: it was removed, or an older one took its \
                 place, and what it froze would be open; bring it back, or remove `{}` to begin \
                 without orders",
                told::place(&directory).display()
            );
            return Err(Problem::of_file(path.display().to_string(), text));
        }
        let known = |order: &&Order| match order.kind {
            OrderKind::Freeze(_) => true,
            OrderKind::Drill(_) | OrderKind::Exception(..) => told.knows(order.number),
        };
        let orders = Orders::new(file.orders().iter().filter(known).cloned());
        let in_force = Arc::new(ArcSwap::from_pointee(orders));
        let known = Mutex::new(Known { file, told, status: OrdersStatus::default() });
        let keeper =
            Self { path, exception_max, directory, in_force, journal, clock, metrics, known };
        keeper.show(keeper.clock.now());
        Ok(keeper)
    }

    /// What is in force, at any moment.
    #[must_use]
    pub fn in_force(&self) -> Arc<ArcSwap<Orders>> {
        self.in_force.clone()
    }

    /// What is wrong.
    #[must_use]
    pub fn status(&self) -> OrdersStatus {
        self.known.lock().status.clone()
    }

    /// Whether the audit log has it that this order was given.
    #[must_use]
    pub fn has_recorded(&self, number: u32) -> bool {
        self.known.lock().told.knows(number)
    }

    /// Looks at the file again and again.
    pub async fn run(self: Arc<Self>) {
        loop {
            self.look().await;
            sleep(EVERY).await;
        }
    }

    pub(super) async fn look(self: &Arc<Self>) {
        let keeper = self.clone();
        let read = move || load(&keeper.path, keeper.exception_max);
        let Ok(read) = tokio::task::spawn_blocking(read).await else { return };
        let now = self.clock.now();
        let file = self.take(read);
        let told = self.known.lock().told.clone();
        if told.missing(&file, now).is_empty() {
            self.put_in_force(&file);
        } else {
            self.tighten(&file, now);
            self.show(now);
            self.record(&file, told, now).await;
        }
        self.show(now);
    }

    /// The file to go by: as it is now, or as it was before it had a mistake or was gone.
    fn take(&self, read: Result<OrdersFile, Problem>) -> OrdersFile {
        let mut known = self.known.lock();
        let unread = match read {
            Ok(file) if file.next < known.file.next => Some(format!(
                "{}: has fewer orders than before: it was removed, or an older one took its place",
                self.path.display()
            )),
            Ok(file) => {
                known.file = file;
                None
            }
            Err(problem) => Some(problem.to_string()),
        };
        if known.status.unread != unread {
            match &unread {
                Some(text) => tracing::error!("the orders of before stay in force: {text}"),
                None => tracing::info!("the file of orders can be read again"),
            }
            known.status.unread = unread;
        }
        known.file.clone()
    }

    /// What makes grants fewer, of before and of now.
    fn tighten(&self, file: &OrdersFile, now: Timestamp) {
        let before = self.in_force.load();
        let was = |order: &Order| before.all().iter().any(|old| old.number == order.number);
        let is_freeze = |order: &&Order| matches!(order.kind, OrderKind::Freeze(_));
        let mut orders: Vec<Order> =
            file.orders().iter().filter(|order| is_freeze(order) || was(order)).cloned().collect();
        let is_still = |old: &&Order| old.holds(now) && is_freeze(old);
        for old in before.all().iter().filter(is_still) {
            // Lifted, and that is not recorded yet.
            match orders.iter_mut().find(|order| order.number == old.number) {
                Some(order) => order.lifted = None,
                None => orders.push(old.clone()),
            }
        }
        self.in_force.store(Arc::new(Orders::new(orders)));
    }

    /// Records what is new, and puts in force what is recorded.
    async fn record(&self, file: &OrdersFile, mut told: Told, now: Timestamp) {
        let mut failure = None;
        for entry in told.clone().missing(file, now) {
            match self.journal.record_order(&entry).await {
                Ok(()) => {
                    let order = entry.order;
                    let (number, kind) = (order.number, order.kind.as_str());
                    let (change, by) = (entry.change.as_str(), entry.signature().map(|s| &s.by));
                    tracing::warn!(number, kind, change, by, "an order was recorded");
                    told.note(&entry);
                }
                Err(error) => {
                    failure = Some(format!("order {}: {error}", entry.order.number));
                    break;
                }
            }
        }
        told.forget(file);
        if let Err(error) = told.save(&self.directory) {
            // They are in the log; the next process records them once more.
            tracing::error!(%error, "it was not kept which orders are recorded");
        }
        if failure.is_none() {
            self.put_in_force(file);
        }
        let mut known = self.known.lock();
        known.told = told;
        if known.status.unrecorded != failure {
            if let Some(text) = &failure {
                tracing::error!("not recorded, so what it would allow is not in force: {text}");
            }
            known.status.unrecorded = failure;
        }
    }

    fn put_in_force(&self, file: &OrdersFile) {
        let orders = Orders::new(file.orders().iter().cloned());
        if self.in_force.load().all() != orders.all() {
            self.in_force.store(Arc::new(orders));
        }
    }

    fn show(&self, now: Timestamp) {
        let in_force = self.in_force.load();
        for kind in OrderKind::WORDS {
            let of_kind = in_force.holding(now).filter(|order| order.kind.as_str() == kind);
            let count = i64::try_from(of_kind.count()).unwrap_or(i64::MAX);
            self.metrics.in_force.with_label_values(&[kind]).set(count);
        }
        let status = self.status();
        let failing = status.unread.is_some() || status.unrecorded.is_some();
        self.metrics.failing.set(i64::from(failing));
    }
}
