//! Seam, with the key of each workspace.

mod workspace_key;

use std::sync::Arc;

use crate::authn::{Callers, TokenDigest};
use crate::config::{CredentialKind, SecretSource, Settings, UpstreamSettings, WorkspaceSettings};
use crate::domain::{Problem, Secret};
use crate::snapshot::build::Building;
use crate::snapshot::inputs::Inputs;
use crate::snapshot::part::Part;
use crate::snapshot::source::{File, Source, Wanted};
use crate::tls::{ClientTls, PemFile, Roots};
use crate::upstream::{Upstream, UpstreamError, Workspace, Workspaces};
use workspace_key::workspace_key;

pub(in crate::snapshot) const PART: Part =
    Part { name: "upstream", decides: true, files, show: |_, _| {} };

/// A key may come from the environment, and the authorities be those of the machine.
fn files(settings: &Settings) -> Vec<Wanted<'_>> {
    fn of(workspace: &WorkspaceSettings) -> impl Iterator<Item = Wanted<'_>> {
        let WorkspaceSettings { credential, ca_file, key_name, ca_name, .. } = workspace;
        let key = match &credential.source {
            SecretSource::Value(_) => None,
            SecretSource::File(path) => Some(Wanted::secret(key_name, path)),
        };
        [key, ca_file.as_ref().map(|path| Wanted::plain(ca_name, path))].into_iter().flatten()
    }
    settings.upstream.workspaces.iter().flat_map(of).collect()
}

/// Each workspace with its connections and its breaker, where nothing of it changed.
pub(in crate::snapshot) fn build(
    on: &mut Building<'_>,
    callers: Option<&Callers>,
) -> Option<Arc<Workspaces>> {
    let old = on.unchanged(&PART);
    let inputs = on.inputs.take_all(&files(on.settings));
    let before = on.before().map(|before| &*before.workspaces);
    let made = workspaces(&on.settings.upstream, inputs, callers, before);
    match (made, old) {
        // Nobody need tell it from what was before.
        (Ok(_), Some(old)) => Some(old.workspaces.clone()),
        (made, _) => on.keep(made.map(Arc::new)),
    }
}

/// All of them; those of `before` that were made of the same files are carried over.
fn workspaces(
    settings: &UpstreamSettings,
    mut inputs: Inputs,
    callers: Option<&Callers>,
    before: Option<&Workspaces>,
) -> Result<Workspaces, Vec<Problem>> {
    let (mut made, mut problems, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for workspace in &settings.workspaces {
        let WorkspaceSettings { name, id, is_default, key_name, ca_name, .. } = workspace;
        let files = inputs.digest_of(&[key_name.as_str(), ca_name.as_str()]);
        // Also where nothing changed here: other callers may have been given the key meanwhile.
        let key = workspace_key(&workspace.credential, inputs.take(key_name), callers);
        let key = key.and_then(|(origin, key)| distinct(&mut keys, workspace, origin, key));
        let authorities = inputs.take(ca_name);
        let old = before.and_then(|before| before.find(name.as_ref()));
        let upstream = match old.filter(|old| old.files == files) {
            Some(old) => key.map(|_| old.upstream.clone()),
            None => seam(settings, workspace, key, authorities).map(Arc::new),
        };
        let (name, id, is_default) = (name.clone(), id.clone(), *is_default);
        match upstream {
            Ok(upstream) => made.push(Workspace { name, id, is_default, files, upstream }),
            Err(found) => problems.extend(found),
        }
    }
    match Workspaces::new(made).filter(|_| problems.is_empty()) {
        Some(all) => Ok(all),
        None => Err(problems),
    }
}

/// The key, if it is of no workspace before: with two names for one of them, a rule or a freeze
/// for the one would say nothing of the other.
fn distinct<'s>(
    keys: &mut Vec<(TokenDigest, &'s WorkspaceSettings)>,
    workspace: &'s WorkspaceSettings,
    origin: String,
    key: Secret,
) -> Result<(String, Secret), Vec<Problem>> {
    let is_api_key = |of: &WorkspaceSettings| of.credential.kind == CredentialKind::ApiKey;
    let digest = TokenDigest::of(key.expose());
    // One person's token may be good for several.
    let same = keys
        .iter()
        .find(|(known, of)| *known == digest && (is_api_key(of) || is_api_key(workspace)));
    if let Some((_, WorkspaceSettings { name: Some(other), .. })) = same {
        let text = format!("has the key of workspace `{other}`: each has a key of its own");
        return Err(vec![Problem::of_file(origin, text)]);
    }
    keys.push((digest, workspace));
    Ok((origin, key))
}

/// Seam alone, for a command that asks it something and serves nobody: of all files only the
/// workspaces' keys and authorities are read.
///
/// # Errors
/// What is wrong with the first of each that is not usable.
pub fn load_workspaces(
    settings: &Settings,
    source: &dyn Source,
) -> Result<Workspaces, Vec<Problem>> {
    let inputs = Inputs::of_part(&PART, settings, source);
    workspaces(&settings.upstream, inputs, None, None)
}

fn seam(
    upstream: &UpstreamSettings,
    workspace: &WorkspaceSettings,
    key: Result<(String, Secret), Vec<Problem>>,
    authorities: Option<File>,
) -> Result<Upstream, Vec<Problem>> {
    let place =
        workspace.name.as_ref().map_or("upstream".into(), |name| format!("workspace {name}"));
    let tls = tls(&place, authorities).map_err(|problem| vec![problem]);
    let ((origin, key), tls) = match (key, tls) {
        (Ok(key), Ok(tls)) => (key, tls),
        (key, tls) => {
            return Err([key.err(), tls.err()].into_iter().flatten().flatten().collect());
        }
    };
    let id = match workspace.credential.kind {
        // It belongs to one workspace.
        CredentialKind::ApiKey => None,
        CredentialKind::PersonalAccessToken => workspace.id.as_ref(),
    };
    let (url, deadline) = (workspace.url.clone(), upstream.deadline);
    Upstream::new(url, key, id, tls, deadline, upstream.connect_timeout, upstream.breaker).map_err(
        |error| {
            let place = match error {
                UpstreamError::KeyInvalid => origin,
                UpstreamError::WorkspaceInvalid | UpstreamError::HostInvalid => place,
            };
            vec![Problem::of_file(place, error.to_string())]
        },
    )
}

fn tls(place: &str, authorities: Option<File>) -> Result<ClientTls, Problem> {
    let Some(File { shown, bytes }) = authorities else {
        return ClientTls::new(&Roots::System).map_err(|error| error.into_problem(place));
    };
    let only = Roots::Only(PemFile { name: &shown, bytes: &bytes? });
    ClientTls::new(&only).map_err(|error| error.into_problem(place))
}
