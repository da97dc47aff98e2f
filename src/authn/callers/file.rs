//! `callers.toml`, read strictly.

use std::collections::HashMap;

use super::jwt::{self, Jwt};
use super::{Caller, Configured, Suspension, Token};
use crate::authn::{TokenDigest, TokenForm};
use crate::domain::{Budget, CallerId, Problem, WorkspaceName, check_dns_name, trust_domain_of};
use crate::toml_source::{Place, Section, TomlSource};

/// What was seen already, to refuse a second one.
#[derive(Default)]
struct Seen<'n> {
    ids: HashMap<CallerId, ()>,
    tokens: HashMap<TokenDigest, CallerId>,
    certificates: HashMap<String, CallerId>,
    jwts: jwt::Seen<'n>,
    /// The workspaces of the settings, where these are known.
    workspaces: Option<&'n [WorkspaceName]>,
}

pub(super) fn read(
    file: &str,
    bytes: &[u8],
    known: Option<&Configured<'_>>,
) -> Result<Vec<Caller>, Vec<Problem>> {
    let text = Problem::or_text(file, bytes).map_err(|problem| vec![problem])?;
    let source = TomlSource::parse(file, text.to_owned()).map_err(|problem| vec![problem])?;
    let mut seen = Seen {
        jwts: jwt::Seen::knowing(known.map(|known| known.issuers.as_slice())),
        workspaces: known.map(|known| known.workspaces.as_slice()),
        ..Seen::default()
    };
    let root = source.root();
    let sections = root.sections("caller");
    let callers: Vec<Caller> =
        sections.into_iter().filter_map(|section| caller(section, &mut seen)).collect();
    root.finish();
    let problems = source.into_problems();
    if problems.is_empty() { Ok(callers) } else { Err(problems) }
}

/// The label of requests without a caller.
const STRANGERS: &str = "other";

fn caller(section: Section<'_>, seen: &mut Seen<'_>) -> Option<Caller> {
    let id = section.required("id").and_then(|place| {
        let id = CallerId::parse(place.string()?);
        match id {
            Err(error) => place.refuse(format!("the caller id {error}")),
            Ok(ref id) if id.as_str() == STRANGERS => {
                place.refuse(format!(
                    "`{id}` is what metrics call unauthenticated clients; choose another id"
                ));
            }
            Ok(ref id) if seen.ids.insert(id.clone(), ()).is_some() => {
                place.refuse(format!("a second caller `{id}`; put its credentials into one table"));
            }
            Ok(_) => {}
        }
        id.ok()
    });
    let description = section.value("description").and_then(|p| p.string()).unwrap_or_default();
    // A table whose id is broken is still read, so that all its mistakes show.
    let owner = id.clone().or_else(|| CallerId::parse("unnamed").ok())?;
    let mut tokens: Vec<Token> = Vec::new();
    for table in section.sections("tokens") {
        if let Some(token) = token(table, &owner, &tokens, seen) {
            tokens.push(token);
        }
    }
    let names = section.value("certificates").and_then(|p| p.strings()).unwrap_or_default();
    let certificates =
        names.into_iter().filter_map(|(place, name)| certificate(&place, name, &owner, seen));
    let certificates = certificates.collect();
    let suspended = section.optional_section("suspended").map(suspension);
    let grants = section.value("grants_per_day").map(|place| budget(&place));
    let doors = section.value("doors_per_day").map(|place| budget(&place));
    let workspaces = section.value("workspaces").map(|place| workspaces(&place, seen));
    let mut jwts: Vec<Jwt> = Vec::new();
    for table in section.sections("jwt") {
        jwts.extend(jwt::read(table, &owner, &jwts, &mut seen.jwts));
    }
    section.finish();
    let suspended = match suspended {
        None => None,
        Some(read) => Some(read?),
    };
    // A limit that cannot be read is no lack of one.
    let read = |budget: Option<Option<u32>>| budget.map_or(Some(None), |read| read.map(Some));
    let budget = Budget { grants: read(grants)?, doors: read(doors)? };
    // Nor is a list of workspaces the default one.
    let workspaces = match workspaces {
        None => Vec::new(),
        Some(read) => read?,
    };
    let (id, description) = (id?, description.to_owned());
    Some(Caller { id, description, tokens, certificates, jwts, budget, workspaces, suspended })
}

fn workspaces(place: &Place<'_>, seen: &Seen<'_>) -> Option<Vec<WorkspaceName>> {
    let mut names: Vec<WorkspaceName> = Vec::new();
    let mut good = true;
    for (place, text) in place.strings()? {
        let problem = match WorkspaceName::parse(&text) {
            Err(error) => format!("`{text}`: a workspace's name {error}"),
            Ok(name) if names.contains(&name) => format!("`{name}` stands here twice"),
            Ok(name) if seen.workspaces.is_some_and(|known| !known.contains(&name)) => {
                format!("there is no [[workspace]] `{name}` in the configuration")
            }
            Ok(name) => {
                names.push(name);
                continue;
            }
        };
        place.refuse(problem);
        good = false;
    }
    if names.is_empty() && good {
        place.refuse("name a workspace, or leave `workspaces` out for the default one");
        good = false;
    }
    good.then_some(names)
}

fn budget(place: &Place<'_>) -> Option<u32> {
    place.integer(1..=Budget::MAX).and_then(|number| u32::try_from(number).ok())
}

fn suspension(section: Section<'_>) -> Option<Suspension> {
    let since = section.required("since").and_then(|place| place.timestamp());
    let reason = section.required("reason").and_then(|place| {
        let reason = reason_of_suspension(place.string()?);
        reason.map_err(|text| place.refuse(format!("the reason {text}"))).ok()
    });
    section.finish();
    Some(Suspension { since: since?, reason: reason? })
}

/// The most characters that a reason may have.
const REASON_CHARS_MAX: usize = 200;

/// Why a caller is suspended, as it can be shown on one line.
///
/// # Errors
/// What is wrong with the text.
pub fn reason_of_suspension(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("is empty; say why, for whoever is to resume the caller".into());
    }
    if text.chars().count() > REASON_CHARS_MAX || text.contains(char::is_control) {
        return Err(format!(
            "must be one line of at most {REASON_CHARS_MAX} characters, without control characters"
        ));
    }
    Ok(text.to_owned())
}

fn token(
    section: Section<'_>,
    owner: &CallerId,
    others: &[Token],
    seen: &mut Seen<'_>,
) -> Option<Token> {
    let name = section.required("name").and_then(|place| {
        let name = place.string()?;
        if let Err(error) = CallerId::parse(name) {
            place.refuse(format!("the token name {error}"));
        } else if others.iter().any(|other| other.name == name) {
            place.refuse(format!("a second token `{name}` of caller `{owner}`"));
        }
        Some(name.to_owned())
    });
    let sha256 = section.required("sha256").and_then(|place| {
        let digest = TokenDigest::parse(place.string()?);
        match digest {
            None => place.refuse(
                "`sha256` must be the 64 hexadecimal digits of the token's SHA-256; \
                 `grantgate caller new` writes them",
            ),
            Some(digest) => {
                if let Some(first) = seen.tokens.insert(digest, owner.clone()) {
                    place.refuse(format!("caller `{first}` has the same token already"));
                }
            }
        }
        digest
    });
    let expires = section.value("expires").and_then(|place| place.timestamp());
    let form = match section.value("form") {
        None => Some(TokenForm::ApiKey),
        Some(place) => {
            let form = TokenForm::parse(place.string()?);
            if form.is_none() {
                let words = TokenForm::CODES.join("` or `");
                place.refuse(format!("`form` must be `{words}`"));
            }
            form
        }
    };
    section.finish();
    Some(Token { name: name?, sha256: sha256?, expires, form: form? })
}

fn certificate(
    place: &Place<'_>,
    name: String,
    owner: &CallerId,
    seen: &mut Seen<'_>,
) -> Option<String> {
    if let Some(host) = name.strip_prefix("dns:") {
        if let Err(text) = check_dns_name(host) {
            place.refuse(format!("`{name}` {text}"));
            return None;
        }
    } else if trust_domain_of(&name).is_none() {
        place.refuse(format!(
            "`{name}` is not a certificate name; write `spiffe://trust-domain/path` or `dns:` \
             and a lower-case host name without wildcard"
        ));
        return None;
    }
    if let Some(first) = seen.certificates.insert(name.clone(), owner.clone()) {
        place.refuse(format!("caller `{first}` has the certificate name `{name}` already"));
    }
    Some(name)
}
