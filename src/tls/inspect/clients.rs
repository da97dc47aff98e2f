//! Looks at the authorities of client certificates, and at their revocation lists.

use rustls::pki_types::CertificateRevocationListDer;

use super::{Dated, Inspection, Required, Severity, Side, What};
use crate::tls::certificate::{Facts, ListFacts, has_signed};
use crate::tls::pem::{PemFile, Placed, PlacedCertificate, ordinal};

pub(in crate::tls) type PlacedList = Placed<CertificateRevocationListDer<'static>>;

/// Puts the newest list of each authority before its older ones: the verifier takes the
/// first that it finds, and an older one would hide a revocation.
pub(in crate::tls) fn newest_first(lists: &mut [PlacedList]) {
    if lists.len() < 2 {
        return;
    }
    lists.sort_by_cached_key(|list| {
        std::cmp::Reverse(
            ListFacts::read(&list.item).map(|facts| (facts.this_update, facts.number)),
        )
    });
}

/// Looks at the authorities and, where there are any, at the lists, newest first.
pub(in crate::tls) fn inspect_clients(
    ca_file: PemFile<'_>,
    authorities: &[PlacedCertificate],
    lists: Option<(PemFile<'_>, &[PlacedList])>,
    side: Side,
    required: bool,
) -> Inspection {
    let mut found = Inspection::default();
    let mut covered = Vec::new();
    let current = lists.map(|(file, lists)| (file, inspect_lists(file, lists, &mut found)));
    for (placed, number) in authorities.iter().zip(1..) {
        let Some(facts) = Facts::read(&placed.item) else { continue };
        let shown = format!("the {} authority ({})", ordinal(number), facts.subject);
        if facts.is_authority == Some(false) {
            let text = format!(
                "{shown} is not marked as one (`CA:TRUE`, RFC 5280, section 4.2.1.9): is it the \
                 certificate of a client or a server?"
            );
            found.fixed(Severity::Warning, ca_file.problem_at(placed.line, text));
        }
        if let Some((file, current)) = &current {
            let until = match coverage(placed, &facts, current) {
                Ok(until) => Some(until),
                Err(why) => {
                    let text = format!(
                        "{shown} {why} in `{}`: every certificate that it has signed is refused \
                         (RFC 5280, section 6.3.3); add its newest list",
                        file.name
                    );
                    found.fixed(Severity::Error, ca_file.problem_at(placed.line, text));
                    None
                }
            };
            covered.push(until);
        }
        if let Some(until) = facts.not_after {
            let (file, line, from) = (ca_file.name.to_owned(), placed.line, facts.not_before);
            found.dated.push(Dated {
                what: What::Authority(side),
                file,
                line,
                shown,
                from,
                until,
                domain: None,
            });
        }
    }
    if required && !covered.is_empty() {
        found.required = Some(Required { file: ca_file.name.to_owned(), authorities: covered });
    }
    found
}

/// A list that counts.
struct Current<'a> {
    list: &'a PlacedList,
    facts: ListFacts,
}

/// The lists that count: of each authority, and each part of its certificates, the newest.
fn inspect_lists<'a>(
    file: PemFile<'_>,
    lists: &'a [PlacedList],
    found: &mut Inspection,
) -> Vec<Current<'a>> {
    let mut current: Vec<Current<'a>> = Vec::new();
    for list in lists {
        let Some(facts) = ListFacts::read(&list.item) else { continue };
        let newer = current.iter().find(|newer| {
            newer.facts.issuer_der == facts.issuer_der && newer.facts.scope == facts.scope
        });
        if let Some(newer) = newer {
            let text = format!(
                "this revocation list of {} is older than the one in line {} and not used: take \
                 it out",
                facts.issuer, newer.list.line
            );
            found.fixed(Severity::Warning, file.problem_at(list.line, text));
            continue;
        }
        if let Some(until) = facts.next_update {
            found.dated.push(Dated {
                what: What::RevocationList,
                file: file.name.to_owned(),
                line: list.line,
                shown: format!("the revocation list of {}", facts.issuer),
                from: None,
                until,
                domain: None,
            });
        }
        current.push(Current { list, facts });
    }
    current
}

/// Until when an authority has a list that the verifier can use, or why it has none.
fn coverage(
    authority: &PlacedCertificate,
    facts: &Facts,
    current: &[Current<'_>],
) -> Result<jiff::Timestamp, &'static str> {
    let mut own =
        current.iter().filter(|list| list.facts.issuer_der == facts.subject_der).peekable();
    if own.peek().is_none() {
        return Err("has no revocation list");
    }
    if facts.signs_lists == Some(false) {
        return Err("may not sign revocation lists (its key usage lacks `cRLSign`), and has one");
    }
    own.filter(|list| has_signed(&authority.item, &list.list.item) != Some(false))
        .filter_map(|list| list.facts.next_update)
        .min()
        .ok_or("has not signed the revocation list of its name")
}
