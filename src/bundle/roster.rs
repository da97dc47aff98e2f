//! The roster: which logs count as evidence, by their keys, signed by those who sign policies.
//!
//! A gateway that introduces itself to the database brings its key itself, and whoever has the gateways'
//! password can introduce one of their own. Only people can say which keys are those of their gateways.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use super::text::{Lines, is_name, is_plain, is_why, number};
use super::{Malformed, Trust, Untrusted};
use crate::note::VerifierKey;

const FIRST: &str = "grantgate roster 1";

/// The longest roster: some thousand logs.
const ROSTER_BYTES_MAX: usize = 1 << 20;

/// What a roster says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// Whose gateways they are.
    pub name: String,
    /// Its place among the rosters of this name.
    pub number: u64,
    /// When it was made, by the clock of who made it.
    pub made: Timestamp,
    /// The name of the key of who made it.
    pub by: String,
    /// Why.
    pub why: String,
    /// The logs' keys, each of which has the name of its log. A log whose key was changed has several.
    pub logs: Vec<VerifierKey>,
}

/// A roster whose signatures by keys that are trusted are true; there may be too few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRoster {
    /// What it says.
    pub roster: Roster,
    /// The names of the keys that signed.
    pub signers: Vec<String>,
}

impl Roster {
    /// Reads a text. There is one text for each roster: every other way to write it is refused.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut lines = Lines::of(text, FIRST)?;
        let name = lines.next("NAME", |line| is_name(line).then(|| line.to_owned()))?;
        let number = lines.next("number N", |line| number(line.strip_prefix("number ")?))?;
        let (made, by) = lines.made()?;
        let why = lines.why()?;
        let mut logs = Vec::new();
        while !lines.is_over() {
            logs.push(lines.next("log NAME+ID+KEY", |line| {
                let key = VerifierKey::parse(line.strip_prefix("log ")?).ok();
                key.filter(|key| is_name(key.name()))
            })?);
        }
        let roster = Self { name, number, made, by, why, logs };
        let is_fit = is_name(&roster.by) && is_plain(made) && is_why(&roster.why);
        match is_fit && is_in_order(&roster.logs) && roster.to_string() == text {
            true => Ok(roster),
            false => Err(Malformed::Form),
        }
    }

    /// Adds logs, and puts all in their order; none is there twice.
    ///
    /// # Errors
    /// Two logs with one key.
    pub fn add(&mut self, logs: &[VerifierKey]) -> Result<(), String> {
        self.logs.extend_from_slice(logs);
        self.logs.sort_by_cached_key(ToString::to_string);
        self.logs.dedup();
        match twice(&self.logs) {
            None => Ok(()),
            Some((one, other)) => {
                let (one, other) = (one.name(), other.name());
                Err(format!("`{one}` and `{other}` have one key: each log has one of its own"))
            }
        }
    }
}

/// By their texts, and each key of one log only.
fn is_in_order(logs: &[VerifierKey]) -> bool {
    logs.is_sorted_by_key(ToString::to_string) && twice(logs).is_none()
}

/// Two that are one key.
fn twice(logs: &[VerifierKey]) -> Option<(&VerifierKey, &VerifierKey)> {
    let mut seen = BTreeMap::new();
    logs.iter().find_map(|log| Some((seen.insert(log.public(), log)?, log)))
}

impl fmt::Display for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, number, made, by, why, logs } = self;
        writeln!(f, "{FIRST}\n{name}\nnumber {number}\nmade {made} by {by}\nwhy {why}")?;
        logs.iter().try_for_each(|key| writeln!(f, "log {key}"))
    }
}

impl Trust {
    /// Reads a roster that may have too few signatures yet. All that there are must be true.
    ///
    /// # Errors
    /// [`Untrusted`]
    pub fn read_roster(&self, note: &str) -> Result<SignedRoster, Untrusted> {
        let (text, signers) = self.text(note, ROSTER_BYTES_MAX)?;
        let roster = Roster::parse(text)?;
        self.check(&roster.name, &roster.by, &signers)?;
        Ok(SignedRoster { roster, signers })
    }

    /// Reads a roster to go by: signed by enough.
    ///
    /// # Errors
    /// [`Untrusted`]
    pub fn accept_roster(&self, note: &str) -> Result<SignedRoster, Untrusted> {
        let signed = self.read_roster(note)?;
        let (has, takes) = (signed.signers.len(), self.signatures_min());
        match has < takes {
            true => Err(Untrusted::TooFew(has, takes)),
            false => Ok(signed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::{SigningKey, join};

    fn key(name: &str) -> SigningKey {
        SigningKey::generate(name).unwrap().0
    }

    fn roster(logs: &[&SigningKey]) -> Roster {
        let mut roster = Roster {
            name: "example.org/doors".into(),
            number: 1,
            made: "2026-11-29T09:00:00Z".parse().unwrap(),
            by: "alice".into(),
            why: "the first gateways".into(),
            logs: Vec::new(),
        };
        let logs: Vec<VerifierKey> = logs.iter().map(|key| key.verifier().clone()).collect();
        roster.add(&logs).unwrap();
        roster
    }

    #[test]
    fn there_is_one_text_for_each_roster() {
        let (north, south) = (key("north/1"), key("south/1"));
        let roster = roster(&[&south, &north, &south]);
        let text = roster.to_string();
        assert_eq!(Roster::parse(&text), Ok(roster.clone()));
        // A name that nobody can see the end of.
        let hidden = key("south/2\u{202e}").verifier().clone();
        let (first, second) = (north.verifier(), south.verifier());
        let (first, second) = (format!("log {first}\n"), format!("log {second}\n"));
        for (from, to) in [
            ("grantgate roster 1", "grantgate roster 2"),
            ("number 1", "number 01"),
            ("09:00:00Z", "09:00:00.5Z"),
            ("09:00:00Z", "10:00:00+01:00"),
            ("why the", "why  the"),
            (&first, &second),
            (&second, ""),
            (&second, "log south/1\n"),
            (&second, "file south/1\n"),
            (&second, &second.repeat(2)),
            (&second, second.trim_end()),
            (&second, &format!("{second}\n")),
            (&first, &first.replace("north/1+", "north/2+")),
            (&second, &format!("log {hidden}\n")),
            ("by alice", "by a\u{200b}lice"),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text, "{from}");
            // What is left out is another roster, and not another text of this one.
            assert_ne!(Roster::parse(&other), Ok(roster.clone()), "{from} -> {to}");
            if !to.is_empty() {
                assert!(Roster::parse(&other).is_err(), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn one_key_is_one_log() {
        let (secret, text) = SigningKey::generate("north/1").unwrap();
        let named = secret.verifier().to_string();
        let other = text.replacen("north/1", "south/1", 1);
        // The id is that of the name and the key: it has to be made anew.
        assert!(SigningKey::parse(&other).is_err());
        let same = VerifierKey::of("south/1", secret.verifier().public()).unwrap();
        let mut both = roster(&[&secret]);
        assert!(both.add(std::slice::from_ref(&same)).unwrap_err().contains("have one key"));
        let text = format!("{}log {same}\n", roster(&[&secret]));
        assert!(text.contains(&named) && Roster::parse(&text).is_err());
    }

    #[test]
    fn it_takes_as_many_signatures_as_a_policy() {
        let (alice, bob) = (key("alice"), key("bob"));
        let keys = [&alice, &bob].map(|key| key.verifier().clone()).to_vec();
        let trust = Trust::new("example.org/doors".into(), keys.clone(), 2).unwrap();
        let text = roster(&[&key("north/1")]).to_string();
        let note = |by: &[&SigningKey]| {
            join(&text, &by.iter().map(|key| key.signature(&text)).collect::<Vec<_>>())
        };
        assert!(trust.accept_roster(&note(&[&alice, &bob])).is_ok());
        assert_eq!(trust.read_roster(&note(&[&alice])).unwrap().signers, ["alice"]);
        assert_eq!(trust.accept_roster(&note(&[&alice])), Err(Untrusted::TooFew(1, 2)));
        assert!(matches!(trust.read_roster(&note(&[&bob])), Err(Untrusted::NotByAuthor(_))));
        assert!(trust.accept_roster(&note(&[&alice, &key("bob")])).is_err());
        let others = Trust::new("example.org/gates".into(), keys, 2).unwrap();
        let refused = others.accept_roster(&note(&[&alice, &bob]));
        assert!(matches!(refused, Err(Untrusted::OtherName(..))));
        // A policy is no roster, and the other way round.
        assert!(trust.read(&note(&[&alice, &bob])).is_err());
        assert!(trust.read_directive(&note(&[&alice, &bob])).is_err());
    }
}
