//! Starting and stopping a real process.

use std::time::Duration;

use crate::seam::{Behaviour, Seam};
use crate::support::process::{Process, signal};
use crate::support::{LOBBY, PATH, Site, ended_in_order, grant_body, of_event, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_answers_and_records_what_is_in_flight() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(500))).await;
    let process = Process::serve(&site, &seam);
    let request = site
        .client()
        .post(format!("https://localhost:{}{PATH}", process.address.port()))
        .bearer_auth(&site.token)
        .header("content-type", "application/json")
        .body(grant_body(LOBBY));
    let answer = tokio::spawn(request.send());
    until("the grant is forwarded", || seam.requests().len() == 1).await;
    signal(process.id(), "TERM");
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    let code = tokio::task::spawn_blocking(|| process.wait()).await.unwrap();
    assert_eq!(code, Some(0));
    let records = site.records();
    assert_eq!(of_event(&records, "grant.outcome")[0]["outcome"], "granted");
    ended_in_order(&records);
}

/// What `serve` prints and how it ends.
fn serve(site: &Site, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args(["serve", "--config"])
        .arg(site.path("grantgate.toml"))
        .env("GRANTGATE__LISTENER__ADDRESS", "127.0.0.1:0")
        .env("GRANTGATE__ADMIN__ADDRESS", "127.0.0.1:0")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn what_is_wrong_stops_the_start_with_a_code_and_a_cause() {
    let site = Site::new();
    let rules = site.path("policies/policy.csv");
    let good = std::fs::read_to_string(&rules).unwrap();

    std::fs::write(&rules, "").unwrap();
    let (code, text) = serve(&site, &[]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("policy.csv: has no rule"), "{text}");

    std::fs::write(&rules, good.replace("deny", "denny")).unwrap();
    let (code, text) = serve(&site, &[]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("policy.csv:20:70: `denny` is no effect"), "{text}");

    std::fs::remove_file(&rules).unwrap();
    assert_eq!(serve(&site, &[]).0, Some(3));
    std::fs::write(&rules, good).unwrap();

    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let first = Process::serve(&site, &seam);
    let (code, text) = serve(&site, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("another process uses it"), "{text}");
    signal(first.id(), "TERM");
    assert_eq!(first.wait(), Some(0));

    let log = site.path("audit/00000000000000000001.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replacen("\"seq\":1,", "\"sex\":1,", 1)).unwrap();
    let (code, text) = serve(&site, &[]);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("is damaged at line 1"), "{text}");
}
