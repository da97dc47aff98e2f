//! How many connections there may be: in all, and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts open connections.
pub(super) struct Slots {
    open: Mutex<Open>,
    all_max: usize,
    per_address_max: usize,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One open connection; given back when it is dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    address: IpAddr,
}

impl Slots {
    pub(super) fn new(all_max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), all_max, per_address_max })
    }

    /// Takes a slot, or says which limit is reached.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Slot, &'static str> {
        let address = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.by_address.get(&address).copied().unwrap_or(0);
        if own >= self.per_address_max {
            return Err("address-limit");
        }
        if open.all >= self.all_max {
            return Err("limit");
        }
        open.all += 1;
        open.by_address.insert(address, own + 1);
        Ok(Slot { slots: self.clone(), address })
    }
}

/// What one customer of a provider has: an IPv4 address, or a network of 64 bits (RFC
/// 6177, section 2), in which a host may use as many addresses as it likes.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        match open.by_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_slot() {
        let slots = Slots::new(3, 2);
        let [a, b]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let first = slots.take(a).ok();
        let second = slots.take(a).ok();
        assert!(first.is_some() && second.is_some());
        assert_eq!(slots.take(a).err(), Some("address-limit"));
        let one: [IpAddr; 2] = ["2001:db8::1", "2001:db8:0:1::1"].map(|ip| ip.parse().unwrap());
        let same: IpAddr = "2001:db8::ffff:0:9".parse().unwrap();
        assert_eq!(network(same), network(one[0]));
        assert_ne!(network(one[0]), network(one[1]));
        let third = slots.take(b).ok();
        assert_eq!(slots.take(b).err(), Some("limit"));
        drop((first, second, third));
        assert!(slots.open.lock().unwrap().by_address.is_empty());
        assert!(slots.take(a).is_ok());
    }
}
