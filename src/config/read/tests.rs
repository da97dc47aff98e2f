use super::*;
use crate::config::SecretSource;
use crate::domain::{Host, WorkspaceId};

mod console;
mod database;
mod matching;
mod proxies;

const MINIMAL: &str = r#"
[listener]
certificate_file = "certs/server.pem"
private_key_file = "/etc/server.key"
[upstream]
api_key_file = "key"
[audit]
directory = "audit"
"#;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn problems(text: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let result = load(Path::new("/etc/gg/grantgate.toml"), text, &environment(pairs));
    result.unwrap_err().iter().map(Problem::to_string).collect()
}

#[test]
fn paths_are_relative_to_the_file_and_defaults_fill_the_rest() {
    let settings = load(Path::new("/etc/gg/grantgate.toml"), MINIMAL, &environment(&[])).unwrap();
    assert_eq!(settings.listener.certificate_file, Path::new("/etc/gg/certs/server.pem"));
    assert_eq!(settings.listener.private_key_file, Path::new("/etc/server.key"));
    assert_eq!(settings.policy_rules_file, Path::new("/etc/gg/policies/policy.csv"));
    assert_eq!(settings.policy_entrances_file, Path::new("/etc/gg/policies/entrances.csv"));
    assert_eq!(settings.upstream.workspaces[0].url.as_str(), "https://connect.getseam.com/");
    assert_eq!(settings.limits.body_bytes_max, 8192);
    assert!(settings.warnings.is_empty());
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let text = r#"
[listener]
address = "8443"
certificate_file = 7
client_certificates = "maybe"
port = 1
[admin]
address = "0.0.0.0:9464"
[upstream]
url = "http://connect.getseam.com"
deadline_ms = 0
[limits]
body_bytes_max = "big"
[log]
format = "xml"
[extra]
"#;
    let found = problems(text, &[("GRANTGATE__LIMITS__COLOUR", "1")]);
    let expected = [
        "/etc/gg/grantgate.toml:2:1: `listener.private_key_file` is missing",
        ":3:11: `8443` is not an address and port",
        ":4:20: `listener.certificate_file` must be a string",
        ":5:23: `listener.client_certificates` must be one of `optional`, `required`",
        ":6:1: unknown key `listener.port`",
        ":8:11: the admin listener has no TLS",
        ":9:1: no workspace key",
        ":10:7: `upstream.url` must be https://",
        ":11:15: `upstream.deadline_ms` must be a whole number from 100 to 30000",
        ":13:18: `limits.body_bytes_max` must be a whole number from 256 to 65536",
        ":15:10: `log.format` must be one of `human`, `json`",
        "unknown key `extra`",
        "`audit.directory` is missing",
        "environment variable GRANTGATE__LIMITS__COLOUR: there is no setting `limits.colour`",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for part in expected {
        assert!(found.iter().any(|line| line.contains(part)), "{part} in {found:#?}");
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let pairs = [
        ("GRANTGATE__LIMITS__BODY_BYTES_MAX", "1024"),
        ("GRANTGATE__LISTENER__HOSTNAMES", "a.b, C"),
    ];
    let settings = load(Path::new("g.toml"), MINIMAL, &environment(&pairs)).unwrap();
    assert_eq!(settings.limits.body_bytes_max, 1024);
    let hostnames: Vec<&str> = settings.listener.hostnames.iter().map(Host::as_str).collect();
    assert_eq!(hostnames, ["a.b", "c"]);
}

#[test]
fn the_workspace_key_comes_from_one_place() {
    let none = MINIMAL.replace("api_key_file = \"key\"\n", "");
    let load_with = |text: &str, pairs: &[(&str, &str)]| {
        load(Path::new("g.toml"), text, &environment(pairs))
            .map(|mut s| s.upstream.workspaces.remove(0))
    };
    let credential = load_with(&none, &[("SEAM_API_KEY", "seam_x")]).unwrap().credential;
    assert!(matches!(credential.source, SecretSource::Value(ref s) if s.expose() == "seam_x"));
    let credential = load_with(MINIMAL, &[("SEAM_API_KEY", "seam_x")]).unwrap().credential;
    assert!(matches!(credential.source, SecretSource::File(_)), "the file goes first");
    let token = [("SEAM_PERSONAL_ACCESS_TOKEN", "seam_at1"), ("SEAM_WORKSPACE_ID", "w")];
    assert_eq!(load_with(&none, &token).unwrap().id, WorkspaceId::parse("w"));
    assert!(load_with(&none, &token[..1]).is_err(), "a token without workspace");
    let both = [("SEAM_API_KEY", "a"), token[0], token[1]];
    assert!(load_with(&none, &both).is_err());
    assert!(load_with(&none, &[("SEAM_API_KEY", "")]).is_err());
}

#[test]
fn another_upstream_is_allowed_and_pointed_out() {
    let text = MINIMAL.replace("[upstream]", "[upstream]\nurl = \"https://localhost:8444\"");
    let settings = load(Path::new("g.toml"), &text, &environment(&[])).unwrap();
    assert!(settings.warnings[0].text.contains("`localhost`"));
    for wrong in ["https://u:p@x", "https://x/path", "https://x/?q", "https://x/#f", "ftp://x", "x"]
    {
        let text = MINIMAL.replace("[upstream]", &format!("[upstream]\nurl = \"{wrong}\""));
        assert!(load(Path::new("g.toml"), &text, &environment(&[])).is_err(), "{wrong}");
    }
}

#[test]
fn a_collector_is_named_in_full_and_plain_http_stays_on_the_machine() {
    let with = |lines: &str| {
        let text = format!("{MINIMAL}[audit.export]\n{lines}");
        load(Path::new("/etc/gg/g.toml"), &text, &environment(&[]))
    };
    assert!(with("").unwrap().audit.export.is_none());
    for good in [
        "https://c.example/v1/logs",
        "https://c.example:4318/otlp/v1/logs",
        "http://127.0.0.1:4318/v1/logs",
        "http://[::1]:4318/v1/logs",
        "http://localhost:4318/v1/logs",
    ] {
        let settings = with(&format!("url = \"{good}\"\nheaders_file = \"h\"")).unwrap();
        let export = settings.audit.export.unwrap();
        assert_eq!(export.url.as_str(), good);
        assert_eq!(export.headers_file.as_deref(), Some(Path::new("/etc/gg/h")));
        assert_eq!((export.batch_records_max, export.timeout.as_secs()), (512, 10));
    }
    for (wrong, said) in [
        ("collector", "must be a URL such as"),
        ("ftp://c/v1/logs", "must be https://"),
        ("http://c.example/v1/logs", "http:// only to a loopback address"),
        ("http://127.0.0.1.example/v1/logs", "http:// only to a loopback address"),
        ("https://u:p@c/v1/logs", "may hold no credential"),
        ("https://c/v1/logs?key=1", "may hold no credential"),
        ("https://c", "must end with the path for logs"),
        ("https://c/v1/logs#1", "must end with the path for logs"),
    ] {
        let found = with(&format!("url = \"{wrong}\"")).unwrap_err();
        assert!(found.len() == 1 && found[0].text.contains(said), "{wrong}: {found:?}");
    }
    let all = with("timeout_ms = 1\nbatch_records_max = 0\ncolour = 1").unwrap_err();
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(
        all.iter().any(|p| p.text == "`audit.export.batch_records_max` needs `audit.export.url`")
    );
}

#[test]
fn a_secret_in_place_of_a_path_or_in_a_url_is_not_repeated() {
    let key = "seam_2bMS_SECRET";
    for setting in ["api_key_file", "personal_access_token_file"] {
        let text = MINIMAL.replace("api_key_file = \"key\"", &format!("{setting} = \"{key}\""));
        let found = problems(&text, &[("SEAM_WORKSPACE_ID", "w")]).join("\n");
        assert!(found.contains("this looks like a key of Seam's"), "{found}");
        assert!(!found.contains("SECRET"), "{found}");
    }
    for end in ["/v1/logs?token=SECRET", "/v1/logs#SECRET"] {
        let text = format!("{MINIMAL}[audit.export]\nurl = \"https://c.example:04318{end}\"\n");
        let found = problems(&text, &[]).join("\n");
        assert!(!found.contains("SECRET"), "{found}");
    }
}

#[test]
fn a_trust_domain_has_one_table_and_turns_certificates_on() {
    let table = |name: &str| format!("[[trust_domain]]\nname = \"{name}\"\nca_file = \"ca\"\n");
    let required =
        MINIMAL.replace("[listener]\n", "[listener]\nclient_certificates = \"required\"\n");
    assert_ne!(required, MINIMAL);
    let settings =
        load(Path::new("g.toml"), &format!("{required}{}", table("a")), &environment(&[]));
    let clients = settings.unwrap().listener.clients.unwrap();
    assert!(clients.required && clients.general.is_none());
    assert_eq!(clients.domains[0].name.as_str(), "a");
    for (text, said) in [
        (required, "need `listener.client_ca_file` or a `[[trust_domain]]`"),
        (format!("{MINIMAL}{0}{0}", table("a")), "a second trust domain `a`"),
        (
            format!("{MINIMAL}{}", table("spiffe://a")),
            "`spiffe://a` is not the name of a trust domain",
        ),
        (format!("{MINIMAL}{}", table("A")), "`A` is not the name of a trust domain"),
        (
            format!("{MINIMAL}[[trust_domain]]\nca_file = \"ca\"\n"),
            "`trust_domain.name` is missing",
        ),
        (format!("{MINIMAL}[[trust_domain]]\nname = \"a\"\n"), "exactly one of `ca_file` (PEM)"),
        (format!("{MINIMAL}{}bundle_file = \"b\"\n", table("a")), "exactly one of `ca_file` (PEM)"),
        (format!("{MINIMAL}{}key = 1\n", table("a")), "trust_domain.key"),
        (
            (0..33).fold(MINIMAL.to_owned(), |text, n| format!("{text}{}", table(&n.to_string()))),
            "more than 32 trust domains",
        ),
    ] {
        let found = problems(&text, &[]);
        assert!(found.len() == 1 && found[0].contains(said), "{said}: {found:?}");
        assert!(found[0].starts_with("/etc/gg/grantgate.toml:"), "{found:?}");
    }
}
