//! The policy commands as a reviewer uses them.

use std::process::Command;

use serde_json::Value;

use crate::seam::{Behaviour, Seam};
use crate::support::{LOBBY, PERSON, SERVER_ROOM, Site, grant_body, of_event, post};

const OFFICE: &str = "e4a7c9b2-18d3-4e6f-a5b0-3c2d1e0f9a8b";

/// Runs a policy command in the site's directory: exit code, standard output and error.
pub fn policy(site: &Site, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .arg("policy")
        .args(arguments)
        .current_dir(site.root())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

pub fn json(site: &Site, arguments: &[&str], code: i32) -> Value {
    let (found, out, error) = policy(site, &[arguments, &["--format", "json"]].concat());
    assert_eq!(found, code, "{arguments:?}: {error}");
    serde_json::from_str(&out).unwrap()
}

/// Changes the rules in a file of their own.
pub fn edited(site: &Site, name: &str, edits: &[(&str, &str)]) {
    let mut rules = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    for (from, to) in edits {
        assert!(rules.contains(from), "{from}");
        rules = rules.replace(from, to);
    }
    std::fs::write(site.path(name), rules).unwrap();
}

fn git(site: &Site, arguments: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
    let mut git = Command::new("git");
    let output = git.args(identity).args(arguments).current_dir(site.root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_edit_is_shown_in_services_and_doors() {
    let site = Site::new();
    git(&site, &["init", "-q"]);
    git(&site, &["add", "policies", "callers.toml"]);
    git(&site, &["commit", "-qm", "before"]);
    assert_eq!(policy(&site, &["diff", "HEAD", "."]).0, 0);
    let hours = "grant, allow, hours Europe/Berlin Mo-Fr 08:00-18:00";
    let edits = [
        (
            "p, role:cleaning, zone:offices,       grant, allow",
            "p, role:front-desk, zone:offices, grant, allow",
        ),
        (
            "p, role:front-desk, zone:meeting-rooms, grant, allow",
            &format!("p, role:front-desk, zone:meeting-rooms, {hours}"),
        ),
    ];
    edited(&site, "policies/policy.csv", &edits);
    let (code, out, error) = policy(&site, &["diff", "HEAD", "."]);
    assert_eq!(code, 2, "{error}");
    for part in [
        "gains\n  visitor-desk (role:front-desk, role:staff)\n    1 entrance(s) (zone:offices)",
        "narrows\n  visitor-desk",
        "always -> hours Europe/Berlin Mo-Fr 08:00-18:00 (50.0 h a week)",
        "loses\n  cleaning-rota",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(error.contains("gains: 1 service(s), 1 door(s)"), "{error}");
    // Whatever day it is: a Saturday, both changes of the clock, a leap day, the end of a year.
    for from in [
        "2026-11-28T03:29:40Z",
        "2026-03-29T00:59:59Z",
        "2026-10-25T00:30:00Z",
        "2028-02-29T12:00:00Z",
        "2026-12-31T23:59:59Z",
    ] {
        for days in ["8", "100", "366"] {
            let (_, out, _) = policy(&site, &["diff", "HEAD", ".", "--from", from, "--days", days]);
            assert!(out.contains("(50.0 h a week)"), "{from} {days}: {out}");
        }
    }
    // Less than a week is no average: from Saturday until Wednesday.
    let four = ["diff", "HEAD", ".", "--from", "2026-11-28T12:00:00Z", "--days", "4"];
    let (_, out, _) = policy(&site, &four);
    assert!(out.contains("(25.0 h in all)"), "{out}");
    let found = json(&site, &four, 2);
    let after = &found["changes"][1]["after"];
    assert_eq!(after["hours_a_week"]["acs_user"], Value::Null);
    assert_eq!(after["hours"]["acs_user"], "25.0");
    let found = json(&site, &["diff", "HEAD", "."], 2);
    let effects: Vec<_> =
        found["changes"].as_array().unwrap().iter().map(|c| &c["effect"]).collect();
    assert_eq!(effects, ["gains", "narrows", "loses"]);
    assert_eq!(found["changes"][0]["entrances"][0]["id"], OFFICE);
    let (_, out, _) = policy(&site, &["diff", "HEAD", ".", "--format", "markdown"]);
    assert!(out.contains("| :warning: gains | visitor-desk"), "{out}");
    assert!(out.contains("<details>"), "{out}");
    // The other way around, what was gained is lost.
    let back = json(&site, &["diff", ".", "HEAD"], 2);
    let effects: Vec<_> =
        back["changes"].as_array().unwrap().iter().map(|c| &c["effect"]).collect();
    assert_eq!(effects, ["gains", "widens", "loses"]);
    assert_eq!(policy(&site, &["diff", "HEAD", ".", "--fail-on", "widening"]).0, 2);
    edited(&site, "narrow.csv", &[("p, role:front-desk, zone:offices, grant, allow\n", "")]);
    let narrower = ["diff", "policies/policy.csv", "narrow.csv", "--fail-on", "widening"];
    assert_eq!(policy(&site, &narrower).0, 0);
    let (code, _, error) = policy(&site, &["diff", "v0", "."]);
    assert_eq!(code, 3);
    assert!(error.contains("`v0` is not a file or folder, and git says: "), "{error}");
    assert_eq!(policy(&site, &["diff", "--output=x", "."]).0, 64, "no option of git's");
    // A folder that is named like a revision would let a change be compared with itself.
    git(&site, &["branch", "main-before"]);
    std::fs::create_dir(site.path("main-before")).unwrap();
    std::fs::copy(site.path("policies/policy.csv"), site.path("main-before/policy.csv")).unwrap();
    let (code, _, error) = policy(&site, &["diff", "main-before", "."]);
    assert_eq!(code, 3);
    assert!(error.contains("is a path and a git revision: write `./main-before`"), "{error}");
    assert_eq!(policy(&site, &["diff", "refs/heads/main-before", "."]).0, 2);
    assert_eq!(policy(&site, &["diff", "./main-before", "."]).0, 0);
    // What a year does not show is not called nothing.
    let later = (
        "p, role:facilities, *, grant, allow",
        "p, role:facilities, *, grant, allow\np, role:cleaning, *, grant, allow, hours Etc/UTC 2098-2099",
    );
    edited(&site, "later.csv", &[later]);
    let later =
        json(&site, &["diff", "policies/policy.csv", "later.csv", "--fail-on", "widening"], 2);
    assert_eq!(later["changes"][0]["effect"], "differs-later");
    let once = (
        "p, role:facilities, *, grant, allow",
        "p, role:facilities, *, grant, allow\np, role:cleaning, *, grant, allow\np, role:cleaning, *, grant, deny, hours Etc/UTC Nov 25 00:00-48:00",
    );
    edited(&site, "once.csv", &[once]);
    let once = json(
        &site,
        &["diff", "policies/policy.csv", "once.csv", "--from", "2026-11-25T00:00:00Z"],
        2,
    );
    assert!(once["changes"].as_array().unwrap().iter().any(|c| c["effect"] == "gains"), "{once}");
}

/// The steps of docs/policy.md, as they stand there.
#[test]
fn the_recipe_for_pull_requests_works() {
    let site = Site::new();
    git(&site, &["init", "-q"]);
    git(&site, &["add", "policies", "callers.toml"]);
    git(&site, &["commit", "-qm", "before"]);
    git(&site, &["branch", "origin/main"]);
    let office = ("p, role:cleaning, zone:offices,       grant, allow\n", "");
    edited(&site, "policies/policy.csv", &[office]);
    let page = include_str!("../../docs/policy.md");
    let steps = page.lines().filter_map(|line| line.trim().strip_prefix("- run: grantgate "));
    let steps: Vec<&str> = steps.collect();
    assert_eq!(steps.len(), 4);
    let mut codes = Vec::new();
    for step in steps {
        let command = format!("{} {step}", env!("CARGO_BIN_EXE_grantgate"));
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", &command]).current_dir(site.root()).output().unwrap();
        codes.push(output.status.code().unwrap());
    }
    // What cleaning shifts no longer open: a zone that no rule names is pointed out, and a
    // case fails.
    assert_eq!(codes, [2, 0, 2, 0]);
    let comment = String::from_utf8(site.read("policy-diff.md")).unwrap();
    assert!(comment.contains("| loses | cleaning-rota"), "{comment}");
}

#[test]
fn a_question_about_a_door_or_a_service_is_answered() {
    let site = Site::new();
    let (code, out, _) = policy(&site, &["explain", "visitor-desk", LOBBY]);
    assert_eq!(code, 0);
    assert!(out.contains("caller:visitor-desk > role:front-desk (policies/policy.csv:"), "{out}");
    assert!(out.contains(&format!("entrance:{LOBBY} > zone:lobby (policies/policy.csv:")), "{out}");
    let denied = json(&site, &["explain", "visitor-desk", "server room"], 2);
    assert_eq!(denied["reason"], "denied-by-rule");
    assert_eq!(
        (&denied["entrance_id"], &denied["entrance_name"]),
        (&SERVER_ROOM.into(), &"server room".into())
    );
    let (code, out, _) = policy(&site, &["doors", "visitor-desk"]);
    assert!(code == 0 && out.contains(&format!("    {LOBBY}  main entrance\n")), "{out}");
    let (code, _, error) = policy(&site, &["who", "room"]);
    assert!(code == 1 && error.contains("room 1") && error.contains("room 2"), "{error}");
    assert_eq!(denied["rules"][0]["caller_chain"][2]["name"], "role:staff");
    let hours = (
        "p, role:front-desk, zone:lobby,         grant, allow",
        "p, role:front-desk, zone:lobby, grant, allow, hours Europe/Berlin Mo-Fr 08:00-18:00",
    );
    edited(&site, "policies/policy.csv", &[hours]);
    let at = "2026-11-28T10:00:00+01:00";
    let (code, out, _) = policy(&site, &["explain", "visitor-desk", LOBBY, "--at", at]);
    assert_eq!(code, 2);
    assert!(out.contains("denied: condition-not-met"), "{out}");
    assert!(out.contains("is not met; it is next at 2026-11-30T07:00:00Z"), "{out}");

    let who = json(&site, &["who", LOBBY], 0);
    let callers: Vec<_> = who["callers"].as_array().unwrap().iter().map(|c| &c["caller"]).collect();
    assert_eq!(callers, ["cleaning-rota", "facilities", "visitor-desk"]);
    assert_eq!(who["callers"][0]["access"]["when"], "always");
    assert_eq!(who["callers"][2]["access"]["when"], "sometimes");
    assert_eq!(policy(&site, &["who", SERVER_ROOM]).0, 2, "nobody");
    let doors = json(&site, &["doors", "cleaning-rota"], 0);
    let named: usize = doors["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["entrances"].as_array().unwrap().len())
        .sum();
    assert_eq!(named, 5);
    let (code, _, error) = policy(&site, &["doors", "ghost"]);
    assert_eq!(code, 1);
    assert!(error.contains("`ghost` is not in the callers file; there: visitor-desk"), "{error}");
}

#[test]
fn cases_pass_fail_and_are_covered() {
    let site = Site::new();
    let (code, out, error) = policy(&site, &["test"]);
    assert_eq!(code, 0, "{out}");
    assert!(
        error.contains("5 passed, 0 failed; 4 of 7 rule(s) decided in some case (57 %)"),
        "{error}"
    );
    assert!(out.contains("     9  p, role:front-desk, zone:meeting-rooms, grant, allow"), "{out}");
    assert_eq!(policy(&site, &["test", "--min-coverage", "58"]).0, 2);
    let wrong = format!(
        "[[case]]\nname = \"a & b\"\ncaller = \"visitor-desk\"\nentrance = \"{OFFICE}\"\ndecision = \"allow\"\n\n\
         [[case]]\nname = \"other rule\"\ncaller = \"visitor-desk\"\nentrance = \"{LOBBY}\"\ndecision = \"allow\"\nrule = \"p,role:x,*,grant,allow\"\n"
    );
    std::fs::write(site.path("policies/tests/wrong.toml"), wrong).unwrap();
    let escapes = format!(
        "[[case]]\nname = \"a\\u001b[2J\\n::error::x\"\ncaller = \"visitor-desk\"\nentrance = \"{LOBBY}\"\ndecision = \"allow\"\n"
    );
    std::fs::write(site.path("escapes.toml"), escapes).unwrap();
    let (code, out, _) = policy(&site, &["test", "escapes.toml"]);
    assert_eq!(code, 0);
    assert!(
        !out.contains('\u{1b}') && out.lines().next().unwrap().ends_with("::error::x"),
        "{out:?}"
    );
    let (code, out, _) = policy(&site, &["test", "--junit", "report.xml"]);
    assert_eq!(code, 2);
    assert!(
        out.contains("policies/tests/wrong.toml:2: wants `allow`: denied (no-rule-matches)"),
        "{out}"
    );
    assert!(
        out.contains("decided by policies/policy.csv:8, not by `p, role:x, *, grant, allow`"),
        "{out}"
    );
    let report = String::from_utf8(site.read("report.xml")).unwrap();
    assert!(report.contains(r#"tests="7" skipped="0" failures="2""#), "{report}");
    assert!(report.contains(r#"<testcase name="a &amp; b""#), "{report}");
    // A decision that depends on the time needs one.
    let hours = (
        "p, role:front-desk, zone:lobby,         grant, allow",
        "p, role:front-desk, zone:lobby, grant, allow, hours Etc/UTC 10:00-12:00",
    );
    edited(&site, "policies/policy.csv", &[hours]);
    let timed = format!(
        "[[case]]\nname = \"in time\"\ncaller = \"visitor-desk\"\nentrance = \"{LOBBY}\"\ndecision = \"allow\"\nat = 2026-11-25T11:00:00Z\n\n\
         [[case]]\nname = \"no time\"\ncaller = \"visitor-desk\"\nentrance = \"{LOBBY}\"\ndecision = \"allow\"\n"
    );
    std::fs::write(site.path("timed.toml"), timed).unwrap();
    let found = json(&site, &["test", "timed.toml"], 2);
    assert_eq!(found["cases"][0]["passed"], true);
    assert_eq!(found["cases"][1]["failure"], "it depends on the time: add `at` to this case");
    let why = format!(
        "[[case]]\nname = \"why\"\ncaller = \"visitor-desk\"\nentrance = \"{LOBBY}\"\ndecision = \"allow\"\nreason = \"allowed-by-rule\"\n"
    );
    std::fs::write(site.path("why.toml"), why).unwrap();
    let found = json(&site, &["test", "why.toml"], 2);
    assert!(
        found["cases"][0]["failure"].as_str().unwrap().contains("which rule decides"),
        "{found}"
    );
}

#[test]
fn every_mistake_has_its_file_its_line_and_its_place() {
    let site = Site::new();
    let case = "[[case]]\nname = 1\ncaller = \"ghost\"\nentrance = \"door\"\ndecision = \"maybe\"\ncolour = 1\n";
    std::fs::write(site.path("bad.toml"), case).unwrap();
    let (code, _, error) = policy(&site, &["test", "bad.toml"]);
    assert_eq!(code, 3);
    for said in [
        "bad.toml:2:8: `case.name` must be a string",
        "bad.toml:3:10: caller `ghost` is not in the callers file",
        "bad.toml:4:12: ",
        "bad.toml:5:12: `maybe` is not a decision: write `allow` or `deny`",
        "bad.toml:6:1: unknown key `case.colour`",
        "5 problem(s)",
    ] {
        assert!(error.contains(said), "{said}: {error}");
    }
    std::fs::write(site.path("empty.toml"), "").unwrap();
    let (code, _, error) = policy(&site, &["test", "empty.toml"]);
    assert!(code == 3 && error.contains("empty.toml: holds no case: write `[[case]]`"), "{error}");
    edited(
        &site,
        "bad.csv",
        &[(
            "zone:lobby,         grant, allow\n",
            "zone:lobby, grant, allow, hours Europe/Berlim Mo\n",
        )],
    );
    let (code, _, error) = policy(&site, &["check", "--rules", "bad.csv"]);
    assert_eq!(code, 3);
    assert!(error.contains("bad.csv:8:53: `Europe/Berlim` is not a time zone"), "{error}");
    assert!(
        error.contains(
            "     8 | p, role:front-desk, zone:lobby, grant, allow, hours Europe/Berlim Mo\n"
        ),
        "{error}"
    );
    let mark = error.lines().find(|line| line.trim_start_matches([' ', '|']) == "^").unwrap();
    assert_eq!(mark.find('^'), Some("     8 | ".len() + 52), "{error}");
    // What Seam does not have (any more) is pointed out.
    let names = String::from_utf8(site.read("policies/entrances.csv")).unwrap();
    let fewer: Vec<&str> = names.lines().filter(|line| !line.contains("room 2")).collect();
    std::fs::write(site.path("policies/entrances.csv"), fewer.join("\n") + "\n").unwrap();
    let (code, _, error) = policy(&site, &["check", "--deny-warnings"]);
    assert_eq!(code, 2);
    assert!(error.contains("policy.csv:34: entrance `b8d1f6e3-2c47-4a95-9f0e-6a7b8c9d0e1f` is not in `policies/entrances.csv`"), "{error}");
    std::fs::write(site.path("policies/entrances.csv"), names).unwrap();
    let found = json(&site, &["check", "--rules", "bad.csv"], 3);
    assert_eq!(found["problems"][0]["column"], 53);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_of_the_past_are_judged_again() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let client = site.client();
    for entrance in [LOBBY, LOBBY, OFFICE, SERVER_ROOM] {
        post(&client, &gateway, &site.token, grant_body(entrance)).await;
    }
    post(&client, &gateway, &site.token, "{}").await;
    gateway.stop().await;
    let records = site.records();
    let decision =
        |n: usize| of_event(&records, "grant.decision")[n]["request_id"].as_str().unwrap();
    let told = json(&site, &["explain", "--request", decision(3)], 2);
    assert_eq!(
        (&told["reason"], &told["entrance_id"]),
        (&"denied-by-rule".into(), &SERVER_ROOM.into())
    );
    assert_eq!(policy(&site, &["explain", "--request", decision(0)]).0, 0);
    let (code, _, error) = policy(&site, &["explain", "--request", decision(4)]);
    assert!(code == 1 && error.contains("the request was malformed (entrance-missing)"), "{error}");
    assert_eq!(policy(&site, &["explain", "--request", "none"]).0, 1);
    assert_eq!(policy(&site, &["explain", "visitor-desk"]).0, 64);
    let same = json(&site, &["replay"], 0);
    assert_eq!(
        (&same["unchanged"], &same["not_replayable"]["entrance-missing"]),
        (&4.into(), &1.into())
    );
    let edits = [
        (
            "p, role:front-desk, zone:lobby,         grant, allow",
            "p, role:front-desk, zone:offices, grant, allow",
        ),
        ("p, role:cleaning, zone:offices,       grant, allow\n", ""),
    ];
    edited(&site, "new.csv", &edits);
    let (code, out, error) = policy(&site, &["replay", "--policy", "new.csv"]);
    assert_eq!(code, 2, "{error}");
    assert!(out.contains(&format!("       2  visitor-desk  {LOBBY}")), "{out}");
    assert!(out.contains("no-rule-matches -> allowed-by-rule new.csv:8"), "{out}");
    assert!(error.contains("1 unchanged, 1 denied that would be allowed, 2 allowed that would be denied, 1 not replayable"), "{error}");
    let found = json(&site, &["replay", "--policy", "new.csv"], 2);
    assert_eq!(found["deny_to_allow"]["pairs"][0]["entrance_id"], OFFICE);
    assert_eq!(found["allow_to_deny"]["first"].as_array().unwrap().len(), 2);
    // Each at its own time: hours that are over now were not then, and the other way round.
    let time =
        site.records().iter().find(|r| r["event"] == "grant.decision").unwrap()["time"].clone();
    let year: u16 = time.as_str().unwrap()[..4].parse().unwrap();
    let rule = "p, role:front-desk, zone:lobby,         grant, allow";
    let never = "p, role:front-desk, zone:lobby, grant, allow, hours Etc/UTC 1999";
    // The test may run into the next year.
    let then =
        format!("p, role:front-desk, zone:lobby, grant, allow, hours Etc/UTC {year}-{}", year + 1);
    edited(&site, "never.csv", &[(rule, never)]);
    edited(&site, "then.csv", &[(rule, &then)]);
    assert_eq!(
        json(&site, &["replay", "--policy", "never.csv"], 2)["allow_to_deny"]["decisions"],
        2
    );
    assert_eq!(json(&site, &["replay", "--policy", "then.csv"], 0)["unchanged"], 4);
    let mut log = std::fs::read_dir(site.path("audit")).unwrap().map(|e| e.unwrap().path());
    let segment = log.find(|p| p.extension().is_some_and(|e| e == "jsonl")).unwrap();
    let damaged = std::fs::read_to_string(&segment).unwrap().replacen(
        "grant.decision\"",
        "grant.decision",
        1,
    );
    std::fs::write(&segment, damaged).unwrap();
    let (code, _, error) = policy(&site, &["replay"]);
    assert!(code == 4 && error.contains("not a whole record"), "{error}");
    let (code, _, error) = policy(&site, &["replay", "--audit", "nowhere"]);
    assert!(code == 1 && error.contains("`nowhere` cannot be read"), "{error}");
    assert!(!out.contains(PERSON), "no grantee");
}
