//! Keeps the orders of the file in force in a running gateway, and in the audit log.
//!
//! One task looks at the file and puts in force at once what makes grants fewer; it waits for
//! nothing but the reading. Another records, and puts in force what makes them more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::sleep;

use super::told::{self, Told};
use super::{OrdersFile, Place, load};
use crate::audit::Journal;
use crate::domain::{Clock, DirectiveId, Order, OrderKind, Problem};
use crate::policy::Orders;
use crate::telemetry::OrderMetrics;

/// How often the file is looked at. A freeze is in force well within a second.
const EVERY: Duration = Duration::from_millis(200);

/// A file that was not looked at for so long is not what is in force.
const LOOK_MAX: Duration = Duration::from_secs(3);

/// What the keeper works with.
pub struct Keeper {
    place: Place,
    in_force: Arc<ArcSwap<Orders>>,
    journal: Journal,
    clock: Arc<dyn Clock>,
    metrics: OrderMetrics,
    known: Mutex<Known>,
    /// One look at a time: an older one must not come after a newer.
    looking: tokio::sync::Mutex<()>,
}

struct Known {
    told: Told,
    /// Freezes of all gateways that could not be written into the file yet.
    held: Vec<Order>,
    /// Freezes of a file that does not follow from what is recorded: they count all the same.
    strange: Vec<Order>,
    status: OrdersStatus,
    looked: Instant,
    /// What is on the disk of what is recorded.
    saved: Option<Told>,
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
    /// exceptions, and that a freeze was lifted, only where the log has them.
    ///
    /// # Errors
    /// When the file does not follow from what is recorded, or that cannot be read.
    pub fn new(
        place: Place,
        file: OrdersFile,
        journal: Journal,
        metrics: OrderMetrics,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Problem> {
        let mut told = Told::load(&place.log)?;
        let saved = Some(told.clone());
        file.follows(told.file(), clock.now()).map_err(|why| {
            let text = format!(
                "{why}; bring it back. The file as it was is in `{}`, and the next `grantgate \
                 freeze` or `unfreeze` writes it again where the file is gone; to begin without \
                 orders, remove both",
                told::place(&place.log).display()
            );
            Problem::of_file(place.file.display().to_string(), text)
        })?;
        told.take(file);
        let (strange, status) = (Vec::new(), OrdersStatus::default());
        let (held, looked) = (Vec::new(), Instant::now());
        let known = Known { told, held, strange, status, looked, saved };
        let in_force = Arc::new(ArcSwap::from_pointee(Orders::default()));
        let (known, looking) = (Mutex::new(known), tokio::sync::Mutex::default());
        let keeper = Self { place, in_force, journal, clock, metrics, known, looking };
        keeper.put_in_force(&keeper.known.lock());
        keeper.show();
        Ok(keeper)
    }

    /// Where the orders are.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// What is in force, at any moment.
    #[must_use]
    pub fn in_force(&self) -> Arc<ArcSwap<Orders>> {
        self.in_force.clone()
    }

    /// What is wrong.
    #[must_use]
    pub fn status(&self) -> OrdersStatus {
        let known = self.known.lock();
        let looked = known.looked.elapsed();
        let late = (looked > LOOK_MAX).then(|| {
            let seconds = looked.as_secs();
            format!("{}: reading it takes {seconds} s", self.place.file.display())
        });
        let OrdersStatus { unread, unrecorded } = known.status.clone();
        OrdersStatus { unread: unread.or(late), unrecorded }
    }

    /// Whether the audit log has it that this order was given, and no other of its number.
    #[must_use]
    pub fn has_recorded(&self, order: &Order) -> bool {
        let known = self.known.lock();
        let is_it = |known: &Order| known.number == order.number && known.given == order.given;
        known.told.knows(order.number) && known.told.file().orders().iter().any(is_it)
    }

    /// Looks at the file and records what is new, again and again.
    pub async fn run(self: Arc<Self>) {
        let looking = async {
            loop {
                self.look().await;
                sleep(EVERY).await;
            }
        };
        let recording = async {
            loop {
                self.record().await;
                sleep(EVERY).await;
            }
        };
        tokio::join!(looking, recording);
    }

    /// Freezes that are in force although they are not in the file, until they are.
    pub fn hold(&self, freezes: Vec<Order>) {
        let mut known = self.known.lock();
        known.held = freezes;
        self.put_in_force(&known);
    }

    /// Whether a signed order was given here, in force or over.
    #[must_use]
    pub fn has_directive(&self, id: &DirectiveId) -> bool {
        self.known.lock().told.file().number_of(id).is_some()
    }

    /// Whether it was given here, and was not taken back.
    #[must_use]
    pub fn follows(&self, id: &DirectiveId) -> bool {
        let known = self.known.lock();
        let is_it = |order: &&Order| order.directive.as_ref() == Some(id);
        known.told.file().orders().iter().find(is_it).is_some_and(|order| order.lifted.is_none())
    }

    /// Reads the file, and puts in force what makes grants fewer. Tells whether it is what is in force.
    pub async fn look(&self) -> bool {
        let _looking = self.looking.lock().await;
        let file = self.place.file.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || load(&file)).await else { return false };
        let is_taken = {
            let mut known = self.known.lock();
            known.looked = Instant::now();
            self.take(&mut known, read);
            self.put_in_force(&known);
            known.status.unread.is_none()
        };
        self.show();
        is_taken
    }

    /// Goes by the file as it is now, or as it was before it had a mistake or was another one.
    fn take(&self, known: &mut Known, read: Result<OrdersFile, Problem>) {
        let followed = read.map_err(|problem| (problem.to_string(), None)).and_then(|file| {
            match file.follows(known.told.file(), self.clock.now()) {
                Ok(()) => Ok(file),
                Err(why) => Err((format!("{}: {why}", self.place.file.display()), Some(file))),
            }
        });
        let unread = match followed {
            Ok(file) => {
                known.strange.clear();
                if file != *known.told.file() {
                    known.told.take(file);
                }
                None
            }
            Err((why, file)) => {
                let orders = file.iter().flat_map(OrdersFile::orders);
                let is_new = |order: &&Order| {
                    let known = known.told.file().orders().iter();
                    is_freeze(order) && !known.clone().any(|old| old == *order)
                };
                known.strange = orders.filter(is_new).cloned().collect();
                Some(why)
            }
        };
        if known.status.unread != unread {
            match &unread {
                Some(text) => tracing::error!("the orders of before stay in force: {text}"),
                None => tracing::info!("the file of orders is what is in force again"),
            }
            known.status.unread = unread;
        }
    }

    /// What the log has, and beyond that what makes grants fewer.
    fn put_in_force(&self, known: &Known) {
        let told = &known.told;
        let counts = |order: Order| {
            let (given, ended) = (told.knows(order.number), told.has_ended(order.number));
            match order.kind {
                // Until it is recorded that it was lifted.
                OrderKind::Freeze(_) if given && !ended => Some(Order { lifted: None, ..order }),
                OrderKind::Freeze(_) => Some(order),
                OrderKind::Drill(_) | OrderKind::Exception(..) => {
                    (given && !ended).then_some(order)
                }
            }
        };
        let orders = told.file().within(self.place.exception_max).filter_map(counts);
        let orders = Orders::new(orders.chain(known.strange.iter().chain(&known.held).cloned()));
        if self.in_force.load().all() != orders.all() {
            self.in_force.store(Arc::new(orders));
        }
    }

    /// Records what is new, and puts in force what is recorded.
    pub(super) async fn record(&self) {
        let (told, now) = (self.known.lock().told.clone(), self.clock.now());
        let mut failure = None;
        for entry in told.missing(now) {
            let (number, kind) = (entry.order.number, entry.order.kind.as_str());
            match self.journal.record_order(&entry).await {
                Ok(()) => {
                    let (change, by) = (entry.change.as_str(), entry.signature().map(|s| &s.by));
                    tracing::warn!(number, kind, change, by, "an order was recorded");
                    let mut known = self.known.lock();
                    known.told.note(&entry);
                    self.put_in_force(&known);
                }
                Err(error) => {
                    failure = Some(format!("order {number}: {error}"));
                    break;
                }
            }
        }
        let unsaved = self.save().await;
        let failure = failure.or(unsaved);
        let mut known = self.known.lock();
        if known.status.unrecorded != failure {
            if let Some(text) = &failure {
                tracing::error!("not recorded, so what it would allow is not in force: {text}");
            }
            known.status.unrecorded = failure;
        }
    }

    /// Keeps for the next process what was taken and what is recorded; or why that failed.
    async fn save(&self) -> Option<String> {
        let told = {
            let known = self.known.lock();
            (known.saved.as_ref() != Some(&known.told)).then(|| known.told.clone())
        }?;
        let (directory, saving) = (self.place.log.clone(), told.clone());
        let saved = tokio::task::spawn_blocking(move || saving.save(&directory)).await;
        match saved {
            Ok(Ok(())) => {
                self.known.lock().saved = Some(told);
                None
            }
            Ok(Err(error)) => Some(format!("{}: {error}", told::place(&self.place.log).display())),
            Err(error) => Some(error.to_string()),
        }
    }

    fn show(&self) {
        let (in_force, now): (_, Timestamp) = (self.in_force.load(), self.clock.now());
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

fn is_freeze(order: &Order) -> bool {
    matches!(order.kind, OrderKind::Freeze(_))
}
