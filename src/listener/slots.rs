//! How many connections there may be: in all, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::network_of;

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
    /// None until it is known.
    address: Option<IpAddr>,
}

impl Slots {
    pub(super) fn new(all_max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), all_max, per_address_max })
    }

    /// Takes a slot, of this address where it is known already, or says which limit is reached.
    pub(super) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Slot, &'static str> {
        let mut open = self.lock();
        let address = address.map(network_of);
        if let Some(address) = address {
            self.check(&open, address)?;
        }
        if open.all >= self.all_max {
            return Err("limit");
        }
        open.all += 1;
        if let Some(address) = address {
            *open.by_address.entry(address).or_default() += 1;
        }
        Ok(Slot { slots: self.clone(), address })
    }

    fn check(&self, open: &Open, address: IpAddr) -> Result<(), &'static str> {
        let own = open.by_address.get(&address).copied().unwrap_or(0);
        if own >= self.per_address_max { Err("address-limit") } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Counts among those of an address that was not known before, or says that its limit is
    /// reached.
    pub(super) fn count_for(&mut self, address: IpAddr) -> Result<(), &'static str> {
        let address = network_of(address);
        let mut open = self.slots.lock();
        self.slots.check(&open, address)?;
        *open.by_address.entry(address).or_default() += 1;
        self.address = Some(address);
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.lock();
        open.all -= 1;
        let Some(address) = self.address else { return };
        match open.by_address.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.by_address.remove(&address);
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
        let first = slots.take(Some(a)).ok();
        let second = slots.take(Some(a)).ok();
        assert!(first.is_some() && second.is_some());
        assert_eq!(slots.take(Some(a)).err(), Some("address-limit"));
        let third = slots.take(Some(b)).ok();
        assert_eq!(slots.take(Some(b)).err(), Some("limit"));
        drop((first, second, third));
        assert!(slots.open.lock().unwrap().by_address.is_empty());
        assert!(slots.take(Some(a)).is_ok());
    }

    #[test]
    fn a_connection_whose_address_comes_later_counts_from_then_on() {
        let slots = Slots::new(3, 1);
        let a: IpAddr = "192.0.2.1".parse().unwrap();
        let mut early = slots.take(None).unwrap();
        let mut late = slots.take(None).unwrap();
        assert_eq!(early.count_for(a), Ok(()));
        assert_eq!(late.count_for(a), Err("address-limit"));
        assert_eq!(slots.take(Some(a)).err(), Some("address-limit"));
        let third = slots.take(None);
        assert_eq!(slots.take(None).err(), Some("limit"));
        drop((early, third));
        assert!(slots.open.lock().unwrap().by_address.is_empty());
        assert_eq!(late.count_for(a), Ok(()));
        drop(late);
        assert_eq!(slots.open.lock().unwrap().all, 0);
    }
}
