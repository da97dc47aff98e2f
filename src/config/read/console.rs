//! `[console]`: who looks with a browser.

use super::Reader;
use super::values::Use;
use crate::config::{ConsoleSettings, PeopleSettings};
use crate::domain::{check_dns_name, trust_domain_of};
use crate::toml_source::{Place, Section};

/// The longest of what a token says of a person, in bytes.
const PERSON_BYTES_MAX: usize = 256;

/// What says who a person is, unless something else is set.
const CLAIM: &str = "sub";

/// How names of client certificates are written.
const OF_CERTIFICATES: &str = "`spiffe://trust-domain/path` or `dns:name` of a client certificate";

/// Headers of requests that are something else.
const OTHER_HEADERS: [&str; 6] =
    ["host", "origin", "cookie", "content-type", "content-length", "sec-fetch-site"];

impl<'a> Reader<'a> {
    /// `has_remote` says whether other machines can reach it; `issuers` are those of the settings.
    pub(super) fn console(
        &mut self,
        section: Section<'a>,
        has_remote: bool,
        issuers: &[&str],
    ) -> Option<ConsoleSettings> {
        let local = self.choice(&section, "local", &[("off", false), ("on", true)]);
        let people = self.people(&section, issuers);
        let known = people.as_ref().and_then(Option::as_ref);
        let database_file = self.optional_path(&section, "database_file", Use::Alone);
        let viewers = self.who(&section, "viewers", known);
        let operators = self.who(&section, "operators", known);
        let (viewers, operators) = (viewers?, operators?);
        let text = "is for nobody: the console serves other machines through `admin.remote` only, \
                    which is not set";
        for (key, named) in [("viewers", &viewers), ("operators", &operators)] {
            self.warn(&section, key, !has_remote && !named.is_empty(), text);
        }
        section.finish();
        let (local, people) = (local?, people?);
        Some(ConsoleSettings { local, viewers, operators, people, database_file })
    }

    /// All of it or none of it.
    fn people(
        &mut self,
        section: &Section<'a>,
        issuers: &[&str],
    ) -> Option<Option<PeopleSettings>> {
        let issuer = self.known(section, "issuer");
        let header = self.known(section, "token_header");
        let claim = self.known_as(section, "claim", Some(format!("\"{CLAIM}\"")), false);
        let written = self.known(section, "proxies");
        let Some(issuer) = issuer else {
            for place in [header, claim, written].into_iter().flatten() {
                place.refuse("needs `console.issuer`, whose tokens say who a person is");
            }
            return Some(None);
        };
        let name = issuer.string()?;
        if !issuers.contains(&name) {
            issuer.refuse(format!("`{name}` is no [[issuer]] of this file"));
            return None;
        }
        let written = written.map_or(Some(Vec::new()), |place| place.strings())?;
        if written.is_empty() {
            issuer.refuse(
                "needs `console.proxies`: which client certificates are those of the proxy, and may \
                 bring a token",
            );
            return None;
        }
        let proxies = each_once("proxies", written, |text| match is_of_certificate(text) {
            true => Ok(()),
            false => Err(format!("`{text}` is not the name of a proxy: write {OF_CERTIFICATES}")),
        });
        let Some(place) = header else {
            issuer
                .refuse("needs `console.token_header`: in which header the proxy sends the token");
            return None;
        };
        let text = place.string()?;
        let named = text.parse::<http::HeaderName>().ok();
        let named = named.filter(|name| !OTHER_HEADERS.contains(&name.as_str()));
        let Some(header) = named else {
            place.refuse(format!("`{text}` is not the name of a header that has a token"));
            return None;
        };
        let claim = match claim {
            None => CLAIM,
            Some(place) => match place.string()? {
                "" => {
                    place.refuse("must name a claim, such as `sub` or `email`");
                    return None;
                }
                text => text,
            },
        };
        let (issuer, claim) = (name.to_owned(), claim.to_owned());
        Some(Some(PeopleSettings { proxies, issuer, header, claim }))
    }

    fn who(
        &mut self,
        section: &Section<'a>,
        key: &str,
        people: Option<&PeopleSettings>,
    ) -> Option<Vec<String>> {
        let is_proxy =
            |text: &str| people.is_some_and(|of| of.proxies.iter().any(|proxy| proxy == text));
        let written = self.list(section, key)?;
        Some(each_once(key, written, |text| match text.strip_prefix("jwt:") {
            Some(who) if who.is_empty() || who.len() > PERSON_BYTES_MAX => Err(format!(
                "`{text}` must say who behind `jwt:`, in at most {PERSON_BYTES_MAX} bytes"
            )),
            Some(_) if people.is_none() => {
                Err(format!("`{text}` needs `console.issuer`, whose tokens say so"))
            }
            None if is_proxy(text) => Err(format!(
                "`{text}` is one of `console.proxies`: who comes through it is named by `jwt:` and what \
                 the token says"
            )),
            None if !is_of_certificate(text) => Err(format!(
                "`{text}` is not the name of anybody: write {OF_CERTIFICATES}, or `jwt:` and what a \
                 token says of a person"
            )),
            Some(_) | None => Ok(()),
        }))
    }
}

/// Names that are what they must be, and none of them twice; the others are refused.
fn each_once(
    key: &str,
    written: Vec<(Place<'_>, String)>,
    check: impl Fn(&str) -> Result<(), String>,
) -> Vec<String> {
    let mut named: Vec<String> = Vec::new();
    for (place, text) in written {
        match check(&text) {
            Err(why) => place.refuse(why),
            Ok(()) if named.contains(&text) => {
                place.refuse(format!("`{text}` is in `console.{key}` twice"));
            }
            Ok(()) => named.push(text),
        }
    }
    named
}

/// Whether a client certificate can have this name.
fn is_of_certificate(text: &str) -> bool {
    let name = text.strip_prefix("dns:");
    trust_domain_of(text).is_some() || name.is_some_and(|name| check_dns_name(name).is_ok())
}
