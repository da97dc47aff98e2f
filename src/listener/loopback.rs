//! Connections within this machine, without TLS: for health and metrics.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::protocol::Http;
use super::sweep::Sweep;
use super::{HttpService, ListenerLimits, Stop};

/// Serves HTTP/1.1 on connections that do not leave the machine.
pub struct Loopback {
    http: Http,
    sweep: Sweep,
}

impl Loopback {
    /// With the limits of a connection; those of a listener are the caller's to hold.
    #[must_use]
    pub fn new(limits: ListenerLimits) -> Self {
        Self { http: Http::new(limits), sweep: Sweep::default() }
    }

    /// Looks after the connections. Has to run as long as there are any.
    pub async fn run(&self, stop: &Stop) {
        self.sweep.run(stop).await;
    }

    /// Serves one connection to its end. One from another machine gets no answer.
    pub async fn connection<S: HttpService>(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        stop: Stop,
        service: S,
    ) {
        if address.ip().to_canonical().is_loopback() {
            self.http.serve(&self.sweep, stream, false, address, stop, service).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use hyper::body::Incoming;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::{sleep, timeout};

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    /// Connects to a listener that takes `peer` for the other end.
    async fn connect(loopback: &Arc<Loopback>, peer: Option<SocketAddr>) -> TcpStream {
        connect_to(loopback, peer, Bytes::from_static(b"well")).await
    }

    /// Connects to one that says this.
    async fn connect_to(
        loopback: &Arc<Loopback>,
        peer: Option<SocketAddr>,
        says: Bytes,
    ) -> TcpStream {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(tcp.local_addr().unwrap()).await.unwrap();
        let (stream, address) = tcp.accept().await.unwrap();
        let service = tower::service_fn(move |_: Request<Incoming>| {
            let body = Full::new(says.clone());
            std::future::ready(Ok::<_, Infallible>(Response::new(body)))
        });
        let sweeping = loopback.clone();
        tokio::spawn(async move { sweeping.run(&Stop::default()).await });
        let (loopback, address) = (loopback.clone(), peer.unwrap_or(address));
        tokio::spawn(async move {
            loopback.connection(stream, address, Stop::default(), service).await;
        });
        client
    }

    /// What is said until the connection is closed; `None` where it stays open.
    async fn rest(stream: &mut TcpStream) -> Option<String> {
        let mut said = String::new();
        timeout(SOON, stream.read_to_string(&mut said)).await.ok()?.ok()?;
        Some(said)
    }

    #[tokio::test]
    async fn a_head_has_less_time_than_a_pause() {
        let limits = ListenerLimits {
            header_timeout: Duration::from_millis(200),
            idle_timeout: 4 * SOON,
            ..ListenerLimits::default()
        };
        let loopback = Arc::new(Loopback::new(limits));
        let mut half = connect(&loopback, None).await;
        half.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
        assert_eq!(rest(&mut half).await.as_deref(), Some(""));
        let mut whole = connect(&loopback, None).await;
        for more in ["", "connection: close\r\n"] {
            sleep(Duration::from_millis(600)).await;
            let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{more}\r\n");
            whole.write_all(request.as_bytes()).await.unwrap();
        }
        assert_eq!(rest(&mut whole).await.unwrap().matches("well").count(), 2);
    }

    #[tokio::test]
    async fn a_silent_connection_is_closed() {
        let idle_timeout = Duration::from_millis(200);
        let limits = ListenerLimits { idle_timeout, ..ListenerLimits::default() };
        let mut silent = connect(&Arc::new(Loopback::new(limits)), None).await;
        assert_eq!(rest(&mut silent).await.as_deref(), Some(""));
    }

    #[tokio::test]
    async fn an_answer_has_time_as_long_as_it_is_read() {
        let idle_timeout = Duration::from_millis(500);
        let limits = ListenerLimits { idle_timeout, ..ListenerLimits::default() };
        let loopback = Arc::new(Loopback::new(limits));
        // More than lies between the two ends.
        let long = Bytes::from(vec![b'x'; 64 << 20]);
        let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        for (reads_on, whole) in [(true, true), (false, false)] {
            let mut stream = connect_to(&loopback, None, long.clone()).await;
            stream.write_all(request).await.unwrap();
            // In all six times as long as it may be idle, and what its end takes.
            let (parts, pause) = if reads_on { (64, 50) } else { (1, 3_500) };
            let (mut part, mut read) = (vec![0; 1 << 20], 0);
            for _ in 0..parts {
                sleep(Duration::from_millis(pause)).await;
                read += stream.read_exact(&mut part).await.map_or(0, |count| count);
            }
            let mut rest = Vec::new();
            let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap();
            assert_eq!(read + rest.len() > long.len(), whole, "{read} and {}", rest.len());
        }
    }

    #[tokio::test]
    async fn another_machine_gets_no_answer() {
        let loopback = Arc::new(Loopback::new(ListenerLimits::default()));
        for (peer, answered) in [("[::ffff:127.0.0.1]:1", true), ("192.0.2.1:1", false)] {
            let mut stream = connect(&loopback, Some(peer.parse().unwrap())).await;
            let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(request).await;
            let said = rest(&mut stream).await.unwrap_or_default();
            assert_eq!(said.contains("well"), answered, "{peer}: {said}");
        }
    }
}
