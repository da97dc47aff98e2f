//! A stand-in for Seam that does what a test tells it to, over TLS.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grantgate::tls::{Identity, PemFile, server_config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::Site;

/// What to do with a request once it was read.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Send these bytes and keep the connection.
    Answer(Vec<u8>),
    /// Send the next of these for each request, and the last one from then on.
    InTurn(Vec<Vec<u8>>),
    /// Send these bytes and close.
    AnswerAndClose(Vec<u8>),
    /// Close without a byte.
    Close,
    /// Say nothing.
    Hang,
    /// Reset the connection.
    Reset,
    /// Send these bytes one by one, this far apart.
    Trickle(Vec<u8>, Duration),
    /// Begin an answer and never end it.
    Endless,
    /// Confirm after a while.
    Slow(Duration),
    /// Send these bytes, end our side of TLS and of TCP, and read on.
    HalfClose(Vec<u8>),
    /// Send these bytes, then reset the connection.
    AnswerAndReset(Vec<u8>),
    /// Before TLS: close, reset, say something else, or say nothing.
    NoTls(NoTls),
}

#[derive(Debug, Clone, Copy)]
pub enum NoTls {
    Close,
    Reset,
    Garbage,
    Hang,
}

impl Behaviour {
    pub fn confirm() -> Self {
        Self::answer(200, "application/json", r#"{"ok":true}"#)
    }

    /// A 200 with each of these JSON bodies in turn.
    pub fn in_turn(bodies: &[String]) -> Self {
        let answers = bodies.iter().map(|body| answer_bytes(200, "application/json", "", body));
        Self::InTurn(answers.collect())
    }

    pub fn answer(status: u16, media_type: &str, body: &str) -> Self {
        Self::answer_with(status, media_type, "", body)
    }

    pub fn answer_with(status: u16, media_type: &str, headers: &str, body: &str) -> Self {
        Self::Answer(answer_bytes(status, media_type, headers, body))
    }
}

fn answer_bytes(status: u16, media_type: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {media_type}\r\nseam-request-id: seam-1\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

/// A running stand-in.
pub struct Seam {
    address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

struct State {
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<String>>,
    /// How many requests there were when the behaviour was set.
    set_after: AtomicUsize,
    connections: AtomicUsize,
}

async fn no_tls(mut stream: TcpStream, instead: NoTls) {
    match instead {
        NoTls::Close => {}
        NoTls::Reset => stream.set_zero_linger().unwrap(),
        NoTls::Garbage => stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"ok\":true}").await.unwrap(),
        NoTls::Hang => tokio::time::sleep(Duration::from_secs(20)).await,
    }
}

impl Seam {
    pub async fn start(site: &Site, behaviour: Behaviour) -> Self {
        let files = ["certs/sandbox.pem", "certs/sandbox.key"].map(|file| site.read(file));
        Self::start_as(&files[0], &files[1], behaviour).await
    }

    /// With this certificate and key.
    pub async fn start_as(certificate: &[u8], key: &[u8], behaviour: Behaviour) -> Self {
        let file = |name, bytes| PemFile { name, bytes };
        let identity = Identity::from_pem(file("seam.pem", certificate), file("seam.key", key));
        let tls = server_config(&identity.unwrap(), None).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let state = Arc::new(State {
            behaviour: Mutex::new(behaviour),
            requests: Mutex::default(),
            set_after: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let shared = state.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                let (acceptor, state) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    state.connections.fetch_add(1, Ordering::Relaxed);
                    let behaviour = state.behaviour.lock().unwrap().clone();
                    if let Behaviour::NoTls(instead) = behaviour {
                        return no_tls(stream, instead).await;
                    }
                    if let Ok(tls) = acceptor.accept(stream).await {
                        state.connection(tls).await;
                    }
                });
            }
        });
        Self { address, state, serving }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub fn set(&self, behaviour: Behaviour) {
        self.state.set_after.store(self.requests().len(), Ordering::Relaxed);
        *self.state.behaviour.lock().unwrap() = behaviour;
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Every request that arrived, head and body.
    pub fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }
}

impl Drop for Seam {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl State {
    async fn connection(&self, mut tls: TlsStream<TcpStream>) {
        while let Some(request) = read_request(&mut tls).await {
            let number = {
                let mut requests = self.requests.lock().unwrap();
                requests.push(request);
                requests.len() - self.set_after.load(Ordering::Relaxed)
            };
            let behaviour = self.behaviour.lock().unwrap().clone();
            let (bytes, keep) = match behaviour {
                Behaviour::Answer(bytes) => (bytes, true),
                Behaviour::InTurn(answers) => {
                    (answers[number.min(answers.len()) - 1].clone(), true)
                }
                Behaviour::AnswerAndClose(bytes) => (bytes, false),
                Behaviour::Close | Behaviour::NoTls(_) => return,
                Behaviour::HalfClose(bytes) => {
                    let _ = tls.write_all(&bytes).await;
                    let _ = tls.shutdown().await;
                    let mut rest = Vec::new();
                    let _ = tls.read_to_end(&mut rest).await;
                    return;
                }
                Behaviour::AnswerAndReset(bytes) => {
                    let _ = tls.write_all(&bytes).await;
                    let _ = tls.flush().await;
                    // Until it was read.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let _ = tls.get_ref().0.set_zero_linger();
                    return;
                }
                Behaviour::Hang => std::future::pending().await,
                Behaviour::Reset => {
                    let _ = tls.get_ref().0.set_zero_linger();
                    return;
                }
                Behaviour::Trickle(bytes, pause) => {
                    for byte in bytes {
                        if tls.write_all(&[byte]).await.is_err() || tls.flush().await.is_err() {
                            return;
                        }
                        tokio::time::sleep(pause).await;
                    }
                    continue;
                }
                Behaviour::Endless => {
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                                transfer-encoding: chunked\r\n\r\n";
                    let mut bytes = head.as_bytes().to_vec();
                    // More than is ever read; whoever reads on is stopped by the end.
                    for _ in 0..100 {
                        bytes.extend_from_slice(b"1000\r\n");
                        bytes.extend_from_slice(&[b' '; 0x1000]);
                        bytes.extend_from_slice(b"\r\n");
                    }
                    (bytes, true)
                }
                Behaviour::Slow(time) => {
                    tokio::time::sleep(time).await;
                    let Behaviour::Answer(bytes) = Behaviour::confirm() else { return };
                    (bytes, true)
                }
            };
            if tls.write_all(&bytes).await.is_err() || tls.flush().await.is_err() || !keep {
                let _ = tls.shutdown().await;
                return;
            }
        }
    }
}

async fn read_request(tls: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Some(text.into_owned());
            }
        }
        match tls.read(&mut buffer).await {
            Ok(read @ 1..) => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}
