//! What an edit of the callers file changes, for people who sign it.

use std::fmt;

use super::jwt::Match;
use super::{Caller, Callers, Suspension};
use crate::domain::{Budget, CallerId};

/// What becomes of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerChange {
    /// Which.
    pub caller: CallerId,
    /// What it has from now on, or is.
    pub added: Vec<String>,
    /// What it has no more.
    pub removed: Vec<String>,
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => write!(f, "subject {subject}"),
            Self::Claims(rules) => {
                let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
                f.write_str(&rules.join(" and "))
            }
        }
    }
}

/// All that the file says of a caller and that a request may be answered otherwise for.
fn facts(caller: &Caller) -> Vec<String> {
    let mut facts = vec!["is a caller".to_owned()];
    for token in &caller.tokens {
        let until = token.expires.map_or_else(String::new, |time| format!(" until {time}"));
        facts.push(format!("token {} (sha256 {}){until}", token.name, token.sha256));
    }
    facts.extend(caller.certificates.iter().map(|name| format!("certificate {name}")));
    for jwt in &caller.jwts {
        facts.push(format!("jwt {} of {}, {}", jwt.name, jwt.issuer, jwt.matches));
    }
    facts.extend(caller.workspaces.iter().map(|name| format!("workspace {name}")));
    let Budget { grants, doors } = caller.budget;
    facts.extend(grants.map(|number| format!("at most {number} grants a day")));
    facts.extend(doors.map(|number| format!("at most {number} different doors a day")));
    if let Some(Suspension { reason, .. }) = &caller.suspended {
        facts.push(format!("is SUSPENDED: {reason}"));
    }
    facts
}

/// What differs, caller by caller: those of the new file in its order, then those that are gone.
#[must_use]
pub fn changes(old: &Callers, new: &Callers) -> Vec<CallerChange> {
    let of = |callers: &Callers, id: &CallerId| {
        callers.all().iter().find(|caller| caller.id == *id).map(facts).unwrap_or_default()
    };
    let gone = old.ids().filter(|id| !new.contains(id));
    let all = new.ids().chain(gone).filter_map(|id| {
        let (before, after) = (of(old, id), of(new, id));
        let without = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|fact| !those.contains(fact)).cloned().collect()
        };
        let change = CallerChange {
            caller: id.clone(),
            added: without(&after, &before),
            removed: without(&before, &after),
        };
        (!change.added.is_empty() || !change.removed.is_empty()).then_some(change)
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESK: &str = "[[caller]]\nid = \"desk\"\ndescription = \"a\"\n\
        tokens = [{ name = \"a\", sha256 = \"\
        0000000000000000000000000000000000000000000000000000000000000000\" }]\n";

    fn callers(text: &str) -> Callers {
        Callers::parse("callers.toml", text.as_bytes()).unwrap()
    }

    #[test]
    fn whatever_a_request_may_be_answered_otherwise_for_is_told() {
        let old = callers(DESK);
        assert_eq!(changes(&old, &old), []);
        let of = |text: &str| changes(&old, &callers(text)).pop().unwrap();
        let other = of(&DESK.replace("0\"", "1\""));
        assert!(other.added.len() == 1 && other.removed.len() == 1, "the same name, another token");
        let later = of(&DESK.replace("\" }", "\", expires = 2027-01-01T00:00:00Z }"));
        assert!(later.added[0].ends_with("000) until 2027-01-01T00:00:00Z"), "{later:?}");
        for (line, said) in [
            ("certificates = [\"dns:a.example\"]", "certificate dns:a.example"),
            ("grants_per_day = 7", "at most 7 grants a day"),
            ("doors_per_day = 7", "at most 7 different doors a day"),
            ("workspaces = [\"north\"]", "workspace north"),
            (
                "suspended = { since = 2026-01-01T00:00:00Z, reason = \"lost\" }",
                "is SUSPENDED: lost",
            ),
        ] {
            let text = format!("{DESK}{line}\n");
            assert_eq!(of(&text).added, [said]);
            let back = changes(&callers(&text), &old);
            assert_eq!((back[0].removed.len(), back[0].added.len()), (1, 0));
            assert_eq!(back[0].removed[0], said);
        }
        let renamed = changes(&old, &callers(&DESK.replace("desk", "hall")));
        assert_eq!(renamed[0].added[0], "is a caller");
        assert_eq!((renamed[1].caller.as_str(), renamed[1].removed.len()), ("desk", 2));
    }
}
