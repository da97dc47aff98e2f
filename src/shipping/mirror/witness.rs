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
                    let texts: Vec<String> = new.iter().map(|head| head.text.clone()).collect();
                    if !new.is_empty() && self.journal.note_witnessed(&texts) {
                        seen.written(new);
                    }
                }
                Err(error) => tracing::debug!(%error, "the heads of other logs are not known"),
            }
        }
    }
}

/// A head that is worth writing down.
#[derive(Debug, PartialEq, Eq)]
struct New {
    origin: String,
    size: u64,
    text: String,
}

/// Of each log, how much was written down, and in which round.
#[derive(Default)]
struct Seen {
    sizes: HashMap<String, (u64, u64)>,
    round: u64,
}

impl Seen {
    /// Those that go beyond what was written down, as far as there is room; those that waited
    /// longest come first. One that is not what the database says it is, is none.
    fn news(&self, heads: Vec<(String, u64, String)>) -> Vec<New> {
        let mut new: Vec<(u64, New)> = heads
            .into_iter()
            .filter_map(|(origin, size, text)| {
                let head = Checkpoint::unverified(&text)?;
                let (known, round) = self.sizes.get(&origin).copied().unwrap_or_default();
                let is_new = head.origin == origin && head.size == size && size > known;
                is_new.then_some((round, New { origin, size, text }))
            })
            .collect();
        new.sort_by(|one, other| (one.0, &one.1.origin).cmp(&(other.0, &other.1.origin)));
        let mut room = BYTES_MAX;
        let mut chosen = Vec::new();
        for (_, head) in new {
            if let Some(left) = room.checked_sub(encoded_bytes(&head.text)) {
                room = left;
                chosen.push(head);
            }
        }
        chosen
    }

    /// They are in the log.
    fn written(&mut self, heads: Vec<New>) {
        self.round += 1;
        let sizes = heads.into_iter().map(|head| (head.origin, (head.size, self.round)));
        self.sizes.extend(sizes);
    }
}

/// How long it is in the record, in bytes: a JSON string, and a comma (RFC 8259, section 7).
fn encoded_bytes(text: &str) -> usize {
    let bytes = |character: char| match character {
        '"' | '\\' | '\n' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    };
    text.chars().map(bytes).sum::<usize>() + 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(origin: &str, size: u64) -> (String, u64, String) {
        let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let text = format!("{origin}\n{size}\n{root}\n\n\u{2014} {origin} AAAAAAAA\n");
        (origin.to_owned(), size, text)
    }

    fn write(seen: &mut Seen, heads: Vec<(String, u64, String)>) -> Vec<String> {
        let new = seen.news(heads);
        let names = new.iter().map(|head| format!("{} {}", head.origin, head.size)).collect();
        seen.written(new);
        names
    }

    #[test]
    fn each_head_is_written_down_once_and_all_have_their_turn() {
        let mut seen = Seen::default();
        let all = |size| vec![head("north", size), head("south", 7)];
        assert_eq!(write(&mut seen, all(5)), ["north 5", "south 7"]);
        assert!(write(&mut seen, all(5)).is_empty());
        assert!(write(&mut seen, all(4)).is_empty(), "an older one");
        assert_eq!(write(&mut seen, all(6)), ["north 6"]);
        assert_eq!(seen.news(all(7)), seen.news(all(7)), "what was not written is not known");
        let many = |size| (0..400).map(|n| head(&format!("{n:0100}"), size)).collect::<Vec<_>>();
        let mut written = 0;
        for _ in 0..8 {
            let some = seen.news(many(1));
            assert!(some.iter().map(|head| head.text.len()).sum::<usize>() <= BYTES_MAX);
            written += some.len();
            seen.written(some);
        }
        assert_eq!(written, 400);
        // All of them have grown: each has its turn before any has a second one.
        let names = |all: Vec<String>| -> Vec<String> {
            all.iter().map(|one| one.split(' ').next().unwrap().to_owned()).collect()
        };
        let first = names(write(&mut seen, many(2)));
        let second = names(write(&mut seen, many(3)));
        assert!(second.iter().all(|one| !first.contains(one)) && !second.is_empty());
    }

    #[test]
    fn what_becomes_long_in_the_record_is_known_before() {
        for text in ["", "a\nb\"\\", "\u{1}\u{1f}\t", "\u{2014} é"] {
            let encoded = serde_json::to_string(text).unwrap();
            assert!(encoded_bytes(text) > encoded.len(), "{encoded}");
        }
    }

    /// Nobody keeps a log from being witnessed by what they hand over under another name.
    #[test]
    fn a_head_that_is_not_what_it_is_said_to_be_is_none() {
        let mut seen = Seen::default();
        let mut of_other = head("south", u64::MAX >> 11);
        of_other.0 = "thief".to_owned();
        let mut larger = head("north", 5);
        larger.1 = 9;
        let nonsense = ("east".to_owned(), 3, "nonsense".to_owned());
        assert!(write(&mut seen, vec![of_other, larger, nonsense]).is_empty());
        assert_eq!(write(&mut seen, vec![head("south", 4)]), ["south 4"]);
    }
}
