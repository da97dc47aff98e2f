//! HTTP/2 over a real TLS socket.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{PATH, Site, fresh_grant, http1};

/// Opens a connection that lives as long as the process lets it.
pub async fn connect(site: &Site, port: u16) -> SendRequest<Full<Bytes>> {
    let tls = http1::connect_with(site, ([127, 0, 0, 1], port).into(), &[b"h2"]).await;
    let (requests, connection) = over(tls).await;
    tokio::spawn(connection);
    requests
}

/// What sends requests over this connection, and what moves it on until it ends.
pub async fn over(
    tls: TlsStream<TcpStream>,
) -> (SendRequest<Full<Bytes>>, impl Future<Output = hyper::Result<()>>) {
    handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap()
}

/// A grant with the site's token.
pub fn post(site: &Site, port: u16, entrance: &str) -> Request<Full<Bytes>> {
    Request::post(format!("https://localhost:{port}{PATH}"))
        .header("authorization", format!("Bearer {}", site.token))
        .header("content-type", "application/json")
        .body(Full::from(fresh_grant(entrance)))
        .unwrap()
}
