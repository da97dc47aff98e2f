//! A running gateway: listeners, tower stack, drain.
//!
//! `serve`, the demo and the tests all start a gateway here, so there is one path.

mod admin;
mod brought;
mod handshakes;
mod health;
mod identity;
mod journal;
mod observe;
mod opened;
mod otlp;
mod prepared;
mod running;
pub mod service_manager;
mod sharing;
mod stack;
mod workers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::audit::upkeep::Anchors;
use crate::audit::{LogReader, OpenError, RecoveryReport, Started};
use crate::domain::{Problem, SystemClock};
use crate::gateway::{Admission, CertificateLog, Gateway};
use crate::listener::{Listener, Peer, Stop};
use crate::orders::Keeper;
use crate::resolver::Resolving;
use crate::shipping::{Shipper, Shipping};
use crate::snapshot::{FirstLoad, ReloadHandle, ReloadRequests, Reloader};
use crate::telemetry::{ClosedSets, Metrics};
use admin::Admin;
pub use admin::CONNECTIONS_MAX as ADMIN_CONNECTIONS_MAX;
use health::Health;
pub use identity::IdentityError;
pub use journal::journal_settings;
use opened::{Following, Mirror};
use prepared::Fixed;
pub use prepared::{Found, Prepared};
use sharing::Asking;
use stack::Shared;
use workers::Workers;

/// What counters have from the start, each said by its owner.
pub const CLOSED_SETS: ClosedSets = ClosedSets {
    events: crate::audit::Event::CODES,
    stages: &{
        let [a, b, c, d, e] = crate::audit::Stage::OF_RECORDS;
        [a.as_str(), b.as_str(), c.as_str(), d.as_str(), e.as_str()]
    },
    tasks: crate::audit::upkeep::Task::CODES,
    agreements: &crate::policy::Opinion::AGREEMENTS,
    parts: &crate::snapshot::PART_NAMES,
    export_failures: crate::shipping::FAILURES,
    duplicates: crate::gateway::Repeat::CODES,
    claim_results: crate::fleet::ClaimResult::CODES,
    lease_results: crate::fleet::LeaseResult::CODES,
    fetch_results: crate::issuers::FetchResult::CODES,
};

/// For requests in flight when the end is wanted at once.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// For audit records that the collector does not have yet, at the end.
const LAST_RECORDS: Duration = Duration::from_secs(2);

/// For those that the database does not have yet: the disk of a pod may go with the pod.
const LAST_MIRRORED: Duration = Duration::from_secs(10);

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The audit log cannot be opened.
    #[error("the audit log in `{path}` cannot be opened: {1}", path = .0.display())]
    Audit(PathBuf, #[source] OpenError),
    /// An address cannot be bound.
    #[error("`{0}` = \"{1}\" cannot be bound: {2}")]
    Bind(&'static str, SocketAddr, #[source] std::io::Error),
    /// What is left of orders before is not what it should be.
    #[error("{0}")]
    Orders(Problem),
    /// It is not known what callers have granted lately: for their budgets, and so as not to send
    /// a grant twice.
    #[error("recent grants cannot be read from the audit log, which must be known: {0}")]
    Recent(String),
    /// The bundle to start with cannot be kept, so that the next start might begin with an older one.
    #[error("{0}")]
    Bundle(Problem),
    /// Who this gateway is among several is not known.
    #[error("{0}")]
    Identity(#[from] IdentityError),
    /// There can be no more threads.
    #[error("the workers cannot be started: {0}")]
    Workers(#[source] std::io::Error),
    /// Nor for people who look.
    #[error("the threads of the console cannot be started: {0}")]
    Console(#[source] std::io::Error),
    /// The metrics registry refused a metric: a fault of the program.
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A gateway that is bound and has opened its audit log, not yet serving.
pub struct Server {
    gateway: Arc<Gateway>,
    listener: Listener,
    admin: Admin,
    shared: Arc<Shared>,
    workers: Workers,
    closer: crate::audit::JournalCloser,
    recovery: RecoveryReport,
    keeper: Arc<Keeper>,
    resolving: Option<(Resolving, LogReader)>,
    reloader: Arc<Reloader>,
    reloading: (ReloadHandle, ReloadRequests),
    anchors: Arc<Anchors>,
    shipper: Option<Shipper>,
    /// To the database, and what says there how this gateway is.
    mirror: Option<Mirror>,
    /// From the database, where policies come as bundles.
    following: Option<Following>,
    /// What asks the database for limits that gateways have in common.
    sharing: Asking,
    /// Fetches the keys of issuers.
    fetching: JoinSet<()>,
    /// What people look at in a browser.
    console: opened::Shown,
}

impl Server {
    /// Opens the audit log and binds the addresses. A socket that is bound and listening
    /// takes the place of `listener.address`.
    ///
    /// # Errors
    /// [`StartError`]; nothing is bound then.
    pub async fn start(
        prepared: Prepared,
        inherited: Option<std::net::TcpListener>,
    ) -> Result<Self, StartError> {
        let Prepared { settings, loaded, fixed } = prepared;
        let FirstLoad { snapshot, origin, trial, .. } = loaded;
        let Fixed { orders, journal, sink, database, traces, fetchers } = fixed;
        let metrics = Arc::new(Metrics::new(&CLOSED_SETS)?);
        let settings = Arc::new(settings);
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        let tcp = tcp_of(inherited, settings.listener.address).await?;
        let listener = opened::listener(tcp, &settings, &snapshot, &metrics);
        let admin = Admin::bind(&settings.admin, &snapshot).await?;

        let observer = opened::observer(&settings, &metrics)?;
        let (Started { journal, closer, recovery }, console, own) =
            opened::log(&settings, journal, &snapshot.load(), observer.clone())?;
        let keeper = opened::keeper(&settings, orders, &journal, &metrics)?;
        let (shipper, mirror, mut sharing) =
            opened::shippers(&settings, sink, (database, own), &journal, &metrics);
        let (budgets, duplicates) =
            opened::granted_before(&settings, &snapshot, &journal, &mut sharing).await?;
        let (resolver, resolving) =
            opened::resolver(&settings, &snapshot, &journal, &metrics, &duplicates);
        origin.keep().map_err(StartError::Bundle)?;

        let gateway = Arc::new(Gateway {
            snapshot: snapshot.clone(),
            journal: journal.clone(),
            recorded_reads: settings.audit.reads,
            metrics: metrics.clone(),
            orders: keeper.in_force(),
            resolver,
            duplicates,
            budgets,
            isolation: sharing.isolation,
            admission: Admission::new(&settings.limits, sharing.gateways),
            limits: settings.limits.clone(),
            hostnames: settings.listener.hostnames.clone(),
            clock: Arc::new(SystemClock),
            traces,
            certificate_log: CertificateLog::default(),
        });
        let fetching = fetchers.start(&snapshot.load().issuers, &metrics.issuers, &gateway.clock);
        let listener = listener.around_handshakes(handshakes::of_callers(&gateway));
        let workers = Workers::start(settings.listener.workers, &journal);
        let workers = workers.map_err(StartError::Workers)?;
        let shared = Arc::new(Shared::new(&gateway, &settings.listener));
        let (current, clock) = ((snapshot.clone(), keeper.in_force()), gateway.clock.clone());
        let reloader = Reloader::new(settings, current, origin, journal, metrics, clock);
        reloader.load_trial(trial);
        let reloading = Reloader::handle();
        let reload = (&reloading.0, &reloader);
        let following = mirror.as_ref().map(|own| own.following(&gateway, reload, &keeper));
        Ok(Self {
            gateway,
            listener,
            admin,
            shared,
            workers,
            closer,
            recovery,
            keeper,
            resolving,
            reloader,
            reloading,
            anchors: observer.anchors(),
            shipper,
            mirror,
            following: following.transpose()?.flatten(),
            sharing: sharing.asking,
            fetching,
            console,
        })
    }

    /// Where callers connect.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_address()
    }

    /// Where metrics and health are served.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.admin.local_address()
    }

    /// Where other machines ask for metrics and health, when they may.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn remote_admin_address(&self) -> std::io::Result<Option<SocketAddr>> {
        self.admin.remote_address()
    }

    /// Asks for reloads, as long as the gateway serves.
    #[must_use]
    pub fn reload_handle(&self) -> ReloadHandle {
        self.reloading.0.clone()
    }

    /// What the audit log found when it was opened.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// Serves until `stop` drains. Then no connection is accepted any more, what is in
    /// flight is answered, every outcome is recorded, and the audit log is closed. When
    /// `stop` ends, what is in flight has another second.
    pub async fn serve(self, stop: Stop) {
        let Self { gateway, listener, admin, shared, workers, closer, .. } = self;
        let (reloader, reloading, anchors) = (self.reloader, self.reloading, self.anchors);
        let (export, shipping) = self.shipper.map(|own| (own.state(), own.start())).unzip();
        let (mirror, beats) = self.mirror.map(|own| (own.shipper, own.beats)).unzip();
        let database = mirror.as_ref().map(Shipper::state);
        let mirroring = mirror.map(Shipper::start);
        let health = Arc::new(Health {
            orders: self.following.as_ref().map(Following::orders),
            export,
            database,
            started: gateway.clock.now(),
            gateway,
            keeper: self.keeper.clone(),
            reloader: reloader.clone(),
            stop: stop.clone(),
            anchors: anchors.clone(),
        });
        let beating = beats.map(|beats| beats.start(health::condition(health.clone(), &listener)));
        let admin = tokio::spawn(admin.serve(health.clone(), self.console.over(&health)));
        let (handle, requests) = reloading;
        let reloading = tokio::spawn(reloader.run(requests));
        let keeping = tokio::spawn(self.keeper.run());
        let following = self.following.map(Following::start).into_iter().flatten();
        let asking = self.sharing.start().await;
        let resolving = self.resolving.map(|(resolving, log)| tokio::spawn(resolving.run(log)));
        let services = workers.each().map(|(handle, worker)| {
            let shared = shared.clone();
            (handle, move |peer: &Peer| stack::service(&shared, &worker, peer))
        });
        listener.serve_on(services.collect(), stop.clone()).await;
        // Requests whose caller has hung up still run. None takes longer than its deadline.
        shared.running.close();
        tokio::select! {
            () = shared.running.wait() => {}
            () = async { stop.ended().await; sleep(LAST_MOMENT).await } => {
                let left = shared.running.len();
                tracing::warn!(left, "requests were cut off; the next start closes them as unknown");
            }
        }
        for task in [reloading, keeping].into_iter().chain(resolving).chain(following) {
            task.abort();
            let _ = task.await;
        }
        drop((handle, self.fetching));
        admin.abort();
        let _ = admin.await;
        drop(shared);
        let close = move || {
            workers.finish();
            closer.close();
            anchors.finish();
        };
        if let Err(error) = tokio::task::spawn_blocking(close).await {
            tracing::error!(%error, "the audit log was not closed");
        }
        tokio::select! {
            () = async {
                tokio::join!(
                    Shipping::finish(shipping, LAST_RECORDS),
                    Shipping::finish(mirroring, LAST_MIRRORED),
                    asking.finish(LAST_MOMENT),
                );
                // Not before: it tells that all was sent.
                if let Some(beating) = beating {
                    beating.finish(LAST_MOMENT).await;
                }
            } => {}
            () = async { stop.ended().await; sleep(LAST_MOMENT).await } => {}
        }
    }
}

/// Where callers connect: a socket that is listening already, or one that is bound now.
async fn tcp_of(
    inherited: Option<std::net::TcpListener>,
    address: SocketAddr,
) -> Result<TcpListener, StartError> {
    let tcp = match inherited {
        Some(socket) => socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket)),
        None => TcpListener::bind(address).await,
    };
    tcp.map_err(|error| StartError::Bind("listener.address", address, error))
}
