//! `grantgate orders --database`.

use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use super::known::{all, lifted, proposed_id, unfinished};
use crate::bundle::{Directed, Directive, SignedDirective};
use crate::cli::database::At;
use crate::cli::desk::with;
use crate::cli::{Exit, Format, note, say, say_json};

/// Lists them.
pub(in crate::cli::orders) fn list(file: &Path, (all_of_them, format): (bool, Format)) -> Exit {
    with(&At { database: file.to_owned() }, async |open| {
        let given = all(open).await?;
        let pending = unfinished(open, &given).await?;
        let now = Timestamp::now();
        let mut shown = Vec::new();
        for SignedDirective { directive, signers, .. } in &given {
            let Directed::Given(_, until) = &directive.what else { continue };
            let state = match (lifted(&given, &directive.id), until) {
                (Some((by, why)), _) => format!("taken back by {by}: {why}"),
                (None, Some(until)) if *until <= now => "over".to_owned(),
                (None, _) => "in force".to_owned(),
            };
            if all_of_them || state == "in force" {
                shown.push((directive, signers, state));
            }
        }
        for pending in &pending {
            let SignedDirective { directive, signers, .. } = pending;
            let (has, takes) = (signers.len(), open.trust.signatures_of(directive));
            let state = format!("signed by {has} of {takes}: {}", proposed_id(pending));
            shown.push((directive, signers, state));
        }
        match format {
            Format::Json => {
                let orders: Vec<_> = shown
                    .iter()
                    .map(|(directive, signers, state)| {
                        json!({
                            "id": directive.id.as_str(), "what": directive.what.to_string(),
                            "made": directive.made.to_string(), "by": directive.by,
                            "why": directive.why, "signers": signers, "state": state,
                        })
                    })
                    .collect();
                say_json(&json!({ "orders": orders }));
            }
            Format::Human => {
                for (directive, _, state) in &shown {
                    let Directive { id, what, made, by, why, .. } = directive;
                    let what = what.to_string().replace('\n', ", ");
                    say(format_args!("{id}  {what}, by {by} at {made}: {why} [{state}]"));
                }
                if shown.is_empty() {
                    note("nothing is ordered for all gateways");
                }
            }
        }
        Ok(Exit::Done)
    })
}
