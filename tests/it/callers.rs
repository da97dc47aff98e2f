//! The life of a credential: made, replaced, suspended, taken away.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::reload::{grant, until};
use crate::seam::{Behaviour, Seam};
use crate::support::authority::Authority;
use crate::support::{LOBBY, Site, grant_body, grantgate, of_event, post};
use crate::tls::{client_config, connect};
use crate::whoami::whoami;

/// Exit code, standard output and standard error.
pub type Ran = (i32, String, String);

/// Runs `grantgate caller` with the site's callers file.
pub fn caller(site: &Site, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantgate"));
    command.arg("caller").args(arguments).arg("--callers").arg(site.path("callers.toml"));
    ran(command, None)
}

pub fn ran(mut command: Command, input: Option<&str>) -> Ran {
    let command = command.env_remove("SEAM_API_KEY").env_remove("SEAM_ENDPOINT");
    finished(command, input)
}

pub fn finished(command: &mut Command, input: Option<&str>) -> Ran {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.unwrap_or_default().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_suspended_caller_is_refused_on_open_connections_until_it_is_resumed() {
    let site = Site::new();
    let authority = Authority::new(&site);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let more = [("GRANTGATE__LISTENER__CLIENT_CA_FILE", "certs/callers-ca.pem")];
    let gateway = site.start(&seam, &more).await;
    let config =
        |certificate| client_config(&site, rustls::DEFAULT_VERSIONS, &["http/1.1"], certificate);
    let mut by_token = connect(&gateway, config(None)).await.unwrap();
    let mut by_certificate = connect(&gateway, config(Some(authority.issue(1)))).await.unwrap();
    let token = Some(site.token.as_str());
    assert!(grant(&mut by_token, token).await.contains(" 200 "));
    assert!(grant(&mut by_certificate, None).await.contains(" 200 "));

    let (code, _, note) = caller(&site, &["suspend", "visitor-desk", "--reason", "tablet lost"]);
    assert_eq!(code, 0, "{note}");
    until("the token is refused", async || grant(&mut by_token, token).await.contains(" 401 "))
        .await;
    assert!(grant(&mut by_certificate, None).await.contains(" 401 "), "every credential is");
    let (status, body) = whoami(&site, &gateway, &site.token).await;
    assert_eq!(status, 401);
    let same = "the credentials are missing, unknown or no longer valid";
    assert_eq!(body["error"]["message"], same, "outside it looks like any 401");
    let sent = seam.requests().len();
    let (_, metrics) = gateway.admin("/metrics").await;
    assert!(metrics.contains("\ngrantgate_callers_suspended 1\n"), "{metrics}");
    let counted = "grantgate_requests_total{caller=\"visitor-desk\",decision=\"deny\",\
                   reason=\"caller-suspended\"} ";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(!metrics.contains("{caller=\"other\",decision=\"deny\",reason=\"caller-suspended\"}"));

    let (code, _, note) = caller(&site, &["resume", "visitor-desk"]);
    assert_eq!(code, 0, "{note}");
    until("the token is accepted", async || grant(&mut by_token, token).await.contains(" 200 "))
        .await;
    assert!(grant(&mut by_certificate, None).await.contains(" 200 "));
    assert!(seam.requests().len() > sent, "the same connections");
    gateway.stop().await;
    let records = site.records();
    let failures = of_event(&records, "authn.failure");
    let suspended = failures.iter().filter(|record| record["reason"] == "caller-suspended");
    let mut credentials = BTreeSet::new();
    for record in suspended.clone() {
        assert_eq!(record["caller"], "visitor-desk");
        credentials.insert(record["credential"].as_str().unwrap());
    }
    let certificate = "certificate:spiffe://example.org/front/visitor-desk";
    assert_eq!(credentials, BTreeSet::from(["token:t", certificate]));
    let suspended = suspended.count();
    assert!(suspended >= 3, "{failures:?}");
    let log = site.path("audit");
    let query = ["audit", "query", log.to_str().unwrap(), "--caller", "visitor-desk"];
    let rows = grantgate(&[&query[..], &["--format", "json"]].concat());
    let rows = rows.lines().filter(|row| row.contains("\"authn.failure\""));
    assert_eq!(rows.count(), suspended, "each is found by its caller");
    assert!(!format!("{records:?}").contains("tablet lost"), "reasons are for people");
}

#[tokio::test]
async fn a_rotation_keeps_old_tokens_for_a_while() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let status = async |token: &str| {
        post(&site.client(), &gateway, token, grant_body(LOBBY)).await.status().as_u16()
    };
    let (code, second, note) = caller(&site, &["rotate", "visitor-desk"]);
    assert_eq!(code, 0, "{note}");
    assert!(note.contains("token `t` is accepted until 20"), "{note}");
    assert!(note.contains(", which does not expire; it is shown only now:"), "{note}");
    until("the new token is accepted", async || status(second.trim()).await == 200).await;
    assert_eq!(status(&site.token).await, 200, "so is the old one");
    let (code, third, note) = caller(&site, &["rotate", "visitor-desk", "--overlap", "0"]);
    assert_eq!(code, 0, "{note}");
    assert!(note.contains("token `t` is not accepted any more"), "{note}");
    until("the old ones are refused", async || status(second.trim()).await == 401).await;
    assert_eq!(status(&site.token).await, 401);
    assert_eq!(status(third.trim()).await, 200);
    gateway.stop().await;
    let failures = site.records();
    let failures = of_event(&failures, "authn.failure");
    let expired = failures.iter().filter(|record| record["reason"] == "token-expired");
    assert!(expired.count() >= 2, "{failures:?}");
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let site = Site::new();
    let file = site.path("callers.toml");
    let (code, _, _) =
        caller(&site, &["new", "kiosk", "--name", "a", "--expires", "2020-01-01T00:00:00Z"]);
    assert_eq!(code, 0);
    let before = std::fs::read(&file).unwrap();
    let long = "x".repeat(201);
    for (arguments, code, part) in [
        (&["rotate", "nobody"][..], 1, "there is no caller `nobody`"),
        (&["rotate", "cleaning-rota"], 1, "has no token; `grantgate caller new cleaning-rota`"),
        (&["rotate", "kiosk", "--token", "b"], 1, "has no token `b`"),
        (&["rotate", "kiosk", "--name", "a"], 1, "has a token `a` already"),
        (&["rotate", "kiosk", "--overlap", "7"], 64, "must be a number and `s`"),
        (&["rotate", "kiosk", "--overlap=-1d"], 64, "must be a number and `s`"),
        (&["rotate", "kiosk", "--expires", "2020-01-01T00:00:00Z"], 1, "no later than the old"),
        (&["suspend", "kiosk"], 64, "--reason"),
        (&["suspend", "kiosk", "--reason", " "], 64, "is empty"),
        (&["suspend", "kiosk", "--reason", "a\nb"], 64, "must be one line"),
        (&["suspend", "kiosk", "--reason", &long], 64, "at most 200 characters"),
        (&["suspend", "nobody", "--reason", "x"], 1, "there is no caller `nobody`"),
        (&["resume", "nobody"], 1, "there is no caller `nobody`"),
        (&["resume", "kiosk"], 0, "was not suspended; nothing was changed"),
        (&["revoke", "kiosk", "--token", "a", "--all"], 64, "cannot be used with"),
        (&["revoke", "cleaning-rota", "--all"], 1, "has no token"),
        (&["expiring", "--within", "2y"], 64, "must be a number and `s`"),
    ] {
        let (found, out, error) = caller(&site, arguments);
        assert_eq!((found, out.as_str()), (code, ""), "{arguments:?}: {error}");
        assert!(error.contains(part), "{arguments:?}: {error}");
        assert!(std::fs::read(&file).unwrap() == before, "{arguments:?}: the file has changed");
    }
}

#[test]
fn the_state_of_a_caller_is_shown_where_a_reader_would_be_misled() {
    let site = Site::new();
    let root = site.root().to_owned();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantgate"));
        command.args(arguments).current_dir(&root);
        ran(command, None)
    };
    assert_eq!(run(&["caller", "suspend", "visitor-desk", "--reason", "tablet lost"]).0, 0);
    let (code, _, again) = run(&["caller", "suspend", "visitor-desk", "--reason", "other"]);
    assert_eq!(code, 0);
    assert!(again.contains("was suspended already, and stays so as it was"), "{again}");
    let (_, list, _) = run(&["caller", "list"]);
    assert!(list.contains("  SUSPENDED    since 20") && list.contains(": tablet lost\n"), "{list}");
    let (_, list, _) = run(&["caller", "list", "--format", "json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    let of = |id: &str| list.as_array().unwrap().iter().find(|c| c["id"] == id).unwrap().clone();
    assert_eq!(of("visitor-desk")["suspended"]["reason"], "tablet lost");
    assert_eq!(of("facilities")["suspended"], Value::Null);
    let (explain, who, doors): (&[&str], &[&str], &[&str]) = (
        &["policy", "explain", "visitor-desk", LOBBY],
        &["policy", "who", LOBBY],
        &["policy", "doors", "visitor-desk"],
    );
    for arguments in [explain, who, doors] {
        let (_, _, error) = run(arguments);
        let said = "caller `visitor-desk` is SUSPENDED since ";
        assert!(error.contains(said) && error.contains("(tablet lost)"), "{arguments:?}: {error}");
        let (_, out, _) = run(&[arguments, &["--format", "json"]].concat());
        assert!(out.contains("\"suspended\":true"), "{arguments:?}: {out}");
    }
    // Whoever makes it a token is told as well.
    for arguments in [&["caller", "new", "visitor-desk"][..], &["caller", "rotate", "visitor-desk"]]
    {
        let (code, _, error) = run(arguments);
        assert_eq!(code, 0, "{error}");
        assert!(error.contains("note: caller `visitor-desk` is suspended since"), "{error}");
    }
    let (code, _, error) = run(&["caller", "revoke", "visitor-desk", "--all"]);
    assert_eq!(code, 0);
    let said = "still accepted with a certificate: `spiffe://example.org/front/visitor-desk`";
    assert!(error.contains(said), "{error}");
}

#[test]
fn a_job_learns_by_the_exit_code_that_a_token_expires() {
    let site = Site::new();
    let (code, out, note) = caller(&site, &["expiring"]);
    assert_eq!((code, out.as_str()), (0, ""), "{note}");
    assert!(note.contains("no token expires before"), "{note}");
    assert_eq!(caller(&site, &["rotate", "visitor-desk", "--overlap", "20d"]).0, 0);
    assert_eq!(caller(&site, &["expiring", "--within", "19d"]).0, 0);
    let (code, out, _) = caller(&site, &["expiring"]);
    assert_eq!(code, 2);
    assert!(out.starts_with("expires 20") && out.contains("  visitor-desk  token:t\n"), "{out}");
    let expired = ["new", "facilities", "--name", "x", "--expires", "2020-01-01T00:00:00Z"];
    assert_eq!(caller(&site, &expired).0, 0);
    let (code, out, _) = caller(&site, &["expiring", "--within", "1d", "--format", "json"]);
    assert_eq!(code, 2, "it has no other: {out}");
    let found: Value = serde_json::from_str(&out).unwrap();
    let expected = serde_json::json!([{
        "caller": "facilities", "credential": "token:x", "expires": "2020-01-01T00:00:00Z",
        "expired": true, "last": true, "suspended": false,
    }]);
    assert_eq!(found, expected);
}

/// Through a symbolic link, and all at once: no edit loses another's.
#[test]
fn edits_at_the_same_time_are_all_kept() {
    let site = Site::new();
    std::fs::rename(site.path("callers.toml"), site.path("real.toml")).unwrap();
    std::os::unix::fs::symlink("real.toml", site.path("callers.toml")).unwrap();
    for id in 0..6 {
        assert_eq!(caller(&site, &["new", &format!("c{id}"), "--name", "a"]).0, 0);
    }
    std::thread::scope(|scope| {
        for id in 0..6 {
            let site = &site;
            scope.spawn(move || {
                let id = format!("c{id}");
                assert_eq!(caller(site, &["suspend", &id, "--reason", "x"]).0, 0);
                assert_eq!(caller(site, &["rotate", &id, "--name", "b"]).0, 0);
            });
        }
    });
    assert!(site.path("callers.toml").is_symlink());
    let text = std::fs::read_to_string(site.path("real.toml")).unwrap();
    assert_eq!(text.matches("suspended = {").count(), 6, "{text}");
    assert_eq!(text.matches("name = \"b\"").count(), 6, "{text}");
    assert!(text.starts_with("# The services that may call"), "{text}");
}
