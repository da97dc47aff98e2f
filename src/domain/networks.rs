//! Networks that a setting lists, and whether an address is in one of them.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// What one customer of a provider has: an IPv4 address, or a network of 64 bits (RFC 6177,
/// section 2), in which a host may use as many addresses as it likes.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// Networks in CIDR form (RFC 4632, section 3.1; RFC 4291, section 2.3). The empty list has no
/// address in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Adds a network.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let Ok(network) = text.parse::<IpNet>() else {
            return Err(match text.parse::<IpAddr>() {
                Ok(address) => {
                    format!("has no length: write `{}` for this one address", IpNet::from(address))
                }
                Err(_) => "is not a network such as `10.0.0.0/8` or `fd00::/8`".to_owned(),
            });
        };
        if network.trunc() != network {
            return Err(format!("has bits after its length: write `{}`", network.trunc()));
        }
        // Peers are known by their IPv4 addresses, whatever the socket says.
        if let IpNet::V6(v6) = network
            && v6.prefix_len() >= 96
            && v6.addr().to_ipv4_mapped().is_some()
        {
            return Err("is an IPv4 network in the form of IPv6: write it as IPv4".to_owned());
        }
        if self.0.contains(&network) {
            return Err("is in the list twice".to_owned());
        }
        self.0.push(network);
        Ok(())
    }

    /// Whether it lists nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every address of a family is in it.
    #[must_use]
    pub fn has_everyone(&self) -> bool {
        self.0.iter().any(|network| network.prefix_len() == 0)
    }

    /// Whether this address, in its canonical form, is in one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_is_an_address_or_a_network_of_64_bits() {
        let of = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8::ffff:0:9"), "2001:db8::");
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8::1"));
    }

    #[test]
    fn a_network_is_understood_or_refused_with_what_to_write() {
        let mut networks = Networks::default();
        for text in ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8", "2001:db8::1/128"] {
            networks.add(text).unwrap();
        }
        for (address, is_in) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("fd12::1", true),
            ("fe80::1", false),
            ("2001:db8::1", true),
            ("2001:db8::2", false),
        ] {
            assert_eq!(networks.contains(address.parse().unwrap()), is_in, "{address}");
        }
        for (text, part) in [
            ("10.0.0.1/8", "write `10.0.0.0/8`"),
            ("fd00::1/8", "write `fd00::/8`"),
            ("10.0.0.1", "write `10.0.0.1/32`"),
            ("::1", "write `::1/128`"),
            ("10.0.0.0/33", "is not a network"),
            ("10.0.0/8", "is not a network"),
            ("10.0.0.0/255.0.0.0", "is not a network"),
            ("localhost", "is not a network"),
            ("", "is not a network"),
            (" 10.0.0.0/8", "is not a network"),
            ("::ffff:10.0.0.0/104", "write it as IPv4"),
            ("10.0.0.0/8", "twice"),
        ] {
            let error = networks.add(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(!networks.has_everyone());
        networks.add("::/0").unwrap();
        assert!(networks.has_everyone());
        assert!(!Networks::default().contains("10.0.0.1".parse().unwrap()));
    }
}
