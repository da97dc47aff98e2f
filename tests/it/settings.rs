//! Settings that are not understood, as a person meets them: by `check` and by `serve`.

use std::ffi::{OsStr, OsString};
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::seam::{Behaviour, Seam};
use crate::support::http1::{connect, exchange};
use crate::support::{LOBBY, PATH, Site, grant_body};

fn run<V: AsRef<OsStr>>(command: &str, config: &Path, variables: &[(&str, V)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args([command, "--config"])
        .arg(config)
        .env("GRANTGATE__LISTENER__ADDRESS", "127.0.0.1:0")
        .env("GRANTGATE__ADMIN__ADDRESS", "127.0.0.1:0")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

/// The warnings of `check` about a valid configuration, without those that every site has.
fn warnings(site: &Site, variables: &[(&str, &str)]) -> Vec<String> {
    let output = run("check", &site.path("grantgate.toml"), variables);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let lines = text.lines().filter_map(|line| line.strip_prefix("warning: "));
    let usual = |line: &&str| line.contains("will be sent to") || line.contains("has port 0");
    lines.filter(|line| !usual(line)).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_hostname_is_one_that_requests_can_name() {
    let site = Site::new();
    let output = run(
        "check",
        &site.path("grantgate.toml"),
        &[("GRANTGATE__LISTENER__HOSTNAMES", "localhost:8443")],
    );
    let text = text(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    let said = "error: environment variable GRANTGATE__LISTENER__HOSTNAMES: `localhost:8443` has a \
                port; hosts are compared without it, so leave it out";
    assert!(text.contains(said), "{text}");

    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let hostnames = [("GRANTGATE__LISTENER__HOSTNAMES", "Gate.Internal., ::1")];
    let gateway = site.start(&seam, &hostnames).await;
    let body = grant_body(LOBBY);
    for (host, status) in [
        ("gate.internal", 200),
        ("GATE.internal.:8443", 200),
        ("[::1]:8443", 200),
        ("localhost", 421),
        ("[gate.internal]", 400),
    ] {
        let mut stream = connect(&site, gateway.address).await;
        // RFC 9110: the scheme in either case, several blanks; those at the end are not part
        // of the value.
        let request = format!(
            "POST {PATH} HTTP/1.1\r\nhost: {host}\r\nauthorization:   bearer   {}  \r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            site.token,
            body.len()
        );
        let answer = exchange(&mut stream, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
    }
    gateway.stop().await;
}

#[test]
fn a_variable_that_is_not_utf8_is_an_error() {
    let site = Site::new();
    for name in ["GRANTGATE__LISTENER__HOSTNAMES", "SEAM_API_KEY", "OTEL_SERVICE_NAME"] {
        for command in ["check", "serve"] {
            let value = OsString::from_vec(b"gate\xff".to_vec());
            let output = run(command, &site.path("grantgate.toml"), &[(name, value)]);
            let text = text(&output);
            assert_eq!(output.status.code(), Some(3), "{text}");
            let said = format!("error: environment variable {name}: its value is not UTF-8");
            assert!(text.contains(&said), "{text}");
        }
    }
}

#[test]
fn what_cannot_work_where_it_is_named_is_a_warning() {
    let site = Site::new();
    let path = |name: &str| site.path(name).to_str().unwrap().to_owned();
    assert_eq!(warnings(&site, &[]), Vec::<String>::new());
    symlink(path("policies/policy.csv"), path("policies/candidate.csv")).unwrap();
    symlink(path("audit"), path("elsewhere")).unwrap();
    std::fs::create_dir(path("audit")).unwrap();
    std::fs::write(path("program"), "").unwrap();
    for (variable, value, said) in [
        ("POLICY__CANDIDATE_RULES_FILE", "policies/candidate.csv", "by a link; give each its own"),
        ("AUDIT__ANCHOR_FILE", "certs", "is not a file"),
        ("AUDIT__ANCHOR_FILE", "nowhere/anchors", "in a directory that does not exist"),
        ("AUDIT__ANCHOR_FILE", "elsewhere/anchors", "is in `audit.directory`, by a link"),
        ("AUDIT__ANCHOR_COMMAND", "/nowhere/keep", "`/nowhere/keep` does not exist"),
        ("AUDIT__ANCHOR_COMMAND", &path("program"), "is not a program"),
        ("AUDIT__ANCHOR_COMMAND", &path("certs"), "is not a program"),
        ("AUDIT__ANCHOR_COMMAND", "no-such-program", "`no-such-program` is not in PATH"),
        ("AUDIT__ANCHOR_COMMAND", "/bin/sh -c x", "each argument is an element of its own"),
    ] {
        let found = warnings(&site, &[(&format!("GRANTGATE__{variable}"), value)]);
        assert!(found.len() == 1 && found[0].contains(said), "{variable}={value}: {found:?}");
    }
    for (variable, value) in [
        ("AUDIT__ANCHOR_FILE", "anchors"),
        ("AUDIT__ANCHOR_COMMAND", "sh, -c, cat"),
        ("AUDIT__ANCHOR_COMMAND", "/bin/sh"),
    ] {
        let found = warnings(&site, &[(&format!("GRANTGATE__{variable}"), value)]);
        assert_eq!(found, Vec::<String>::new(), "{variable}={value}");
    }
}

#[test]
fn a_caller_whose_only_credential_is_never_asked_for_is_a_warning() {
    let site = Site::new();
    let config = site.path("grantgate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\nclient_ca_file", "\n# client_ca_file")).unwrap();
    assert_eq!(warnings(&site, &[]), Vec::<String>::new(), "it has a token as well");
    let callers = site.path("callers.toml");
    let only = "[[caller]]\nid = \"mesh\"\ncertificates = [\"dns:mesh.internal\"]\n";
    let with_one = std::fs::read_to_string(&callers).unwrap() + only;
    std::fs::write(&callers, with_one).unwrap();
    let found = warnings(&site, &[]);
    let found: Vec<&String> = found.iter().filter(|line| line.contains("`mesh`")).collect();
    let said = "caller `mesh` has certificates and nothing else";
    assert!(found.iter().any(|line| line.contains(said)), "{found:?}");
}

/// The lines of a failed start, which all are JSON.
fn json_lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.stdout.is_empty());
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn every_error_of_the_start_is_a_line_of_json_where_the_log_is() {
    let site = Site::new();
    let config = site.path("grantgate.toml");
    let good = std::fs::read_to_string(&config).unwrap();
    let json = ("GRANTGATE__LOG__FORMAT", "json");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let busy = TcpListener::bind(&taken);
    let in_file = good.replace("# format = \"human\"", "format = \"json\"");
    assert_ne!(in_file, good);
    let wrong = in_file.replace("[limits]", "[limits]\nheaders_max = 1\ncolour = 1");
    let broken = format!("{good}\n= =");
    let rules = site.path("policies/policy.csv");
    for (name, text, variables, code, parts) in [
        ("settings", &wrong, &[][..], 3, &["`limits.headers_max` must be", "unknown key"][..]),
        ("not TOML", &broken, &[json], 3, &["not valid TOML"]),
        ("policy", &in_file, &[("GRANTGATE__POLICY__RULES_FILE", "none.csv")], 3, &["none.csv"]),
        ("address", &in_file, &[("GRANTGATE__ADMIN__ADDRESS", &taken)], 1, &["cannot be bound"]),
        ("socket", &good, &[json, ("LISTEN_FDS", "2")], 1, &["the service manager's socket"]),
        (
            "traces",
            &good,
            &[json, ("OTEL_EXPORTER_OTLP_ENDPOINT", "x"), ("OTEL_TRACES_EXPORTER", "y")],
            3,
            &["`y` is not supported"],
        ),
        (
            "export",
            &good,
            &[
                json,
                ("GRANTGATE__AUDIT__EXPORT__URL", "https://localhost:1/v1/logs"),
                ("GRANTGATE__AUDIT__EXPORT__CA_FILE", "none.pem"),
            ],
            3,
            &["none.pem"],
        ),
    ] {
        std::fs::write(&config, text).unwrap();
        let output = run("serve", &config, variables);
        assert_eq!(output.status.code(), Some(code), "{name}: {}", self::text(&output));
        let lines = json_lines(&output);
        let errors: Vec<&Value> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
        assert_eq!(errors.len(), parts.len(), "{name}: {lines:#?}");
        for part in parts {
            let said = |line: &&Value| line["message"].as_str().unwrap().contains(part);
            assert!(errors.iter().any(said), "{name}: {part}: {lines:#?}");
        }
    }
    drop(busy);
    let none = run("serve", &site.path("none.toml"), &[json]);
    assert_eq!(none.status.code(), Some(3));
    assert!(json_lines(&none)[0]["message"].as_str().unwrap().contains("cannot be read"));

    // For people, as before.
    std::fs::write(&config, &good).unwrap();
    std::fs::write(&rules, "").unwrap();
    let human = text(&run("serve", &config, &[] as &[(&str, &str)]));
    assert!(human.lines().any(|line| line.starts_with("error: ")), "{human}");
}

/// What `check` finds is what keeps `serve` from starting, in the same words, whichever part
/// it is in: and all of it is said before anything is made.
#[test]
fn check_and_serve_find_the_same_in_every_part() {
    let site = Site::new();
    std::fs::write(site.path("policies/policy.csv"), "p, nonsense\n").unwrap();
    std::fs::write(site.path("secrets/seam_api_key"), "changeme\n").unwrap();
    std::fs::write(site.path("secrets/audit_signing_key"), "no key\n").unwrap();
    std::fs::remove_file(site.path("certs/server.pem")).unwrap();
    let variables = [
        ("GRANTGATE__AUDIT__EXPORT__URL", "https://localhost:1/v1/logs"),
        ("GRANTGATE__AUDIT__EXPORT__CA_FILE", "none.pem"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "x"),
        ("OTEL_TRACES_EXPORTER", "y"),
    ];
    let [check, serve] = ["check", "serve"].map(|command| {
        let output = run(command, &site.path("grantgate.toml"), &variables);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
        let text = text(&output);
        let errors = text.lines().filter(|line| line.starts_with("error: "));
        errors.map(str::to_owned).collect::<Vec<_>>()
    });
    let parts =
        ["server.pem", "policy.csv", "placeholder", "audit_signing_key", "none.pem", "traces: "];
    for part in parts {
        assert_eq!(
            check.iter().filter(|line| line.contains(part)).count(),
            1,
            "{part}: {check:#?}"
        );
    }
    assert_eq!(check, serve);
    assert!(!site.path("audit").exists(), "no log was opened");
}
