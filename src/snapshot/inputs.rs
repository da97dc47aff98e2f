//! Reading the files that the settings name, each once.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use crate::config::{SecretSource, Settings};
use crate::domain::Problem;
use crate::files::{read_plain, read_secret};

/// A file's bytes, or why there are none.
pub(super) type Bytes = Result<Zeroizing<Vec<u8>>, Problem>;

/// What a snapshot is built from: all files of one moment, by part.
pub(super) struct Inputs {
    pub(super) chain: Bytes,
    pub(super) private_key: Bytes,
    pub(super) client_ca: Option<Bytes>,
    pub(super) client_crl: Option<Bytes>,
    pub(super) admin: Option<AdminInputs>,
    pub(super) callers: Bytes,
    pub(super) model: Bytes,
    pub(super) rules: Bytes,
    /// `None` when none is configured, or there is no such file.
    pub(super) trial: Option<Bytes>,
    /// `None` when there is no such file.
    pub(super) entrances: Option<Bytes>,
    /// `None` when it comes from the environment.
    pub(super) workspace_key: Option<Bytes>,
    pub(super) upstream_ca: Option<Bytes>,
}

/// Of `[admin.remote]`.
pub(super) struct AdminInputs {
    pub(super) chain: Bytes,
    pub(super) private_key: Bytes,
    pub(super) client_ca: Bytes,
}

/// SHA-256 of each part's files. Kept in memory only: some are of secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    pub(super) certificates: [u8; 32],
    pub(super) callers: [u8; 32],
    pub(super) policy: [u8; 32],
    pub(super) trial: [u8; 32],
    pub(super) entrances: [u8; 32],
    pub(super) upstream: [u8; 32],
}

impl Digests {
    /// Whether all that decides is the same; a policy on trial and names decide nothing.
    pub(super) fn decide_as(&self, other: &Self) -> bool {
        Self { trial: other.trial, entrances: other.entrances, ..*self } == *other
    }
}

impl Inputs {
    pub(super) fn read(settings: &Settings) -> Self {
        let listener = &settings.listener;
        let clients = listener.clients.as_ref();
        let plain = |path: &PathBuf| read_plain(path);
        Self {
            chain: plain(&listener.certificate_file),
            private_key: read_secret(&listener.private_key_file),
            client_ca: clients.map(|clients| plain(&clients.ca_file)),
            client_crl: clients.and_then(|clients| clients.crl_file.as_ref()).map(plain),
            admin: settings.admin.remote.as_ref().map(|remote| AdminInputs {
                chain: plain(&remote.certificate_file),
                private_key: read_secret(&remote.private_key_file),
                client_ca: plain(&remote.client_ca_file),
            }),
            callers: plain(&settings.callers_file),
            model: plain(&settings.policy_model_file),
            rules: plain(&settings.policy_rules_file),
            trial: settings
                .policy_candidate_rules_file
                .as_ref()
                .filter(|path| path.exists())
                .map(plain),
            entrances: Some(&settings.policy_entrances_file)
                .filter(|path| path.exists())
                .map(plain),
            workspace_key: workspace_key(settings),
            upstream_ca: upstream_ca(settings),
        }
    }

    pub(super) fn digests(&self) -> Digests {
        let clients = [self.client_ca.as_ref(), self.client_crl.as_ref()];
        let own = [Some(&self.chain), Some(&self.private_key)];
        let admin = self.admin.as_ref().map(|a| [&a.chain, &a.private_key, &a.client_ca]);
        let admin = admin.into_iter().flatten().map(Some);
        Digests {
            certificates: digest(own.into_iter().chain(clients).chain(admin)),
            callers: digest([Some(&self.callers)]),
            policy: digest([Some(&self.model), Some(&self.rules)]),
            trial: digest([self.trial.as_ref()]),
            entrances: digest([self.entrances.as_ref()]),
            upstream: digest([self.workspace_key.as_ref(), self.upstream_ca.as_ref()]),
        }
    }
}

/// The workspace key; `None` when it comes from the environment.
pub(super) fn workspace_key(settings: &Settings) -> Option<Bytes> {
    match &settings.upstream.credential.source {
        SecretSource::Value(_) => None,
        SecretSource::File(path) => Some(read_secret(path)),
    }
}

/// The authorities to trust instead of the machine's.
pub(super) fn upstream_ca(settings: &Settings) -> Option<Bytes> {
    settings.upstream.ca_file.as_ref().map(|path| read_plain(path))
}

/// Every file that [`Inputs::read`] reads.
pub(super) fn paths(settings: &Settings) -> Vec<&Path> {
    let (listener, upstream) = (&settings.listener, &settings.upstream);
    let clients = listener.clients.as_ref();
    let key = match &upstream.credential.source {
        SecretSource::Value(_) => None,
        SecretSource::File(path) => Some(path),
    };
    let always = [
        &listener.certificate_file,
        &listener.private_key_file,
        &settings.callers_file,
        &settings.policy_model_file,
        &settings.policy_rules_file,
        &settings.policy_entrances_file,
    ];
    let sometimes = [
        clients.map(|clients| &clients.ca_file),
        clients.and_then(|clients| clients.crl_file.as_ref()),
        key,
        upstream.ca_file.as_ref(),
        settings.policy_candidate_rules_file.as_ref(),
    ];
    let admin = settings.admin.remote.as_ref();
    let admin = admin.map(|a| [&a.certificate_file, &a.private_key_file, &a.client_ca_file]);
    let sometimes = sometimes.into_iter().flatten().chain(admin.into_iter().flatten());
    always.into_iter().chain(sometimes).map(PathBuf::as_path).collect()
}

/// Each file goes in with its length, and a missing one as its problem, so that no two
/// states of the files look alike.
fn digest<'a>(files: impl IntoIterator<Item = Option<&'a Bytes>>) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for file in files {
        let (kind, bytes) = match file {
            None => (0, Vec::new()),
            Some(Ok(bytes)) => (1, digest::digest(&digest::SHA256, bytes).as_ref().to_vec()),
            Some(Err(problem)) => (2, problem.to_string().into_bytes()),
        };
        context.update(&[kind]);
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(&bytes);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
