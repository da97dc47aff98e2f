//! Whom audit records are sent to, and as whom.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::export::{URL, all_of, lines, until_said};
use crate::seam::{Behaviour, Seam};
use crate::support::collector::{Collector, Says};
use crate::support::metrics::until_metric;
use crate::support::{Site, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_credential_is_taken_without_a_restart() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let collector = Collector::start(Says::Needs("bearer new")).await;
    let file = site.path("secrets/collector");
    std::fs::write(&file, "authorization: Bearer old\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let url = collector.url();
    let headers = ("GRANTGATE__AUDIT__EXPORT__HEADERS_FILE", "secrets/collector");
    let gateway = site.start(&seam, &[(URL, &url), headers]).await;
    until_metric(&gateway, "grantgate_audit_export_failures_total{kind=\"refused\"}", |n| n > 0.0)
        .await;
    let cause = "401 Unauthorized; look at `audit.export.headers_file`";
    until_said(&gateway, "/readyz?verbose", cause).await;
    std::fs::write(&file, "authorization: Bearer new\n").unwrap();
    until_metric(&gateway, "grantgate_audit_export_lag_records", |lag| lag == 0.0).await;
    gateway.stop().await;
    assert_eq!(collector.taken_seqs(), all_of(&lines(&site)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_verified() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    for trusted in [true, false] {
        let collector = Seam::start(&site, Behaviour::confirm()).await;
        let url = format!("{}/v1/logs", collector.url());
        let mut settings = vec![(URL, url.as_str())];
        if trusted {
            settings.push(("GRANTGATE__AUDIT__EXPORT__CA_FILE", "certs/servers-ca.pem"));
        }
        let gateway = site.start(&seam, &settings).await;
        if trusted {
            until("it is sent", || !collector.requests().is_empty()).await;
        } else {
            until_metric(
                &gateway,
                "grantgate_audit_export_failures_total{kind=\"connection\"}",
                |n| n > 0.0,
            )
            .await;
        }
        gateway.stop().await;
        assert_eq!(collector.requests().is_empty(), !trusted);
    }
}

#[test]
fn what_is_wrong_with_it_is_said_before_it_is_needed() {
    let site = Site::new();
    std::fs::write(site.path("secrets/open"), "a: b\n").unwrap();
    std::fs::set_permissions(site.path("secrets/open"), std::fs::Permissions::from_mode(0o644))
        .unwrap();
    std::fs::write(site.path("secrets/wrong"), "a: b\nnonsense\nhost: c\n").unwrap();
    std::fs::set_permissions(site.path("secrets/wrong"), std::fs::Permissions::from_mode(0o600))
        .unwrap();
    let open = ["secrets/open: holds a secret and has mode 0644", "certs/none.pem: cannot be read"];
    let wrong = ["secrets/wrong:2: is no `name: value`", "secrets/wrong:3: `host` is set by"];
    for (headers, said) in [("secrets/open", open), ("secrets/wrong", wrong)] {
        for command in ["check", "serve"] {
            let output = Command::new(env!("CARGO_BIN_EXE_grantgate"))
                .args([command, "--config"])
                .arg(site.path("grantgate.toml"))
                .env("GRANTGATE__LISTENER__ADDRESS", "127.0.0.1:0")
                .env("GRANTGATE__ADMIN__ADDRESS", "127.0.0.1:0")
                .env(URL, "https://collector.example/v1/logs")
                .env("GRANTGATE__AUDIT__EXPORT__HEADERS_FILE", headers)
                .env("GRANTGATE__AUDIT__EXPORT__CA_FILE", "certs/none.pem")
                .output()
                .unwrap();
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(said.iter().all(|part| text.contains(part)), "{command}: {text}");
            assert_eq!(output.status.code(), Some(3), "{command}");
        }
    }
    assert!(!site.path("audit").exists(), "the log was not begun");
}
