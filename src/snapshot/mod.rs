//! All state that a reload can replace, immutable and whole.
//!
//! A snapshot is built beside the one in force and swapped in, or not at all. Every
//! file is read once; what was read is what is judged, hashed and used. Parts whose
//! files did not change are carried over, and with them what they hold: connections
//! to Seam, TLS sessions.

mod candidate;
mod files;
mod places;
mod reload;
mod watch;
mod workspace_key;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::ServerConfig;
use zeroize::Zeroizing;

use crate::authn::Callers;
use crate::catalogue::Catalogue;
use crate::config::{RemoteAdminSettings, Settings};
use crate::domain::{EntranceId, Problem, Secret};
use crate::policy::{Policy, PolicySource, SourceFile};
use crate::tls::{
    ClientCertificates, ClientTls, Identity, Roots, expiries, next_updates, server_config,
};
use crate::upstream::Upstream;
use candidate::CandidateSlot;
pub use candidate::{Candidate, CandidateToLoad};
pub use files::Digests;
use files::{AdminInputs, Bytes, Inputs};
pub use reload::{ReloadFailure, ReloadHandle, ReloadRequests, ReloadStatus, Reloader};
use workspace_key::workspace_key;

/// What one request works with, from start to end.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Who may call.
    pub callers: Arc<Callers>,
    /// What they may do.
    pub policy: Arc<Policy>,
    candidate: Option<CandidateSlot>,
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
    pub fn candidate(&self) -> Option<&Candidate> {
        self.candidate.as_ref()?.get()
    }

    /// What people call an entrance.
    #[must_use]
    pub fn name_of(&self, entrance: EntranceId) -> Option<&str> {
        self.names.name_of(entrance)
    }

    /// Whether there is one that is not loaded yet.
    #[must_use]
    pub fn is_loading_candidate(&self) -> bool {
        self.candidate.as_ref().is_some_and(|slot| slot.get().is_none())
    }
}

/// The listeners' side of TLS.
pub struct Certificates {
    /// For handshakes.
    pub tls: Arc<ServerConfig>,
    /// For handshakes of the remote admin listener.
    pub admin_tls: Option<Arc<ServerConfig>>,
    /// For connections that are open already.
    pub clients: Option<ClientCertificates>,
    /// When each kind of certificate or list expires.
    pub expiries: Vec<(&'static str, Timestamp)>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("expiries", &self.expiries).finish_non_exhaustive()
    }
}

/// A snapshot and what else was found while loading it.
pub struct Loaded {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Of the files it was made from.
    pub digests: Digests,
    /// What deserves a second look.
    pub warnings: Vec<Problem>,
    /// A candidate policy that is still to be loaded.
    pub candidate: Option<CandidateToLoad>,
}

/// Loads everything that the settings name.
///
/// # Errors
/// Every problem of every file.
pub fn load(settings: &Settings) -> Result<Loaded, Vec<Problem>> {
    let inputs = Inputs::read(settings);
    build(settings, inputs, None)
}

/// Seam alone, for a command that asks it something and serves nobody: of all files only
/// the workspace key and the upstream's authorities are read.
///
/// # Errors
/// What is wrong with the first of them that is not usable.
pub fn load_upstream(settings: &Settings) -> Result<Upstream, Vec<Problem>> {
    let (origin, key) = workspace_key(settings, files::workspace_key(settings), None)?;
    upstream(settings, &origin, key, files::upstream_ca(settings))
}

/// Builds a snapshot. `before` is the one in force, whose parts are carried over where
/// their files are the same.
fn build(
    settings: &Settings,
    inputs: Inputs,
    before: Option<(&Snapshot, &Digests)>,
) -> Result<Loaded, Vec<Problem>> {
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
    let (slot, candidate) =
        match (inputs.candidate, same(|d| &d.candidate).and(same_policy), &callers) {
            (None, ..) | (Some(_), None, None) => (None, None),
            (Some(_), Some(old), _) => (old.candidate.clone(), None),
            (Some(rules), None, Some(callers)) => {
                let slot = CandidateSlot::default();
                let file = settings.policy_candidate_rules_file.clone().unwrap_or_default();
                let model = (settings.policy_model_file.clone(), inputs.model.clone());
                let (rules, callers) = ((file, rules), callers.clone());
                (Some(slot.clone()), Some(CandidateToLoad { slot, model, rules, callers }))
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
        (_, Some(old)) => Some(old.policy.clone()),
        (Some(callers), None) => {
            let source = source_of(
                (&settings.policy_model_file, inputs.model),
                (&settings.policy_rules_file, inputs.rules),
            );
            // What deserves a look is said at the start; a reload waits for nothing.
            let loaded = source.and_then(|source| match before {
                None => Policy::load(&source, callers),
                Some(_) => Policy::load_quietly(&source, callers)
                    .map(|policy| crate::policy::Loaded { policy, warnings: Vec::new() }),
            });
            keep(&mut problems, loaded).map(|loaded| {
                warnings.extend(loaded.warnings);
                Arc::new(loaded.policy)
            })
        }
        (None, None) => {
            let file = settings.policy_rules_file.display().to_string();
            let text = "not checked yet: mend the callers file first";
            problems.push(Problem::of_file(file, text));
            None
        }
    };
    let upstream = keep(
        &mut problems,
        workspace_key(settings, inputs.workspace_key, callers.as_deref()).and_then(
            |(origin, key)| match same(|d| &d.upstream) {
                Some(old) => Ok(old.upstream.clone()),
                None => upstream(settings, &origin, key, inputs.upstream_ca).map(Arc::new),
            },
        ),
    );
    match (certificates, callers, policy, upstream) {
        (Some(certificates), Some(callers), Some(policy), Some(upstream))
            if problems.is_empty() =>
        {
            let snapshot =
                Snapshot { callers, policy, candidate: slot, names, upstream, certificates };
            Ok(Loaded { snapshot, digests, warnings, candidate })
        }
        _ => Err(problems),
    }
}

fn keep<T>(problems: &mut Vec<Problem>, result: Result<T, Vec<Problem>>) -> Option<T> {
    result.map_err(|found| problems.extend(found)).ok()
}

fn certificates(settings: &Settings, inputs: &Inputs) -> Result<Certificates, Vec<Problem>> {
    let listener = &settings.listener;
    let files = [Some(&inputs.chain), Some(&inputs.private_key)];
    let files = files.into_iter().chain([inputs.client_ca.as_ref(), inputs.client_crl.as_ref()]);
    let unread: Vec<Problem> =
        files.flatten().filter_map(|file| file.as_ref().err().cloned()).collect();
    let (Ok(chain), Ok(key)) = (&inputs.chain, &inputs.private_key) else { return Err(unread) };
    if !unread.is_empty() {
        return Err(unread);
    }
    // Of the server's own: clients may not need what else is in the file.
    let mut found: Vec<Expiry> = vec![("server", expiries(chain).first().copied())];
    let mut clients = None;
    if let (Some(setting), Some(Ok(authorities))) = (&listener.clients, &inputs.client_ca) {
        let lists = inputs.client_crl.as_ref().and_then(|list| list.as_ref().ok());
        let lists = lists.map(|list| list.as_slice());
        let made = ClientCertificates::new(authorities, lists, setting.required);
        clients = Some(made.map_err(|error| {
            let file = setting.ca_file.display().to_string();
            let text = format!("client certificates cannot be verified: {error}");
            vec![Problem::of_file(file, text)]
        })?);
        // Retired authorities do no harm while another is left; one stale list does.
        found.push(("client-ca", expiries(authorities).into_iter().max()));
        found.push(("client-crl", next_updates(lists.unwrap_or_default()).into_iter().min()));
    }
    let paths = (listener.certificate_file.as_path(), listener.private_key_file.as_path());
    let tls = server_tls(paths, chain, key, clients.as_ref())?;
    let mut admin_tls = None;
    if let (Some(setting), Some(files)) = (&settings.admin.remote, &inputs.admin) {
        let (tls, expiries) = admin(setting, files)?;
        admin_tls = Some(tls);
        found.extend(expiries);
    }
    let expiries = found.into_iter().filter_map(|(role, time)| Some((role, time?))).collect();
    Ok(Certificates { tls, admin_tls, clients, expiries })
}

/// When something of a role expires.
type Expiry = (&'static str, Option<Timestamp>);

/// The remote admin listener's side: a client must have a certificate.
fn admin(
    setting: &RemoteAdminSettings,
    files: &AdminInputs,
) -> Result<(Arc<ServerConfig>, [Expiry; 2]), Vec<Problem>> {
    let (Ok(chain), Ok(key), Ok(authorities)) =
        (&files.chain, &files.private_key, &files.client_ca)
    else {
        let files = [&files.chain, &files.private_key, &files.client_ca];
        return Err(files.into_iter().filter_map(|file| file.as_ref().err().cloned()).collect());
    };
    let clients = ClientCertificates::new(authorities, None, true).map_err(|error| {
        let file = setting.client_ca_file.display().to_string();
        vec![Problem::of_file(file, format!("client certificates cannot be verified: {error}"))]
    })?;
    let paths = (setting.certificate_file.as_path(), setting.private_key_file.as_path());
    let tls = server_tls(paths, chain, key, Some(&clients))?;
    let expires = [
        ("admin-server", expiries(chain).first().copied()),
        ("admin-client-ca", expiries(authorities).into_iter().max()),
    ];
    Ok((tls, expires))
}

fn server_tls(
    (chain_file, key_file): (&Path, &Path),
    chain: &[u8],
    key: &[u8],
    clients: Option<&ClientCertificates>,
) -> Result<Arc<ServerConfig>, Vec<Problem>> {
    let identity = Identity::from_pem(chain, key);
    let tls = identity.and_then(|identity| server_config(&identity, clients));
    tls.map(Arc::new).map_err(|error| {
        let text = format!("cannot be used with `{}`: {error}", key_file.display());
        vec![Problem::of_file(chain_file.display().to_string(), text)]
    })
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
    origin: &str,
    key: Secret,
    ca: Option<Bytes>,
) -> Result<Upstream, Vec<Problem>> {
    let upstream = &settings.upstream;
    let pem = ca.transpose().map_err(|problem| vec![problem])?;
    let roots = pem.as_ref().map_or(Roots::System, |pem| Roots::Only(pem));
    let tls = ClientTls::new(&roots).map_err(|error| {
        let file = upstream.ca_file.as_ref().map(|path| path.display().to_string());
        vec![Problem::of_file(file.as_deref().unwrap_or("upstream"), error.to_string())]
    })?;
    let workspace = upstream.credential.workspace_id.as_deref();
    let (url, deadline) = (upstream.url.clone(), upstream.deadline);
    Upstream::new(url, key, workspace, tls, deadline, upstream.connect_timeout, upstream.breaker)
        .map_err(|error| vec![Problem::of_file(origin, error.to_string())])
}
