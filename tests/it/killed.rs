//! `kill -9` under load, many times: every grant that the upstream saw has an earlier
//! durable record, no decision stays open, and the log verifies, also against every
//! checkpoint that was ever given away.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::seam::{Behaviour, Seam};
use crate::support::process::{Process, signal};
use crate::support::{PATH, Site, of_event, until};

const ROUNDS: usize = 200;

/// A grantee of its own for each request, so that what the upstream saw can be told apart.
fn body(number: usize) -> String {
    format!(
        r#"{{"acs_entrance_id":"{}","user_identity_id":"{number:08x}-0000-4000-8000-000000000000"}}"#,
        crate::support::LOBBY
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_under_load_lose_no_record() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(3))).await;
    let mut number = 0;
    let mut answered = HashSet::new();
    let anchors = site.path("anchors");
    // Segments are closed and compressed, and checkpoints signed, while kills come.
    let settings = [
        ("GRANTGATE__AUDIT__SEGMENT_BYTES_MAX", "65536"),
        ("GRANTGATE__AUDIT__COMPRESS", "on"),
        ("GRANTGATE__AUDIT__CHECKPOINT_RECORDS_MAX", "10"),
        ("GRANTGATE__AUDIT__ANCHOR_FILE", anchors.to_str().unwrap()),
        // Most of what is in flight at a kill is unknown from then on.
        ("GRANTGATE__IDEMPOTENCY__KEYS_PER_CALLER_MAX", "1000000"),
    ];
    for round in 0..ROUNDS {
        let process = Process::serve_with(&site, &seam, &settings);
        let client = site.client();
        let url = format!("https://localhost:{}{PATH}", process.address.port());
        let requests = (0..60).map(|_| {
            number += 1;
            let (request_body, own) = (body(number), number);
            let request = client
                .post(&url)
                .bearer_auth(&site.token)
                .header("content-type", "application/json")
                .body(request_body);
            tokio::spawn(async move {
                let answer = request.send().await.ok()?;
                Some((own, answer.status().as_u16()))
            })
        });
        let requests: Vec<_> = requests.collect();
        // Another moment in each round, from the first handshakes to the last answers.
        let seen = seam.requests().len() + round % 50;
        until("some grants arrive", || seam.requests().len() >= seen).await;
        process.kill();
        for request in requests {
            if let Some((own, status)) = request.await.unwrap() {
                assert_eq!(status, 200, "round {round}");
                answered.insert(own);
            }
        }
    }
    // The last start closes what the last kill left open.
    let process = Process::serve(&site, &seam);
    signal(process.id(), "TERM");
    assert_eq!(process.wait(), Some(0));
    check(&site, &seam, &answered);
    site.verify(&anchors);
}

fn check(site: &Site, seam: &Seam, answered: &HashSet<usize>) {
    let records = site.records();
    for (record, seq) in records.iter().zip(1_u64..) {
        assert_eq!(record["seq"], seq, "no gap and no record twice");
    }
    let mut decided: HashMap<&str, u64> = HashMap::new();
    for record in of_event(&records, "grant.decision") {
        let grantee = record["user_identity_id"].as_str().unwrap();
        assert!(decided.insert(grantee, record["seq"].as_u64().unwrap()).is_none());
    }
    let mut outcomes: HashMap<u64, &str> = HashMap::new();
    for record in of_event(&records, "grant.outcome") {
        let seq = record["decision_seq"].as_u64().unwrap();
        assert!(outcomes.insert(seq, record["outcome"].as_str().unwrap()).is_none());
    }
    let seen = seam.requests();
    assert!(seen.len() > ROUNDS, "the load reached the upstream: {}", seen.len());
    let mut once = HashSet::new();
    for request in &seen {
        let body = request.split("\r\n\r\n").nth(1).unwrap();
        let value: serde_json::Value = serde_json::from_str(body).unwrap();
        let grantee = value["user_identity_id"].as_str().unwrap().to_owned();
        assert!(decided.contains_key(grantee.as_str()), "forwarded without a record: {grantee}");
        assert!(once.insert(grantee.clone()), "sent twice: {grantee}");
    }
    for (grantee, seq) in &decided {
        let outcome = outcomes.get(seq);
        assert!(outcome.is_some(), "decision {seq} for {grantee} has no outcome");
    }
    let unknown = outcomes.values().filter(|outcome| **outcome == "unknown").count();
    assert!(unknown > 0, "some kill hit a grant on its way");
    for number in answered {
        let grantee = format!("{number:08x}-0000-4000-8000-000000000000");
        assert!(decided.contains_key(grantee.as_str()), "answered without a record");
    }
}
