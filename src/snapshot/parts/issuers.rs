//! Whose JSON Web Tokens are accepted, with the keys that are in files.
//!
//! Keys that are fetched are no part of a snapshot: they come while it is in force, and stay
//! when another takes its place.

use std::sync::Arc;

use crate::authn::Issuers;
use crate::authn::jwt::{FetchedKeys, Issuer, IssuerKeys, IssuerRules, KeySet};
use crate::config::{IssuerSettings, KeySource, Settings};
use crate::domain::Problem;
use crate::snapshot::build::Building;
use crate::snapshot::part::Part;
use crate::snapshot::source::{Wanted, not_read};

pub(in crate::snapshot) const PART: Part = Part {
    name: "issuers",
    decides: true,
    files,
    show: |snapshot, metrics| {
        for issuer in snapshot.issuers.all() {
            if let IssuerKeys::File(keys) = &issuer.keys {
                metrics.issuers.keys_in_force(&issuer.rules.name, keys.len());
            }
        }
    },
};

fn files(settings: &Settings) -> Vec<Wanted<'_>> {
    let wanted = settings.issuers.iter().filter_map(|issuer| match &issuer.keys {
        KeySource::File(name, path) => Some(Wanted::plain(name, path)),
        KeySource::Fetched(_) => None,
    });
    wanted.collect()
}

pub(in crate::snapshot) fn build(on: &mut Building<'_>) -> Option<Arc<Issuers>> {
    if let Some(old) = on.unchanged(&PART) {
        return Some(old.issuers.clone());
    }
    let before = on.before().map(|snapshot| snapshot.issuers.clone());
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for settings in &on.settings.issuers {
        let old = before.as_ref().and_then(|before| before.named(&settings.name));
        match issuer(on, settings, old) {
            Ok(issuer) => all.push(issuer),
            Err(found) => problems.extend(found),
        }
    }
    let made = if problems.is_empty() { Ok(all) } else { Err(problems) };
    let all = on.keep(made)?;
    Some(Arc::new(Issuers::new(all, before.as_deref())))
}

fn issuer(
    on: &Building<'_>,
    settings: &IssuerSettings,
    old: Option<&Issuer>,
) -> Result<Issuer, Vec<Problem>> {
    let rules = Arc::new(IssuerRules {
        name: settings.name.as_str().into(),
        issuer: settings.issuer.clone(),
        audiences: settings.audiences.clone(),
        algorithms: settings.algorithms.clone(),
        leeway: settings.leeway,
        lifetime_max: settings.lifetime_max,
    });
    let keys = match (&settings.keys, old.map(|old| &old.keys)) {
        (KeySource::File(name, _), old) => {
            let old = match old {
                Some(IssuerKeys::File(keys)) => Some(&**keys),
                Some(IssuerKeys::Fetched(_)) | None => None,
            };
            IssuerKeys::File(Arc::new(keys_of(on, name, settings, old)?))
        }
        (KeySource::Fetched(_), Some(IssuerKeys::Fetched(keys))) => {
            IssuerKeys::Fetched(keys.clone())
        }
        (KeySource::Fetched(fetch), Some(IssuerKeys::File(_)) | None) => {
            IssuerKeys::Fetched(Arc::new(FetchedKeys::new(fetch.stale_max)))
        }
    };
    Ok(Issuer { rules, keys })
}

/// In a file every mistake is somebody's who can mend it.
fn keys_of(
    on: &Building<'_>,
    name: &str,
    settings: &IssuerSettings,
    old: Option<&KeySet>,
) -> Result<KeySet, Vec<Problem>> {
    let file = on.inputs.file(name).ok_or_else(|| vec![not_read(name)])?;
    let bytes = file.bytes.as_ref().map_err(|problem| vec![problem.clone()])?;
    let problem = |text: String| Problem::of_file(&file.shown, text);
    let keys = KeySet::parse(bytes, &settings.algorithms, old);
    let keys = keys.map_err(|text| vec![problem(text)])?;
    let mistakes = keys.left_out().iter().filter(|key| key.is_mistake);
    let mut problems: Vec<Problem> = mistakes
        .map(|key| problem(format!("key {} of the JWK Set {}", key.number, key.why)))
        .collect();
    if problems.is_empty() && keys.is_empty() {
        problems.push(problem(format!(
            "the JWK Set has no key for the algorithms of issuer `{}`",
            settings.name
        )));
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
}
