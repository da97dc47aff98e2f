//! Which tokens of issuers are a caller's: `[[caller.jwt]]`.

use std::collections::HashMap;

use super::Credential;
use crate::authn::jwt::{ClaimRule, Claims};
use crate::domain::{CallerId, Reason};
use crate::toml_source::{Place, Section};

/// Rules by claims of one issuer: each token that is verified anew is compared with them all.
const RULES_MAX: usize = 1_000;

/// The longest subject, in bytes.
const SUBJECT_BYTES_MAX: usize = 1_024;

/// Tokens of an issuer that are a caller's.
#[derive(Debug, Clone)]
pub struct Jwt {
    /// Its name, which audit records show.
    pub name: String,
    /// The name of the issuer in the settings.
    pub issuer: String,
    /// Which of the issuer's tokens.
    pub matches: Match,
}

/// Which tokens they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Match {
    /// Those with exactly this `sub`.
    Subject(String),
    /// Those for which all of these hold, in an order of their own.
    Claims(Vec<ClaimRule>),
}

/// The callers that tokens of one issuer can be of.
#[derive(Debug, Default)]
pub(super) struct ByIssuer {
    subjects: HashMap<String, Credential>,
    rules: Vec<(Vec<ClaimRule>, Credential)>,
}

impl ByIssuer {
    pub(super) fn add(&mut self, matches: &Match, credential: Credential) {
        match matches {
            Match::Subject(subject) => {
                self.subjects.insert(subject.clone(), credential);
            }
            Match::Claims(rules) => self.rules.push((rules.clone(), credential)),
        }
    }

    /// The first credential that matches; all that match must be of one caller.
    pub(super) fn find(&self, claims: &Claims) -> Result<&Credential, Reason> {
        let subject = claims.get("sub").map(|sub| sub.text().ok_or(Reason::JwtClaims));
        let by_subject = subject.transpose()?.and_then(|subject| self.subjects.get(subject));
        let holds = |rules: &[ClaimRule]| rules.iter().all(|rule| rule.holds(claims));
        let by_claims = self.rules.iter().filter(|(rules, _)| holds(rules));
        let mut found = by_subject.into_iter().chain(by_claims.map(|(_, credential)| credential));
        let first = found.next().ok_or(Reason::JwtUnmapped)?;
        match found.all(|other| other.caller == first.caller) {
            true => Ok(first),
            false => Err(Reason::CredentialsConflict),
        }
    }
}

/// What was seen already, and what may be named.
#[derive(Default)]
pub(super) struct Seen<'n> {
    /// The issuers of the settings, where these are known.
    issuers: Option<&'n [&'n str]>,
    /// By issuer, and which of its tokens.
    taken: HashMap<(String, Match), CallerId>,
    /// How many rules by claims an issuer has.
    rules: HashMap<String, usize>,
}

impl<'n> Seen<'n> {
    pub(super) fn knowing(issuers: Option<&'n [&'n str]>) -> Self {
        Self { issuers, ..Self::default() }
    }
}

pub(super) fn read(
    section: Section<'_>,
    owner: &CallerId,
    others: &[Jwt],
    seen: &mut Seen<'_>,
) -> Option<Jwt> {
    let name = section.required("name").and_then(|place| {
        let name = place.string()?;
        if let Err(error) = CallerId::parse(name) {
            place.refuse(format!("the name of a JWT rule {error}"));
        } else if others.iter().any(|other| other.name == name) {
            place.refuse(format!("a second JWT rule `{name}` of caller `{owner}`"));
        }
        Some(name.to_owned())
    });
    let issuer = section.required("issuer").and_then(|place| {
        let issuer = place.string()?.to_owned();
        if let Some(known) = seen.issuers.filter(|known| !known.contains(&issuer.as_str())) {
            place.refuse(format!("there is no [[issuer]] `{issuer}`; {}", listed(known)));
        }
        Some((place, issuer))
    });
    let matches = matches(&section);
    if let (Some((place, issuer)), Some(matches)) = (&issuer, &matches) {
        note(place, issuer, matches, owner, seen);
    }
    section.finish();
    let (_, issuer) = issuer?;
    Some(Jwt { name: name?, issuer, matches: matches? })
}

fn listed(issuers: &[&str]) -> String {
    match issuers {
        [] => "the configuration has none".to_owned(),
        names => format!("the configuration has `{}`", names.join("`, `")),
    }
}

/// One token is one caller's.
fn note(place: &Place<'_>, issuer: &str, matches: &Match, owner: &CallerId, seen: &mut Seen<'_>) {
    if let Some(first) = seen.taken.insert((issuer.to_owned(), matches.clone()), owner.clone()) {
        let what = match matches {
            Match::Subject(subject) => format!("the subject `{subject}`"),
            Match::Claims(_) => "the same claims".to_owned(),
        };
        place.refuse(format!("caller `{first}` has {what} of issuer `{issuer}` already"));
    }
    if matches!(matches, Match::Claims(_)) {
        let rules = seen.rules.entry(issuer.to_owned()).or_default();
        *rules += 1;
        // Told once, of the first that is too many.
        if *rules == RULES_MAX + 1 {
            place.refuse(format!(
                "more than {RULES_MAX} rules by claims of issuer `{issuer}`: name callers by \
                 `subject`"
            ));
        }
    }
}

/// Exactly one of the two.
fn matches(section: &Section<'_>) -> Option<Match> {
    let subject = section.value("subject");
    let (claims, is_given) = (section.section("claims"), section.has("claims"));
    match (&subject, is_given) {
        (Some(place), false) => {
            let subject = place.string()?;
            if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
                place.refuse(format!(
                    "`subject` is the exact `sub` of the tokens: 1 to {SUBJECT_BYTES_MAX} bytes"
                ));
                return None;
            }
            Some(Match::Subject(subject.to_owned()))
        }
        (None, true) => {
            let mut rules = Vec::new();
            for (claim, place) in claims.entries() {
                match ClaimRule::parse(&claim, place.string()?) {
                    Ok(rule) => rules.push(rule),
                    Err(text) => {
                        place.refuse(text);
                        return None;
                    }
                }
            }
            if rules.is_empty() {
                claims
                    .refuse("`claims` is empty: every token of the issuer would be this caller's");
                return None;
            }
            rules.sort();
            Some(Match::Claims(rules))
        }
        (Some(place), true) => {
            place.refuse(
                "give `subject` or `claims`, not both; a claim `sub` may be among `claims`",
            );
            None
        }
        (None, false) => {
            section.refuse("say which tokens are the caller's: `subject` or `claims`");
            None
        }
    }
}
