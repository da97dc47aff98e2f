//! HTTP/1.1 by hand over a real TLS socket, for requests that no client would send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grantgate::tls::{ClientTls, PemFile, Roots};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Site;

pub async fn connect(site: &Site, address: SocketAddr) -> TlsStream<TcpStream> {
    connect_with(site, address, &[b"http/1.1"]).await
}

/// Offers these protocols (ALPN).
pub async fn connect_with(
    site: &Site,
    address: SocketAddr,
    protocols: &[&[u8]],
) -> TlsStream<TcpStream> {
    over(site, TcpStream::connect(address).await.unwrap(), protocols).await
}

/// The handshake, over a connection that is there.
pub async fn over(site: &Site, tcp: TcpStream, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
    let authority = site.read("certs/servers-ca.pem");
    let authority = PemFile { name: "servers-ca.pem", bytes: &authority };
    let tls = ClientTls::new(&Roots::Only(authority)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut config = tls.into_config();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
}

/// Sends bytes and reads until the other side closes or says nothing for a while.
pub async fn exchange(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) -> String {
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(read @ 1..)) =
        tokio::time::timeout(Duration::from_millis(800), stream.read(&mut buffer)).await
    {
        answer.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}
