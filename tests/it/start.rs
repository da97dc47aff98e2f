//! Starting and stopping a real process.

use std::time::Duration;

use crate::seam::{Behaviour, Seam};
use crate::support::process::{Process, signal};
use crate::support::{LOBBY, PATH, Site, ended_in_order, grant_body, of_event, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_answers_and_records_what_is_in_flight() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::Slow(Duration::from_millis(500))).await;
    let process = Process::serve(&site, &seam);
    let request = site
        .client()
        .post(format!("https://localhost:{}{PATH}", process.address.port()))
        .bearer_auth(&site.token)
        .header("content-type", "application/json")
        .body(grant_body(LOBBY));
    let answer = tokio::spawn(request.send());
    until("the grant is forwarded", || seam.requests().len() == 1).await;
    signal(process.id(), "TERM");
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    let code = tokio::task::spawn_blocking(|| process.wait()).await.unwrap();
    assert_eq!(code, Some(0));
    let records = site.records();
    assert_eq!(of_event(&records, "grant.outcome")[0]["outcome"], "granted");
    ended_in_order(&records);
}

/// What `serve` prints and how it ends.
fn serve(site: &Site, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args(["serve", "--config"])
        .arg(site.path("grantgate.toml"))
        .current_dir(site.root())
        .env("GRANTGATE__LISTENER__ADDRESS", "127.0.0.1:0")
        .env("GRANTGATE__ADMIN__ADDRESS", "127.0.0.1:0")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn what_is_wrong_stops_the_start_with_a_code_and_a_cause() {
    let site = Site::new();
    let rules = site.path("policies/policy.csv");
    let good = std::fs::read_to_string(&rules).unwrap();

    std::fs::write(&rules, "").unwrap();
    let (code, text) = serve(&site, &[]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("policy.csv: has no rule"), "{text}");

    std::fs::write(&rules, good.replace("deny", "denny")).unwrap();
    let (code, text) = serve(&site, &[]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("policy.csv:20:70: `denny` is not an effect"), "{text}");

    std::fs::remove_file(&rules).unwrap();
    assert_eq!(serve(&site, &[]).0, Some(3));
    std::fs::write(&rules, good).unwrap();

    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let first = Process::serve(&site, &seam);
    let (code, text) = serve(&site, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("another process uses it"), "{text}");
    signal(first.id(), "TERM");
    assert_eq!(first.wait(), Some(0));

    let log = site.path("audit/00000000000000000001.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replacen("\"seq\":1,", "\"sex\":1,", 1)).unwrap();
    let (code, text) = serve(&site, &[]);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("is damaged at line 1"), "{text}");
}

/// A file, what is written into it, and the settings that name it.
type Broken = (&'static str, Option<&'static [u8]>, Vec<(&'static str, &'static str)>);

fn broken() -> Vec<Broken> {
    let remote = |file| {
        let with = |name, own| (name, if name == file { "x" } else { own });
        vec![
            ("GRANTGATE__ADMIN__REMOTE__ADDRESS", "127.0.0.1:0"),
            with("GRANTGATE__ADMIN__REMOTE__CERTIFICATE_FILE", "certs/server.pem"),
            with("GRANTGATE__ADMIN__REMOTE__PRIVATE_KEY_FILE", "certs/server.key"),
            with("GRANTGATE__ADMIN__REMOTE__CLIENT_CA_FILE", "certs/callers-ca.pem"),
        ]
    };
    let export = |name| {
        vec![("GRANTGATE__AUDIT__EXPORT__URL", "https://collector.example/v1/logs"), (name, "x")]
    };
    let traces = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "x"),
    ];
    let pseudonyms = vec![
        ("GRANTGATE__AUDIT__PSEUDONYMISE", "on"),
        ("GRANTGATE__AUDIT__PSEUDONYM_KEY_FILE", "x"),
    ];
    let signing = |file| vec![("GRANTGATE__AUDIT__SIGNING_KEY_FILE", file)];
    let (public, nothing, no_text) =
        ("audit_signing_key.pub", Some(&b""[..]), Some(&b"\0\xff"[..]));
    vec![
        ("x", Some(b"-----BEGIN"), vec![("GRANTGATE__LISTENER__CERTIFICATE_FILE", "x")]),
        ("x", Some(b"-----BEGIN"), vec![("GRANTGATE__LISTENER__PRIVATE_KEY_FILE", "x")]),
        ("x", nothing, vec![("GRANTGATE__LISTENER__CLIENT_CA_FILE", "x")]),
        ("x", nothing, vec![("GRANTGATE__LISTENER__CLIENT_CRL_FILE", "x")]),
        ("x", nothing, remote("GRANTGATE__ADMIN__REMOTE__CERTIFICATE_FILE")),
        ("x", nothing, remote("GRANTGATE__ADMIN__REMOTE__PRIVATE_KEY_FILE")),
        ("x", nothing, remote("GRANTGATE__ADMIN__REMOTE__CLIENT_CA_FILE")),
        ("x", nothing, vec![("GRANTGATE__UPSTREAM__CA_FILE", "x")]),
        ("x", Some(b"seam_pk1"), vec![("GRANTGATE__UPSTREAM__API_KEY_FILE", "x")]),
        ("x", Some(b"example.org/doors+00"), signing("x")),
        (public, None, signing(public)),
        ("x", no_text, signing("x")),
        ("x", no_text, pseudonyms),
        ("x", nothing, export("GRANTGATE__AUDIT__EXPORT__CA_FILE")),
        ("x", Some(b"nonsense"), export("GRANTGATE__AUDIT__EXPORT__HEADERS_FILE")),
        ("callers.toml", Some(b"[[caller]]"), vec![]),
        ("policies/model.conf", nothing, vec![]),
        ("policies/policy.csv", nothing, vec![]),
        ("x", nothing, traces),
    ]
}

#[test]
fn what_keeps_serve_from_starting_is_what_check_says() {
    use std::os::unix::fs::PermissionsExt as _;
    for (file, text, settings) in broken() {
        let site = Site::new();
        if let Some(text) = text {
            std::fs::write(site.path(file), text).unwrap();
        }
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(site.path(file), private).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_grantgate"))
            .args(["check", "--format", "json", "--config"])
            .arg(site.path("grantgate.toml"))
            .current_dir(site.root())
            .envs(settings.iter().copied())
            .output()
            .unwrap();
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let problems = found["problems"].as_array().unwrap().iter();
        let errors: Vec<_> = problems.filter(|p| p["kind"] == "error").collect();
        assert!(!errors.is_empty(), "{settings:?}: {found}");
        let (code, said) = serve(&site, &settings);
        assert_eq!(code, Some(3), "{settings:?}: {said}");
        for problem in errors {
            let text = problem["text"].as_str().unwrap();
            assert!(said.contains(text), "{settings:?}: `{text}` in {said}");
        }
    }
}
