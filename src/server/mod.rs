//! A running gateway: listeners, tower stack, drain.
//!
//! `serve`, the demo and the tests all start a gateway here, so there is one path.

mod admin;
mod export;
mod handshakes;
mod health;
mod journal;
mod observe;
mod otlp;
pub mod service_manager;
mod stack;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::audit::upkeep::Anchors;
use crate::audit::{FileStore, Journal, OpenError, RecoveryReport, Started};
use crate::config::Settings;
use crate::domain::{Problem, SystemClock};
use crate::gateway::{Admission, CertificateLog, Gateway};
use crate::listener::{Listener, Stop};
use crate::snapshot::{Loaded, ReloadHandle, ReloadRequests, Reloader};
use crate::telemetry::{ClosedSets, Metrics, Traces};
use admin::Admin;
use export::Exporter;
pub use export::export_problems;
use health::Health;
pub use journal::journal_settings;
use observe::AuditObserver;
pub use otlp::{OtlpError, traces_from};
use stack::Shared;

/// What counters have from the start, each said by its owner.
pub const CLOSED_SETS: ClosedSets = ClosedSets {
    events: crate::audit::Event::CODES,
    stages: &{
        let [a, b, c, d] = crate::audit::Stage::OF_RECORDS;
        [a.as_str(), b.as_str(), c.as_str(), d.as_str()]
    },
    tasks: crate::audit::upkeep::Task::CODES,
    agreements: &crate::policy::Opinion::AGREEMENTS,
    parts: &crate::snapshot::PART_NAMES,
    export_failures: export::FAILURES,
};

/// For requests in flight when the end is wanted at once.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// For audit records that the collector does not have yet, at the end.
const LAST_RECORDS: Duration = Duration::from_secs(2);

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The audit log cannot be opened.
    #[error("the audit log in `{path}` cannot be opened: {1}", path = .0.display())]
    Audit(PathBuf, #[source] OpenError),
    /// Its keys cannot be used.
    #[error("the audit log cannot be opened: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    AuditKeys(Vec<Problem>),
    /// The collector of audit records cannot be used.
    #[error("audit records cannot be sent: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Export(Vec<Problem>),
    /// An address cannot be bound.
    #[error("`{0}` = \"{1}\" cannot be bound: {2}")]
    Bind(&'static str, SocketAddr, #[source] std::io::Error),
    /// The metrics registry refused a metric: a fault of the program.
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What a gateway is given by the process that it runs in.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// A socket that is bound and listening takes the place of `listener.address`.
    pub inherited: Option<std::net::TcpListener>,
    /// Where traces go.
    pub traces: Traces,
}

/// A gateway that is bound and has opened its audit log, not yet serving.
pub struct Server {
    gateway: Arc<Gateway>,
    listener: Listener,
    admin: Admin,
    shared: Arc<Shared>,
    closer: crate::audit::JournalCloser,
    recovery: RecoveryReport,
    reloader: Arc<Reloader>,
    reloading: (ReloadHandle, ReloadRequests),
    anchors: Arc<Anchors>,
    exporter: Option<Exporter>,
}

impl Server {
    /// Opens the audit log and binds the addresses.
    ///
    /// # Errors
    /// [`StartError`]; nothing is bound then.
    pub async fn start(
        settings: Settings,
        loaded: Loaded,
        surroundings: Surroundings,
    ) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new(&CLOSED_SETS)?);
        let settings = Arc::new(settings);
        let snapshot = Arc::new(ArcSwap::from_pointee(loaded.snapshot));
        let current = snapshot.clone();
        let address = settings.listener.address;
        let tcp = match surroundings.inherited {
            Some(socket) => listener_of(socket),
            None => TcpListener::bind(address).await,
        };
        let listener = Listener::new(
            tcp.map_err(|error| StartError::Bind("listener.address", address, error))?,
            Arc::new(move || current.load().certificates.tls.clone()),
            settings.connection_limits.clone(),
            metrics.listener.clone(),
        );
        let admin = Admin::bind(&settings.admin, &snapshot).await?;

        let directory = settings.audit.directory.clone();
        let journal = journal_settings(&settings.audit).map_err(StartError::AuditKeys)?;
        let observer = AuditObserver::start(&settings.audit, metrics.clone());
        let observer = observer.map_err(|e| StartError::Audit(directory.clone(), e.into()))?;
        let observer = Arc::new(observer);
        let sender = export::sender(&settings.audit).map_err(StartError::Export)?;
        let opened = FileStore::open(&directory).and_then(|store| {
            let revision = snapshot.load().policy.revision().clone();
            Journal::open(store, journal, &revision, Arc::new(SystemClock), observer.clone())
        });
        let Started { journal, closer, recovery } =
            opened.map_err(|error| StartError::Audit(directory, error))?;
        observer.opened();
        let exporter =
            sender.map(|sender| Exporter::new(settings.clone(), sender, &journal, &metrics.export));

        let gateway = Arc::new(Gateway {
            snapshot: snapshot.clone(),
            journal: journal.clone(),
            metrics: metrics.clone(),
            admission: Admission::new(&settings.limits),
            limits: settings.limits.clone(),
            hostnames: settings.listener.hostnames.clone(),
            clock: Arc::new(SystemClock),
            traces: surroundings.traces,
            certificate_log: CertificateLog::default(),
        });
        let listener = listener.around_handshakes(handshakes::of_callers(&gateway));
        let clock = Arc::new(SystemClock);
        let reloader = Reloader::new(settings, snapshot, loaded.digests, journal, metrics, clock);
        if let Some(candidate) = loaded.candidate {
            reloader.load_candidate(candidate);
        }
        let reloading = Reloader::handle();
        let shared = Arc::new(Shared { gateway: gateway.clone(), running: TaskTracker::new() });
        let anchors = observer.anchors();
        Ok(Self {
            gateway,
            listener,
            admin,
            shared,
            closer,
            recovery,
            reloader,
            reloading,
            anchors,
            exporter,
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
        let Self { gateway, listener, admin, shared, closer, reloader, reloading, anchors, .. } =
            self;
        let export = self.exporter.as_ref().map(Exporter::state);
        let exporting = self.exporter.map(Exporter::start);
        let health = Health {
            export,
            started: gateway.clock.now(),
            gateway,
            reloader: reloader.clone(),
            stop: stop.clone(),
            anchors: anchors.clone(),
        };
        let admin = tokio::spawn(admin.serve(Arc::new(health)));
        let (handle, requests) = reloading;
        let reloading = tokio::spawn(reloader.run(requests));
        let stack = shared.clone();
        listener.serve(move |peer| stack::service(&stack, peer), stop.clone()).await;
        // Requests whose caller has hung up still run. None takes longer than its deadline.
        shared.running.close();
        tokio::select! {
            () = shared.running.wait() => {}
            () = async { stop.ended().await; sleep(LAST_MOMENT).await } => {
                let left = shared.running.len();
                tracing::warn!(left, "requests were cut off; the next start closes them as unknown");
            }
        }
        reloading.abort();
        let _ = reloading.await;
        drop(handle);
        admin.abort();
        let _ = admin.await;
        drop(shared);
        let close = move || {
            closer.close();
            anchors.finish();
        };
        if let Err(error) = tokio::task::spawn_blocking(close).await {
            tracing::error!(%error, "the audit log was not closed");
        }
        if let Some(exporting) = exporting {
            tokio::select! {
                () = exporting.finish(LAST_RECORDS) => {}
                () = async { stop.ended().await; sleep(LAST_MOMENT).await } => {}
            }
        }
    }
}

fn listener_of(socket: std::net::TcpListener) -> std::io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}
