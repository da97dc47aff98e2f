//! Looks at a certificate chain that is sent to clients.

use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;

use super::{Dated, Inspection, Severity, Side, What};
use crate::tls::certificate::{Facts, Shown, has_signed};
use crate::tls::identity::Identity;
use crate::tls::pem::{PemFile, PlacedCertificate, ordinal};

const ORDER: &str = "the order is: the server's own, then the one that signed it, and so on (RFC \
                     8446, section 4.4.2)";

/// Looks at the chain of `identity`, read from `file`, for clients that ask for
/// `hostnames`. `known` are authorities that the gateway was given for other ends: a
/// private authority often signs for all of them.
#[must_use]
pub fn inspect_server(
    file: PemFile<'_>,
    identity: &Identity,
    side: Side,
    hostnames: &[String],
    known: &[PlacedCertificate],
) -> Inspection {
    let mut found = Inspection::default();
    let chain = identity.chain();
    let facts: Option<Vec<Facts>> = chain.iter().map(|one| Facts::read(&one.item)).collect();
    let (Some(facts), Some(leaf)) = (facts, chain.first()) else {
        let text = "not all certificates could be looked at; whether they expire or fit is unknown";
        found.fixed(Severity::Warning, file.problem(text));
        return found;
    };
    for (at, (placed, facts)) in chain.iter().zip(&facts).enumerate() {
        // Clients have their own copy of a root.
        let is_root = at > 0 && facts.is_self_signed(&placed.item);
        if let Some(until) = facts.not_after.filter(|_| !is_root) {
            let (what, shown) = match at {
                0 => (What::Server(side), "the certificate".to_owned()),
                _ => (What::Above, format!("the {} certificate", ordinal(at + 1))),
            };
            let (file, line, from) = (file.name.to_owned(), placed.line, facts.not_before);
            found.dated.push(Dated { what, file, line, shown, from, until, domain: None });
        }
    }
    let mut warn = |line, text: String| {
        found.fixed(Severity::Warning, file.problem_at(line, text));
    };
    if let Some(own) = facts.first() {
        for text in unfit(leaf, own, hostnames) {
            warn(leaf.line, text);
        }
    }
    let links = chain.iter().zip(&facts).zip(chain.iter().zip(&facts).skip(1)).zip(2..);
    for (((signed, issued), (issuer, above)), number) in links {
        let by_name = issued.issuer_der == above.subject_der;
        if !by_name || has_signed(&issuer.item, &signed.item) == Some(false) {
            let text = format!(
                "the {} certificate ({}) has not signed the one before it, which was issued by \
                 {}: {ORDER}",
                ordinal(number),
                above.subject,
                issued.issuer
            );
            warn(issuer.line, text);
            return found;
        }
    }
    if let (Some(last), Some(placed)) = (facts.last(), chain.last())
        && !last.is_self_signed(&placed.item)
        && let Some(text) = missing(last, known)
    {
        warn(placed.line, text);
    }
    found
}

/// For which clients the certificate is of no use.
fn unfit(leaf: &PlacedCertificate, own: &Facts, hostnames: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let parsed = ParsedCertificate::try_from(&leaf.item).ok();
    let covers = |name: &str| {
        let name = name.trim_start_matches('[').trim_end_matches([']', '.']);
        let name = ServerName::try_from(name).ok();
        parsed.as_ref().zip(name).is_some_and(|(own, name)| verify_server_name(own, &name).is_ok())
    };
    for name in hostnames.iter().filter(|name| !covers(name)) {
        let names = Shown::of(&leaf.item).map(|shown| shown.names.join(", ")).unwrap_or_default();
        found.push(format!(
            "the certificate does not cover `{name}` of `listener.hostnames`: clients that \
             connect by this name refuse it; it is for {names}"
        ));
    }
    if hostnames.is_empty() && !own.has_names {
        found.push(
            "the certificate has no `subjectAltName`: clients compare the host's name with \
             nothing else (RFC 9525, section 2) and refuse it"
                .to_owned(),
        );
    }
    if own.for_servers == Some(false) {
        found.push(
            "the certificate is not for servers: its extended key usage lacks `serverAuth` (RFC \
             5280, section 4.2.1.12), and clients refuse it"
                .to_owned(),
        );
    }
    if own.is_authority == Some(true) {
        found.push(
            "the certificate is an authority's (`CA:TRUE`), and some clients refuse it as a \
             server's: let the authority sign one for the server"
                .to_owned(),
        );
    }
    found
}

/// Whether a certificate between the last one and an authority that clients know seems to
/// be missing. A private authority that signs with its root looks the same, so there must
/// be a sign of it: the issuer was itself issued by another (RFC 5280, section 4.2.1.1), or
/// its certificate is offered for fetching (section 4.2.2.1) and no trust store has it.
fn missing(last: &Facts, known: &[PlacedCertificate]) -> Option<String> {
    let where_from = match (last.issuer_is_intermediate, &last.issuer_url) {
        (Some(false), _) | (None, None) => return None,
        (_, Some(url)) => format!("; it is at {url}"),
        (Some(true), None) => String::new(),
    };
    if is_known(&last.issuer_der, known) {
        return None;
    }
    Some(format!(
        "the certificate of its issuer, {}, does not follow, and is not an authority that this \
         machine trusts: most clients then refuse the connection; append it to this file\
         {where_from}",
        last.issuer
    ))
}

fn is_known(issuer: &[u8], known: &[PlacedCertificate]) -> bool {
    let is_it = |der: &[u8]| Facts::read(der).is_some_and(|facts| facts.subject_der == issuer);
    known.iter().any(|placed| is_it(&placed.item))
        || rustls_native_certs::load_native_certs().certs.iter().any(|der| is_it(der))
}
