use super::*;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use rustls_pki_types::CertificateDer;

use crate::domain::{CallerId, Reason};

const TOKEN: &str = "seam_gg_one";

/// Name, Authorization headers, certificate names, expected reason.
type Row<'a> = (&'a str, &'a [&'a [u8]], Option<&'a [&'a str]>, Reason);

fn callers() -> Callers {
    let text = format!(
        r#"
[[caller]]
id = "desk"
tokens = [
  {{ name = "2026-11", sha256 = "{}" }},
  {{ name = "old", sha256 = "{}", expires = 2026-01-01T00:00:00Z }},
]
certificates = ["spiffe://example.org/front/desk", "dns:desk.internal"]

[[caller]]
id = "rota"
tokens = [{{ name = "a", sha256 = "{}" }}]
certificates = ["spiffe://example.org/rota", "dns:rota.internal"]
"#,
        TokenDigest::of(TOKEN),
        TokenDigest::of("seam_gg_old"),
        TokenDigest::of("seam_gg_rota"),
    );
    Callers::parse("callers.toml", text.as_bytes()).unwrap()
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn certificate(names: &[&str]) -> PeerCertificate {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.subject_alt_names = names
        .iter()
        .map(|name| match name.strip_prefix("dns:") {
            Some(host) => rcgen::SanType::DnsName(host.try_into().unwrap()),
            None => rcgen::SanType::URI((*name).try_into().unwrap()),
        })
        .collect();
    let der: CertificateDer<'static> = params.self_signed(&key).unwrap().der().clone();
    PeerCertificate::read(&der)
}

fn ask(authorization: &[&[u8]], names: Option<&[&str]>) -> Result<(String, String), Reason> {
    let mut headers = HeaderMap::new();
    for value in authorization {
        headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
    }
    let certificate = names.map(certificate);
    let issuers = Issuers::new(Vec::new(), None);
    authenticate(&headers, certificate.as_ref(), &callers(), &issuers, now())
        .map(|p| (p.caller().to_string(), p.credential().to_owned()))
        .map_err(|failure| {
            assert_eq!(failure.known, None, "{failure:?}");
            failure.reason
        })
}

#[test]
fn a_caller_is_found_by_token_or_by_certificate() {
    let desk = |credential: &str| Ok(("desk".to_owned(), credential.to_owned()));
    let bearer: &[u8] = b"Bearer seam_gg_one";
    let spiffe = "spiffe://example.org/front/desk";
    assert_eq!(ask(&[bearer], None), desk("token:2026-11"));
    // RFC 9110, sections 11.1 and 11.4.
    for same in ["bearer seam_gg_one", "BEARER seam_gg_one", "Bearer   seam_gg_one"] {
        assert_eq!(ask(&[same.as_bytes()], None), desk("token:2026-11"), "{same}");
    }
    assert_eq!(ask(&[], Some(&[spiffe])), desk(&format!("certificate:{spiffe}")));
    assert_eq!(ask(&[], Some(&["dns:Desk.Internal"])), desk("certificate:dns:desk.internal"));
    assert_eq!(ask(&[], Some(&["dns:x.y", "dns:desk.internal"])).unwrap().0, "desk");
    assert_eq!(ask(&[bearer], Some(&[spiffe])), desk("token:2026-11"), "both name the same caller");
    assert_eq!(ask(&[bearer], Some(&["dns:mesh.internal"])), desk("token:2026-11"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn every_doubt_about_a_credential_refuses() {
    use Reason as R;
    let spiffe: &[&str] = &["spiffe://example.org/front/desk"];
    let long = format!("Bearer {}", "a".repeat(257));
    let table: &[Row<'_>] = &[
        ("nothing", &[], None, R::CredentialMissing),
        ("unknown token", &[b"Bearer seam_gg_two"], None, R::TokenUnknown),
        ("token with other case", &[b"Bearer seam_gg_ONE"], None, R::TokenUnknown),
        ("expired at this instant", &[b"Bearer seam_gg_old"], None, R::TokenExpired),
        (
            "two headers",
            &[b"Bearer seam_gg_one", b"Bearer seam_gg_one"],
            None,
            R::CredentialMalformed,
        ),
        ("list", &[b"Bearer seam_gg_one, Bearer x"], None, R::CredentialMalformed),
        ("two schemes", &[b"Bearer Bearer seam_gg_one"], None, R::CredentialMalformed),
        ("scheme alone", &[b"Bearer"], None, R::CredentialMalformed),
        ("no blank", &[b"Bearerseam_gg_one"], None, R::CredentialMalformed),
        ("token alone", &[b"seam_gg_one"], None, R::CredentialMalformed),
        ("blank before", &[b" Bearer seam_gg_one"], None, R::CredentialMalformed),
        ("blank after", &[b"Bearer seam_gg_one "], None, R::CredentialMalformed),
        ("blank within", &[b"Bearer seam_gg one"], None, R::CredentialMalformed),
        ("other scheme", &[b"Basic c2VhbTo="], None, R::CredentialMalformed),
        ("no token", &[b"Bearer "], None, R::CredentialMalformed),
        ("only padding", &[b"Bearer =="], None, R::CredentialMalformed),
        ("only blanks", &[b"Bearer   "], None, R::CredentialMalformed),
        ("blank and tab", &[b"Bearer \tseam_gg_one"], None, R::CredentialMalformed),
        ("tab", &[b"Bearer\tseam_gg_one"], None, R::CredentialMalformed),
        ("empty", &[b""], None, R::CredentialMalformed),
        ("not ASCII", &[b"Bearer seam_\xc3\xa9"], None, R::CredentialMalformed),
        ("too long", &[long.as_bytes()], None, R::CredentialMalformed),
        ("bad token, good certificate", &[b"Bearer x"], Some(spiffe), R::TokenUnknown),
        (
            "expired token, good certificate",
            &[b"Bearer seam_gg_old"],
            Some(spiffe),
            R::TokenExpired,
        ),
        ("malformed token, good certificate", &[b"Basic x"], Some(spiffe), R::CredentialMalformed),
        ("two callers", &[b"Bearer seam_gg_rota"], Some(spiffe), R::CredentialsConflict),
        ("unknown SPIFFE id", &[], Some(&["spiffe://example.org/x"]), R::CertificateUnknown),
        ("unknown host", &[], Some(&["dns:x.internal"]), R::CertificateUnknown),
        ("wildcard", &[], Some(&["dns:*.internal"]), R::CertificateUnknown),
        ("no name", &[], Some(&[]), R::CertificateUnknown),
        (
            "two URIs",
            &[],
            Some(&["spiffe://example.org/front/desk", "spiffe://example.org/x"]),
            R::CertificateMalformed,
        ),
        ("URI of no SPIFFE id", &[], Some(&["https://desk.internal/"]), R::CertificateMalformed),
        ("SPIFFE id without path", &[], Some(&["spiffe://example.org"]), R::CertificateMalformed),
        (
            "hosts of two callers",
            &[],
            Some(&["dns:desk.internal", "dns:rota.internal"]),
            R::CertificateMalformed,
        ),
        (
            "good token, malformed certificate",
            &[b"Bearer seam_gg_one"],
            Some(&["https://x/"]),
            R::CertificateMalformed,
        ),
        (
            "DNS names beside a SPIFFE id do not count",
            &[],
            Some(&["spiffe://example.org/x", "dns:desk.internal"]),
            R::CertificateUnknown,
        ),
    ];
    for (name, authorization, names, reason) in table {
        assert_eq!(ask(authorization, *names), Err(*reason), "{name}");
    }
}

#[test]
fn a_suspended_caller_is_refused_by_whatever_it_presents() {
    let suspended = "suspended = { since = 2026-01-01T00:00:00Z, reason = \"lost\" }\n";
    let (one, other) = (TokenDigest::of(TOKEN), TokenDigest::of("seam_gg_rota"));
    let text = format!(
        "[[caller]]\nid = \"desk\"\ncertificates = [\"dns:desk.internal\"]\n{suspended}\
         [[caller.tokens]]\nname = \"a\"\nsha256 = \"{one}\"\n\
         [[caller]]\nid = \"rota\"\n[[caller.tokens]]\nname = \"a\"\nsha256 = \"{other}\"\n"
    );
    let ask = |text: &str, token: Option<&str>, names: Option<&[&str]>| {
        let callers = Callers::parse("callers.toml", text.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        let certificate = names.map(certificate);
        let issuers = Issuers::new(Vec::new(), None);
        authenticate(&headers, certificate.as_ref(), &callers, &issuers, now())
            .map(|p| p.caller().clone())
            .map_err(|Failure { reason, known }| {
                let known = known.map(|known| format!("{} {}", known.caller, known.credential));
                (reason, known.unwrap_or_default())
            })
    };
    let known: &[&str] = &["dns:desk.internal"];
    let id = |text: &str| CallerId::parse(text).unwrap();
    let unknown = |reason| Err((reason, String::new()));
    for (token, names, by) in [
        (Some(TOKEN), None, "desk token:a"),
        (None, Some(known), "desk certificate:dns:desk.internal"),
        (Some(TOKEN), Some(known), "desk token:a"),
    ] {
        // Only of a good credential it is known whose it is.
        let refused = Err((Reason::CallerSuspended, by.to_owned()));
        assert_eq!(ask(&text, token, names), refused, "{token:?} {names:?}");
        assert_eq!(ask(&text.replace(suspended, ""), token, names), Ok(id("desk")));
    }
    assert_eq!(ask(&text, Some("seam_gg_rota"), None), Ok(id("rota")), "nobody else is");
    let both = ask(&text, Some("seam_gg_rota"), Some(known));
    assert_eq!(both, unknown(Reason::CredentialsConflict), "and it lends its name to nobody");
    assert_eq!(ask(&text, Some("seam_gg_x"), Some(known)), unknown(Reason::TokenUnknown));
}

#[test]
fn a_suspension_that_is_not_understood_is_refused() {
    let long = format!("{{ since = 2026-01-01T00:00:00Z, reason = \"{}\" }}", "x".repeat(201));
    for (written, part) in [
        ("true", "`caller.suspended` must be a table"),
        ("{ }", "`caller.suspended.since` is missing"),
        ("{ since = 2026-01-01T00:00:00Z }", "`caller.suspended.reason` is missing"),
        ("{ since = 2026-01-01, reason = \"x\" }", "must be a date and time with offset"),
        ("{ since = 2026-01-01T00:00:00Z, reason = \" \" }", "the reason is empty"),
        ("{ since = 2026-01-01T00:00:00Z, reason = \"a\\nb\" }", "must be one line"),
        (long.as_str(), "at most 200 characters"),
        ("{ since = 2026-01-01T00:00:00Z, reason = \"x\", until = 1 }", "unknown key"),
    ] {
        let text = format!("[[caller]]\nid = \"a\"\nsuspended = {written}\n");
        let problems = Callers::parse("c", text.as_bytes()).unwrap_err();
        assert!(problems.iter().any(|p| p.text.contains(part)), "{written}: {problems:?}");
        assert!(problems.iter().all(|p| p.line == Some(3)), "{written}: {problems:?}");
    }
    let as_section = "[[caller]]\nid = \"a\"\n[caller.suspended]\nsince = 2026-01-01T00:00:00Z\nreason = \"x\"\n";
    assert_eq!(Callers::parse("c", as_section.as_bytes()).unwrap().suspended(), 1);
}

#[test]
fn a_generated_token_has_the_shape_that_the_sdks_accept() {
    let token = CallerToken::generate(TokenForm::ApiKey).unwrap();
    let other = CallerToken::generate(TokenForm::ApiKey).unwrap();
    assert_ne!(token.expose(), other.expose());
    assert_eq!(token.expose().len(), TokenForm::ApiKey.prefix().len() + 43);
    for refused in ["seam_at", "seam_cst", "seam_pk"] {
        assert!(!token.expose().starts_with(refused));
    }
    assert_eq!(TokenDigest::parse(&token.digest().to_string()), Some(token.digest()));
}

#[test]
fn every_mistake_in_a_callers_file_is_reported_with_its_line() {
    let sha = TokenDigest::of("x").to_string();
    let text = format!(
        r#"[[caller]]
id = "Desk"
colour = "red"
tokens = [{{ name = "a", sha256 = "{sha}" }}, {{ name = "a", sha256 = "12" }}]

[[caller]]
tokens = [{{ name = "b", sha256 = "{sha}", expires = 2027-02-01 }}]
certificates = ["*.internal", "dns:X", "spiffe://a/b", 3]

[[caller]]
id = "rota"
certificates = ["spiffe://a/b"]

[[caller]]
id = "rota"
"#
    );
    let problems = Callers::parse("callers.toml", text.as_bytes()).unwrap_err();
    let lines: Vec<(u32, &str)> =
        problems.iter().map(|p| (p.line.unwrap(), p.text.as_str())).collect();
    let expected = [
        (2, "the caller id must be 1 to 64"),
        (3, "unknown key `caller.colour`"),
        (4, "a second token `a`"),
        (4, "`sha256` must be the 64"),
        (6, "`caller.id` is missing"),
        (7, "has the same token already"),
        (7, "`caller.tokens.expires` must be a date and time with offset"),
        (8, "`caller.certificates` must be a string"),
        (15, "a second caller `rota`"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for ((line, text), (expected_line, start)) in lines.iter().zip(expected) {
        assert_eq!(*line, expected_line, "{text}");
        assert!(text.contains(start), "{text} / {start}");
    }
    let names =
        "[[caller]]\nid = \"a\"\ncertificates = [\"*.internal\", \"dns:X\", \"spiffe://a\"]\n";
    assert_eq!(Callers::parse("c", names.as_bytes()).unwrap_err().len(), 3);
    for (name, part) in [
        ("desk.internal", "is not a certificate name"),
        ("DNS:desk.internal", "is not a certificate name"),
        ("dns:", "is empty"),
        ("dns: desk.internal", "has a blank"),
        ("dns:Desk.internal", "write `dns:desk.internal`"),
        ("dns:desk.internal.", "write `dns:desk.internal`"),
        ("dns:desk..internal", "has an empty part"),
        ("dns:.internal", "has an empty part"),
        ("dns:-desk.internal", "begins or ends with `-`"),
        ("dns:desk.internal:443", "has a port"),
        ("dns:https://desk.internal", "is a URL"),
        ("dns:*.internal", "has a wildcard"),
        ("dns:m\u{fc}nchen.example", "begins with `xn--`"),
        ("dns:10.0.0.1", "is an address"),
        ("dns:[::1]", "is an address"),
        ("dns:10.0.0.256", "is not an IP address"),
    ] {
        let text = format!("[[caller]]\nid = \"a\"\ncertificates = [\"{name}\"]\n");
        let found = Callers::parse("c", text.as_bytes()).unwrap_err();
        let [problem] = found.as_slice() else { panic!("{name}: {found:?}") };
        assert_eq!((problem.line, problem.column), (Some(3), Some(17)), "{name}");
        assert!(problem.text.contains(part), "{name}: {problem}");
    }
    let good = b"[[caller]]\nid = \"a\"\ncertificates = [\"dns:my_desk\", \"dns:xn--mnchen-3ya.example\"]\n";
    assert!(Callers::parse("c", good).is_ok());
    let stranger = Callers::parse("c", b"[[caller]]\nid = \"other\"\n").unwrap_err();
    assert!(stranger[0].text.contains("what metrics call unauthenticated clients"), "{stranger:?}");
    assert!(Callers::parse("c", b"\xff").unwrap_err()[0].text.contains("UTF-8"));
}
