//! Grants of which nobody knows what became: Seam is asked, and never sent them again.

use serde_json::Value;

use crate::seam::{Behaviour, Seam};
use crate::support::process::Process;
use crate::support::{
    KEY, LOBBY, PATH, PERSON, Site, admin, fresh_grant, grant_body, grantgate, of_event, post,
    until,
};

const QUESTION: &str = "POST /acs/users/list_accessible_entrances ";

fn soon(ms: &'static str) -> [(&'static str, &'static str); 1] {
    [("GRANTGATE__UPSTREAM__RESOLVE_DELAY_MS", ms)]
}

fn listing(entrances: &[&str]) -> String {
    let entries = entrances.iter().map(|id| format!("{{\"acs_entrance_id\":\"{id}\"}}"));
    format!("{{\"acs_entrances\":[{}],\"ok\":true}}", entries.collect::<Vec<_>>().join(","))
}

fn resolved(site: &Site) -> Vec<Value> {
    of_event(&site.records(), "outcome.resolved").into_iter().cloned().collect()
}

fn grants(seam: &Seam) -> usize {
    let start = format!("POST {PATH} ");
    seam.requests().iter().filter(|request| request.starts_with(&start)).count()
}

fn query(site: &Site, more: &[&str]) -> String {
    let log = site.path("audit");
    let audit = ["audit", "query", "--outcome", "unknown"];
    grantgate(&[&audit[..], more, &[log.to_str().unwrap()]].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_seam_says_later_is_recorded() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Close).await;
    let gateway = site.start(&seam, &soon("50")).await;
    let client = site.client();
    let answer = post(&client, &gateway, &site.token, grant_body(LOBBY)).await;
    assert_eq!(answer.status(), 502);
    seam.set(Behaviour::in_turn(&[listing(&[PERSON]), listing(&[PERSON, LOBBY])]));
    until("Seam has said it", || !resolved(&site).is_empty()).await;
    let records = resolved(&site);
    assert_eq!((&records[0]["resolution"], &records[0]["asked"]), (&"granted".into(), &2.into()));
    assert_eq!(grants(&seam), 1, "it is not sent again");
    let questions: Vec<String> =
        seam.requests().into_iter().filter(|request| request.starts_with(QUESTION)).collect();
    assert_eq!(questions.len(), 2);
    for question in questions {
        assert!(question.ends_with(&format!("{{\"user_identity_id\":\"{PERSON}\"}}")));
        assert!(question.to_lowercase().contains(&format!("authorization: bearer {KEY}")));
    }
    let shown = query(&site, &[]);
    assert!(shown.contains("unknown (upstream-broken), then granted"), "{shown}");
    let csv = query(&site, &["--format", "csv"]);
    assert!(csv.lines().nth(1).unwrap().ends_with(",granted,,,,"), "{csv}");
    assert_eq!(query(&site, &["--format", "json"]).lines().count(), 3);
    let id = records[0]["request_id"].as_str().unwrap();
    let log = site.path("audit");
    let by_id = grantgate(&["audit", "query", "--request-id", id, log.to_str().unwrap()]);
    assert!(by_id.contains("outcome.resolved"), "{by_id}");
    let (_, metrics) = gateway.admin("/metrics").await;
    assert!(metrics.contains("grantgate_resolved_outcomes_total{resolution=\"granted\"} 1\n"));
    assert!(metrics.contains("grantgate_unresolved_outcomes 0\n"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_after_some_time_was_not_made() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Close).await;
    let gateway = site.start(&seam, &soon("20")).await;
    let client = site.client();
    post(&client, &gateway, &site.token, grant_body(LOBBY)).await;
    seam.set(Behaviour::in_turn(&[listing(&[PERSON])]));
    until("Seam has said it", || !resolved(&site).is_empty()).await;
    let records = resolved(&site);
    assert_eq!(records[0]["resolution"], "absent");
    assert!(records[0]["asked"].as_u64().unwrap() >= 3, "not at the first look: {records:?}");
    gateway.stop().await;
}

/// However long ago the decision was: one look says little.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_grant_is_looked_for_twice() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Close).await;
    let process = Process::serve_with(&site, &seam, &soon("600000"));
    let request = site.client().post(process.url()).bearer_auth(&site.token);
    let request = request.header("content-type", "application/json").body(grant_body(LOBBY));
    assert_eq!(request.send().await.unwrap().status(), 502);
    let outcomes = || of_event(&site.records(), "grant.outcome").len();
    until("its outcome is in the log", || outcomes() == 1).await;
    process.kill();
    // Longer than an absent one is looked for with the delay that follows.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    seam.set(Behaviour::in_turn(&[listing(&[PERSON])]));
    let next = Process::serve_with(&site, &seam, &soon("20"));
    until("Seam has said it", || !resolved(&site).is_empty()).await;
    let records = resolved(&site);
    assert_eq!((&records[0]["resolution"], &records[0]["asked"]), (&"absent".into(), &2.into()));
    next.kill();
}

/// No answer is taken for one that says something, and after the last question it is said that
/// nobody can tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_seam_does_not_say_it_nobody_can_tell() {
    let nobody = r#"{"ok":false,"error":{"type":"user_identity_not_found","message":"x"}}"#;
    for (answer, reason, status) in [
        (Behaviour::answer(403, "application/json", "{}"), "upstream-key-refused", Some(403)),
        (Behaviour::answer(404, "text/html", "<html>"), "upstream-rejected", Some(404)),
        (Behaviour::answer(404, "application/json", nobody), "upstream-rejected", Some(404)),
        (Behaviour::answer(200, "text/html", "{}"), "upstream-answer-invalid", Some(200)),
        (Behaviour::confirm(), "upstream-answer-invalid", Some(200)),
        (Behaviour::Close, "upstream-broken", None),
    ] {
        let site = Site::new();
        let seam = Seam::start(&site, Behaviour::Close).await;
        let more = [soon("5")[0], ("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "0")];
        let gateway = site.start(&seam, &more).await;
        post(&site.client(), &gateway, &site.token, grant_body(LOBBY)).await;
        seam.set(answer);
        until("it is given up", || !resolved(&site).is_empty()).await;
        let records = resolved(&site);
        assert_eq!(records[0]["resolution"], "cannot-tell");
        assert_eq!(records[0]["reason"], reason);
        assert_eq!(records[0]["status"].as_u64(), status);
        assert_eq!(records[0]["asked"], 5);
        assert_eq!(grants(&seam), 1);
        gateway.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_left_is_asked_about_once() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Hang).await;
    let process = Process::serve_with(&site, &seam, &soon("50"));
    let request = site
        .client()
        .post(process.url())
        .bearer_auth(&site.token)
        .header("content-type", "application/json")
        .body(grant_body(LOBBY));
    let asked = tokio::spawn(request.send());
    until("the grant is forwarded", || grants(&seam) == 1).await;
    process.kill();
    let _ = asked.await;
    seam.set(Behaviour::in_turn(&[listing(&[LOBBY])]));
    for _ in 0..2 {
        let next = Process::serve_with(&site, &seam, &soon("50"));
        until("it is resolved", || resolved(&site).len() == 1).await;
        // Time enough to ask once more, were it not known to be resolved.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        assert_eq!(admin(next.admin, "/livez").await.0, 200);
        next.kill();
    }
    let questions = seam.requests().iter().filter(|r| r.starts_with(QUESTION)).count();
    assert_eq!((questions, grants(&seam)), (1, 1));
    assert_eq!(resolved(&site)[0]["resolution"], "granted");
    // Where it is turned off, nobody is asked.
    seam.set(Behaviour::Close);
    let off = Process::serve_with(&site, &seam, &soon("0"));
    let request = site.client().post(off.url()).bearer_auth(&site.token);
    let request = request.header("content-type", "application/json").body(fresh_grant(LOBBY));
    assert_eq!(request.send().await.unwrap().status(), 502);
    off.kill();
    assert_eq!(resolved(&site).len(), 1);
}
