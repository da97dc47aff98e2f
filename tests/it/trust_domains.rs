//! Trust domains with authorities of their own: nobody else is believed about their ids, and
//! they are believed about nothing else.

use rcgen::{
    CertificateParams, CustomExtension, GeneralSubtree, IsCa, KeyUsagePurpose, NameConstraints,
    SanType,
};
use serde_json::Value;

use crate::refused_certificates::Anything;
use crate::seam::{Behaviour, Seam};
use crate::support::authority::Authority;
use crate::support::issuer::append;
use crate::support::{Site, check, of_event};
use crate::tls::{ask, client_config, connect};
use crate::{days_from_now, reload};

const OWN: &str = "spiffe://example.org/front/visitor-desk";
const PARTNER: &str = "spiffe://partner.example/desk";
const OTHER: &str = "spiffe://other.example/desk";

const OK: &str = "HTTP/1.1 200 OK";
const UNAUTHORIZED: &str = "HTTP/1.1 401 Unauthorized";
const NO_HANDSHAKE: &str = "no handshake";

const OWN_TABLE: &str = "[[trust_domain]]\nname = \"example.org\"\nca_file = \"certs/own.pem\"\n";
const PARTNER_TABLE: &str =
    "[[trust_domain]]\nname = \"partner.example\"\nca_file = \"certs/partner.pem\"\n";

/// A site with these tables. `visitor-desk` has names of every kind.
fn site_with(tables: &[&str]) -> Site {
    let site = Site::new();
    append(&site, "grantgate.toml", &format!("\n{}", tables.join("\n")));
    let callers = String::from_utf8(site.read("callers.toml")).unwrap();
    let names = format!("\"{OWN}\", \"{PARTNER}\", \"{OTHER}\", \"dns:desk.internal\"");
    std::fs::write(site.path("callers.toml"), callers.replace(&format!("\"{OWN}\""), &names))
        .unwrap();
    site
}

/// Without `listener.client_ca_file`.
fn without_general(site: &Site) {
    let text = String::from_utf8(site.read("grantgate.toml")).unwrap();
    let text = text.replace("\nclient_ca_file", "\n# client_ca_file");
    std::fs::write(site.path("grantgate.toml"), text).unwrap();
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

fn names(names: Vec<SanType>) -> impl FnOnce(&mut CertificateParams) {
    |params| params.subject_alt_names = names
}

fn usage(usages: &[KeyUsagePurpose]) -> impl FnOnce(&mut CertificateParams) {
    |params| params.key_usages = usages.to_vec()
}

type Pair = (Vec<u8>, Vec<u8>);

/// The certificate followed by those of these authorities.
fn with_above((pem, key): Pair, above: &[&Authority]) -> Pair {
    let above = above.iter().map(|authority| authority.pem().as_bytes().to_vec());
    ([pem].into_iter().chain(above).collect::<Vec<_>>().concat(), key)
}

/// What a case is called, what is presented, and what comes of it: the first line of the
/// answer, or the fault in the record of the handshake.
type Case = (&'static str, Pair, &'static str);

/// Presents each case, whose certificates have the numbers from 1 on.
async fn expect(site: &Site, cases: Vec<Case>) {
    let seam = Seam::start(site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    for (name, pair, expected) in &cases {
        let answer = ask(site, &gateway, Some(pair.clone()), None).await;
        let expected = if expected.starts_with("HTTP") { expected } else { NO_HANDSHAKE };
        assert_eq!(answer, expected, "{name}");
    }
    gateway.stop().await;
    let granted = cases.iter().filter(|(.., expected)| *expected == OK).count();
    assert_eq!(seam.requests().len(), granted, "no refused certificate reaches the upstream");
    let records = site.records();
    let failures = of_event(&records, "authn.failure");
    for ((name, _, expected), number) in cases.iter().zip(1_u64..) {
        let serial = format!("{number:02x}");
        let of_case = failures.iter().find(|record| record["certificate"]["serial"] == serial);
        let Some(record) = of_case else {
            assert_eq!(*expected, OK, "{name} has no record");
            continue;
        };
        let fault = &record["certificate"]["fault"];
        let (reason, expected) = match *expected {
            UNAUTHORIZED => ("certificate-malformed", Value::Null),
            fault => ("certificate-refused", fault.into()),
        };
        assert_eq!((&record["reason"], fault), (&reason.into(), &expected), "{name}");
    }
}

/// Two names, of which one is not text: `SEQUENCE { [6] OWN, [6] 0xff }`.
fn two_of_which_one_is_no_text(params: &mut CertificateParams) {
    params.subject_alt_names.clear();
    let length = u8::try_from(OWN.len()).unwrap();
    let names = [&[0x86, length], OWN.as_bytes(), &[0x86, 1, 0xff]].concat();
    let san = [vec![0x30, length + 5], names].concat();
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], san)];
}

#[tokio::test]
async fn who_has_signed_decides_for_whom_a_certificate_stands() {
    use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyCertSign, KeyEncipherment};
    // Authorities are often called the same: SPIRE names all alike unless it is told.
    for alike in [true, false] {
        let site = site_with(&[OWN_TABLE, PARTNER_TABLE]);
        let authority = |file: &str, name| {
            Authority::named(&site, file, if alike { "authority" } else { name })
        };
        let general = authority("certs/callers-ca.pem", "general");
        let own = authority("certs/own.pem", "own");
        let partner = authority("certs/partner.pem", "partner");
        let stranger = authority("certs/none.pem", "stranger");
        let unknown = if alike { "bad-signature" } else { "unknown-issuer" };
        let mut cases: Vec<Case> = Vec::new();
        let mut add =
            |name, by: &Authority, change: Box<dyn FnOnce(&mut CertificateParams)>, result| {
                let serial = u64::try_from(cases.len()).unwrap() + 1;
                cases.push((name, by.issue_with(serial, change), result));
            };
        let unchanged = || Box::new(|_: &mut CertificateParams| {});
        let (wrong, no_svid) = ("wrong-trust-domain", "not-an-svid");
        add("own id", &own, unchanged(), OK);
        add("partner's id", &partner, Box::new(names(vec![uri(PARTNER)])), OK);
        add("DNS name", &general, Box::new(names(vec![dns("desk.internal")])), OK);
        add("id of no table", &general, Box::new(names(vec![uri(OTHER)])), OK);

        add("own id by the partner", &partner, unchanged(), wrong);
        add("partner's id by own", &own, Box::new(names(vec![uri(PARTNER)])), wrong);
        add("own id by the general one", &general, unchanged(), wrong);
        add("id of no table by own", &own, Box::new(names(vec![uri(OTHER)])), wrong);
        add("DNS name by own", &own, Box::new(names(vec![dns("desk.internal")])), no_svid);
        add("no name by own", &own, Box::new(names(vec![])), no_svid);
        add("own id by a stranger", &stranger, unchanged(), unknown);
        let host = || Box::new(names(vec![dns("desk.internal")]));
        add("DNS name by a stranger", &stranger, host(), unknown);

        let with_dns = || names(vec![uri(OWN), dns("desk.internal")]);
        add("a DNS name beside the id", &own, Box::new(with_dns()), OK);
        let two = || Box::new(names(vec![uri(OWN), uri("spiffe://example.org/other")]));
        add("two ids by own", &own, two(), no_svid);
        let https = Box::new(names(vec![uri(OWN), uri("https://example.org/")]));
        add("two URIs by own", &own, https, no_svid);
        add("a second that is no text", &own, Box::new(two_of_which_one_is_no_text), no_svid);
        add("two ids by the general one", &general, two(), UNAUTHORIZED);
        let no_path = Box::new(names(vec![uri("spiffe://example.org")]));
        add("an id without a path", &own, no_path, no_svid);

        add("for signatures", &own, Box::new(usage(&[DigitalSignature, KeyEncipherment])), OK);
        add("not for signatures", &own, Box::new(usage(&[KeyEncipherment])), no_svid);
        let signs = Box::new(usage(&[DigitalSignature, KeyCertSign]));
        add("for certificates", &own, signs, no_svid);
        let lists = Box::new(usage(&[DigitalSignature, CrlSign]));
        add("for lists", &own, lists, no_svid);
        let is_ca = |p: &mut CertificateParams| {
            p.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        };
        add("an authority's", &own, Box::new(is_ca), no_svid);
        expect(&site, cases).await;
    }
}

/// Why is for those who look after the gateway.
#[tokio::test]
async fn to_a_client_it_is_the_same_whoever_else_is_trusted() {
    let site = site_with(&[OWN_TABLE, PARTNER_TABLE]);
    let own = Authority::named(&site, "certs/own.pem", "own");
    let partner = Authority::named(&site, "certs/partner.pem", "partner");
    let stranger = Authority::named(&site, "certs/none.pem", "stranger");
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let host = own.issue_with(3, names(vec![dns("desk.internal")]));
    for pair in [stranger.issue(1), partner.issue(2), host] {
        let versions = [&rustls::version::TLS12];
        let mut config = client_config(&site, &versions, &["http/1.1"], None);
        // Also one whose issuer the gateway did not ask for.
        config.client_auth_cert_resolver = Anything::new(&pair);
        let error = connect(&gateway, config).await.unwrap_err().to_string();
        assert_eq!(error, "received fatal alert: UnknownCA");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_chain_ends_at_its_own_authority_and_passes_through_no_other() {
    let site = site_with(&[OWN_TABLE, PARTNER_TABLE]);
    let own = Authority::named(&site, "certs/own.pem", "own");
    let general = Authority::named(&site, "certs/callers-ca.pem", "general");
    // The partner's authority has certificates of ours: it is in its own bundle all the same.
    let partner = own.intermediate(|_| {});
    std::fs::write(site.path("certs/partner.pem"), partner.pem()).unwrap();
    let below = own.intermediate(|_| {});
    let bare = own.intermediate(|params| params.is_ca = IsCa::ExplicitNoCa);
    let no_signer =
        own.intermediate(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    let narrow = own.intermediate(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("front.internal".into())],
            excluded_subtrees: vec![],
        });
    });
    let mut ladder = vec![own.intermediate(|_| {})];
    for _ in 1..7 {
        let next = ladder.last().unwrap().intermediate(|_| {});
        ladder.push(next);
    }
    let above = |steps: usize| ladder.iter().take(steps).rev().collect::<Vec<_>>();
    let of_partner = |serial| partner.issue_with(serial, names(vec![uri(PARTNER)]));
    let general_below = general.intermediate(|_| {});
    let by_host = |host: &'static str| names(vec![uri(OWN), dns(host)]);
    let cases = vec![
        ("sent", with_above(below.issue(1), &[&below]), OK),
        ("not sent", below.issue(2), "unknown-issuer"),
        ("with the root", with_above(below.issue(3), &[&below, &own]), OK),
        ("of the partner", with_above(of_partner(4), &[&partner, &own]), OK),
        ("through the partner's", with_above(partner.issue(5), &[&partner]), "wrong-trust-domain"),
        ("not marked as one", with_above(bare.issue(6), &[&bare]), "unknown-issuer"),
        ("without keyCertSign", with_above(no_signer.issue(7), &[&no_signer]), "unknown-issuer"),
        ("six", with_above(ladder[5].issue(8), &above(6)), OK),
        ("seven", with_above(ladder[6].issue(9), &above(7)), "other"),
        (
            "within its constraints",
            with_above(narrow.issue_with(10, by_host("a.front.internal")), &[&narrow]),
            OK,
        ),
        (
            "outside its constraints",
            with_above(narrow.issue_with(11, by_host("back.internal")), &[&narrow]),
            "other",
        ),
        (
            "of the general one",
            with_above(
                general_below.issue_with(12, names(vec![dns("desk.internal")])),
                &[&general_below],
            ),
            OK,
        ),
    ];
    expect(&site, cases).await;
}

/// An organisation's own root may have signed the authority of its trust domain, and be
/// trusted for DNS names: the authority cannot use that.
#[tokio::test]
async fn the_authority_of_a_domain_signs_no_dns_name_under_a_root_above_it() {
    let site = site_with(&[OWN_TABLE]);
    let root = Authority::named(&site, "certs/callers-ca.pem", "root");
    let own = root.intermediate(|_| {});
    std::fs::write(site.path("certs/own.pem"), own.pem()).unwrap();
    let by_own = own.issue_with(2, names(vec![dns("desk.internal")]));
    let cases = vec![
        ("an id", with_above(own.issue(1), &[&own, &root]), OK),
        ("a DNS name", with_above(by_own, &[&own]), "not-an-svid"),
        ("by the root itself", root.issue_with(3, names(vec![dns("desk.internal")])), OK),
    ];
    expect(&site, cases).await;
}

#[tokio::test]
async fn a_domain_needs_no_general_authority_and_turns_certificates_on() {
    let site = site_with(&[OWN_TABLE]);
    without_general(&site);
    let own = Authority::new_in(&site, "certs/own.pem");
    let host = own.issue_with(2, names(vec![dns("desk.internal")]));
    let other = own.issue_with(3, names(vec![uri(OTHER)]));
    let stranger = Authority::new_in(&site, "certs/none.pem");
    let foreign = stranger.issue_with(4, names(vec![dns("desk.internal")]));
    let cases = vec![
        ("own id", own.issue(1), OK),
        ("DNS name", host, "not-an-svid"),
        ("id of no table", other, "wrong-trust-domain"),
        ("DNS name of a stranger", foreign, "unknown-issuer"),
    ];
    expect(&site, cases).await;

    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let required = [("GRANTGATE__LISTENER__CLIENT_CERTIFICATES", "required")];
    let gateway = site.start(&seam, &required).await;
    assert_eq!(ask(&site, &gateway, Some(own.issue(5)), None).await, OK);
    assert_eq!(ask(&site, &gateway, None, Some(&site.token)).await, NO_HANDSHAKE);
    gateway.stop().await;
}

#[tokio::test]
async fn the_lists_of_a_domain_say_nothing_of_another() {
    let with_list = |table: &str, file: &str| format!("{table}crl_file = \"certs/{file}.crl\"\n");
    let partner_table = with_list(PARTNER_TABLE, "partner");
    let site = site_with(&[&with_list(OWN_TABLE, "own"), &partner_table]);
    // Of one name, as by the defaults of SPIRE: only the tables tell the lists apart.
    let own = Authority::named(&site, "certs/own.pem", "authority");
    let partner = Authority::named(&site, "certs/partner.pem", "authority");
    let general = Authority::named(&site, "certs/callers-ca.pem", "authority");
    std::fs::write(site.path("certs/own.crl"), own.revocation_list(&[1], 2100)).unwrap();
    // Newer, and for all of these numbers.
    let all = partner.list(&[1, 2, 3, 4], 9, |list| list.this_update = days_from_now!(-1));
    std::fs::write(site.path("certs/partner.crl"), all).unwrap();
    let cases = vec![
        ("revoked", own.issue(1), "revoked"),
        ("revoked by the partner", own.issue(2), OK),
        ("of the partner", partner.issue_with(3, names(vec![uri(PARTNER)])), "revoked"),
        ("without lists", general.issue_with(4, names(vec![uri(OTHER)])), OK),
    ];
    expect(&site, cases).await;

    // The partner's list is over: only its own certificates are refused for it.
    std::fs::write(site.path("certs/partner.crl"), partner.revocation_list(&[], 2021)).unwrap();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    assert_eq!(ask(&site, &gateway, Some(own.issue(5)), None).await, OK);
    let of_partner = partner.issue_with(6, names(vec![uri(PARTNER)]));
    assert_eq!(ask(&site, &gateway, Some(of_partner), None).await, NO_HANDSHAKE);
    let (status, text) = gateway.admin("/readyz?verbose").await;
    assert!(status == 200 && text.contains("[!] certificates: "), "{text}");
    let part = "revocation-list of trust domain partner.example expires 2021-01-01T00:00:00Z";
    assert!(text.contains(part), "{text}");
    let metrics = gateway.admin("/metrics").await.1;
    for (domain, kind, time) in [
        ("partner.example", "revocation-list", "1609459200"),
        ("example.org", "revocation-list", "4102444800"),
        ("example.org", "authority", ""),
    ] {
        let series = format!(
            "grantgate_trust_domain_expiry_timestamp_seconds{{kind=\"{kind}\",\
             trust_domain=\"{domain}\"}} {time}"
        );
        assert!(metrics.contains(&series), "{series} in {metrics}");
    }
    assert!(!metrics.contains("role=\"client-crl\""), "there is no general list: {metrics}");
    let status = gateway.admin("/status").await.1;
    assert!(status.contains("\"authority of trust domain example.org\""), "{status}");
    assert!(status.contains("was good until 2021-01-01T00:00:00Z"), "{status}");
    gateway.stop().await;
}

#[tokio::test]
async fn an_authority_that_is_taken_away_is_refused_on_connections_that_are_open() {
    let site = site_with(&[OWN_TABLE, PARTNER_TABLE]);
    let own = Authority::new_in(&site, "certs/own.pem");
    let partner = Authority::new_in(&site, "certs/partner.pem");
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let open = async |pair| {
        let config = client_config(&site, rustls::DEFAULT_VERSIONS, &["http/1.1"], Some(pair));
        connect(&gateway, config).await.unwrap()
    };
    let mut cut = open(own.issue(1)).await;
    let mut kept = open(partner.issue_with(2, names(vec![uri(PARTNER)]))).await;
    for stream in [&mut cut, &mut kept] {
        assert_eq!(reload::grant(stream, None).await, OK);
    }

    // What is no bundle changes nothing, and is shown with its line.
    reload::replace(&site.path("certs/own.pem"), "\n-----BEGIN CERTIFICATE-----\nMIIB\n");
    reload::until("the failure is shown", async || {
        gateway.admin("/metrics").await.1.contains("\ngrantgate_reload_failing 1")
    })
    .await;
    let text = gateway.admin("/readyz?verbose").await.1;
    assert!(
        text.contains("certs/own.pem:2: the 1st certificate, which begins in line 2, is cut off"),
        "{text}"
    );
    assert_eq!(reload::grant(&mut cut, None).await, OK);

    // Neither does an authority of another domain.
    reload::replace(&site.path("certs/own.pem"), partner.pem());
    reload::until("this failure is shown", async || {
        gateway.admin("/readyz?verbose").await.1.contains("it could sign for both")
    })
    .await;
    assert_eq!(reload::grant(&mut cut, None).await, OK);

    let next = Authority::new_in(&site, "certs/none.pem");
    reload::replace(&site.path("certs/own.pem"), next.pem());
    reload::until("the certificate is refused", async || {
        reload::grant(&mut cut, None).await == UNAUTHORIZED
    })
    .await;
    assert_eq!(reload::grant(&mut kept, None).await, OK, "another domain's");
    assert_eq!(ask(&site, &gateway, Some(next.issue(3)), None).await, OK);
    gateway.stop().await;
    let records = site.records();
    let failure = of_event(&records, "authn.failure")[0];
    assert_eq!(failure["reason"], "certificate-withdrawn");
    assert_eq!(failure["certificate"]["fault"], "bad-signature");
    let parts = of_event(&records, "config.reload").into_iter().map(|reload| &reload["parts"]);
    assert!(parts.into_iter().all(|parts| *parts == serde_json::json!(["certificates"])));
}

#[test]
fn an_authority_is_of_one_table_and_every_mistake_is_said() {
    let lines = |text: &str, part: &str| text.lines().filter(|l| l.contains(part)).count();
    let site = site_with(&[OWN_TABLE, PARTNER_TABLE]);
    let own = Authority::new_in(&site, "certs/own.pem");
    let partner = Authority::new_in(&site, "certs/partner.pem");
    assert_eq!(check(&site, &[]).0, Some(0), "{:?}", check(&site, &[]));

    // In another certificate it is the same: the key counts.
    let both = [partner.pem(), own.pem()].concat();
    std::fs::write(site.path("certs/partner.pem"), both).unwrap();
    let (code, text) = check(&site, &[]);
    assert_eq!(code, Some(3), "{text}");
    let line = partner.pem().lines().count() + 1;
    assert!(text.contains(&format!("certs/partner.pem:{line}: ")), "{text}");
    let place = format!("trust domain `example.org` ({}:1)", site.path("certs/own.pem").display());
    assert!(text.contains(&place), "{text}");

    std::fs::write(site.path("certs/partner.pem"), partner.pem()).unwrap();
    std::fs::write(site.path("certs/callers-ca.pem"), own.pem()).unwrap();
    let (code, text) = check(&site, &[]);
    assert!(code == Some(3) && text.contains("is one of `listener.client_ca_file` ("), "{text}");
    assert!(text.contains("certs/own.pem:1: "), "{text}");

    // Who is no authority, and what is no bundle, each in its file.
    let general = Authority::new(&site);
    let leaf = String::from_utf8(general.issue(1).0).unwrap();
    std::fs::write(site.path("certs/own.pem"), [own.pem(), &leaf].concat()).unwrap();
    std::fs::write(site.path("certs/partner.pem"), "nothing\n").unwrap();
    let (code, text) = check(&site, &[]);
    assert_eq!(code, Some(3), "{text}");
    let line = own.pem().lines().count() + 1;
    let part = format!("certs/own.pem:{line}: the 2nd certificate is not an authority's");
    assert!(text.contains(&part) && text.contains("certs/partner.pem: holds no "), "{text}");
    assert_eq!(lines(&text, "error: "), 2, "{text}");

    // Without its file a domain is not left to the general authorities.
    std::fs::write(site.path("certs/own.pem"), own.pem()).unwrap();
    std::fs::remove_file(site.path("certs/partner.pem")).unwrap();
    let (code, text) = check(&site, &[]);
    assert!(code == Some(3) && text.contains("certs/partner.pem: "), "{text}");
    assert_eq!(lines(&text, "error: "), 1, "{text}");

    // The file of another domain, by its own word.
    Authority::with(&site, "certs/own.pem", |p| {
        p.subject_alt_names = vec![uri("spiffe://partner.example")];
    });
    Authority::with(&site, "certs/partner.pem", |p| {
        p.subject_alt_names = vec![uri("spiffe://partner.example")];
    });
    let (code, text) = check(&site, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(lines(&text, "says that it is of `partner.example`"), 1, "{text}");
    assert!(text.contains("certs/own.pem:1: the 1st authority of trust domain `example.org`"));
}

#[test]
fn callers_whom_no_authority_can_vouch_for_are_pointed_out() {
    let site = site_with(&[OWN_TABLE]);
    without_general(&site);
    Authority::new_in(&site, "certs/own.pem");
    let callers = "\n[[caller]]\nid = \"a\"\ndescription = \"a\"\n\
                   certificates = [\"spiffe://other.example/a\", \"dns:a.internal\"]\n";
    append(&site, "callers.toml", callers);
    let (code, text) = check(&site, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("caller `a` has certificates and nothing else"), "{text}");
    assert!(!text.contains("`visitor-desk` has certificates"), "{text}");
}
