//! How long the head of a request, and how long a request, is waited for.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::seam::{Behaviour, Seam};
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PREFACE, SETTINGS, frame, head,
};
use crate::support::http1::connect;
use crate::support::{Gateway, LOBBY, PATH, Site, grant_body};

/// A head has 300 ms, a pause 20 s: what is closed within five seconds was closed for its
/// head, and what is answered after a second was not.
const LIMITS: [(&str, &str); 2] = [
    ("GRANTGATE__LIMITS__HEADER_TIMEOUT_MS", "300"),
    ("GRANTGATE__LIMITS__IDLE_TIMEOUT_MS", "20000"),
];
const PAUSE: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(5);

struct Running {
    site: Site,
    seam: Seam,
    gateway: Gateway,
}

async fn start(more: &[(&str, &str)]) -> Running {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[&LIMITS[..], more].concat()).await;
    Running { site, seam, gateway }
}

fn request(site: &Site) -> String {
    let body = grant_body(LOBBY);
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        site.token,
        body.len()
    )
}

async fn send(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
}

/// Reads one answer, which says that the grant was made.
async fn granted(stream: &mut TlsStream<TcpStream>) {
    let mut answer = Vec::new();
    while !answer.ends_with(br#"{"ok":true}"#) {
        let read = timeout(SOON, stream.read_u8()).await;
        answer.push(read.expect("an answer in time").expect("an answer"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

/// Whether the other side closes soon.
async fn closes(stream: &mut TlsStream<TcpStream>) -> bool {
    let mut rest = Vec::new();
    timeout(SOON, stream.read_to_end(&mut rest)).await.is_ok()
}

/// Sends bytes one by one, 50 ms apart, until the other side closes.
async fn trickle(mut stream: TlsStream<TcpStream>, bytes: &[u8]) -> Duration {
    let since = Instant::now();
    for byte in bytes {
        let sent = async { stream.write_all(&[*byte]).await.and(stream.flush().await) };
        let mut none = [0; 1024];
        if sent.await.is_err()
            || matches!(
                timeout(Duration::from_millis(50), stream.read(&mut none)).await,
                Ok(Ok(0) | Err(_))
            )
        {
            break;
        }
    }
    since.elapsed()
}

#[tokio::test]
async fn half_a_head_is_not_waited_for_as_long_as_a_request() {
    let Running { site, gateway, seam: _seam } = start(&[]).await;
    let whole = request(&site);
    let almost = &whole[..whole.find("\r\n\r\n").unwrap() + 3];
    let mut open = Vec::new();
    for half in ["P", "POST / HTTP/1.1\r\nhost: a\r\n", almost] {
        let mut stream = connect(&site, gateway.address).await;
        send(&mut stream, half.as_bytes()).await;
        open.push((half, stream));
    }
    for (half, mut stream) in open {
        assert!(closes(&mut stream).await, "{half:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_gains_no_time() {
    let Running { site, seam, gateway } = start(&[]).await;
    let stream = connect(&site, gateway.address).await;
    let took = trickle(stream, request(&site).as_bytes()).await;
    assert!(took < SOON, "{took:?}");
    assert_eq!(seam.requests(), Vec::<String>::new());
    gateway.stop().await;
}

#[tokio::test]
async fn the_pause_before_a_request_is_not_part_of_it() {
    let Running { site, gateway, seam: _seam } = start(&[]).await;
    let mut stream = connect(&site, gateway.address).await;
    let whole = request(&site);
    for round in 0..3 {
        sleep(PAUSE).await;
        send(&mut stream, whole.as_bytes()).await;
        granted(&mut stream).await;
        if round == 1 {
            // Some clients end a body with an empty line, which is no head yet.
            send(&mut stream, b"\r\n").await;
        }
    }
    // The next head is slow.
    send(&mut stream, &whole.as_bytes()[..10]).await;
    assert!(closes(&mut stream).await);
    gateway.stop().await;
}

#[tokio::test]
async fn requests_that_come_together_are_answered_one_by_one() {
    let Running { site, gateway, seam: _seam } = start(&[]).await;
    let mut stream = connect(&site, gateway.address).await;
    let whole = request(&site);
    send(&mut stream, whole.repeat(3).as_bytes()).await;
    for _ in 0..3 {
        granted(&mut stream).await;
    }
    sleep(PAUSE).await;
    // One and the beginning of the next, which is completed in time.
    send(&mut stream, format!("{whole}{}", &whole[..20]).as_bytes()).await;
    granted(&mut stream).await;
    send(&mut stream, &whole.as_bytes()[20..]).await;
    granted(&mut stream).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_has_its_own_time() {
    let Running { site, gateway, seam: _seam } = start(&[]).await;
    let mut stream = connect(&site, gateway.address).await;
    let whole = request(&site);
    let (most, last) = whole.split_at(whole.len() - 1);
    send(&mut stream, most.as_bytes()).await;
    sleep(PAUSE).await;
    send(&mut stream, last.as_bytes()).await;
    granted(&mut stream).await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_head_in_time_is_not() {
    let limits = [
        ("GRANTGATE__LIMITS__HEADER_TIMEOUT_MS", "20000"),
        ("GRANTGATE__LIMITS__IDLE_TIMEOUT_MS", "1000"),
    ];
    let Running { site, gateway, seam: _seam } = start(&limits).await;
    let mut silent = connect(&site, gateway.address).await;
    let mut begun = connect(&site, gateway.address).await;
    let whole = request(&site);
    send(&mut begun, &whole.as_bytes()[..10]).await;
    assert!(closes(&mut silent).await);
    sleep(PAUSE).await;
    send(&mut begun, &whole.as_bytes()[10..]).await;
    granted(&mut begun).await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_http2_client_speaks_at_once_and_ends_what_it_begins() {
    let Running { site, gateway, seam: _seam } = start(&[]).await;
    let block = head(&site, &[]);
    let settings = frame(SETTINGS, 0, 0, &[]);
    let opened = [PREFACE, &settings].concat();
    let headers = frame(HEADERS, 0, 1, &block);
    let continued = [&headers[..], &frame(CONTINUATION, 0, 1, &[])].concat();
    let mut open = Vec::new();
    for (name, bytes) in [
        ("nothing", Vec::new()),
        ("half the preface", PREFACE[..9].to_vec()),
        ("no settings", PREFACE.to_vec()),
        ("half a frame", [&opened[..], &headers[..20]].concat()),
        ("a block without its end", [&opened[..], &headers].concat()),
        ("a continued block without its end", [&opened[..], &continued].concat()),
    ] {
        let mut frames = Frames::silent(&site, &gateway).await;
        frames.send(&bytes).await;
        open.push((name, frames));
    }
    for (name, mut frames) in open {
        assert!(closes(&mut frames.0).await, "{name}");
    }
    // One that goes on, byte by byte.
    let mut frames = Frames::open(&site, &gateway).await;
    frames.send(&headers).await;
    let slow = frame(CONTINUATION, 0, 1, &[0; 200]);
    assert!(trickle(frames.0, &slow).await < SOON);
    gateway.stop().await;
}

#[tokio::test]
async fn an_http2_connection_may_pause_and_its_bodies_have_their_own_time() {
    let Running { site, gateway, seam: _seam } = start(&[]).await;
    let mut frames = Frames::open(&site, &gateway).await;
    let body = grant_body(LOBBY);
    for stream in [1, 3] {
        sleep(PAUSE).await;
        frames.send(&frame(HEADERS, END_HEADERS, stream, &head(&site, &[]))).await;
        sleep(PAUSE).await;
        // Within a frame.
        let data = frame(DATA, END_STREAM, stream, body.as_bytes());
        frames.send(&data[..30]).await;
        sleep(PAUSE).await;
        frames.send(&data[30..]).await;
        assert_eq!(frames.answer(stream).await.body, r#"{"ok":true}"#);
    }
    gateway.stop().await;
}
