//! Headers as proxies send them, and as they must not.

use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::*;

/// A header of version 2, with these addresses and fields.
fn encoded(from: SocketAddr, fields: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut block = Vec::new();
    let family = match from.ip() {
        IpAddr::V4(ip) => {
            block.extend(ip.octets());
            block.extend([192, 0, 2, 1]);
            0x11
        }
        IpAddr::V6(ip) => {
            block.extend(ip.octets());
            block.extend([0; 16]);
            0x21
        }
    };
    block.extend(from.port().to_be_bytes());
    block.extend(443_u16.to_be_bytes());
    for (kind, value) in fields {
        block.push(*kind);
        block.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        block.extend(value);
    }
    raw(0x21, family, &block)
}

fn raw(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, block].concat()
}

/// With a right checksum as its last field.
fn with_checksum(from: SocketAddr) -> Vec<u8> {
    let mut header = encoded(from, &[(4, vec![0; 5]), (CRC32C, vec![0; 4])]);
    let at = header.len() - 4;
    let crc = crc32c(&header, at..at + 4).to_be_bytes();
    header[at..].copy_from_slice(&crc);
    header
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn lines_are_taken_as_they_must_be_and_no_other_way() {
    for (text, source) in [
        ("PROXY TCP4 192.0.2.7 10.0.0.1 56324 443", Some("192.0.2.7:56324")),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", Some("255.255.255.255:65535")),
        ("PROXY TCP6 2001:db8::7 fd00::1 56324 443", Some("[2001:db8::7]:56324")),
        ("PROXY TCP6 ::ffff:192.0.2.7 ::1 0 443", Some("192.0.2.7:0")),
        ("PROXY UNKNOWN", None),
        ("PROXY UNKNOWN ffff::1 whatever it is", None),
    ] {
        let found = line(format!("{text}\r\n").as_bytes());
        assert_eq!(found, Ok(source.map(address)), "{text}");
    }
    let good = "PROXY TCP4 192.0.2.7 10.0.0.1 56324 443";
    for text in [
        good,
        &format!("{good}\n"),
        &format!("{good}\r"),
        &format!("{good}\r\r\n"),
        &format!("{good} \r\n"),
        &format!("{good} 1\r\n"),
        &format!(" {good}\r\n"),
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 192.0.2.7 10.0.0.1 56324 443\r\n",
        "PROXY tcp4 192.0.2.7 10.0.0.1 56324 443\r\n",
        "proxy TCP4 192.0.2.7 10.0.0.1 56324 443\r\n",
        "PROXY  TCP4 192.0.2.7 10.0.0.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 056324 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 +5 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 x\r\n",
        "PROXY TCP4 192.0.02.7 10.0.0.1 1 443\r\n",
        "PROXY TCP4 192.0.2 10.0.0.1 1 443\r\n",
        "PROXY TCP4 192.0.2.7 host 1 443\r\n",
        "PROXY TCP4 2001:db8::7 fd00::1 1 443\r\n",
        "PROXY TCP6 192.0.2.7 10.0.0.1 1 443\r\n",
        "PROXY TCP6 fe80::1%eth0 fd00::1 1 443\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOWN\nPROXY UNKNOWN\r\n",
    ] {
        assert_eq!(line(text.as_bytes()), Err(Fault::Malformed), "{text:?}");
    }
    assert_eq!(line(b"PROXY UNKNOWN \xff\r\n"), Err(Fault::Malformed));
}

#[test]
fn binary_headers_are_taken_as_they_must_be_and_no_other_way() {
    let (v4, v6) = (address("192.0.2.7:56324"), address("[2001:db8::7]:1"));
    for from in [v4, v6] {
        assert_eq!(binary(&encoded(from, &[])), Ok(Some(from)));
        assert_eq!(binary(&encoded(from, &[(1, b"h2".to_vec()), (4, Vec::new())])), Ok(Some(from)));
        assert_eq!(binary(&with_checksum(from)), Ok(Some(from)));
    }
    let mapped = encoded(address("[::ffff:192.0.2.7]:1"), &[]);
    assert_eq!(binary(&mapped), Ok(Some(address("192.0.2.7:1"))), "one form of an address");
    let block = encoded(v4, &[])[FIXED..].to_vec();
    for (what, header) in [
        ("LOCAL", raw(0x20, 0x00, &[])),
        ("LOCAL with addresses", raw(0x20, 0x11, &block)),
        ("LOCAL with whatever", raw(0x20, 0xff, b"x")),
        ("UNSPEC", raw(0x21, 0x00, b"whatever")),
        ("UDP", raw(0x21, 0x12, &block)),
        ("UNIX", raw(0x21, 0x31, &[0; 216])),
    ] {
        assert_eq!(binary(&header), Ok(None), "{what}");
    }
    let mut damaged = with_checksum(v4);
    damaged[FIXED] ^= 1;
    for (what, header) in [
        ("version 1 in binary", raw(0x11, 0x11, &block)),
        ("version 3", raw(0x31, 0x11, &block)),
        ("another command", raw(0x22, 0x11, &block)),
        ("another family", raw(0x21, 0x41, &block)),
        ("another protocol", raw(0x21, 0x13, &block)),
        ("a family without protocol", raw(0x21, 0x10, &block)),
        ("IPv4 that is too short", raw(0x21, 0x11, &block[..11])),
        ("IPv6 that is too short", raw(0x21, 0x21, &[0; 35])),
        ("UNIX that is too short", raw(0x21, 0x31, &[0; 215])),
        ("a field that is cut", raw(0x21, 0x11, &[&block[..], &[4, 0]].concat())),
        ("a field longer than the header", raw(0x21, 0x11, &[&block[..], &[4, 0, 2, 0]].concat())),
        ("a checksum of another header", damaged),
        ("a checksum that is too short", encoded(v4, &[(CRC32C, vec![0; 3])])),
        ("nothing", Vec::new()),
    ] {
        assert_eq!(binary(&header), Err(Fault::Malformed), "{what}");
    }
}

#[test]
fn the_checksum_is_the_one_of_the_standard() {
    assert_eq!(crc32c(b"123456789", 0..0), 0xe306_9283);
    assert_eq!(crc32c(&[0; 32], 0..0), 0x8a91_36aa, "RFC 3720, appendix B.4");
    assert_eq!(crc32c(&[0xff; 32], 0..32), 0x8a91_36aa);
}

/// What `read` makes of bytes that come in these pieces, and what it leaves on the connection.
async fn arrives(pieces: &[&[u8]]) -> (Result<Option<SocketAddr>, Fault>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.set_nodelay(true).unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let write = async {
        for piece in pieces {
            client.write_all(piece).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        client.shutdown().await.unwrap();
    };
    let (found, ()) = tokio::join!(read(&mut server), write);
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).await.unwrap();
    (found, rest)
}

#[tokio::test]
async fn what_follows_a_header_stays_on_the_connection() {
    let hello = b"\x16\x03\x01 and the rest of a client hello \r\n";
    let from = address("192.0.2.7:56324");
    let line = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n".to_vec();
    for header in [line, encoded(from, &[]), with_checksum(from)] {
        let whole = [&header[..], hello].concat();
        assert_eq!(arrives(&[&whole]).await, (Ok(Some(from)), hello.to_vec()));
        for at in [1, 5, 6, 11, 12, 13, 16, 20, header.len() - 1, header.len()] {
            let (one, other) = whole.split_at(at);
            assert_eq!(arrives(&[one, other]).await, (Ok(Some(from)), hello.to_vec()), "{at}");
        }
        for at in [0, 1, 11, 12, 14, header.len() - 1] {
            assert_eq!(arrives(&[&header[..at]]).await.0, Err(Fault::Incomplete), "{at}");
        }
    }
    let bytes: Vec<&[u8]> = b"PROXY UNKNOWN\r\n".chunks(1).collect();
    assert_eq!(arrives(&bytes).await, (Ok(None), Vec::new()));
}

#[tokio::test]
async fn what_is_no_header_is_told_apart_early() {
    for (bytes, fault) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00"[..], Fault::Missing),
        (b"GET / HTTP/1.1\r\n\r\n", Fault::Missing),
        (b"PROXYTCP4 1.1.1.1", Fault::Missing),
        (b"\r\n\r\n\0\r\nQUIT\r", Fault::Missing),
        (&[&b"PROXY "[..], &[b'x'; 110]].concat(), Fault::Malformed),
        (b"PROXY TCP4 1\n more", Fault::Malformed),
        (&raw(0x20, 0, &[0; 4097]), Fault::Malformed),
    ] {
        assert_eq!(arrives(&[bytes]).await.0, Err(fault), "{bytes:?}");
    }
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LINE_BYTES_MAX - 16));
    assert_eq!(longest.len(), LINE_BYTES_MAX);
    assert_eq!(arrives(&[longest.as_bytes()]).await.0, Ok(None));
    assert_eq!(arrives(&[&raw(0x20, 0, &[0; 4096])]).await.0, Ok(None));
}

proptest! {
    #[test]
    fn every_address_comes_back(
        ip in any::<IpAddr>(),
        port in any::<u16>(),
        fields in prop::collection::vec((4_u8.., prop::collection::vec(any::<u8>(), 0..40)), 0..5),
    ) {
        let from = SocketAddr::new(ip.to_canonical(), port);
        prop_assert_eq!(binary(&encoded(SocketAddr::new(ip, port), &fields)), Ok(Some(from)));
        let (family, other) = if ip.is_ipv4() { ("TCP4", "10.0.0.1") } else { ("TCP6", "fd00::1") };
        let text = format!("PROXY {family} {ip} {other} {port} 443\r\n");
        prop_assert!(text.len() <= LINE_BYTES_MAX);
        prop_assert_eq!(line(text.as_bytes()), Ok(Some(from)));
    }

    #[test]
    fn a_header_that_is_cut_is_refused(ip in any::<IpAddr>(), at in 0_usize..1000) {
        let whole = encoded(SocketAddr::new(ip, 1), &[(5, vec![7; 9])]);
        let at = at % whole.len();
        // Its own length says how long it is: what is shorter is never read to here, and what
        // says that it is shorter loses its addresses or cuts its field.
        let mut cut = whole[..at].to_vec();
        if at >= FIXED {
            let length = u16::try_from(at - FIXED).unwrap().to_be_bytes();
            cut[14..16].copy_from_slice(&length);
        }
        let addresses = FIXED + if ip.is_ipv4() { 12 } else { 36 };
        prop_assert_eq!(binary(&cut).is_ok(), at == addresses, "{}", at);
    }

    #[test]
    fn bytes_of_no_proxy_are_no_address(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(line(&bytes), Err(Fault::Malformed));
        let _ = binary(&bytes);
    }
}
