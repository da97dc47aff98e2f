//! The commands as a person uses them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::{Site, grantgate};

/// Exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_grantgate")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in [
        &["demo"][..],
        &["serve"],
        &["check"],
        &["init"],
        &["caller", "new"],
        &["caller", "list"],
        &["caller", "rotate"],
        &["caller", "suspend"],
        &["caller", "resume"],
        &["caller", "revoke"],
        &["caller", "expiring"],
        &["caller", "whoami"],
        &["policy", "check"],
        &["policy", "fmt"],
        &["policy", "test"],
        &["policy", "explain"],
        &["policy", "who"],
        &["policy", "doors"],
        &["policy", "diff"],
        &["policy", "replay"],
        &["policy", "promote"],
        &["entrances", "pull"],
        &["entrances", "list"],
        &["entrances", "find"],
        &["audit", "show"],
        &["audit", "keygen"],
        &["audit", "verify"],
        &["audit", "prove"],
        &["audit", "check-proof"],
        &["audit", "consistency"],
        &["audit", "compress"],
        &["audit", "prune"],
        &["audit", "pseudonym"],
        &["audit", "endorse"],
        &["audit", "query"],
        &["audit", "tail"],
        &["audit", "stats"],
        &["database", "roles"],
        &["database", "migrate"],
        &["database", "status"],
        &["database", "maintain"],
        &["database", "retire"],
        &["countersign"],
        &["deliver"],
        &["freeze"],
        &["unfreeze"],
        &["allow"],
        &["withdraw"],
        &["orders"],
        &["policy", "push"],
        &["policy", "review"],
        &["policy", "approve"],
        &["policy", "rollback"],
        &["policy", "status"],
        &["policy", "pull"],
        &["policy", "restore"],
        &["sandbox"],
    ] {
        let (code, out, _) = run(&[command, &["--help"]].concat());
        assert_eq!(code, 0, "{command:?}");
        assert!(out.contains("Example: grantgate "), "{command:?}: {out}");
    }
    assert_eq!(run(&["--version"]).0, 0);
    assert_eq!(run(&["unlock"]).0, 64, "usage");
    assert_eq!(run(&[]).0, 64);
}

#[test]
fn what_init_writes_is_valid_and_nothing_is_overwritten() {
    let site = Site::new();
    let config = site.path("grantgate.toml");
    let (code, out, error) = run(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains("the workspace key will be sent to `localhost`"), "{out}");
    let strict = ["check", "--deny-warnings", "--config", config.to_str().unwrap()];
    assert_eq!(run(&strict).0, 2);
    let (code, _, error) = run(&["init", site.root().to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(error.contains("nothing was written"), "{error}");
    for secret in ["certs/server.key", "secrets/seam_api_key"] {
        let mode = std::fs::metadata(site.path(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    let plain = tempfile::tempdir().unwrap();
    let directory = plain.path().join("gateway");
    grantgate(&["init", directory.to_str().unwrap()]);
    let config = directory.join("grantgate.toml");
    let (code, out, _) = run(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!(code, 3);
    for missing in ["certs/server.pem", "certs/server.key", "secrets/seam_api_key"] {
        assert!(out.contains(missing), "{missing} in {out}");
    }
}

#[test]
fn check_finds_every_problem_in_every_file() {
    let site = Site::new();
    let config = site.path("grantgate.toml");
    let other = Site::new();
    std::fs::write(site.path("certs/server.key"), other.read("certs/server.key")).unwrap();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(site.path("secrets/seam_api_key"), open).unwrap();
    let rules = site.path("policies/policy.csv");
    let text = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, text.replace("zone:lobby,         grant, allow", "lobby, grant, allow"))
        .unwrap();
    std::fs::write(site.path("audit"), "a file").unwrap();
    let (code, out, _) = run(&["check", "--format", "json", "--config", config.to_str().unwrap()]);
    assert_eq!(code, 3);
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["valid"], false);
    let text = found["problems"].to_string();
    for part in [
        "the private key does not belong to the certificate",
        "has mode 0644",
        "`lobby` is not an entrance, workspace or zone",
        "the audit directory cannot be written to",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let lines: Vec<_> = found["problems"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["file"].as_str().unwrap().ends_with("policy.csv"))
        .map(|p| p["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [8, 12]);
}

#[test]
fn the_workspace_key_is_no_callers_token() {
    let site = Site::new();
    std::fs::write(site.path("secrets/seam_api_key"), &site.token).unwrap();
    let (code, out, _) = run(&["check", "--config", site.path("grantgate.toml").to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(out.contains("the workspace key is also a caller's token"), "{out}");
    assert!(!out.contains(&site.token));
}

#[test]
fn callers_are_made_listed_and_revoked() {
    let site = Site::new();
    let file = site.path("callers.toml");
    let callers = ["--callers", file.to_str().unwrap()];
    let (code, token, note) = run(&[
        &["caller", "new", "kiosk", "--name", "a", "--expires", "2020-01-01T00:00:00Z"],
        &callers[..],
    ]
    .concat());
    assert_eq!(code, 0, "{note}");
    assert!(token.starts_with("seam_gg_") && token.trim().len() == 51, "{token}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(token.trim()), "only the digest is stored");
    assert!(text.starts_with("# The services that may call"), "comments stay");
    let (_, list, _) = run(&[&["caller", "list"], &callers[..]].concat());
    assert!(list.contains("kiosk") && list.contains("EXPIRED"), "{list}");
    let (code, _, error) =
        run(&[&["caller", "new", "kiosk", "--name", "a"], &callers[..]].concat());
    assert_eq!(code, 1);
    assert!(error.contains("has a token `a` already"), "{error}");
    assert_eq!(run(&[&["caller", "new", "Kiosk"], &callers[..]].concat()).0, 64);
    assert_eq!(run(&[&["caller", "revoke", "kiosk", "--token", "b"], &callers[..]].concat()).0, 1);
    assert_eq!(run(&[&["caller", "revoke", "kiosk"], &callers[..]].concat()).0, 0);
    let (_, list, _) = run(&[&["caller", "list", "--format", "json"], &callers[..]].concat());
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert!(list.as_array().unwrap().iter().all(|caller| caller["id"] != "kiosk"));
}

#[test]
fn the_sample_policy_in_the_repository_is_valid_and_without_warnings() {
    let callers = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/templates/callers.toml");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/model.conf");
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/policy.csv");
    let (code, _, error) = run(&[
        "policy",
        "check",
        "--deny-warnings",
        "--model",
        model,
        "--rules",
        rules,
        "--callers",
        callers,
    ]);
    assert_eq!(code, 0, "{error}");
    let (code, _, error) = run(&["policy", "check", "--rules", "none.csv", "--callers", callers]);
    assert_eq!(code, 3);
    assert!(error.contains("none.csv: cannot be read"), "{error}");
}

#[test]
fn a_damaged_catalogue_is_one_warning() {
    let site = Site::new();
    std::fs::write(site.path("policies/entrances.csv"), "nonsense\n").unwrap();
    let config = site.path("grantgate.toml");
    let (code, out, _) = run(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!(code, 0, "the gateway serves without names: {out}");
    assert_eq!(out.matches("entrances.csv").count(), 1, "{out}");
}

#[test]
fn showing_no_log_is_an_error_that_says_so() {
    let empty = tempfile::tempdir().unwrap();
    let (code, _, error) = run(&["audit", "show", empty.path().to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(error.contains("holds no audit log"), "{error}");
}

#[test]
fn packages_get_completions_a_manual_and_the_commit() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(grantgate(&["completions", shell]).contains("grantgate"), "{shell}");
    }
    let manual = grantgate(&["manual"]);
    for page in ["grantgate ", "grantgate-audit-show ", "grantgate-serve "] {
        assert!(manual.contains(&format!(".TH {page}")), "{page}");
    }
    let version = grantgate(&["--version"]);
    assert!(
        version.starts_with(concat!("grantgate ", env!("CARGO_PKG_VERSION"), " (")),
        "{version}"
    );
}
