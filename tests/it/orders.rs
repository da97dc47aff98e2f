//! Freezes and exceptions, as a person in charge gives them.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::seam::{Behaviour, Seam};
use crate::support::process::Process;
use crate::support::{LOBBY, PATH, SERVER_ROOM, Site, admin, check, grant_body, of_event, until};

const OFFICE: &str = "e4a7c9b2-18d3-4e6f-a5b0-3c2d1e0f9a8b";

/// How a command of a person in charge ends, and what it says.
fn order(site: &Site, gateway: Option<&Process>, arguments: &[&str]) -> (i32, String) {
    let admin = gateway.map_or_else(|| "127.0.0.1:9".to_owned(), |g| g.admin.to_string());
    let output = Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args(arguments)
        .arg("--config")
        .arg(site.path("grantgate.toml"))
        .env("GRANTGATE__ADMIN__ADDRESS", admin)
        .env("SUDO_USER", "ada")
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), said)
}

struct Asking<'a> {
    site: &'a Site,
    client: reqwest::Client,
}

impl<'a> Asking<'a> {
    fn new(site: &'a Site) -> Self {
        Self { site, client: site.client() }
    }

    async fn send(&self, process: &Process, path: &str, body: String) -> (u16, String) {
        let url = format!("https://localhost:{}{path}", process.address.port());
        let request = self.client.post(url).bearer_auth(&self.site.token);
        let answer = request.header("content-type", "application/json").body(body).send();
        let answer = answer.await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn grant(&self, process: &Process, entrance: &str) -> u16 {
        self.send(process, PATH, grant_body(entrance)).await.0
    }
}

async fn status(process: &Process) -> Value {
    serde_json::from_str(&admin(process.admin, "/status").await.1).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_holds_within_a_second_on_open_connections_and_over_a_kill() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve(&site, &seam);
    let asking = Asking::new(&site);
    assert_eq!(asking.grant(&process, LOBBY).await, 200);
    let (exit, said) = order(&site, Some(&process), &["freeze", "--reason", "token stolen"]);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("order 1: every grant is frozen, by ada at "), "{said}");
    assert!(said.contains(": token stolen\n"), "{said}");
    let (code, body) = asking.send(&process, PATH, grant_body(LOBBY)).await;
    assert_eq!(code, 403);
    assert!(body.contains("grants are stopped for now by order of the operator"), "{body}");
    assert_eq!(seam.requests().len(), 1, "nothing more reached Seam");
    let list =
        asking.send(&process, "/acs/entrances/get", format!("{{\"acs_entrance_id\":\"{LOBBY}\"}}"));
    assert_eq!(list.await.0, 403, "no rule for reading here: the policy's own answer");

    assert_eq!(admin(process.admin, "/readyz").await.0, 200, "it is ready, and says so");
    let (_, verbose) = admin(process.admin, "/readyz?verbose").await;
    assert!(verbose.contains("[!] orders: order 1: every grant is frozen, by ada"), "{verbose}");
    let shown = status(&process).await;
    assert_eq!(shown["orders"][0]["kind"], "freeze");
    assert_eq!(shown["orders"][0]["recorded"], true);
    let (_, metrics) = admin(process.admin, "/metrics").await;
    assert!(metrics.contains("grantgate_orders_in_force{kind=\"freeze\"} 1\n"));
    assert!(metrics.contains("reason=\"frozen\"} 1\n"));

    process.kill();
    let process = Process::serve(&site, &seam);
    assert_eq!(asking.grant(&process, LOBBY).await, 403, "from the first request on");
    let (exit, said) = order(&site, Some(&process), &["unfreeze", "--reason", "token replaced"]);
    assert_eq!(exit, 0, "{said}");
    assert_eq!(asking.grant(&process, LOBBY).await, 200);
    process.kill();
    let records = site.records();
    let changes: Vec<String> = of_event(&records, "order.change")
        .iter()
        .map(|r| format!("{} {} {} {} {}", r["order"], r["change"], r["kind"], r["by"], r["why"]))
        .collect();
    assert_eq!(
        changes,
        [
            "1 \"given\" \"freeze\" \"ada\" \"token stolen\"",
            "1 \"lifted\" \"freeze\" \"ada\" \"token replaced\""
        ]
    );
    let frozen: Vec<&Value> = records.iter().filter(|r| r["reason"] == "frozen").collect();
    assert_eq!(frozen.len(), 2);
    assert_eq!(frozen[0]["decision"], "deny");
    assert_eq!(frozen[0]["rules"][0], "order:1");
}

/// What keeps a reload back keeps no freeze back: a mistake in any other file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_works_while_every_other_file_has_a_mistake() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve(&site, &seam);
    let asking = Asking::new(&site);
    assert_eq!(asking.grant(&process, LOBBY).await, 200);
    for file in ["policies/policy.csv", "callers.toml", "certs/gateway.pem"] {
        if site.path(file).exists() {
            std::fs::write(site.path(file), "mistake").unwrap();
        }
    }
    let (exit, said) =
        order(&site, Some(&process), &["freeze", "--caller", "visitor-desk", "--reason", "x"]);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("`visitor-desk` could not be looked up and is taken as it is"), "{said}");
    assert_eq!(asking.grant(&process, LOBBY).await, 403);
    process.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_looked_up_and_a_policy_must_know_what_is_frozen() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve(&site, &seam);
    let freeze = |more: &[&str]| {
        let reason = if more.contains(&"--reason") { &[][..] } else { &["--reason", "x"] };
        order(&site, Some(&process), &[&["freeze"], more, reason].concat())
    };
    for (more, wrong) in [
        (
            ["--caller", "vistor-desk"],
            "`vistor-desk` is not in the callers file; there: visitor-desk",
        ),
        (["--zone", "lobbies"], "the rules name no `zone:lobbies`; they name zone:lobby, "),
        (["--entrance", "nowhere"], "nowhere"),
        (["--for", "0h"], "more than nothing and at most `366d`"),
        (["--for", "1 month"], "must be a number and `s`, `m`, `h`, `d` or `w`"),
        (["--reason", "two\nlines"], "the reason must be one line"),
    ] {
        let (exit, said) = freeze(&more);
        assert!(exit == 1 || exit == 64, "{said}");
        assert!(said.contains(wrong), "{said}");
    }
    assert!(!site.path("orders.json").exists(), "nothing was ordered");
    let (exit, said) = freeze(&["--zone", "lobby", "--for", "2h"]);
    assert_eq!(exit, 0, "{said}");
    let asking = Asking::new(&site);
    assert_eq!(asking.grant(&process, LOBBY).await, 403);
    // Who renames the zone lifts nothing, and widens nothing.
    let rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    std::fs::write(site.path("policies/policy.csv"), rules.replace("zone:lobby", "zone:hall"))
        .unwrap();
    until("the reload is refused", || {
        process.log().iter().any(|line| line.contains("`zone:lobby` is frozen by order 1"))
    })
    .await;
    assert_eq!(asking.grant(&process, LOBBY).await, 403);
    process.kill();
    let (exit, said) = check(&site, &[]);
    assert_eq!(exit, Some(3), "and no gateway starts so: {said}");
    assert!(said.contains("`grantgate unfreeze 1` lifts the order"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exception_allows_one_door_for_a_time_and_no_denied_one() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve(&site, &seam);
    let asking = Asking::new(&site);
    assert_eq!(asking.grant(&process, OFFICE).await, 403);
    let allow = |entrance: &str, length: &str| {
        let arguments =
            ["allow", "visitor-desk", entrance, "--for", length, "--reason", "inspection"];
        order(&site, Some(&process), &arguments)
    };
    let (exit, said) = allow(OFFICE, "25h");
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("24 h at most (`orders.exception_hours_max`)"), "{said}");
    let (exit, said) = allow(SERVER_ROOM, "1h");
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("denies it now, and a deny goes before an exception"), "{said}");
    assert_eq!(asking.grant(&process, SERVER_ROOM).await, 403);
    let rules = site.read("policies/policy.csv");
    let (exit, said) = allow(OFFICE, "3s");
    let given = Instant::now();
    assert_eq!(exit, 0, "{said}");
    assert_eq!(asking.grant(&process, OFFICE).await, 200);
    assert_eq!(site.read("policies/policy.csv"), rules, "the rules are as they were");

    // Everybody who asks is told of it.
    let policy = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_grantgate"))
            .current_dir(site.root())
            .arg("policy")
            .args(arguments)
            .args(["--format", "json"])
            .output()
            .unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let explained = policy(&["explain", "visitor-desk", OFFICE]);
    if given.elapsed() < Duration::from_secs(2) {
        assert_eq!(explained["decision"], "allow");
        assert_eq!(explained["reason"], "allowed-by-exception");
        assert_eq!(explained["policy_reason"], "no-rule-matches");
        assert_eq!(explained["order"]["order"], 2);
    }
    assert_eq!(policy(&["who", SERVER_ROOM])["orders"][0]["caller"], "visitor-desk");
    assert_eq!(policy(&["doors", "visitor-desk"])["orders"][0]["entrance_id"], SERVER_ROOM);

    until("it ends by itself", || given.elapsed() > Duration::from_secs(3)).await;
    assert_eq!(asking.grant(&process, OFFICE).await, 403);
    until("its end is recorded", || {
        of_event(&site.records(), "order.change").iter().any(|r| r["change"] == "expired")
    })
    .await;
    let (exit, said) = order(&site, Some(&process), &["unfreeze", "1", "--reason", "x"]);
    assert_eq!(exit, 1);
    assert!(said.contains("order 1 is of kind `exception`: `grantgate withdraw` is for such"));
    let (exit, said) = order(&site, Some(&process), &["withdraw", "1", "--reason", "done"]);
    assert_eq!(exit, 0, "{said}");
    let (_, metrics) = admin(process.admin, "/metrics").await;
    assert!(metrics.contains("reason=\"allowed-by-exception\"} 1\n"), "it is counted");
    process.kill();
    let records = site.records();
    let of_office = records.iter().find(|r| r["reason"] == "allowed-by-exception").unwrap();
    assert_eq!(
        (&of_office["decision"], &of_office["rules"][0]),
        (&"allow".into(), &"order:2".into())
    );
    // Judging the past again says nothing of it.
    let replayed = policy(&["replay", "--audit", "audit"]);
    assert_eq!(replayed["not_replayable"]["allowed-by-exception"], 1, "{replayed}");
}

/// A grant that was permitted and waits for a connection is not sent once it is frozen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_connection_is_frozen_too() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let slow = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow_url = format!("https://localhost:{}", slow.local_addr().unwrap().port());
    let (waiting, seam_url) = (std::sync::Arc::new(tokio::sync::Notify::new()), seam.url());
    let (go, arrived) = (waiting.clone(), std::sync::Arc::new(tokio::sync::Notify::new()));
    let told = arrived.clone();
    tokio::spawn(async move {
        let (mut caller, _) = slow.accept().await.unwrap();
        told.notify_one();
        go.notified().await;
        let port = seam_url.rsplit(':').next().unwrap();
        let mut seam = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut caller, &mut seam).await;
    });
    let process = Process::serve_with(&site, &seam, &[("GRANTGATE__UPSTREAM__URL", &slow_url)]);
    let (asking, url) = (site.client(), process.url());
    let request = asking.post(url).bearer_auth(&site.token);
    let request = request.header("content-type", "application/json").body(grant_body(LOBBY));
    let asked = tokio::spawn(request.send());
    tokio::time::timeout(Duration::from_secs(10), arrived.notified()).await.unwrap();
    let (exit, said) = order(&site, Some(&process), &["freeze", "--reason", "now"]);
    assert_eq!(exit, 0, "{said}");
    waiting.notify_one();
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.status(), 403);
    assert!(seam.requests().is_empty(), "{:?}", seam.requests());
    until("that is in the log", || !of_event(&site.records(), "grant.outcome").is_empty()).await;
    process.kill();
    let records = site.records();
    let outcomes = of_event(&records, "grant.outcome");
    assert_eq!(
        (&outcomes[0]["outcome"], &outcomes[0]["reason"]),
        (&"not-sent".into(), &"frozen".into())
    );
}

/// Without its file no order is lost, and a command does not say that what it ordered is in force
/// where something else is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_somebody_removed_is_written_again() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve(&site, &seam);
    let asking = Asking::new(&site);
    let freeze = ["freeze", "--caller", "cleaning-rota", "--reason", "one"];
    assert_eq!(order(&site, Some(&process), &freeze).0, 0);
    std::fs::remove_file(site.path("orders.json")).unwrap();
    assert_eq!(asking.grant(&process, LOBBY).await, 200);
    let (exit, said) = order(&site, Some(&process), &["freeze", "--reason", "everything"]);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("order 2: every grant is frozen"), "{said}");
    assert_eq!(asking.grant(&process, LOBBY).await, 403);
    let (_, said) = order(&site, Some(&process), &["orders"]);
    assert!(said.contains("order 1: every grant by cleaning-rota is frozen"), "{said}");
    // Another file in its place is told of, and what it freezes is frozen.
    let file = String::from_utf8(site.read("orders.json")).unwrap();
    let other = file.replace("cleaning-rota", "facilities");
    std::fs::write(site.path("orders.json"), other).unwrap();
    until_status(&process, |status| !status["orders_failure"].is_null()).await;
    let (exit, said) = order(&site, Some(&process), &["unfreeze", "2", "--reason", "x"]);
    assert_eq!(exit, 2, "{said}");
    assert_eq!(asking.grant(&process, LOBBY).await, 403);
    process.kill();
}

async fn until_status(process: &Process, is_so: impl Fn(&Value) -> bool) {
    for _ in 0..500 {
        if is_so(&status(process).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the status never said so");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_proves_the_switch_and_stops_nobody() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve(&site, &seam);
    let (exit, said) = order(&site, Some(&process), &["freeze", "--drill", "--reason", "monthly"]);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("the drill passed: order 1 was taken up and recorded after "), "{said}");
    assert_eq!(Asking::new(&site).grant(&process, LOBBY).await, 200);
    until("its end is in the log", || of_event(&site.records(), "order.change").len() == 2).await;
    process.kill();
    let records = site.records();
    let drills: Vec<&Value> =
        of_event(&records, "order.change").iter().map(|record| &record["change"]).collect();
    assert_eq!(drills, ["given", "lifted"]);
    let (exit, said) = order(&site, None, &["freeze", "--drill", "--reason", "monthly"]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("the drill failed: order 2 was not taken up"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_without_a_gateway_waits_for_one() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let elsewhere = site.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink("elsewhere/orders.json", site.path("orders.json")).unwrap();
    std::fs::write(elsewhere.join("orders.json"), "").unwrap();
    let (exit, said) = order(&site, None, &["freeze", "--reason", "x"]);
    assert_eq!(exit, 3, "an empty file is no file of orders: {said}");
    std::fs::remove_file(elsewhere.join("orders.json")).unwrap();
    std::fs::remove_file(site.path("orders.json")).unwrap();
    let (exit, said) = order(&site, None, &["freeze", "--reason", "before the start"]);
    assert_eq!(exit, 2, "{said}");
    assert!(said.contains("does not confirm it: no gateway answers there"), "{said}");
    // A link leads elsewhere, and is followed by both.
    std::fs::rename(site.path("orders.json"), elsewhere.join("orders.json")).unwrap();
    std::os::unix::fs::symlink("elsewhere/orders.json", site.path("orders.json")).unwrap();
    let process = Process::serve(&site, &seam);
    assert_eq!(Asking::new(&site).grant(&process, LOBBY).await, 403);
    let (exit, said) = order(&site, Some(&process), &["unfreeze", "--reason", "x"]);
    assert_eq!(exit, 0, "{said}");
    assert!(site.path("orders.json").is_symlink());
    let (exit, said) = order(&site, Some(&process), &["orders", "--all"]);
    assert_eq!(exit, 0);
    assert!(said.contains("[lifted by ada at "), "{said}");
    process.kill();
    std::fs::remove_file(site.path("orders.json")).unwrap();
    let mut refused = crate::support::process::serve(&site, &seam, &[]);
    let output = tokio::task::spawn_blocking(move || refused.output()).await.unwrap().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is not the file whose orders are recorded"), "{said}");
}
