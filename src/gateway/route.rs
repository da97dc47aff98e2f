//! The routes, matched byte for byte.

use std::net::Ipv6Addr;

use http::header::{HOST, TRANSFER_ENCODING};
use http::{Method, Version, request};

use crate::domain::{Effect, Host, Operation, Reason, TraceContext};

/// The methods that an operation is asked for with, as an `Allow` header lists them.
pub(super) const fn methods(operation: Operation) -> &'static str {
    match operation.effect() {
        Effect::Changes => "POST",
        Effect::Reads => "GET, POST",
    }
}

/// Which operation is asked for. Nothing is decoded, folded or normalised: another spelling of
/// a path is another path. Only a GET may have a query.
///
/// # Errors
/// The reason to refuse.
pub(super) fn check(
    head: &request::Parts,
    hostnames: &[Host],
    headers_max: usize,
) -> Result<Operation, Reason> {
    let host = plain(head, headers_max)?;
    let operation = Operation::of_path(head.uri.path()).ok_or(Reason::RouteUnknown)?;
    let reads = operation.effect() == Effect::Reads;
    if head.method != Method::POST && !(reads && head.method == Method::GET) {
        return Err(Reason::MethodNotAllowed);
    }
    if head.method == Method::POST && head.uri.query().is_some() {
        return Err(Reason::QueryNotAllowed);
    }
    is_served(host, hostnames)?;
    Ok(operation)
}

/// The gateway's own route, on which a caller learns who it is taken for. No path of Seam's
/// begins with this product's name.
pub(super) const WHOAMI: &str = "/grantgate/whoami";

/// The methods of the gateway's own route.
pub(super) const OWN_METHODS: &str = "GET";

/// Checks a request for the gateway's own route, as strictly as one for Seam's.
///
/// # Errors
/// The reason to refuse.
pub(super) fn check_own(
    head: &request::Parts,
    hostnames: &[Host],
    headers_max: usize,
) -> Result<(), Reason> {
    let host = plain(head, headers_max)?;
    if head.method != Method::GET {
        return Err(Reason::MethodNotAllowed);
    }
    if head.uri.query().is_some() {
        return Err(Reason::QueryNotAllowed);
    }
    is_served(host, hostnames)
}

/// The host of a head that can be read in one way only.
fn plain(head: &request::Parts, headers_max: usize) -> Result<&str, Reason> {
    if head.headers.len() > headers_max {
        return Err(Reason::TooManyHeaders);
    }
    if !framing_is_plain(head) {
        return Err(Reason::FramingInvalid);
    }
    host(head).ok_or(Reason::HostInvalid)
}

fn is_served(host: &str, hostnames: &[Host]) -> Result<(), Reason> {
    let served = hostnames.is_empty() || hostnames.iter().any(|known| known.is(host));
    if served { Ok(()) } else { Err(Reason::HostNotServed) }
}

/// Codings that another server on the way might read differently are refused, and
/// the connection closed.
fn framing_is_plain(head: &request::Parts) -> bool {
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let first = codings.next().is_none_or(|c| c.as_bytes().eq_ignore_ascii_case(b"chunked"));
    first && codings.next().is_none()
}

/// The host without port: of the request target where it names one, else of the one
/// Host header (RFC 9112, sections 3.2 and 3.2.2; RFC 9113, section 8.3.1). An IPv6 address
/// is without its brackets.
fn host(head: &request::Parts) -> Option<&str> {
    let mut values = head.headers.get_all(HOST).iter();
    let header = match (values.next(), values.next()) {
        (Some(value), None) => Some(value.to_str().ok()?),
        (None, _) => None,
        (Some(_), Some(_)) => return None,
    };
    if header.is_none() && head.version < Version::HTTP_2 {
        return None;
    }
    let authority = head.uri.authority().map(http::uri::Authority::as_str).or(header)?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok())?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = port.strip_prefix(':').or(port.is_empty().then_some(""))?;
    let known = port.bytes().all(|b| b.is_ascii_digit()) && !host.contains('@');
    (known && !host.is_empty()).then_some(host)
}

/// The trace that the caller says its request belongs to. Of several none is believed.
pub(super) fn trace_of(head: &request::Parts) -> Option<TraceContext> {
    let mut values = head.headers.get_all("traceparent").iter();
    match (values.next(), values.next()) {
        (Some(value), None) => TraceContext::parse(value.to_str().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    /// Method, target, Host headers, expected judgement.
    type Row<'a> = (&'a str, &'a str, &'a [&'a str], Result<Operation, Reason>);

    fn judge(method: &str, uri: &str, hosts: &[&str]) -> Result<Operation, Reason> {
        let mut request = Request::builder().method(method).uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let hostnames = ["gate.internal", "::1"].map(|name| Host::parse(name).unwrap());
        check(&head, &hostnames, 64)
    }

    #[test]
    fn only_the_exact_routes_pass() {
        use Reason as R;
        let path = "/acs/entrances/grant_access";
        let absolute = format!("https://gate.internal:8443{path}");
        let userinfo = format!("https://me@gate.internal{path}");
        let table: &[Row<'_>] = &[
            ("POST", path, &["gate.internal"], Ok(Operation::GrantAccess)),
            ("POST", path, &["GATE.internal:8443"], Ok(Operation::GrantAccess)),
            ("POST", path, &["gate.internal."], Ok(Operation::GrantAccess)),
            ("POST", path, &["gate.internal.:8443"], Ok(Operation::GrantAccess)),
            ("POST", path, &["gate.internal:"], Ok(Operation::GrantAccess)),
            ("POST", path, &["[::1]:8443"], Ok(Operation::GrantAccess)),
            ("POST", path, &["[0:0::1]"], Ok(Operation::GrantAccess)),
            ("POST", &absolute, &["other"], Ok(Operation::GrantAccess)),
            ("POST", path, &["other.internal"], Err(R::HostNotServed)),
            ("POST", path, &[], Err(R::HostInvalid)),
            ("POST", path, &["gate.internal.."], Err(R::HostNotServed)),
            ("POST", path, &["[::2]"], Err(R::HostNotServed)),
            ("POST", path, &[""], Err(R::HostInvalid)),
            ("POST", path, &["gate.internal:https"], Err(R::HostInvalid)),
            ("POST", path, &["gate.internal:8443:1"], Err(R::HostInvalid)),
            ("POST", path, &["[::1"], Err(R::HostInvalid)),
            ("POST", path, &["[::1]8443"], Err(R::HostInvalid)),
            ("POST", path, &["[gate.internal]"], Err(R::HostInvalid)),
            ("POST", path, &["::1"], Err(R::HostInvalid)),
            ("POST", path, &["gate.internal", "gate.internal"], Err(R::HostInvalid)),
            ("POST", &userinfo, &["gate.internal"], Err(R::HostInvalid)),
            ("GET", path, &["gate.internal"], Err(R::MethodNotAllowed)),
            ("GET", "/acs/entrances/list", &["gate.internal"], Ok(Operation::ListEntrances)),
            ("GET", "/acs/entrances/list?a=b", &["gate.internal"], Ok(Operation::ListEntrances)),
            ("POST", "/acs/entrances/get", &["gate.internal"], Ok(Operation::GetEntrance)),
            ("POST", "/acs/entrances/get?a=b", &["gate.internal"], Err(R::QueryNotAllowed)),
            ("HEAD", "/acs/entrances/get", &["gate.internal"], Err(R::MethodNotAllowed)),
            ("PUT", "/acs/entrances/get", &["gate.internal"], Err(R::MethodNotAllowed)),
            ("HEAD", path, &["gate.internal"], Err(R::MethodNotAllowed)),
            ("OPTIONS", path, &["gate.internal"], Err(R::MethodNotAllowed)),
            ("post", path, &["gate.internal"], Err(R::MethodNotAllowed)),
            (
                "POST",
                "/acs/entrances/grant_access?a=b",
                &["gate.internal"],
                Err(R::QueryNotAllowed),
            ),
            ("POST", "/acs/entrances/grant_access?", &["gate.internal"], Err(R::QueryNotAllowed)),
            ("POST", "/acs/entrances/grant_access/", &["gate.internal"], Err(R::RouteUnknown)),
            ("POST", "//acs/entrances/grant_access", &["gate.internal"], Err(R::RouteUnknown)),
            (
                "POST",
                "/acs/entrances/../entrances/grant_access",
                &["gate.internal"],
                Err(R::RouteUnknown),
            ),
            ("POST", "/acs/entrances/grant%5Faccess", &["gate.internal"], Err(R::RouteUnknown)),
            ("POST", "/acs/entrances/GRANT_ACCESS", &["gate.internal"], Err(R::RouteUnknown)),
            ("POST", "/acs/entrances/grant_access;a", &["gate.internal"], Err(R::RouteUnknown)),
            ("POST", "/api/acs/entrances/grant_access", &["gate.internal"], Err(R::RouteUnknown)),
            ("POST", "/acs/entrances/unlock", &["gate.internal"], Err(R::RouteUnknown)),
            ("POST", "/", &["gate.internal"], Err(R::RouteUnknown)),
        ];
        for (method, uri, hosts, expected) in table {
            assert_eq!(judge(method, uri, hosts), *expected, "{method} {uri} {hosts:?}");
        }
    }
}
