//! The audit log as somebody searches it who was not there.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::seam::{Behaviour, Seam};
use crate::support::{LOBBY, PERSON, SERVER_ROOM, Site, grant_body, post};

/// Runs an audit command in the site's directory: exit code, standard output and error.
fn audit(root: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .arg("audit")
        .args(arguments)
        .current_dir(root)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn values(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn segments(site: &Site) -> Vec<PathBuf> {
    let files = std::fs::read_dir(site.path("audit")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "jsonl")).collect();
    found.sort();
    found
}

/// A line that is no record, in the middle of a segment.
fn damage(segment: &Path) {
    let text = std::fs::read_to_string(segment).unwrap();
    let at = text.find("\n{").unwrap();
    let (before, after) = text.split_at(at + 1);
    std::fs::write(segment, format!("{before}xx\n{after}")).unwrap();
}

#[tokio::test]
async fn decisions_are_found_with_what_became_of_them() {
    let site = Site::new();
    let root = site.root();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[("GRANTGATE__AUDIT__SEGMENT_BYTES_MAX", "65536")]).await;
    let client = site.client();
    for _ in 0..120 {
        let answer = post(&client, &gateway, &site.token, grant_body(LOBBY)).await;
        assert_eq!(answer.status(), 200);
    }
    let refused = post(&client, &gateway, &site.token, grant_body(SERVER_ROOM)).await;
    let id = refused.headers()["seam-request-id"].to_str().unwrap().to_owned();
    let timeout = Behaviour::answer_with(502, "text/html", "", "<html>");
    seam.set(timeout);
    post(&client, &gateway, &site.token, grant_body(LOBBY)).await;
    post(&client, &gateway, "nobody", grant_body(LOBBY)).await;
    gateway.stop().await;
    let segments = segments(&site);
    assert!(segments.len() >= 2, "several segments");
    let compressed = zstd::encode_all(std::fs::read(&segments[0]).unwrap().as_slice(), 3).unwrap();
    std::fs::write(segments[0].with_extension("jsonl.zst"), compressed).unwrap();
    std::fs::remove_file(&segments[0]).unwrap();

    for _ in 0..2 {
        let (code, out, error) = audit(root, &["query", "--format", "json", "--decision", "allow"]);
        assert_eq!(code, 0, "{error}");
        let lines = values(&out);
        assert_eq!(lines.len(), 2 * 121, "each with its outcome");
        for pair in lines.chunks(2) {
            assert_eq!(pair[1]["decision_seq"], pair[0]["seq"]);
        }
    }
    let stored: Vec<Value> = site.records();
    let (_, out, _) = audit(root, &["query", "--request-id", &id, "--format", "json"]);
    let denied = stored.iter().find(|record| record["request_id"] == id.as_str()).unwrap();
    assert_eq!(&values(&out)[0], denied);
    assert_eq!(out.lines().count(), 1);
    let (code, out, error) = audit(root, &["query", "--entrance", "server", "--decision", "deny"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.starts_with("TIME ") && out.contains("server room"), "{out}");
    assert!(out.contains("denied-by-rule") && out.contains(&id), "{out}");
    assert!(error.contains("1 found among "), "{error}");
    let newest = ["query", "--seam-request-id", "seam-1", "--last", "2"];
    let (_, out, error) = audit(root, &newest);
    let outcomes: Vec<bool> = out.lines().skip(1).map(|row| row.contains("  granted  ")).collect();
    assert_eq!(outcomes, [true, false], "{out}{error}");
    assert!(out.contains("  unknown (upstream-answer-invalid)  "), "{out}");
    let (code, out, _) = audit(root, &["query", "--outcome", "unknown", "--format", "csv"]);
    assert_eq!((code, out.lines().count()), (0, 2), "{out}");
    assert!(out.contains(",main entrance,") || out.contains(",allowed-by-rule,unknown,"), "{out}");
    let (_, out, _) = audit(root, &["query", "--reason", "token-unknown", "--format", "json"]);
    let strangers = stored.iter().filter(|r| r["reason"] == "token-unknown").count();
    assert_eq!(values(&out).len(), strangers);
    assert_eq!(audit(root, &["query", "--caller", "kiosk"]).0, 2, "nothing found");
    assert_eq!(audit(root, &["query", "--until", "2020-01-01"]).0, 2);
    assert_eq!(audit(root, &["query", "nowhere"]).0, 1);
    people_under_other_names(root, &stored);
    counted(root);

    damage(&segments[1]);
    let (code, out, error) = audit(root, &["query", "--grantee", PERSON, "--format", "json"]);
    assert_eq!(code, 4, "{error}");
    assert_eq!(values(&out).len(), 2 * 121 + 1, "what is whole is found");
    assert!(error.contains("damaged: ") && error.contains("not a whole record"), "{error}");
}

/// The same log with a pseudonym in the place of an id.
fn people_under_other_names(root: &Path, stored: &[Value]) {
    let key = root.join("pseudonyms.key");
    std::fs::write(&key, "k".repeat(32)).unwrap();
    let secret = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, secret).unwrap();
    let pseudonym = "hmac-sha256:f404473fe9b5ca393be62a67128c7aca";
    let text: String = stored.iter().map(|record| record.to_string() + "\n").collect();
    std::fs::create_dir(root.join("other")).unwrap();
    std::fs::write(root.join("other/00000000000000000001.jsonl"), text.replace(PERSON, pseudonym))
        .unwrap();
    let count = |arguments: &[&str]| {
        let (_, out, _) =
            audit(root, &[&["query", "other", "--format", "csv"], arguments].concat());
        out.lines().count() - 1
    };
    let all = count(&["--grantee", pseudonym]);
    assert_eq!(all, 122);
    assert_eq!(count(&["--grantee", PERSON]), 0);
    let with_key = ["--grantee", PERSON, "--pseudonym-key", key.to_str().unwrap()];
    assert_eq!(count(&with_key), all);
    assert_eq!(audit(root, &["query", "--pseudonym-key", "k"]).0, 64, "of whom?");
}

fn counted(root: &Path) {
    let (code, out, error) =
        audit(root, &["stats", "--by", "entrance", "--every", "day", "--format", "json"]);
    assert_eq!(code, 0, "{error}");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&found["all"]["allow"], &found["all"]["deny"]), (&121.into(), &1.into()));
    assert_eq!(found["rows"][0]["entrance_id"], LOBBY);
    assert_eq!(found["rows"][1]["entrance_name"], "server room");
    let (_, out, error) = audit(root, &["stats", "--by", "decision,reason"]);
    assert!(out.contains("\nallow     allowed-by-rule  121    0"), "{out}");
    assert!(error.contains("122 decisions: 121 allowed, 1 denied"), "{error}");
    assert_eq!(audit(root, &["stats", "--until", "2020-01-01"]).0, 2);
    assert_eq!(audit(root, &["stats", "--since", "1h", "--until", "2h"]).0, 64);
}

#[test]
fn wrong_usage_says_what_would_be_right() {
    let site = Site::new();
    for (arguments, says) in [
        (&["--reason", "no-rule-match"][..], "did you mean `no-rule-matches`?"),
        (&["--entrance", "e"], "`e` names "),
        (&["--entrance", "loby"], "no entrance is called `loby`"),
        (&["--grantee", "anna"], "36 characters"),
        (&["--since", "yesterday"], "how long ago"),
        (&["--event", "log.stopp"], "a similar value exists: 'log.stop'"),
        (&["--event", "log.stop", "--caller", "desk"], "no record of `log.stop` has a caller"),
        (&["--since", "1h", "--until", "2h"], "nothing is both after"),
        (&["--last", "1", "--limit", "1"], "cannot be used with"),
    ] {
        let (code, _, error) = audit(site.root(), &[&["query"], arguments].concat());
        assert_eq!(code, 64, "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
}

/// A running `audit tail --follow`; killed when dropped.
struct Follower {
    child: Child,
    lines: Receiver<Value>,
}

impl Follower {
    fn start(site: &Site) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_grantgate"))
            .args(["audit", "tail", "-f", "-n", "1000", "--format", "json", "audit"])
            .current_dir(site.root())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    // The pipe is closed: nobody reads any more.
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> Value {
        self.lines.recv_timeout(Duration::from_secs(20)).unwrap()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_followed_comes_once_and_in_order_across_segments_and_starts() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let small = [("GRANTGATE__AUDIT__SEGMENT_BYTES_MAX", "65536")];
    let gateway = site.start(&seam, &small).await;
    let client = site.client();
    post(&client, &gateway, &site.token, grant_body(LOBBY)).await;
    let follower = Follower::start(&site);
    let first = follower.next();
    assert_eq!(first["seq"], 1);
    for _ in 0..150 {
        post(&client, &gateway, &site.token, grant_body(LOBBY)).await;
    }
    gateway.stop().await;
    let gateway = site.start(&seam, &small).await;
    post(&client, &gateway, &site.token, grant_body(SERVER_ROOM)).await;
    gateway.stop().await;
    assert!(segments(&site).len() >= 3);
    let stored = site.records();
    for record in &stored[1..] {
        assert_eq!(&follower.next(), record);
    }
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let site = Site::new();
    let mut text = String::new();
    for seq in 1..5_000 {
        let time = "2026-11-23T09:00:00.000000Z";
        text += &format!(
            "{{\"v\":1,\"seq\":{seq},\"time\":\"{time}\",\"event\":\"grant.decision\",\
             \"request_id\":\"r{seq}\",\"caller\":\"desk\",\"decision\":\"deny\",\"reason\":\"x\"}}\n"
        );
    }
    std::fs::create_dir(site.path("log")).unwrap();
    std::fs::write(site.path("log/00000000000000000001.jsonl"), text).unwrap();
    for command in [
        &["query", "log", "--format", "human"][..],
        &["query", "log", "--format", "json"],
        &["query", "log", "--format", "csv"],
        &["tail", "log", "-n", "5000"],
        // Nothing is written after what it has read: it looks whether anybody reads.
        &["tail", "log", "-n", "1", "--follow"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_grantgate"))
            .arg("audit")
            .args(command)
            .current_dir(site.root())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
        let output = tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{command:?}: {error}");
        assert!(!error.contains("error"), "{command:?}: {error}");
    }
}
