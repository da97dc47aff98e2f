//! Who may call.

use std::sync::Arc;

use crate::authn::Callers;
use crate::authn::callers::Configured;
use crate::config::Settings;
use crate::domain::Problem;
use crate::snapshot::build::Building;
use crate::snapshot::part::Part;
use crate::snapshot::source::{Wanted, not_read};

const FILE: &str = "callers.toml";

pub(in crate::snapshot) const PART: Part = Part {
    name: "callers",
    decides: true,
    files,
    show: |snapshot, metrics| {
        let suspended = snapshot.callers.suspended();
        metrics.callers_suspended.set(i64::try_from(suspended).unwrap_or(i64::MAX));
    },
};

fn files(settings: &Settings) -> Vec<Wanted<'_>> {
    vec![Wanted::plain(FILE, &settings.callers_file)]
}

pub(in crate::snapshot) fn build(on: &mut Building<'_>) -> Option<Arc<Callers>> {
    if let Some(old) = on.unchanged(&PART) {
        return Some(old.callers.clone());
    }
    let made = parse(on);
    on.keep(made.map(Arc::new))
}

fn parse(on: &Building<'_>) -> Result<Callers, Vec<Problem>> {
    let file = on.inputs.file(FILE).ok_or_else(|| vec![not_read(FILE)])?;
    let bytes = file.bytes.as_ref().map_err(|problem| vec![problem.clone()])?;
    let Settings { issuers, upstream, .. } = on.settings;
    let known = Configured {
        issuers: issuers.iter().map(|issuer| issuer.name.as_str()).collect(),
        workspaces: upstream.workspaces.iter().filter_map(|one| one.name.clone()).collect(),
    };
    Callers::parse_with(&known, &file.shown, bytes)
}
