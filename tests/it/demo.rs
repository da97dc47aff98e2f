//! The demo as a newcomer sees it: what it prints works, and nothing is left behind.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::support::process::signal;

struct Demo {
    child: Child,
    printed: String,
    out: BufReader<std::process::ChildStdout>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn demo(temporary: &Path, arguments: &[&str]) -> Demo {
    let mut child = Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args(["demo", "--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"])
        .args(arguments)
        .env("TMPDIR", temporary)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut printed = String::new();
    while !printed.ends_with("Ctrl-C stops.\n") {
        assert_ne!(out.read_line(&mut printed).unwrap(), 0, "ended early: {printed}");
    }
    Demo { child, printed, out }
}

/// Runs the commands of the demo that start with `program`, as printed.
fn paste(printed: &str, program: &str) -> Vec<String> {
    let joined = printed.replace("\\\n", " ");
    let commands = joined.lines().filter(|line| line.trim_start().starts_with(program));
    commands
        .map(|command| {
            let command = command.replace("curl ", "curl -s -w ' %{http_code}' ");
            let output = Command::new("sh").arg("-c").arg(command).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        })
        .collect()
}

/// The README's block of answers is what the demo says and what its commands get.
fn assert_readme_shows(printed: &str, answers: &[&String]) {
    let readme = include_str!("../../README.md");
    let mut block = String::from("```text\n");
    for (title, answer) in ["Granted", "Denied", "Refused"].iter().zip(answers) {
        let title = printed.lines().find(|line| line.starts_with(title)).unwrap();
        let (body, status) = answer.rsplit_once(' ').unwrap();
        let id = body.split("\"request_id\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let body = id.map_or_else(|| body.to_owned(), |id| body.replace(id, "…"));
        block.push_str(&format!("{title}\n  {status} {body}\n"));
    }
    block.push_str("```\n");
    assert!(readme.contains(&block), "the README does not show\n{block}");
}

#[test]
fn what_the_demo_prints_can_be_pasted_and_nothing_is_left_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = demo(temporary.path(), &[]);
    let answers = paste(&demo.printed, "curl");
    let [granted, denied, refused, metrics, grants] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    assert_eq!(granted, "{\"ok\":true} 200");
    assert!(denied.contains("\"type\":\"forbidden\"") && denied.ends_with(" 403"), "{denied}");
    assert!(
        refused.contains("\"type\":\"unauthorized\"") && refused.ends_with(" 401"),
        "{refused}"
    );
    assert_readme_shows(&demo.printed, &[granted, denied, refused]);
    assert!(metrics.contains("grantgate_requests_total"), "{metrics}");
    assert_eq!(grants.matches("acs_entrance_id").count(), 1, "{grants}");
    let shown = paste(&demo.printed, env!("CARGO_BIN_EXE_grantgate"));
    assert!(shown[0].contains("allow") && shown[0].contains("deny"), "{shown:?}");
    assert!(shown[1].starts_with("verified: "), "{}", shown[1]);
    signal(demo.child.id(), "INT");
    assert_eq!(demo.child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    demo.out.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("nothing is left behind"), "{rest}");
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn kept_files_are_a_valid_gateway() {
    let temporary = tempfile::tempdir().unwrap();
    let kept = temporary.path().join("gateway");
    let mut demo = demo(temporary.path(), &["--keep", kept.to_str().unwrap()]);
    signal(demo.child.id(), "TERM");
    assert_eq!(demo.child.wait().unwrap().code(), Some(0));
    let config = kept.join("grantgate.toml");
    let check = Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args(["check", "--config"])
        .arg(config)
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}

/// Runs a command among the files of a demo, which must succeed. Gives all that it prints.
fn run(kept: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantgate"));
    let output = command.args(arguments).current_dir(kept).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

fn time(record: &Value) -> Timestamp {
    record["time"].as_str().unwrap().parse().unwrap()
}

/// All values that a field has, in records of this event.
fn values<'a>(records: &'a [Value], event: &str, field: &str) -> BTreeSet<&'a str> {
    let of = records.iter().filter(|record| record["event"] == event);
    of.filter_map(|record| record[field].as_str()).collect()
}

#[test]
fn a_demo_begins_with_a_month_that_its_own_policy_decided() {
    let temporary = tempfile::tempdir().unwrap();
    let kept = temporary.path().join("gateway");
    let mut demo = demo(temporary.path(), &["--keep", kept.to_str().unwrap()]);
    assert!(demo.printed.contains("begins with a month of made-up decisions"), "{}", demo.printed);
    signal(demo.child.id(), "TERM");
    assert_eq!(demo.child.wait().unwrap().code(), Some(0));

    let verify = ["audit", "verify", "--key", "audit_signing_key.pub", "--format", "json"];
    let verified: Value = serde_json::from_str(&run(&kept, &verify)).unwrap();
    assert_eq!(
        (&verified["verified"], &verified["unsigned_checkpoints"]),
        (&true.into(), &0.into())
    );
    assert!(verified["checkpoints"].as_u64().unwrap() > 20, "{verified}");
    let replayed = run(&kept, &["policy", "replay"]);
    let unturned = "unchanged, 0 denied that would be allowed, 0 allowed that would be denied";
    assert!(replayed.contains(unturned), "{replayed}");

    let shown = run(&kept, &["audit", "show", "--format", "json"]);
    let records: Vec<Value> =
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(records.is_sorted_by_key(time), "records go back in time");
    let start = records.iter().rposition(|record| record["event"] == "log.start").unwrap();
    let (month, after) = records.split_at(start);
    let decided = |record: &&Value| record["event"] == "grant.decision";
    assert_eq!(after.iter().filter(decided).count(), 0, "nobody asked for anything");
    let times: Vec<Timestamp> = month.iter().filter(decided).map(time).collect();
    assert!((1_500..4_000).contains(&times.len()), "{}", times.len());
    let span = times[times.len() - 1].duration_since(times[0]);
    assert!(span >= SignedDuration::from_hours(28 * 24), "{span}");
    assert!(times[times.len() - 1] < time(&after[0]), "of the future");
    let outcomes = BTreeSet::from(["granted", "not-sent", "rejected", "unknown"]);
    assert_eq!(values(month, "grant.outcome", "outcome"), outcomes);
    assert!(values(month, "grant.decision", "caller").len() >= 3);
    assert!(values(month, "authn.failure", "reason").contains("token-unknown"));

    // The gateway found nothing to mend.
    assert!(!shown.contains("log.recovery") && !shown.contains("gateway-restarted"));
    let files = std::fs::read_dir(kept.join("audit")).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("torn")), "{names:?}");
}
