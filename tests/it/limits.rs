//! What one side may use up of what all share.

use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::seam::{Behaviour, Seam};
use crate::support::http1::{connect, exchange};
use crate::support::metrics::until_metric;
use crate::support::process::{self, Process, signal};
use crate::support::{
    Gateway, LOBBY, PATH, Site, admin, grant_body, grantgate, of_event, post, until,
};
use crate::tls::{client_config, connect as connect_with};

/// A request whose body is announced and does not come.
fn without_body(token: &str) -> String {
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 130\r\n\r\n"
    )
}

#[tokio::test]
async fn strangers_cannot_use_up_the_places_of_callers() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[("GRANTGATE__LIMITS__REQUESTS_IN_FLIGHT_MAX", "1")]).await;
    let mut strangers = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(&site, gateway.address).await;
        stream.write_all(without_body("seam_gg_unknown").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        strangers.push(stream);
    }
    let answer = post(&site.client(), &gateway, &site.token, grant_body(LOBBY)).await;
    assert_eq!(answer.status(), 200);
    for mut stream in strangers {
        assert!(exchange(&mut stream, b"").await.starts_with("HTTP/1.1 401 "));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_caller_that_is_revoked_before_its_body_has_come_is_refused() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let mut stream = connect(&site, gateway.address).await;
    let body = grant_body(LOBBY);
    let (most, last) = body.split_at(body.len() - 1);
    let head = without_body(&site.token).replace("130", &body.len().to_string());
    stream.write_all(format!("{head}{most}").as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let callers = site.path("callers.toml");
    let arguments = ["caller", "revoke", "visitor-desk", "--token", "t", "--callers"];
    grantgate(&[&arguments[..], &[callers.to_str().unwrap()]].concat());
    until("the revocation is in force", || !of_event(&site.records(), "config.reload").is_empty())
        .await;
    // The record comes first, the new state a moment later.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = exchange(&mut stream, last.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(seam.requests(), Vec::<String>::new());
    gateway.stop().await;
}

#[tokio::test]
async fn a_caller_that_is_too_fast_is_told_to_wait_and_others_are_not() {
    let site = Site::new();
    let callers = site.path("callers.toml");
    let other = grantgate(&["caller", "new", "facilities", "--callers", callers.to_str().unwrap()]);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let limits = [
        ("GRANTGATE__LIMITS__CALLER_REQUESTS_PER_SECOND", "1"),
        ("GRANTGATE__LIMITS__CALLER_REQUESTS_BURST", "2"),
    ];
    let gateway = site.start(&seam, &limits).await;
    let client = site.client();
    for _ in 0..2 {
        assert_eq!(post(&client, &gateway, &site.token, grant_body(LOBBY)).await.status(), 200);
    }
    let refused = post(&client, &gateway, &site.token, grant_body(LOBBY)).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: serde_json::Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(body["error"]["type"], "rate_limit_exceeded");
    assert_eq!(post(&client, &gateway, other.trim(), grant_body(LOBBY)).await.status(), 200);
    assert_eq!(seam.requests().len(), 3);
    gateway.stop().await;
}

/// Whether the other side closes within five seconds, and what it said until then.
async fn closes(stream: &mut TlsStream<TcpStream>) -> (bool, usize) {
    let mut said = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut said)).await;
    (read.is_ok(), said.len())
}

async fn open(site: &Site, gateway: &Gateway, protocol: &str) -> TlsStream<TcpStream> {
    let config = client_config(site, rustls::DEFAULT_VERSIONS, &[protocol], None);
    connect_with(gateway, config).await.unwrap()
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let limits = [
        ("GRANTGATE__LIMITS__IDLE_TIMEOUT_MS", "300"),
        ("GRANTGATE__LIMITS__HEADER_TIMEOUT_MS", "300"),
    ];
    let gateway = site.start(&seam, &limits).await;
    for protocol in ["http/1.1", "h2"] {
        let mut silent = open(&site, &gateway, protocol).await;
        assert!(closes(&mut silent).await.0, "{protocol}: silent after the handshake");
        let mut partial = open(&site, &gateway, protocol).await;
        partial.write_all(b"PRI ").await.unwrap();
        partial.flush().await.unwrap();
        assert!(closes(&mut partial).await.0, "{protocol}: four bytes");
    }
    // An HTTP/2 client that is alive, acknowledges what it is told, and asks nothing.
    let mut idle = open(&site, &gateway, "h2").await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";
    idle.write_all(preface).await.unwrap();
    idle.flush().await.unwrap();
    let (closed, said) = closes(&mut idle).await;
    assert!(closed && said > 0, "an idle HTTP/2 connection");
    gateway.stop().await;
}

#[tokio::test]
async fn an_old_connection_takes_no_further_request() {
    // Longer than its age and than the time that a closing connection has.
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_secs(4))).await;
    let gateway = site.start(&seam, &[("GRANTGATE__LIMITS__CONNECTION_AGE_MAX_MS", "1000")]).await;
    let mut stream = connect(&site, gateway.address).await;
    let body = grant_body(LOBBY);
    let head = without_body(&site.token).replace("130", &body.len().to_string());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), read).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "what is in flight is finished: {answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    gateway.stop().await;
}

fn prlimit(process: &Process, files: &str) {
    let id = process.id().to_string();
    let status = Command::new("prlimit").args(["--pid", &id, files]).status();
    assert!(status.unwrap().success());
}

async fn granted(site: &Site, client: &reqwest::Client, process: &Process) -> bool {
    let request = client
        .post(process.url())
        .bearer_auth(&site.token)
        .header("content-type", "application/json")
        .body(grant_body(LOBBY));
    request.timeout(Duration::from_secs(5)).send().await.is_ok_and(|a| a.status() == 200)
}

/// Descriptors run out for real: a limit is set below what the process has open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_file_descriptors_what_is_open_is_served_and_new_connections_wait() {
    if !process::can("prlimit", &["--version"]) {
        return;
    }
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve(&site, &seam);
    let open = site.client();
    assert!(granted(&site, &open, &process).await);
    prlimit(&process, "--nofile=5:");
    let late = site.client();
    let (waits, served) =
        tokio::join!(granted(&site, &late, &process), granted(&site, &open, &process));
    assert!(served, "the connections that are open, to callers and to Seam");
    assert!(!waits);
    assert!(process.log().iter().any(|line| line.contains("cannot accept connections")));
    prlimit(&process, "--nofile=1000:");
    assert!(granted(&site, &late, &process).await, "it goes on by itself");
    signal(process.id(), "TERM");
    assert_eq!(tokio::task::spawn_blocking(|| process.wait()).await.unwrap(), Some(0));
}

/// A flood of connections cannot take the descriptors that a grant needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_leave_descriptors_for_the_log_and_for_seam() {
    if !process::can("prlimit", &["--version"]) {
        return;
    }
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let mut command = process::serve(&site, &seam, &[]);
    command.env("UNDER", "prlimit --nofile=556:556");
    let process = Process::start(command);
    let warned = |line: &String| line.contains("54 connections are taken at once");
    assert!(process.log().iter().any(warned), "{:?}", process.log());
    // Connected, but no connection to Seam was made yet.
    let mut caller = connect(&site, process.address).await;
    let mut flood = Vec::new();
    for _ in 0..400 {
        flood.push(TcpStream::connect(process.address).await.unwrap());
    }
    let refused = || async {
        let metrics = admin(process.admin, "/metrics").await.1;
        metrics.contains("grantgate_refused_connections_total{reason=\"limit\"} 347\n")
    };
    for attempt in 0.. {
        if refused().await {
            break;
        }
        assert!(attempt < 500, "the flood is not refused");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let body = grant_body(LOBBY);
    let head = without_body(&site.token).replace("130", &body.len().to_string());
    let answer = exchange(&mut caller, format!("{head}{body}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    drop(flood);
}

#[tokio::test]
async fn connections_beyond_the_limit_of_an_address_are_closed() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let limit = [("GRANTGATE__LIMITS__CONNECTIONS_PER_ADDRESS_MAX", "2")];
    let gateway = site.start(&seam, &limit).await;
    let first = connect(&site, gateway.address).await;
    let _second = connect(&site, gateway.address).await;
    let config = || client_config(&site, rustls::DEFAULT_VERSIONS, &["http/1.1"], None);
    assert!(connect_with(&gateway, config()).await.is_err());
    let refused = "grantgate_refused_connections_total{reason=\"address-limit\"}";
    until_metric(&gateway, refused, |count| count == 1.0).await;
    drop(first);
    for attempt in 0.. {
        if connect_with(&gateway, config()).await.is_ok() {
            break;
        }
        assert!(attempt < 100, "the place does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gateway.stop().await;
}
