//! A policy that is tried on live traffic, and then put in force.

use crate::seam::{Behaviour, Seam};
use crate::support::{
    Gateway, LOBBY, SERVER_ROOM, Site, grant_body, grantgate, of_event, post, until,
};

const SETTING: (&str, &str) = ("GRANTGATE__POLICY__CANDIDATE_RULES_FILE", "policies/candidate.csv");
const OFFICE: &str = "e4a7c9b2-18d3-4e6f-a5b0-3c2d1e0f9a8b";

/// As the rules in force, but the front desk has the offices in place of the lobby.
fn candidate(site: &Site) -> String {
    let rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    let desk = "p, role:front-desk, zone:lobby,         grant, allow";
    rules.replace(desk, "p, role:front-desk, zone:offices, grant, allow")
}

/// Waits until readiness says so: a candidate is loaded beside everything else.
async fn judged(gateway: &Gateway, said: &str) -> (u16, String) {
    for _ in 0..500 {
        let answer = gateway.admin("/readyz?verbose").await;
        if answer.1.contains(said) {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("never said: {said}");
}

/// A writer that never ends and a pipe keep no revocation waiting; a promotion that would
/// lose rules is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_holds_up_no_reload() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let file = site.path("policies/candidate.csv");
    std::fs::write(&file, candidate(&site)).unwrap();
    let gateway = site.start(&seam, &[SETTING]).await;
    let client = site.client();
    assert_eq!(post(&client, &gateway, &site.token, grant_body(LOBBY)).await.status(), 200);
    let writing = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let writer = std::thread::spawn({
        let (file, writing) = (file.clone(), writing.clone());
        move || {
            for number in 0..400 {
                if !writing.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                std::fs::write(&file, format!("# {number}\n")).unwrap();
                std::thread::park_timeout(std::time::Duration::from_millis(50));
            }
        }
    });
    let callers = site.path("callers.toml");
    let revoke = ["caller", "revoke", "visitor-desk", "--token", "t", "--callers"];
    grantgate(&[&revoke[..], &[callers.to_str().unwrap()]].concat());
    let of_callers = |record: &&serde_json::Value| record["parts"].to_string().contains("callers");
    until("the revocation is in force", || {
        of_event(&site.records(), "config.reload").iter().any(of_callers)
    })
    .await;
    assert!(!writer.is_finished());
    writing.store(false, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    let reload = gateway.reload.reload();
    tokio::time::timeout(std::time::Duration::from_secs(20), reload).await.unwrap();
    judged(&gateway, "candidate.csv: is a pipe, not a regular file").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_is_judged_and_recorded_and_decides_nothing() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    std::fs::write(site.path("policies/candidate.csv"), candidate(&site)).unwrap();
    let gateway = site.start(&seam, &[SETTING]).await;
    judged(&gateway, "[+] candidate: judged and not in force").await;
    let client = site.client();
    for (entrance, status) in [(LOBBY, 200), (OFFICE, 403), (SERVER_ROOM, 403)] {
        let answer = post(&client, &gateway, &site.token, grant_body(entrance)).await;
        assert_eq!(answer.status(), status);
    }
    assert_eq!(seam.requests().len(), 1);
    let (_, metrics) = gateway.admin("/metrics").await;
    for (agreement, count) in [("same", 1), ("would-allow", 1), ("would-deny", 1), ("failed", 0)] {
        let line =
            format!("grantgate_candidate_decisions_total{{agreement=\"{agreement}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}");
    }
    let records = site.records();
    let decisions = of_event(&records, "grant.decision");
    let said: Vec<_> =
        decisions.iter().map(|r| r["candidate"]["decision"].as_str().unwrap()).collect();
    assert_eq!(said, ["deny", "allow", "deny"]);
    let revision = decisions[0]["candidate"]["revision"].as_str().unwrap().to_owned();
    assert_ne!(decisions[0]["revision"], revision.as_str());
    assert_eq!(decisions[1]["candidate"]["reason"], "allowed-by-rule");

    // A mistake in it is shown, and hurts nothing.
    std::fs::write(site.path("policies/candidate.csv"), "p, nonsense\n").unwrap();
    gateway.reload.reload().await;
    let (ready, text) = judged(&gateway, "candidate.csv:1").await;
    assert_eq!(ready, 200);
    assert!(text.contains("[!] candidate: not judged: "), "{text}");
    assert!(text.contains("[+] reload"), "{text}");
    let answer = post(&client, &gateway, &site.token, grant_body(LOBBY)).await;
    assert_eq!(answer.status(), 200);
    for attempt in 0.. {
        if gateway.admin("/metrics").await.1.contains("grantgate_candidate_invalid 1\n") {
            break;
        }
        assert!(attempt < 500, "the metric says so too");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }

    // What was tried is what is put in force.
    std::fs::write(site.path("policies/candidate.csv"), candidate(&site)).unwrap();
    let config = std::fs::read_to_string(site.path("grantgate.toml")).unwrap();
    let config = config.replace("# example: candidate_rules_file", "candidate_rules_file");
    std::fs::write(site.path("grantgate.toml"), config).unwrap();
    let file = site.path("grantgate.toml");
    let promote = |revision: &str| {
        let arguments = ["policy", "promote", revision, "--config", file.to_str().unwrap()];
        std::process::Command::new(env!("CARGO_BIN_EXE_grantgate"))
            .args(arguments)
            .output()
            .unwrap()
    };
    let before = site.read("policies/policy.csv");
    let in_force_now = decisions[0]["revision"].as_str().unwrap();
    for other in [&"0".repeat(64), "sha256:", &revision[..15]] {
        assert_eq!(promote(other).status.code(), Some(2), "{other}");
    }
    assert_eq!(site.read("policies/policy.csv"), before);
    // Where the rules are, or go, no candidate may be.
    for place in ["policies/../policies/policy.csv", "policies/policy.csv.before"] {
        std::fs::write(site.path("policies/policy.csv.before"), candidate(&site)).unwrap();
        let moved = std::fs::read_to_string(&file).unwrap();
        let moved = moved.replace("\"policies/candidate.csv\"", &format!("\"{place}\""));
        let other = site.path("other.toml");
        std::fs::write(&other, moved).unwrap();
        let rules = if place.ends_with("before") { revision.as_str() } else { in_force_now };
        let arguments = ["policy", "promote", rules, "--config", other.to_str().unwrap()];
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_grantgate"));
        let output = command.args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(site.read("policies/policy.csv"), before);
    }
    let done = promote(&revision[..19]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(site.read("policies/policy.csv.before"), before);
    assert!(!site.path("policies/candidate.csv").exists());
    gateway.reload.reload().await;
    let in_force = |event: &&&serde_json::Value| event["revision"] == revision.as_str();
    until("it is in force", || {
        of_event(&site.records(), "config.reload").iter().any(|r| in_force(&r))
    })
    .await;
    for (entrance, status) in [(LOBBY, 403), (OFFICE, 200)] {
        let answer = post(&client, &gateway, &site.token, grant_body(entrance)).await;
        assert_eq!(answer.status(), status);
    }
    let (_, text) = gateway.admin("/readyz?verbose").await;
    assert!(text.contains("[+] candidate: none"), "{text}");
    gateway.stop().await;
    let records = site.records();
    let last = of_event(&records, "config.reload");
    let last = last.iter().rev().find(in_force).unwrap();
    assert_eq!(last["revision_before"], decisions[0]["revision"]);
    let shown = grantgate(&["audit", "show", site.path("audit").to_str().unwrap()]);
    assert!(!shown.is_empty());
}
