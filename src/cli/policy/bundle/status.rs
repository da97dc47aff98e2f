//! `grantgate policy status`: which bundle is in force where, and what is proposed.

use clap::Args;

use super::fetched::signed_by;
use crate::cli::database::At;
use crate::cli::desk::with;
use crate::cli::problems::printable;
use crate::cli::{Exit, Format, note, say, say_json};
use crate::database::ReplicaState;
use crate::view::bundle::{Bundle, Promoted, Status};
use crate::view::database::ShownReplica;

#[derive(Args)]
#[command(after_help = "Example: grantgate policy status --database reader.toml\n\n\
    Exit codes: 0 all gateways that speak have what they are to have, 2 one has not, 1 failed, \
    3 invalid file.")]
pub(in crate::cli) struct StatusArguments {
    #[command(flatten)]
    at: At,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

pub(in crate::cli::policy) fn status(arguments: &StatusArguments) -> Exit {
    with(&arguments.at, async |open| {
        let heads = open.heads().await?;
        let proposed = open.proposals(&heads).await?;
        let replicas = open.desk.replicas().await?;
        let all: Vec<_> = [&heads.newest, &heads.for_all].into_iter().flatten().collect();
        let wanted = |replica: &ReplicaState| {
            let is_for = |names: &Option<Vec<String>>| {
                names.as_ref().is_none_or(|names| names.contains(&replica.name))
            };
            all.iter()
                .find(|(_, given)| is_for(&given.only_for))
                .map(|(signed, _)| signed.bundle.number)
        };
        // Some may have their policies from files.
        let has = |one: &ReplicaState| {
            one.bundle.is_none() || (one.bundle == wanted(one) && one.bundle_refused.is_none())
        };
        let well = replicas.iter().filter(|one| one.speaks()).all(has);
        let min = open.trust.signatures_min();
        match arguments.format {
            Format::Json => say_json(&Status {
                promoted: all
                    .iter()
                    .map(|(signed, given)| Promoted {
                        bundle: Bundle::of(signed, min),
                        promoted: given.promoted.to_string(),
                        only_for: given.only_for.clone(),
                    })
                    .collect(),
                proposed: proposed.iter().map(|signed| Bundle::of(signed, min)).collect(),
                replicas: replicas.iter().map(ShownReplica::of).collect(),
            }),
            Format::Human => {
                if all.is_empty() {
                    say("no bundle was given to gateways yet");
                }
                for (signed, given) in &all {
                    let to = given.only_for.as_ref().map_or_else(
                        || "all gateways".to_owned(),
                        |names| format!("only {}", names.join(", ")),
                    );
                    let (id, why) = (signed.id(), &signed.bundle.why);
                    let to = printable(&to);
                    say(format_args!("{id} for {to} since {}: {why}", given.promoted));
                    say(format_args!("  {}", signed_by(signed, &open.trust)));
                }
                for signed in &proposed {
                    say(format_args!("proposed {}: {}", signed.id(), signed.bundle.why));
                    say(format_args!("  {}", signed_by(signed, &open.trust)));
                }
                for replica in &replicas {
                    say(printable(&line(replica, wanted(replica))));
                }
                let (name, takes) = (open.trust.name(), open.trust.signatures_min());
                note(format_args!("bundles of {name} take {takes} signature(s)"));
            }
        }
        Ok(if well { Exit::Done } else { Exit::Different })
    })
}

fn line(replica: &ReplicaState, wanted: Option<u64>) -> String {
    let ReplicaState { name, state, silent_s, bundle, bundle_refused, .. } = replica;
    let has = match (bundle, wanted) {
        (None, _) => "policies from files".to_owned(),
        (Some(has), Some(wanted)) if *has < wanted => format!("bundle {has}, to have {wanted}"),
        (Some(has), Some(wanted)) if *has == wanted => format!("bundle {has}"),
        (Some(has), _) => format!(
            "bundle {has}, which the database has lost: `grantgate policy restore` puts it back"
        ),
    };
    let refused = bundle_refused.as_ref();
    let refused = refused.map_or_else(String::new, |(of, why)| format!("; {of} refused: {why}"));
    format!("{name}: {has}; {state} {silent_s:.0} s ago{refused}")
}
