//! What pages say of the moment that is asked about, and of what was decided before.

use std::process::Command;

use serde_json::{Value, json};

use super::{LOCAL, get};
use crate::seam::{Behaviour, Seam};
use crate::support::{
    Gateway, LOBBY, PERSON, SERVER_ROOM, Site, fresh_grant, grantgate, of_event, post, until,
};

/// A door that no rule names.
const ROOF: &str = "11111111-2222-4333-8444-555555555555";

fn json_of(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

/// A filter that is not known would be one that is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_understood_whole_or_refused() {
    let site = Site::new();
    let gateway = site.start(&Seam::start(&site, Behaviour::confirm()).await, &[LOCAL]).await;
    for (path, part) in [
        (format!("audit?grantee={PERSON}"), "`grantee` is not asked here"),
        ("audit?caller=visitor-desk&caller=facilities".into(), "`caller` is said twice"),
        ("audit?format=xml".into(), "The format `xml` is not `json` or `csv`."),
        ("what-if?format=csv".into(), "The format `csv` is not `json`."),
        ("live?format=json".into(), "no other format"),
        ("verification?seq=1".into(), "takes nothing but `format`"),
        ("what-if?caller=visitor-desk".into(), "Which door?"),
        ("matrix?caller=nobody".into(), "is not in the callers file"),
        ("what-if?caller=visitor-desk&entrance=main&policy=candidate".into(), "no candidate"),
        ("what-if?caller=visitor-desk&entrance=main&record=1".into(), "Record 1 is no decision"),
    ] {
        let (status, answer) = get(&gateway, &format!("/console/{path}")).await;
        assert!(status == 422 && answer.contains(part), "{path}: {answer}");
    }
    for page in ["audit", "live"] {
        let (status, answer) = get(&gateway, &format!("/console/{page}?caller=nobody")).await;
        assert!(status == 200 && answer.contains("id=\"unknown\""), "{page}: {answer}");
        let (_, answer) = get(&gateway, &format!("/console/{page}?caller=visitor-desk")).await;
        assert!(!answer.contains("id=\"unknown\""), "{page}");
    }
    let twice = "/console/audit?event=log.start&event=log.stop&caller=&format=json";
    assert_eq!(
        get(&gateway, twice).await.0,
        200,
        "several may be named, and an empty field is none"
    );
    gateway.stop().await;
}

/// At a moment freezes, exceptions and the form of the grantee count, on the page and in files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_is_answered_by_policy_and_orders() {
    let site = Site::new();
    let rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    let only = "p, role:front-desk, zone:offices, grant, allow, grantee acs_user\n";
    std::fs::write(site.path("policies/policy.csv"), rules + only).unwrap();
    let gateway = site.start(&Seam::start(&site, Behaviour::confirm()).await, &[LOCAL]).await;
    let at = async |path: &str| get(&gateway, &format!("/console/{path}")).await.1;
    let lobby = format!("who?entrance={LOBBY}&at=2049-05-04");
    let then = async || {
        let found = json_of(&at(&format!("{lobby}&format=json")).await);
        let all = found["callers"].as_array().unwrap().clone();
        all.into_iter().find(|one| one["caller"] == "visitor-desk").unwrap()["then"].clone()
    };
    let allowed = json!({ "acs_user": "allowed-by-rule", "user_identity": "allowed-by-rule" });
    assert_eq!(then().await, allowed);
    assert!(at(&lobby).await.contains("services may grant access to this door"));
    let office = at("doors?caller=visitor-desk&at=2049-05-04&format=csv").await;
    assert!(office.contains(",then\r\n") && office.contains(",may for acs_user\r\n"), "{office}");

    // Nobody but by an exception, and then nobody at all.
    let denied = format!("who?entrance={SERVER_ROOM}&at=2049-05-04");
    let said = at(&denied).await;
    assert!(said.contains("No service may") && said.contains("Denied by"), "{said}");
    let soon = format!("who?entrance={ROOF}&at={}", in_an_hour());
    assert!(!at(&soon).await.contains("an exception"));
    order(&site, &gateway, &["allow", "visitor-desk", ROOF, "--for", "2h", "--reason", "x"]);
    let said = at(&soon).await;
    assert!(said.contains(">visitor-desk</a>") && said.contains("an exception"), "{said}");
    suspend(&site, true);
    gateway.reload.reload().await;
    assert!(!at(&soon).await.contains("an exception"), "who is suspended is refused before that");
    assert!(at(&lobby).await.contains("may not"));
    suspend(&site, false);
    gateway.reload.reload().await;
    assert!(at(&soon).await.contains("an exception"));
    order(&site, &gateway, &["freeze", "--reason", "x"]);
    let frozen = json!({ "acs_user": "frozen", "user_identity": "frozen" });
    assert_eq!(then().await, frozen);
    let said = at(&lobby).await;
    assert!(said.contains("No service may") && said.contains("all frozen"), "{said}");
    let said = at(&soon).await;
    assert!(!said.contains("an exception"), "{said}");
    gateway.stop().await;
}

fn in_an_hour() -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string()
}

fn suspend(site: &Site, is_suspended: bool) {
    let callers = site.path("callers.toml").display().to_string();
    let what = match is_suspended {
        true => &["suspend", "visitor-desk", "--reason", "lost"][..],
        false => &["resume", "visitor-desk"][..],
    };
    grantgate(&[&["caller"], what, &["--callers", &callers]].concat());
}

/// Somebody in charge gives an order on the gateway's machine.
fn order(site: &Site, gateway: &Gateway, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args(arguments)
        .arg("--config")
        .arg(site.path("grantgate.toml"))
        .env("GRANTGATE__ADMIN__ADDRESS", gateway.admin.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Why a decision of the log is so begins with what was decided then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_decided_then_is_not_what_is_decided_now() {
    let site = Site::new();
    let gateway = site.start(&Seam::start(&site, Behaviour::confirm()).await, &[LOCAL]).await;
    let client = site.client();
    let refused = post(&client, &gateway, &site.token, fresh_grant(SERVER_ROOM)).await;
    assert_eq!(refused.status(), 403);
    until("it is in the log", || !of_event(&site.records(), "grant.decision").is_empty()).await;
    let records = site.records();
    let decision = of_event(&records, "grant.decision")[0];
    let (seq, time) = (&decision["seq"], decision["time"].as_str().unwrap());
    let asked = format!(
        "/console/what-if?caller=visitor-desk&entrance={SERVER_ROOM}&at={time}&record={seq}"
    );
    let rule = decision["rules"][0].as_str().unwrap();
    let (_, before) = get(&gateway, &asked).await;
    assert!(before.contains("id=\"recorded\"") && before.contains(rule), "{before}");
    assert!(before.contains("which is in force") && !before.contains("has changed since"));

    let rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    let deny = "p, role:staff, entrance:5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08, grant, deny";
    let allow = "p, role:staff, entrance:5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08, grant, allow";
    std::fs::write(site.path("policies/policy.csv"), rules.replace(deny, allow)).unwrap();
    gateway.reload.reload().await;
    let (_, after) = get(&gateway, &asked).await;
    for part in ["has changed since", "not the one in force now", "denied-by-rule", ">allow<"] {
        assert!(after.contains(part), "{part}: {after}");
    }
    let (_, record) = get(&gateway, &format!("/console/audit/record?seq={seq}")).await;
    assert!(record.contains(rule) && record.contains("not the one in force now"), "{record}");
    gateway.stop().await;
}

/// A file that is cut says where it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_all_says_where_it_goes_on() {
    let site = Site::new();
    let gateway = site.start(&Seam::start(&site, Behaviour::confirm()).await, &[LOCAL]).await;
    let client = site.client();
    for _ in 0..3 {
        assert_eq!(
            post(&client, &gateway, &site.token, fresh_grant(SERVER_ROOM)).await.status(),
            403
        );
    }
    until("all are in the log", || of_event(&site.records(), "grant.decision").len() == 3).await;
    let mut path = "/console/audit?event=grant.decision&format=csv&limit=2".to_owned();
    let (mut rows, mut files) = (0, 0);
    loop {
        let (status, file) = get(&gateway, &path).await;
        assert_eq!(status, 200, "{file}");
        let (head, body) = file.split_once("\r\n\r\n").unwrap();
        rows += body.lines().count() - 1;
        files += 1;
        let Some(next) = head.lines().find_map(|line| line.strip_prefix("link: <?")) else { break };
        path = format!("/console/audit?{}", next.strip_suffix(">; rel=\"next\"").unwrap());
        assert!(files < 5, "it ends");
    }
    assert_eq!((rows, files), (3, 2));
    gateway.stop().await;
}
