//! `grantgate demo --replicas`: several gateways with a database, on made-up data.
//!
//! Each is a process of its own, as it would be, so that it can be killed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::postgres::Postgres;
use super::{CALLER, Failure, give_token, pause};
use crate::authn::CallerToken;
use crate::cli::{Exit, init, runtime, say, stop_at_signals};
use crate::files::{create_new, open_to_append};
use crate::note::SigningKey;
use crate::sandbox::Fixtures;

/// What the gateways are called.
pub(super) const NAMES: [&str; 6] = ["north", "south", "east", "west", "hill", "harbour"];

/// A gateway starts within this time, and ends within it.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// A process of the demo; it ends with this value.
struct Running {
    name: &'static str,
    child: Child,
}

impl Running {
    /// Asks it to end.
    fn stop(&self) {
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(id, Signal::TERM);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        let until = Instant::now() + ENDS_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            pause();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A gateway, and where it is.
struct Gateway {
    running: Running,
    address: SocketAddr,
    admin: SocketAddr,
}

/// The files, and the program that all of it is run by.
struct Place {
    program: PathBuf,
    directory: PathBuf,
}

impl Place {
    fn at(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Runs a command of this program among the files, and gives what it prints.
    fn run(&self, arguments: &[&str]) -> Result<String, Failure> {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.directory).stdin(Stdio::null());
        let output = command.output()?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned()),
            false => Err(format!(
                "`grantgate {}`: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            )
            .into()),
        }
    }

    /// Starts a command that runs on; what it says goes into a file of its name.
    fn start(&self, name: &'static str, arguments: &[&str]) -> Result<Running, Failure> {
        let log = open_to_append(&self.at(&format!("{name}.log")))?;
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.directory).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        Ok(Running { name, child: command.spawn()? })
    }
}

pub(super) fn demonstrate(directory: &Path, count: u8) -> Result<Exit, Failure> {
    let files = init::files(true)?;
    init::write(directory, &files)?;
    let place = Place { program: std::env::current_exe()?, directory: directory.canonicalize()? };
    let token = give_token(&place.directory)?;
    say("starting a database, a sandbox in place of Seam, and gateways …");
    let trust = keys(&place)?;
    let certificate = (place.at("certs/sandbox.pem"), place.at("certs/sandbox.key"));
    let database = Postgres::start(&place.at("database"), (&certificate.0, &certificate.1))?;
    database.roles(&place.directory, &trust)?;
    place.run(&["database", "migrate", "--database", "owner.toml"])?;
    let bundle = first_bundle(&place)?;
    let (_sandbox, sandbox) = sandbox(&place)?;
    let gateways = NAMES.into_iter().take(usize::from(count));
    let gateways = gateways.map(|name| gateway(&place, name, (&database, sandbox), &trust));
    let gateways = gateways.collect::<Result<Vec<_>, _>>()?;
    show(&place, &gateways, (&database, sandbox), (&token, &bundle));
    runtime()?.block_on(async {
        let stop = stop_at_signals(Duration::ZERO);
        stop.drained().await;
    });
    for gateway in &gateways {
        gateway.running.stop();
    }
    drop(gateways);
    Ok(Exit::Done)
}

/// Of two who sign; gives what `[bundle]` has about them.
fn keys(place: &Place) -> Result<String, Failure> {
    let mut public = Vec::new();
    for name in ["alice", "bob"] {
        let (key, private) = SigningKey::generate(name)?;
        create_new(&place.at(&format!("{name}.key")), private.as_bytes(), 0o600)?;
        public.push(format!("\"{}\"", key.verifier()));
    }
    let keys = public.join(", ");
    Ok(format!("name = \"example.org/demo\"\nkeys = [{keys}]\nsignatures_min = 2\n"))
}

/// Proposed, signed and promoted as any other.
fn first_bundle(place: &Place) -> Result<String, Failure> {
    let database = ["--database", "publisher.toml"];
    let run = |arguments: &[&str]| place.run(&[&["policy"], arguments, &database[..]].concat());
    let said = run(&["push", "--why", "the first", "--key", "alice.key"])?;
    let bundle = said.lines().last().unwrap_or_default().to_owned();
    run(&["approve", &bundle, "--key", "bob.key"])?;
    run(&["promote", &bundle, "--wait", "0"])?;
    Ok(bundle)
}

fn sandbox(place: &Place) -> Result<(Running, SocketAddr), Failure> {
    let address = free()?;
    let running = place.start("sandbox", &["sandbox", "--address", &address.to_string()])?;
    Ok((running, address))
}

fn free() -> std::io::Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Writes its settings, starts it, and waits until it is ready.
fn gateway(
    place: &Place,
    name: &'static str,
    (database, sandbox): (&Postgres, SocketAddr),
    trust: &str,
) -> Result<Gateway, Failure> {
    let (address, admin) = (free()?, free()?);
    let text = std::fs::read_to_string(place.at("grantgate.toml"))?;
    let mut own = text
        .replace("address = \"127.0.0.1:8443\"", &format!("address = \"{address}\""))
        .replace("# address = \"127.0.0.1:9464\"", &format!("address = \"{admin}\""))
        .replace(
            "url = \"https://localhost:8444\"",
            &format!("url = \"https://localhost:{}\"", sandbox.port()),
        )
        .replace("directory = \"audit\"", &format!("directory = \"{name}/audit\""))
        .replace("# file = \"orders.json\"", &format!("file = \"{name}/orders.json\""))
        // A demo is looked at within a minute.
        .replace("# checkpoint_interval_ms = 60000", "checkpoint_interval_ms = 500")
        // Each log has a key of its own.
        .replace("signing_key_file", "# signing_key_file");
    for (section, lines) in [
        ("[replica]\n", format!("name = \"{name}\"\n")),
        ("[console]\n", "local = \"on\"\ndatabase_file = \"reader.toml\"\n".to_owned()),
        (
            "[database]\n",
            format!(
                "url = \"{}\"\npassword_file = \"secrets/database_gateway\"\nca_file = \
                 \"certs/servers-ca.pem\"\n",
                database.url("gateway")
            ),
        ),
        ("[policy.bundle]\n", format!("{trust}directory = \"{name}/bundles\"\n")),
    ] {
        own = own.replace(section, &format!("{section}{lines}"));
    }
    std::fs::create_dir(place.at(name))?;
    let file = format!("{name}.toml");
    create_new(&place.at(&file), own.as_bytes(), 0o644)?;
    let mut running = place.start(name, &["serve", "--config", &file])?;
    let until = Instant::now() + STARTS_WITHIN;
    while place.run(&["ready", "--config", &file]).is_err() {
        let ended = running.child.try_wait()?.is_some();
        if ended || Instant::now() > until {
            let log = place.at(&format!("{name}.log"));
            let said = std::fs::read_to_string(log).unwrap_or_default();
            return Err(format!("the gateway {name} does not start: {}", said.trim()).into());
        }
        pause();
    }
    Ok(Gateway { running, address, admin })
}

/// Prints what to try, ready to paste.
fn show(
    place: &Place,
    gateways: &[Gateway],
    (database, sandbox): (&Postgres, SocketAddr),
    (token, bundle): (&CallerToken, &str),
) {
    let (program, files) = (place.program.display(), place.directory.display());
    let (Some(lobby), Some(person), Some(first)) =
        (Fixtures::entrances().first(), Fixtures::user_identities().first(), gateways.first())
    else {
        return;
    };
    for gateway in gateways {
        let Gateway { running, address, admin } = gateway;
        let (name, id) = (running.name, running.child.id());
        say(format_args!(
            "{name}: https://localhost:{}, console http://{admin}/console, process {id}",
            address.port()
        ));
    }
    say(format_args!(
        "database: process {}; sandbox: https://localhost:{}; bundle {bundle} in force",
        database.id(),
        sandbox.port()
    ));
    say(format_args!("\nA grant, by any of them (`{CALLER}` may grant the {}):\n", lobby.name));
    for gateway in gateways {
        say(format_args!(
            "  curl --cacert {files}/certs/servers-ca.pem https://localhost:{}/acs/entrances/grant_access \
             -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' \
             -d '{{\"acs_entrance_id\":\"{}\",\"user_identity_id\":\"{}\"}}'",
            gateway.address.port(),
            token.expose(),
            lobby.id,
            person.id
        ));
    }
    say("\nFrom here on in their folder:\n");
    say(format_args!("  cd {files}; grantgate() {{ {program} \"$@\"; }}"));
    say("\nAll of them at a glance, and all their logs together:\n");
    let name = first.running.name;
    let keys: Vec<String> = gateways
        .iter()
        .map(|gateway| format!("--key {}/audit/signing.pub", gateway.running.name))
        .collect();
    say(format_args!(
        "  grantgate policy status --database reader.toml\n  \
         grantgate database status --database reader.toml\n  \
         grantgate audit query --database reader.toml\n  \
         grantgate audit verify --database reader.toml {}",
        keys.join(" ")
    ));
    say("\nOne edit for all: proposed, looked at, signed by a second, in force.\n");
    say(EDIT);
    say("\nA freeze of all of them takes one signature, letting go takes two:\n");
    say(FREEZE);
    say("\nNo grant waits for the database, and no gateway for another:\n");
    say(format_args!("  kill -9 {}      # the database", database.id()));
    say(format_args!("  kill -9 {}      # {name}", first.running.child.id()));
    say(format_args!("  grantgate serve --config {name}.toml"));
    say("\nCtrl-C stops.");
}

const FREEZE: &str = "  id=$(grantgate freeze --reason 'token stolen' --key alice.key --database publisher.toml | sed -n 's/^id //p')
  grantgate orders --database reader.toml
  id=$(grantgate unfreeze $id --reason 'replaced' --key alice.key --database publisher.toml 2>&1 | sed -n 's/.*countersign \\([0-9a-f@]*\\).*/\\1/p')
  grantgate countersign $id --key bob.key --database publisher.toml";

/// The front desk may see what it may open.
const EDIT: &str = "  echo 'p, role:front-desk, zone:lobby, read, allow' >> policies/policy.csv
  id=$(grantgate policy push --why 'the desk sees its doors' --key alice.key --database publisher.toml | tail -n 1)
  grantgate policy review $id --database reader.toml
  grantgate policy approve $id --key bob.key --database publisher.toml
  grantgate policy promote $id --database publisher.toml";
