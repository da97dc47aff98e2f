//! Writes down what the logs of the other gateways were: who has changed one since is found out by
//! the others', which have its head.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Shared;
use crate::audit::{Checkpoint, Journal};

/// One record has no more of them, in bytes: what is left has its turn next time.
const BYTES_MAX: usize = 32 << 10;

/// Writes it down, now and then.
pub struct Witness {
    shared: Arc<Shared>,
    journal: Journal,
    every: Duration,
}

impl Witness {
    pub(super) fn new(shared: Arc<Shared>, journal: Journal, every: Duration) -> Self {
        Self { shared, journal, every }
    }

    /// Without end. What it is shown is believed by nobody: whoever reads it has the keys.
    pub async fn run(self) {
        let mut seen = Seen::default();
        loop {
            sleep(self.every).await;
            match self.shared.link.heads_of_others(&self.shared.log).await {
                Ok(heads) => {
                    let new = seen.news(heads);
                    if !new.is_empty() {
                        self.journal.note_witnessed(&new);
                    }
                }
                Err(error) => tracing::debug!(%error, "the heads of other logs are not known"),
            }
        }
    }
}

/// Of each log, how much was written down, and in which round.
#[derive(Default)]
struct Seen {
    sizes: HashMap<String, (u64, u64)>,
    round: u64,
}

impl Seen {
    /// Those that go beyond what was written down, as far as there is room; those that waited
    /// longest come first.
    fn news(&mut self, heads: Vec<String>) -> Vec<String> {
        self.round += 1;
        let mut new: Vec<(u64, Checkpoint, String)> = heads
            .into_iter()
            .filter_map(|text| {
                let head = Checkpoint::unverified(&text)?;
                let (size, round) = self.sizes.get(&head.origin).copied().unwrap_or_default();
                (head.size > size).then_some((round, head, text))
            })
            .collect();
        new.sort_by(|one, other| (one.0, &one.1.origin).cmp(&(other.0, &other.1.origin)));
        let mut room = BYTES_MAX;
        let mut chosen = Vec::new();
        for (_, head, text) in new {
            if let Some(left) = room.checked_sub(text.len()) {
                room = left;
                self.sizes.insert(head.origin, (head.size, self.round));
                chosen.push(text);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(origin: &str, size: u64) -> String {
        let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        format!("{origin}\n{size}\n{root}\n\n\u{2014} {origin} AAAAAAAA\n")
    }

    #[test]
    fn each_head_is_written_down_once_and_all_have_their_turn() {
        let mut seen = Seen::default();
        let all = |size| vec![head("north", size), head("south", 7), "nonsense".to_owned()];
        assert_eq!(seen.news(all(5)), [head("north", 5), head("south", 7)]);
        assert!(seen.news(all(5)).is_empty());
        assert!(seen.news(all(4)).is_empty(), "an older one");
        assert_eq!(seen.news(all(6)), [head("north", 6)]);
        let many = |size| (0..400).map(|n| head(&format!("{n:0100}"), size)).collect::<Vec<_>>();
        let mut written = 0;
        for _ in 0..4 {
            let some = seen.news(many(1));
            assert!(some.iter().map(String::len).sum::<usize>() <= BYTES_MAX);
            written += some.len();
        }
        assert_eq!(written, 400);
        // All of them have grown: each has its turn before any has a second one.
        let first = seen.news(many(2));
        let second = seen.news(many(3));
        assert!(first.iter().all(|one| !second.contains(one)) && !second.is_empty());
    }
}
