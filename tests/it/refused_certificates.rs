//! A client certificate that is refused is found: in the log and in the audit log, with the
//! reason, its names and its serial number, within bounds.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, SanType};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::days_from_now;
use crate::seam::{Behaviour, Seam};
use crate::support::authority::Authority;
use crate::support::http1::exchange;
use crate::support::process::{Process, can, signal};
use crate::support::{LOBBY, PATH, Site, grant_body, of_event, until};
use crate::tls::{client_config, connect_to};

type Pair = (Vec<u8>, Vec<u8>);

/// Comes with whatever it has, also with a key that is not the certificate's.
#[derive(Debug)]
pub struct Anything(Arc<CertifiedKey>);

impl Anything {
    pub fn new((pem, key): &Pair) -> Arc<Self> {
        use rustls::pki_types::pem::PemObject as _;
        let chain = CertificateDer::pem_slice_iter(pem).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(key).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Arc::new(Self(Arc::new(CertifiedKey::new(chain, key))))
    }
}

impl ResolvesClientCert for Anything {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// One request with a certificate: where it came from, and the first line of the answer,
/// empty where there was no handshake.
async fn come(
    site: &Site,
    to: SocketAddr,
    version: &'static rustls::SupportedProtocolVersion,
    pair: &Pair,
) -> (String, String) {
    let mut config = client_config(site, &[version], &["http/1.1"], None);
    config.client_auth_cert_resolver = Anything::new(pair);
    let tcp = TcpStream::connect(to).await.unwrap();
    let own = tcp.local_addr().unwrap().to_string();
    let Ok(mut stream) = connect_to(tcp, config).await else { return (own, String::new()) };
    let body = grant_body(LOBBY);
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // With TLS 1.3 a client hears of its refused certificate only when it reads.
    let answer = exchange(&mut stream, request.as_bytes()).await;
    (own, answer.lines().next().unwrap_or_default().to_owned())
}

/// The log's lines about certificates.
fn lines(process: &Process) -> Vec<Value> {
    let log = process.log();
    let parsed = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.filter(|line| line["message"] == "client certificate refused").collect()
}

async fn stop(process: Process) {
    signal(process.id(), "TERM");
    let code = tokio::task::spawn_blocking(|| process.wait()).await.unwrap();
    assert_eq!(code, Some(0));
}

const CA: (&str, &str) = ("GRANTGATE__LISTENER__CLIENT_CA_FILE", "certs/callers-ca.pem");
const CRL: (&str, &str) = ("GRANTGATE__LISTENER__CLIENT_CRL_FILE", "certs/callers.crl");

const DESK: &str = "spiffe://example.org/front/visitor-desk";

/// An authority under a name of its own.
fn named(site: &Site, name: &str) -> Authority {
    Authority::named(site, "certs/none.pem", name)
}

/// Fault, serial number, certificate and key.
type Refused = (&'static str, &'static str, Pair);

/// One for each way to be refused. All authorities are trusted but two.
fn every_fault(site: &Site) -> Vec<Refused> {
    let names = ["good", "bare", "late", "forged"];
    let [good, bare, late, forged] = names.map(|name| named(site, name));
    let (stranger, impostor) = (named(site, "stranger"), named(site, "good"));
    let trusted: String = [&good, &bare, &late, &forged].map(Authority::pem).concat();
    std::fs::write(site.path("certs/callers-ca.pem"), trusted).unwrap();
    let lists = [
        // An older list before the newer one must not hide a revocation.
        good.list(&[], 1, |list| list.this_update = days_from_now!(-9)),
        good.list(&[0x0a0b], 2, |list| list.this_update = days_from_now!(-1)),
        late.list(&[], 1, |list| list.next_update = days_from_now!(-1)),
        named(site, "forged").list(&[], 1, |_| {}),
    ];
    std::fs::write(site.path("certs/callers.crl"), lists.concat()).unwrap();
    let (mine, other) = (good.issue(8), good.issue(9));
    vec![
        ("expired", "01", good.issue_with(1, |p| p.not_after = days_from_now!(-1))),
        ("not-yet-valid", "02", good.issue_with(2, |p| p.not_before = days_from_now!(1))),
        ("unknown-issuer", "03", stranger.issue(3)),
        ("bad-signature", "04", impostor.issue(4)),
        ("revoked", "0a0b", good.issue(0x0a0b)),
        ("no-revocation-list", "05", bare.issue(5)),
        ("revocation-list-expired", "06", late.issue(6)),
        (
            "wrong-usage",
            "07",
            good.issue_with(7, |p| {
                p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
        ),
        ("key-not-proven", "08", (mine.0, other.1)),
        ("revocation-list-invalid", "0c", forged.issue(12)),
        (
            "other",
            "0d",
            good.issue_with(13, |p| {
                let mut unknown =
                    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1], vec![5, 0]);
                unknown.set_criticality(true);
                p.custom_extensions = vec![unknown];
            }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_the_handshake_refuses_is_logged_and_recorded() {
    let site = Site::new();
    let refused = every_fault(&site);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve_with(&site, &seam, &[CA, CRL]);
    let mut expected = Vec::new();
    for (fault, serial, pair) in &refused {
        for version in [&TLS12, &TLS13] {
            let (own, answer) = come(&site, process.address, version, pair).await;
            assert_eq!(answer, "", "{fault}");
            until(fault, || lines(&process).len() > expected.len()).await;
            expected.push((*fault, *serial, own));
        }
    }
    let logged = lines(&process);
    // It is counted when the handshake ends, a moment after it is logged.
    let reason = "grantgate_tls_handshake_failures_total{reason=\"certificate\"}";
    let counted = format!("\n{reason} {}\n", expected.len());
    crate::reload::until("each is counted once", async || {
        crate::support::admin(process.admin, "/metrics").await.1.contains(&counted)
    })
    .await;
    stop(process).await;
    let records = site.records();
    let recorded = of_event(&records, "authn.failure");
    assert_eq!((logged.len(), recorded.len()), (expected.len(), expected.len()));
    for ((fault, serial, peer), (line, record)) in expected.iter().zip(logged.iter().zip(&recorded))
    {
        let certificate = &record["certificate"];
        for found in [line, certificate] {
            assert_eq!(found["fault"], *fault, "{found}");
            assert_eq!(found["serial"], *serial, "{found}");
            assert!(found["issuer"].as_str().unwrap().starts_with("CN="), "{found}");
        }
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["listener"], "listener");
        assert_eq!((&line["names"], &certificate["names"][0]), (&DESK.into(), &DESK.into()));
        for found in [line, *record] {
            assert_eq!(found["reason"], "certificate-refused");
            assert_eq!(found["peer"], peer.as_str());
        }
        // The attempt has an id of its own, and the two tell of the same.
        assert_eq!(line["request_id"], record["request_id"]);
    }
    let shown = crate::support::grantgate(&["audit", "show", site.path("audit").to_str().unwrap()]);
    let part = "certificate-refused  from 127.0.0.1:";
    assert!(shown.contains(part) && shown.contains("fault revoked  serial 0a0b  issuer CN=good"));
    assert!(shown.contains(DESK), "{shown}");
    assert_eq!(seam.requests(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_certificates_and_those_that_are_none_are_told_apart() {
    let site = Site::new();
    let authority = Authority::new(&site);
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve_with(&site, &seam, &[CA]);
    let (pem, key) = authority.issue(1);
    let body = String::from_utf8(pem).unwrap();
    // The tag of the first value in it is another one.
    let garbage = body.replacen("\nMIIB", "\nMIIA", 1);
    come(&site, process.address, &TLS13, &(garbage.into_bytes(), key.clone())).await;
    until("it is logged", || lines(&process).len() == 1).await;
    assert_eq!(lines(&process)[0]["fault"], "malformed");
    if can("openssl", &["version"]) {
        std::fs::write(site.path("certs/v1.key"), &key).unwrap();
        let script = "openssl req -new -key v1.key -subj /CN=old/O=doors -out csr; \
                      openssl x509 -req -in csr -signkey v1.key -set_serial 0x00f1 -out v1.pem";
        let made = std::process::Command::new("sh")
            .args(["-ec", script])
            .current_dir(site.path("certs"))
            .output();
        assert!(made.unwrap().status.success());
        come(&site, process.address, &TLS13, &(site.read("certs/v1.pem"), key)).await;
        until("it is logged", || lines(&process).len() == 2).await;
        let line = &lines(&process)[1];
        assert_eq!(
            (&line["fault"], &line["serial"]),
            (&"unsupported-version".into(), &"f1".into())
        );
        assert_eq!(line["names"], "CN=old, O=doors", "its subject, for want of other names");
    }
    stop(process).await;
}

/// Nobody fills the log with certificates: lines and records are bounded, and both say how
/// many they left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_them_is_counted() {
    const COMING: usize = 160;
    let site = Arc::new(Site::new());
    let _trusted = Authority::new(&site);
    let stranger = Arc::new(Authority::new_in(&site, "certs/stranger.pem").issue(1));
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let few = ("GRANTGATE__AUDIT__STRANGERS_PER_MINUTE_MAX", "5");
    let process = Process::serve_with(&site, &seam, &[CA, few]);
    let address = process.address;
    let mut coming = tokio::task::JoinSet::new();
    for _ in 0..COMING {
        let (site, stranger) = (site.clone(), stranger.clone());
        coming.spawn(async move { come(&site, address, &TLS13, &stranger).await });
    }
    while coming.join_next().await.is_some() {}
    // A line that comes later says how many were left out. There is one each second.
    let mut came = COMING;
    let left_out =
        |lines: &[Value]| lines.iter().filter_map(|l| l["left_out"].as_u64()).sum::<u64>();
    while left_out(&lines(&process)) == 0 {
        assert!(came < COMING + 300, "no line says how many were left out");
        come(&site, address, &TLS13, &stranger).await;
        came += 1;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let logged = lines(&process);
    assert!(logged.len() < COMING, "{}", logged.len());
    let (left_out, lines) = (left_out(&logged), u64::try_from(logged.len()).unwrap());
    let came = u64::try_from(came).unwrap();
    assert!(left_out + lines <= came, "{logged:?}");
    stop(process).await;
    let records = site.records();
    assert_eq!(of_event(&records, "authn.failure").len(), 5);
    let counted = of_event(&records, "authn.suppressed").into_iter();
    let counted = counted.map(|r| r["reasons"]["certificate-refused"].as_u64().unwrap());
    assert_eq!(counted.sum::<u64>(), came - 5);
}

/// A certificate that the handshake accepts and that is nobody's, and one that is withdrawn
/// while its connection is open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_names_no_caller_or_is_withdrawn_is_found_too() {
    let site = Site::new();
    let authority = Authority::new(&site);
    std::fs::write(site.path("certs/callers.crl"), authority.revocation_list(&[1], 2100)).unwrap();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve_with(&site, &seam, &[CA, CRL]);
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let with = |serial, names: Vec<SanType>| {
        authority.issue_with(serial, |params| params.subject_alt_names = names)
    };
    let nobody = with(2, vec![uri("spiffe://example.org/back/nobody")]);
    let two = with(3, vec![uri("spiffe://example.org/a/b"), uri("https://example.org")]);
    for pair in [&nobody, &two] {
        let (_, answer) = come(&site, process.address, &TLS13, pair).await;
        assert_eq!(answer, "HTTP/1.1 401 Unauthorized");
    }

    // This one is good at first.
    let mut config = client_config(&site, &[&TLS13], &["http/1.1"], None);
    config.client_auth_cert_resolver = Anything::new(&authority.issue(4));
    let tcp = TcpStream::connect(process.address).await.unwrap();
    let mut stream = connect_to(tcp, config).await.unwrap();
    let list = authority.list(&[1, 4], 2, |list| list.this_update = days_from_now!(-1));
    std::fs::write(site.path("certs/callers.crl.new"), list).unwrap();
    std::fs::rename(site.path("certs/callers.crl.new"), site.path("certs/callers.crl")).unwrap();
    let reloaded = "grantgate_reloads_total{part=\"certificates\",result=\"ok\"} 1";
    let mut in_force = false;
    for _ in 0..500 {
        in_force = crate::support::admin(process.admin, "/metrics").await.1.contains(reloaded);
        if in_force {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(in_force);
    let request = format!("POST {PATH} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let answer = exchange(&mut stream, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");

    until("all are logged", || lines(&process).len() == 3).await;
    let logged = lines(&process);
    stop(process).await;
    let records = site.records();
    let recorded = of_event(&records, "authn.failure");
    for ((line, record), (reason, fault, serial, names)) in logged.iter().zip(&recorded).zip([
        ("certificate-unknown", Value::Null, "02", "spiffe://example.org/back/nobody"),
        (
            "certificate-malformed",
            Value::Null,
            "03",
            "spiffe://example.org/a/b, https://example.org",
        ),
        ("certificate-withdrawn", "revoked".into(), "04", DESK),
    ]) {
        let certificate = &record["certificate"];
        assert_eq!((&line["reason"], &record["reason"]), (&reason.into(), &reason.into()));
        assert_eq!((&line["fault"], &certificate["fault"]), (&fault, &fault), "{line}");
        assert_eq!((&line["serial"], &certificate["serial"]), (&serial.into(), &serial.into()));
        assert_eq!(line["names"], names);
        assert_eq!(line["request_id"], record["request_id"]);
    }
    assert_eq!((logged.len(), recorded.len()), (3, 3));
}

/// The audit log is about callers: of the admin listener there are log lines only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_listener_logs_whom_it_refuses() {
    let site = Site::new();
    let _monitoring = Authority::new_in(&site, "certs/monitoring-ca.pem");
    let stranger = named(&site, "stranger").issue_with(5, |params: &mut CertificateParams| {
        params.subject_alt_names.clear();
        params.distinguished_name.push(DnType::CommonName, "scrape\u{1b}[2Jr\u{202e}");
    });
    let remote = [
        ("GRANTGATE__ADMIN__REMOTE__ADDRESS", "127.0.0.1:0"),
        ("GRANTGATE__ADMIN__REMOTE__CERTIFICATE_FILE", "certs/server.pem"),
        ("GRANTGATE__ADMIN__REMOTE__PRIVATE_KEY_FILE", "certs/server.key"),
        ("GRANTGATE__ADMIN__REMOTE__CLIENT_CA_FILE", "certs/monitoring-ca.pem"),
    ];
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve_with(&site, &seam, &remote);
    let (own, _) = come(&site, process.remote_admin.unwrap(), &TLS13, &stranger).await;
    until("it is logged", || lines(&process).len() == 1).await;
    let line = &lines(&process)[0];
    assert_eq!((&line["listener"], &line["peer"]), (&"admin.remote".into(), &own.into()));
    assert_eq!((&line["fault"], &line["serial"]), (&"unknown-issuer".into(), &"05".into()));
    assert_eq!(line["names"], "CN=scrape\u{fffd}[2Jr\u{fffd}");
    stop(process).await;
    assert!(of_event(&site.records(), "authn.failure").is_empty());
}
