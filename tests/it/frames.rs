//! Requests on HTTP/2 whose frames no client would send.

use crate::seam::{Behaviour, Seam};
use crate::support::frames::{
    Answer, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM, field, frame,
    head,
};
use crate::support::http1::{connect, exchange};
use crate::support::{LOBBY, PATH, Site, grant_body, of_event};

/// 200 and 400 of the static table (RFC 7541, appendix A).
const OK: Option<u8> = Some(0x88);
const BAD_REQUEST: Option<u8> = Some(0x8c);

#[tokio::test]
async fn a_request_by_hand_is_a_request() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let mut frames = Frames::open(&site, &gateway).await;
    let body = grant_body(LOBBY);
    let block = head(&site, &[]);
    let (start, rest) = block.split_at(50);
    let request = [
        frame(HEADERS, 0, 1, start),
        frame(CONTINUATION, END_HEADERS, 1, rest),
        frame(DATA, 0, 1, &body.as_bytes()[..40]),
        frame(DATA, END_STREAM, 1, &body.as_bytes()[40..]),
    ];
    frames.send(&request.concat()).await;
    let answer = frames.answer(1).await;
    assert_eq!(answer, Answer { status: OK, body: r#"{"ok":true}"#.into(), reset: None });
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_that_ends_with_trailers_is_refused() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let mut frames = Frames::open(&site, &gateway).await;
    let body = grant_body(LOBBY);
    let length = body.len().to_string();
    // RFC 9113, section 8.1: pseudo-header fields in them are malformed.
    let trailers = [
        field(":path", "/elsewhere"),
        field(":status", "200"),
        [field(":method", "GET"), field("x-a", "1")].concat(),
        field("x-checksum", "1"),
        Vec::new(),
    ];
    let mut stream = 1;
    for block in &trailers {
        for more in [&[][..], &[("content-length", length.as_str())], &[("te", "trailers")]] {
            let request = [
                frame(HEADERS, END_HEADERS, stream, &head(&site, more)),
                frame(DATA, 0, stream, body.as_bytes()),
                frame(HEADERS, END_HEADERS | END_STREAM, stream, block),
            ];
            frames.send(&request.concat()).await;
            let answer = frames.answer(stream).await;
            let refused = answer.status == BAD_REQUEST && answer.body.contains("(trailers)");
            assert!(refused || answer.reset == Some(1), "{block:?} {more:?}: {answer:?}");
            stream += 2;
        }
    }
    let mut http1 = connect(&site, gateway.address).await;
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\nx-checksum: 1\r\n\r\n",
        site.token,
        body.len()
    );
    let answer = exchange(&mut http1, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("(trailers)"), "{answer}");
    gateway.stop().await;
    assert_eq!(seam.requests(), Vec::<String>::new());
    let records = site.records();
    let decisions = of_event(&records, "grant.decision");
    assert!(!decisions.is_empty());
    assert!(decisions.iter().all(|record| record["reason"] == "body-trailers"), "{decisions:?}");
}

#[tokio::test]
async fn a_stream_that_is_reset_within_its_body_grants_nothing() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let mut frames = Frames::open(&site, &gateway).await;
    let body = grant_body(LOBBY);
    for (stream, code) in [(1, 0_u32), (3, 8)] {
        // The whole grant, but not the end of the stream.
        let request = [
            frame(HEADERS, END_HEADERS, stream, &head(&site, &[])),
            frame(DATA, 0, stream, body.as_bytes()),
            frame(RST_STREAM, 0, stream, &code.to_be_bytes()),
        ];
        frames.send(&request.concat()).await;
    }
    // Answered after them.
    let request = [
        frame(HEADERS, END_HEADERS, 5, &head(&site, &[])),
        frame(DATA, END_STREAM, 5, body.as_bytes()),
    ];
    frames.send(&request.concat()).await;
    assert_eq!(frames.answer(5).await.status, OK);
    gateway.stop().await;
    assert_eq!(seam.requests().len(), 1);
}
