//! Signed orders as the database has them, verified here.

use crate::bundle::{Digest, Directed, SignedDirective};
use crate::cli::desk::{Ended, Open, failed};
use crate::cli::note;
use crate::database::{Placed, Unfinished};
use crate::domain::DirectiveId;

/// Digits that name a signed order among the others.
const DIGITS_MIN: usize = 8;

/// Of the text that is signed.
pub(super) fn digest(of: &SignedDirective) -> Digest {
    Digest::of(of.directive.to_string().as_bytes())
}

/// How a proposed one is named, so that nothing else is signed.
pub(super) fn proposed_id(of: &SignedDirective) -> String {
    format!("{}@{}", of.directive.id, digest(of).short())
}

/// Those that gateways follow, by signatures that count.
pub(super) async fn all(open: &Open) -> Result<Vec<SignedDirective>, Ended> {
    let mut found = Vec::new();
    for Placed { place, note: text } in open.desk.directives().await? {
        match open.trust.accept_directive(&text) {
            Ok(signed) => found.push(signed),
            Err(error) => note(format_args!("the signed order at {place} is left out: {error}")),
        }
    }
    Ok(found)
}

/// Those that too few have signed.
pub(super) async fn unfinished(
    open: &Open,
    given: &[SignedDirective],
) -> Result<Vec<SignedDirective>, Ended> {
    let mut found = Vec::new();
    for Unfinished { text, lines } in open.desk.proposed_directives().await? {
        match open.trust.gather_directive(&text, &lines) {
            Ok(signed) if given.iter().any(|one| one.directive == signed.directive) => {}
            Ok(signed) => found.push(signed),
            Err(error) => note(format_args!("a proposed order is left out: {error}")),
        }
    }
    Ok(found)
}

/// The one that begins with these digits.
pub(super) fn one<'a>(of: &'a [SignedDirective], id: &str) -> Result<&'a SignedDirective, Ended> {
    let fits = |one: &&SignedDirective| {
        id.len() >= DIGITS_MIN && one.directive.id.as_str().starts_with(id)
    };
    let found: Vec<_> = of.iter().filter(fits).collect();
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(failed(format_args!(
            "there is no such signed order `{id}` (at least {DIGITS_MIN} digits); `grantgate orders \
             --database` lists them"
        ))),
        _ => {
            Err(failed(format_args!("several signed orders begin with `{id}`: write more digits")))
        }
    }
}

/// Who took it back, and why.
pub(super) fn lifted<'a>(
    all: &'a [SignedDirective],
    id: &DirectiveId,
) -> Option<(&'a str, &'a str)> {
    let by = |one: &'a SignedDirective| match &one.directive.what {
        Directed::Lifted(of) if of == id => {
            Some((one.directive.by.as_str(), one.directive.why.as_str()))
        }
        Directed::Lifted(_) | Directed::Given(..) => None,
    };
    all.iter().find_map(by)
}
