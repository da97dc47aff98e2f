//! Values that nothing can ever match, and settings that cannot be meant together.

use super::*;

/// The minimal configuration with these lines in these sections, and these variables.
pub(super) fn with(
    sections: &[(&str, &str)],
    variables: &[(&str, &str)],
) -> Result<Settings, Vec<Problem>> {
    let mut text = MINIMAL.to_owned();
    for (section, lines) in sections {
        let head = format!("[{section}]\n");
        if text.contains(&head) {
            text = text.replacen(&head, &format!("{head}{lines}\n"), 1);
        } else {
            text.push_str(&format!("{head}{lines}\n"));
        }
    }
    load(Path::new("/etc/gg/g.toml"), &text, &environment(variables))
}

fn said(found: &[Problem]) -> Vec<String> {
    found.iter().map(Problem::to_string).collect()
}

/// The only problem, with its place.
pub(super) fn refused(sections: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
    let found = said(&with(sections, variables).expect_err(&format!("{sections:?} {variables:?}")));
    let [problem] = found.as_slice() else { panic!("{sections:?} {variables:?}: {found:#?}") };
    problem.clone()
}

/// The only warning.
pub(super) fn warned(sections: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
    let found = said(&with(sections, variables).unwrap().warnings);
    let [warning] = found.as_slice() else { panic!("{sections:?} {variables:?}: {found:#?}") };
    warning.clone()
}

#[test]
fn a_hostname_that_no_request_can_name_is_refused() {
    for (name, part) in [
        ("localhost:8443", "`localhost:8443` has a port"),
        ("https://localhost", "`https://localhost` is a URL"),
        ("localhost/", "has a path"),
        ("*.internal", "has a wildcard"),
        (" localhost", "has a blank"),
        ("local host", "has a blank"),
        ("%6cocalhost", "has an escape"),
        ("münchen.example", "begins with `xn--`: `xn--mnchen-3ya.example`"),
        ("gate..internal", "has an empty part"),
        ("127.0.0.256", "is not an IP address"),
        ("", "has an empty name, which no request has; leave the list empty"),
    ] {
        let line = format!("hostnames = [\"gate.internal\", \"{name}\"]");
        let problem = refused(&[("listener", &line)], &[]);
        assert!(problem.starts_with("/etc/gg/g.toml:3:31: "), "{problem}");
        assert!(problem.contains(part), "{name}: {problem}");
        // In a list of the environment, blanks beside a comma are not part of an element.
        if name.starts_with(' ') {
            continue;
        }
        let variable = "GRANTGATE__LISTENER__HOSTNAMES";
        let problem = refused(&[], &[(variable, &format!("gate.internal,{name}"))]);
        assert!(problem.starts_with(&format!("environment variable {variable}: ")), "{problem}");
        let part = if name.is_empty() { "has an empty element" } else { part };
        assert!(problem.contains(part), "{name}: {problem}");
    }
}

#[test]
fn hostnames_are_folded_and_each_is_there_once() {
    let written = r#"hostnames = ["Gate.Internal.", "[::1]", "2001:DB8:0::1", "10.0.0.1"]"#;
    let settings = with(&[("listener", written)], &[]).unwrap();
    let hostnames: Vec<&str> = settings.listener.hostnames.iter().map(Host::as_str).collect();
    assert_eq!(hostnames, ["gate.internal", "::1", "2001:db8::1", "10.0.0.1"]);
    let twice = refused(&[("listener", "hostnames = [\"a\", \"A.\"]")], &[]);
    assert!(twice.contains(":3:19: `A.` is in `listener.hostnames` twice"), "{twice}");
    assert!(with(&[("listener", "hostnames = []")], &[]).unwrap().listener.hostnames.is_empty());
}

#[test]
fn a_variable_is_a_value_and_nothing_around_it() {
    for (name, value, part) in [
        ("GRANTGATE__LOG__LEVEL", "", "is empty; unset it"),
        ("GRANTGATE__LISTENER__HOSTNAMES", "", "is empty; unset it"),
        ("GRANTGATE__LOG__LEVEL", "info ", "blanks or a line end"),
        ("GRANTGATE__LIMITS__HEADERS_MAX", "64\n", "blanks or a line end"),
        ("GRANTGATE__LOG__LEVEL", "\"info\"", "quotes around its value"),
        ("GRANTGATE__CALLERS__FILE", "'callers.toml'", "quotes around its value"),
        ("GRANTGATE__LISTENER__HOSTNAMES", "a,", "has an empty element"),
        ("GRANTGATE__LISTENER__HOSTNAMES", "[\"a\", \"b\"]", "without brackets and quotes"),
        ("GRANTGATE__LISTENER__HOSTNAMES", "a,'b'", "without brackets and quotes"),
        ("GRANTGATE__AUDIT__ANCHOR_COMMAND", "[]", "without brackets and quotes"),
        ("SEAM_WORKSPACE_ID", "w\n", "blanks or a line end"),
    ] {
        let problem = refused(&[], &[(name, value)]);
        assert!(problem.starts_with(&format!("environment variable {name}: ")), "{problem}");
        assert!(problem.contains(part), "{name}={value:?}: {problem}");
    }
}

#[test]
fn a_variable_that_is_not_read_is_pointed_out() {
    let right = "GRANTGATE__LISTENER__ADDRESS";
    for (name, part) in [
        ("GRANTGATE__", "there is no setting ``"),
        ("GRANTGATE__LISTENER", "there is no setting `listener`"),
        (
            "GRANTGATE__LISTENER_ADDRESS",
            "there is no setting `listener_address`; write GRANTGATE__LISTENER__ADDRESS",
        ),
        ("GRANTGATE__LISTENER___ADDRESS", "; write GRANTGATE__LISTENER__ADDRESS"),
        ("grantgate__listener__address", "is not read; write GRANTGATE__LISTENER__ADDRESS"),
        ("Grantgate__nothing", "is not read: write the name in upper case"),
    ] {
        let problem = refused(&[], &[(name, "127.0.0.1:1")]);
        assert!(problem.starts_with(&format!("environment variable {name}: ")), "{problem}");
        assert!(problem.contains(part), "{name}: {problem}");
    }
    // May be meant for somebody else.
    for name in
        ["GRANTGATE_LISTENER_ADDRESS", "GRANTGATE_LISTENER__ADDRESS", "grantgate_listener_address"]
    {
        let warning = warned(&[], &[(name, "127.0.0.1:1")]);
        assert_eq!(
            warning,
            format!("environment variable {name}: is not read; the name is {right}")
        );
    }
    // What Kubernetes sets for a service of this name.
    let foreign =
        [("GRANTGATE_SERVICE_HOST", "10.0.0.1"), ("GRANTGATE_PORT", "tcp://10.0.0.1:8443")];
    assert!(with(&[], &foreign).unwrap().warnings.is_empty());
    let both = [(right, "127.0.0.1:1"), ("GRANTGATE__listener__address", "127.0.0.1:2")];
    assert!(
        refused(&[], &both)
            .contains("GRANTGATE__LISTENER__ADDRESS sets `listener.address` already")
    );
}

#[test]
fn a_variable_that_is_not_text_is_named() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = |text: &[u8]| OsString::from_vec(text.to_vec());
    let (environment, problems) = environment_of([
        (bytes(b"GRANTGATE__LOG__LEVEL"), bytes(b"inf\xf6")),
        (bytes(b"SEAM_API_KEY"), bytes(b"seam_\xff")),
        (bytes(b"OTEL_SERVICE_NAME"), bytes(b"\xff")),
        (bytes(b"grantgate__log__level"), bytes(b"\xff")),
        (bytes(b"GRANTGATE__L\xd6G"), bytes(b"info")),
        (bytes(b"LS_COLORS"), bytes(b"\xff")),
        (bytes(b"\xff"), bytes(b"1")),
        (bytes(b"GRANTGATE__LOG__FORMAT"), bytes(b"json")),
    ]);
    assert_eq!(environment.len(), 1);
    assert_eq!(
        said(&problems),
        [
            "environment variable GRANTGATE__LOG__LEVEL: its value is not UTF-8",
            "environment variable SEAM_API_KEY: its value is not UTF-8",
            "environment variable OTEL_SERVICE_NAME: its value is not UTF-8",
            "environment variable grantgate__log__level: its value is not UTF-8",
            "environment variable GRANTGATE__L\u{fffd}G: its name is not UTF-8",
        ]
    );
}

#[test]
fn a_url_is_what_it_reads_as() {
    for (url, part) in [
        ("connect.getseam.com", "must be a URL such as https://connect.getseam.com"),
        ("https:connect.getseam.com", "would be read as `https://connect.getseam.com/`"),
        ("https:\\\\\\\\connect.getseam.com", "would be read as `https://connect.getseam.com/`"),
        (" https://connect.getseam.com", "would be read as"),
        ("https://connect.\\tgetseam.com", "would be read as"),
        ("https://%63onnect.getseam.com", "would be read as"),
        ("https://münchen.example", "would be read as `https://xn--mnchen-3ya.example/`"),
        ("https://127.1", "would be read as `https://127.0.0.1/`"),
        ("https://connect.getseam.com.", "has a dot after its host"),
        ("https://*.getseam.com", "the host `*.getseam.com` of `upstream.url` has a wildcard"),
        ("https://0.0.0.0", "nobody can be reached at `0.0.0.0`"),
        ("https://[::]", "nobody can be reached at `::`"),
        ("https://connect.getseam.com:0", "nobody can be reached at port 0"),
        ("https://localhost:8443", "is the gateway itself (`listener.address`)"),
        ("https://127.0.0.1:8443", "is the gateway itself (`listener.address`)"),
        ("https://localhost:9464", "is the gateway itself (`admin.address`)"),
    ] {
        let problem = refused(&[("upstream", &format!("url = \"{url}\""))], &[]);
        assert!(
            problem.starts_with("/etc/gg/g.toml:6:7: ") && problem.contains(part),
            "{url}: {problem}"
        );
    }
    for (url, read) in [
        ("https://connect.getseam.com/", "https://connect.getseam.com/"),
        ("HTTPS://Connect.GetSeam.com:443", "https://connect.getseam.com/"),
        ("https://[::1]:8444", "https://[::1]:8444/"),
        ("https://seam-proxy_1:8444", "https://seam-proxy_1:8444/"),
    ] {
        let settings = with(&[("upstream", &format!("url = \"{url}\""))], &[]).unwrap();
        assert_eq!(settings.upstream.workspaces[0].url.as_str(), read, "{url}");
    }
    let own = "url = \"http://localhost:9464/v1/logs\"";
    assert!(refused(&[("audit.export", own)], &[]).contains("is the gateway itself"));
    let path = "url = \"https://c.example/a/../v1/logs\"";
    assert!(refused(&[("audit.export", path)], &[]).contains("would be read as"));
}

#[test]
fn two_listeners_have_two_addresses() {
    let same = refused(&[("admin", "address = \"127.0.0.1:8443\"")], &[]);
    let expected = "`admin.address` (\"127.0.0.1:8443\") takes the port of `listener.address` (\"0.0.0.0:8443\")";
    assert!(same.contains(expected), "{same}");
    let reversed = refused(&[("listener", "address = \"127.0.0.1:9464\"")], &[]);
    assert!(reversed.contains(":3:11: `listener.address` "), "{reversed}");
    let remote = "address = \"0.0.0.0:9464\"\ncertificate_file = \"c\"\nprivate_key_file = \"k\"\nclient_ca_file = \"a\"";
    assert!(refused(&[("admin.remote", remote)], &[]).contains("`admin.remote.address` "));
    let free = warned(&[("listener", "address = \"127.0.0.1:0\"")], &[]);
    assert!(free.contains("`listener.address` has port 0"), "{free}");
}

#[test]
fn a_file_has_one_meaning() {
    for (sections, part) in [
        (
            &[("policy", "candidate_rules_file = \"policies/policy.csv\"")][..],
            "`policy.candidate_rules_file` and `policy.rules_file` name the same file",
        ),
        (&[("policy", "candidate_rules_file = \"./policies//policy.csv\"")], "name the same file"),
        (
            &[("policy", "rules_file = \"/etc/gg/policies/model.conf\"")],
            "`policy.rules_file` and `policy.model_file`",
        ),
        (
            &[("audit", "signing_key_file = \"key\"")],
            "`audit.signing_key_file` and `upstream.api_key_file`",
        ),
        (
            &[("callers", "file = \"certs/server.pem\"")],
            "`callers.file` and `listener.certificate_file`",
        ),
        (
            &[("audit", "signing_key_file = \"s\"\nanchor_file = \"callers.toml\"")],
            "`audit.anchor_file` and `callers.file`",
        ),
        (
            &[("audit", "signing_key_file = \"s\"\nanchor_file = \"audit/anchors\"")],
            "`audit.anchor_file` is in `audit.directory`",
        ),
        (&[("listener", "client_ca_file = \"\"")], "`listener.client_ca_file` is empty"),
        (&[("callers", "file = \"~/callers.toml\"")], "`~` is not replaced here"),
    ] {
        let problem = refused(sections, &[]);
        assert!(problem.contains(part), "{sections:?}: {problem}");
    }
    // Certificates and keys may be in one file.
    let bundle = "client_ca_file = \"certs/server.pem\"";
    assert!(with(&[("listener", bundle)], &[]).is_ok());
}

#[test]
fn a_command_is_found_wherever_the_gateway_runs() {
    for (command, part) in [
        ("[\"./keep\"]", "`./keep` of `audit.anchor_command` must be an absolute path"),
        ("[\"bin/keep\", \"-v\"]", "must be an absolute path"),
        ("[\"\"]", "must be an absolute path"),
    ] {
        let lines = format!("signing_key_file = \"s\"\nanchor_command = {command}");
        let problem = refused(&[("audit", &lines)], &[]);
        assert!(problem.contains(":9:19: ") && problem.contains(part), "{command}: {problem}");
    }
    for command in ["[\"logger\", \"-t\", \"x\"]", "[\"/usr/bin/logger\"]"] {
        let lines = format!("signing_key_file = \"s\"\nanchor_command = {command}");
        assert!(with(&[("audit", &lines)], &[]).is_ok(), "{command}");
    }
}

#[test]
fn a_value_that_does_nothing_is_pointed_out() {
    for (section, lines, part) in [
        (
            "limits",
            "connections_max = 10\nconnections_per_address_max = 11",
            "`limits.connections_per_address_max` is never reached: `limits.connections_max` is 10",
        ),
        (
            "limits",
            "requests_in_flight_max = 10\ncaller_requests_in_flight_max = 11",
            "`limits.caller_requests_in_flight_max` is never reached",
        ),
        (
            "limits",
            "connection_age_max_ms = 1000\nidle_timeout_ms = 1001",
            "`limits.idle_timeout_ms` is never reached",
        ),
        ("limits", "drain_timeout_ms = 8999", "is shorter than `limits.answer_deadline_ms` (9000)"),
        (
            "upstream",
            "deadline_ms = 9001",
            "`upstream.deadline_ms` is never reached: `limits.answer_deadline_ms` is 9000",
        ),
        ("upstream", "connect_timeout_ms = 8001", "`upstream.connect_timeout_ms` is never reached"),
        (
            "upstream",
            "breaker_failures = 0\nbreaker_pause_ms = 100",
            "`upstream.breaker_pause_ms` does nothing",
        ),
        (
            "audit",
            "retention_bytes_max = 1048576",
            "`audit.retention_bytes_max` is less than one segment",
        ),
    ] {
        let warning = warned(&[(section, lines)], &[]);
        assert!(warning.contains(part), "{lines}: {warning}");
        assert!(warning.starts_with("/etc/gg/g.toml:"), "{warning}");
    }
    // Only where it was set: a default may be out of reach.
    for (section, lines) in [
        ("limits", "connections_max = 10"),
        ("limits", "requests_in_flight_max = 10"),
        ("limits", "connection_age_max_ms = 1000"),
        ("limits", "answer_deadline_ms = 500"),
        ("limits", "answer_deadline_ms = 60000"),
        ("upstream", "deadline_ms = 100"),
        ("upstream", "breaker_failures = 0"),
    ] {
        assert_eq!(
            said(&with(&[(section, lines)], &[]).unwrap().warnings),
            Vec::<String>::new(),
            "{lines}"
        );
    }
    let answer = [("limits", "answer_deadline_ms = 500"), ("audit", "commit_wait_ms = 501")];
    assert!(warned(&answer, &[]).contains("`audit.commit_wait_ms` is never reached"));
    let key = warned(&[], &[("SEAM_API_KEY", "seam_x")]);
    assert_eq!(
        key,
        "environment variable SEAM_API_KEY: is not used: the configuration names a file for the workspace key"
    );
}

#[test]
fn a_workspace_id_is_what_a_header_can_hold() {
    for id in ["", " ", "a b", "\\t"] {
        let problem = refused(&[("upstream", &format!("workspace_id = \"{id}\""))], &[]);
        assert!(
            problem.contains("`upstream.workspace_id` must be the workspace's uuid"),
            "{id:?}: {problem}"
        );
    }
}

#[test]
fn the_log_format_is_known_before_all_else_is_right() {
    let json = [("GRANTGATE__LOG__FORMAT", "json")];
    for (text, variables, format) in [
        (None, &[][..], LogFormat::Human),
        (None, &json, LogFormat::Json),
        (Some("[log]\nformat = \"json\"\n[audit]\nx = 1"), &[], LogFormat::Json),
        (
            Some("[log]\nformat = \"json\""),
            &[("GRANTGATE__LOG__FORMAT", "human")],
            LogFormat::Human,
        ),
        (Some("[log]\nformat = \"xml\""), &[], LogFormat::Human),
        (Some("= not TOML"), &[], LogFormat::Human),
        (Some("= not TOML"), &json, LogFormat::Json),
    ] {
        assert_eq!(log_format(text, &environment(variables)), format, "{text:?} {variables:?}");
    }
}
