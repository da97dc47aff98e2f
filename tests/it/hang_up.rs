//! Callers that hang up, dawdle, or send what no client would.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::seam::{Behaviour, Seam};
use crate::support::http1::{connect, exchange};
use crate::support::{LOBBY, PATH, Site, grant_body, http2, of_event, until};

fn request(site: &Site, length: usize, body: &str) -> String {
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}",
        site.token
    )
}

#[tokio::test]
async fn a_recorded_grant_runs_to_its_end_when_the_caller_hangs_up() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(400))).await;
    let gateway = site.start(&seam, &[]).await;
    let body = grant_body(LOBBY);
    let mut stream = connect(&site, gateway.address).await;
    stream.write_all(request(&site, body.len(), &body).as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    until("the grant is forwarded", || seam.requests().len() == 1).await;
    drop(stream);
    // Stopping waits for requests whose connection is gone.
    gateway.stop().await;
    let records = site.records();
    assert_eq!(of_event(&records, "grant.outcome")[0]["outcome"], "granted");
}

/// On HTTP/2 one request is given up and the connection stays (RFC 9113, section 5.4.2).
#[tokio::test]
async fn a_recorded_grant_runs_to_its_end_when_its_stream_is_reset() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(400))).await;
    let gateway = site.start(&seam, &[]).await;
    let port = gateway.address.port();
    let mut requests = http2::connect(&site, port).await;
    let asked = tokio::spawn(requests.send_request(http2::post(&site, port, LOBBY)));
    until("the grant is forwarded", || seam.requests().len() == 1).await;
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    let outcomes = || of_event(&site.records(), "grant.outcome").len();
    until("its outcome is recorded", || outcomes() == 1).await;
    assert!(!requests.is_closed());
    gateway.stop().await;
    assert_eq!(of_event(&site.records(), "grant.outcome")[0]["outcome"], "granted");
}

#[tokio::test]
async fn a_caller_that_will_say_no_more_gets_its_answer() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(200))).await;
    let gateway = site.start(&seam, &[]).await;
    let body = grant_body(LOBBY);
    let mut stream = connect(&site, gateway.address).await;
    stream.write_all(request(&site, body.len(), &body).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    gateway.stop().await;
}

/// The second one comes while the first is answered, and is not read any more.
#[tokio::test]
async fn the_last_answer_is_whole_though_another_request_has_come() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(300))).await;
    let gateway = site.start(&seam, &[]).await;
    let body = grant_body(LOBBY);
    let next = request(&site, body.len(), &body);
    let last = next.replace("content-type", "connection: close\r\ncontent-type");
    let mut stream = connect(&site, gateway.address).await;
    stream.write_all(last.as_bytes()).await.unwrap();
    until("the first is forwarded", || seam.requests().len() == 1).await;
    stream.write_all(next.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("}"), "{answer}");
    assert!(stream.get_ref().0.take_error().unwrap().is_none(), "it was not reset");
    assert_eq!(seam.requests().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_refused() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[("GRANTGATE__LIMITS__BODY_TIMEOUT_MS", "200")]).await;
    let mut slow = connect(&site, gateway.address).await;
    let answer = exchange(&mut slow, request(&site, 100, "{").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    let mut cut = connect(&site, gateway.address).await;
    cut.write_all(request(&site, 100, "{").as_bytes()).await.unwrap();
    cut.shutdown().await.unwrap();
    drop(cut);
    // The journal has the refusal although nobody could be told.
    let records = || site.records();
    until("both are recorded", || of_event(&records(), "grant.decision").len() == 2).await;
    gateway.stop().await;
    let records = site.records();
    let reasons: Vec<_> =
        of_event(&records, "grant.decision").iter().map(|r| r["reason"].clone()).collect();
    assert_eq!(reasons, ["body-timeout", "body-incomplete"]);
    assert_eq!(seam.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn ambiguous_framing_never_becomes_a_second_request() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let body = grant_body(LOBBY);
    let smuggled = request(&site, body.len(), &body);
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer nobody\r\n\
         content-type: application/json\r\n"
    );
    let table = [
        (
            "length and chunks",
            format!(
                "{head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
        ),
        ("two lengths", format!("{head}content-length: 5\r\ncontent-length: 6\r\n\r\n{smuggled}")),
        ("signed length", format!("{head}content-length: +5\r\n\r\n{smuggled}")),
        ("unknown coding", format!("{head}transfer-encoding: xchunked\r\n\r\n{smuggled}")),
        (
            "coding twice",
            format!("{head}transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        ("space before colon", format!("{head}content-length : 5\r\n\r\n{smuggled}")),
        ("bare CR", format!("{head}x: a\rb\r\n\r\n{smuggled}")),
    ];
    for (name, bytes) in table {
        let mut stream = connect(&site, gateway.address).await;
        let answer = exchange(&mut stream, bytes.as_bytes()).await;
        assert!(!answer.contains(" 200 "), "{name}: {answer}");
        assert_eq!(seam.requests(), Vec::<String>::new(), "{name}: {answer}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_without_host_or_with_two_is_refused() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let body = grant_body(LOBBY);
    let ok = request(&site, body.len(), &body);
    for hosts in ["", "host: localhost\r\nhost: localhost\r\n", "host: me@localhost\r\n"] {
        let mut stream = connect(&site, gateway.address).await;
        let bytes = ok.replace("host: localhost\r\n", hosts);
        let answer = exchange(&mut stream, bytes.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{hosts:?}: {answer}");
    }
    assert_eq!(seam.requests(), Vec::<String>::new());
    gateway.stop().await;
}
