//! Grants that were asked for before: with a key, and where nobody knows what became of them.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use crate::duplicates::{Asking, body, outcome, outcomes, sent};
use crate::seam::{Behaviour, Seam};
use crate::support::process::Process;
use crate::support::{LOBBY, PATH, SERVER_ROOM, Site, grantgate, of_event, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_one_grant_of_one_caller() {
    let site = Site::new();
    let other = grantgate(&[
        "caller",
        "new",
        "kiosk",
        "--name",
        "t",
        "--callers",
        site.path("callers.toml").to_str().unwrap(),
    ]);
    let rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    let rules = format!("{rules}g, caller:kiosk, role:front-desk\n");
    std::fs::write(site.path("policies/policy.csv"), &rules).unwrap();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let asking = Asking::of(&site, &gateway);
    assert_eq!([asking.status(1, "a").await, asking.status(1, "a").await], [200, 200]);
    assert_eq!(sent(&seam), 1);
    // The same ids in capitals, and other white space: the same grant.
    let spelt =
        format!(" {}", body(1).to_uppercase().replace("ACS_ENTRANCE_ID", "acs_entrance_id"));
    let spelt = spelt.replace("USER_IDENTITY_ID", "user_identity_id");
    assert_eq!(asking.try_for(spelt, "a").await.unwrap().0, 200);
    assert_eq!(sent(&seam), 1);
    let (status, answer) = asking.grant(2, "a").await;
    assert_eq!((status, &answer["error"]["type"]), (422, &"unprocessable_content".into()));
    assert_eq!(sent(&seam), 1);
    // Of another caller's key it is not told that there is one.
    let kiosk = Asking { token: other.trim().to_owned(), ..asking.clone() };
    assert_eq!((kiosk.status(2, "a").await, sent(&seam)), (200, 2));
    // Without a key, and with a new one, it is another grant.
    assert_eq!([asking.status(1, "").await, asking.status(1, "b").await], [200, 200]);
    assert_eq!(sent(&seam), 4);

    let records = site.records();
    let reused: Vec<_> =
        records.iter().filter(|record| record["reason"] == "idempotency-key-reused").collect();
    assert_eq!((reused.len(), &reused[0]["decision"]), (1, &"deny".into()));
    assert_eq!(reused[0]["idempotency_key"], "a");
    let keyed = |key: &str| records.iter().filter(|r| r["idempotency_key"] == key).count();
    assert_eq!((keyed("a"), keyed("b")), (5, 1));
    let first = of_event(&records, "grant.decision")[0]["seq"].clone();
    let replayed = outcomes(&site, 6).await;
    let replayed: Vec<_> = replayed.iter().filter(|r| r["same_as"] == first).collect();
    assert_eq!(replayed.len(), 2);
    assert!(replayed.iter().all(|r| r["outcome"] == "granted" && r["upstream_ms"].is_null()));
    let (_, metrics) = gateway.admin("/metrics").await;
    assert!(metrics.contains("grantgate_duplicates_total{kind=\"granted\"} 2\n"), "{metrics}");
    assert!(metrics.contains("grantgate_idempotency_keys 3\n"), "{metrics}");

    // That a key was used before says nothing about the policy.
    let again = crate::review::json(&site, &["replay"], 0);
    let beside = &again["not_replayable"]["idempotency-key-reused"];
    assert_eq!((beside, &again["unchanged"]), (&1.into(), &6.into()), "{again}");

    // A key never makes a permit.
    let denied = format!("{rules}p, caller:visitor-desk, zone:lobby, grant, deny\n");
    std::fs::write(site.path("policies/policy.csv"), denied).unwrap();
    gateway.reload.reload().await;
    let (status, answer) = asking.grant(1, "a").await;
    assert_eq!((status, &answer["error"]["type"]), (403, &"forbidden".into()));
    assert_eq!(sent(&seam), 4);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_grant_is_refused_whatever_is_known_of_it() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve(&site, &seam);
    let asking = Asking::of_process(&site, &process);
    assert_eq!(asking.status(1, "a").await, 200);
    seam.set(Behaviour::Slow(Duration::from_secs(6)));
    let flying = tokio::spawn({
        let asking = Asking { client: site.client(), ..asking.clone() };
        async move { asking.grant(2, "").await }
    });
    until("it is forwarded", || sent(&seam) == 2).await;
    let freeze = |command: &str| {
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_grantgate"))
            .args([command, "--reason", "test", "--config"])
            .arg(site.path("grantgate.toml"))
            .env("GRANTGATE__ADMIN__ADDRESS", process.admin.to_string())
            .env("SUDO_USER", "ada")
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    };
    freeze("freeze");
    assert_eq!(asking.status(1, "a").await, 403, "its key is known");
    assert_eq!(asking.status(2, "").await, 403, "it is in flight");
    assert_eq!(flying.await.unwrap().0, 200, "it was sent before");
    freeze("unfreeze");
    assert_eq!((asking.status(1, "a").await, sent(&seam)), (200, 2));
    process.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unknown_is_sent_again_by_a_new_key_only() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Close).await;
    let more = [
        ("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "0"),
        ("GRANTGATE__UPSTREAM__RESOLVE_DELAY_MS", "600000"),
    ];
    let gateway = site.start(&seam, &more).await;
    let asking = Asking::of(&site, &gateway);
    assert_eq!([asking.status(1, "").await, asking.status(2, "a").await], [502, 502]);
    seam.set(Behaviour::confirm());
    for (person, key) in [(1, ""), (2, "a"), (2, "")] {
        let (status, answer) = asking.grant(person, key).await;
        assert_eq!((status, &answer["error"]["type"]), (504, &"upstream_timeout".into()));
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(said.contains("a new Idempotency-Key sends it again"), "{said}");
    }
    assert_eq!(sent(&seam), 2);
    let known = outcomes(&site, 5).await;
    let known = outcome(&known, "outcome-unknown");
    let same_as: Vec<_> = known.iter().map(|record| record["same_as"].as_u64().unwrap()).collect();
    assert_eq!(same_as[1..], [same_as[1], same_as[1]]);
    assert_ne!(same_as[0], same_as[1]);
    assert!(known.iter().all(|record| record["outcome"] == "unknown"));
    assert_eq!([asking.status(1, "b").await, asking.status(2, "c").await], [200, 200]);
    assert_eq!(sent(&seam), 4);
    assert_eq!(asking.status(2, "a").await, 504, "its own outcome is still unknown");
    assert_eq!((asking.status(2, "").await, sent(&seam)), (200, 5));
    let shown = site.path("audit");
    let shown = grantgate(&["audit", "query", "--outcome", "unknown", shown.to_str().unwrap()]);
    assert!(
        shown.contains(&format!("unknown (outcome-unknown), same as {}", same_as[0])),
        "{shown}"
    );
    let log = site.path("audit");
    let by_key = ["audit", "query", log.to_str().unwrap(), "--idempotency-key", "a", "--format"];
    let rows = grantgate(&[&by_key[..], &["csv"]].concat());
    assert_eq!(rows.lines().skip(1).count(), 3, "sent, and answered from it twice: {rows}");
    let (_, metrics) = gateway.admin("/metrics").await;
    assert!(metrics.contains("grantgate_duplicates_total{kind=\"unknown\"} 4\n"), "{metrics}");
    assert!(metrics.contains("grantgate_unresolved_outcomes 2\n"), "asked about once each");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_out_of_the_unknown_is_the_answer_also_over_a_restart() {
    let listing = |entrances: &str| format!("{{\"acs_entrances\":[{entrances}],\"ok\":true}}");
    let there = listing(&format!("{{\"acs_entrance_id\":\"{LOBBY}\"}}"));
    for (listing, resolution, granted) in [(there, "granted", true), (listing(""), "absent", false)]
    {
        let site = Site::new();
        let seam = Seam::start(&site, Behaviour::Close).await;
        let more = [
            ("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "0"),
            ("GRANTGATE__UPSTREAM__RESOLVE_DELAY_MS", "20"),
        ];
        let gateway = site.start(&seam, &more).await;
        let asking = Asking::of(&site, &gateway);
        assert_eq!([asking.status(1, "").await, asking.status(2, "a").await], [502, 502]);
        seam.set(Behaviour::in_turn(&[listing]));
        let resolved = || of_event(&site.records(), "outcome.resolved").len() == 2;
        until("Seam has said it", resolved).await;
        let records = site.records();
        assert_eq!(of_event(&records, "outcome.resolved")[0]["resolution"], resolution);
        seam.set(Behaviour::confirm());
        gateway.stop().await;
        let before = sent(&seam);
        let gateway = site.start(&seam, &more).await;
        let asking = Asking::of(&site, &gateway);
        assert_eq!([asking.status(1, "").await, asking.status(2, "a").await], [200, 200]);
        assert_eq!(sent(&seam) - before, if granted { 0 } else { 2 }, "{resolution}");
        gateway.stop().await;
    }
}

/// The same while it runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_resolver_finds_out_reaches_who_asks_again() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Close).await;
    let more = [("GRANTGATE__UPSTREAM__RESOLVE_DELAY_MS", "20")];
    let gateway = site.start(&seam, &more).await;
    let asking = Asking::of(&site, &gateway);
    assert_eq!(asking.status(1, "a").await, 502);
    let listing = format!(r#"{{"acs_entrances":[{{"acs_entrance_id":"{LOBBY}"}}],"ok":true}}"#);
    seam.set(Behaviour::in_turn(&[listing]));
    until("Seam has said it", || !of_event(&site.records(), "outcome.resolved").is_empty()).await;
    assert_eq!([asking.status(1, "a").await, asking.status(1, "").await], [200, 200]);
    assert_eq!(sent(&seam), 1);
    let outcomes = outcomes(&site, 3).await;
    assert_eq!(outcomes[2]["same_as"], outcomes[0]["decision_seq"]);
    gateway.stop().await;
}

/// The key is in the record that is durable before a byte is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_seam_holds_the_answer_keeps_the_key() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Hang).await;
    let process = Process::serve(&site, &seam);
    let asking = Asking::of_process(&site, &process);
    let ask = |person, key: &'static str| {
        let asking = asking.clone();
        tokio::spawn(async move { asking.try_for(body(person), key).await })
    };
    let asked = [ask(1, "a"), ask(2, "")];
    until("both are forwarded", || sent(&seam) == 2).await;
    // One more that waits for the first, under another key.
    let joined = ask(1, "b");
    until("it is recorded", || of_event(&site.records(), "grant.decision").len() == 3).await;
    process.kill();
    for asked in asked.into_iter().chain([joined]) {
        assert!(asked.await.unwrap().is_none(), "nobody was answered");
    }
    seam.set(Behaviour::confirm());
    let process = Process::serve(&site, &seam);
    let asking = Asking::of_process(&site, &process);
    for (person, key) in [(1, "a"), (1, "b"), (1, ""), (2, "")] {
        assert_eq!(asking.status(person, key).await, 504, "{person} {key:?}");
    }
    assert_eq!(asking.status(2, "a").await, 422, "the key is of the other grant still");
    assert_eq!(sent(&seam), 2, "each was sent once");
    assert_eq!([asking.status(1, "c").await, asking.status(2, "d").await], [200, 200]);
    process.kill();
    let process = Process::serve(&site, &seam);
    let asking = Asking::of_process(&site, &process);
    for key in ["c", "d"] {
        let person = if key == "c" { 1 } else { 2 };
        let status = asking.status(person, key).await;
        assert!([200, 504].contains(&status), "its outcome may not have been in the log: {status}");
    }
    assert_eq!(sent(&seam), 4);
    process.kill();
}

/// Whenever it is killed, no key is sent twice, and what was confirmed under it stays confirmed or
/// is unknown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_any_moment_send_no_key_twice() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(3))).await;
    let more = [
        ("GRANTGATE__AUDIT__SEGMENT_BYTES_MAX", "65536"),
        ("GRANTGATE__AUDIT__COMPRESS", "on"),
        ("GRANTGATE__UPSTREAM__RESOLVE_DELAY_MS", "0"),
    ];
    let mut person = 0;
    for round in 0..30 {
        let process = Process::serve_with(&site, &seam, &more);
        let asking = Asking::of_process(&site, &process);
        let first = person + 1;
        let asked = (0..20).map(|_| {
            person += 1;
            let (asking, person) = (asking.clone(), person);
            tokio::spawn(async move { asking.try_for(body(person), &format!("k{person}")).await })
        });
        let asked: Vec<_> = asked.collect();
        let seen = sent(&seam) + round % 15;
        until("some grants arrive", || sent(&seam) >= seen).await;
        process.kill();
        for asked in asked {
            let answer = asked.await.unwrap();
            assert!(answer.is_none_or(|(status, _)| status == 200), "round {round}");
        }
        let process = Process::serve_with(&site, &seam, &more);
        let asking = Asking::of_process(&site, &process);
        for person in first..=person {
            let status = asking.status(person, &format!("k{person}")).await;
            assert!([200, 504].contains(&status), "round {round}: {status}");
        }
        process.kill();
    }
    let mut times: HashMap<String, usize> = HashMap::new();
    for request in seam.requests() {
        *times.entry(request.split("\r\n\r\n").nth(1).unwrap().to_owned()).or_default() += 1;
    }
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert!(times.len() > 300, "{}", times.len());
    site.verify(&site.path("none"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_bound_a_new_key_is_refused_and_none_is_forgotten() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let more = [("GRANTGATE__IDEMPOTENCY__KEYS_PER_CALLER_MAX", "2")];
    let gateway = site.start(&seam, &more).await;
    let asking = Asking::of(&site, &gateway);
    assert_eq!([asking.status(1, "a").await, asking.status(2, "b").await], [200, 200]);
    for _ in 0..2 {
        let (status, answer) = asking.grant(3, "c").await;
        assert_eq!((status, &answer["error"]["type"]), (429, &"rate_limit_exceeded".into()));
    }
    assert_eq!(sent(&seam), 2);
    assert_eq!([asking.status(1, "a").await, asking.status(2, "b").await], [200, 200]);
    assert_eq!(sent(&seam), 2);
    assert_eq!((asking.status(3, "").await, sent(&seam)), (200, 3));
    let records = site.records();
    let refused =
        records.iter().filter(|record| record["reason"] == "idempotency-keys-exhausted").count();
    assert_eq!(refused, 2);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_ends() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[("GRANTGATE__IDEMPOTENCY__WINDOW_S", "1")]).await;
    let asking = Asking::of(&site, &gateway);
    assert_eq!([asking.status(1, "a").await, asking.status(1, "a").await], [200, 200]);
    assert_eq!(sent(&seam), 1);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!((asking.status(1, "a").await, sent(&seam)), (200, 2));
    gateway.stop().await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let gateway = site.start(&seam, &[("GRANTGATE__IDEMPOTENCY__WINDOW_S", "1")]).await;
    assert_eq!(Asking::of(&site, &gateway).status(2, "a").await, 200, "of another grant by now");
    gateway.stop().await;
}

/// People under pseudonyms are told apart all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pseudonyms_do_not_hide_that_a_grant_is_the_same() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new();
    let key = site.path("pseudonyms.key");
    std::fs::write(&key, "k".repeat(32)).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let seam = Seam::start(&site, Behaviour::Close).await;
    let more = [
        ("GRANTGATE__AUDIT__PSEUDONYMISE", "on"),
        ("GRANTGATE__AUDIT__PSEUDONYM_KEY_FILE", key.to_str().unwrap()),
        ("GRANTGATE__UPSTREAM__BREAKER_FAILURES", "0"),
    ];
    let gateway = site.start(&seam, &more).await;
    let asking = Asking::of(&site, &gateway);
    assert_eq!([asking.status(1, "a").await, asking.status(2, "").await], [502, 502]);
    gateway.stop().await;
    seam.set(Behaviour::confirm());
    let gateway = site.start(&seam, &more).await;
    let asking = Asking::of(&site, &gateway);
    assert_eq!([asking.status(1, "a").await, asking.status(2, "").await], [504, 504]);
    assert_eq!([asking.status(3, "a").await, asking.status(3, "").await], [422, 200]);
    assert_eq!(sent(&seam), 3);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_none_is_refused_and_one_that_reads_is_not_looked_at() {
    let site = Site::new();
    let rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    let reading = format!("{rules}p, role:front-desk, zone:lobby, read, allow\n");
    std::fs::write(site.path("policies/policy.csv"), reading).unwrap();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let (client, url) = (site.client(), gateway.url());
    let send = async |url: &str, token: &str, keys: &[&str], body: String| {
        let mut request = client.post(url).bearer_auth(token);
        for key in keys {
            request = request.header("idempotency-key", *key);
        }
        let request = request.header("content-type", "application/json").body(body);
        request.send().await.unwrap().status().as_u16()
    };
    let token = site.token.as_str();
    for keys in [&["a"][..], &["\"\""], &["\"a\"", "\"a\""], &["\"a\", \"b\""], &["\"a\";x"]] {
        assert_eq!(send(&url, token, keys, body(1)).await, 400, "{keys:?}");
    }
    // A stranger learns nothing of keys.
    assert_eq!(send(&url, "seam_gg_nobody", &["a"], body(1)).await, 401);
    // A good key of a malformed request is in its record and is not used up.
    assert_eq!(send(&url, token, &["\"k\""], "{".into()).await, 400);
    assert_eq!(send(&url, token, &["\"k\""], body(1)).await, 200);
    let denied = body(1).replace(LOBBY, SERVER_ROOM);
    assert_eq!(send(&url, token, &["\"l\""], denied).await, 403);
    assert_eq!(send(&url, token, &["\"l\""], body(2)).await, 200, "a denial uses no key up");
    let records = site.records();
    let malformed = |record: &&Value| record["reason"] == "idempotency-key-malformed";
    assert_eq!(records.iter().filter(malformed).count(), 5);
    let named: Vec<_> = records.iter().filter(|r| r["idempotency_key"] == "k").collect();
    assert_eq!((named.len(), &named[0]["reason"]), (2, &"body-not-json".into()));
    assert_eq!(sent(&seam), 2);
    // What reads needs none.
    let get = url.replace("grant_access", "get");
    let entrance = format!("{{\"acs_entrance_id\":\"{LOBBY}\"}}");
    seam.set(Behaviour::answer(200, "application/json", "{}"));
    assert_eq!(send(&get, token, &["a", "b"], entrance).await, 502, "it is forwarded");
    let whoami = url.replace(PATH, "/grantgate/whoami");
    let asked = client.get(whoami).bearer_auth(token).header("idempotency-key", "a").send();
    assert_eq!(asked.await.unwrap().status(), 200);
    gateway.stop().await;
}
