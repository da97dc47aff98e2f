//! A gateway in this process, started as `serve` starts one, and a client for it.

pub mod authority;
pub mod collector;
pub mod frames;
pub mod http1;
pub mod http2;
pub mod issuer;
pub mod metrics;
pub mod minter;
pub mod postgres;
pub mod process;
pub mod wire;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use grantgate::audit::OpenError;
use grantgate::config::{self, Environment};
use grantgate::listener::Stop;
use grantgate::server::{Prepared, Server, StartError};
use grantgate::snapshot::ReloadHandle;
use grantgate::tls::{ClientTls, PemFile, Roots};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use crate::seam::Seam;

pub const LOBBY: &str = "d23d7180-c1ee-4bbe-8630-05df5031ce35";
pub const SERVER_ROOM: &str = "5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08";
pub const PERSON: &str = "c6247b75-f1cb-493a-9915-a85a0b9639ae";
pub const KEY: &str = "seam_workspace_key_canary";
pub const PATH: &str = "/acs/entrances/grant_access";

/// Runs the program and gives standard output; panics with standard error.
pub fn grantgate(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_grantgate")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How `check` ends, and what it says of a site.
pub fn check(site: &Site, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args(["check", "--config"])
        .arg(site.path("grantgate.toml"))
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// A directory as `init --dev-certs` makes it, with a token for `visitor-desk`.
pub struct Site {
    directory: tempfile::TempDir,
    pub token: String,
}

impl Site {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        grantgate(&["init", "--dev-certs", path]);
        let callers = format!("{path}/callers.toml");
        let token =
            grantgate(&["caller", "new", "visitor-desk", "--name", "t", "--callers", &callers]);
        std::fs::write(directory.path().join("secrets/seam_api_key"), KEY).unwrap();
        Self { directory, token: token.trim().to_owned() }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    pub fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path(file)).unwrap()
    }

    /// The records of the audit log.
    pub fn records(&self) -> Vec<Value> {
        let log = self.path("audit");
        let text = grantgate(&["audit", "show", "--format", "json", log.to_str().unwrap()]);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The log verifies with its public key, and every checkpoint in `anchors` is part of it.
    pub fn verify(&self, anchors: &Path) {
        let [log, key] = ["audit", "audit_signing_key.pub"].map(|name| self.path(name));
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let (log, key) = (text(&log), text(&key));
        let mut arguments = vec!["audit", "verify", &log, "--key", &key];
        let anchors = text(anchors);
        if Path::new(&anchors).exists() {
            arguments.extend(["--checkpoint", &anchors]);
        }
        grantgate(&arguments);
    }

    /// Overrides of the configuration for a gateway under test.
    pub fn environment(&self, seam: &Seam, more: &[(&str, &str)]) -> Environment {
        let fixed = [
            ("GRANTGATE__LISTENER__ADDRESS", "127.0.0.1:0".to_owned()),
            ("GRANTGATE__ADMIN__ADDRESS", "127.0.0.1:0".to_owned()),
            ("GRANTGATE__UPSTREAM__URL", seam.url()),
            // Made for each test anew.
            ("GRANTGATE__AUDIT__WAL_BYTES", "1048576".to_owned()),
            // Tests are faster than callers.
            ("GRANTGATE__LIMITS__CALLER_REQUESTS_PER_SECOND", "1000000".to_owned()),
            ("GRANTGATE__LIMITS__CALLER_REQUESTS_BURST", "1000000".to_owned()),
            ("GRANTGATE__LIMITS__AUTHENTICATION_FAILURES_PER_MINUTE", "0".to_owned()),
        ];
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        fixed.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Starts a gateway in this process, as `serve` does.
    pub async fn start(&self, seam: &Seam, more: &[(&str, &str)]) -> Gateway {
        let file = self.path("grantgate.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let load = || {
            let settings = config::load(&file, &text, &self.environment(seam, more)).unwrap();
            let prepared = Prepared::load(settings, &Environment::new());
            prepared.map_err(|found| found.problems()).unwrap()
        };
        let mut started = Server::start(load(), None).await;
        // Other tests of this process start programs: between fork and exec a child has
        // all our files, with the lock of a log that was closed meanwhile.
        for _ in 0..100 {
            if !matches!(&started, Err(StartError::Audit(_, OpenError::Locked))) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            started = Server::start(load(), None).await;
        }
        let server = started.unwrap();
        let (address, admin) = (server.address().unwrap(), server.admin_address().unwrap());
        let remote_admin = server.remote_admin_address().unwrap();
        let reload = server.reload_handle();
        let stop = Stop::default();
        let serving = tokio::spawn(server.serve(stop.clone()));
        Gateway { address, admin, remote_admin, reload, stop, serving }
    }

    /// A client that trusts the development authority, without client certificate.
    pub fn client(&self) -> reqwest::Client {
        self.client_builder().build().unwrap()
    }

    pub fn client_builder(&self) -> reqwest::ClientBuilder {
        let authority = self.read("certs/servers-ca.pem");
        let authority = PemFile { name: "servers-ca.pem", bytes: &authority };
        let tls = ClientTls::new(&Roots::Only(authority)).unwrap();
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls.into_config())
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(20))
    }
}

/// A running gateway.
pub struct Gateway {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub remote_admin: Option<SocketAddr>,
    pub reload: ReloadHandle,
    pub stop: Stop,
    serving: JoinHandle<()>,
}

impl Gateway {
    pub fn url(&self) -> String {
        format!("https://localhost:{}{PATH}", self.address.port())
    }

    /// Asks the admin listener: status and body.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        admin(self.admin, path).await
    }

    /// Stops in order: everything in flight is answered and recorded.
    pub async fn stop(self) {
        self.stop.drain();
        tokio::time::timeout(Duration::from_secs(30), self.serving).await.unwrap().unwrap();
    }
}

/// Asks an admin listener: status and body.
pub async fn admin(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

pub fn grant_body(entrance: &str) -> String {
    format!(r#"{{"acs_entrance_id":"{entrance}","user_identity_id":"{PERSON}"}}"#)
}

/// The same for somebody who was never named before: no grant is the same as another one.
pub fn fresh_grant(entrance: &str) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let person =
        format!("{:08x}-0000-4000-9000-000000000000", MADE.fetch_add(1, Ordering::Relaxed));
    grant_body(entrance).replace(PERSON, &person)
}

/// Posts a grant with the site's token.
pub async fn post(
    client: &reqwest::Client,
    gateway: &Gateway,
    token: &str,
    body: impl Into<String>,
) -> reqwest::Response {
    client
        .post(gateway.url())
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(body.into())
        .send()
        .await
        .unwrap()
}

/// The log ends with the stop and the checkpoint that covers it.
pub fn ended_in_order(records: &[Value]) {
    let mut from_end = records.iter().rev();
    let last = from_end.next().unwrap();
    assert_eq!(last["event"], "log.checkpoint");
    assert_eq!(last["size"].as_u64(), Some(records.len() as u64 - 1));
    assert_eq!(from_end.next().unwrap()["event"], "log.stop");
}

/// The records of one event.
pub fn of_event<'a>(records: &'a [Value], event: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["event"] == event).collect()
}

/// Waits until `done`, for at most ten seconds.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}
