//! Faults of the disk under a real process: never a forwarded grant without a record.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::seam::{Behaviour, Seam};
use crate::support::process::{Process, signal};
use crate::support::{LOBBY, PATH, SERVER_ROOM, Site, admin, grant_body, grantgate, of_event};

/// Files of the process cannot grow beyond this: its disk is full.
fn limit_files(process: &Process, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(process.id()).unwrap());
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(pid, Resource::Fsize, limit).unwrap();
}

async fn ask(site: &Site, client: &reqwest::Client, process: &Process, entrance: &str) -> u16 {
    let request = client
        .post(format!("https://localhost:{}{PATH}", process.address.port()))
        .bearer_auth(&site.token)
        .header("content-type", "application/json")
        .body(grant_body(entrance));
    request.send().await.unwrap().status().as_u16()
}

async fn ready(process: &Process, expected: u16) -> String {
    let mut last = String::new();
    for _ in 0..300 {
        let (status, text) = admin(process.admin, "/readyz?verbose").await;
        if status == expected {
            return text;
        }
        last = text;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never {expected}: {last}");
}

async fn stop(process: Process) -> Option<i32> {
    signal(process.id(), "TERM");
    tokio::task::spawn_blocking(|| process.wait()).await.unwrap()
}

/// Every grant that reached Seam has an earlier record, and every record of a permit an
/// outcome.
fn all_accounted_for(records: &[Value], seam: &Seam, unknown: usize) {
    let permits: Vec<&Value> = of_event(records, "grant.decision")
        .into_iter()
        .filter(|record| record["decision"] == "allow")
        .collect();
    let outcomes = of_event(records, "grant.outcome");
    assert_eq!(outcomes.len(), permits.len());
    let of = |outcome: &str| outcomes.iter().filter(|r| r["outcome"] == outcome).count();
    assert_eq!(of("unknown"), unknown);
    assert_eq!(of("granted") + of("unknown"), seam.requests().len());
    for (record, seq) in records.iter().zip(1_u64..) {
        assert_eq!(record["seq"], seq, "no gap");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_disk_is_full_grants_are_refused_and_afterwards_it_goes_on_by_itself() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve(&site, &seam);
    let client = site.client();
    limit_files(&process, Some(20_000));
    let mut granted = 0;
    while ask(&site, &client, &process, LOBBY).await == 200 {
        granted += 1;
        assert!(granted < 100, "the disk is never full");
    }
    assert!(granted > 5);
    let sent = seam.requests().len();
    assert!(sent == granted || sent == granted + 1);
    for _ in 0..5 {
        assert_eq!(ask(&site, &client, &process, LOBBY).await, 503);
        assert_eq!(ask(&site, &client, &process, SERVER_ROOM).await, 503, "a denial too");
    }
    assert_eq!(seam.requests().len(), sent, "nothing is forwarded without a record");
    let text = ready(&process, 503).await;
    assert!(text.contains("[-] audit: failing: append failed: File too large"), "{text}");
    assert!(admin(process.admin, "/metrics").await.1.contains("\ngrantgate_ready 0"));

    limit_files(&process, None);
    // Without a request, and without a restart.
    ready(&process, 200).await;
    assert_eq!(ask(&site, &client, &process, LOBBY).await, 200);
    assert_eq!(stop(process).await, Some(0));
    let records = site.records();
    let outages = of_event(&records, "log.outage");
    assert_eq!(outages.len(), 1, "{outages:?}");
    assert!(outages[0]["refused_decisions"].as_u64() >= Some(10), "{}", outages[0]);
    all_accounted_for(&records, &seam, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_removed_or_cut_while_in_use_refuses_everything() {
    for cut in [false, true] {
        let site = Site::new();
        let seam = Seam::start(&site, Behaviour::confirm()).await;
        let process = Process::serve(&site, &seam);
        let client = site.client();
        assert_eq!(ask(&site, &client, &process, LOBBY).await, 200);
        let segment = site.path("audit/00000000000000000001.jsonl");
        if cut {
            let file = std::fs::OpenOptions::new().write(true).open(&segment).unwrap();
            file.set_len(10).unwrap();
        } else {
            std::fs::remove_dir_all(site.path("audit")).unwrap();
        }
        for _ in 0..3 {
            assert_eq!(ask(&site, &client, &process, LOBBY).await, 503);
        }
        assert_eq!(seam.requests().len(), 1);
        let text = ready(&process, 503).await;
        assert!(text.contains("[-] audit: broken until restarted"), "{text}");
        assert_eq!(stop(process).await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_that_could_not_be_recorded_is_in_force_soon_after() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    // Nothing but the retry looks again within the time of this test.
    let poll = [("GRANTGATE__RELOAD__POLL_MS", "3600000")];
    let process = Process::serve_with(&site, &seam, &poll);
    let client = site.client();
    assert_eq!(ask(&site, &client, &process, LOBBY).await, 200);
    limit_files(&process, Some(1));
    assert_eq!(ask(&site, &client, &process, LOBBY).await, 503);
    let callers = site.path("callers.toml");
    let arguments = ["caller", "revoke", "visitor-desk", "--token", "t", "--callers"];
    grantgate(&[&arguments[..], &[callers.to_str().unwrap()]].concat());
    // Several tries, none of which can be recorded.
    tokio::time::sleep(std::time::Duration::from_millis(3500)).await;
    limit_files(&process, None);
    ready(&process, 200).await;
    let mut status = 0;
    for _ in 0..100 {
        status = ask(&site, &client, &process, LOBBY).await;
        if status == 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(status, 401);
    assert_eq!(stop(process).await, Some(0));
    let records = site.records();
    let results: Vec<&str> = of_event(&records, "config.reload")
        .iter()
        .map(|record| record["result"].as_str().unwrap())
        .collect();
    assert_eq!(results, ["failed", "ok"], "one note of the tries that failed");
}
