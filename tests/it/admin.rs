//! The admin listener for other machines, and `grantgate ready`.

use std::net::SocketAddr;
use std::process::Command;

use rustls::version::TLS13;
use tokio::net::TcpStream;

use crate::seam::{Behaviour, Seam};
use crate::support::authority::Authority;
use crate::support::http1::exchange;
use crate::support::process::{Process, signal};
use crate::support::{Site, until};
use crate::tls::{client_config, connect_to};

const REMOTE: [(&str, &str); 4] = [
    ("GRANTGATE__ADMIN__REMOTE__ADDRESS", "127.0.0.1:0"),
    ("GRANTGATE__ADMIN__REMOTE__CERTIFICATE_FILE", "certs/server.pem"),
    ("GRANTGATE__ADMIN__REMOTE__PRIVATE_KEY_FILE", "certs/server.key"),
    ("GRANTGATE__ADMIN__REMOTE__CLIENT_CA_FILE", "certs/monitoring-ca.pem"),
];

type Certificate = (Vec<u8>, Vec<u8>);

/// What the answer to a request begins with; `None` when there is no connection.
async fn ask(site: &Site, to: SocketAddr, who: Option<&Certificate>, head: &str) -> Option<String> {
    let config = client_config(site, &[&TLS13], &["http/1.1"], who.cloned());
    let tcp = TcpStream::connect(to).await.unwrap();
    let mut stream = connect_to(tcp, config).await.ok()?;
    // With TLS 1.3 a client hears of its refused certificate only when it reads.
    let request = format!("{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let answer = exchange(&mut stream, request.as_bytes()).await;
    (!answer.is_empty()).then_some(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_machines_need_a_certificate_of_the_authority_for_it() {
    let site = Site::new();
    let callers = Authority::new(&site);
    let monitoring = Authority::new_in(&site, "certs/monitoring-ca.pem");
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve_with(&site, &seam, &REMOTE);
    let remote = process.remote_admin.unwrap();
    let (scraper, caller) = (monitoring.issue(1), callers.issue(2));

    for (path, part) in [
        ("/metrics", "\ngrantgate_ready 1\n"),
        ("/readyz?verbose", "[+] certificates: server expires "),
        ("/readyz?verbose", "admin-server expires "),
        ("/status", "\"role\": \"admin-client-ca\""),
    ] {
        let answer = ask(&site, remote, Some(&scraper), &format!("GET {path}")).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(part), "{answer}");
    }
    let answer = ask(&site, remote, Some(&scraper), "POST /metrics").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    for (name, stranger) in [("nobody", None), ("a caller", Some(&caller))] {
        assert_eq!(ask(&site, remote, stranger, "GET /metrics").await, None, "{name}");
    }

    // The authority is replaced while it runs.
    let other = Authority::new_in(&site, "certs/monitoring-ca.pem");
    signal(process.id(), "HUP");
    let reloaded = || process.log().concat().contains("\"reloaded\"");
    until("it is in force", reloaded).await;
    // The line may be of an earlier look at the files.
    for _ in 0..200 {
        if ask(&site, remote, Some(&scraper), "GET /livez").await.is_none() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(ask(&site, remote, Some(&scraper), "GET /livez").await, None);
    assert!(ask(&site, remote, Some(&other.issue(3)), "GET /livez").await.is_some());
}

#[test]
fn half_of_it_is_refused() {
    let site = Site::new();
    for left_out in 0..REMOTE.len() {
        let some = REMOTE.iter().enumerate().filter(|(n, _)| *n != left_out).map(|(_, v)| *v);
        let output = Command::new(env!("CARGO_BIN_EXE_grantgate"))
            .args(["check", "--config"])
            .arg(site.path("grantgate.toml"))
            .envs(some)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("`admin.remote` needs `address`, `certificate_file`"), "{text}");
        assert_eq!(output.status.code(), Some(3));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_tells_by_its_exit_code() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let delay = [("GRANTGATE__LIMITS__STOP_DELAY_MS", "60000")];
    let process = Process::serve_with(&site, &seam, &delay);
    let admin = process.admin.to_string();
    let ready = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_grantgate"))
            .args(["ready", "--config"])
            .arg(site.path("grantgate.toml"))
            .args(more)
            .env("GRANTGATE__ADMIN__ADDRESS", &admin)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = ready(&[]);
    assert!(code == Some(0) && text.ends_with("[+] draining: no\nready\n"), "{text}");
    assert_eq!(ready(&["--live"]), (Some(0), "ok\n".to_owned()));
    signal(process.id(), "TERM");
    until("it drains", || ready(&[]).0 == Some(1)).await;
    assert!(ready(&[]).1.ends_with("[-] draining: yes\nnot ready\n"));
    assert_eq!(ready(&["--live"]).0, Some(0));
    process.kill();
    let (code, text) = ready(&[]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("error: no gateway answers at 127.0.0.1:"), "{text}");
}
