//! What a gateway works with, opened or set up one by one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::StartError;
use super::health::Health;
use super::identity::Identity;
use super::observe::AuditObserver;
use super::sharing::Sharing;
use crate::audit::follow;
use crate::audit::search::attempts;
use crate::audit::{FileStore, Journal, JournalSettings, LogReader, OpenError, ReadError, Started};
use crate::config::{ConsoleSettings, ReplicaSettings, Settings};
use crate::console::{self, Background, Console};
use crate::database::{Access, Link, Log};
use crate::domain::{CallerId, Clock as _, SystemClock};
use crate::fleet::{Directives, Followed, Follower, SignedOrders};
use crate::gateway::{Budgets, Duplicates, Gateway, midnight};
use crate::listener::Listener;
use crate::note::VerifierKey;
use crate::orders::{Keeper, OrdersFile, Place};
use crate::resolver::{self, Resolver, Resolving};
use crate::shipping::{Beats, MirrorSink, OtlpSink, Shipper};
use crate::snapshot::{ReloadHandle, Reloader, Snapshot};
use crate::telemetry::Metrics;

/// Where callers connect, with the certificates of whatever snapshot is in force.
pub(super) fn listener(
    tcp: TcpListener,
    settings: &Settings,
    snapshot: &Arc<ArcSwap<Snapshot>>,
    metrics: &Metrics,
) -> Listener {
    let (current, limits) = (snapshot.clone(), settings.connection_limits.clone());
    let tls = Arc::new(move || current.load().certificates.tls.clone());
    Listener::new(tcp, tls, limits, metrics.listener.clone())
        .announced_from(settings.listener.proxy_protocol_from.clone())
}

/// What was granted before this process began, as far as it still counts: today's for budgets,
/// where any caller's day is limited, and that of the window for what is asked for again. It must
/// be known before the first request is answered. The log has every decision of before, and the
/// start has closed those that were open.
pub(super) async fn granted_before(
    settings: &Settings,
    snapshot: &ArcSwap<Snapshot>,
    journal: &Journal,
    sharing: &mut Sharing,
) -> Result<(Budgets, Arc<Duplicates>), StartError> {
    let window = settings.idempotency.window;
    let duplicates = Duplicates::new(&settings.idempotency).shared_by(sharing.keys.take());
    let budgets = Budgets::new(settings.limits.caller_budget).shared_by(sharing.leases.take());
    let (callers, journal) = (snapshot.load().callers.clone(), journal.clone());
    let log = LogReader::new(&settings.audit.directory);
    let read = tokio::task::spawn_blocking(move || {
        let (began, now) = (Instant::now(), SystemClock.now());
        let is_limited = |caller: &CallerId| !budgets.of(&callers, caller).is_unlimited();
        let today = callers.ids().any(is_limited).then(|| midnight(now));
        let since = now.checked_sub(window).unwrap_or_default();
        let mut recall = duplicates.recall(window, now);
        attempts(&log, today.map_or(since, |today| today.min(since)), |news| {
            if let Some(grant) = news.sent().filter(|grant| is_limited(&grant.caller)) {
                budgets.recall(&grant.caller, grant.entrance, (grant.at, now));
            }
            recall.take(news, &journal);
        })?;
        recall.end();
        let (took, keys) = (began.elapsed(), duplicates.keys());
        tracing::info!(?took, keys, "recent grants were read from the audit log");
        Ok((budgets, Arc::new(duplicates)))
    });
    let ended = read.await.map_err(|error| StartError::Recent(error.to_string()))?;
    ended.map_err(|error: ReadError| StartError::Recent(error.to_string()))
}

/// What watches the log.
pub(super) fn observer(
    settings: &Settings,
    metrics: &Arc<Metrics>,
) -> Result<Arc<AuditObserver>, StartError> {
    let started = AuditObserver::start(settings, metrics.clone());
    started.map(Arc::new).map_err(|error| no_log(settings, error.into()))
}

fn no_log(settings: &Settings, error: OpenError) -> StartError {
    StartError::Audit(settings.audit.directory.clone(), error)
}

/// The log, and what the console shows of it; and who this gateway is, where it is one of several.
pub(super) fn log(
    settings: &Settings,
    mut journal: JournalSettings,
    snapshot: &Snapshot,
    observer: Arc<AuditObserver>,
) -> Result<(Started, Shown, Option<Log>), StartError> {
    let directory = &settings.audit.directory;
    let store = FileStore::open(directory).map_err(|error| no_log(settings, error))?;
    let store = store.with_wal(settings.audit.wal_bytes);
    let mut own = None;
    if let Some(ReplicaSettings { name }) = &settings.replica {
        // No other gateway has this directory: the store has its lock.
        let identity = Identity::of(directory)?;
        let verifier = match &journal.signing_key {
            Some(key) => key.verifier().clone(),
            None => {
                let key = identity.signing_key(directory, name)?;
                let verifier = key.verifier().clone();
                journal.signing_key = Some(key);
                verifier
            }
        };
        let Identity { replica, token } = identity;
        own = Some(Log {
            replica,
            name: name.clone(),
            origin: verifier.name().to_owned(),
            verifier_key: verifier.to_string(),
            token,
        });
    }
    let revision = snapshot.policy.revision();
    let clock = Arc::new(SystemClock);
    let key = journal.signing_key.as_ref().map(|key| key.verifier().clone());
    let started = Journal::open(store, journal, revision, clock, observer.clone());
    let started = started.map_err(|error| no_log(settings, error))?;
    observer.opened();
    Ok((started, Shown::of(settings, key)?, own))
}

/// What sends every record to a sink, and what is shared by way of the database.
pub(super) fn shippers(
    settings: &Settings,
    collector: Option<OtlpSink>,
    (database, own): (Option<Access>, Option<Log>),
    journal: &Journal,
    metrics: &Metrics,
) -> (Option<Shipper>, Option<Mirror>, Sharing) {
    let directory = &settings.audit.directory;
    let collector = collector.map(|sink| {
        Shipper::new(sink, (directory, follow::OF_EXPORT), journal, &metrics.sinks.collector)
    });
    let files = settings.database.as_ref().map(|database| database.files.clone());
    let mirror = files.zip(database).zip(own).map(|((files, access), own)| {
        let log = Arc::new(own);
        let sink = MirrorSink::new(files, access, log.clone(), directory.clone());
        let (beats, link) = (sink.beats(), sink.link());
        let place = (directory.as_path(), follow::OF_DATABASE);
        let shipper = Shipper::new(sink, place, journal, &metrics.sinks.database);
        Mirror { shipper, beats, link, log, followed: Arc::default() }
    });
    let sharing = Sharing::new(settings, mirror.as_ref(), journal, metrics);
    (collector, mirror, sharing)
}

/// What this gateway has to do with the database.
pub(super) struct Mirror {
    /// Sends it every record.
    pub(super) shipper: Shipper,
    /// Says there how this gateway is, and hears which bundle it is to have.
    pub(super) beats: Beats,
    pub(super) link: Arc<Link>,
    pub(super) log: Arc<Log>,
    pub(super) followed: Arc<Followed>,
}

impl Mirror {
    /// What comes from there, where it is known whose signatures count.
    pub(super) fn following(
        &self,
        gateway: &Gateway,
        (handle, reloader): (&ReloadHandle, &Arc<Reloader>),
        keeper: &Arc<Keeper>,
    ) -> Result<Option<Following>, StartError> {
        let Some(bundles) = reloader.bundles() else { return Ok(None) };
        let trust = bundles.trust().clone();
        let orders = SignedOrders::new(trust, keeper.clone(), self.followed.clone());
        let orders = Arc::new(orders.map_err(StartError::Orders)?);
        let directives = Directives::new(self.link.clone(), self.beats.heads(), orders.clone());
        let follower = Follower {
            link: self.link.clone(),
            heads: self.beats.heads(),
            snapshot: gateway.snapshot.clone(),
            bundles,
            reload: (handle.clone(), reloader.clone()),
            metrics: gateway.metrics.bundles.clone(),
        };
        Ok(Some(Following { follower, directives, orders }))
    }
}

/// What follows the database: bundles and signed orders.
pub(super) struct Following {
    follower: Follower,
    directives: Directives,
    orders: Arc<SignedOrders>,
}

impl Following {
    /// Signed orders, as they are taken here.
    pub(super) fn orders(&self) -> Arc<SignedOrders> {
        self.orders.clone()
    }

    pub(super) fn start(self) -> [JoinHandle<()>; 2] {
        [tokio::spawn(self.follower.run()), tokio::spawn(self.directives.run())]
    }
}

pub(super) fn resolver(
    settings: &Settings,
    snapshot: &Arc<ArcSwap<Snapshot>>,
    journal: &Journal,
    metrics: &Metrics,
    duplicates: &Arc<Duplicates>,
) -> (Resolver, Option<(Resolving, LogReader)>) {
    let Some(delay) = settings.upstream.resolve_delay else { return (Resolver::off(), None) };
    let (snapshot, metrics) = (snapshot.clone(), metrics.resolver.clone());
    let clock = Arc::new(SystemClock);
    let duplicates = duplicates.clone();
    let tell = Box::new(move |seq, resolution| duplicates.resolved(seq, resolution));
    let (resolver, resolving) =
        resolver::resolver(delay, snapshot, journal.clone(), clock, metrics, tell);
    (resolver, Some((resolving, LogReader::new(&settings.audit.directory))))
}

pub(super) fn keeper(
    settings: &Settings,
    orders: OrdersFile,
    journal: &Journal,
    metrics: &Metrics,
) -> Result<Arc<Keeper>, StartError> {
    let keeper = Keeper::new(
        Place {
            file: settings.orders.file.clone(),
            log: settings.audit.directory.clone(),
            exception_max: settings.orders.exception_max,
        },
        orders,
        journal.clone(),
        metrics.orders.clone(),
        Arc::new(SystemClock),
    );
    keeper.map(Arc::new).map_err(StartError::Orders)
}

/// What the console shows of what was opened here.
pub(super) struct Shown {
    name: Option<String>,
    settings: ConsoleSettings,
    log: PathBuf,
    keys: Vec<VerifierKey>,
    background: Background,
}

impl Shown {
    /// With the key that verifies the log's checkpoints.
    fn of(settings: &Settings, key: Option<VerifierKey>) -> Result<Self, StartError> {
        Ok(Self {
            name: settings.replica.as_ref().map(|replica| replica.name.clone()),
            settings: settings.console.clone(),
            log: settings.audit.directory.clone(),
            keys: key.into_iter().collect(),
            background: Background::start().map_err(StartError::Console)?,
        })
    }

    /// The console of a gateway that runs.
    pub(super) fn over(self, health: &Arc<Health>) -> Arc<Console> {
        Arc::new(Console {
            gateway: health.gateway.clone(),
            keeper: health.keeper.clone(),
            state: health.clone(),
            name: self.name,
            settings: self.settings,
            log: self.log,
            keys: self.keys,
            work: console::Work::default(),
            background: self.background,
        })
    }
}
