//! The live stream: where it begins, goes on, and says how far it has come.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::LOCAL;
use crate::seam::{Behaviour, Seam};
use crate::support::{Gateway, LOBBY, Site, fresh_grant, post};

/// What a stream of this query says, until it is enough; `headers` end with line ends.
async fn heard(
    gateway: &Gateway,
    (query, headers): (&str, &str),
    is_enough: impl Fn(&str) -> bool,
) -> String {
    let mut stream = tokio::net::TcpStream::connect(gateway.admin).await.unwrap();
    let request =
        format!("GET /console/live/stream{query} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut text, mut buffer) = (String::new(), vec![0; 64 * 1024]);
    let since = Instant::now();
    while !is_enough(&text) {
        assert!(since.elapsed() < Duration::from_secs(20), "{text}");
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer));
        let read = read.await.unwrap().unwrap();
        assert!(read > 0, "{text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

/// The whole events that are in it.
fn events(text: &str) -> Vec<(u64, Value)> {
    let event = |event: &str| {
        let field = |name| event.lines().find_map(|line| line.strip_prefix(name));
        Some((field("id: ")?.parse().ok()?, serde_json::from_str(field("data: ")?).ok()?))
    };
    text.split("\n\n").filter_map(event).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_where_it_was_and_leaves_nothing_out() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[LOCAL]).await;
    let client = site.client();
    let has_ten = |text: &str| events(text).len() >= 10;
    for _ in 0..5 {
        post(&client, &gateway, &site.token, fresh_grant(LOBBY)).await;
    }
    let first = events(&heard(&gateway, ("", ""), has_ten).await);
    for _ in 0..5 {
        post(&client, &gateway, &site.token, fresh_grant(LOBBY)).await;
    }
    let (last, _) = *first.last().map(|(seq, line)| (*seq, line)).as_ref().unwrap();
    let last = format!("last-event-id: {last}\r\n");
    let second = events(&heard(&gateway, ("", &last), has_ten).await);
    let seqs: Vec<u64> = first.iter().chain(&second).map(|(seq, _)| *seq).collect();
    let expected: Vec<u64> = (1..=*seqs.last().unwrap()).collect();
    assert_eq!(seqs, expected);
    let decisions = second.iter().filter(|(_, event)| event["event"] == "grant.decision");
    assert!(decisions.clone().count() >= 4, "{second:?}");
    for (seq, event) in decisions {
        let line: Value = serde_json::from_str(event["line"].as_str().unwrap()).unwrap();
        assert_eq!(
            (line["seq"].as_u64(), &event["entrance_name"]),
            (Some(*seq), &json!("main entrance"))
        );
    }
    gateway.stop().await;
}

/// Where nothing is shown a stream says all the same how far it has come, so that the next one goes on there;
/// and outcomes come whose decisions were shown before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_shows_nothing_goes_on_too() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[LOCAL]).await;
    for _ in 0..5 {
        post(&site.client(), &gateway, &site.token, fresh_grant(LOBBY)).await;
    }
    let all = site.records();
    let outcome = all.iter().find(|record| record["event"] == "grant.outcome").unwrap();
    let (decision, number) = (&outcome["decision_seq"], outcome["seq"].as_u64().unwrap());
    let has_come = |text: &str| {
        let ids = text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse::<u64>().ok());
        ids.max() >= Some(number)
    };
    let text = heard(&gateway, ("?caller=facilities", ""), has_come).await;
    assert!(!text.contains("data: "), "{text}");
    // Begun again behind the decision.
    let is_shown = |text: &str| text.contains(&format!("\"seq\":{number},"));
    let text =
        heard(&gateway, (&format!("?caller=visitor-desk&after={decision}"), ""), is_shown).await;
    assert!(!text.contains(&format!("\"seq\":{decision},")), "{text}");
    gateway.stop().await;
}
