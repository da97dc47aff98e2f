//! What proxies say, what clients make up, and what comes of it.

use proptest::prelude::*;

use super::*;

const PROXY: &str = "10.0.0.9:40000";

fn sources(header: ForwardedHeader) -> Sources {
    let mut proxies = Networks::default();
    proxies.add("10.0.0.0/8").unwrap();
    proxies.add("fd00::/8").unwrap();
    Sources::new(&proxies, header).unwrap()
}

fn asked(header: ForwardedHeader, lines: &[&str]) -> Result<String, Malformed> {
    let name = match header {
        ForwardedHeader::XForwardedFor => "x-forwarded-for",
        ForwardedHeader::Forwarded => "forwarded",
    };
    let mut headers = HeaderMap::new();
    for line in lines {
        let value = http::HeaderValue::from_bytes(line.as_bytes()).unwrap();
        headers.append(name, value);
    }
    sources(header).of(PROXY.parse().unwrap(), &headers).map(|source| source.to_string())
}

#[test]
fn the_last_address_that_is_no_proxy_is_the_clients() {
    let xff = |lines: &[&str]| asked(ForwardedHeader::XForwardedFor, lines);
    for (lines, source) in [
        (&[][..], PROXY),
        (&["192.0.2.7"], "192.0.2.7:0"),
        (&["192.0.2.7:1234"], "192.0.2.7:1234"),
        (&["2001:db8::7"], "[2001:db8::7]:0"),
        (&["[2001:db8::7]:5"], "[2001:db8::7]:5"),
        (&["[2001:db8::7]"], "[2001:db8::7]:0"),
        (&["::ffff:192.0.2.7"], "192.0.2.7:0"),
        (&["198.51.100.1, 192.0.2.7"], "192.0.2.7:0"),
        (&["192.0.2.7, 10.1.1.1"], "192.0.2.7:0"),
        (&["192.0.2.7,10.1.1.1\t, fd00::1"], "192.0.2.7:0"),
        (&["198.51.100.1", "192.0.2.7, 10.1.1.1", "10.2.2.2"], "192.0.2.7:0"),
        (&["10.1.1.1, 10.2.2.2"], "10.1.1.1:0"),
        (&["192.0.2.7, ,"], "192.0.2.7:0"),
        // What the client made up is not even looked at.
        (&["what, \"ever, 192.0.2.7"], "192.0.2.7:0"),
        (&["\"", "192.0.2.7"], "192.0.2.7:0"),
        (&["192.0.2.7, unknown"], PROXY),
    ] {
        assert_eq!(xff(lines).as_deref(), Ok(source), "{lines:?}");
    }
    let many = vec!["10.1.1.1"; HOPS_MAX + 1].join(",");
    for malformed in [
        "x",
        "192.0.2",
        "192.0.2.7:",
        "192.0.2.7:x",
        "192.0.2.7:65536",
        "192.0.2.7:+1",
        "2001:db8::7]",
        "[2001:db8::7",
        "[192.0.2.7]",
        "[2001:db8::7]5",
        "fe80::1%eth0",
        "\"192.0.2.7\"",
        "192.0.2.7 10.1.1.1",
        "_hidden",
        "for=192.0.2.7",
        "192.0.2.7, x",
        "x, 10.1.1.1",
        "192.0.2.7\u{e9}",
        many.as_str(),
    ] {
        assert_eq!(xff(&[malformed]), Err(Malformed), "{malformed}");
    }
}

#[test]
fn the_standard_header_is_read_as_it_is_written() {
    let standard = |lines: &[&str]| asked(ForwardedHeader::Forwarded, lines);
    for (lines, source) in [
        (&["for=192.0.2.7"][..], "192.0.2.7:0"),
        (&["For=192.0.2.7;proto=https;by=10.0.0.9"], "192.0.2.7:0"),
        (&["proto=https; for=\"192.0.2.7:1234\" ;host=\"a;b\""], "192.0.2.7:1234"),
        (&["for=192.0.2.7:1234"], "192.0.2.7:1234"),
        (&["for=\"[2001:db8::7]:1\""], "[2001:db8::7]:1"),
        (&["for=\"[2001:db8::7]\""], "[2001:db8::7]:0"),
        (&["for=\"192.0.2.7:_port\""], "192.0.2.7:0"),
        (&["for=\"19\\2.0.2.7\""], "192.0.2.7:0"),
        (&["for=198.51.100.1, for=192.0.2.7, for=10.1.1.1"], "192.0.2.7:0"),
        (&["for=\"", "for=192.0.2.7"], "192.0.2.7:0"),
        // A quote that the client left open swallows nothing of the proxy's.
        (&["for=\", for=192.0.2.7"], "192.0.2.7:0"),
        (&["for=unknown"], PROXY),
        (&["for=192.0.2.7, for=_gazonk"], PROXY),
        (&["proto=https"], PROXY),
    ] {
        assert_eq!(standard(lines).as_deref(), Ok(source), "{lines:?}");
    }
    for malformed in [
        "192.0.2.7",
        "for=",
        "for",
        "=192.0.2.7",
        "for=192.0.2.7;for=192.0.2.8",
        "for=\"192.0.2.7",
        "for=\"192.0.2.7\"x",
        "for=2001:db8::7",
        "for=[2001:db8::7]",
        "for=\"2001:db8::7\"",
        "f or=192.0.2.7",
        "for=192.0.2.7 proto=https",
        "for =192.0.2.7",
        "for=_",
        "for=\"a,b\"",
    ] {
        assert_eq!(standard(&[malformed]), Err(Malformed), "{malformed}");
    }
}

#[test]
fn only_listed_proxies_are_believed() {
    assert!(Sources::new(&Networks::default(), ForwardedHeader::Forwarded).is_none());
    let sources = sources(ForwardedHeader::XForwardedFor);
    assert!(sources.believes("10.0.0.9".parse().unwrap()));
    assert!(!sources.believes("192.0.2.7".parse().unwrap()));
}

proptest! {
    /// Whatever a client sends, what the proxy adds at the end is what counts.
    #[test]
    fn a_client_cannot_change_what_its_proxy_says(
        made_up in "[ -~]{0,60}",
        ip in any::<IpAddr>().prop_filter("no proxy", |ip| {
            !sources(ForwardedHeader::Forwarded).believes(ip.to_canonical())
        }),
        on_one_line in any::<bool>(),
    ) {
        let expected = SocketAddr::new(ip.to_canonical(), 0).to_string();
        let quoted = if ip.is_ipv4() { format!("for={ip}") } else { format!("for=\"[{ip}]\"") };
        for (header, added) in
            [(ForwardedHeader::XForwardedFor, ip.to_string()), (ForwardedHeader::Forwarded, quoted)]
        {
            let joined = format!("{made_up}, {added}");
            let lines = if on_one_line { vec![joined.as_str()] } else { vec![made_up.as_str(), &added] };
            prop_assert_eq!(asked(header, &lines), Ok(expected.clone()));
        }
    }
}
