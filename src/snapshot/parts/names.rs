//! What people call entrances. Names decide nothing: a mistake in their file is a warning,
//! and those from before stay.

use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::config::Settings;
use crate::domain::Problem;
use crate::snapshot::build::Building;
use crate::snapshot::part::Part;
use crate::snapshot::source::Wanted;

const FILE: &str = "entrances.csv";

pub(in crate::snapshot) const PART: Part =
    Part { name: "entrances", decides: false, files, show: |_, _| {} };

fn files(settings: &Settings) -> Vec<Wanted<'_>> {
    vec![Wanted::optional(FILE, &settings.policy_entrances_file)]
}

pub(in crate::snapshot) fn build(on: &mut Building<'_>) -> Arc<Catalogue> {
    if let Some(old) = on.unchanged(&PART) {
        return old.names.clone();
    }
    match parse(on) {
        Ok(names) => Arc::new(names),
        Err(problems) => {
            on.warnings.extend(problems);
            on.before().map(|old| old.names.clone()).unwrap_or_default()
        }
    }
}

fn parse(on: &Building<'_>) -> Result<Catalogue, Vec<Problem>> {
    let Some(file) = on.inputs.file(FILE) else { return Ok(Catalogue::default()) };
    let bytes = file.bytes.as_ref().map_err(|problem| vec![problem.clone()])?;
    Catalogue::parse(&file.shown, bytes)
}
