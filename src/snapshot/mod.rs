//! All state that a reload can replace, immutable and whole.
//!
//! A snapshot is built beside the one in force and swapped in, or not at all. Every
//! file is read once; what was read is what is judged, hashed and used. Parts whose
//! files did not change are carried over, and with them what they hold: connections
//! to Seam, TLS sessions.

mod doubts;
mod files;
mod parts;
mod reload;
mod watch;
mod watch_points;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::authn::Callers;
use crate::catalogue::Catalogue;
use crate::config::Settings;
use crate::domain::{EntranceId, Problem, Secret};
use crate::policy::{Policy, PolicySource, SourceFile};
use crate::tls::{ClientTls, PemFile, Roots};
use crate::upstream::{Upstream, UpstreamError};
pub use doubts::doubts;
pub use files::Digests;
use files::{Bytes, Inputs};
use parts::certificates::certificates;
pub use parts::certificates::{Certificates, certificate_findings};
use parts::trial::TrialSlot;
pub use parts::trial::{Trial, TrialToLoad};
use parts::upstream::workspace_key::workspace_key;
pub use reload::{PART_NAMES, ReloadFailure, ReloadHandle, ReloadRequests, ReloadStatus, Reloader};

/// What one request works with, from start to end.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Who may call.
    pub callers: Arc<Callers>,
    /// What they may do.
    pub policy: Arc<Policy>,
    trial: Option<TrialSlot>,
    /// What people call entrances.
    names: Arc<Catalogue>,
    /// Seam, with the workspace key.
    pub upstream: Arc<Upstream>,
    /// What new connections are accepted with.
    pub certificates: Arc<Certificates>,
}

impl Snapshot {
    /// What is judged beside the policy and decides nothing: when there is such a policy, and
    /// it is loaded.
    #[must_use]
    pub fn trial(&self) -> Option<&Trial> {
        self.trial.as_ref()?.get()
    }

    /// What people call an entrance.
    #[must_use]
    pub fn name_of(&self, entrance: EntranceId) -> Option<&str> {
        self.names.name_of(entrance)
    }

    /// Whether there is one that is not loaded yet.
    #[must_use]
    pub fn is_loading_trial(&self) -> bool {
        self.trial.as_ref().is_some_and(|slot| slot.get().is_none())
    }
}

/// A snapshot and what else was found while loading it.
pub struct FirstLoad {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Of the files it was made from.
    pub digests: Digests,
    /// What deserves a second look.
    pub warnings: Vec<Problem>,
    /// A policy on trial that is still to be loaded.
    pub trial: Option<TrialToLoad>,
}

/// Loads everything that the settings name.
///
/// # Errors
/// Every problem of every file.
pub fn load(settings: &Settings) -> Result<FirstLoad, Vec<Problem>> {
    let inputs = Inputs::read(settings);
    build(settings, inputs, None)
}

/// Seam alone, for a command that asks it something and serves nobody: of all files only
/// the workspace key and the upstream's authorities are read.
///
/// # Errors
/// What is wrong with the first of them that is not usable.
pub fn load_upstream(settings: &Settings) -> Result<Upstream, Vec<Problem>> {
    let key = workspace_key(settings, files::workspace_key(settings), None);
    upstream(settings, key, files::upstream_ca(settings))
}

/// Builds a snapshot. `before` is the one in force, whose parts are carried over where
/// their files are the same.
fn build(
    settings: &Settings,
    inputs: Inputs,
    before: Option<(&Snapshot, &Digests)>,
) -> Result<FirstLoad, Vec<Problem>> {
    let digests = inputs.digests();
    let same = |part: fn(&Digests) -> &[u8; 32]| {
        before.filter(|(_, old)| part(old) == part(&digests)).map(|(snapshot, _)| snapshot)
    };
    let same_callers = same(|d| &d.callers);
    let mut problems = Vec::new();
    let certificates = match same(|d| &d.certificates) {
        Some(old) => Some(old.certificates.clone()),
        None => keep(&mut problems, certificates(settings, &inputs).map(Arc::new)),
    };
    let callers = match same_callers {
        Some(old) => Some(old.callers.clone()),
        None => keep(&mut problems, callers(settings, &inputs.callers).map(Arc::new)),
    };
    let mut warnings = Vec::new();
    let same_policy = same(|d| &d.policy).filter(|_| same_callers.is_some());
    let (slot, trial) = match (inputs.trial, same(|d| &d.trial).and(same_policy), &callers) {
        (None, ..) | (Some(_), None, None) => (None, None),
        (Some(_), Some(old), _) => (old.trial.clone(), None),
        (Some(rules), None, Some(callers)) => {
            let slot = TrialSlot::default();
            let file = settings.policy_candidate_rules_file.clone().unwrap_or_default();
            let model = (settings.policy_model_file.clone(), inputs.model.clone());
            let (rules, callers) = ((file, rules), callers.clone());
            (Some(slot.clone()), Some(TrialToLoad { slot, model, rules, callers }))
        }
    };
    let names = match same(|d| &d.entrances) {
        Some(old) => old.names.clone(),
        None => names(settings, inputs.entrances, &mut warnings)
            .map(Arc::new)
            .or_else(|| before.map(|(old, _)| old.names.clone()))
            .unwrap_or_default(),
    };
    let policy = match (&callers, same_policy) {
        (_, Some(old)) => Ok(old.policy.clone()),
        (Some(callers), None) => {
            let (model, rules) = (inputs.model, inputs.rules);
            policy(settings, model, rules, callers, before.is_none()).map(|loaded| {
                warnings.extend(loaded.warnings);
                Arc::new(loaded.policy)
            })
        }
        (None, None) => {
            let file = settings.policy_rules_file.display().to_string();
            let text = "not checked yet: mend the callers file first";
            Err(vec![Problem::of_file(file, text)])
        }
    };
    let policy = keep(&mut problems, policy);
    let key = workspace_key(settings, inputs.workspace_key, callers.as_deref());
    let upstream = match (same(|d| &d.upstream), key) {
        // Other callers may have been given the key meanwhile.
        (Some(old), key) => key.map(|_| old.upstream.clone()),
        (None, key) => upstream(settings, key, inputs.upstream_ca).map(Arc::new),
    };
    let upstream = keep(&mut problems, upstream);
    match (certificates, callers, policy, upstream) {
        (Some(certificates), Some(callers), Some(policy), Some(upstream))
            if problems.is_empty() =>
        {
            let snapshot = Snapshot { callers, policy, trial: slot, names, upstream, certificates };
            Ok(FirstLoad { snapshot, digests, warnings, trial })
        }
        _ => Err(problems),
    }
}

fn keep<T>(problems: &mut Vec<Problem>, result: Result<T, Vec<Problem>>) -> Option<T> {
    result.map_err(|found| problems.extend(found)).ok()
}

fn callers(settings: &Settings, bytes: &Bytes) -> Result<Callers, Vec<Problem>> {
    let bytes = bytes.as_ref().map_err(|problem| vec![problem.clone()])?;
    Callers::parse(&settings.callers_file.display().to_string(), bytes)
}

/// The catalogue. Names decide nothing: a mistake in it is a warning, and those from before
/// stay.
fn names(
    settings: &Settings,
    bytes: Option<Bytes>,
    warnings: &mut Vec<Problem>,
) -> Option<Catalogue> {
    let file = settings.policy_entrances_file.display().to_string();
    let Some(bytes) = bytes else { return Some(Catalogue::default()) };
    let read = bytes.map_err(|problem| vec![problem]);
    let read = read.and_then(|bytes| Catalogue::parse(&file, &bytes));
    read.map_err(|problems| warnings.extend(problems)).ok()
}

/// The policy. What deserves a look is said at the start; a reload waits for nothing.
fn policy(
    settings: &Settings,
    model: Bytes,
    rules: Bytes,
    callers: &Callers,
    at_start: bool,
) -> Result<crate::policy::Loaded, Vec<Problem>> {
    let source =
        source_of((&settings.policy_model_file, model), (&settings.policy_rules_file, rules))?;
    if at_start {
        return Policy::load(&source, callers, Timestamp::now());
    }
    let policy = Policy::load_quietly(&source, callers)?;
    Ok(crate::policy::Loaded { policy, warnings: Vec::new() })
}

/// A policy's texts, as they were read.
fn source_of(
    (model_file, model): (&Path, Bytes),
    (rules_file, rules): (&Path, Bytes),
) -> Result<PolicySource, Vec<Problem>> {
    let source = |path: &Path, mut bytes: Zeroizing<Vec<u8>>| SourceFile {
        name: path.display().to_string(),
        bytes: std::mem::take(&mut *bytes),
    };
    match (model, rules) {
        (Ok(model), Ok(rules)) => {
            Ok(PolicySource { model: source(model_file, model), rules: source(rules_file, rules) })
        }
        (model, rules) => Err([model.err(), rules.err()].into_iter().flatten().collect()),
    }
}

fn upstream(
    settings: &Settings,
    key: Result<(String, Secret), Vec<Problem>>,
    ca: Option<Bytes>,
) -> Result<Upstream, Vec<Problem>> {
    let upstream = &settings.upstream;
    let tls = upstream_tls(settings, ca).map_err(|problem| vec![problem]);
    let ((origin, key), tls) = match (key, tls) {
        (Ok(key), Ok(tls)) => (key, tls),
        (key, tls) => {
            return Err([key.err(), tls.err()].into_iter().flatten().flatten().collect());
        }
    };
    let workspace = upstream.credential.workspace_id.as_deref();
    let (url, deadline) = (upstream.url.clone(), upstream.deadline);
    Upstream::new(url, key, workspace, tls, deadline, upstream.connect_timeout, upstream.breaker)
        .map_err(|error| {
            let place = match error {
                UpstreamError::KeyInvalid => origin.as_str(),
                UpstreamError::WorkspaceInvalid | UpstreamError::Client(_) => "upstream",
            };
            vec![Problem::of_file(place, error.to_string())]
        })
}

fn upstream_tls(settings: &Settings, ca: Option<Bytes>) -> Result<ClientTls, Problem> {
    let pem = ca.transpose()?;
    let name = settings.upstream.ca_file.as_deref().unwrap_or(Path::new("")).display().to_string();
    let only = |bytes| Roots::Only(PemFile { name: &name, bytes });
    let roots = pem.as_ref().map_or(Roots::System, |pem| only(pem.as_slice()));
    ClientTls::new(&roots).map_err(|error| error.into_problem("upstream"))
}
