use super::*;

const REMOTE: &str = "
[admin]
remote.address = \"0.0.0.0:9465\"
remote.certificate_file = \"a.pem\"
remote.private_key_file = \"a.key\"
remote.client_ca_file = \"ca.pem\"
[[issuer]]
name = \"people\"
issuer = \"https://idp.example\"
audience = \"grantgate\"
jwks_file = \"keys.json\"
";

const PROXY: &str =
    "issuer = \"people\"\ntoken_header = \"x-token\"\nproxies = [\"dns:proxy.example\"]\n";

fn text_of(console: &str) -> String {
    format!("{MINIMAL}{REMOTE}[console]\n{console}")
}

#[test]
fn people_are_named_by_certificates_or_by_tokens_that_a_proxy_brings() {
    let console =
        "viewers = [\"dns:anna.example\", \"jwt:4711\"]\noperators = [\"spiffe://a.example/b\"]\n";
    let text = text_of(&format!("{console}{PROXY}"));
    let settings = load(Path::new("/etc/gg/grantgate.toml"), &text, &environment(&[])).unwrap();
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
    let people = settings.console.people.unwrap();
    assert_eq!((people.claim.as_str(), people.header.as_str()), ("sub", "x-token"));
    assert_eq!(people.proxies, ["dns:proxy.example"]);
}

#[test]
fn what_names_nobody_is_refused() {
    let without = |line: &str| PROXY.replace(line, "");
    let with = |console: &str| format!("{PROXY}{console}\n");
    for (console, expected) in [
        (without("issuer = \"people\"\n"), "needs `console.issuer`"),
        (without("token_header = \"x-token\"\n"), "needs `console.token_header`"),
        (without("proxies = [\"dns:proxy.example\"]\n"), "needs `console.proxies`"),
        (PROXY.replace("\"dns:proxy.example\"", ""), "needs `console.proxies`"),
        (PROXY.replace("dns:proxy", "jwt:proxy"), "is not the name of a proxy"),
        (PROXY.replace("]", ", \"dns:proxy.example\"]"), "is in `console.proxies` twice"),
        (PROXY.replace("people", "others"), "is no [[issuer]]"),
        (PROXY.replace("x-token", "cookie"), "is not the name of a header that has a token"),
        (with("claim = \"\""), "must name a claim"),
        (with("viewers = [\"anna\"]"), "is not the name of anybody"),
        (with("viewers = [\"jwt:\"]"), "must say who behind `jwt:`"),
        (with("operators = [\"dns:a.example\", \"dns:a.example\"]"), "`console.operators` twice"),
        (with("operators = [\"dns:proxy.example\"]"), "is one of `console.proxies`"),
        (with("viewers = [\"dns:proxy.example\"]"), "is one of `console.proxies`"),
        ("viewers = [\"jwt:4711\"]\n".to_owned(), "needs `console.issuer`"),
    ] {
        let found = problems(&text_of(&console), &[]);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{console}: {found:?}");
    }
}
