//! Where connections and requests come from, as proxies say: believed of listed ones, and of
//! nobody else.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::reload::grant;
use crate::seam::{Behaviour, Seam};
use crate::support::authority::Authority;
use crate::support::http1::{self, exchange};
use crate::support::metrics::{metric, until_metric};
use crate::support::{Gateway, LOBBY, Site, grant_body, of_event, process};
use crate::tls::{client_config, connect_to};

pub const ANNOUNCED: (&str, &str) =
    ("GRANTGATE__LISTENER__PROXY_PROTOCOL_FROM", "127.0.0.0/8, fd00::/8");
const FORWARDED: (&str, &str) = ("GRANTGATE__LISTENER__FORWARDED_FROM", "127.0.0.0/8, 10.0.0.0/8");

/// Version 2, for TCP over IPv4 or of another command and family, with these bytes after it.
fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, block].concat()
}

/// From 192.0.2.7:4660.
fn binary_of_client() -> Vec<u8> {
    binary(0x21, 0x11, &[192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb])
}

pub fn line_of(source: &str) -> Vec<u8> {
    format!("PROXY TCP4 {source} 10.0.0.1 56324 443\r\n").into_bytes()
}

/// Connects as a proxy does: with this at the start.
pub async fn announced(gateway: &Gateway, header: &[u8]) -> TcpStream {
    let mut tcp = TcpStream::connect(gateway.address).await.unwrap();
    tcp.write_all(header).await.unwrap();
    tcp
}

/// The peers of the decisions, in order.
fn peers(site: &Site) -> Vec<String> {
    let records = site.records();
    let decisions = of_event(&records, "grant.decision");
    decisions.iter().map(|record| record["peer"].as_str().unwrap().to_owned()).collect()
}

fn refused_for(reason: &str) -> String {
    format!("grantgate_proxy_headers_refused_total{{reason=\"{reason}\"}}")
}

#[tokio::test]
async fn a_listed_proxy_says_where_a_connection_comes_from() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[ANNOUNCED]).await;
    let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 16], &[0, 80, 1, 0xbb]].concat();
    let mut expected = Vec::new();
    for (header, source) in [
        (line_of("192.0.2.7"), Some("192.0.2.7:56324")),
        (b"PROXY TCP6 2001:db8::7 fd00::1 1 443\r\n".to_vec(), Some("[2001:db8::7]:1")),
        (binary_of_client(), Some("192.0.2.7:4660")),
        (binary(0x21, 0x21, &v6), Some("[2001:db8::7]:80")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (binary(0x20, 0, &[]), None),
    ] {
        let tcp = announced(&gateway, &header).await;
        expected.push(source.map_or_else(|| tcp.local_addr().unwrap().to_string(), str::to_owned));
        let mut tls = http1::over(&site, tcp, &[b"http/1.1"]).await;
        assert!(grant(&mut tls, Some(&site.token)).await.contains(" 200 "), "{header:?}");
    }
    gateway.stop().await;
    assert_eq!(peers(&site), expected);
}

#[tokio::test]
async fn a_listed_proxy_must_say_it_as_the_protocol_wants() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let soon = ("GRANTGATE__LIMITS__HANDSHAKE_TIMEOUT_MS", "400");
    let gateway = site.start(&seam, &[ANNOUNCED, soon]).await;
    let config = || client_config(&site, rustls::DEFAULT_VERSIONS, &["http/1.1"], None);
    let plain = TcpStream::connect(gateway.address).await.unwrap();
    assert!(connect_to(plain, config()).await.is_err(), "a client that is no proxy");
    until_metric(&gateway, &refused_for("missing"), |count| count == 1.0).await;
    for (number, header) in (1_u8..).zip([
        b"PROXY TCP4 192.0.2.7 10.0.0.1 056324 443\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\n\n".to_vec(),
        [&b"PROXY "[..], &[b'x'; 200]].concat(),
        binary(0x31, 0x11, &[0; 12]),
        binary(0x21, 0x11, &[0; 11]),
        binary(0x21, 0x11, &[0; 5000]),
    ]) {
        let tcp = announced(&gateway, &header).await;
        assert!(connect_to(tcp, config()).await.is_err(), "{header:?}");
        until_metric(&gateway, &refused_for("malformed"), |count| count == f64::from(number)).await;
    }
    // The time for it is that of the handshake.
    for header in [&b""[..], b"PROXY TCP4", &binary_of_client()[..20]] {
        let mut tcp = announced(&gateway, header).await;
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), tcp.read_to_end(&mut rest)).await;
        assert!(closed.is_ok() && rest.is_empty(), "{header:?}: {rest:?}");
    }
    until_metric(&gateway, &refused_for("incomplete"), |count| count == 3.0).await;
    let mut slow = announced(&gateway, &binary_of_client()).await;
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), slow.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "header and handshake have one time");
    let timeouts = "grantgate_tls_handshake_failures_total{reason=\"timeout\"}";
    until_metric(&gateway, timeouts, |count| count == 1.0).await;
    gateway.stop().await;
    assert_eq!(seam.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_peer_that_is_not_listed_is_not_believed() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let other = [
        ("GRANTGATE__LISTENER__PROXY_PROTOCOL_FROM", "192.0.2.0/24"),
        ("GRANTGATE__LISTENER__FORWARDED_FROM", "192.0.2.0/24"),
    ];
    let gateway = site.start(&seam, &other).await;
    let config = || client_config(&site, rustls::DEFAULT_VERSIONS, &["http/1.1"], None);
    for header in [line_of("192.0.2.7"), binary_of_client()] {
        let tcp = announced(&gateway, &header).await;
        assert!(connect_to(tcp, config()).await.is_err(), "{header:?}");
    }
    let mut stream = http1::connect(&site, gateway.address).await;
    let own = stream.get_ref().0.local_addr().unwrap().to_string();
    let more = "x-forwarded-for: 192.0.2.7\r\nforwarded: for=192.0.2.7\r\n";
    let answer = exchange(&mut stream, request(&site.token, more).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(metric(&gateway, &refused_for("missing")).await, 0.0, "none is looked for");
    gateway.stop().await;
    assert_eq!(peers(&site), [own]);
}

/// A grant with more header lines.
pub fn request(token: &str, more: &str) -> String {
    let body = grant_body(LOBBY);
    format!(
        "POST /acs/entrances/grant_access HTTP/1.1\r\nhost: localhost\r\n{more}\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn the_limit_of_an_address_is_about_where_connections_come_from() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let two = ("GRANTGATE__LIMITS__CONNECTIONS_PER_ADDRESS_MAX", "2");
    let gateway = site.start(&seam, &[ANNOUNCED, two]).await;
    let mut open = Vec::new();
    for source in ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1", "192.0.2.2"] {
        let tcp = announced(&gateway, &line_of(source)).await;
        open.push(http1::over(&site, tcp, &[b"http/1.1"]).await);
    }
    let config = || client_config(&site, rustls::DEFAULT_VERSIONS, &["http/1.1"], None);
    let tcp = announced(&gateway, &line_of("192.0.2.1")).await;
    assert!(connect_to(tcp, config()).await.is_err(), "the third of one source");
    let limit = "grantgate_refused_connections_total{reason=\"address-limit\"}";
    until_metric(&gateway, limit, |count| count == 1.0).await;
    drop(open);
    for attempt in 0.. {
        let tcp = announced(&gateway, &line_of("192.0.2.1")).await;
        if connect_to(tcp, config()).await.is_ok() {
            break;
        }
        assert!(attempt < 100, "the place does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_refused_certificate_is_recorded_with_where_it_comes_from() {
    let site = Site::new();
    let _trusted = Authority::new(&site);
    let other = Authority::new_in(&site, "certs/other.pem");
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let ca = ("GRANTGATE__LISTENER__CLIENT_CA_FILE", "certs/callers-ca.pem");
    let gateway = site.start(&seam, &[ANNOUNCED, ca]).await;
    let certificate = Some(other.issue(1));
    let config = client_config(&site, rustls::DEFAULT_VERSIONS, &["http/1.1"], certificate);
    let tcp = announced(&gateway, &binary_of_client()).await;
    if let Ok(mut tls) = connect_to(tcp, config).await {
        // With TLS 1.3 the client learns it by reading.
        assert!(tls.read(&mut [0]).await.is_err());
    }
    gateway.stop().await;
    let records = site.records();
    let failures = of_event(&records, "authn.failure");
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0]["peer"], "192.0.2.7:4660");
}

#[tokio::test]
async fn a_listed_proxy_says_where_each_request_comes_from() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    for (header, rows) in [
        (
            "x-forwarded-for",
            [
                ("x-forwarded-for: 192.0.2.7\r\n", Some("192.0.2.7:0")),
                (
                    "x-forwarded-for: 198.51.100.1, 192.0.2.8\r\nx-forwarded-for: 10.1.1.1\r\n",
                    Some("192.0.2.8:0"),
                ),
                ("x-forwarded-for: \"made up, 192.0.2.9:77\r\n", Some("192.0.2.9:77")),
                ("forwarded: for=192.0.2.7\r\n", None),
                ("x-forwarded-for: nonsense\r\n", None),
            ],
        ),
        (
            "forwarded",
            [
                ("forwarded: for=192.0.2.7;proto=https\r\n", Some("192.0.2.7:0")),
                ("forwarded: for=\"[2001:db8::7]:1\", for=10.1.1.1\r\n", Some("[2001:db8::7]:1")),
                ("forwarded: for=\", for=192.0.2.8\r\n", Some("192.0.2.8:0")),
                ("x-forwarded-for: 192.0.2.7\r\n", None),
                ("forwarded: nonsense\r\n", None),
            ],
        ),
    ] {
        let chosen = ("GRANTGATE__LISTENER__FORWARDED_HEADER", header);
        let gateway = site.start(&seam, &[FORWARDED, chosen]).await;
        let before = peers(&site).len();
        // One connection: each request has its own.
        let mut stream = http1::connect(&site, gateway.address).await;
        let own = stream.get_ref().0.local_addr().unwrap().to_string();
        let mut expected = Vec::new();
        for (lines, source) in rows {
            let answer = exchange(&mut stream, request(&site.token, lines).as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{lines}: {answer}");
            expected.push(source.map_or(own.clone(), str::to_owned));
        }
        assert_eq!(metric(&gateway, "grantgate_forwarded_malformed_total").await, 1.0, "{header}");
        gateway.stop().await;
        assert_eq!(peers(&site)[before..], expected, "{header}");
    }
}

#[tokio::test]
async fn both_ways_together_believe_each_only_its_own_proxies() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let forwarded = ("GRANTGATE__LISTENER__FORWARDED_FROM", "10.0.0.0/8");
    let gateway = site.start(&seam, &[ANNOUNCED, forwarded]).await;
    for source in ["10.0.0.5", "192.0.2.5"] {
        let tcp = announced(&gateway, &line_of(source)).await;
        let mut tls = http1::over(&site, tcp, &[b"http/1.1"]).await;
        let text = request(&site.token, "x-forwarded-for: 198.51.100.1\r\n");
        let answer = exchange(&mut tls, text.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    gateway.stop().await;
    assert_eq!(peers(&site), ["198.51.100.1:0", "192.0.2.5:56324"]);
}

/// A running HAProxy; killed when dropped.
struct Haproxy(Child, SocketAddr);

impl Haproxy {
    /// Listens on a socket that this test has bound.
    fn start(site: &Site, name: &str, configuration: &str) -> Self {
        let file = site.path(&format!("haproxy-{name}.cfg"));
        let timeouts = "timeout connect 5s\n timeout client 20s\n timeout server 20s";
        std::fs::write(&file, format!("defaults\n {timeouts}\n{configuration}\n")).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file).stdin(OwnedFd::from(socket)).stderr(Stdio::null());
        Self(command.stdout(Stdio::null()).spawn().unwrap(), address)
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A proxy of another maker's, which passes TLS through or ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_proxy_is_understood() {
    if !process::can("haproxy", &["-v"]) {
        return;
    }
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[ANNOUNCED]).await;
    let (to, root) = (gateway.address, site.root().display().to_string());
    let pem = [site.read("certs/server.pem"), site.read("certs/server.key")].concat();
    std::fs::write(site.path("both.pem"), pem).unwrap();
    let own = format!("ssl verify required ca-file {root}/certs/servers-ca.pem sni str(localhost)");
    let listen = |mode: &str, bind: &str, server: &str| {
        format!("listen l\n mode {mode}\n bind fd@0 {bind}\n server s {to} {server}")
    };
    let mut expected = Vec::new();
    for (name, configuration) in [
        ("v1", listen("tcp", "", "send-proxy")),
        ("v2", listen("tcp", "", "send-proxy-v2")),
        ("v2-checksum", listen("tcp", "", "send-proxy-v2 proxy-v2-options crc32c,unique-id")),
        (
            "ends-tls",
            listen(
                "http",
                &format!("ssl crt {root}/both.pem"),
                &format!("{own} send-proxy-v2-ssl-cn"),
            ),
        ),
    ] {
        let proxy = Haproxy::start(&site, name, &configuration);
        let mut tls = http1::connect(&site, proxy.1).await;
        expected.push(tls.get_ref().0.local_addr().unwrap().to_string());
        assert!(grant(&mut tls, Some(&site.token)).await.contains(" 200 "), "{name}");
    }
    gateway.stop().await;
    assert_eq!(peers(&site), expected);

    let proxy_only = ("GRANTGATE__LISTENER__FORWARDED_FROM", "127.0.0.1/32");
    let gateway = site.start(&seam, &[proxy_only]).await;
    let to = gateway.address;
    let bind = format!("ssl crt {root}/both.pem");
    let configuration = format!(
        "listen l\n mode http\n option forwardfor\n bind fd@0 {bind}\n server s {to} {own}"
    );
    let proxy = Haproxy::start(&site, "forwardfor", &configuration);
    let client = TcpSocket::new_v4().unwrap();
    client.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let tcp = client.connect(proxy.1).await.unwrap();
    let mut tls = http1::over(&site, tcp, &[b"http/1.1"]).await;
    let made_up = "x-forwarded-for: 203.0.113.9\r\n";
    let answer = exchange(&mut tls, request(&site.token, made_up).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    drop(proxy);
    gateway.stop().await;
    assert_eq!(peers(&site).last().unwrap(), "127.0.0.2:0", "not what the client made up");
}
