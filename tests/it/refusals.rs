//! Every reason to refuse: its status, type, headers and audit record, and that the
//! upstream saw nothing.

use grantgate::domain::Reason;
use grantgate::gateway::Refusal;
use serde_json::Value;

use crate::seam::{Behaviour, Seam};
use crate::support::{Gateway, LOBBY, PERSON, SERVER_ROOM, Site, grant_body, of_event};

/// How to provoke a refusal.
enum Case {
    /// Send this.
    Send(Sent),
    /// Held by this test instead.
    Elsewhere(&'static str),
}

struct Sent {
    method: &'static str,
    path: &'static str,
    token: Option<&'static str>,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
    status: u16,
    kind: &'static str,
}

/// A correct request of the site's caller; each case changes one thing.
fn sent(status: u16, kind: &'static str) -> Sent {
    Sent {
        method: "POST",
        path: crate::support::PATH,
        token: None,
        headers: vec![("content-type", "application/json")],
        body: grant_body(LOBBY),
        status,
        kind,
    }
}

fn body(text: String) -> Case {
    Case::Send(Sent { body: text, ..sent(400, "invalid_input") })
}

fn token(text: &'static str) -> Case {
    Case::Send(Sent { token: Some(text), ..sent(401, "unauthorized") })
}

/// Exhaustive on purpose: a new reason does not compile without a case.
fn case(reason: Reason) -> Case {
    use Case::{Elsewhere, Send};
    use Reason as R;
    match reason {
        R::AllowedByRule => Elsewhere("upstream::a_confirmed_grant_is_the_only_success"),
        R::CallerIdentified => Elsewhere("whoami::a_service_learns_who_it_is_taken_for"),
        R::DeniedByRule => Send(Sent { body: grant_body(SERVER_ROOM), ..sent(403, "forbidden") }),
        R::NoRuleMatches => Send(Sent { body: grant_body(PERSON), ..sent(403, "forbidden") }),
        R::ConditionNotMet | R::CallerOutsidePolicy | R::EntranceOutsidePolicy => {
            Elsewhere("policy::tests")
        }
        R::AllowedByException | R::Frozen => Elsewhere("orders"),
        R::BudgetExhausted => Elsewhere("budgets"),
        R::Isolated => Elsewhere("database::orders"),
        R::BudgetUnconfirmed => Elsewhere("database::limits"),
        R::PolicyError | R::PolicyPanic => Elsewhere("policy::engine::tests"),
        R::RouteUnknown => Send(Sent { path: "/acs/entrances/unlock", ..sent(404, "not_found") }),
        R::MethodNotAllowed => Send(Sent { method: "GET", ..sent(405, "method_not_allowed") }),
        R::QueryNotAllowed => Send(Sent {
            path: "/acs/entrances/grant_access?acs_user_id=x",
            ..sent(400, "invalid_input")
        }),
        R::QueryInvalid => Send(Sent {
            method: "GET",
            path: "/acs/entrances/list?limit",
            headers: Vec::new(),
            body: String::new(),
            ..sent(400, "invalid_input")
        }),
        R::BodyNotAllowed => Send(Sent {
            method: "GET",
            path: "/acs/entrances/list?limit=1",
            body: "{}".into(),
            ..sent(400, "invalid_input")
        }),
        R::FieldInvalid => Send(Sent {
            path: "/acs/entrances/list",
            body: r#"{"limit":0}"#.into(),
            ..sent(400, "invalid_input")
        }),
        R::FramingInvalid => Elsewhere("hang_up::ambiguous_framing_never_becomes_a_second_request"),
        R::HostInvalid => Elsewhere("gateway::route::tests"),
        R::TooManyHeaders => Send(Sent {
            headers: [("content-type", "application/json")]
                .into_iter()
                .chain(std::iter::repeat_n(("x-filler", "1"), 64))
                .collect(),
            ..sent(431, "request_header_fields_too_large")
        }),
        R::HostNotServed => Send(Sent {
            headers: vec![("content-type", "application/json"), ("host", "elsewhere.example")],
            ..sent(421, "misdirected_request")
        }),
        R::WorkspaceMissing | R::WorkspaceUnknown => Elsewhere("workspaces"),
        R::IdempotencyKeyMalformed => Send(Sent {
            headers: vec![("content-type", "application/json"), ("idempotency-key", "no-quotes")],
            ..sent(400, "invalid_input")
        }),
        R::IdempotencyKeyReused | R::IdempotencyKeysExhausted | R::OutcomeUnknown => {
            Elsewhere("idempotency")
        }
        R::CredentialMissing => token(""),
        R::CredentialMalformed => token("Basic c2VhbQ=="),
        R::TokenUnknown => token("Bearer seam_gg_nobody"),
        R::TokenExpired
        | R::CertificateUnknown
        | R::CertificateMalformed
        | R::CredentialsConflict
        | R::CallerSuspended => Elsewhere("authn::tests"),
        // Where no issuer is configured.
        R::JwtIssuerUnknown => token("Bearer a.b.c"),
        R::JwtMalformed
        | R::JwtIssuerUnavailable
        | R::JwtAlgorithm
        | R::JwtKeyUnknown
        | R::JwtSignature
        | R::JwtClaims
        | R::JwtExpired
        | R::JwtNotYet
        | R::JwtAudience
        | R::JwtBinding
        | R::JwtUnmapped => Elsewhere("issuers"),
        R::AuthenticationThrottled => {
            Elsewhere("failures::an_attacker_is_throttled_and_a_caller_behind_its_address_is_not")
        }
        R::CertificateWithdrawn => Elsewhere("reload"),
        R::CertificateRefused => Elsewhere("refused_certificates"),
        R::ContentTypeInvalid => Send(Sent {
            headers: vec![("content-type", "text/plain")],
            ..sent(400, "invalid_content_type")
        }),
        R::ContentEncodingUnsupported => Send(Sent {
            headers: vec![("content-type", "application/json"), ("content-encoding", "gzip")],
            ..sent(415, "unsupported_media_type")
        }),
        R::BodyTooLarge => Send(Sent { body: " ".repeat(8193), ..sent(413, "payload_too_large") }),
        R::BodyTimeout | R::BodyIncomplete => Elsewhere("hang_up"),
        R::BodyTrailers => Elsewhere("frames::a_body_that_ends_with_trailers_is_refused"),
        R::BodyEmpty => body(String::new()),
        R::BodyByteOrderMark => body(format!("\u{feff}{}", grant_body(LOBBY))),
        R::BodyNotUtf8 => Elsewhere("seam::grant_access::tests"),
        R::BodyNotJson => body("{".into()),
        R::BodyNotObject => body(format!("[\"{LOBBY}\"]")),
        R::BodyTrailingBytes => body(format!("{}{{}}", grant_body(LOBBY))),
        R::BodyDuplicateKey => body(format!(
            r#"{{"acs_entrance_id":"{SERVER_ROOM}","\u0061cs_entrance_id":"{LOBBY}","user_identity_id":"{PERSON}"}}"#
        )),
        R::BodyUnknownKey => body(grant_body(LOBBY).replace('}', ",\"extra\":1}")),
        R::FieldNull => body(r#"{"acs_entrance_id":null}"#.into()),
        R::FieldNotString => body(r#"{"acs_entrance_id":1}"#.into()),
        R::FieldNotUuid => body(r#"{"acs_entrance_id":"lobby"}"#.into()),
        R::EntranceMissing => body(format!(r#"{{"user_identity_id":"{PERSON}"}}"#)),
        R::GranteeMissing => body(format!(r#"{{"acs_entrance_id":"{LOBBY}"}}"#)),
        R::GranteeAmbiguous => {
            body(grant_body(LOBBY).replace('}', &format!(",\"acs_user_id\":\"{PERSON}\"}}")))
        }
        R::RateLimited | R::CallerBusy => Elsewhere("gateway::admission::tests"),
        R::Overloaded => Elsewhere("audit_first::beyond_the_limit_requests_are_refused_at_once"),
        R::AuditUnavailable | R::PermitExpired => Elsewhere("audit_first"),
        R::GatewayRestarted => Elsewhere("killed"),
        R::InternalError => Elsewhere("every_refusal_has_a_fixed_wire_form"),
        R::UpstreamSuspended => {
            Elsewhere("upstream::an_upstream_that_fails_is_left_alone_for_a_while")
        }
        R::UpstreamRejected
        | R::UpstreamKeyRefused
        | R::UpstreamUnreachable
        | R::UpstreamBroken
        | R::UpstreamTimeout
        | R::UpstreamErrorInvalid
        | R::UpstreamAnswerInvalid => Elsewhere("upstream::every_other_answer_is_a_refusal"),
    }
}

#[tokio::test]
async fn every_refusal_is_answered_in_seams_shape_and_recorded() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[("GRANTGATE__LISTENER__HOSTNAMES", "localhost")]).await;
    let client = site.client();
    let mut expected = Vec::new();
    for reason in Reason::ALL {
        let Case::Send(sent) = case(*reason) else { continue };
        let request_id = provoke(&client, &gateway, &site.token, *reason, &sent).await;
        // Strangers and requests for other routes leave no record.
        let known = !matches!(sent.status, 401 | 404 | 405 | 421 | 431)
            && *reason != Reason::QueryNotAllowed;
        if known {
            expected.push((request_id, reason.as_str()));
        }
    }
    gateway.stop().await;
    let records = site.records();
    let found: Vec<(String, &str)> = of_event(&records, "grant.decision")
        .iter()
        .map(|record| {
            assert_eq!(record["decision"], "deny", "{record}");
            assert_eq!(record["caller"], "visitor-desk", "{record}");
            assert_eq!(record["credential"], "token:t", "{record}");
            (record["request_id"].as_str().unwrap().to_owned(), record["reason"].as_str().unwrap())
        })
        .collect();
    assert_eq!(found, expected, "one record for each, in order");
    assert_eq!(seam.requests(), Vec::<String>::new(), "the upstream saw nothing");
}

/// Sends it, checks the answer, and gives the request id.
async fn provoke(
    client: &reqwest::Client,
    gateway: &Gateway,
    site_token: &str,
    reason: Reason,
    sent: &Sent,
) -> String {
    let name = reason.as_str();
    let url = format!("https://localhost:{}{}", gateway.address.port(), sent.path);
    let mut request = client.request(sent.method.parse().unwrap(), url).body(sent.body.clone());
    request = match sent.token {
        None => request.bearer_auth(site_token),
        Some("") => request,
        Some(token) => request.header("authorization", token),
    };
    for (header, value) in &sent.headers {
        request = request.header(*header, *value);
    }
    let answer = request.send().await.unwrap();
    let headers = answer.headers().clone();
    assert_eq!(answer.status().as_u16(), sent.status, "{name}");
    assert_eq!(headers["content-type"], "application/json", "{name}");
    assert_eq!(headers.contains_key("www-authenticate"), sent.status == 401, "{name}");
    assert_eq!(headers.contains_key("allow"), sent.status == 405, "{name}");
    let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let request_id = headers["seam-request-id"].to_str().unwrap().to_owned();
    assert_eq!(body["ok"], false, "{name}");
    assert_eq!(body["error"]["type"], sent.kind, "{name}");
    assert_eq!(body["error"]["request_id"], request_id, "{name}");
    assert!(body["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{name}");
    let validation = &body["error"]["validation_errors"];
    assert_eq!(validation.is_object(), sent.kind == "invalid_input", "{name}");
    if sent.status == 401 {
        let message = "the credentials are missing, unknown or no longer valid";
        assert_eq!(body["error"]["message"], message, "every 401 looks alike");
    }
    request_id
}

/// Whether there is a test module or function of this path.
fn exists(path: &str) -> bool {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let names: Vec<&str> = path.split("::").collect();
    let file =
        |parts: &[&str]| std::fs::read_to_string(root.join(format!("{}.rs", parts.join("/"))));
    let in_tests = |parts: &[&str]| file(&[&["tests/it"], parts].concat());
    let in_sources = |parts: &[&str]| file(&[&["src"], parts].concat());
    match names.as_slice() {
        [module] => {
            in_tests(&[module]).is_ok()
                || in_tests(&["refusals"]).unwrap().contains(&format!("fn {module}("))
        }
        [module, function] if in_tests(&[module]).is_ok() => {
            in_tests(&[module]).unwrap().contains(&format!("fn {function}("))
        }
        [folder, module] if in_tests(&[folder, module]).is_ok() => true,
        [module, "tests"] => in_sources(&[module, "tests"]).is_ok(),
        [module, file, "tests"] => {
            in_sources(&[module, file, "tests"]).is_ok()
                || in_sources(&[module, file]).is_ok_and(|text| text.contains("mod tests {"))
        }
        _ => false,
    }
}

#[test]
fn every_refusal_has_a_fixed_wire_form() {
    for reason in Reason::ALL {
        let (status, error) = Refusal::from(*reason).wire();
        let name = reason.as_str();
        assert!(status.is_client_error() || status.is_server_error(), "{name}: never 2xx or 3xx");
        assert!(error.kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        // The draft's own status; whoever repeats it is refused again, and nothing is sent.
        let by_draft = *reason == Reason::IdempotencyKeyReused;
        assert!(status != 409 && (status != 422 || by_draft), "{name}: some SDKs would repeat it");
        match case(*reason) {
            Case::Send(sent) => {
                assert_eq!(
                    (status.as_u16(), error.kind.as_str()),
                    (sent.status, sent.kind),
                    "{name}"
                );
            }
            Case::Elsewhere(test) => assert!(exists(test), "{name}: there is no {test}"),
        }
    }
}
