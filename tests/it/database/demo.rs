//! The demo of several gateways, as a newcomer sees it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use crate::support::process::signal;

/// Ends with this value.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // It ends those that it has started.
        if self.0.try_wait().unwrap().is_none() {
            signal(self.0.id(), "TERM");
        }
        let _ = self.0.wait();
    }
}

fn sh(script: &str) -> String {
    let output = Command::new("sh").arg("-ec").arg(script).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, error) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{script}\n{out}{error}");
    format!("{out}{error}")
}

/// What is printed under a title, ready to paste.
fn block(printed: &str, title: &str) -> String {
    let after = printed.split(title).nth(1).unwrap();
    let lines = after.lines().skip(1).skip_while(|line| line.is_empty());
    lines.take_while(|line| line.starts_with("  ")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_it_prints_works_and_nothing_is_left_behind() {
    if !std::path::Path::new("/usr/lib/postgresql").exists() {
        assert!(std::env::var_os("GRANTGATE_TESTS_COMPLETE").is_none(), "no PostgreSQL here");
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    // The database is another user's, where root runs the tests.
    std::fs::set_permissions(temporary.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args(["demo", "--replicas", "3"])
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let demo = Demo(child);
    let mut printed = String::new();
    while !printed.ends_with("Ctrl-C stops.\n") {
        assert_ne!(out.read_line(&mut printed).unwrap(), 0, "ended early: {printed}");
    }
    let grants = block(&printed, "A grant, by any of them");
    let granted = |grants: &str| {
        let answers = sh(&grants.replace("curl ", "curl -s -w '%{http_code}\\n' -o /dev/null "));
        answers.lines().filter(|answer| *answer == "200").count()
    };
    assert_eq!(granted(&grants), 3, "{grants}");
    let folder = block(&printed, "From here on in their folder");
    let within = |script: &str| sh(&format!("{folder}{script}"));
    let edited = within(&block(&printed, "One edit for all"));
    assert!(edited.contains("in force in 3 gateway(s)"), "{edited}");
    let frozen = within(&block(&printed, "A freeze of all of them"));
    for said in ["3 gateway(s) follow it", "token stolen [in force]", "why replaced"] {
        assert!(frozen.contains(said), "{said}: {frozen}");
    }
    // That it was lifted is recorded first.
    let all_granted = || (0..50).any(|_| granted(&grants) == 3);
    assert!(all_granted());
    // The next checkpoint is half a second away.
    let glance = block(&printed, "All of them at a glance");
    let verify = glance.lines().last().unwrap();
    within(&format!("for n in $(seq 50); do {verify} && exit; sleep 0.2; done; exit 1"));
    let seen = within(&glance);
    for said in ["east: bundle 2; ready", "north: ready", "verified: "] {
        assert!(seen.contains(said), "{said}: {seen}");
    }
    let kills = block(&printed, "No grant waits for the database");
    let (kills, again) = kills.split_at(kills.find("  grantgate serve").unwrap());
    sh(kills);
    let others: String = grants.lines().skip(1).map(|line| format!("{line}\n")).collect();
    assert_eq!(granted(&others), 2);
    assert_eq!(again.trim(), "grantgate serve --config north.toml");
    let directory = folder.trim_start().trim_start_matches("cd ").split(';').next().unwrap();
    let north = Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args(["serve", "--config", "north.toml"])
        .current_dir(directory)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let north = Demo(north);
    let ready = "for n in $(seq 100); do grantgate ready --config north.toml && exit; sleep 0.1; done; exit 1";
    within(ready);
    assert_eq!(granted(&grants), 3);
    drop(north);

    signal(demo.0.id(), "INT");
    let mut rest = String::new();
    for line in out.lines().map_while(Result::ok) {
        rest.push_str(&line);
    }
    assert!(rest.ends_with("nothing is left behind"), "{rest}");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}
