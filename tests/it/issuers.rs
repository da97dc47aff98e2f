//! JSON Web Tokens of issuers with real servers: what is accepted, what is refused and seen of
//! it, and what becomes of keys.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::export::until_said;
use crate::seam::{Behaviour, NoTls, Seam};
use crate::support::authority::Authority;
use crate::support::issuer::{AUD, ISS, Issuer, append, claims, with};
use crate::support::metrics::{metric, sample, until_metric};
use crate::support::minter::{Signer, b64, from_now, jwks};
use crate::support::{Gateway, LOBBY, Site, check, grant_body, of_event, post, until};
use crate::tls::client_config;

/// A client with this certificate and key.
pub fn client_with(site: &Site, chain: &[u8], key: &[u8]) -> reqwest::Client {
    let pair = Some((chain.to_vec(), key.to_vec()));
    let tls = client_config(site, rustls::DEFAULT_VERSIONS, &["http/1.1"], pair);
    site.client_builder().tls_backend_preconfigured(tls).build().unwrap()
}

/// Status of a grant with this token.
async fn status(site: &Site, gateway: &Gateway, token: &str) -> u16 {
    post(&site.client(), gateway, token, grant_body(LOBBY)).await.status().as_u16()
}

fn fetches(result: &str) -> String {
    format!("grantgate_issuer_fetches_total{{issuer=\"main\",result=\"{result}\"}}")
}

/// Refused for this reason: counted, recorded as an attempt of nobody's, and not sent on.
async fn refusals(gateway: &Gateway, reason: &str) -> f64 {
    let name = format!(
        "grantgate_requests_total{{caller=\"other\",decision=\"deny\",reason=\"{reason}\"}}"
    );
    sample(gateway, &name).await.unwrap_or_default()
}

#[tokio::test]
async fn a_token_is_its_callers_and_nothing_else_of_it_is_recorded() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let (ec, rsa) = (Signer::new("ec-1", "ES256"), Signer::new("rsa-1", "RS256"));
    std::fs::write(site.path("keys.json"), jwks(&[&ec, &rsa])).unwrap();
    Issuer::configure(&site, "jwks_file = \"keys.json\"");
    let gateway = site.start(&seam, &[]).await;
    let mut desk = claims();
    desk["email"] = json!("visitor@example.org");
    desk["jti"] = json!("jti-of-the-token");
    let token = ec.token(&desk);
    assert_eq!(status(&site, &gateway, &token).await, 200);
    assert_eq!(status(&site, &gateway, &token).await, 200);
    let team = rsa.token(&with("groups", json!(["x", "facilities"])));
    // Both `desk-app` and a member of the facilities' group: of two callers.
    assert_eq!(status(&site, &gateway, &team).await, 401);
    let team = rsa.token(&json!({
        "iss": ISS, "sub": "somebody", "aud": [AUD], "exp": from_now(60), "groups": ["facilities"],
    }));
    assert_ne!(status(&site, &gateway, &team).await, 401);
    assert_eq!(refusals(&gateway, "credentials-conflict").await, 1.0);
    assert_eq!(metric(&gateway, "grantgate_jwt_cache_hits_total").await, 1.0);
    assert_eq!(metric(&gateway, "grantgate_jwt_cache_misses_total").await, 3.0);
    assert_eq!(metric(&gateway, "grantgate_jwt_cache_tokens").await, 2.0);
    assert_eq!(metric(&gateway, "grantgate_issuer_keys{issuer=\"main\"}").await, 2.0);
    assert_eq!(metric(&gateway, "grantgate_issuer_usable{issuer=\"main\"}").await, 1.0);
    gateway.stop().await;
    let records = site.records();
    let decisions = of_event(&records, "grant.decision");
    let by: Vec<(&str, &str)> = decisions
        .iter()
        .map(|one| (one["caller"].as_str().unwrap(), one["credential"].as_str().unwrap()))
        .collect();
    let desk = ("visitor-desk", "jwt:idp");
    assert_eq!(by, [desk, desk, ("facilities", "jwt:team")]);
    let text = format!("{records:?}{:?}", seam.requests());
    for secret in ["visitor@", "jti-of", "desk-app", "somebody", ISS, &token[token.len() - 20..]] {
        assert!(!text.contains(secret), "{secret}");
    }
}

/// Each refusal as an outsider sees it (401, always the same), and as an operator does.
#[tokio::test]
async fn every_refusal_is_recorded_counted_and_not_sent_on() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let (own, attacker) = (Signer::new("k", "ES256"), Signer::new("k", "ES256"));
    std::fs::write(site.path("keys.json"), jwks(&[&own])).unwrap();
    Issuer::configure(&site, "jwks_file = \"keys.json\"");
    append(
        &site,
        "grantgate.toml",
        "[[issuer]]\nname = \"down\"\nissuer = \"https://down.example\"\naudience = \"x\"\n\
         jwks_url = \"http://127.0.0.1:1/keys\"\nstale_max_ms = 60000\nrefresh_ms = 60000\n",
    );
    let gateway =
        site.start(&seam, &[("GRANTGATE__AUDIT__STRANGERS_PER_MINUTE_MAX", "1000")]).await;
    until_metric(&gateway, &fetches("connection").replace("main", "down"), |n| n > 0.0).await;
    let header = |alg: &str| json!({"alg": alg, "kid": "k"});
    let none = own.token_with(&header("none"), &claims());
    let none = format!("{}.", none.rsplit_once('.').unwrap().0);
    let table = [
        ("jwt-malformed", "a.b.c".to_owned()),
        (
            "jwt-malformed",
            own.token_with(&json!({"alg": "ES256", "jwk": attacker.jwk()}), &claims()),
        ),
        ("jwt-algorithm", none),
        ("jwt-issuer-unknown", own.token(&with("iss", json!("https://issuer.example")))),
        ("jwt-issuer-unavailable", own.token(&with("iss", json!("https://down.example")))),
        ("jwt-key-unknown", Signer::new("new", "ES256").token(&claims())),
        ("jwt-signature", attacker.token(&claims())),
        ("jwt-claims", own.token(&with("exp", json!("soon")))),
        ("jwt-expired", own.token(&with("exp", json!(from_now(-60))))),
        ("jwt-not-yet", own.token(&with("nbf", json!(from_now(60))))),
        ("jwt-audience", own.token(&with("aud", json!("another")))),
        ("jwt-binding", own.token(&with("cnf", json!({"jkt": "x"})))),
        ("jwt-unmapped", own.token(&with("sub", json!("nobody")))),
    ];
    let mut answers = Vec::new();
    for (reason, token) in &table {
        let before = refusals(&gateway, reason).await;
        let answer = post(&site.client(), &gateway, token, grant_body(LOBBY)).await;
        assert_eq!(answer.status(), 401, "{reason}");
        let mut body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        body["error"]["request_id"].take();
        answers.push(body);
        assert_eq!(refusals(&gateway, reason).await, before + 1.0, "{reason}");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "they look alike");
    assert_eq!(seam.requests(), Vec::<String>::new(), "the upstream saw nothing");
    assert_eq!(status(&site, &gateway, &own.token(&claims())).await, 200, "nothing else stopped");
    gateway.stop().await;
    let records = site.records();
    let recorded: Vec<&str> = of_event(&records, "authn.failure")
        .iter()
        .map(|record| record["reason"].as_str().unwrap())
        .collect();
    let expected = table.each_ref().map(|(reason, _)| *reason);
    assert_eq!(recorded, expected);
}

#[tokio::test]
async fn a_bound_token_needs_the_certificate_of_its_connection() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let own = Signer::new("k", "ES256");
    std::fs::write(site.path("keys.json"), jwks(&[&own])).unwrap();
    Issuer::configure(&site, "jwks_file = \"keys.json\"");
    let authority = Authority::new(&site);
    let (one, two) = (authority.issue(1), authority.issue(2));
    let gateway = site.start(&seam, &[]).await;
    let der = |pem: &[u8]| {
        use rustls_pki_types::pem::PemObject as _;
        rustls_pki_types::CertificateDer::from_pem_slice(pem).unwrap().into_owned()
    };
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der(&one.0));
    let bound = own.token(&with("cnf", json!({"x5t#S256": b64(digest)})));
    let free = own.token(&claims());
    for (pair, token, expected) in [
        (Some(&one), &bound, 200),
        (Some(&two), &bound, 401),
        (None, &bound, 401),
        (Some(&two), &free, 200),
    ] {
        let client = match pair {
            Some((chain, key)) => client_with(&site, chain, key),
            None => site.client(),
        };
        let answer = post(&client, &gateway, token, grant_body(LOBBY)).await;
        assert_eq!(answer.status().as_u16(), expected);
    }
    assert_eq!(refusals(&gateway, "jwt-binding").await, 2.0);
    // The token of one caller over the connection of another.
    let other = own.token(&json!({
        "iss": ISS, "sub": "x", "aud": AUD, "exp": from_now(60), "groups": "facilities",
    }));
    let client = client_with(&site, &one.0, &one.1);
    assert_eq!(post(&client, &gateway, &other, grant_body(LOBBY)).await.status(), 401);
    assert_eq!(refusals(&gateway, "credentials-conflict").await, 1.0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_caller_that_is_taken_out_is_refused_on_its_open_connection() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let own = Signer::new("k", "ES256");
    std::fs::write(site.path("keys.json"), jwks(&[&own])).unwrap();
    Issuer::configure(&site, "jwks_file = \"keys.json\"");
    let gateway = site.start(&seam, &[]).await;
    let (client, token) = (site.client(), own.token(&claims()));
    let ask = async || post(&client, &gateway, &token, grant_body(LOBBY)).await.status().as_u16();
    assert_eq!(ask().await, 200);
    let callers = String::from_utf8(site.read("callers.toml")).unwrap();
    let without = callers.replace("subject = \"desk-app\"", "subject = \"desk-app-2\"");
    std::fs::write(site.path("callers.toml"), without).unwrap();
    gateway.reload.reload().await;
    assert_eq!((ask().await, refusals(&gateway, "jwt-unmapped").await), (401, 1.0));
    std::fs::write(site.path("callers.toml"), callers).unwrap();
    gateway.reload.reload().await;
    assert_eq!(ask().await, 200);
    // A file of keys with a mistake changes nothing; another key does.
    let good = jwks(&[&own]);
    let weak = good.replace("\"P-256\"", "\"P-384\"");
    for bad in ["<html>", "{}", r#"{"keys":[]}"#, &weak, &good.replace("\"x\"", "\"d\"")] {
        std::fs::write(site.path("keys.json"), bad).unwrap();
        gateway.reload.reload().await;
        assert_eq!(ask().await, 200, "{bad}");
        assert_eq!(metric(&gateway, "grantgate_reload_failing").await, 1.0, "{bad}");
    }
    std::fs::write(site.path("keys.json"), jwks(&[&Signer::new("k", "ES256")])).unwrap();
    gateway.reload.reload().await;
    assert_eq!((ask().await, refusals(&gateway, "jwt-signature").await), (401, 1.0));
    gateway.stop().await;
    let records = site.records();
    let reloads = of_event(&records, "config.reload");
    let parts: Vec<&Value> = reloads.iter().map(|record| &record["parts"][0]).collect();
    assert_eq!((parts[0], parts.last()), (&json!("callers"), Some(&&json!("issuers"))));
}

#[tokio::test]
async fn keys_are_rotated_without_a_restart() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let (old, new) = (Signer::new("2026", "ES256"), Signer::new("2027", "RS256"));
    let issuer = Issuer::start(&site, &[&old]).await;
    Issuer::configure(&site, &format!("{}\nrefresh_ms = 600000", issuer.jwks_url()));
    let gateway = site.start(&seam, &[]).await;
    // The very first request waits for the first fetch, if that is not done yet.
    assert_eq!(status(&site, &gateway, &old.token(&claims())).await, 200);
    assert_eq!(issuer.asked(), 1);
    // A new key that was not announced: the request that meets it waits for one fetch.
    issuer.serve(&[&old, &new]);
    assert_eq!(status(&site, &gateway, &new.token(&claims())).await, 200);
    assert_eq!(issuer.asked(), 2);
    assert_eq!(status(&site, &gateway, &old.token(&claims())).await, 200);
    // Whatever comes now, the issuer is not asked again so soon, and nobody waits.
    let began = Instant::now();
    for number in 0..20 {
        let stranger = Signer::new(&format!("x{number}"), "ES256");
        assert_eq!(status(&site, &gateway, &stranger.token(&claims())).await, 401);
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(issuer.asked(), 2);
    assert_eq!(refusals(&gateway, "jwt-key-unknown").await, 20.0);
    gateway.stop().await;
    assert!(issuer.server.requests().iter().all(|request| request.starts_with("GET /keys ")));
}

#[tokio::test]
async fn keys_are_fetched_ahead_and_one_that_is_gone_is_refused() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let (old, new) = (Signer::new("k", "ES256"), Signer::new("k", "ES256"));
    let issuer = Issuer::start(&site, &[&old]).await;
    Issuer::configure(&site, &format!("{}\nrefresh_ms = 1000", issuer.jwks_url()));
    let gateway = site.start(&seam, &[]).await;
    let token = old.token(&claims());
    assert_eq!(status(&site, &gateway, &token).await, 200);
    // Another key of the same name, as no issuer should have: seen with the next fetch.
    issuer.serve(&[&new]);
    let after = issuer.asked() + 1;
    until("fetched again", || issuer.asked() > after).await;
    assert_eq!(status(&site, &gateway, &token).await, 401, "it was in the cache");
    assert_eq!(status(&site, &gateway, &new.token(&claims())).await, 200);
    // The issuer takes all its keys back.
    issuer.serve(&[]);
    let after = issuer.asked() + 1;
    until("fetched again", || issuer.asked() > after).await;
    assert_eq!(status(&site, &gateway, &new.token(&claims())).await, 401);
    assert_eq!(metric(&gateway, "grantgate_issuer_keys{issuer=\"main\"}").await, 0.0);
    gateway.stop().await;
}

#[tokio::test]
async fn an_issuer_that_fails_takes_no_key_away() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let own = Signer::new("k", "ES256");
    let issuer = Issuer::start(&site, &[&own]).await;
    Issuer::configure(&site, &format!("{}\nrefresh_ms = 1000", issuer.jwks_url()));
    let gateway = site.start(&seam, &[]).await;
    let token = own.token(&claims());
    assert_eq!(status(&site, &gateway, &token).await, 200);
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "y".repeat(10 * 1024 * 1024));
    let elsewhere = format!("location: {}/other\r\n", issuer.server.url());
    let json = "application/json";
    let attacker = Signer::new("k", "ES256");
    let private = jwks(&[&attacker]).replace("\"kid\"", "\"d\":\"x\",\"kid\"");
    for (behaviour, result) in [
        (Behaviour::NoTls(NoTls::Close), "connection"),
        (Behaviour::NoTls(NoTls::Garbage), "connection"),
        (Behaviour::Close, "connection"),
        (Behaviour::answer(500, json, &jwks(&[&attacker])), "status"),
        (Behaviour::answer(404, "text/html", "<html>"), "status"),
        (Behaviour::answer(200, "text/html", "<!doctype html><title>Sign in</title>"), "invalid"),
        (Behaviour::answer(200, json, &huge), "invalid"),
        (Behaviour::Endless, "invalid"),
        (Behaviour::answer_with(302, json, &elsewhere, ""), "status"),
        (Behaviour::answer(200, json, "{\"issuer\":\"x\"}"), "invalid"),
    ] {
        let before = metric(&gateway, &fetches(result)).await;
        let shown: String = format!("{behaviour:?}").chars().take(40).collect();
        issuer.server.set(behaviour);
        until_metric(&gateway, &fetches(result), |count| count > before).await;
        // One that was verified before, and one that was not.
        let fresh = own.token(&with("jti", json!(shown)));
        let began = Instant::now();
        assert_eq!(status(&site, &gateway, &token).await, 200, "{shown}");
        assert_eq!(status(&site, &gateway, &fresh).await, 200, "{shown}");
        // Each would wait for a second.
        assert!(began.elapsed() < Duration::from_millis(1_900), "{shown}: nobody waits");
        assert_eq!(status(&site, &gateway, &attacker.token(&claims())).await, 401);
    }
    assert!(!issuer.server.requests().iter().any(|request| request.contains("/other")));
    // It answers again, with a key that is not public: that one is left out.
    issuer.server.set(Behaviour::answer(200, json, &private));
    let good = metric(&gateway, &fetches("ok")).await;
    until_metric(&gateway, &fetches("ok"), |count| count > good).await;
    assert_eq!(status(&site, &gateway, &attacker.token(&claims())).await, 401);
    gateway.stop().await;
}

#[tokio::test]
async fn an_issuer_that_hangs_stops_nothing() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let own = Signer::new("k", "ES256");
    let issuer = Issuer::start(&site, &[&own]).await;
    Issuer::configure(&site, &issuer.jwks_url());
    issuer.server.set(Behaviour::Hang);
    let gateway = site.start(&seam, &[]).await;
    until("the issuer was asked", || issuer.asked() == 1).await;
    // It starts, is ready for others, and says what is missing.
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(status(&site, &gateway, &site.token).await, 200);
    }
    assert!(began.elapsed() < Duration::from_millis(2_900), "{:?}", began.elapsed());
    until_said(&gateway, "/readyz?verbose", "[!] issuers: without keys").await;
    let status_of = gateway.admin("/status").await.1;
    let status_of: Value = serde_json::from_str(&status_of).unwrap();
    let shown = json!([{"name": "main", "usable": false, "keys": 0, "fetched": null}]);
    assert_eq!(status_of["issuers"], shown);
    assert_eq!(gateway.admin("/readyz").await.0, 200);
    assert_eq!(metric(&gateway, "grantgate_issuer_usable{issuer=\"main\"}").await, 0.0);
    let began = Instant::now();
    assert_eq!(status(&site, &gateway, &own.token(&claims())).await, 401);
    let waited = began.elapsed();
    assert!((1..4).contains(&waited.as_secs()), "a second, and no more: {waited:?}");
    assert_eq!(refusals(&gateway, "jwt-issuer-unavailable").await, 1.0);
    gateway.stop().await;
}

/// A request waits for the keys of its token's issuer, and for no other's.
#[tokio::test]
async fn an_issuer_that_hangs_makes_no_token_of_another_wait() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let own = Signer::new("k", "ES256");
    let issuer = Issuer::start(&site, &[&own]).await;
    let other = Issuer::start(&site, &[&own]).await;
    other.server.set(Behaviour::Hang);
    Issuer::configure(&site, &issuer.jwks_url());
    append(
        &site,
        "grantgate.toml",
        &format!(
            "\n[[issuer]]\nname = \"other\"\nissuer = \"other\"\naudience = \"{AUD}\"\n{}\n",
            other.jwks_url()
        ),
    );
    let gateway = site.start(&seam, &[]).await;
    until("the other was asked", || other.asked() == 1).await;
    assert_eq!(status(&site, &gateway, &own.token(&claims())).await, 200);
    let unknown = Signer::new("next", "ES256").token(&claims());
    // The first makes its issuer be asked; the others find that it has answered.
    assert_eq!(status(&site, &gateway, &unknown).await, 401);
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(status(&site, &gateway, &unknown).await, 401);
    }
    // Each would wait for a second.
    assert!(began.elapsed() < Duration::from_millis(2_900), "{:?}", began.elapsed());
    assert_eq!(other.asked(), 1, "and it hangs still");
    gateway.stop().await;
}

#[tokio::test]
async fn metadata_must_be_of_the_issuer() {
    for (iss, expected) in [(ISS, 200), ("https://another.example/", 401)] {
        let site = Site::new();
        let seam = Seam::start(&site, Behaviour::confirm()).await;
        let own = Signer::new("k", "ES256");
        let issuer = Issuer::start(&site, &[&own]).await;
        let url = issuer.server.url();
        let metadata = json!({"issuer": iss, "jwks_uri": format!("{url}/keys")}).to_string();
        issuer.server.set(Behaviour::in_turn(&[metadata, jwks(&[&own])]));
        let settings = format!(
            "discovery_url = \"{url}/.well-known/openid-configuration\"\n\
             ca_file = \"certs/servers-ca.pem\""
        );
        Issuer::configure(&site, &settings);
        let gateway = site.start(&seam, &[]).await;
        let result = if expected == 200 { "ok" } else { "invalid" };
        until_metric(&gateway, &fetches(result), |count| count > 0.0).await;
        assert_eq!(status(&site, &gateway, &own.token(&claims())).await, expected);
        gateway.stop().await;
        let asked: Vec<String> = issuer
            .server
            .requests()
            .iter()
            .map(|request| request.split(' ').nth(1).unwrap().to_owned())
            .collect();
        assert_eq!(asked[0], "/.well-known/openid-configuration");
        assert_eq!(asked.contains(&"/keys".to_owned()), expected == 200, "{asked:?}");
    }
}

/// Every mistake with its place, and nothing starts.
#[tokio::test]
async fn settings_that_cannot_be_meant_are_refused() {
    let site = Site::new();
    let config = String::from_utf8(site.read("grantgate.toml")).unwrap();
    let lines = config.lines().count();
    let usual = "name = \"a\"\nissuer = \"i\"\naudience = \"x\"\n";
    let url = "jwks_url = \"https://a.example/k\"\n";
    for (settings, expected) in [
        (String::new(), "`issuer.name` is missing"),
        (usual.to_owned(), "exactly one of `discovery_url`, `jwks_url` and `jwks_file`"),
        (format!("{usual}{url}jwks_file = \"k.json\""), "exactly one of"),
        (
            format!("{usual}jwks_url = \"http://a.example/k\""),
            ":5:12: `issuer.jwks_url` must be https://",
        ),
        (format!("{usual}jwks_url = \"https://u:p@a.example/k\""), "must be https://"),
        (format!("{usual}jwks_url = \"https://a.example\""), "must be https://… with a path"),
        (format!("{usual}{url}algorithms = [\"HS256\"]"), ":6:15: `HS256` is not one of `ES256`"),
        (format!("{usual}{url}algorithms = [\"none\"]"), "`none` is not one of"),
        (format!("{usual}{url}algorithms = []"), "names no algorithm"),
        (format!("{usual}{url}algorithms = [\"ES256\", \"ES256\"]"), "is there twice"),
        (format!("{usual}{url}leeway_ms = 300001"), "must be a whole number from 0 to 300000"),
        (format!("{usual}{url}stale_max_ms = 60000"), "is less than `refresh_ms`"),
        (format!("{usual}{url}leeway = 1"), "unknown key `issuer.leeway`"),
        (
            format!("{usual}jwks_file = \"k.json\"\nrefresh_ms = 1000"),
            "does nothing: the keys are in",
        ),
        (format!("{usual}jwks_file = \"gone.json\""), "gone.json"),
        (format!("{usual}{url}ca_file = \"gone.pem\""), "gone.pem"),
        (format!("{}{url}", usual.replace("\"x\"", "[]")), "must name 1 to 16 audiences"),
        (format!("{}{url}", usual.replace("\"i\"", "\"i i\"")), "without blanks"),
        (format!("{}{url}", usual.replace("\"a\"", "\"A b\"")), "the name of an issuer must be"),
        (format!("{usual}{url}[[issuer]]\n{usual}{url}"), "a second issuer `a`"),
        (
            format!("{usual}{url}[[issuer]]\n{}{url}", usual.replace("\"a\"", "\"b\"")),
            "a second issuer whose tokens have the `iss` `i`",
        ),
    ] {
        std::fs::write(site.path("grantgate.toml"), format!("{config}[[issuer]]\n{settings}\n"))
            .unwrap();
        let (code, text) = check(&site, &[]);
        let expected = match expected.strip_prefix(':') {
            Some(rest) => {
                let (line, rest) = rest.split_once(':').unwrap();
                format!(":{}:{rest}", lines + line.parse::<usize>().unwrap())
            }
            None => expected.to_owned(),
        };
        assert_eq!(code, Some(3), "{settings}\n{text}");
        assert!(text.contains(&expected), "{settings}\n{expected}\n{text}");
    }
    // Of which of several would a variable be?
    std::fs::write(site.path("grantgate.toml"), format!("{config}[[issuer]]\n{usual}{url}"))
        .unwrap();
    let (code, text) = check(&site, &[("GRANTGATE__ISSUER__AUDIENCE", "y")]);
    assert!(code == Some(3) && text.contains("there is no setting `issuer.audience`"), "{text}");
    append(
        &site,
        "callers.toml",
        "\n[[caller]]\nid = \"x\"\n[[caller.jwt]]\nname = \"n\"\nissuer = \"b\"\nsubject = \"s\"\n",
    );
    let (code, text) = check(&site, &[]);
    assert!(
        code == Some(3) && text.contains("there is no [[issuer]] `b`; the configuration has `a`"),
        "{text}"
    );
}
