use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
};

use super::*;
use crate::tls::{ClientCertificates, ClientFiles, DomainFiles, Identity, PemFile, certificates};

/// No test here looks at the clock.
fn now() -> Timestamp {
    "2026-11-25T08:00:00Z".parse().unwrap()
}

/// The moment of `now()`, this many days later. (The type is of a crate that is not named.)
macro_rules! day {
    ($later:expr) => {{
        let now = rcgen::date_time_ymd(2026, 11, 25) + Duration::from_secs(8 * 3600);
        let apart = Duration::from_secs(86_400 * $later.unsigned_abs());
        if $later < 0 { now - apart } else { now + apart }
    }};
}

/// A certificate with all that it takes to sign another.
struct Issued {
    key: KeyPair,
    params: CertificateParams,
    pem: String,
}

/// A certificate for `name` with a change, signed by `issuer` or by itself.
fn issue(
    name: &str,
    days: std::ops::Range<i64>,
    issuer: Option<&Issued>,
    change: impl FnOnce(&mut CertificateParams),
) -> Issued {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (day!(days.start), day!(days.end));
    change(&mut params);
    let issued = match issuer {
        None => params.self_signed(&key),
        Some(Issued { key: signer, params: above, .. }) => {
            params.signed_by(&key, &Issuer::from_params(above, signer))
        }
    };
    let pem = issued.unwrap().pem();
    Issued { key, params, pem }
}

fn authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
}

fn server(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
}

/// What is found in a chain for these host names: severity, line, text.
fn found(chain: &[&Issued], hosts: &[&str], known: &[&Issued]) -> Vec<(Severity, u32, String)> {
    let join = |all: &[&Issued]| all.iter().map(|one| one.pem.as_str()).collect::<String>();
    let (text, known) = (join(chain), join(known));
    let file = PemFile { name: "server.pem", bytes: text.as_bytes() };
    let key = chain[0].key.serialize_pem();
    let key = PemFile { name: "server.key", bytes: key.as_bytes() };
    let identity = Identity::from_pem(file, key).unwrap();
    let known = PemFile { name: "known.pem", bytes: known.as_bytes() };
    let known = certificates(known).unwrap_or_default();
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let inspection = inspect_server(file, &identity, Side::Callers, &hosts, &known);
    flat(&inspection.findings(now()))
}

fn flat(findings: &[Finding]) -> Vec<(Severity, u32, String)> {
    let flat = |f: &Finding| (f.severity, f.problem.line.unwrap_or(0), f.problem.text.clone());
    findings.iter().map(flat).collect()
}

#[test]
fn a_chain_that_nothing_is_wrong_with_has_no_findings() {
    let root = issue("root", -900..900, None, authority);
    let middle = issue("middle", -90..90, Some(&root), authority);
    let leaf = issue("gate.example", -9..90, Some(&middle), server);
    let hosts = ["gate.example", "GATE.example", "gate.example."];
    assert_eq!(found(&[&leaf, &middle], &hosts, &[]), []);
    assert_eq!(found(&[&leaf, &middle, &root], &hosts, &[]), []);
    let own = issue("127.0.0.1", -9..90, None, server);
    assert_eq!(found(&[&own], &["127.0.0.1"], &[]), []);
}

#[test]
fn the_time_of_each_certificate_is_judged_at_the_moment_that_is_given() {
    let root = issue("root", -900..-1, None, authority);
    let middle = |days| issue("middle", days, Some(&root), authority);
    let good = middle(-90..90);
    let leaf = |days| issue("gate.example", days, Some(&good), server);
    for (days, severity, part) in [
        (-9..-1, Some(Severity::Outage), "the certificate expired at 2026-11-24T08:00:00Z: "),
        (1..9, Some(Severity::Outage), "the certificate is not valid before 2026-11-26T08:00:00Z"),
        (-9..0, Some(Severity::Warning), "in less than a day"),
        (-9..1, Some(Severity::Warning), "in 1 day:"),
        (-9..13, Some(Severity::Warning), "expires at 2026-12-08T08:00:00Z, in 13 days"),
        (-9..14, None, ""),
    ] {
        // The root that is sent with it has expired too: clients have their own.
        let leaf = leaf(days.clone());
        let found = found(&[&leaf, &good, &root], &["gate.example"], &[]);
        let severities: Vec<_> = found.iter().map(|(severity, ..)| *severity).collect();
        assert_eq!(severities, severity.into_iter().collect::<Vec<_>>(), "{days:?}: {found:?}");
        assert!(found.iter().all(|(_, line, text)| *line == 1 && text.contains(part)), "{found:?}");
    }
    let line = u32::try_from(leaf(-9..90).pem.lines().count()).unwrap() + 1;
    for days in [-9..-1, 1..9] {
        let above = middle(days);
        let leaf = issue("gate.example", -9..90, Some(&above), server);
        let found = found(&[&leaf, &above], &["gate.example"], &[]);
        let [(Severity::Error, at, text)] = found.as_slice() else { panic!("{found:?}") };
        assert!(*at == line && text.contains("the 2nd certificate "), "{text}");
    }
    // Of the admin listener an error: grants go on.
    let expired = leaf(-9..-1);
    let file = PemFile { name: "admin.pem", bytes: expired.pem.as_bytes() };
    let key = expired.key.serialize_pem();
    let key = PemFile { name: "admin.key", bytes: key.as_bytes() };
    let identity = Identity::from_pem(file, key).unwrap();
    let inspection = inspect_server(file, &identity, Side::Admin, &[], &[]);
    assert_eq!(flat(&inspection.findings(now()))[0].0, Severity::Error);
    assert_eq!(inspection.expiries()[0].0, "admin-server");
}

#[test]
fn who_will_not_accept_a_certificate_is_said() {
    let root = issue("root", -900..900, None, authority);
    let own =
        |change: fn(&mut CertificateParams)| issue("gate.example", -9..90, Some(&root), change);
    let client = |p: &mut CertificateParams| {
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    for (name, leaf, hosts, expected) in [
        (
            "another host",
            own(server),
            &["gate.example", "door.example", "10.0.0.1"][..],
            &["does not cover `door.example`", "does not cover `10.0.0.1`"][..],
        ),
        ("a client's", own(client), &[], &["lacks `serverAuth`"]),
        ("an authority's", own(authority), &[], &["is an authority's (`CA:TRUE`)"]),
        ("without a name", own(|p| p.subject_alt_names.clear()), &[], &["has no `subjectAltName`"]),
    ] {
        let found = found(&[&leaf], hosts, &[&root]);
        assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
        for ((severity, line, text), part) in found.iter().zip(expected) {
            assert!(*severity == Severity::Warning && *line == 1 && text.contains(part), "{text}");
        }
    }
}

/// `[1] { SEQUENCE { SEQUENCE { caIssuers, [6] "http://x/i" } } }` and the like.
fn extension(oid: &[u64], der: Vec<u8>) -> CustomExtension {
    CustomExtension::from_oid_content(oid, der)
}

const FETCH_ISSUER: &[u8] =
    b"\x30\x18\x30\x16\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x0ahttp://x/i";

/// An authority key identifier that names the issuer of the issuer: CN=`name`.
fn issued_by(name: &str) -> Vec<u8> {
    let wrap = |tag: u8, inner: Vec<u8>| {
        let length = u8::try_from(inner.len()).unwrap();
        [vec![tag, length], inner].concat()
    };
    let name = wrap(0x0c, name.as_bytes().to_vec());
    let attribute = wrap(0x30, [b"\x06\x03\x55\x04\x03".to_vec(), name].concat());
    let directory = wrap(0xa4, wrap(0x30, wrap(0x31, attribute)));
    wrap(0x30, [wrap(0xa1, directory), vec![0x82, 1, 1]].concat())
}

#[test]
fn an_order_that_is_wrong_and_a_link_that_is_missing_are_said() {
    let root = issue("root", -900..900, None, authority);
    let middle = issue("middle", -90..90, Some(&root), authority);
    let again = issue("middle", -90..90, Some(&root), authority);
    let leaf =
        |change: fn(&mut CertificateParams)| issue("gate.example", -9..90, Some(&middle), change);
    let plain = leaf(server);
    let lines = u32::try_from(plain.pem.lines().count()).unwrap();
    for (name, chain) in [
        ("the root before the middle", [&plain, &root, &middle]),
        ("another authority of the same name", [&plain, &again, &root]),
    ] {
        let found = found(&chain, &[], &[]);
        let [(Severity::Warning, at, text)] = found.as_slice() else { panic!("{name}: {found:?}") };
        let part = "has not signed the one before it, which was issued by CN=middle";
        assert!(*at == lines + 1 && text.contains(part), "{name}: {text}");
    }

    let fetch = |params: &mut CertificateParams| {
        let info = extension(&[1, 3, 6, 1, 5, 5, 7, 1, 1], FETCH_ISSUER.to_vec());
        params.custom_extensions = vec![info];
    };
    let of_root = |params: &mut CertificateParams| {
        params.custom_extensions = vec![extension(&[2, 5, 29, 35], issued_by("root"))];
    };
    let of_itself = |params: &mut CertificateParams| {
        params.custom_extensions = vec![extension(&[2, 5, 29, 35], issued_by("middle"))];
    };
    for (name, leaf, known, said) in [
        ("nothing is known of the issuer", leaf(server), None, None),
        ("its issuer can be fetched", leaf(fetch), None, Some("; it is at http://x/i")),
        ("and is an authority of ours", leaf(fetch), Some(&middle), None),
        ("its issuer was issued by another", leaf(of_root), None, Some("append it to this file")),
        ("its issuer is a root", leaf(of_itself), None, None),
    ] {
        let found = found(&[&leaf], &[], &known.into_iter().collect::<Vec<_>>());
        match said {
            None => assert_eq!(found, [], "{name}"),
            Some(part) => {
                let [(Severity::Warning, 1, text)] = found.as_slice() else {
                    panic!("{name}: {found:?}")
                };
                assert!(text.contains("its issuer, CN=middle,") && text.contains(part), "{text}");
            }
        }
        // With its issuer after it, nothing is missing that can be known of.
        assert_eq!(super::tests::found(&[&leaf, &middle], &[], &[&root]), [], "{name}");
    }
}

/// A revocation list of an authority: from one day to another.
fn list(by: &Issued, days: std::ops::Range<i64>) -> String {
    let params = CertificateRevocationListParams {
        this_update: day!(days.start),
        next_update: day!(days.end),
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&Issuer::from_params(&by.params, &by.key)).unwrap().pem().unwrap()
}

fn clients(authorities: &[&Issued], lists: &[String], required: bool) -> Inspection {
    let authorities: String = authorities.iter().map(|one| one.pem.as_str()).collect();
    let lists = lists.concat();
    let files = ClientFiles {
        authorities: PemFile { name: "ca.pem", bytes: authorities.as_bytes() },
        lists: Some(PemFile { name: "crl.pem", bytes: lists.as_bytes() }),
    };
    let made = ClientCertificates::new(files, Side::Callers, required);
    made.unwrap_or_else(|problems| panic!("{problems:?}")).inspection().clone()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn every_authority_needs_a_list_of_its_own_that_is_good() {
    let [a, b, old] = [("a", 900), ("b", 900), ("old", -1)]
        .map(|(name, until)| issue(name, -900..until, None, authority));
    let impostor = issue("a", -900..900, None, authority);
    let no_lists = issue("a", -900..900, None, |params| {
        authority(params);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    });
    let leaf = issue("desk", -900..900, None, |params| params.is_ca = IsCa::ExplicitNoCa);
    let good = |by| list(by, -1..1);
    let stale = "the revocation list of CN=a was good until 2026-11-25T08:00:00Z";
    use Severity::{Error, Outage, Warning};
    type Expected<'a> = &'a [(Severity, &'a str)];
    type Case<'a> = (&'a str, Vec<&'a Issued>, Vec<String>, Expected<'a>, Expected<'a>);
    let cases: [Case<'_>; 8] = [
        ("all well", vec![&a, &b], vec![good(&a), good(&b)], &[], &[]),
        (
            "an authority without a list",
            vec![&a, &b],
            vec![good(&a)],
            &[(Error, "the 2nd authority (CN=b) has no revocation list in `crl.pem`")],
            &[],
        ),
        (
            "a list past its next update",
            vec![&a],
            vec![list(&a, -9..0)],
            &[(Error, stale)],
            &[(Outage, "nobody can connect")],
        ),
        (
            "an older list first",
            vec![&a],
            vec![list(&a, -9..0), good(&a)],
            &[(Warning, "and not used: take it out")],
            &[],
        ),
        (
            "a list of another authority of the same name",
            vec![&a],
            vec![good(&impostor)],
            &[(Error, "has not signed the revocation list of its name")],
            &[(Outage, "nobody can connect")],
        ),
        (
            "an authority that may not sign lists",
            vec![&no_lists],
            vec![list(&a, -1..1)],
            &[(Error, "lacks `cRLSign`")],
            &[(Outage, "nobody can connect")],
        ),
        (
            "an authority whose time is over",
            vec![&old],
            vec![good(&old)],
            &[(Warning, "what it has signed is still accepted")],
            &[],
        ),
        (
            "no authority at all",
            vec![&a, &leaf],
            vec![good(&a), good(&leaf)],
            &[(Warning, "the 2nd authority (CN=desk) is not marked as one")],
            &[],
        ),
    ];
    for (name, authorities, lists, expected, when_required) in cases {
        for (required, expected) in
            [(false, expected.to_vec()), (true, [when_required, expected].concat())]
        {
            let found = flat(&clients(&authorities, &lists, required).findings(now()));
            assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
            for ((severity, _, text), (expected, part)) in found.iter().zip(expected) {
                assert!(*severity == expected && text.contains(part), "{name}: {text}");
            }
        }
    }
}

#[test]
fn a_list_that_cannot_be_used_is_named() {
    let a = issue("a", -900..900, None, authority);
    let good = [list(&a, -1..1), list(&a, -2..1)].concat();
    let line = good.lines().count() + 1;
    // A certificate under the name of a list.
    let lists = [good, a.pem.replace("CERTIFICATE", "X509 CRL")].concat();
    let files = ClientFiles {
        authorities: PemFile { name: "ca.pem", bytes: a.pem.as_bytes() },
        lists: Some(PemFile { name: "crl.pem", bytes: lists.as_bytes() }),
    };
    let problems = ClientCertificates::new(files, Side::Callers, false).err().unwrap();
    let text = problems[0].to_string();
    assert!(text.starts_with(&format!("crl.pem:{line}: this revocation list")), "{text}");
}

#[test]
fn where_one_of_several_bundles_can_be_used_somebody_can_connect() {
    let [a, b] = ["a", "b"].map(|name| issue(name, -900..900, None, authority));
    let (good, stale) = (list(&a, -1..1), list(&a, -9..-2));
    let (other, worse) = (list(&b, -1..1), list(&b, -9..-3));
    let domain = crate::domain::TrustDomain::parse("b.example").unwrap();
    fn files<'a>(ca: &'a str, list: Option<&'a str>) -> ClientFiles<'a> {
        let pem = |text: &'a str| PemFile { name: "file.pem", bytes: text.as_bytes() };
        ClientFiles { authorities: pem(ca), lists: list.map(pem) }
    }
    let inspect = |of_a: Option<&str>, of_b: Option<&str>| {
        let domains = [DomainFiles {
            name: domain.clone(),
            form: crate::domain::BundleForm::Pem,
            files: files(&b.pem, of_b),
        }];
        let general = Some(files(&a.pem, of_a));
        let made = ClientCertificates::with_domains(general, &domains, Side::Callers, true);
        made.unwrap_or_else(|problems| panic!("{problems:?}")).inspection().clone()
    };
    for (of_a, of_b, outage) in [
        (Some(&*stale), Some(&*worse), true),
        (Some(&*stale), Some(&*other), false),
        (Some(&*good), Some(&*worse), false),
        (Some(&*stale), None, false),
        (None, Some(&*worse), false),
        (None, None, false),
    ] {
        let found = inspect(of_a, of_b).findings(now());
        let has_outage = found.iter().any(|finding| finding.severity == Severity::Outage);
        assert_eq!(has_outage, outage, "{of_a:?} {of_b:?}: {found:?}");
    }
    // What is of a domain is not shown as that of everybody.
    let inspection = inspect(Some(&stale), Some(&worse));
    let roles: Vec<_> = inspection.expiries().into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["client-ca", "client-crl"]);
    let of_domain = inspection.domain_expiries();
    let mut of_domain: Vec<_> =
        of_domain.iter().map(|of| (of.kind, of.until.to_string())).collect();
    of_domain.sort();
    let [(first, _), (second, until)] = of_domain.as_slice() else { panic!("{of_domain:?}") };
    assert_eq!((*first, *second), ("authority", "revocation-list"));
    assert_eq!(until, "2026-11-22T08:00:00Z", "of the domain's own list");
}
