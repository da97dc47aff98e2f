//! `grantgate caller expiring`: tokens that expire soon, for whoever has to replace them.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{FileArgument, read};
use crate::authn::callers::{Caller, Token};
use crate::cli::{Exit, Format, fail, note, say};
use crate::domain::parse_length;

#[derive(Args)]
#[command(after_help = "Example: grantgate caller expiring --within 30d\n\n\
    Tokens that have expired are listed too, until they are revoked. Certificates have their \
    end in themselves and are not listed.\n\n\
    Exit codes: 0 nothing to do, 2 a token expires within the time or a caller has only expired \
    ones, 1 failed, 3 invalid callers file.")]
pub(in crate::cli) struct Arguments {
    /// How far to look ahead
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = parse_length)]
    within: SignedDuration,
    /// How to print the list
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    file: FileArgument,
}

/// A token that expires.
struct Expiring<'a> {
    caller: &'a Caller,
    name: &'a str,
    expires: Timestamp,
    expired: bool,
    /// The caller has nothing that is accepted after it.
    last: bool,
}

impl Expiring<'_> {
    /// Whether somebody has to do something about it.
    fn is_due(&self) -> bool {
        !self.expired || self.last
    }
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let now = Timestamp::now();
    let Ok(until) = now.checked_add(arguments.within) else {
        return fail("--within is longer than time goes");
    };
    let callers = match read(&arguments.file.file) {
        Ok(callers) => callers,
        Err(exit) => return exit,
    };
    let found = find(callers.all(), now, until);
    match arguments.format {
        Format::Json => say(found.iter().map(json_of).collect::<Value>()),
        Format::Human => {
            for one in &found {
                say(line(one));
            }
            if found.is_empty() {
                note(format_args!("no token expires before {until:.0}"));
            }
        }
    }
    if found.iter().any(Expiring::is_due) { Exit::Different } else { Exit::Done }
}

/// The first to expire first.
fn find(callers: &[Caller], now: Timestamp, until: Timestamp) -> Vec<Expiring<'_>> {
    let mut found: Vec<Expiring<'_>> = callers
        .iter()
        .flat_map(|caller| caller.tokens.iter().map(move |token| (caller, token)))
        .filter_map(|(caller, Token { name, expires, .. })| {
            let expires = expires.filter(|expires| *expires <= until)?;
            let outlives = |other: &Token| other.expires.is_none_or(|end| end > expires.max(now));
            let last = caller.certificates.is_empty() && !caller.tokens.iter().any(outlives);
            Some(Expiring { caller, name, expires, expired: expires <= now, last })
        })
        .collect();
    found.sort_by_key(|one| one.expires);
    found
}

fn line(one: &Expiring<'_>) -> String {
    let Expiring { caller, name, expires, expired, last } = one;
    let word = if *expired { "EXPIRED" } else { "expires" };
    let last = match (last, expired) {
        (false, _) => "",
        (true, false) => "  the last that the caller has",
        (true, true) => "  the caller has no other",
    };
    let suspended = if caller.suspended.is_some() { "  (suspended)" } else { "" };
    format!("{word} {expires}  {}  token:{name}{last}{suspended}", caller.id)
}

fn json_of(one: &Expiring<'_>) -> Value {
    json!({
        "caller": one.caller.id.as_str(),
        "credential": format!("token:{}", one.name),
        "expires": one.expires.to_string(),
        "expired": one.expired,
        "last": one.last,
        "suspended": one.caller.suspended.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::{Callers, TokenDigest};

    #[test]
    fn what_somebody_has_to_do_something_about_is_due() {
        let token = |name: &str, expires: &str| {
            let digest = TokenDigest::of(name);
            let expires =
                if expires.is_empty() { String::new() } else { format!(", expires = {expires}") };
            format!("{{ name = \"{name}\", sha256 = \"{digest}\"{expires} }}")
        };
        let (past, soon, late) =
            ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", "2027-06-01T00:00:00Z");
        let text = format!(
            "[[caller]]\nid = \"gone\"\ntokens = [{}]\n[[caller]]\nid = \"rotated\"\ntokens = [{}, {}, {}]\n\
             [[caller]]\nid = \"mesh\"\ncertificates = [\"dns:a.b\"]\ntokens = [{}]\n",
            token("a", past),
            token("b", past),
            token("c", soon),
            token("d", ""),
            token("e", past),
        );
        let callers = Callers::parse("c.toml", text.as_bytes()).unwrap();
        let now = "2026-11-28T00:00:00Z".parse().unwrap();
        let until = |text: &str| find(callers.all(), now, text.parse().unwrap());
        let shown = |found: &[Expiring<'_>]| -> Vec<String> {
            found.iter().map(|o| format!("{} {} {}", o.name, o.last, o.is_due())).collect()
        };
        assert_eq!(
            shown(&until("2026-12-28T00:00:00Z")),
            ["a true true", "b false false", "e false false", "c false true"],
        );
        assert_eq!(
            shown(&until("2026-11-30T00:00:00Z")),
            ["a true true", "b false false", "e false false"],
        );
        assert!(shown(&until(late)).contains(&"c false true".to_owned()));
    }
}
