//! Known secrets are put everywhere, everything that talks is made to talk, and none of
//! them is found in what was said.

use crate::seam::{Behaviour, Seam};
use crate::support::process::{Process, signal};
use crate::support::{KEY, LOBBY, PATH, SERVER_ROOM, Site, admin, grant_body, until};

const STRANGER: &str = "seam_gg_canary-of-a-stranger-canary-of-a-stranger-c";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_said_anywhere() {
    let site = Site::new();
    let private_key = String::from_utf8(site.read("certs/server.key")).unwrap();
    let private_key = private_key.lines().nth(1).unwrap().to_owned();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    // A collector that is not there: what is said of it must not show its token.
    let collector_token = "canary-of-the-collector-canary-of-the-collector";
    let headers = format!("authorization=Bearer {collector_token}");
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("GRANTGATE__LOG__LEVEL", "debug"),
        ("GRANTGATE__UPSTREAM__DEADLINE_MS", "300"),
        ("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "0"),
    ];
    let process = Process::serve_with(&site, &seam, &settings);
    let client = site.client();
    let mut said = Vec::new();
    let mut ask = async |token: &str, body: String| {
        let request = client
            .post(format!("https://localhost:{}{PATH}", process.address.port()))
            .bearer_auth(token)
            .header("content-type", "application/json")
            .header("cookie", format!("session={STRANGER}"))
            .body(body);
        let answer = request.send().await.unwrap();
        said.push(format!("{:?}", answer.headers()));
        said.push(answer.text().await.unwrap());
    };
    let token = site.token.clone();
    ask(&token, grant_body(LOBBY)).await;
    ask(&token, grant_body(SERVER_ROOM)).await;
    ask(STRANGER, grant_body(LOBBY)).await;
    for body in ["", "{", "[]", "{\"a\":1}", "\u{feff}{}"] {
        ask(&token, body.to_owned()).await;
    }
    let echo =
        format!(r#"{{"error":{{"type":"x","message":"Bearer {KEY}","data":{{"k":"{KEY}"}}}}}}"#);
    let json = "application/json";
    for behaviour in [
        Behaviour::answer(400, json, &echo),
        Behaviour::answer(500, json, &echo),
        Behaviour::answer(401, json, &echo),
        Behaviour::answer(200, "text/html", KEY),
        Behaviour::answer_with(404, json, &format!("location: /{KEY}\r\nx-echo: {KEY}\r\n"), "{}"),
        Behaviour::AnswerAndClose(format!("HTTP/1.1 {KEY}\r\n\r\n").into_bytes()),
        Behaviour::Close,
        Behaviour::Reset,
        Behaviour::Hang,
    ] {
        seam.set(behaviour);
        ask(&token, grant_body(LOBBY)).await;
    }

    // Mistakes that people make with secrets, and reloads that fail for them.
    let failures = || process.log().iter().filter(|line| line.contains("reload failed")).count();
    let callers = std::fs::read_to_string(site.path("callers.toml")).unwrap();
    let digest = callers.split("sha256 = \"").nth(1).unwrap().split('"').next().unwrap();
    let pasted = callers.replace(digest, &token);
    let bad_key = format!("{KEY} and a space");
    let not_a_key = private_key.clone();
    for (file, text) in [
        ("callers.toml", pasted.as_str()),
        ("secrets/seam_api_key", bad_key.as_str()),
        ("certs/server.key", not_a_key.as_str()),
        ("policies/policy.csv", "p, role:a, zone:b, grant, allow"),
    ] {
        let before = failures();
        let good = site.read(file);
        std::fs::write(site.path(file), text).unwrap();
        until("the reload fails", || failures() > before).await;
        for path in ["/status", "/readyz?verbose"] {
            said.push(admin(process.admin, path).await.1);
        }
        std::fs::write(site.path(file), good).unwrap();
    }
    for path in ["/metrics", "/status", "/readyz?verbose", "/livez", "/nothing"] {
        said.push(admin(process.admin, path).await.1);
    }
    signal(process.id(), "TERM");
    said.extend(process.end_lines().await);
    for file in std::fs::read_dir(site.path("audit")).unwrap() {
        // The write-ahead log has other bytes between its lines.
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        said.push(String::from_utf8_lossy(&bytes).into_owned());
    }

    assert!(said.len() > 60, "everything has spoken: {}", said.len());
    let log = said.iter().filter(|line| line.contains("opentelemetry")).count();
    assert!(log > 0, "the collector is missed");
    for secret in [token.as_str(), KEY, STRANGER, private_key.as_str(), collector_token] {
        // Any considerable part of it is a leak too.
        let part = &secret[secret.len() / 4..secret.len() * 3 / 4];
        for text in &said {
            assert!(!text.contains(part), "{secret} in {text}");
        }
    }
}
