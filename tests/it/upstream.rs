//! What the upstream may answer, and what the caller and the audit log then see.

use std::time::Duration;

use serde_json::{Value, json};

use crate::seam::{Behaviour, NoTls, Seam};
use crate::support::authority::Authority;
use crate::support::process::{Process, signal};
use crate::support::{
    KEY, LOBBY, PERSON, SERVER_ROOM, Site, ended_in_order, fresh_grant, grant_body, of_event, post,
    until,
};

#[tokio::test]
async fn a_confirmed_grant_is_the_only_success() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let client = site.client();
    let answer = client
        .post(gateway.url())
        .bearer_auth(&site.token)
        .header("content-type", "application/json;charset=utf-8")
        .header("seam-workspace", "other")
        .header("cookie", "a=b")
        .header("x-forwarded-for", "10.0.0.1")
        .header("seam-client-session-token", "seam_cst1")
        .body(grant_body(&LOBBY.to_uppercase()).replace(':', " : "))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let request_id = answer.headers()["seam-request-id"].to_str().unwrap().to_owned();
    assert_eq!(answer.text().await.unwrap(), r#"{"ok":true}"#);
    gateway.stop().await;

    let requests = seam.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, grant_body(LOBBY), "encoded anew, in lower case");
    let mut lines: Vec<&str> = head.lines().collect();
    lines.sort_unstable();
    let host = seam.url().replace("https://", "host: ");
    let mut expected = vec![
        "POST /acs/entrances/grant_access HTTP/1.1".to_owned(),
        "accept: application/json".to_owned(),
        format!("authorization: Bearer {KEY}"),
        format!("content-length: {}", body.len()),
        "content-type: application/json".to_owned(),
        host,
        format!("user-agent: grantgate/{}", env!("CARGO_PKG_VERSION")),
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected, "these headers and no others");

    let records = site.records();
    let decision = of_event(&records, "grant.decision")[0].clone();
    assert_eq!(decision["decision"], "allow");
    assert_eq!(decision["request_id"], request_id);
    assert_eq!(decision["entrance_id"], LOBBY);
    assert_eq!(decision["user_identity_id"], PERSON);
    assert!(decision["rules"][0].as_str().unwrap().ends_with("policies/policy.csv:8"));
    let outcome = of_event(&records, "grant.outcome")[0].clone();
    assert_eq!(outcome["outcome"], "granted");
    assert_eq!(outcome["decision_seq"], decision["seq"]);
    assert_eq!(outcome["seam_request_id"], "seam-1");
    ended_in_order(&records);
}

struct Row {
    name: &'static str,
    behaviour: Behaviour,
    status: u16,
    kind: &'static str,
    outcome: &'static str,
    reason: &'static str,
}

fn row(
    name: &'static str,
    behaviour: Behaviour,
    status: u16,
    kind: &'static str,
    outcome: &'static str,
    reason: &'static str,
) -> Row {
    Row { name, behaviour, status, kind, outcome, reason }
}

fn rows() -> Vec<Row> {
    let json = "application/json; charset=utf-8";
    let typed = |status| {
        let body = r#"{"error":{"type":"acs_user_not_found","message":"no user","stack":"/srv"},"ok":false}"#;
        Behaviour::answer_with(status, json, "retry-after: 7\r\nset-cookie: a=b\r\n", body)
    };
    let echo = format!(r#"{{"error":{{"type":"x","message":"Bearer {KEY}"}}}}"#);
    let straddling = format!("{}{KEY}", "x".repeat(1000 - KEY.len() / 2));
    let straddling = format!(r#"{{"error":{{"type":"x","message":"{straddling}"}}}}"#);
    let confirmed = |headers: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}\r\n{{\"ok\":true}}")
            .into_bytes()
    };
    let cut = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"ok\":true}";
    let unknown = "unknown";
    let invalid = "upstream-answer-invalid";
    vec![
        row("typed error", typed(404), 404, "acs_user_not_found", "rejected", "upstream-rejected"),
        row("rate limit", typed(429), 429, "acs_user_not_found", "rejected", "upstream-rejected"),
        row("typed 500", typed(500), 500, "acs_user_not_found", unknown, "upstream-rejected"),
        row("our key", typed(401), 502, "upstream_error", "rejected", "upstream-key-refused"),
        row("our key, 403", typed(403), 502, "upstream_error", "rejected", "upstream-key-refused"),
        row(
            "echo of the key",
            Behaviour::answer(400, json, &echo),
            502,
            "upstream_error",
            "rejected",
            "upstream-error-invalid",
        ),
        row(
            "echo of the key where the message is cut",
            Behaviour::answer(400, json, &straddling),
            502,
            "upstream_error",
            "rejected",
            "upstream-error-invalid",
        ),
        row(
            "HTML 200",
            Behaviour::answer(200, "text/html", "<p>ok"),
            502,
            "upstream_error",
            unknown,
            invalid,
        ),
        row(
            "not ok",
            Behaviour::answer(200, json, r#"{"ok":false}"#),
            502,
            "upstream_error",
            unknown,
            invalid,
        ),
        row("empty 200", Behaviour::answer(200, json, ""), 502, "upstream_error", unknown, invalid),
        row(
            "no content",
            Behaviour::answer(204, json, ""),
            502,
            "upstream_error",
            unknown,
            invalid,
        ),
        row(
            "redirect",
            Behaviour::answer_with(307, json, "location: /elsewhere\r\n", r#"{"ok":true}"#),
            502,
            "upstream_error",
            unknown,
            invalid,
        ),
        row(
            "text 404",
            Behaviour::answer(404, "text/plain", "404"),
            502,
            "upstream_error",
            "rejected",
            "upstream-error-invalid",
        ),
        row(
            "too large",
            Behaviour::answer(
                200,
                json,
                &format!("{{\"ok\":true,\"x\":\"{}\"}}", "x".repeat(70_000)),
            ),
            502,
            "upstream_error",
            unknown,
            invalid,
        ),
        row(
            "cut off",
            Behaviour::AnswerAndClose(cut.to_vec()),
            502,
            "upstream_error",
            unknown,
            "upstream-broken",
        ),
        row(
            "garbage",
            Behaviour::AnswerAndClose(b"\0\xff\r\n\r\n".to_vec()),
            502,
            "upstream_error",
            unknown,
            "upstream-broken",
        ),
        row("reset", Behaviour::Reset, 502, "upstream_error", unknown, "upstream-broken"),
        row("endless", Behaviour::Endless, 502, "upstream_error", unknown, invalid),
        row(
            "trickle",
            Behaviour::Trickle(b"HTTP/1.1 200 OK\r\n".to_vec(), Duration::from_millis(100)),
            504,
            "upstream_timeout",
            unknown,
            "upstream-timeout",
        ),
        row(
            "length too small",
            Behaviour::AnswerAndClose(confirmed("content-length: 5\r\n")),
            502,
            "upstream_error",
            unknown,
            invalid,
        ),
        row(
            "two lengths",
            Behaviour::AnswerAndClose(confirmed("content-length: 11\r\ncontent-length: 5\r\n")),
            502,
            "upstream_error",
            unknown,
            "upstream-broken",
        ),
        row(
            "half-closed before the end",
            Behaviour::HalfClose(cut.to_vec()),
            502,
            "upstream_error",
            unknown,
            "upstream-broken",
        ),
        row(
            "half-closed without an answer",
            Behaviour::HalfClose(Vec::new()),
            502,
            "upstream_error",
            unknown,
            "upstream-broken",
        ),
        row(
            "reset in the head",
            Behaviour::AnswerAndReset(b"HTTP/1.1 200 O".to_vec()),
            502,
            "upstream_error",
            unknown,
            "upstream-broken",
        ),
        row(
            "reset in the body",
            Behaviour::AnswerAndReset(cut.to_vec()),
            502,
            "upstream_error",
            unknown,
            "upstream-broken",
        ),
        row("close", Behaviour::Close, 502, "upstream_error", unknown, "upstream-broken"),
        row("hang", Behaviour::Hang, 504, "upstream_timeout", unknown, "upstream-timeout"),
    ]
}

/// Asks a process for a grant.
async fn ask(site: &Site, client: &reqwest::Client, process: &Process) -> reqwest::Response {
    let request = client
        .post(process.url())
        .bearer_auth(&site.token)
        .header("content-type", "application/json")
        .body(fresh_grant(LOBBY));
    request.send().await.unwrap()
}

async fn stop(process: Process) {
    signal(process.id(), "TERM");
    assert_eq!(tokio::task::spawn_blocking(|| process.wait()).await.unwrap(), Some(0));
}

/// In the real process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_answer_is_a_refusal() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let settings = [
        ("GRANTGATE__UPSTREAM__DEADLINE_MS", "700"),
        ("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "0"),
    ];
    let process = Process::serve_with(&site, &seam, &settings);
    let client = site.client();
    let mut expected = Vec::new();
    for (number, row) in rows().into_iter().enumerate() {
        let name = row.name;
        seam.set(row.behaviour);
        let answer = ask(&site, &client, &process).await;
        assert_eq!(answer.status().as_u16(), row.status, "{name}");
        let headers = answer.headers().clone();
        assert!(headers.contains_key("seam-request-id"), "{name}");
        assert!(!headers.contains_key("set-cookie") && !headers.contains_key("location"), "{name}");
        let passed_on = row.reason == "upstream-rejected";
        if passed_on {
            let again = headers.get("retry-after").map(|value| value.to_str().unwrap());
            // What may have been granted is not to be asked for again.
            assert_eq!(again, (row.outcome == "rejected").then_some("7"), "{name}");
        }
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(body["error"]["type"], row.kind, "{name}");
        let text = body.to_string();
        assert!(!text.contains(KEY) && !text.contains("stack"), "{name}: {text}");
        assert_eq!(seam.requests().len(), number + 1, "{name}: sent once");
        expected.push(json!([row.outcome, row.reason]));
    }
    stop(process).await;
    let records = site.records();
    let found: Vec<Value> = of_event(&records, "grant.outcome")
        .iter()
        .map(|record| json!([record["outcome"], record["reason"]]))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(of_event(&records, "grant.decision").len(), expected.len());
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let site = Site::new();
    let gone = {
        let seam = Seam::start(&site, Behaviour::confirm()).await;
        let gateway = site.start(&seam, &[]).await;
        drop(seam);
        gateway
    };
    // The listener is closed when its task has been dropped.
    tokio::task::yield_now().await;
    let answer = post(&site.client(), &gone, &site.token, grant_body(LOBBY)).await;
    assert_eq!(answer.status(), 502);
    assert!(answer.text().await.unwrap().contains("nothing was sent"));
    gone.stop().await;
    let records = site.records();
    assert_eq!(of_event(&records, "grant.outcome")[0]["outcome"], "not-sent");
}

/// Faults before the first byte of a request, in the real process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_not_made_is_tried_once_more_and_nothing_is_sent() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let settings = [
        ("GRANTGATE__UPSTREAM__CONNECT_TIMEOUT_MS", "300"),
        ("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "0"),
    ];
    let process = Process::serve_with(&site, &seam, &settings);
    let client = site.client();
    // How many connections: after a time-out there is no time for another.
    let faults = [(NoTls::Close, 2), (NoTls::Reset, 2), (NoTls::Garbage, 2), (NoTls::Hang, 1)];
    for (fault, tries) in faults {
        let before = seam.connections();
        seam.set(Behaviour::NoTls(fault));
        let answer = ask(&site, &client, &process).await;
        assert_eq!(answer.status(), 502, "{fault:?}");
        assert!(answer.text().await.unwrap().contains("nothing was sent"), "{fault:?}");
        assert_eq!(seam.connections() - before, tries, "{fault:?}");
    }
    seam.set(Behaviour::confirm());
    assert_eq!(ask(&site, &client, &process).await.status(), 200);
    stop(process).await;
    assert_eq!(seam.requests().len(), 1);
    let records = site.records();
    let found: Vec<Value> = of_event(&records, "grant.outcome")
        .iter()
        .map(|record| json!([record["outcome"], record["reason"]]))
        .collect();
    let mut expected = vec![json!(["not-sent", "upstream-unreachable"]); faults.len()];
    expected.push(json!(["granted", "allowed-by-rule"]));
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_prove_itself_gets_no_key() {
    let site = Site::new();
    let [trusted, other] =
        ["certs/seam-ca.pem", "certs/other.pem"].map(|file| Authority::new_in(&site, file));
    let authority = [("GRANTGATE__UPSTREAM__CA_FILE", "certs/seam-ca.pem")];
    for (name, proof, status) in [
        ("good", trusted.issue_server("localhost", 2040), 200),
        ("of another name", trusted.issue_server("connect.getseam.com", 2040), 502),
        ("of another authority", other.issue_server("localhost", 2040), 502),
        ("expired", trusted.issue_server("localhost", 2021), 502),
    ] {
        let seam = Seam::start_as(&proof.0, &proof.1, Behaviour::confirm()).await;
        let process = Process::serve_with(&site, &seam, &authority);
        assert_eq!(ask(&site, &site.client(), &process).await.status(), status, "{name}");
        assert_eq!(seam.requests().len(), usize::from(status == 200), "{name}");
        stop(process).await;
    }
}

#[tokio::test]
async fn an_upstream_that_fails_is_left_alone_for_a_while() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Close).await;
    let settings = [
        ("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "3"),
        ("GRANTGATE__UPSTREAM__BREAKER_PAUSE_MS", "500"),
    ];
    let gateway = site.start(&seam, &settings).await;
    let client = site.client();
    let ask = async |entrance| {
        let answer = post(&client, &gateway, &site.token, fresh_grant(entrance)).await;
        (answer.status().as_u16(), answer.headers().contains_key("retry-after"))
    };
    for _ in 0..3 {
        assert_eq!(ask(LOBBY).await, (502, false));
    }
    assert_eq!(ask(LOBBY).await, (503, true));
    assert_eq!(seam.requests().len(), 3);
    assert_eq!(ask(SERVER_ROOM).await, (403, false), "policy still answers");
    assert!(gateway.admin("/metrics").await.1.contains("\ngrantgate_upstream_suspended 1"));
    let (status, text) = gateway.admin("/readyz?verbose").await;
    assert!(status == 200 && text.contains("[!] upstream: "), "{text}");
    seam.set(Behaviour::confirm());
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(ask(LOBBY).await, (200, false));
    assert!(gateway.admin("/readyz?verbose").await.1.contains("[+] upstream: "));
    gateway.stop().await;
    let records = site.records();
    let outcomes: Vec<_> =
        of_event(&records, "grant.outcome").iter().map(|r| r["outcome"].clone()).collect();
    assert_eq!(outcomes, ["unknown", "unknown", "unknown", "not-sent", "granted"]);
}

/// The cause of the only failed forward in its log.
fn cause_in(process: &Process) -> (String, String) {
    let lines = process.log();
    let failed: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["message"] == "no answer from the upstream")
        .collect();
    let [failed] = failed.as_slice() else { panic!("{lines:#?}") };
    let text = |key: &str| failed[key].as_str().unwrap_or_default().to_owned();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("\"message\":\"request\"")
                && line.contains(&text("request_id")))
    );
    assert!(lines.iter().all(|line| !line.contains(KEY)), "{lines:#?}");
    (text("host"), text("cause"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_why_nothing_was_sent() {
    let site = Site::new();
    let client = site.client();
    let seam = Seam::start(&site, Behaviour::Close).await;
    let proof = Authority::new_in(&site, "certs/other.pem").issue_server("localhost", 2040);
    let unknown = Seam::start_as(&proof.0, &proof.1, Behaviour::confirm()).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    for (name, url, host, cause) in [
        ("closed port", format!("https://localhost:{port}"), "localhost", "Connection refused"),
        ("authority", unknown.url(), "localhost", "UnknownIssuer"),
        (
            "name",
            "https://name.invalid".to_owned(),
            "name.invalid",
            "failed to lookup address information",
        ),
        ("broken", seam.url(), "localhost", "peer closed connection"),
    ] {
        let process =
            Process::serve_with(&site, &seam, &[("GRANTGATE__UPSTREAM__URL", url.as_str())]);
        let answer = ask(&site, &client, &process).await;
        assert_eq!(answer.status(), 502, "{name}");
        let nothing = answer.text().await.unwrap().contains("nothing was sent");
        assert_eq!(nothing, name != "broken", "{name}");
        let logged = || process.log().concat().contains("\"message\":\"request\"");
        until("it is logged", logged).await;
        let found = cause_in(&process);
        assert_eq!(found.0, host, "{name}");
        assert!(found.1.contains(cause), "{name}: {found:?}");
        stop(process).await;
    }
}

/// In the answer as well, not only before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_why_an_answer_broke_off() {
    let site = Site::new();
    let cut = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    let seam = Seam::start(&site, Behaviour::AnswerAndClose(cut.to_vec())).await;
    let process = Process::serve(&site, &seam);
    assert_eq!(ask(&site, &site.client(), &process).await.status(), 502);
    until("it is logged", || process.log().concat().contains("\"message\":\"request\"")).await;
    let (host, cause) = cause_in(&process);
    assert_eq!(host, "localhost");
    assert!(cause.contains("end of file before message length reached"), "{cause}");
    stop(process).await;
}
