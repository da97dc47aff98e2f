//! Traces: taken from the caller, passed on to Seam, sent to a collector.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::seam::{Behaviour, Seam};
use crate::support::process::{Process, signal};
use crate::support::{LOBBY, PATH, PERSON, SERVER_ROOM, Site, grant_body, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A small OTLP collector over HTTP.
#[derive(Clone)]
struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Collector {
    async fn start() -> Self {
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let collector = Self { address, received: Arc::default() };
        let this = collector.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let this = this.clone();
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    while stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {
                        let Some(head) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
                            continue;
                        };
                        let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
                        let length = text.split("content-length: ").nth(1).unwrap();
                        let length: usize = length.lines().next().unwrap().parse().unwrap();
                        let end = head + 4 + length;
                        if bytes.len() < end {
                            continue;
                        }
                        assert!(text.starts_with("post /v1/traces http/1.1"), "{text}");
                        assert!(text.contains("content-type: application/x-protobuf"), "{text}");
                        assert!(text.contains("x-tenant: doors"), "{text}");
                        let body = ExportTraceServiceRequest::decode(&bytes[head + 4..end]);
                        this.received.lock().unwrap().push(body.unwrap());
                        bytes.drain(..end);
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        stream.write_all(answer).await.unwrap();
                    }
                });
            }
        });
        collector
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let scopes = received.iter().flat_map(|r| &r.resource_spans).flat_map(|r| &r.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let value = &span.attributes.iter().find(|a| a.key == key)?.value;
    let value = value.as_ref()?.value.as_ref()?;
    if let Any::StringValue(text) = value {
        return Some(text.clone());
    }
    let Any::IntValue(number) = value else { panic!("{value:?}") };
    Some(number.to_string())
}

async fn ask(site: &Site, process: &Process, token: &str, entrance: &str, trace: Option<&str>) {
    let mut request = site
        .client()
        .post(format!("https://localhost:{}{PATH}", process.address.port()))
        .bearer_auth(token)
        .header("content-type", "application/json")
        .header("tracestate", "caller=secret")
        .body(grant_body(entrance));
    if let Some(trace) = trace {
        request = request.header("traceparent", trace);
    }
    request.send().await.unwrap();
}

/// What Seam was told, of the request with this number.
fn told(seam: &Seam, number: usize) -> Option<String> {
    let request = seam.requests()[number].clone();
    assert!(!request.contains("tracestate"), "{request}");
    let line = request.lines().find_map(|line| line.strip_prefix("traceparent: "));
    line.map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_is_continued_and_sent_to_the_collector() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let collector = Collector::start().await;
    let endpoint = format!("http://{}", collector.address);
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=doors"),
        // What waits is sent at the end at the latest.
        ("OTEL_BSP_SCHEDULE_DELAY", "60000"),
    ];
    let process = Process::serve_with(&site, &seam, &settings);
    ask(&site, &process, &site.token, LOBBY, Some(&format!("00-{TRACE}-{PARENT}-01"))).await;
    ask(&site, &process, &site.token, SERVER_ROOM, None).await;
    // The caller does not record it: neither do we.
    ask(&site, &process, &site.token, LOBBY, Some(&format!("00-{TRACE}-{PARENT}-00"))).await;
    // Strangers have no traces.
    ask(&site, &process, "seam_gg_nobody", LOBBY, Some(&format!("00-{TRACE}-{PARENT}-01"))).await;
    let log = || process.log().concat();
    until("it is logged", || log().contains(&format!("\"trace_id\":\"{TRACE}\""))).await;
    signal(process.id(), "TERM");
    assert_eq!(tokio::task::spawn_blocking(|| process.wait()).await.unwrap(), Some(0));

    let spans = collector.spans();
    let named = |trace: &[u8], name: &str| {
        let mut found = spans.iter().filter(|s| s.trace_id == trace && s.name == name);
        let first = found.next().unwrap_or_else(|| panic!("no span {name}")).clone();
        assert!(found.next().is_none(), "{name}");
        first
    };
    let root = "POST /acs/entrances/grant_access";
    let (granted, denied): (Vec<_>, Vec<_>) =
        spans.iter().partition(|span| hex(&span.trace_id) == TRACE);
    assert_eq!((granted.len(), denied.len()), (4, 3), "{spans:#?}");

    let trace = granted[0].trace_id.clone();
    let server = named(&trace, root);
    assert_eq!(hex(&server.parent_span_id), PARENT);
    for (key, value) in [
        ("http.route", PATH),
        ("http.response.status_code", "200"),
        ("grantgate.caller", "visitor-desk"),
        ("grantgate.entrance_id", LOBBY),
        ("grantgate.decision", "allow"),
        ("grantgate.outcome", "granted"),
    ] {
        assert_eq!(attribute(&server, key).as_deref(), Some(value), "{key}");
    }
    let stages = ["decide", "record", "POST"].map(|name| named(&trace, name));
    for stage in &stages {
        assert_eq!(stage.parent_span_id, server.span_id);
        let times = [server.start_time_unix_nano, stage.start_time_unix_nano];
        assert!(times[0] <= times[1] && stage.end_time_unix_nano <= server.end_time_unix_nano);
    }
    assert!(stages[0].end_time_unix_nano <= stages[1].start_time_unix_nano, "in this order");
    assert!(stages[1].end_time_unix_nano <= stages[2].start_time_unix_nano, "in this order");
    let client = hex(&stages[2].span_id);
    assert_eq!(told(&seam, 0), Some(format!("00-{TRACE}-{client}-01")));

    let server = named(&denied[0].trace_id, root);
    assert!(server.parent_span_id.is_empty(), "a trace of its own");
    assert_eq!(attribute(&server, "grantgate.reason").as_deref(), Some("denied-by-rule"));
    assert!(denied.iter().all(|span| span.name != "POST"), "nothing was sent");

    let unrecorded = told(&seam, 1).unwrap();
    assert!(unrecorded.starts_with(&format!("00-{TRACE}-")) && unrecorded.ends_with("-00"));
    let all = format!("{:?}", collector.received.lock().unwrap());
    assert!(all.contains("service.name") && all.contains("\"grantgate\""));
    for secret in [&site.token, PERSON, crate::support::KEY] {
        assert!(!all.contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_a_trace_is_passed_on_as_it_is() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let process = Process::serve(&site, &seam);
    let whole = format!("00-{TRACE}-{PARENT}-01");
    ask(&site, &process, &site.token, LOBBY, Some(&whole)).await;
    assert_eq!(told(&seam, 0), Some(whole));
    for none in [None, Some("00-nonsense"), Some("00-\u{e9}")] {
        ask(&site, &process, &site.token, LOBBY, none).await;
    }
    assert_eq!([told(&seam, 1), told(&seam, 2), told(&seam, 3)], [None, None, None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_verified() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let authority = site.path("certs/servers-ca.pem");
    for trusted in [true, false] {
        let collector = Seam::start(&site, Behaviour::confirm()).await;
        let endpoint = collector.url();
        let mut settings = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
        if trusted {
            settings.push(("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.to_str().unwrap()));
        }
        let process = Process::serve_with(&site, &seam, &settings);
        ask(&site, &process, &site.token, LOBBY, None).await;
        signal(process.id(), "TERM");
        let log = process.end().await;
        assert_eq!(collector.requests().len(), usize::from(trusted));
        assert_eq!(log.contains("UnknownIssuer"), !trusted, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_does_not_answer_is_said_once_with_its_cause() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://user:secret@{}", closed.local_addr().unwrap());
    drop(closed);
    let settings =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "10")];
    let process = Process::serve_with(&site, &seam, &settings);
    for _ in 0..3 {
        ask(&site, &process, &site.token, LOBBY, None).await;
    }
    signal(process.id(), "TERM");
    let log = process.end().await;
    assert_eq!(log.matches("the collector takes no traces").count(), 1, "{log}");
    assert!(log.contains("\"cause\":\"Connection refused"), "{log}");
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn what_is_not_supported_is_said() {
    let site = Site::new();
    let here = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    for (variable, said) in [
        (("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "`grpc` is not supported; set http/protobuf"),
        (("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"), "`soon` is not supported; set milliseconds"),
        (("OTEL_TRACES_EXPORTER", "zipkin"), "`zipkin` is not supported; set otlp or none"),
        (("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere"), "/nowhere: cannot be read: No such file"),
        (("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "nowhere at all"), "traces cannot be sent: "),
    ] {
        // What `serve` refuses, `check` has said before.
        for command in ["check", "serve"] {
            let output = Command::new(env!("CARGO_BIN_EXE_grantgate"))
                .args([command, "--config"])
                .arg(site.path("grantgate.toml"))
                .envs([here, variable])
                .output()
                .unwrap();
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(text.contains(said), "{command}: {text}");
            assert_eq!(output.status.code(), Some(3), "{command}");
        }
    }
}
