//! A small collector of OTLP logs over HTTP that does what a test tells it to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a collector says to each request.
#[derive(Clone)]
pub enum Says {
    Status(u16, &'static str),
    /// 401 to whoever does not send this, in lower case.
    Needs(&'static str),
    /// So many records are not kept.
    Rejects(i64),
    Nothing,
}

pub const OK: Says = Says::Status(200, "");

pub struct Received {
    pub at: Instant,
    pub head: String,
    pub request: ExportLogsServiceRequest,
    /// Whether it was told that it was taken.
    pub taken: bool,
}

/// A small collector of OTLP logs over HTTP.
pub struct Collector {
    pub address: SocketAddr,
    shared: Arc<(Mutex<Says>, Mutex<Vec<Received>>)>,
    serving: JoinHandle<()>,
}

impl Collector {
    pub async fn start(says: Says) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let shared = Arc::new((Mutex::new(says), Mutex::default()));
        let of_connections = shared.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                tokio::spawn(connection(stream, of_connections.clone()));
            }
        });
        Self { address, shared, serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1/logs", self.address)
    }

    pub fn say(&self, says: Says) {
        *self.shared.0.lock().unwrap() = says;
    }

    pub fn requests<T>(&self, of: impl FnMut(&Received) -> T) -> Vec<T> {
        self.shared.1.lock().unwrap().iter().map(of).collect()
    }

    /// The records of all requests that were told that they were taken.
    pub fn taken(&self) -> Vec<LogRecord> {
        let received = self.shared.1.lock().unwrap();
        received.iter().filter(|r| r.taken).flat_map(|r| records(&r.request)).collect()
    }

    pub fn taken_seqs(&self) -> Vec<i64> {
        self.taken().iter().map(seq).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn connection(mut stream: TcpStream, shared: Arc<(Mutex<Says>, Mutex<Vec<Received>>)>) {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {
        let Some(head) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
        let length = text.split("content-length: ").nth(1).unwrap();
        let end = head + 4 + length.lines().next().unwrap().parse::<usize>().unwrap();
        if bytes.len() < end {
            continue;
        }
        let request = ExportLogsServiceRequest::decode(&bytes[head + 4..end]).unwrap();
        bytes.drain(..end);
        let says = shared.0.lock().unwrap().clone();
        let (status, headers, body) = match says {
            Says::Status(status, headers) => (status, headers, Vec::new()),
            Says::Needs(what) if !text.contains(what) => (401, "", Vec::new()),
            Says::Needs(_) => (200, "", Vec::new()),
            Says::Rejects(rejected_log_records) => {
                let error_message = "too old".to_owned();
                let partial = ExportLogsPartialSuccess { rejected_log_records, error_message };
                let answer = ExportLogsServiceResponse { partial_success: Some(partial) };
                (200, "content-type: application/x-protobuf\r\n", answer.encode_to_vec())
            }
            Says::Nothing => (0, "", Vec::new()),
        };
        let received = Received { at: Instant::now(), head: text, request, taken: status == 200 };
        shared.1.lock().unwrap().push(received);
        if status == 0 {
            continue;
        }
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n");
        if stream.write_all(&[head.into_bytes(), body].concat()).await.is_err() {
            return;
        }
    }
}

pub fn records(request: &ExportLogsServiceRequest) -> Vec<LogRecord> {
    let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
    scopes.flat_map(|scope| scope.log_records.clone()).collect()
}

pub fn value(attributes: &[KeyValue], key: &str) -> Option<Any> {
    attributes.iter().find(|a| a.key == key)?.value.clone()?.value
}

pub fn text(record: &LogRecord, key: &str) -> Option<String> {
    let found = value(&record.attributes, key)?;
    let Any::StringValue(text) = found else { panic!("{found:?}") };
    Some(text)
}

pub fn seq(record: &LogRecord) -> i64 {
    let found = value(&record.attributes, "grantgate.seq");
    let Some(Any::IntValue(seq)) = found else { panic!("{found:?}") };
    seq
}

pub fn body(record: &LogRecord) -> String {
    let found = record.body.clone().and_then(|body| body.value);
    let Some(Any::StringValue(line)) = found else { panic!("{found:?}") };
    line
}
