//! `grantgate demo`: the whole gateway on made-up data.
//!
//! Makes the files that `init --dev-certs` makes, starts the sandbox in place of Seam,
//! and runs the very path of `serve` on them.

mod month;
mod postgres;
mod replicas;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::{Exit, environment, fail, init, report, runtime, say, serve, stop_at_signals};
use crate::authn::callers::{NewToken, add_token};
use crate::authn::{CallerToken, TokenForm};
use crate::config::{self, Environment};
use crate::domain::{CallerId, Secret};
use crate::files::replace;
use crate::listener::Stop;
use crate::sandbox::{Fixtures, Sandbox};
use crate::server::Server;
use crate::telemetry::{LogFormat, start_logging};

#[derive(Args)]
#[command(after_help = "Example: grantgate demo --keep gateway\n\n\
    Example: grantgate demo --replicas 3\n\n\
    With --replicas there are so many gateways, with a PostgreSQL server of this machine: one policy \
    that two sign, all logs in one place, and processes to kill.")]
pub(super) struct Arguments {
    /// Keep the files in DIR, which `serve` and `sandbox` can use afterwards
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Where callers connect; a free port is taken when this one is in use
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    address: SocketAddr,
    /// Where metrics are served; a free port is taken when this one is in use
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    admin_address: SocketAddr,
    /// Run so many gateways, 2 to 6, with a database; all on free ports
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(2..=6),
          conflicts_with_all = ["address", "admin_address"])]
    replicas: Option<u8>,
}

const CALLER: &str = "visitor-desk";

type Failure = Box<dyn std::error::Error>;

pub(super) fn run(arguments: &Arguments) -> Exit {
    start_logging(LogFormat::Human, tracing::Level::WARN);
    let result = match &arguments.keep {
        Some(directory) if directory.join("grantgate.toml").exists() => {
            Err(format!("`{}` has a gateway already", directory.display()).into())
        }
        Some(directory) => demonstrate(arguments, directory),
        // Removed with everything in it when this value is dropped.
        None => tempfile::Builder::new()
            .prefix("grantgate-demo-")
            .tempdir()
            .map_err(Failure::from)
            .and_then(|directory| demonstrate(arguments, directory.path())),
    };
    result.unwrap_or_else(fail)
}

fn demonstrate(arguments: &Arguments, directory: &Path) -> Result<Exit, Failure> {
    if let Some(count) = arguments.replicas {
        let exit = replicas::demonstrate(directory, count)?;
        say(ended(arguments));
        return Ok(exit);
    }
    let files = init::files(true)?;
    init::write(directory, &files)?;
    let directory = directory.canonicalize()?;
    let token = give_token(&directory)?;

    let read = |path: &str| std::fs::read(directory.join(path));
    let identity = crate::cli::sandbox::identity(
        &directory.join("certs/sandbox.pem"),
        &directory.join("certs/sandbox.key"),
    )?;
    let key = String::from_utf8(read("secrets/seam_api_key")?)?;

    runtime()?.block_on(async {
        let listener =
            crate::cli::sandbox::bind(SocketAddr::from(([127, 0, 0, 1], 0)), &identity).await?;
        let sandbox_address = listener.local_address()?;
        let sandbox = Sandbox::new(Secret::new(key));
        let sandbox = tokio::spawn(listener.serve(move |_| sandbox.clone(), Stop::default()));

        let file = directory.join("grantgate.toml");
        let text = std::fs::read_to_string(&file)?;
        let (mut environment, unreadable) = environment();
        if !unreadable.is_empty() {
            report("error", &unreadable);
            return Ok(Exit::Invalid);
        }
        let url = format!("https://localhost:{}", sandbox_address.port());
        environment.insert("GRANTGATE__UPSTREAM__URL".into(), url.clone());
        let address = free(arguments.address).to_string();
        environment.insert("GRANTGATE__LISTENER__ADDRESS".into(), address);
        let admin_address = free(arguments.admin_address).to_string();
        environment.insert("GRANTGATE__ADMIN__ADDRESS".into(), admin_address);
        // Whoever is on the machine may look at made-up data.
        environment.insert("GRANTGATE__CONSOLE__LOCAL".into(), "on".into());
        // A demo is looked at within a minute.
        environment.insert("GRANTGATE__AUDIT__CHECKPOINT_INTERVAL_MS".into(), "500".into());
        let exit = match config::load(&file, &text, &environment) {
            // The sandbox is the upstream on purpose.
            Ok(settings) => {
                let settings = config::Settings { warnings: Vec::new(), ..settings };
                let shown = |server: &Server| show(server, &directory, &url, token.expose());
                // No traces of made-up data, whatever the environment says.
                match serve::prepare(settings, &Environment::new()) {
                    Ok(prepared) => {
                        let stop = stop_at_signals(Duration::ZERO);
                        // Signals wait for it: what it began is not left behind.
                        month::write(&prepared, Timestamp::now()).await?;
                        serve::serve(prepared, None, shown, stop).await
                    }
                    Err(exit) => exit,
                }
            }
            Err(problems) => {
                report("error", &problems);
                Exit::Invalid
            }
        };
        sandbox.abort();
        say(ended(arguments));
        Ok(exit)
    })
}

/// Before something is looked at again.
#[expect(clippy::disallowed_methods, reason = "there is no runtime around it")]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

fn ended(arguments: &Arguments) -> &'static str {
    match arguments.keep {
        Some(_) => "stopped; the files are kept",
        None => "stopped; nothing is left behind",
    }
}

/// The wanted address, or a free port beside it.
fn free(wanted: SocketAddr) -> SocketAddr {
    match TcpListener::bind(wanted) {
        Ok(_) => wanted,
        Err(_) => SocketAddr::new(wanted.ip(), 0),
    }
}

fn give_token(directory: &Path) -> Result<CallerToken, Failure> {
    let file = directory.join("callers.toml");
    let text = std::fs::read_to_string(&file)?;
    let token = CallerToken::generate(TokenForm::ApiKey)?;
    let caller = CallerId::parse(CALLER)?;
    let new =
        NewToken { name: "demo", sha256: token.digest(), expires: None, form: TokenForm::ApiKey };
    let text = add_token("callers.toml", &text, &caller, None, new)?;
    replace(&file, text.as_bytes(), 0o600)?;
    Ok(token)
}

/// Prints what to try, ready to paste.
fn show(server: &Server, directory: &Path, sandbox: &str, token: &str) {
    let (Ok(address), Ok(admin)) = (server.address(), server.admin_address()) else { return };
    let gateway = format!("https://localhost:{}", address.port());
    let (Some(lobby), Some(closed), Some(person)) = (
        Fixtures::entrances().first(),
        Fixtures::entrances().get(1),
        Fixtures::user_identities().first(),
    ) else {
        return;
    };
    let program = std::env::args().next().unwrap_or_else(|| "grantgate".into());
    let files = directory.display();
    let ca = format!("{files}/certs/servers-ca.pem");
    let curl = |token: &str, entrance: &str| {
        format!(
            "  curl --cacert {ca} {gateway}/acs/entrances/grant_access \\\n    \
             -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\\n    \
             -d '{{\"acs_entrance_id\":\"{entrance}\",\"user_identity_id\":\"{}\"}}'",
            person.id
        )
    };
    say(format_args!("The gateway serves {gateway}; a sandbox stands in for Seam at {sandbox}."));
    say(format_args!("\nGranted: `{CALLER}` may grant the {}.\n", lobby.name));
    say(curl(token, lobby.id));
    say(format_args!("\nDenied (403): it may not grant the {}.\n", closed.name));
    say(curl(token, closed.id));
    say("\nRefused (401): a token that nobody has.\n");
    say(curl("seam_gg_nobody", lobby.id));
    say(
        "\nThe audit log begins with a month of made-up decisions. To look at them in a browser:\n",
    );
    say(format_args!("  http://{admin}/console\n"));
    say("The audit log, the metrics, and what reached the sandbox:\n");
    say(format_args!("  {program} audit show {files}/audit"));
    say(format_args!("  {program} audit verify {files}/audit --key {files}/audit_signing_key.pub"));
    say(format_args!("  curl http://{admin}/metrics"));
    say(format_args!("  curl --cacert {ca} {sandbox}/_sandbox/grants"));
    let call =
        format!("acs_entrance_id{{}}\"{}\", user_identity_id{{}}\"{}\"", lobby.id, person.id);
    say("\nFrom Python (pip install seam):\n");
    say(format_args!(
        "  SSL_CERT_FILE={ca} SEAM_ENDPOINT={gateway} SEAM_API_KEY={token} \\\n    python3 -c \
         'from seam import Seam; Seam().acs.entrances.grant_access({}); print(\"granted\")'",
        call.replace("{}", "=")
    ));
    say("\nFrom JavaScript (npm install @seamapi/http):\n");
    say(format_args!(
        "  NODE_EXTRA_CA_CERTS={ca} SEAM_ENDPOINT={gateway} SEAM_API_KEY={token} \\\n    node \
         --input-type=module -e 'import {{ SeamHttp }} from \"@seamapi/http\"; \
         await new SeamHttp().acs.entrances.grantAccess({{ {} }}); console.log(\"granted\")'",
        call.replace("{}", ": ")
    ));
    say("\nCtrl-C stops.");
}
