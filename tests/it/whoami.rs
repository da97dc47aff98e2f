//! What a service learns about its own credential.

use std::process::Command;

use serde_json::Value;

use crate::callers::{Ran, caller, finished, ran};
use crate::seam::{Behaviour, Seam};
use crate::support::authority::Authority;
use crate::support::http1::{self, exchange};
use crate::support::{Gateway, Site, of_event};

/// Arguments, environment, standard input, exit code, and a part of what is said.
type Refused<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], Option<&'a str>, i32, &'a str);

/// Asks who the gateway takes it for: status, and the body.
pub async fn whoami(site: &Site, gateway: &Gateway, token: &str) -> (u16, Value) {
    let url = format!("https://localhost:{}/grantgate/whoami", gateway.address.port());
    let answer = site.client().get(url).bearer_auth(token).send().await.unwrap();
    let status = answer.status().as_u16();
    let id = answer.headers()["seam-request-id"].to_str().unwrap().to_owned();
    let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let shown = if status == 200 { &body["request_id"] } else { &body["error"]["request_id"] };
    assert_eq!(shown, &id, "{body}");
    (status, body)
}

/// Runs `caller whoami` against a gateway of this process.
async fn asks(site: &Site, gateway: &Gateway, arguments: &[&str], input: Option<&str>) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantgate"));
    command.args(["caller", "whoami", "--url"]);
    command.arg(format!("https://localhost:{}", gateway.address.port()));
    command.arg("--ca").arg(site.path("certs/servers-ca.pem")).args(arguments);
    command.current_dir(site.root());
    let input = input.map(str::to_owned);
    tokio::task::spawn_blocking(move || ran(command, input.as_deref())).await.unwrap()
}

#[tokio::test]
async fn a_service_learns_who_it_is_taken_for() {
    let site = Site::new();
    let authority = Authority::new(&site);
    let expires = "2100-01-01T00:00:00Z";
    let (_, dated, _) = caller(&site, &["new", "facilities", "--name", "x", "--expires", expires]);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let more = [("GRANTGATE__LISTENER__CLIENT_CA_FILE", "certs/callers-ca.pem")];
    let gateway = site.start(&seam, &more).await;
    let (status, body) = whoami(&site, &gateway, &site.token).await;
    assert_eq!(status, 200, "{body}");
    let id = body["request_id"].clone();
    let expected = serde_json::json!({
        "ok": true, "caller": "visitor-desk", "credential": "token:t", "expires": null,
        "request_id": id,
    });
    assert_eq!(body, expected, "this and nothing else");
    let (_, body) = whoami(&site, &gateway, dated.trim()).await;
    assert_eq!(body["expires"], expires);

    // By command: from a file, from standard input, by certificate.
    std::fs::write(site.path("secrets/token"), &site.token).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(site.path("secrets/token"), mode).unwrap();
    let (code, out, error) = asks(&site, &gateway, &["--token-file", "secrets/token"], None).await;
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("caller      visitor-desk\ncredential  token:t\n"), "{out}");
    assert!(out.contains("expires     does not expire\n"), "{out}");
    let json = ["--token-file", "-", "--format", "json"];
    let (_, out, _) = asks(&site, &gateway, &json, Some(dated.as_str())).await;
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["credential"], "token:x");
    let (chain, key) = authority.issue_with(7, |params| {
        params.not_after = rcgen::date_time_ymd(2099, 1, 1);
    });
    std::fs::write(site.path("c.pem"), chain).unwrap();
    std::fs::write(site.path("k.pem"), key).unwrap();
    std::fs::set_permissions(
        site.path("k.pem"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    let files = ["--certificate", "c.pem", "--key", "k.pem"];
    let (code, out, error) = asks(&site, &gateway, &files, None).await;
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("certificate:spiffe://example.org/front/visitor-desk\n"), "{out}");
    assert!(out.contains("expires     2099-01-01T00:00:00Z\n"), "{out}");
    let unknown = format!("seam_gg_{}", "x".repeat(43));
    let (code, out, error) =
        asks(&site, &gateway, &["--token-file", "-"], Some(unknown.as_str())).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        error.contains("refused: the credentials are missing, unknown or no longer"),
        "{error}"
    );

    let (_, metrics) = gateway.admin("/metrics").await;
    assert!(metrics.contains("\ngrantgate_whoami_total 5\n"), "{metrics}");
    assert!(!metrics.contains("decision=\"allow\",reason="), "it is no grant: {metrics}");
    gateway.stop().await;
    assert_eq!(seam.requests(), Vec::<String>::new(), "the upstream saw nothing");
    let records = site.records();
    assert!(of_event(&records, "grant.decision").is_empty());
    let failures = of_event(&records, "authn.failure");
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0]["reason"], "token-unknown");
}

#[tokio::test]
async fn the_own_route_is_as_strict_as_the_others() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let more = [
        ("GRANTGATE__LISTENER__HOSTNAMES", "localhost"),
        ("GRANTGATE__LIMITS__CALLER_REQUESTS_PER_SECOND", "1"),
        ("GRANTGATE__LIMITS__CALLER_REQUESTS_BURST", "3"),
    ];
    let gateway = site.start(&seam, &more).await;
    let token = &site.token;
    let head = |method: &str, target: &str, host: &str, more: &str| {
        format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n{more}\r\n")
    };
    let bearer = format!("authorization: Bearer {token}\r\n");
    let with_body = format!("{bearer}content-length: 2\r\n");
    let path = "/grantgate/whoami";
    for (what, request, status, part) in [
        ("POST", head("POST", path, "localhost", &with_body) + "{}", 405, "allow: GET\r\n"),
        ("HEAD", head("HEAD", path, "localhost", &bearer), 405, "allow: GET\r\n"),
        (
            "a query",
            head("GET", "/grantgate/whoami?a=b", "localhost", &bearer),
            400,
            "neither a query",
        ),
        ("a body", head("GET", path, "localhost", &with_body) + "{}", 400, "nor a body"),
        ("another host", head("GET", path, "elsewhere", &bearer), 421, "misdirected"),
        ("another path", head("GET", "/grantgate/whoami/", "localhost", &bearer), 404, "not_found"),
        ("nobody", head("GET", path, "localhost", ""), 401, "www-authenticate: Bearer\r\n"),
        ("the caller", head("GET", path, "localhost", &bearer), 200, "\"ok\":true"),
    ] {
        let mut stream = http1::connect(&site, gateway.address).await;
        let answer = exchange(&mut stream, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
        assert!(answer.contains(part), "{what}: {answer}");
        assert!(answer.contains("seam-request-id: "), "{what}: {answer}");
    }
    let mut stream = http1::connect(&site, gateway.address).await;
    let many = head("GET", path, "localhost", &bearer).repeat(6);
    let answers = exchange(&mut stream, many.as_bytes()).await;
    assert!(answers.contains("HTTP/1.1 429 ") && answers.contains("retry-after: "), "{answers}");
    gateway.stop().await;
}

#[tokio::test]
async fn whoami_sends_nothing_that_is_not_a_callers_token() {
    let site = Site::new();
    let run = |arguments: &[&str], environment: &[(&str, &str)], input: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantgate"));
        command.args(["caller", "whoami"]).args(arguments).current_dir(site.root());
        command.env_remove("SEAM_API_KEY").env_remove("SEAM_ENDPOINT");
        command.envs(environment.iter().copied());
        finished(&mut command, input)
    };
    let here = ["--url", "https://localhost:1", "--ca", "certs/servers-ca.pem"];
    let (key, token) = ("seam_workspace_key_canary", format!("seam_gg_{}", "A".repeat(43)));
    let file = |token_file: &'static str| [&here[..], &["--token-file", token_file]].concat();
    std::fs::write(site.path("open"), &token).unwrap();
    let (with_key, with_token) = ([("SEAM_API_KEY", key)], [("SEAM_API_KEY", token.as_str())]);
    let rows: [Refused<'_>; 12] = [
        (&here, &with_key, None, 3, "SEAM_API_KEY holds neither a caller's token"),
        (&file("-"), &[], Some(key), 3, "standard input holds neither"),
        (&file("-"), &[], Some(""), 3, "standard input holds neither"),
        (&file("secrets/seam_api_key"), &[], None, 3, "holds neither a caller's token"),
        (&file("open"), &[], None, 3, "has mode 0644"),
        (&file("none"), &[], None, 3, "none: cannot be read"),
        (&here, &[], None, 64, "as whom?"),
        (&["--token-file", "-"], &[], Some(&token), 64, "which gateway?"),
        (&["--url", "http://localhost"], &with_token, None, 64, "must be `https://host[:port]`"),
        (&["--url", "https://localhost/x"], &with_token, None, 64, "and nothing more"),
        (&["--certificate", "certs/servers-ca.pem"], &[], None, 64, "--key"),
        (&here, &with_token, None, 1, "`https://localhost:1/` cannot be asked: "),
    ];
    for (arguments, environment, input, code, part) in rows {
        let (found, out, error) = run(arguments, environment, input);
        assert_eq!((found, out.as_str()), (code, ""), "{arguments:?}: {error}");
        assert!(error.contains(part), "{arguments:?}: {error}");
        assert!(!error.contains(key) && !error.contains(&token), "{error}");
    }
}
