//! Trust domains whose bundle is a JWK Set, as SPIFFE defines it.

use serde_json::{Value, json};

use crate::reload;
use crate::seam::{Behaviour, Seam};
use crate::support::authority::Authority;
use crate::support::issuer::append;
use crate::support::{Site, check, of_event};
use crate::tls::{ask, client_config, connect};

const OK: &str = "HTTP/1.1 200 OK";
const UNAUTHORIZED: &str = "HTTP/1.1 401 Unauthorized";

const TABLE: &str =
    "\n[[trust_domain]]\nname = \"example.org\"\nbundle_file = \"certs/example.org.json\"\n";

fn bundle(sequence: u64, keys: &[Value]) -> String {
    let document = json!({"spiffe_sequence": sequence, "spiffe_refresh_hint": 300, "keys": keys});
    serde_json::to_string_pretty(&document).unwrap()
}

fn site_with(keys: &[Value]) -> Site {
    let site = Site::new();
    append(&site, "grantgate.toml", TABLE);
    std::fs::write(site.path("certs/example.org.json"), bundle(1, keys)).unwrap();
    site
}

/// For JSON Web Tokens: it has no certificate.
fn for_tokens() -> Value {
    json!({"use": "jwt-svid", "kid": "a", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"})
}

/// As an authority is replaced: the next one is published, signs, and the old one goes.
#[tokio::test]
async fn the_authorities_of_a_bundle_are_those_that_it_has_now() {
    let site = Site::new();
    let [old, next, stranger] = ["old", "next", "none"]
        .map(|name| Authority::named(&site, &format!("certs/{name}.pem"), name));
    append(&site, "grantgate.toml", TABLE);
    let file = site.path("certs/example.org.json");
    std::fs::write(&file, bundle(1, &[for_tokens(), old.jwk()])).unwrap();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let pair = Some(old.issue(1));
    let config = client_config(&site, rustls::DEFAULT_VERSIONS, &["http/1.1"], pair);
    let mut open = connect(&gateway, config).await.unwrap();
    assert_eq!(reload::grant(&mut open, None).await, OK);
    assert_ne!(ask(&site, &gateway, Some(next.issue(2)), None).await, OK);
    assert_ne!(ask(&site, &gateway, Some(stranger.issue(3)), None).await, OK);

    reload::replace(&file, bundle(2, &[for_tokens(), old.jwk(), next.jwk()]));
    reload::until("the next one is accepted", async || {
        ask(&site, &gateway, Some(next.issue(4)), None).await == OK
    })
    .await;
    assert_eq!(reload::grant(&mut open, None).await, OK);

    // What can be read in two ways changes nothing, and is shown with its place.
    let twice = bundle(3, &[next.jwk()]).replace("{\n  \"keys\"", "{\n  \"keys\": [],\n  \"keys\"");
    reload::replace(&file, twice);
    reload::until("the failure is shown", async || {
        let text = gateway.admin("/readyz?verbose").await.1;
        text.contains("certs/example.org.json:") && text.contains("a member occurs twice")
    })
    .await;
    assert_eq!(reload::grant(&mut open, None).await, OK);

    // Neither does an authority whose key is another's.
    let mut mixed = next.jwk();
    mixed["x5c"] = stranger.jwk()["x5c"].clone();
    reload::replace(&file, bundle(3, &[mixed]));
    reload::until("this failure is shown", async || {
        gateway.admin("/readyz?verbose").await.1.contains("have different keys")
    })
    .await;
    assert_eq!(reload::grant(&mut open, None).await, OK);
    assert_ne!(ask(&site, &gateway, Some(stranger.issue(5)), None).await, OK);

    reload::replace(&file, bundle(3, &[next.jwk()]));
    reload::until("the old one is refused", async || {
        reload::grant(&mut open, None).await == UNAUTHORIZED
    })
    .await;
    assert_eq!(ask(&site, &gateway, Some(next.issue(6)), None).await, OK);
    let (_, metrics) = gateway.admin("/metrics").await;
    let series = "grantgate_trust_domain_expiry_timestamp_seconds{kind=\"authority\",\
                  trust_domain=\"example.org\"}";
    assert!(metrics.contains(series), "{metrics}");
    gateway.stop().await;
    let records = site.records();
    let failures = of_event(&records, "authn.failure");
    let withdrawn = failures.iter().filter(|record| record["reason"] == "certificate-withdrawn");
    assert_eq!(withdrawn.count(), 1);
    let reloads = of_event(&records, "config.reload");
    assert!(reloads.iter().all(|reload| reload["parts"] == json!(["certificates"])));
}

#[tokio::test]
async fn a_bundle_of_spiffe_has_revocation_lists_as_the_other_kind_does() {
    let site = Site::new();
    let own = Authority::new_in(&site, "certs/own.pem");
    append(&site, "grantgate.toml", &format!("{TABLE}crl_file = \"certs/own.crl\"\n"));
    std::fs::write(site.path("certs/example.org.json"), bundle(1, &[own.jwk()])).unwrap();
    std::fs::write(site.path("certs/own.crl"), own.revocation_list(&[1], 2100)).unwrap();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    assert_ne!(ask(&site, &gateway, Some(own.issue(1)), None).await, OK);
    assert_eq!(ask(&site, &gateway, Some(own.issue(2)), None).await, OK);
    gateway.stop().await;
}

#[test]
fn check_says_what_is_wrong_with_a_bundle_and_what_is_passed_over() {
    let site = Site::new();
    let own = Authority::new_in(&site, "certs/own.pem");
    let no_authority = Authority::with(&site, "certs/leaf.pem", |params| {
        params.is_ca = rcgen::IsCa::ExplicitNoCa;
    });
    let expired = Authority::with(&site, "certs/over.pem", |params| {
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let site_of = |keys: &[Value]| {
        let site = site_with(keys);
        (check(&site, &[]), site)
    };
    let ((code, text), _) = site_of(&[own.jwk(), for_tokens()]);
    assert!(code == Some(0) && !text.contains("example.org.json"), "{text}");

    let mut without_use = own.jwk();
    without_use.as_object_mut().unwrap().remove("use").unwrap();
    let ((code, text), _) = site_of(&[own.jwk(), without_use]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("1 of 2 keys of the bundle are not used"), "{text}");
    assert!(text.contains("key 2 has no `use`"), "{text}");

    // As in a file of PEM: trusted without an end, and said.
    let ((code, text), _) = site_of(&[expired.jwk()]);
    assert!(code == Some(0) && text.contains("expired at 2021-01-01T00:00:00Z"), "{text}");

    let ((code, text), _) = site_of(&[own.jwk(), no_authority.jwk()]);
    assert_eq!(code, Some(3), "{text}");
    // Four lines follow the last key.
    let line = bundle(1, &[own.jwk()]).lines().count() - 3;
    let place = format!("certs/example.org.json:{line}: the 2nd certificate is not an authority's");
    assert!(text.contains(&place), "{place} in {text}");

    // Each kind of file in the other's place.
    let (_, site) = site_of(&[own.jwk()]);
    std::fs::write(site.path("certs/example.org.json"), own.pem()).unwrap();
    let (code, text) = check(&site, &[]);
    assert!(code == Some(3) && text.contains("is PEM, not a SPIFFE bundle"), "{text}");
    std::fs::write(site.path("certs/callers-ca.pem"), bundle(1, &[own.jwk()])).unwrap();
    let (_, text) = check(&site, &[]);
    assert!(text.contains("certs/callers-ca.pem: is JSON, not PEM"), "{text}");
}
