//! What a caller may grant on one day, also over restarts.

use crate::seam::{Behaviour, Seam};
use crate::support::process::Process;
use crate::support::{LOBBY, Site, check, fresh_grant, of_event, post, until};

const GARAGE: &str = "0a9f3c52-6f5e-4d0b-b1d4-93c4e7a8f216";
const ROOM: &str = "7c0e2b1d-53a4-4f86-8e9b-1d2c3f4a5b6c";

fn limit(site: &Site, lines: &str) {
    let file = site.path("callers.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let limited = text.replace("id = \"visitor-desk\"", &format!("id = \"visitor-desk\"\n{lines}"));
    assert_ne!(limited, text);
    std::fs::write(file, limited).unwrap();
}

/// Waits for midnight (UTC) where that is near: no test is of two days.
pub async fn on_one_day() {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let left = 86_400 - now % 86_400;
    if left <= 30 {
        tokio::time::sleep(std::time::Duration::from_secs(left + 1)).await;
    }
}

async fn grant(site: &Site, client: &reqwest::Client, process: &Process, entrance: &str) -> u16 {
    let request = client.post(process.url()).bearer_auth(&site.token);
    let request = request.header("content-type", "application/json").body(fresh_grant(entrance));
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_has_so_many_grants_and_doors_whatever_is_killed() {
    on_one_day().await;
    let site = Site::new();
    limit(&site, "grants_per_day = 4\ndoors_per_day = 2");
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let client = site.client();
    let process = Process::serve(&site, &seam);
    for (entrance, status) in [(LOBBY, 200), (GARAGE, 200), (ROOM, 429), (LOBBY, 200)] {
        assert_eq!(grant(&site, &client, &process, entrance).await, status, "{entrance}");
    }
    process.kill();
    let process = Process::serve(&site, &seam);
    assert_eq!(grant(&site, &client, &process, ROOM).await, 429, "a third door, still");
    assert_eq!(grant(&site, &client, &process, GARAGE).await, 200);
    assert_eq!(grant(&site, &client, &process, GARAGE).await, 429, "a fifth grant");
    assert_eq!(seam.requests().len(), 4);
    process.kill();
    let records = site.records();
    let refused: Vec<_> =
        records.iter().filter(|record| record["reason"] == "budget-exhausted").collect();
    assert_eq!(refused.len(), 3);
    assert!(
        refused
            .iter()
            .all(|r| r["decision"] == "deny" && r["rules"].as_array().unwrap().is_empty())
    );
}

/// What was not sent is not spent; what nobody knows is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_sent_is_given_back() {
    on_one_day().await;
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::NoTls(crate::seam::NoTls::Close)).await;
    let more = [
        ("GRANTGATE__LIMITS__CALLER_GRANTS_PER_DAY", "2"),
        ("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "0"),
    ];
    let process = Process::serve_with(&site, &seam, &more);
    let client = site.client();
    for _ in 0..3 {
        assert_eq!(grant(&site, &client, &process, LOBBY).await, 502);
    }
    until("that is in the log", || of_event(&site.records(), "grant.outcome").len() == 3).await;
    process.kill();
    let process = Process::serve_with(&site, &seam, &more);
    seam.set(Behaviour::Close);
    assert_eq!(grant(&site, &client, &process, LOBBY).await, 502);
    seam.set(Behaviour::confirm());
    assert_eq!(grant(&site, &client, &process, LOBBY).await, 200);
    assert_eq!(grant(&site, &client, &process, LOBBY).await, 429);
    process.kill();
    let outcomes = site.records();
    let outcomes: Vec<_> = of_event(&outcomes, "grant.outcome");
    let outcomes: Vec<_> = outcomes.iter().map(|r| r["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["not-sent", "not-sent", "not-sent", "unknown", "granted"]);
}

/// Reading costs nothing, and so gives nothing back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_reads_gives_nothing_back() {
    on_one_day().await;
    let site = Site::new();
    limit(&site, "grants_per_day = 1");
    let rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    let reading = format!("{rules}p, role:front-desk, zone:lobby, read, allow\n");
    std::fs::write(site.path("policies/policy.csv"), reading).unwrap();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "0")]).await;
    let client = site.client();
    assert_eq!(post(&client, &gateway, &site.token, fresh_grant(LOBBY)).await.status(), 200);
    seam.set(Behaviour::NoTls(crate::seam::NoTls::Close));
    let url = gateway.url().replace("grant_access", "get");
    for _ in 0..3 {
        let request = client.post(&url).bearer_auth(&site.token);
        let request = request.header("content-type", "application/json");
        let answer = request.body(format!("{{\"acs_entrance_id\":\"{LOBBY}\"}}")).send().await;
        assert_eq!(answer.unwrap().status(), 502);
    }
    seam.set(Behaviour::confirm());
    assert_eq!(post(&client, &gateway, &site.token, fresh_grant(LOBBY)).await.status(), 429);
    gateway.stop().await;
}

/// Of many at once no more get through than there is room for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_not_more() {
    on_one_day().await;
    let site = Site::new();
    limit(&site, "grants_per_day = 5");
    let seam = Seam::start(&site, Behaviour::Slow(std::time::Duration::from_millis(50))).await;
    let gateway = site.start(&seam, &[]).await;
    let client = site.client();
    let request = |_| {
        let request = client.post(gateway.url()).bearer_auth(&site.token);
        let request = request.header("content-type", "application/json");
        tokio::spawn(request.body(fresh_grant(LOBBY)).send())
    };
    let asking: Vec<_> = (0..20).map(request).collect();
    let mut statuses = Vec::new();
    for one in asking {
        statuses.push(one.await.unwrap().unwrap().status().as_u16());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 5);
    assert_eq!(seam.requests().len(), 5);
    // A new budget is in force on the open connections.
    let text = std::fs::read_to_string(site.path("callers.toml")).unwrap();
    std::fs::write(site.path("callers.toml"), text.replace("_day = 5", "_day = 6")).unwrap();
    gateway.reload.reload().await;
    assert_eq!(post(&client, &gateway, &site.token, fresh_grant(LOBBY)).await.status(), 200);
    assert_eq!(post(&client, &gateway, &site.token, fresh_grant(LOBBY)).await.status(), 429);
    let (_, metrics) = gateway.admin("/metrics").await;
    assert!(metrics.contains("reason=\"budget-exhausted\"} 16\n"), "{metrics}");
    gateway.stop().await;
}

#[test]
fn a_budget_that_is_none_is_refused_with_its_place() {
    for wrong in ["grants_per_day = 0", "doors_per_day = -1", "grants_per_day = \"many\""] {
        let site = Site::new();
        limit(&site, wrong);
        let (exit, said) = check(&site, &[]);
        assert_eq!(exit, Some(3), "{said}");
        assert!(said.contains("a whole number from 1 to 10000000"), "{said}");
    }
}
