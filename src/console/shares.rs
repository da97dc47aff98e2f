//! What is bounded in all and for each person: bytes of answers that nobody has read yet, and streams.
//!
//! Whoever asks and does not read holds no more than a share, and only for as long as the connection.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// So much of something.
#[derive(Clone)]
pub(super) struct Shares {
    all_max: usize,
    one_max: usize,
    held: Arc<Mutex<Amounts>>,
}

#[derive(Default)]
struct Amounts {
    all: usize,
    by: HashMap<String, usize>,
}

/// A part, which is given back when it is dropped.
pub struct Held {
    held: Arc<Mutex<Amounts>>,
    person: Option<String>,
    amount: usize,
}

impl Shares {
    pub(super) fn new(all_max: usize, one_max: usize) -> Self {
        Self { all_max, one_max, held: Arc::default() }
    }

    /// A part, where so much is left; for a person, where they are told apart.
    pub(super) fn hold(&self, person: Option<&str>, amount: usize) -> Option<Held> {
        let mut held = self.held.lock();
        let all = held.all.checked_add(amount).filter(|all| *all <= self.all_max)?;
        if let Some(person) = person {
            let one = held.by.get(person).copied().unwrap_or(0);
            let one = one.checked_add(amount).filter(|one| *one <= self.one_max)?;
            held.by.insert(person.to_owned(), one);
        }
        held.all = all;
        drop(held);
        Some(Held { held: self.held.clone(), person: person.map(str::to_owned), amount })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        held.all = held.all.saturating_sub(self.amount);
        let Some(person) = &self.person else { return };
        let left = held.by.get(person).map_or(0, |one| one.saturating_sub(self.amount));
        if left == 0 {
            held.by.remove(person);
        } else if let Some(one) = held.by.get_mut(person) {
            *one = left;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_holds_more_than_a_share_and_all_not_more_than_there_is() {
        let shares = Shares::new(10, 6);
        let (anna, ben) = (Some("anna"), Some("ben"));
        let first = shares.hold(anna, 4);
        assert!(first.is_some() && shares.hold(anna, 3).is_none(), "a share");
        let second = shares.hold(anna, 2);
        assert!(second.is_some() && shares.hold(ben, 5).is_none(), "all");
        let other = shares.hold(ben, 4);
        assert!(other.is_some() && shares.hold(None, 1).is_none());
        drop(first);
        assert!(shares.hold(None, 4).is_some(), "who is not told apart has no share");
        assert!(shares.hold(anna, 4).is_some() && shares.hold(anna, 5).is_none());
        drop((second, other));
        assert!(shares.held.lock().by.is_empty() && shares.held.lock().all == 0);
    }
}
