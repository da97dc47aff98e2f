//! Everything that a gateway is made from, loaded before anything is bound, opened or
//! connected to. `check` and `serve` both do this, so that neither can leave a part out.

use std::sync::Arc;

use jiff::Timestamp;

use super::journal::journal_settings;
use super::otlp::traces_from;
use crate::audit::JournalSettings;
use crate::config::{Environment, Settings};
use crate::database::Access;
use crate::domain::Problem;
use crate::issuers::Fetchers;
use crate::orders::{self, OrdersFile};
use crate::policy::Orders;
use crate::shipping::{self, OtlpSink};
use crate::snapshot::{self, Files, FirstLoad, Snapshot, TrialToLoad, Unloaded};
use crate::telemetry::Traces;
use crate::tls;

/// What [`super::Server::start`] needs; it only binds and opens.
pub struct Prepared {
    pub(super) settings: Settings,
    pub(super) loaded: FirstLoad,
    pub(super) fixed: Fixed,
}

/// What is read at the start, and by no reload.
pub(super) struct Fixed {
    pub(super) orders: OrdersFile,
    pub(super) journal: JournalSettings,
    pub(super) sink: Option<OtlpSink>,
    pub(super) database: Option<Access>,
    pub(super) traces: Traces,
    pub(super) fetchers: Fetchers,
}

/// What was found while loading.
pub struct Found {
    /// Mistakes in files that a reload reads again.
    pub reloadable: Vec<Problem>,
    /// Mistakes in what is read at the start only.
    pub fixed: Vec<Problem>,
    /// What deserves a second look.
    pub warnings: Vec<Problem>,
    /// What is wrong with certificates: a gateway starts all the same.
    pub certificates: Vec<tls::Finding>,
    /// A policy on trial that is still to be loaded; a mistake in it keeps no gateway from
    /// starting.
    pub trial: Option<TrialToLoad>,
}

impl Prepared {
    /// Reads every file and builds everything. Call it where a thread may block.
    ///
    /// # Errors
    /// Every mistake of every file and variable, and what else was found.
    pub fn load(settings: Settings, environment: &Environment) -> Result<Self, Box<Found>> {
        let loaded = snapshot::load(&settings, Arc::new(Files));
        let fixed = Fixed::load(&settings, environment);
        let fixed = match (&loaded, fixed) {
            (Ok(loaded), Ok(fixed)) => {
                let orders = Orders::new(fixed.orders.orders().iter().cloned());
                snapshot::fits(&loaded.snapshot.policy, &orders).map(|()| fixed)
            }
            (_, fixed) => fixed,
        };
        match (loaded, fixed) {
            (Ok(loaded), Ok(fixed)) => Ok(Self { settings, loaded, fixed }),
            (loaded, fixed) => {
                let fixed = fixed.err().unwrap_or_default();
                Err(Box::new(Found { fixed, ..Found::of(settings.warnings, loaded) }))
            }
        }
    }

    /// What was found, where nothing is to be started.
    #[must_use]
    pub fn into_found(self) -> Found {
        Found::of(self.settings.warnings, Ok(self.loaded))
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the first request is decided with.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.loaded.snapshot
    }

    /// Where traces go: they are to be shut down when everything else has ended.
    #[must_use]
    pub fn traces(&self) -> Traces {
        self.fixed.traces.clone()
    }

    /// Tells the log what deserves a second look.
    pub fn warn(&self) {
        for warning in self.settings.warnings.iter().chain(&self.loaded.warnings) {
            tracing::warn!("{warning}");
        }
        self.loaded.snapshot.certificates.warn(Timestamp::now());
    }
}

impl Fixed {
    fn load(settings: &Settings, environment: &Environment) -> Result<Self, Vec<Problem>> {
        let journal = journal_settings(&settings.audit);
        let sink = shipping::sink(&settings.audit);
        let database = settings.database.as_ref().map(|database| Access::load(&database.files));
        let database = database.transpose();
        let traces = traces_from(environment)
            .map_err(|error| vec![Problem::of_file("traces", error.to_string())]);
        let fetchers = Fetchers::new(settings);
        let orders = orders::load(&settings.orders.file);
        let orders = orders.map_err(|problem| vec![problem]);
        match (journal, sink, database, traces, fetchers, orders) {
            (Ok(journal), Ok(sink), Ok(database), Ok(traces), Ok(fetchers), Ok(orders)) => {
                Ok(Self { orders, journal, sink, database, traces, fetchers })
            }
            (journal, sink, database, traces, fetchers, orders) => {
                let (fetched, orders) = (fetchers.err(), orders.err());
                let problems = [journal.err(), sink.err(), database.err(), traces.err()];
                let problems = problems.into_iter().chain([fetched, orders]);
                Err(problems.flatten().flatten().collect())
            }
        }
    }
}

impl Found {
    fn of(mut warnings: Vec<Problem>, loaded: Result<FirstLoad, Unloaded>) -> Self {
        let (reloadable, certificates, trial) = match loaded {
            Ok(loaded) => {
                warnings.extend(loaded.warnings);
                (Vec::new(), Some(loaded.snapshot.certificates), loaded.trial)
            }
            Err(Unloaded { problems, certificates }) => (problems, certificates, None),
        };
        let certificates = certificates.map(|found| found.findings(Timestamp::now()));
        let certificates = certificates.unwrap_or_default();
        Self { reloadable, fixed: Vec::new(), warnings, certificates, trial }
    }

    /// Every mistake.
    #[must_use]
    pub fn problems(self) -> Vec<Problem> {
        self.reloadable.into_iter().chain(self.fixed).collect()
    }
}
