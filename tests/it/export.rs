//! Audit records on their way to a collector: all of them, in order, at no grant's expense.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use tokio::net::TcpListener;

use crate::seam::{Behaviour, Seam};
use crate::support::collector::{Collector, OK, Says, body, records, seq, text, value};
use crate::support::metrics::{metric, until_metric};
use crate::support::process::{Process, signal};
use crate::support::{
    Gateway, LOBBY, SERVER_ROOM, Site, grant_body, grantgate, of_event, post, until,
};

pub const URL: &str = "GRANTGATE__AUDIT__EXPORT__URL";

/// The stored lines.
pub fn lines(site: &Site) -> Vec<String> {
    let log = site.path("audit");
    let text = grantgate(&["audit", "show", "--format", "json", log.to_str().unwrap()]);
    text.lines().map(str::to_owned).collect()
}

fn position(site: &Site) -> Option<String> {
    std::fs::read_to_string(site.path("audit/export.position")).ok()
}

/// `1, 2, …` to the last of the log: each once.
pub fn all_of(lines: &[String]) -> Vec<i64> {
    (1..=i64::try_from(lines.len()).unwrap()).collect()
}

/// Waits until the admin listener says something, for at most ten seconds.
pub async fn until_said(gateway: &Gateway, path: &str, part: &str) {
    let mut last = String::new();
    for _ in 0..500 {
        last = gateway.admin(path).await.1;
        if last.contains(part) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{path} says {last}");
}

async fn grants(site: &Site, gateway: &Gateway, count: usize) {
    let client = site.client();
    for _ in 0..count {
        let since = Instant::now();
        let answer = post(&client, gateway, &site.token, grant_body(LOBBY)).await;
        assert_eq!(answer.status(), 200);
        assert!(since.elapsed() < Duration::from_secs(2), "no grant waits for a collector");
    }
}

/// Not one connection gets through to it.
async fn nobody() -> String {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/v1/logs", tcp.local_addr().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_arrives_in_order_and_as_it_is_stored() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let collector = Collector::start(OK).await;
    let file = site.path("secrets/collector");
    std::fs::write(&file, "# for the collector\nauthorization: Bearer of-collector\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let url = collector.url();
    let headers = ("GRANTGATE__AUDIT__EXPORT__HEADERS_FILE", "secrets/collector");
    let settings =
        [(URL, url.as_str()), headers, ("GRANTGATE__AUDIT__EXPORT__BATCH_RECORDS_MAX", "2")];
    let gateway = site.start(&seam, &settings).await;
    for (token, entrance) in
        [(site.token.as_str(), LOBBY), (&site.token, SERVER_ROOM), ("seam_gg_nobody", LOBBY)]
    {
        post(&site.client(), &gateway, token, grant_body(entrance)).await;
    }
    until_metric(&gateway, "grantgate_audit_export_lag_records", |lag| lag == 0.0).await;
    let all = "[+] export: the collector has every record\n";
    until_said(&gateway, "/readyz?verbose", all).await;
    let status: serde_json::Value =
        serde_json::from_str(&gateway.admin("/status").await.1).unwrap();
    assert_eq!(status["export"]["host"], "127.0.0.1");
    assert!(status["export"]["failure"].is_null() && status["export"]["last_sent"].is_string());
    assert!(!status.to_string().contains("of-collector"));
    // What is written at the end arrives too.
    gateway.stop().await;

    let (lines, taken) = (lines(&site), collector.taken());
    assert_eq!(taken.iter().map(body).collect::<Vec<_>>(), lines);
    assert_eq!(taken.iter().map(seq).collect::<Vec<_>>(), all_of(&lines));
    assert_eq!(position(&site), Some(format!("{}\n", lines.len() + 1)));
    for record in &taken {
        let stored: serde_json::Value = serde_json::from_str(&body(record)).unwrap();
        let event = stored["event"].as_str().unwrap();
        assert_eq!(
            (record.event_name.as_str(), text(record, "grantgate.event").unwrap().as_str()),
            (event, event)
        );
        let time: jiff::Timestamp = stored["time"].as_str().unwrap().parse().unwrap();
        assert_eq!(i128::from(record.time_unix_nano), time.as_nanosecond());
        assert!(record.observed_time_unix_nano >= record.time_unix_nano);
        for key in ["caller", "entrance_id", "decision", "reason", "request_id"] {
            let shown = text(record, &format!("grantgate.{key}"));
            assert_eq!(shown.as_deref(), stored[key].as_str(), "{key} of {event}");
        }
        let warns = stored["decision"] == "deny" || event == "authn.failure";
        assert_eq!(record.severity_text == "WARN", warns, "{stored}");
    }
    let decisions = taken.iter().filter(|r| text(r, "grantgate.decision").is_some()).count();
    assert_eq!(decisions, 2);
    for (head, resource, scope) in collector.requests(|received| {
        assert!(records(&received.request).len() <= 2, "no more than set");
        let of = &received.request.resource_logs[0];
        let scope = of.scope_logs[0].scope.clone().unwrap();
        (received.head.clone(), of.resource.clone().unwrap().attributes, scope)
    }) {
        assert!(head.starts_with("post /v1/logs http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-type: application/x-protobuf\r\n"), "{head}");
        assert!(head.contains("\r\nauthorization: bearer of-collector"), "{head}");
        assert_eq!(value(&resource, "service.name"), Some(Any::StringValue("grantgate".into())));
        assert!(value(&resource, "service.version").is_some());
        assert_eq!(scope.name, "grantgate.audit");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_recovers_gets_everything_from_where_it_failed() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let collector = Collector::start(OK).await;
    let url = collector.url();
    let gateway = site.start(&seam, &[(URL, &url)]).await;
    until("it has the start", || !collector.taken_seqs().is_empty()).await;
    for (status, headers) in [(503, ""), (429, "retry-after: 1\r\n"), (502, ""), (504, "")] {
        collector.say(Says::Status(status, headers));
        let seen = collector.requests(|_| ()).len();
        grants(&site, &gateway, 3).await;
        until("it refuses", || collector.requests(|_| ()).len() > seen).await;
        let kept = position(&site).map_or(1, |text| text.trim_end().parse::<usize>().unwrap());
        assert!(kept <= collector.taken_seqs().len() + 1, "not before it was taken");
        collector.say(OK);
        until_metric(&gateway, "grantgate_audit_export_lag_records", |lag| lag == 0.0).await;
        let tries = collector.requests(|r| (r.at, records(&r.request)));
        let (first, second) = (&tries[seen], &tries[seen + 1]);
        assert_eq!(first.1, second.1, "the same once more");
        let waited = second.0 - first.0;
        let least = if status == 429 { 1_000 } else { 200 };
        assert!(waited >= Duration::from_millis(least), "{status}: {waited:?}");
    }
    assert!(
        metric(&gateway, "grantgate_audit_export_failures_total{kind=\"unavailable\"}").await
            >= 4.0
    );
    assert!(gateway.admin("/status").await.1.contains("\"failure\": null"));
    gateway.stop().await;
    assert_eq!(collector.taken_seqs(), all_of(&lines(&site)), "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_down_keeps_no_grant_waiting() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let silent = Collector::start(Says::Nothing).await;
    for (url, kind) in [(nobody().await, "connection"), (silent.url(), "timeout")] {
        let timeout = ("GRANTGATE__AUDIT__EXPORT__TIMEOUT_MS", "300");
        let gateway = site.start(&seam, &[(URL, &url), timeout]).await;
        until_metric(
            &gateway,
            &format!("grantgate_audit_export_failures_total{{kind=\"{kind}\"}}"),
            |n| n > 0.0,
        )
        .await;
        grants(&site, &gateway, 20).await;
        assert_eq!(gateway.admin("/readyz").await.0, 200);
        let (_, verbose) = gateway.admin("/readyz?verbose").await;
        assert!(verbose.contains("nothing was sent since"), "{verbose}");
        assert_eq!(verbose.contains("Connection refused"), kind == "connection", "{verbose}");
        until_metric(&gateway, "grantgate_audit_export_lag_records", |records| records >= 40.0)
            .await;
        assert!(metric(&gateway, "grantgate_audit_export_lag_seconds").await > 0.0);
        let since = Instant::now();
        gateway.stop().await;
        assert!(since.elapsed() < Duration::from_secs(8), "the end does not wait for it either");
        assert_eq!(position(&site), None);
    }
    let collector = Collector::start(OK).await;
    site.start(&seam, &[(URL, &collector.url())]).await.stop().await;
    assert_eq!(collector.taken_seqs(), all_of(&lines(&site)), "nothing was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_goes_on_from_the_position() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let mut before = 0;
    for _ in 0..3 {
        let collector = Collector::start(OK).await;
        let gateway = site.start(&seam, &[(URL, &collector.url())]).await;
        grants(&site, &gateway, 2).await;
        gateway.stop().await;
        let all = all_of(&lines(&site));
        assert_eq!(collector.taken_seqs(), all[before..], "what is new, and no more");
        before = all.len();
    }
    // Of another log, or of none.
    for (nonsense, said) in
        [("1000000\n", "is of another log"), ("x\n", "holds no record's number")]
    {
        let collector = Collector::start(OK).await;
        std::fs::write(site.path("audit/export.position"), nonsense).unwrap();
        let process = Process::serve_with(&site, &seam, &[(URL, &collector.url())]);
        until("it is said", || process.log().concat().contains(said)).await;
        signal(process.id(), "TERM");
        assert_eq!(tokio::task::spawn_blocking(|| process.wait()).await.unwrap(), Some(0));
        assert_eq!(collector.taken_seqs(), all_of(&lines(&site)), "from the oldest on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_may_double_records_and_lose_none() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let collector = Collector::start(OK).await;
    let url = collector.url();
    let settings = [(URL, url.as_str()), ("GRANTGATE__AUDIT__EXPORT__BATCH_RECORDS_MAX", "5")];
    for round in 0..8 {
        let process = Process::serve_with(&site, &seam, &settings);
        let (client, to) = (site.client(), process.url());
        let load: Vec<_> = (0..40)
            .map(|_| {
                let request = client.post(&to).bearer_auth(&site.token);
                let request = request.header("content-type", "application/json");
                tokio::spawn(request.body(grant_body(LOBBY)).send())
            })
            .collect();
        // Another moment in each round: in the middle of a backlog of requests of five.
        let seen = collector.requests(|_| ()).len() + 1 + round;
        until("some records arrive", || collector.requests(|_| ()).len() >= seen).await;
        process.kill();
        for request in load {
            let _ = request.await.unwrap();
        }
    }
    site.start(&seam, &settings).await.stop().await;
    let lines = lines(&site);
    let mut sent = BTreeSet::new();
    for record in collector.taken() {
        assert_eq!(body(&record), lines[usize::try_from(seq(&record)).unwrap() - 1]);
        sent.insert(seq(&record));
    }
    assert_eq!(sent.into_iter().collect::<Vec<_>>(), all_of(&lines));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_shown_and_nothing_is_dropped_for_it() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let collector = Collector::start(Says::Status(400, "")).await;
    let process = Process::serve_with(&site, &seam, &[(URL, &collector.url())]);
    let log = || process.log().concat();
    until("it is logged", || log().contains("the collector answered 400 Bad Request")).await;
    until("it is tried again", || collector.requests(|_| ()).len() >= 2).await;
    let (_, metrics) = crate::support::admin(process.admin, "/metrics").await;
    let failures = "grantgate_audit_export_failures_total{kind=\"refused\"} ";
    let count = metrics.split(failures).nth(1).unwrap().lines().next().unwrap();
    assert!(["1", "2"].contains(&count), "{metrics}");
    assert!(metrics.contains("grantgate_audit_exported_records_total 0\n"));
    assert_eq!(log().matches("400 Bad Request").count(), 1, "logged once");
    assert_eq!(crate::support::admin(process.admin, "/readyz").await.0, 200);
    signal(process.id(), "TERM");
    assert_eq!(tokio::task::spawn_blocking(|| process.wait()).await.unwrap(), Some(0));
    assert_eq!(position(&site), None);

    // Records that are rejected one by one are counted, and the rest goes on.
    collector.say(Says::Rejects(2));
    let gateway = site.start(&seam, &[(URL, &collector.url())]).await;
    until_metric(&gateway, "grantgate_audit_export_failures_total{kind=\"rejected\"}", |n| n > 0.0)
        .await;
    collector.say(OK);
    until_metric(&gateway, "grantgate_audit_export_lag_records", |lag| lag == 0.0).await;
    let lost = metric(&gateway, "grantgate_audit_export_lost_records_total").await;
    let failures =
        metric(&gateway, "grantgate_audit_export_failures_total{kind=\"rejected\"}").await;
    assert_eq!(lost, 2.0 * failures);
    assert_eq!(
        metric(&gateway, "grantgate_audit_exported_records_total").await,
        collector.taken().len() as f64 - lost
    );
    gateway.stop().await;
    assert_eq!(collector.taken_seqs(), all_of(&lines(&site)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_are_followed_and_what_was_removed_is_counted() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let collector = Collector::start(OK).await;
    let url = collector.url();
    let settings = [
        (URL, url.as_str()),
        ("GRANTGATE__AUDIT__SEGMENT_BYTES_MAX", "65536"),
        ("GRANTGATE__AUDIT__COMPRESS", "on"),
    ];
    let gateway = site.start(&seam, &settings).await;
    let (client, to) = (site.client(), gateway.url());
    let segments = |end: &str| {
        let entries = std::fs::read_dir(site.path("audit")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = paths.filter(|p| p.to_str().unwrap().ends_with(end)).collect();
        found.sort();
        found
    };
    for round in 0..6 {
        // Of the last segments it hears when they are compressed.
        collector.say(if round < 3 { OK } else { Says::Status(503, "") });
        let load: Vec<_> = (0..50)
            .map(|_| {
                let request = client.post(&to).bearer_auth(&site.token);
                let request = request.header("content-type", "application/json");
                tokio::spawn(request.body(grant_body(LOBBY)).send())
            })
            .collect();
        for request in load {
            assert_eq!(request.await.unwrap().unwrap().status(), 200);
        }
    }
    // Lines come to the segments after they are durable.
    until("they are compressed", || {
        segments(".jsonl").len() == 1 && segments(".jsonl.zst").len() >= 3
    })
    .await;
    collector.say(OK);
    until_metric(&gateway, "grantgate_audit_export_lag_records", |lag| lag == 0.0).await;
    gateway.stop().await;
    let taken = collector.taken();
    assert_eq!(taken.iter().map(body).collect::<Vec<_>>(), lines(&site));
    assert_eq!(of_event(&site.records(), "grant.decision").len(), 300);

    // What was removed before it was sent is counted.
    let first = segments(".jsonl.zst").remove(0);
    let packed = std::fs::read(&first).unwrap();
    let gone = zstd::decode_all(&packed[..]).unwrap().iter().filter(|b| **b == b'\n').count();
    std::fs::remove_file(first).unwrap();
    std::fs::write(site.path("audit/export.position"), "1\n").unwrap();
    let collector = Collector::start(OK).await;
    let gateway = site.start(&seam, &[(URL, &collector.url())]).await;
    until_metric(&gateway, "grantgate_audit_export_lag_records", |lag| lag == 0.0).await;
    assert_eq!(metric(&gateway, "grantgate_audit_export_lost_records_total").await, gone as f64);
    gateway.stop().await;
    let bodies: Vec<String> = collector.taken().iter().map(body).collect();
    assert_eq!(bodies[..taken.len() - gone], taken.iter().map(body).collect::<Vec<_>>()[gone..]);
}
