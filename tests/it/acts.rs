//! The policy commands know what a rule is for: to grant an entrance, or to read it.

use serde_json::json;

use crate::review::{json, policy};
use crate::seam::{Behaviour, Seam};
use crate::support::{LOBBY, SERVER_ROOM, Site, grant_body, post};

const READ: &str = "p, role:front-desk, zone:lobby, read, allow\n";

/// The rules, and these more, in a file of their own.
fn with(site: &Site, name: &str, more: &str) {
    let rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    std::fs::write(site.path(name), rules + more).unwrap();
}

#[test]
fn a_rule_to_read_says_nothing_of_granting() {
    let site = Site::new();
    let ask = |arguments: &[&str]| policy(&site, arguments).0;
    let (who, doors) = (["who", SERVER_ROOM], ["doors", "visitor-desk", "--act", "read"]);
    assert_eq!((ask(&who), ask(&doors)), (2, 2), "nobody may, and it may nothing");
    let explain = ["explain", "visitor-desk", LOBBY];
    let found = json(&site, &[&explain[..], &["--act", "read"]].concat(), 2);
    assert_eq!(found["reason"], "caller-outside-policy");

    with(&site, "policies/policy.csv", READ);
    let found = json(&site, &[&explain[..], &["--act", "read"]].concat(), 0);
    assert_eq!((&found["act"], &found["grantee"]), (&json!("read"), &json!(null)));
    assert_eq!(found["rules"][0]["text"], "p, role:front-desk, zone:lobby, read, allow");
    let (_, out, _) = policy(&site, &[&explain[..], &["--act", "read"]].concat());
    assert!(out.contains("  act       read\n") && !out.contains("grantee"), "{out}");
    let found = json(&site, &explain, 0);
    assert_eq!((&found["act"], &found["grantee"]), (&json!("grant"), &json!("user_identity")));
    let (code, _, error) =
        policy(&site, &[&explain[..], &["--act", "read", "--grantee", "acs_user"]].concat());
    assert_eq!(code, 1);
    assert!(error.contains("a request to read names no grantee"), "{error}");
    assert_eq!(ask(&["explain", "visitor-desk", LOBBY, "--act", "open"]), 64);

    let found = json(&site, &["who", LOBBY, "--act", "read"], 0);
    let callers = found["callers"].as_array().unwrap();
    assert_eq!((callers.len(), &callers[0]["caller"]), (1, &json!("visitor-desk")));
    assert_eq!(json(&site, &["who", LOBBY], 0)["callers"].as_array().unwrap().len(), 3);
    let (_, _, error) = policy(&site, &["who", LOBBY, "--act", "read"]);
    assert!(error.starts_with(&format!("who may read {LOBBY}  main entrance:")), "{error}");
    let found = json(&site, &doors, 0);
    assert_eq!(found["groups"][0]["entrances"].as_array().unwrap().len(), 2);
    let (_, _, error) = policy(&site, &doors);
    assert!(error.contains("what visitor-desk may read:"), "{error}");
}

#[test]
fn an_edit_of_what_may_be_read_is_shown_as_that() {
    let site = Site::new();
    with(&site, "new.csv", READ);
    let diff = ["diff", "policies/policy.csv", "new.csv"];
    let (code, out, error) = policy(&site, &diff);
    assert_eq!(code, 2);
    assert!(out.starts_with("gains (read)\n  visitor-desk"), "{out}");
    assert_eq!(error.trim(), "gains (read): 1 service(s), 2 door(s) in all");
    let found = json(&site, &diff, 2);
    let changes = found["changes"].as_array().unwrap();
    assert_eq!((changes.len(), &changes[0]["act"]), (1, &json!("read")));
    assert_eq!(policy(&site, &[&diff[..], &["--fail-on", "widening"]].concat()).0, 2);
    let (_, out, _) = policy(&site, &[&diff[..], &["--format", "markdown"]].concat());
    assert!(out.contains("| :warning: gains (read) | visitor-desk"), "{out}");
}

#[test]
fn a_case_may_be_about_reading() {
    let site = Site::new();
    with(&site, "policies/policy.csv", READ);
    let case = |more: &str| {
        let text = format!(
            "[[case]]\nname = \"n\"\ncaller = \"visitor-desk\"\nentrance = \"{LOBBY}\"\n\
             decision = \"allow\"\n{more}\n"
        );
        std::fs::write(site.path("case.toml"), text).unwrap();
        policy(&site, &["test", "case.toml"])
    };
    let rule = "rule = \"p, role:front-desk, zone:lobby, read, allow\"";
    assert_eq!(case(&format!("act = \"read\"\n{rule}")).0, 0);
    let (code, out, _) = case(rule);
    assert_eq!(code, 2, "to grant is another rule's");
    assert!(out.contains("not by `p, role:front-desk, zone:lobby, read, allow`"), "{out}");
    for (more, text) in [
        ("act = \"open\"", "`act` must be `grant` or `read`"),
        ("act = \"read\"\ngrantee = \"acs_user\"", "a request to read names no grantee"),
    ] {
        let (code, _, error) = case(more);
        assert_eq!(code, 3, "{more}");
        assert!(error.contains(text), "{more}: {error}");
    }
}

#[test]
fn a_rule_to_read_cannot_ask_for_a_grantee() {
    let site = Site::new();
    let rule = "p, role:front-desk, zone:lobby, read, allow, grantee acs_user\n";
    with(&site, "policies/policy.csv", rule);
    let (code, _, error) = policy(&site, &["check"]);
    assert_eq!(code, 3);
    assert!(error.contains("`grantee` needs the act `grant`"), "{error}");
    assert!(error.contains("policy.csv:37:"), "{error}");
}

#[tokio::test]
async fn decisions_about_reading_are_judged_again_as_such() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let client = site.client();
    let url = |path: &str| format!("https://localhost:{}{path}", gateway.address.port());
    for path in [
        format!("/acs/entrances/get?acs_entrance_id={LOBBY}"),
        format!("/acs/entrances/get?acs_entrance_id={SERVER_ROOM}"),
        "/acs/entrances/list".to_owned(),
    ] {
        let answer = client.get(url(&path)).bearer_auth(&site.token).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{path}");
    }
    post(&client, &gateway, &site.token, grant_body(LOBBY)).await;
    gateway.stop().await;

    with(&site, "new.csv", READ);
    let (code, out, error) = policy(&site, &["replay", "--policy", "new.csv"]);
    assert_eq!(code, 2);
    let line = format!("1  visitor-desk (read)  {LOBBY}  main entrance");
    assert!(out.contains(&line), "{out}");
    assert!(error.contains("2 unchanged, 1 denied that would be allowed, 0 allowed"), "{error}");
    let found = json(&site, &["replay", "--policy", "new.csv"], 2);
    let pair = &found["deny_to_allow"]["pairs"][0];
    assert_eq!((&pair["act"], &pair["entrance_id"]), (&json!("read"), &json!(LOBBY)));
    assert_eq!(found["not_replayable"]["caller-outside-policy"], 1, "a list names no entrance");

    let records = site.records();
    let id = |operation: &str| {
        let of = records.iter().find(|record| record["operation"] == operation).unwrap();
        of["request_id"].as_str().unwrap().to_owned()
    };
    let found = json(&site, &["explain", "--request", &id("acs/entrances/get")], 2);
    assert_eq!((&found["act"], &found["entrance_id"]), (&json!("read"), &json!(LOBBY)));
    let (code, _, error) = policy(&site, &["explain", "--request", &id("acs/entrances/list")]);
    assert_eq!(code, 1);
    assert!(error.contains("the request was for a list"), "{error}");
}
