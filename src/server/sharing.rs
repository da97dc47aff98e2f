//! What gateways have in common by way of the database, put together from the settings: limits, keys,
//! and how long one may go on by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::opened::Mirror;
use crate::audit::Journal;
use crate::config::Settings;
use crate::database::{KeyTimes, Link};
use crate::fleet::{
    Counting, Gateways, Isolation, Keys, Leases, Lender, Lending, Settled, Settling,
};
use crate::shipping::Witness;
use crate::telemetry::Metrics;

/// What a gateway has of it.
#[derive(Default)]
pub(super) struct Sharing {
    /// None of it where each gateway has its own.
    pub(super) asking: Asking,
    pub(super) leases: Option<Leases>,
    pub(super) gateways: Arc<Gateways>,
    pub(super) keys: Option<Keys>,
    /// Where a gateway that hears of no orders stops.
    pub(super) isolation: Option<Arc<Isolation>>,
}

/// What asks the database for it.
#[derive(Default)]
pub(super) struct Asking {
    limits: Option<(Counting, Lender)>,
    keys: Option<Settling>,
    /// Writes down how the logs of the others were.
    witness: Option<Witness>,
    /// What grants may wait for.
    link: Option<Arc<Link>>,
}

impl Sharing {
    pub(super) fn new(
        settings: &Settings,
        mirror: Option<&Mirror>,
        journal: &Journal,
        metrics: &Metrics,
    ) -> Self {
        metrics.leases.gateways.set(1);
        let mut own = Self::default();
        let Some(mirror) = mirror else { return own };
        // What grants wait for does not wait behind records that are sent.
        let (asking, log) = (Arc::new(mirror.link.beside()), &mirror.log);
        own.asking.witness = settings
            .database
            .as_ref()
            .map(|database| mirror.beats.witness(journal.clone(), database.witness_interval));
        if let Some(when_alone) = settings.limits.shared {
            let (directory, metrics) = (settings.audit.directory.clone(), metrics.leases.clone());
            own.gateways = Gateways::kept_in(&directory);
            let (at, gateways) = ((asking.clone(), log.clone()), own.gateways.clone());
            let (leases, lender) = Leases::new(at, gateways.clone(), when_alone, metrics.clone());
            own.leases = Some(leases);
            let (link, log) = (asking.clone(), log.clone());
            let counting = Counting { link, log, gateways, directory, metrics };
            own.asking.limits = Some((counting, lender));
        }
        if settings.limits.shared.is_some() || settings.idempotency.shared {
            own.asking.link = Some(asking.clone());
        }
        let isolation_max = settings.policy_bundle.as_ref().and_then(|one| one.isolation_max);
        own.isolation = isolation_max.map(|most| {
            Arc::new(Isolation::new(
                mirror.beats.heard(),
                mirror.beats.heads(),
                mirror.followed.clone(),
                most,
            ))
        });
        if settings.idempotency.shared {
            let (window, sending) =
                (settings.idempotency.window, 2 * settings.limits.answer_deadline);
            let times = KeyTimes { window, sending };
            let (keys, settling) =
                Keys::new(asking, log.clone(), times, metrics.duplicates.clone());
            (own.keys, own.asking.keys) = (Some(keys), Some(settling));
        }
        own
    }
}

/// A start waits so long for a connection, where what is shared needs one.
const FIRST_CONNECTION: Duration = Duration::from_secs(1);

impl Asking {
    pub(super) async fn start(self) -> Asked {
        if let Some(link) = &self.link {
            link.begin(FIRST_CONNECTION).await;
        }
        let limits = self.limits.map(|(counting, lender)| lender.start(counting));
        let witness = self.witness.map(|witness| tokio::spawn(witness.run()));
        let link = self.link.map(|link| tokio::spawn(link.keep()));
        let tasks = witness.into_iter().chain(link).collect();
        Asked { limits, keys: self.keys.map(Settling::start), tasks }
    }
}

/// Asks it.
pub(super) struct Asked {
    limits: Option<Lending>,
    keys: Option<Settled>,
    tasks: Vec<JoinHandle<()>>,
}

impl Asked {
    /// Says what is left to be said, for at most so long.
    pub(super) async fn finish(self, at_most: Duration) {
        tokio::join!(Lending::finish(self.limits, at_most), Settled::finish(self.keys, at_most));
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
