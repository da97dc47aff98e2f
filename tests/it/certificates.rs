//! What `/readyz` knows of certificates, `check` says too: before a start, at a start, at a
//! reload, and in readiness.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, SanType};
use serde_json::Value;

use crate::days_from_now;
use crate::seam::{Behaviour, Seam};
use crate::support::authority::Authority;
use crate::support::process::{Process, signal};
use crate::support::{Site, admin, until};

/// What `check` says, and how it ends.
fn check(site: &Site, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_grantgate"))
        .args(["check", "--deny-warnings", "--config"])
        .arg(site.path("grantgate.toml"))
        .envs(environment.iter().copied())
        // Of the site only what is tested deserves a second look.
        .env("GRANTGATE__UPSTREAM__URL", "https://connect.getseam.com")
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// A server's certificate for `localhost`, in place of the site's.
fn serve_as(site: &Site, file: &str, change: impl FnOnce(&mut CertificateParams)) {
    let authority = Authority::new_in(site, "certs/other-ca.pem");
    let (pem, key) = authority.issue_with(1, |params| {
        params.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = (days_from_now!(-9), days_from_now!(90));
        change(params);
    });
    // As a deployment does: both are there at once.
    for (name, bytes) in [("pem", pem), ("key", key)] {
        let path = site.path(&format!("certs/{file}.{name}"));
        let beside = path.with_extension("new");
        std::fs::write(&beside, bytes).unwrap();
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(beside, path).unwrap();
    }
}

const CA: (&str, &str) = ("GRANTGATE__LISTENER__CLIENT_CA_FILE", "certs/callers-ca.pem");
const CRL: (&str, &str) = ("GRANTGATE__LISTENER__CLIENT_CRL_FILE", "certs/callers.crl");
const REQUIRED: (&str, &str) = ("GRANTGATE__LISTENER__CLIENT_CERTIFICATES", "required");
const REMOTE: [(&str, &str); 4] = [
    ("GRANTGATE__ADMIN__REMOTE__ADDRESS", "127.0.0.1:0"),
    ("GRANTGATE__ADMIN__REMOTE__CERTIFICATE_FILE", "certs/admin.pem"),
    ("GRANTGATE__ADMIN__REMOTE__PRIVATE_KEY_FILE", "certs/admin.key"),
    ("GRANTGATE__ADMIN__REMOTE__CLIENT_CA_FILE", "certs/callers-ca.pem"),
];

type Settings = Vec<(&'static str, &'static str)>;
type Prepare = fn(&Site) -> Settings;

/// A list of an authority that the callers have, good for this many days.
fn revocation_list(site: &Site, days: i64) -> Settings {
    let authority = Authority::new(site);
    let list = authority.list(&[7], 1, |params| params.next_update = days_from_now!(days));
    std::fs::write(site.path("certs/callers.crl"), list).unwrap();
    vec![CA, CRL]
}

/// Name, what is prepared, where it is said, the mark in `/readyz?verbose`, and a part.
type Error = (&'static str, Prepare, &'static str, &'static str, &'static str);

const ERRORS: &[Error] = &[
    (
        "an expired certificate",
        |site| {
            serve_as(site, "server", |params| params.not_after = days_from_now!(-1));
            vec![]
        },
        "certs/server.pem:1: ",
        "[-]",
        "the certificate expired at ",
    ),
    (
        "a certificate of tomorrow",
        |site| {
            serve_as(site, "server", |params| params.not_before = days_from_now!(1));
            vec![]
        },
        "certs/server.pem:1: ",
        "[-]",
        "the certificate is not valid before ",
    ),
    (
        "an expired certificate of the admin listener",
        |site| {
            serve_as(site, "admin", |params| params.not_after = days_from_now!(-1));
            REMOTE.to_vec()
        },
        "certs/admin.pem:1: ",
        "[!]",
        "the certificate expired at ",
    ),
    (
        "a certificate of the admin listener of tomorrow",
        |site| {
            serve_as(site, "admin", |params| params.not_before = days_from_now!(1));
            REMOTE.to_vec()
        },
        "certs/admin.pem:1: ",
        "[!]",
        "the certificate is not valid before ",
    ),
    (
        "a list past its next update",
        |site| revocation_list(site, -1),
        "certs/callers.crl:1: ",
        "[!]",
        "the revocation list of CN=rcgen self signed cert was good until ",
    ),
    (
        "a list past its next update, where certificates are required",
        |site| [revocation_list(site, -1), vec![REQUIRED]].concat(),
        "certs/callers-ca.pem: ",
        "[-]",
        "nobody can connect",
    ),
    (
        "an authority without a list",
        |site| {
            let settings = revocation_list(site, 1);
            let other = Site::new().read("certs/callers-ca.pem");
            let both = [site.read("certs/callers-ca.pem"), other].concat();
            std::fs::write(site.path("certs/callers-ca.pem"), both).unwrap();
            settings
        },
        "certs/callers-ca.pem:",
        "[!]",
        "the 2nd authority (CN=grantgate development callers) has no revocation list in ",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_readiness_knows_is_an_error_before_and_a_warning_after_the_start() {
    for (name, prepare, place, mark, part) in ERRORS {
        let site = Site::new();
        let settings = prepare(&site);
        let (code, text) = check(&site, &settings);
        assert_eq!(code, Some(3), "{name}: {text}");
        let is_it = |line: &str| line.contains(place) && line.contains(part);
        let mut errors = text.lines().filter(|line| line.starts_with("error: "));
        assert!(errors.any(is_it), "{name}: {text}");

        let seam = Seam::start(&site, Behaviour::confirm()).await;
        let process = Process::serve_with(&site, &seam, &settings);
        let warned = |line: &String| line.contains("\"level\":\"WARN\"") && is_it(line);
        assert!(process.log().iter().any(warned), "{name}: {:#?}", process.log());
        let (status, said) = admin(process.admin, "/readyz?verbose").await;
        let line = said.lines().find(|line| line.contains("certificates: ")).unwrap();
        assert!(line.starts_with(mark) && is_it(line), "{name}: {said}");
        assert_eq!(status, if *mark == "[-]" { 503 } else { 200 }, "{name}");
        let status: Value = serde_json::from_str(&admin(process.admin, "/status").await.1).unwrap();
        let findings = status["certificate_findings"].as_array().unwrap();
        assert!(
            findings
                .iter()
                .any(|f| f["severity"] != "warning" && f["text"].as_str().unwrap().contains(part)),
            "{name}: {status}"
        );
        signal(process.id(), "TERM");
        assert_eq!(process.wait(), Some(0));
    }
}

/// `SEQUENCE { SEQUENCE { caIssuers, [6] "http://x/i" } }`
const FETCH_ISSUER: &[u8] =
    b"\x30\x18\x30\x16\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x0ahttp://x/i";

/// Name, what is done to a site, and a part of the text.
type Warning = (&'static str, fn(&Site), &'static str);

const WARNINGS: &[Warning] = &[
    (
        "another host",
        |site| {
            serve_as(site, "server", |params| {
                params.subject_alt_names = vec![SanType::DnsName("door".try_into().unwrap())];
            });
        },
        "does not cover `localhost` of `listener.hostnames`",
    ),
    (
        "a client's",
        |site| {
            serve_as(site, "server", |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            });
        },
        "its extended key usage lacks `serverAuth`",
    ),
    (
        "expires soon",
        |site| serve_as(site, "server", |params| params.not_after = days_from_now!(9)),
        ", in 8 days: replace it",
    ),
    (
        "without its intermediate",
        |site| {
            serve_as(site, "server", |params| {
                let id = [1, 3, 6, 1, 5, 5, 7, 1, 1];
                let extension = CustomExtension::from_oid_content(&id, FETCH_ISSUER.to_vec());
                params.custom_extensions = vec![extension];
            });
        },
        "does not follow, and is not an authority that this machine trusts",
    ),
    (
        "followed by one that has not signed it",
        |site| {
            serve_as(site, "server", |_| {});
            let others = Site::new().read("certs/servers-ca.pem");
            let both = [site.read("certs/server.pem"), others].concat();
            std::fs::write(site.path("certs/server.pem"), both).unwrap();
        },
        "the 2nd certificate (CN=grantgate development servers) has not signed the one before it",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_may_not_like_is_a_warning_before_and_after_the_start() {
    let hosts = [("GRANTGATE__LISTENER__HOSTNAMES", "localhost")];
    for (name, prepare, part) in WARNINGS {
        let site = Site::new();
        assert_eq!(check(&site, &hosts), (Some(0), "valid\n".to_owned()), "{name}: before");
        let seam = Seam::start(&site, Behaviour::confirm()).await;
        let process = Process::serve_with(&site, &seam, &hosts);
        assert!(!process.log().concat().contains(part), "{name}: before");
        prepare(&site);
        let (code, text) = check(&site, &hosts);
        assert_eq!(code, Some(2), "{name}: {text}");
        let is_it = |line: &str| line.contains("certs/server.pem:") && line.contains(part);
        let warned = |line: &str| line.starts_with("warning: ") && is_it(line);
        assert!(text.lines().any(warned), "{name}: {text}");

        // A reload says it too.
        signal(process.id(), "HUP");
        let warned = |line: &String| line.contains("\"level\":\"WARN\"") && is_it(line);
        until(name, || process.log().iter().any(warned)).await;
        let mut severity = Value::Null;
        for _ in 0..500 {
            let status = admin(process.admin, "/status").await.1;
            let status: Value = serde_json::from_str(&status).unwrap();
            severity = status["certificate_findings"][0]["severity"].clone();
            if !severity.is_null() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(severity, "warning", "{name}");
        // The gateway stays in service.
        let (status, said) = admin(process.admin, "/readyz?verbose").await;
        assert!(status == 200 && said.contains("[+] certificates: server expires"), "{said}");
        signal(process.id(), "TERM");
        assert_eq!(process.wait(), Some(0));
    }
}

/// As it is documented: trust in an authority has no end.
#[tokio::test]
async fn what_an_expired_authority_has_signed_is_accepted_with_a_warning() {
    let site = Site::new();
    let authority = Authority::with(&site, "certs/callers-ca.pem", |params| {
        params.not_after = days_from_now!(-1);
    });
    let (code, text) = check(&site, &[CA]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("what it has signed is still accepted"), "{text}");
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[CA]).await;
    let answer = crate::tls::ask(&site, &gateway, Some(authority.issue(1)), None).await;
    assert_eq!(answer, "HTTP/1.1 200 OK");
    gateway.stop().await;
}

/// A mistake in another file does not hide it.
#[test]
fn check_says_it_beside_other_problems() {
    let site = Site::new();
    serve_as(&site, "server", |params| params.not_after = days_from_now!(-1));
    std::fs::write(site.path("policies/policy.csv"), "nonsense\n").unwrap();
    let (code, text) = check(&site, &[]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("policy.csv:1") && text.contains("the certificate expired"), "{text}");
}
