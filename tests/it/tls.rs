//! The listener: TLS only, both versions, both protocols, client certificates.

use std::sync::Arc;
use std::time::Duration;

use grantgate::tls::{PemFile, certificates, private_key};
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::seam::{Behaviour, Seam};
use crate::support::authority::Authority;
use crate::support::http1::exchange;
use crate::support::{Gateway, LOBBY, PATH, Site, grant_body, of_event, post};

pub fn client_config(
    site: &Site,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
    certificate: Option<(Vec<u8>, Vec<u8>)>,
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    let authority = site.read("certs/servers-ca.pem");
    let pem = |bytes| PemFile { name: "client.pem", bytes };
    roots.add(certificates(pem(&authority)).unwrap().remove(0).item).unwrap();
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = certificates(pem(&chain)).unwrap();
            let chain = chain.into_iter().map(|placed| placed.item).collect();
            builder.with_client_auth_cert(chain, private_key(pem(&key)).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    config
}

pub async fn connect(
    gateway: &Gateway,
    config: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_to(TcpStream::connect(gateway.address).await.unwrap(), config).await
}

pub async fn connect_to(
    tcp: TcpStream,
    config: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

#[tokio::test]
async fn both_versions_and_both_protocols_are_spoken_and_the_key_exchange_is_hybrid() {
    use rustls::version::{TLS12, TLS13};
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let (suite_12, suite_13) = (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS13_AES_128_GCM_SHA256,
    );
    for (version, number, suite) in
        [(&TLS12, ProtocolVersion::TLSv1_2, suite_12), (&TLS13, ProtocolVersion::TLSv1_3, suite_13)]
    {
        for (offered, chosen) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "http/1.1")] {
            let config = client_config(&site, &[version], offered, None);
            let stream = connect(&gateway, config).await.unwrap();
            let connection = stream.get_ref().1;
            assert_eq!(connection.protocol_version(), Some(number));
            // The client begins with AES-256.
            assert_eq!(connection.negotiated_cipher_suite().map(|s| s.suite()), Some(suite));
            assert_eq!(connection.alpn_protocol(), Some(chosen.as_bytes()));
            if number == ProtocolVersion::TLSv1_3 {
                let group = connection.negotiated_key_exchange_group().unwrap().name();
                assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn plaintext_is_never_answered() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    let mut tcp = TcpStream::connect(gateway.address).await.unwrap();
    let request = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), tcp.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection is closed");
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    gateway.stop().await;
}

/// One request over HTTP/1.1, without a token unless one is given.
pub async fn ask(
    site: &Site,
    gateway: &Gateway,
    certificate: Option<(Vec<u8>, Vec<u8>)>,
    token: Option<&str>,
) -> String {
    let config = client_config(site, rustls::DEFAULT_VERSIONS, &["http/1.1"], certificate);
    let Ok(mut stream) = connect(gateway, config).await else { return "no handshake".into() };
    let body = grant_body(LOBBY);
    let token = token.map_or(String::new(), |t| format!("authorization: Bearer {t}\r\n"));
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\n{token}content-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // With TLS 1.3 a client learns only now that its certificate was refused.
    if stream.write_all(request.as_bytes()).await.is_err() {
        return "no handshake".into();
    }
    let answer = exchange(&mut stream, b"").await;
    answer.lines().next().unwrap_or("no handshake").to_owned()
}

#[tokio::test]
async fn a_client_certificate_is_a_credential_beside_the_token() {
    let site = Site::new();
    let stranger = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let own = || Some((site.read("certs/caller.pem"), site.read("certs/caller.key")));
    let foreign = || Some((stranger.read("certs/caller.pem"), stranger.read("certs/caller.key")));

    let gateway = site.start(&seam, &[]).await;
    assert_eq!(ask(&site, &gateway, own(), None).await, "HTTP/1.1 200 OK");
    assert_eq!(ask(&site, &gateway, None, Some(&site.token)).await, "HTTP/1.1 200 OK");
    assert_eq!(ask(&site, &gateway, own(), Some(&site.token)).await, "HTTP/1.1 200 OK");
    assert_eq!(ask(&site, &gateway, own(), Some("bad")).await, "HTTP/1.1 401 Unauthorized");
    assert_eq!(ask(&site, &gateway, None, None).await, "HTTP/1.1 401 Unauthorized");
    assert_eq!(ask(&site, &gateway, foreign(), Some(&site.token)).await, "no handshake");
    gateway.stop().await;
    let records = site.records();
    let credentials: Vec<_> =
        of_event(&records, "grant.decision").iter().map(|r| r["credential"].clone()).collect();
    let spiffe = "certificate:spiffe://example.org/front/visitor-desk";
    assert_eq!(credentials, [spiffe, "token:t", "token:t"]);

    let required = [("GRANTGATE__LISTENER__CLIENT_CERTIFICATES", "required")];
    let gateway = site.start(&seam, &required).await;
    assert_eq!(ask(&site, &gateway, own(), None).await, "HTTP/1.1 200 OK");
    assert_eq!(ask(&site, &gateway, None, Some(&site.token)).await, "no handshake");
    gateway.stop().await;
}

#[tokio::test]
async fn a_revoked_or_unlisted_certificate_gets_no_handshake() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let authority = Authority::new(&site);
    let issue = |serial| Some(authority.issue(serial));
    let crl = site.path("certs/callers.crl");
    let with_list = [("GRANTGATE__LISTENER__CLIENT_CRL_FILE", crl.to_str().unwrap())];

    std::fs::write(&crl, authority.revocation_list(&[7], 2100)).unwrap();
    let gateway = site.start(&seam, &with_list).await;
    assert_eq!(ask(&site, &gateway, issue(6), None).await, "HTTP/1.1 200 OK");
    assert_eq!(ask(&site, &gateway, issue(7), None).await, "no handshake");
    gateway.stop().await;

    std::fs::write(&crl, authority.revocation_list(&[7], 2021)).unwrap();
    let gateway = site.start(&seam, &with_list).await;
    let stale = ask(&site, &gateway, issue(6), None).await;
    assert_eq!(stale, "no handshake", "a list past its next update");
    gateway.stop().await;
}

#[tokio::test]
async fn metrics_and_health_are_on_the_admin_listener_only() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    post(&site.client(), &gateway, &site.token, grant_body(LOBBY)).await;
    assert_eq!(gateway.admin("/livez").await, (200, "ok\n".into()));
    assert_eq!(gateway.admin("/readyz").await, (200, "ready\n".into()));
    assert_eq!(gateway.admin("/nothing").await.0, 404);
    let (_, text) = gateway.admin("/metrics").await;
    for line in [
        "grantgate_requests_total{caller=\"visitor-desk\",decision=\"allow\",reason=\"allowed-by-rule\"} 1",
        "grantgate_upstream_requests_total{outcome=\"granted\"} 1",
        "grantgate_audit_records_total{event=\"grant.decision\"} 1",
        "grantgate_policy_rules 7",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains(LOBBY) && !text.contains(&site.token));
    gateway.stop().await;
}
