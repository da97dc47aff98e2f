//! `grantgate sandbox`: a stand-in for Seam.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::{Exit, fail, runtime, say, stop_at_signals};
use crate::domain::Secret;
use crate::files::{read_plain, read_secret};
use crate::listener::{Listener, ListenerLimits};
use crate::sandbox::{Fixtures, Sandbox};
use crate::telemetry::ListenerMetrics;
use crate::tls::{Identity, PemFile, server_config};

#[derive(Args)]
#[command(after_help = "Example: grantgate sandbox --certificate certs/sandbox.pem \
    --private-key certs/sandbox.key\n\n\
    It serves two routes of Seam's: POST /acs/entrances/grant_access and, with `limit` and \
    `page_cursor`, POST /acs/entrances/list, from which `grantgate entrances pull` takes names. \
    What was granted is shown by GET /_sandbox/grants.")]
pub(super) struct Arguments {
    /// The address to bind
    #[arg(long, default_value = "127.0.0.1:8444")]
    address: SocketAddr,
    /// The certificate chain, PEM; `grantgate init --dev-certs` makes one
    #[arg(long, value_name = "FILE", default_value = "certs/sandbox.pem")]
    certificate: PathBuf,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", default_value = "certs/sandbox.key")]
    private_key: PathBuf,
    /// The file with the workspace key to accept
    #[arg(long, value_name = "FILE", default_value = "secrets/seam_api_key")]
    key_file: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let load = || -> Result<(Identity, Secret), String> {
        let identity = identity(&arguments.certificate, &arguments.private_key)?;
        let key = read_secret(&arguments.key_file).map_err(|problem| problem.to_string())?;
        let key = String::from_utf8_lossy(&key).trim_end().to_owned();
        Ok((identity, Secret::new(key)))
    };
    match (load(), runtime()) {
        (Ok((identity, key)), Ok(runtime)) => runtime.block_on(serve(arguments, &identity, key)),
        (Err(error), _) => fail(error),
        (_, Err(error)) => fail(error),
    }
}

async fn serve(arguments: &Arguments, identity: &Identity, key: Secret) -> Exit {
    let listener = match bind(arguments.address, identity).await {
        Ok(listener) => listener,
        Err(error) => return fail(error),
    };
    match listener.local_address() {
        Ok(address) => say(format_args!("the sandbox serves https://{address}")),
        Err(error) => return fail(error),
    }
    for entrance in Fixtures::entrances() {
        say(format_args!("entrance       {}  {}", entrance.id, entrance.name));
    }
    for user in Fixtures::acs_users() {
        say(format_args!("acs user       {}  {}", user.id, user.name));
    }
    for identity in Fixtures::user_identities() {
        say(format_args!("user identity  {}  {}", identity.id, identity.name));
    }
    let sandbox = Sandbox::new(key);
    listener.serve(move |_| sandbox.clone(), stop_at_signals(Duration::ZERO)).await;
    Exit::Done
}

/// What a sandbox proves itself with.
pub(super) fn identity(chain_file: &Path, key_file: &Path) -> Result<Identity, String> {
    let chain = read_plain(chain_file).map_err(|problem| problem.to_string())?;
    let key = read_secret(key_file).map_err(|problem| problem.to_string())?;
    let [chain_name, key_name] = [chain_file, key_file].map(|path| path.display().to_string());
    let chain = PemFile { name: &chain_name, bytes: &chain };
    let key = PemFile { name: &key_name, bytes: &key };
    Identity::from_pem(chain, key)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// Binds a listener for a sandbox.
pub(super) async fn bind(address: SocketAddr, identity: &Identity) -> Result<Listener, String> {
    let tls = server_config(identity, None).map_err(|error| error.to_string())?;
    let metrics = ListenerMetrics::unregistered().map_err(|error| error.to_string())?;
    let tls = Arc::new(tls);
    let tcp = tokio::net::TcpListener::bind(address).await;
    let tcp = tcp.map_err(|error| format!("{address} cannot be bound: {error}"))?;
    Ok(Listener::new(tcp, Arc::new(move || tls.clone()), ListenerLimits::default(), metrics))
}
