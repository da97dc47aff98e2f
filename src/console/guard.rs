//! Who may look, who may order, and that a request is one of a page of ours.
//!
//! On loopback there is nobody to be known: whoever is on the machine may look where the settings say
//! so, and changes nothing. A page of another site could still send its visitor's browser there; so a
//! name that is not loopback's is refused, which is what DNS rebinding needs. Through the remote
//! listener a person is who the client certificate or a proxy's token says. What changes something has
//! to come from a page of the console itself: `Sec-Fetch-Site` (W3C Fetch Metadata, section 2.3) and
//! `Origin` (RFC 6454, section 7) must both say so.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::Console;
use super::page::Page;
use super::reply::Reply;
use crate::authn::PeerCertificate;
use crate::authn::jwt::person;
use crate::config::PeopleSettings;

/// Which listener a request came through.
#[derive(Clone)]
pub enum Place {
    /// Plain, within this machine.
    Local,
    /// TLS, with this client certificate.
    Remote(Option<Arc<PeerCertificate>>),
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) may_order: bool,
    /// Others have another name.
    pub(super) is_known: bool,
}

impl Person {
    /// As whom others are told apart from this person.
    pub(super) fn told_apart(&self) -> Option<&str> {
        self.is_known.then_some(self.name.as_str())
    }
}

/// Lets a person in, or says why not.
pub(super) fn admit(console: &Console, head: &Parts, place: &Place) -> Result<Person, Box<Reply>> {
    let settings = &console.settings;
    let refuse = |text: &str| Err(Box::new(Page::refusal(StatusCode::FORBIDDEN, text)));
    match place {
        Place::Local if !settings.local => refuse(
            "The console is off on this machine: set `local = \"on\"` under `[console]`, if everybody on \
             the machine may look.",
        ),
        Place::Local if !is_of_loopback(&head.headers) => refuse(
            "This address is for this machine only: ask for it as localhost, 127.0.0.1 or [::1].",
        ),
        Place::Local => {
            Ok(Person { name: "this machine".into(), may_order: false, is_known: false })
        }
        Place::Remote(certificate) => {
            let certificate = certificate.as_deref();
            let names = match named(console, &head.headers, certificate) {
                Ok(names) => names,
                Err(text) => return refuse(&text),
            };
            let is_in = |list: &[String]| names.iter().find(|name| list.contains(name)).cloned();
            if let Some(name) = is_in(&settings.operators) {
                return Ok(Person { name, may_order: true, is_known: true });
            }
            match is_in(&settings.viewers) {
                Some(name) => Ok(Person { name, may_order: false, is_known: true }),
                None => {
                    let known = match names.as_slice() {
                        [] => "Nothing says who you are".to_owned(),
                        names => format!("You are `{}`", names.join("`, `")),
                    };
                    refuse(&format!(
                        "{known}, who is neither among `viewers` nor `operators` of `[console]`."
                    ))
                }
            }
        }
    }
}

/// What a client certificate and a token say of who this is. A token goes first: the certificate must
/// then be its proxy's.
fn named(
    console: &Console,
    headers: &HeaderMap,
    certificate: Option<&PeerCertificate>,
) -> Result<Vec<String>, String> {
    if let Some(people) = &console.settings.people
        && let Some(token) = token(headers, people)?
    {
        let mut names = certificate.into_iter().flat_map(PeerCertificate::names);
        if !names.any(|name| people.proxies.iter().any(|proxy| proxy == name)) {
            let text = "A token is taken from a proxy only, whose certificate `proxies` of `[console]` names.";
            return Err(text.into());
        }
        let snapshot = console.gateway.snapshot.load();
        let by = (people.issuer.as_str(), people.claim.as_str());
        let now = console.gateway.clock.now();
        return match person(&snapshot.issuers, by, token, certificate, now) {
            Ok(who) => Ok(vec![format!("jwt:{who}")]),
            Err(reason) => Err(format!("The token is not believed: {}.", reason.as_str())),
        };
    }
    let names: Vec<String> =
        certificate.iter().flat_map(|known| known.names()).map(str::to_owned).collect();
    let proxies = console.settings.people.as_ref().map_or(&[][..], |people| &people.proxies);
    match names.iter().any(|name| proxies.contains(name)) {
        // Whoever it is of, it is not of the proxy.
        true => Err("The proxy sends no token that would say who asks.".into()),
        false => Ok(names),
    }
}

/// The one token of a request, with or without the name of its scheme.
fn token<'h>(headers: &'h HeaderMap, people: &PeopleSettings) -> Result<Option<&'h str>, String> {
    let mut values = headers.get_all(&people.header).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = value.to_str().map_err(|_| "The token is no text.".to_owned())?;
            let bare =
                text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
            Ok(Some(bare.map_or(text, |(_, token)| token)))
        }
        (Some(_), Some(_)) => Err("There are two tokens.".into()),
    }
}

/// Whether a request names a host of loopback: whatever its port.
#[must_use]
pub fn is_of_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(authority) = host.to_str().unwrap_or_default().parse::<http::uri::Authority>() else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_address = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_address || name.eq_ignore_ascii_case("localhost")
}

/// Whether somebody looks at it, and no page of another site asks for it behind their back.
pub(super) fn is_looked_at(head: &Parts) -> Result<(), Box<Reply>> {
    let one = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    // Of browsers only; a link that somebody follows is theirs.
    let is_own = matches!(one("sec-fetch-site"), None | Some("same-origin" | "none"));
    let is_link =
        one("sec-fetch-mode") == Some("navigate") && one("sec-fetch-dest") == Some("document");
    if is_own || is_link {
        return Ok(());
    }
    let text = "A page of another site asks for this, as a browser says by `Sec-Fetch-Site`.";
    Err(Box::new(Page::refusal(StatusCode::FORBIDDEN, text)))
}

/// Whether a form was sent from a page of the console.
pub(super) fn is_of_our_own_pages(head: &Parts, place: &Place) -> Result<(), Box<Reply>> {
    let one = |name: &str| {
        let mut values = head.headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    };
    let scheme = match place {
        Place::Local => "http",
        Place::Remote(_) => "https",
    };
    // Over HTTP/2 it is the `:authority`.
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let host = one(HOST.as_str()).or(authority).unwrap_or_default();
    let own = format!("{scheme}://{host}");
    let is_own = one(ORIGIN.as_str()).is_some_and(|origin| origin.eq_ignore_ascii_case(&own));
    if is_own && one("sec-fetch-site") == Some("same-origin") {
        return Ok(());
    }
    let text = "A form is taken from a page of the console only, as a browser says by `Origin` and \
                `Sec-Fetch-Site`.";
    Err(Box::new(Page::refusal(StatusCode::FORBIDDEN, text)))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    fn head(headers: &[(&'static str, &str)]) -> Parts {
        let mut head = Request::new(()).into_parts().0;
        for (name, value) in headers {
            head.headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        head
    }

    #[test]
    fn only_names_of_loopback_are_answered_on_loopback() {
        for host in
            ["localhost", "LOCALHOST:9464", "127.0.0.1:1", "127.8.8.8", "[::1]:9464", "[::1]"]
        {
            assert!(is_of_loopback(&head(&[("host", host)]).headers), "{host}");
        }
        for host in [
            "",
            "attacker.example",
            "localhost.attacker.example",
            "127.0.0.1.attacker.example",
            "192.0.2.1",
            "0.0.0.0",
            "[::]",
            "localhost@attacker.example",
            "2130706433",
        ] {
            assert!(!is_of_loopback(&head(&[("host", host)]).headers), "{host}");
        }
        assert!(!is_of_loopback(&head(&[]).headers));
        let two = head(&[("host", "localhost"), ("host", "attacker.example")]);
        assert!(!is_of_loopback(&two.headers));
    }

    #[test]
    fn what_other_sites_ask_for_is_refused_unless_somebody_follows_a_link() {
        let asks = |site: &str, mode: &str, dest: &str| {
            let headers =
                [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
            is_looked_at(&head(&headers)).is_ok()
        };
        assert!(is_looked_at(&head(&[])).is_ok(), "a program");
        assert!(asks("none", "navigate", "document") && asks("same-origin", "cors", "empty"));
        assert!(asks("cross-site", "navigate", "document"));
        for (site, mode, dest) in [
            ("cross-site", "no-cors", "image"),
            ("same-site", "no-cors", "image"),
            ("cross-site", "navigate", "iframe"),
            ("cross-site", "cors", "empty"),
        ] {
            assert!(!asks(site, mode, dest), "{site} {mode} {dest}");
        }
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        let host = ("host", "door.example:9465");
        let good =
            [host, ("origin", "https://door.example:9465"), ("sec-fetch-site", "same-origin")];
        let remote = Place::Remote(None);
        assert!(is_of_our_own_pages(&head(&good), &remote).is_ok());
        assert!(is_of_our_own_pages(&head(&good), &Place::Local).is_err(), "of another scheme");
        let (origin, site) = (good[1], good[2]);
        for bad in [
            vec![host],
            vec![host, origin],
            vec![host, site],
            vec![host, origin, ("sec-fetch-site", "same-site")],
            vec![host, origin, ("sec-fetch-site", "cross-site")],
            vec![host, origin, ("sec-fetch-site", "none")],
            vec![host, ("origin", "null"), site],
            vec![host, ("origin", "https://attacker.example"), site],
            vec![host, ("origin", "https://door.example"), site],
            vec![host, origin, origin, site],
            vec![origin, site],
        ] {
            assert!(is_of_our_own_pages(&head(&bad), &remote).is_err(), "{bad:?}");
        }
    }
}
