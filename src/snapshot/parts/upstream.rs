//! Seam, with the workspace key.

mod workspace_key;

use std::sync::Arc;

use crate::authn::Callers;
use crate::config::{SecretSource, Settings};
use crate::domain::{Problem, Secret};
use crate::snapshot::build::Building;
use crate::snapshot::inputs::Inputs;
use crate::snapshot::part::Part;
use crate::snapshot::source::{File, Source, Wanted};
use crate::tls::{ClientTls, PemFile, Roots};
use crate::upstream::{Upstream, UpstreamError};
use workspace_key::workspace_key;

const KEY: &str = "workspace.key";
const AUTHORITIES: &str = "upstream-ca.pem";

pub(in crate::snapshot) const PART: Part =
    Part { name: "upstream", decides: true, files, show: |_, _| {} };

/// The key may come from the environment, and the authorities be those of the machine.
fn files(settings: &Settings) -> Vec<Wanted<'_>> {
    let upstream = &settings.upstream;
    let key = match &upstream.credential.source {
        SecretSource::Value(_) => None,
        SecretSource::File(path) => Some(Wanted::secret(KEY, path)),
    };
    let authorities = upstream.ca_file.as_ref().map(|path| Wanted::plain(AUTHORITIES, path));
    [key, authorities].into_iter().flatten().collect()
}

/// With its connections and its breaker, where nothing changed.
pub(in crate::snapshot) fn build(
    on: &mut Building<'_>,
    callers: Option<&Callers>,
) -> Option<Arc<Upstream>> {
    let key = workspace_key(on.settings, on.inputs.take(KEY), callers);
    let made = match on.unchanged(&PART) {
        // Other callers may have been given the key meanwhile.
        Some(old) => key.map(|_| old.upstream.clone()),
        None => upstream(on.settings, key, on.inputs.take(AUTHORITIES)).map(Arc::new),
    };
    on.keep(made)
}

/// Seam alone, for a command that asks it something and serves nobody: of all files only
/// the workspace key and the upstream's authorities are read.
///
/// # Errors
/// What is wrong with the first of them that is not usable.
pub fn load_upstream(settings: &Settings, source: &dyn Source) -> Result<Upstream, Vec<Problem>> {
    let mut inputs = Inputs::of_part(&PART, settings, source);
    let key = workspace_key(settings, inputs.take(KEY), None);
    upstream(settings, key, inputs.take(AUTHORITIES))
}

fn upstream(
    settings: &Settings,
    key: Result<(String, Secret), Vec<Problem>>,
    authorities: Option<File>,
) -> Result<Upstream, Vec<Problem>> {
    let upstream = &settings.upstream;
    let tls = tls(authorities).map_err(|problem| vec![problem]);
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
                UpstreamError::WorkspaceInvalid | UpstreamError::HostInvalid => "upstream",
            };
            vec![Problem::of_file(place, error.to_string())]
        })
}

fn tls(authorities: Option<File>) -> Result<ClientTls, Problem> {
    let Some(File { shown, bytes }) = authorities else {
        return ClientTls::new(&Roots::System).map_err(|error| error.into_problem("upstream"));
    };
    let only = Roots::Only(PemFile { name: &shown, bytes: &bytes? });
    ClientTls::new(&only).map_err(|error| error.into_problem("upstream"))
}
