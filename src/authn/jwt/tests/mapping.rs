//! From claims to a caller.

use super::*;
use crate::authn::callers::Configured;

fn knowing<'a>(issuers: &[&'a str]) -> Configured<'a> {
    Configured { issuers: issuers.to_vec(), ..Configured::default() }
}

#[test]
fn a_caller_is_found_by_subject_or_by_claims() {
    let signer = Signer::new("k", "ES256");
    let site = Site::new(&[&signer]);
    let ask = |sub: &str, namespace: Value, groups: Value| {
        let mut claims = with("sub", json!(sub));
        claims["kubernetes.io"] = json!({ "namespace": namespace });
        claims["groups"] = groups;
        site.ask(&signer.token(&claims))
    };
    let (front, opener) = (json!("front"), json!(["x", "door-openers"]));
    assert_eq!(ask("pod", front.clone(), opener.clone()).as_deref(), Ok("rota jwt:k8s"));
    assert_eq!(ask("pod", front.clone(), json!("door-openers")).as_deref(), Ok("rota jwt:k8s"));
    // Both rules are of one caller: the exact subject names the credential.
    assert_eq!(ask("rota-app", front.clone(), opener.clone()).as_deref(), Ok("rota jwt:same"));
    // Of two callers: whose is it?
    let both = ask("desk-app", front.clone(), opener.clone());
    assert_eq!(both, Err(Reason::CredentialsConflict));
    for (namespace, groups) in [
        (json!("frontier"), opener.clone()),
        (json!(["front", "x"]), json!(["door-opener"])),
        (json!({"front": "front"}), opener.clone()),
        (front.clone(), json!(["door-openers-2"])),
        (front.clone(), json!([["door-openers"]])),
        (front.clone(), json!({"door-openers": true})),
        (front.clone(), json!(true)),
        (front.clone(), Value::Null),
    ] {
        let found = ask("pod", namespace.clone(), groups.clone());
        assert_eq!(found, Err(Reason::JwtUnmapped), "{namespace} {groups}");
    }
}

#[test]
fn the_certificate_of_the_connection_must_agree() {
    let signer = Signer::new("k", "ES256");
    let site = Site::new(&[&signer]);
    let (desk, _) = certificate("spiffe://example.org/desk");
    let (mesh, _) = certificate("spiffe://example.org/mesh");
    let token = signer.token(&claims());
    let of = |certificate| site.ask_with(&token, Some(certificate), now());
    assert_eq!(of(&desk).as_deref(), Ok("desk jwt:idp"), "the same caller");
    assert_eq!(of(&mesh).as_deref(), Ok("desk jwt:idp"), "nobody's");
    let rota = signer.token(&with("sub", json!("rota-app")));
    assert_eq!(site.ask_with(&rota, Some(&desk), now()), Err(Reason::CredentialsConflict));
    let bad = signer.token(&with("aud", json!("x")));
    let found = site.ask_with(&bad, Some(&desk), now());
    assert_eq!(found, Err(Reason::JwtAudience), "it does not fall through to the certificate");
}

/// As a cluster makes them; the example of the documentation.
#[test]
fn tokens_of_kubernetes_name_their_service_account() {
    let signer = Signer::new("k", "RS256");
    let iss = "https://kubernetes.default.svc.cluster.local";
    let callers = r#"
[[caller]]
id = "visitor-desk"
[[caller.jwt]]
name = "k8s"
issuer = "cluster"
subject = "system:serviceaccount:front:visitor-desk"
"#;
    let site = Site {
        issuers: Issuers::new(vec![issuer(rules("cluster", iss), &[&signer])], None),
        callers: Callers::parse("callers.toml", callers.as_bytes()).unwrap(),
    };
    let claims = json!({
        "aud": [AUD], "exp": from_now(3_607), "iat": from_now(0), "nbf": from_now(0), "iss": iss,
        "jti": "7d1a9c52-6a3f-4a0e-9d0b-3d4d4f0f6c11",
        "kubernetes.io": {
            "namespace": "front",
            "node": {"name": "n1", "uid": "8f7b"},
            "pod": {"name": "desk-5d9", "uid": "59a1"},
            "serviceaccount": {"name": "visitor-desk", "uid": "b1c3"},
            "warnafter": from_now(3_000),
        },
        "sub": "system:serviceaccount:front:visitor-desk",
    });
    let token = signer.token_with(&json!({"alg": "RS256", "kid": "k"}), &claims);
    assert_eq!(site.ask(&token).as_deref(), Ok("visitor-desk jwt:k8s"));
    let mut other = claims.clone();
    other["sub"] = json!("system:serviceaccount:back:visitor-desk");
    assert_eq!(site.ask(&signer.token(&other)), Err(Reason::JwtUnmapped));
}

#[test]
fn a_rule_that_cannot_be_meant_is_refused_with_its_place() {
    let rule = |text: &str| format!("[[caller]]\nid = \"a\"\n[[caller.jwt]]\n{text}\n");
    let one = "name = \"n\"\nissuer = \"i\"\n";
    for (text, expected) in [
        (rule(one), "callers.toml:3:1: say which tokens"),
        (
            rule(&format!("{one}subject = \"s\"\nclaims = {{ a = \"b\" }}")),
            "callers.toml:6:11: give `subject` or",
        ),
        (rule(&format!("{one}subject = \"\"")), "`subject` is the exact `sub`"),
        (rule(&format!("{one}claims = {{}}")), "`claims` is empty"),
        (
            rule(&format!("{one}claims = {{ iss = \"x\" }}")),
            "callers.toml:6:18: the claim `iss` does not say who",
        ),
        (
            rule(&format!("{one}claims = {{ \"/aud/x\" = \"x\" }}")),
            "does not say who the caller is",
        ),
        (rule(&format!("{one}claims = {{ \"/a~2b\" = \"x\" }}")), "is no JSON Pointer"),
        (rule(&format!("{one}claims = {{ \"/\" = \"x\" }}")), "has an empty name"),
        (rule(&format!("{one}claims = {{ a = \"\" }}")), "must be compared with a text"),
        (rule(&format!("{one}claims = {{ a = 1 }}")), "must be a string"),
        (rule("issuer = \"i\"\nsubject = \"s\""), "`caller.jwt.name` is missing"),
        (rule("name = \"n\"\nsubject = \"s\""), "`caller.jwt.issuer` is missing"),
        (rule(&format!("{one}subject = \"s\"\nsubjects = 1")), "unknown key `caller.jwt.subjects`"),
        (
            format!(
                "{}{}",
                rule(&format!("{one}subject = \"s\"")),
                "[[caller]]\nid = \"b\"\n[[caller.jwt]]\nname = \"n\"\nissuer = \"i\"\nsubject = \"s\"\n"
            ),
            "callers.toml:11:10: caller `a` has the subject `s` of issuer `i` already",
        ),
    ] {
        let problems = Callers::parse("callers.toml", text.as_bytes()).unwrap_err();
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|one| one.contains(expected)), "{text}\n{found:?}");
    }
    // The order of claims does not make two rules different.
    let same = "[[caller]]\nid = \"a\"\njwt = [{ name = \"n\", issuer = \"i\", claims = { a = \"1\", b = \"2\" } }]\n\
                [[caller]]\nid = \"b\"\njwt = [{ name = \"n\", issuer = \"i\", claims = { b = \"2\", \"/a\" = \"1\" } }]\n";
    assert!(Callers::parse("c", same.as_bytes()).unwrap_err()[0].text.contains("the same claims"));
    let text = rule(&format!("{one}subject = \"s\""));
    assert!(Callers::parse_with(&knowing(&["h", "i"]), "c", text.as_bytes()).is_ok());
    for (known, expected) in [
        (&["j"][..], "c:5:10: there is no [[issuer]] `i`; the configuration has `j`"),
        (&[], "c:5:10: there is no [[issuer]] `i`; the configuration has none"),
    ] {
        let problems = Callers::parse_with(&knowing(known), "c", text.as_bytes()).unwrap_err();
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
    }
    let shown = ClaimRule::parse("/a~1b/c~0d", "x").unwrap();
    assert_eq!(shown.to_string(), "/a~1b/c~0d = x");
}
