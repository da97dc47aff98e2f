//! Addresses of other servers, which a URL library reads more freely than people mean them:
//! it takes blanks out, turns `\` into `/`, decodes `%`, and adds what is missing.

use reqwest::Url;

use crate::domain::{Host, HostError};
use crate::toml_source::Place;

/// The URL at this place, if it is written as it is read and its host can be one.
pub(super) fn exact_url(place: &Place<'_>, such_as: &str) -> Option<Url> {
    let text = place.string()?;
    let refuse = |text: String| {
        place.refuse(text);
        None
    };
    let path = place.path();
    let Some(url) = Url::parse(text).ok().filter(Url::has_host) else {
        return refuse(format!("`{path}` must be a URL such as {such_as}"));
    };
    // What may hold a credential is not repeated, and refused by those who ask.
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if is_plain && !is_as_written(text, &url) {
        return refuse(format!("`{path}` would be read as `{url}`; write that if it is meant"));
    }
    let host = url.host_str().unwrap_or_default();
    match Host::parse(host) {
        Err(error) => return refuse(format!("the host `{host}` of `{path}` {error}")),
        Ok(_) if host.ends_with('.') => {
            return refuse(format!("`{path}` has a dot after its host; take it out"));
        }
        Ok(host) if host.address().is_some_and(|address| address.is_unspecified()) => {
            return refuse(format!("`{path}`: nobody can be reached at `{host}`"));
        }
        Ok(_) => {}
    }
    if url.port() == Some(0) {
        return refuse(format!("`{path}`: nobody can be reached at port 0"));
    }
    Some(url)
}

/// Whether it is on this machine: what is sent there in plain text stays there.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// Scheme and host in either case, the default port or none, `/` or no path; all else as it
/// stands.
fn is_as_written(text: &str, url: &Url) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let default = match url.scheme() {
        "https" => ":443",
        "http" => ":80",
        _ => "",
    };
    let authority = authority.strip_suffix(default).unwrap_or(authority);
    let written = format!("{scheme}://{authority}").to_ascii_lowercase();
    let origin = url.origin().ascii_serialization();
    let read = url.as_str().strip_prefix(&origin).unwrap_or_default();
    written == origin && (rest == read || (rest.is_empty() && read == "/"))
}

/// How an internationalised name is written in ASCII (RFC 5890, section 2.3.2.1).
pub(super) fn ascii_form(name: &str) -> Option<String> {
    let url = Url::parse(&format!("https://{name}")).ok()?;
    let host = url.host_str().filter(|host| Host::parse(host) != Err(HostError::NotAscii))?;
    (host != name).then(|| host.to_owned())
}
