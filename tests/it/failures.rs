//! Failures to authenticate: over the budget of their network they get less, and nobody who has
//! a valid credential notices.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::reload::grant;
use crate::seam::{Behaviour, Seam};
use crate::sources::{ANNOUNCED, announced, line_of, request};
use crate::support::authority::Authority;
use crate::support::http1::{self, exchange};
use crate::support::metrics::{metric, sample, until_metric};
use crate::support::{Gateway, LOBBY, Site, http2, of_event};
use crate::tls::{client_config, connect};

/// Another one is due after half a minute: long after these tests.
const TWO: (&str, &str) = ("GRANTGATE__LIMITS__AUTHENTICATION_FAILURES_PER_MINUTE", "2");
const UNKNOWN: &str = "seam_gg_nobody";

fn counter(caller: &str, reason: &str) -> String {
    let decision = if reason == "allowed-by-rule" { "allow" } else { "deny" };
    format!(
        "grantgate_requests_total{{caller=\"{caller}\",decision=\"{decision}\",reason=\"{reason}\"}}"
    )
}

async fn throttled(gateway: &Gateway) -> f64 {
    sample(gateway, &counter("other", "authentication-throttled")).await.unwrap_or_default()
}

/// Fails so often on one connection, each time with a 401.
async fn fail(stream: &mut TlsStream<TcpStream>, times: usize) {
    for number in 0..times {
        let answer = grant(stream, Some(UNKNOWN)).await;
        assert!(answer.contains(" 401 "), "{number}: {answer}");
    }
}

#[tokio::test]
async fn an_attacker_is_throttled_and_a_caller_behind_its_address_is_not() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[TWO]).await;
    let token = Some(site.token.as_str());
    let mut open = http1::connect(&site, gateway.address).await;
    assert!(grant(&mut open, token).await.contains(" 200 "));
    let mut attacker = http1::connect(&site, gateway.address).await;
    fail(&mut attacker, 2).await;

    // The next gets another answer, at once, although its body never comes, and no connection.
    let head = request(UNKNOWN, "").split("\r\n\r\n").next().unwrap().to_owned();
    attacker.write_all(format!("{head}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let closed = attacker.read_to_string(&mut answer);
    let closed = tokio::time::timeout(std::time::Duration::from_secs(5), closed).await;
    assert!(closed.is_ok_and(|read| read.is_ok()), "the connection is closed: {answer}");
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    let wait = answer.split("\r\nretry-after: ").nth(1).unwrap().split('\r').next().unwrap();
    assert!((1..=31).contains(&wait.parse::<u32>().unwrap()), "{answer}");
    assert!(answer.contains("\"type\":\"rate_limit_exceeded\""), "{answer}");
    assert!(!answer.contains("www-authenticate"), "{answer}");

    // A valid credential is served whatever its neighbours do: on what is open, on what is
    // new, in both protocols, and for every such answer in between.
    let (address, port) = (gateway.address, gateway.address.port());
    let mut h2 = http2::connect(&site, port).await;
    for number in 0..10 {
        let mut attacker = http1::connect(&site, address).await;
        assert!(grant(&mut attacker, Some(UNKNOWN)).await.contains(" 429 "), "{number}");
        assert!(grant(&mut open, token).await.contains(" 200 "), "{number}");
        let mut new = http1::connect(&site, address).await;
        assert!(grant(&mut new, token).await.contains(" 200 "), "{number}");
        // Of one HTTP/2 connection only the stream ends.
        let mut wrong = http2::post(&site, port, LOBBY);
        wrong.headers_mut().insert("authorization", format!("Bearer {UNKNOWN}").parse().unwrap());
        assert_eq!(h2.send_request(wrong).await.unwrap().status(), 429, "{number}");
        let right = http2::post(&site, port, LOBBY);
        assert_eq!(h2.send_request(right).await.unwrap().status(), 200, "{number}");
    }
    // On the route of the gateway's own as well.
    let whoami = format!("https://localhost:{port}/grantgate/whoami");
    let wrong = site.client().get(&whoami).bearer_auth(UNKNOWN).send().await.unwrap();
    assert_eq!(wrong.status(), 429);
    let right = site.client().get(&whoami).bearer_auth(&site.token).send().await.unwrap();
    assert_eq!(right.status(), 200);
    assert_eq!(throttled(&gateway).await, 22.0);
    assert_eq!(metric(&gateway, &counter("visitor-desk", "allowed-by-rule")).await, 31.0);
    gateway.stop().await;

    let records = site.records();
    let failures = of_event(&records, "authn.failure");
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(failures.iter().all(|record| record["reason"] == "token-unknown"));
    let counted = of_event(&records, "authn.suppressed");
    assert_eq!(counted.len(), 1, "{counted:?}");
    assert_eq!(counted[0]["reasons"], serde_json::json!({ "authentication-throttled": 22 }));
    assert_eq!(of_event(&records, "grant.decision").len(), 31);
}

#[tokio::test]
async fn each_network_has_a_budget_of_its_own() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[TWO, ANNOUNCED]).await;
    let from = async |header: &[u8]| {
        http1::over(&site, announced(&gateway, header).await, &[b"http/1.1"]).await
    };
    let line6 = |host: &str| format!("PROXY TCP6 2001:db8::{host} fd00::1 1 443\r\n").into_bytes();
    fail(&mut from(&line_of("192.0.2.1")).await, 2).await;
    fail(&mut from(&line6("1")).await, 1).await;
    fail(&mut from(&line6("2")).await, 1).await;
    for (header, status) in [
        (line_of("192.0.2.1"), " 429 "),
        (line_of("192.0.2.2"), " 401 "),
        (line6("3"), " 429 "),
        (b"PROXY TCP6 2001:db8:0:1::1 fd00::1 1 443\r\n".to_vec(), " 401 "),
        (b"PROXY UNKNOWN\r\n".to_vec(), " 401 "),
    ] {
        let answer = grant(&mut from(&header).await, Some(UNKNOWN)).await;
        assert!(answer.contains(status), "{}: {answer}", String::from_utf8_lossy(&header));
    }
    let mut good = from(&line_of("192.0.2.1")).await;
    assert!(grant(&mut good, Some(&site.token)).await.contains(" 200 "));
    gateway.stop().await;
}

#[tokio::test]
async fn refused_handshakes_count_and_keep_nobody_from_connecting() {
    let site = Site::new();
    let trusted = Authority::new(&site);
    let other = Authority::new_in(&site, "certs/other.pem");
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let ca = ("GRANTGATE__LISTENER__CLIENT_CA_FILE", "certs/callers-ca.pem");
    let gateway = site.start(&seam, &[TWO, ca]).await;
    let config = |certificate| {
        client_config(&site, rustls::DEFAULT_VERSIONS, &["http/1.1"], Some(certificate))
    };
    for number in 0..8 {
        if let Ok(mut tls) = connect(&gateway, config(other.issue(number))).await {
            // With TLS 1.3 the client learns it by reading.
            assert!(tls.read(&mut [0]).await.is_err(), "{number}");
        }
    }
    let refused = "grantgate_tls_handshake_failures_total{reason=\"certificate\"}";
    // Each is still a handshake.
    until_metric(&gateway, refused, |count| count == 8.0).await;
    let mut stranger = http1::connect(&site, gateway.address).await;
    let answer = exchange(&mut stranger, request(UNKNOWN, "").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "one budget for both: {answer}");
    let mut caller = connect(&gateway, config(trusted.issue(1))).await.unwrap();
    assert!(grant(&mut caller, None).await.contains(" 200 "));
    gateway.stop().await;
    let records = site.records();
    assert_eq!(of_event(&records, "authn.failure").len(), 2);
    let counted = of_event(&records, "authn.suppressed");
    assert_eq!(counted[0]["reasons"], serde_json::json!({ "authentication-throttled": 7 }));
}
