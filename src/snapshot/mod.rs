//! All state that a reload can replace, immutable and whole.
//!
//! A snapshot is built beside the one in force and swapped in, or not at all. Every
//! file is read once; what was read is what is judged, hashed and used.

mod files;

use rustls::ServerConfig;

use crate::authn::Callers;
use crate::config::{SecretSource, Settings};
use crate::domain::{Problem, Secret};
use crate::policy::{Policy, PolicySource, SourceFile};
use crate::tls::{ClientCertificates, ClientTls, Identity, Roots, server_config};
use crate::upstream::Upstream;
use files::{read, read_secret};

/// What one request works with, from start to end.
#[derive(Debug)]
pub struct Snapshot {
    /// Who may call.
    pub callers: Callers,
    /// What they may do.
    pub policy: Policy,
    /// Seam, with the workspace key.
    pub upstream: Upstream,
}

/// A snapshot and what else was loaded with it.
pub struct Loaded {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The listener's TLS settings.
    pub tls: ServerConfig,
    /// What deserves a second look.
    pub warnings: Vec<Problem>,
}

/// Loads everything that the settings name.
///
/// # Errors
/// Every problem of every file.
pub fn load(settings: &Settings) -> Result<Loaded, Vec<Problem>> {
    let mut problems = Vec::new();
    let tls = keep(&mut problems, load_tls(settings));
    let callers = keep(&mut problems, load_callers(settings));
    let policy = match &callers {
        Some(callers) => keep(&mut problems, load_policy(settings, callers)),
        None => {
            let file = settings.policy_rules_file.display().to_string();
            let text = "not checked yet: mend the callers file first";
            problems.push(Problem::of_file(file, text));
            None
        }
    };
    let upstream = keep(&mut problems, load_upstream(settings, callers.as_ref()));
    match (tls, callers, policy, upstream) {
        (Some(tls), Some(callers), Some(loaded), Some(upstream)) if problems.is_empty() => {
            let snapshot = Snapshot { callers, policy: loaded.policy, upstream };
            Ok(Loaded { snapshot, tls, warnings: loaded.warnings })
        }
        _ => Err(problems),
    }
}

fn keep<T>(problems: &mut Vec<Problem>, result: Result<T, Vec<Problem>>) -> Option<T> {
    result.map_err(|found| problems.extend(found)).ok()
}

fn load_tls(settings: &Settings) -> Result<ServerConfig, Vec<Problem>> {
    let listener = &settings.listener;
    let chain = read(&listener.certificate_file);
    let key = read_secret(&listener.private_key_file);
    let clients = listener.clients.as_ref().map(|clients| {
        let authorities = read(&clients.ca_file)?;
        let lists = clients.crl_file.as_ref().map(read).transpose()?;
        ClientCertificates::new(&authorities, lists.as_deref(), clients.required).map_err(|error| {
            let file = clients.ca_file.display().to_string();
            Problem::of_file(file, format!("client certificates cannot be verified: {error}"))
        })
    });
    let clients = clients.transpose();
    let (chain, key, clients) = match (chain, key, clients) {
        (Ok(chain), Ok(key), Ok(clients)) => (chain, key, clients),
        (chain, key, clients) => {
            return Err([chain.err(), key.err(), clients.err()].into_iter().flatten().collect());
        }
    };
    let refused = |error| {
        let file = listener.certificate_file.display().to_string();
        let key = listener.private_key_file.display();
        vec![Problem::of_file(file, format!("cannot be used with `{key}`: {error}"))]
    };
    let identity = Identity::from_pem(&chain, &key).map_err(refused)?;
    server_config(&identity, clients.as_ref()).map_err(refused)
}

fn load_callers(settings: &Settings) -> Result<Callers, Vec<Problem>> {
    let bytes = read(&settings.callers_file).map_err(|problem| vec![problem])?;
    Callers::parse(&settings.callers_file.display().to_string(), &bytes)
}

fn load_policy(
    settings: &Settings,
    callers: &Callers,
) -> Result<crate::policy::Loaded, Vec<Problem>> {
    let source = |path: &std::path::PathBuf| {
        read(path).map(|bytes| SourceFile { name: path.display().to_string(), bytes })
    };
    match (source(&settings.policy_model_file), source(&settings.policy_rules_file)) {
        (Ok(model), Ok(rules)) => Policy::load(&PolicySource { model, rules }, callers),
        (model, rules) => Err([model.err(), rules.err()].into_iter().flatten().collect()),
    }
}

fn load_upstream(settings: &Settings, callers: Option<&Callers>) -> Result<Upstream, Vec<Problem>> {
    let upstream = &settings.upstream;
    let (origin, key) = match &upstream.credential.source {
        SecretSource::Value(secret) => {
            ("the workspace key".to_owned(), Secret::new(secret.expose().to_owned()))
        }
        SecretSource::File(path) => {
            let bytes = read_secret(path).map_err(|problem| vec![problem])?;
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            (path.display().to_string(), Secret::new(text))
        }
    };
    let problem = |file: &str, text: String| vec![Problem::of_file(file, text)];
    if callers.is_some_and(|callers| callers.accepts_token(key.expose())) {
        let text = "the workspace key is also a caller's token; make the caller a token of its own";
        return Err(problem(&origin, text.into()));
    }
    let pem = upstream.ca_file.as_ref().map(read).transpose().map_err(|p| vec![p])?;
    let roots = pem.as_deref().map_or(Roots::System, Roots::Only);
    let tls = ClientTls::new(&roots).map_err(|error| {
        let file = upstream.ca_file.as_ref().map(|path| path.display().to_string());
        problem(file.as_deref().unwrap_or("upstream"), error.to_string())
    })?;
    let workspace = upstream.credential.workspace_id.as_deref();
    let (url, deadline) = (upstream.url.clone(), upstream.deadline);
    Upstream::new(url, key, workspace, tls, deadline, upstream.connect_timeout)
        .map_err(|error| problem(&origin, error.to_string()))
}
