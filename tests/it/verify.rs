//! What an auditor does with a log and a public key.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::seam::{Behaviour, Seam};
use crate::support::process::{Process, signal};
use crate::support::{
    LOBBY, PERSON, SERVER_ROOM, Site, admin, grant_body, grantgate, of_event, post, until,
};

/// Exit code, standard output, standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_grantgate")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

struct Auditor<'a> {
    site: &'a Site,
    log: String,
    key: String,
}

impl<'a> Auditor<'a> {
    fn of(site: &'a Site) -> Self {
        let text = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
        Self { site, log: text(site.path("audit")), key: text(site.path("audit_signing_key.pub")) }
    }

    fn verify(&self, more: &[&str]) -> (i32, Value) {
        let fixed = ["audit", "verify", &self.log, "--key", &self.key, "--format", "json"];
        let (code, out, error) = run(&[&fixed[..], more].concat());
        let report = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code}: {out}{error}"));
        (code, report)
    }

    fn file(&self, name: &str) -> String {
        self.site.path(name).to_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auditor_verifies_a_log_and_single_records_with_the_public_key_alone() {
    let site = Site::new();
    let auditor = Auditor::of(&site);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let (anchors, told) = (site.path("anchors"), site.path("told"));
    let command = format!("sh,-c,cat >> {}", told.display());
    let gateway = site
        .start(
            &seam,
            &[
                ("GRANTGATE__AUDIT__ANCHOR_FILE", anchors.to_str().unwrap()),
                ("GRANTGATE__AUDIT__ANCHOR_COMMAND", &command),
                ("GRANTGATE__AUDIT__CHECKPOINT_RECORDS_MAX", "5"),
                ("GRANTGATE__AUDIT__SEGMENT_BYTES_MAX", "65536"),
                ("GRANTGATE__AUDIT__COMPRESS", "on"),
            ],
        )
        .await;
    let client = site.client();
    for round in 0..140 {
        let entrance = if round % 4 == 0 { SERVER_ROOM } else { LOBBY };
        post(&client, &gateway, &site.token, grant_body(entrance)).await;
    }
    // While it runs.
    let (code, report) = auditor.verify(&[]);
    assert_eq!(code, 0, "{report}");
    let status: Value = serde_json::from_str(&gateway.admin("/status").await.1).unwrap();
    let newest = status["checkpoint"]["text"].as_str().unwrap().to_owned();
    assert!(gateway.admin("/readyz?verbose").await.1.contains("[+] checkpoint: "));
    until("a closed segment is compressed", || {
        let names = std::fs::read_dir(site.path("audit")).unwrap();
        names.map(|entry| entry.unwrap().file_name()).any(|n| n.to_str().unwrap().ends_with(".zst"))
    })
    .await;
    gateway.stop().await;

    std::fs::write(site.path("status"), &newest).unwrap();
    let (status, file) = (auditor.file("status"), auditor.file("anchors"));
    let (code, report) = auditor.verify(&["--checkpoint", &file, "--checkpoint", &status]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["verified"], true);
    assert_eq!(report["uncovered"], 1, "the last checkpoint itself");
    assert!(report["anchors"].as_array().unwrap().len() > 20, "each is in the file");
    assert!(std::fs::read_to_string(&told).unwrap().contains("\n\u{2014} grantgate/audit "));

    let records = site.records();
    let denial = of_event(&records, "grant.decision").into_iter().find(|r| r["decision"] == "deny");
    let seq = denial.unwrap()["seq"].to_string();
    let proof = grantgate(&["audit", "prove", &seq, &auditor.log]);
    assert!(proof.starts_with("c2sp.org/tlog-proof@v1\nextra "), "{proof}");
    std::fs::write(site.path("one.tlog-proof"), &proof).unwrap();
    let one = auditor.file("one.tlog-proof");
    let (code, out, _) = run(&["audit", "check-proof", &one, "--key", &auditor.key]);
    assert_eq!((code, out.contains(SERVER_ROOM), out.lines().count()), (0, true, 1), "{out}");
    std::fs::write(&one, proof.replacen("index ", "index 1", 1)).unwrap();
    assert_eq!(run(&["audit", "check-proof", &one, "--key", &auditor.key]).0, 4);

    let consistent = |old: &str, new: &str, more: &[&str]| {
        run(&[&["audit", "consistency", old, new, "--key", &auditor.key], more].concat())
    };
    let written = auditor.file("proof");
    let log = ["--log", &auditor.log, "--write-proof", &written];
    let (code, out, error) = consistent(&status, &file, &log);
    assert_eq!(code, 0, "{out}{error}");
    assert_eq!(consistent(&status, &file, &["--proof", &written]).0, 0);
    assert_eq!(consistent(&file, &status, &["--proof", &written]).0, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_log_has_a_message_and_a_code_of_its_own() {
    let site = Site::new();
    let auditor = Auditor::of(&site);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    post(&site.client(), &gateway, &site.token, grant_body(LOBBY)).await;
    gateway.stop().await;
    let segment = site.path("audit/00000000000000000001.jsonl");
    let whole = std::fs::read_to_string(&segment).unwrap();
    let other = site.path("other");
    let made = grantgate(&["audit", "keygen", "example.org/x", "--out", other.to_str().unwrap()]);
    assert!(made.starts_with("example.org/x+"), "{made}");
    let (code, _, error) =
        run(&["audit", "keygen", "example.org/x", "--out", other.to_str().unwrap()]);
    assert!(code == 1 && error.contains("exists"), "a key is not overwritten: {error}");

    let table: [(&str, Option<String>, &str, i32, &str); 7] = [
        ("whole", Some(whole.clone()), &auditor.key, 0, "verified: 5 record(s), 1 to 5"),
        ("altered", Some(whole.replace("allow", "alloy")), &auditor.key, 4, "altered: record"),
        ("of others", Some(whole.clone()), made.trim(), 5, "signed by `grantgate/audit`"),
        (
            "foreign",
            Some("{\"a\":1}\nx\n".into()),
            &auditor.key,
            5,
            "not an audit log of grantgate",
        ),
        ("empty", Some(String::new()), &auditor.key, 6, "holds no audit log"),
        ("none", None, &auditor.key, 6, "holds no audit log"),
        ("newer", Some("{\"v\":2,\"seq\":1}\n".into()), &auditor.key, 7, "format version 2"),
    ];
    for (name, text, key, code, said) in table {
        match text {
            Some(text) => std::fs::write(&segment, text).unwrap(),
            None => std::fs::remove_file(&segment).unwrap(),
        }
        let found = run(&["audit", "verify", &auditor.log, "--key", key]);
        let all = format!("{}{}", found.1, found.2);
        assert!(found.0 == code && all.contains(said), "{name}: {} {all}", found.0);
    }
}

/// Logs of every version that was ever written stay readable.
#[test]
fn golden_logs_of_every_version_are_read_by_every_command() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/audit");
    for version in ["v0", "v1"] {
        let log = golden.join(version);
        let log = log.to_str().unwrap();
        let shown = grantgate(&["audit", "show", log, "--format", "json"]);
        let stored =
            std::fs::read_to_string(golden.join(version).join("00000000000000000001.jsonl"));
        assert!(shown.starts_with(&stored.unwrap()), "{version}");
        assert_eq!(grantgate(&["audit", "show", log]).lines().count(), shown.lines().count());
        let (code, out, error) = run(&["audit", "verify", log]);
        assert_eq!(code, 0, "{version}: {out}{error}");
    }
    let v1 = golden.join("v1");
    let (log, key) = (v1.to_str().unwrap(), v1.join("key.pub"));
    let key = key.to_str().unwrap();
    let (code, out, error) = run(&["audit", "verify", log, "--key", key]);
    assert_eq!(code, 0, "{out}{error}");
    let proof = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(proof.path(), grantgate(&["audit", "prove", "2", log])).unwrap();
    let path = proof.path().to_str().unwrap();
    assert_eq!(run(&["audit", "check-proof", path, "--key", key]).0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_pseudonyms_no_id_of_a_person_is_anywhere_on_the_disk() {
    let site = Site::new();
    let key = site.path("secrets/pseudonyms");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef").unwrap();
    std::os::unix::fs::PermissionsExt::set_mode(&mut key.metadata().unwrap().permissions(), 0o600);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, mode).unwrap();
    let key = key.to_str().unwrap();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let more =
        [("GRANTGATE__AUDIT__PSEUDONYMISE", "on"), ("GRANTGATE__AUDIT__PSEUDONYM_KEY_FILE", key)];
    let gateway = site.start(&seam, &more).await;
    assert_eq!(post(&site.client(), &gateway, &site.token, grant_body(LOBBY)).await.status(), 200);
    gateway.stop().await;
    assert!(seam.requests()[0].contains(PERSON), "Seam gets the id");
    let log = std::fs::read_to_string(site.path("audit/00000000000000000001.jsonl")).unwrap();
    assert!(!log.contains(PERSON) && !log.contains("body_sha256"));
    let pseudonym = grantgate(&["audit", "pseudonym", PERSON, "--key", key]);
    let decision = of_event(&site.records(), "grant.decision")[0].clone();
    assert_eq!(decision["user_identity_id"], pseudonym.trim());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_get_so_many_records_and_no_caller_loses_one() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let more = [("GRANTGATE__AUDIT__STRANGERS_PER_MINUTE_MAX", "10")];
    let gateway = site.start(&seam, &more).await;
    let client = site.client();
    for round in 0..60 {
        assert_eq!(post(&client, &gateway, "seam_gg_no", grant_body(LOBBY)).await.status(), 401);
        let entrance = if round % 2 == 0 { LOBBY } else { SERVER_ROOM };
        post(&client, &gateway, &site.token, grant_body(entrance)).await;
    }
    gateway.stop().await;
    let records = site.records();
    let failures = of_event(&records, "authn.failure");
    assert_eq!(failures.len(), 10);
    assert_eq!(failures[0]["reason"], "token-unknown");
    assert!(failures[0]["request_id"].is_string() && failures[0]["peer"].is_string());
    let suppressed = of_event(&records, "authn.suppressed");
    assert_eq!(suppressed.len(), 1);
    assert_eq!(suppressed[0]["suppressed"], 50);
    assert_eq!(suppressed[0]["reasons"]["token-unknown"], 50);
    assert_eq!(of_event(&records, "grant.decision").len(), 60, "denials are never suppressed");
    assert!(!format!("{records:?}").contains("seam_gg_no"), "nothing of the token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_anchor_that_fails_is_seen_and_costs_no_grant() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let nowhere = site.path("none/anchors");
    let more = [
        ("GRANTGATE__AUDIT__ANCHOR_FILE", nowhere.to_str().unwrap()),
        ("GRANTGATE__AUDIT__CHECKPOINT_RECORDS_MAX", "1"),
    ];
    let process = Process::serve_with(&site, &seam, &more);
    let client = site.client();
    let request = client.post(process.url()).bearer_auth(&site.token);
    let request = request.header("content-type", "application/json").body(grant_body(LOBBY));
    assert_eq!(request.send().await.unwrap().status(), 200);
    let mut text = String::new();
    for _ in 0..200 {
        text = admin(process.admin, "/readyz?verbose").await.1;
        if text.contains("[!] checkpoint") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(text.contains("[!] checkpoint: the newest checkpoint is not anchored: "), "{text}");
    assert!(text.ends_with("ready\n") && !text.contains("not ready"), "{text}");
    let metrics = admin(process.admin, "/metrics").await.1;
    let line = "grantgate_audit_upkeep_failures_total{task=\"anchor\"} ";
    let count = metrics.lines().find_map(|l| l.strip_prefix(line)).unwrap();
    assert_ne!(count, "0");
    signal(process.id(), "TERM");
    assert_eq!(tokio::task::spawn_blocking(|| process.wait()).await.unwrap(), Some(0));
}
