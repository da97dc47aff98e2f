//! Settings that are each right and cannot be meant together.

use std::net::{IpAddr, SocketAddr};

use super::Reader;
use crate::toml_source::Place;

/// An address to bind.
pub(super) struct NamedAddress<'a> {
    pub(super) setting: String,
    /// None where it is the default.
    pub(super) place: Option<Place<'a>>,
    pub(super) address: SocketAddr,
}

impl<'a> Reader<'a> {
    /// Two listeners need two addresses.
    pub(super) fn refuse_shared_addresses(&self) {
        for (number, second) in self.addresses.iter().enumerate() {
            let mut others = self.addresses.iter().take(number);
            let Some(first) = others.find(|first| overlap(first.address, second.address)) else {
                continue;
            };
            let (one, other) = match &second.place {
                Some(_) => (second, first),
                None => (first, second),
            };
            if let Some(place) = &one.place {
                place.refuse(format!(
                    "`{}` (\"{}\") takes the port of `{}` (\"{}\"); give it another",
                    one.setting, one.address, other.setting, other.address
                ));
            }
        }
    }

    /// What the gateway would send to itself.
    pub(super) fn refuse_own_address(&self, place: &Place<'a>, url: &reqwest::Url) {
        let host = url.host_str().unwrap_or_default();
        let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_here = |listening: SocketAddr| match ip {
            Ok(ip) => listening.ip() == ip || (listening.ip().is_unspecified() && ip.is_loopback()),
            Err(_) => {
                host == "localhost"
                    && (listening.ip().is_unspecified() || listening.ip().is_loopback())
            }
        };
        let own = self.addresses.iter().find(|named| {
            url.port_or_known_default() == Some(named.address.port()) && is_here(named.address)
        });
        if let Some(own) = own {
            let (path, setting) = (place.path(), &own.setting);
            place.refuse(format!("`{path}` is the gateway itself (`{setting}`)"));
        }
    }

    /// A file of one setting cannot be that of another.
    pub(super) fn refuse_shared_files(&self) {
        for (number, (second, place)) in self.files.iter().enumerate() {
            let mut others = self.files.iter().take(number);
            let first = others
                .find(|(first, _)| first.path == second.path && !(first.shared && second.shared));
            let Some((first, other)) = first else { continue };
            if let Some(place) = place.as_ref().or(other.as_ref()) {
                place.refuse(format!(
                    "`{}` and `{}` name the same file; give each its own",
                    second.setting, first.setting
                ));
            }
        }
    }
}

/// Whether the second cannot be bound beside the first.
fn overlap(first: SocketAddr, second: SocketAddr) -> bool {
    let covers = |all: IpAddr, one: IpAddr| match all {
        IpAddr::V4(v4) => v4.is_unspecified() && one.is_ipv4(),
        // Sockets of IPv6 take IPv4 as well, unless the machine says otherwise.
        IpAddr::V6(v6) => v6.is_unspecified(),
    };
    let (a, b) = (first.ip(), second.ip());
    first.port() == second.port() && first.port() != 0 && (a == b || covers(a, b) || covers(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_where_the_kernel_says_so() {
        for (a, b, expected) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("[::]:1", "127.0.0.1:1", true),
            ("[::]:1", "0.0.0.0:1", true),
            ("0.0.0.0:1", "[::1]:1", false),
            ("[::1]:1", "127.0.0.1:1", false),
        ] {
            let [a, b]: [SocketAddr; 2] = [a, b].map(|text| text.parse().unwrap());
            assert_eq!((overlap(a, b), overlap(b, a)), (expected, expected), "{a} {b}");
        }
    }
}
