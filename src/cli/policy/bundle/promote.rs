//! `grantgate policy promote` with `--database`: give a bundle to gateways, and wait until they have
//! it.

use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep};

use super::fetched::Heads;
use crate::bundle::{Needs, Signed};
use crate::cli::database::At;
use crate::cli::desk::{Ended, Open, failed, with};
use crate::cli::problems::printable;
use crate::cli::{Exit, note, say};
use crate::database::ReplicaState;
use crate::domain::parse_length;

const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Args)]
pub(in crate::cli) struct BundleArguments {
    /// Give a signed bundle to gateways by this database: a TOML file with `url`, `[bundle]`, and as
    /// needed `password_file` and `ca_file`
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    database: Option<std::path::PathBuf>,
    /// Only to gateways of these names; promote it again without this for all
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "database")]
    replicas: Vec<String>,
    /// Wait so long at most until all of them have it in force
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_length, requires = "database")]
    wait: jiff::SignedDuration,
}

/// Where no database is named it is the candidate that is meant.
pub(in crate::cli::policy) fn promote(id: &str, arguments: &BundleArguments) -> Option<Exit> {
    let at = At { database: arguments.database.clone()? };
    Some(with(&at, async |open| {
        let heads = open.heads().await?;
        let signed = wanted(open, &heads, id).await?;
        // With all files: no gateway can load what the database does not have.
        open.contents(&signed).await?;
        let replicas = addressed(open, &arguments.replicas).await?;
        too_old(&signed, &replicas)?;
        let only_for = Some(arguments.replicas.as_slice()).filter(|names| !names.is_empty());
        open.desk.promote(&signed, only_for).await?;
        say(signed.id());
        wait(open, &signed, arguments).await
    }))
}

/// A proposal with enough signatures, or the newest bundle once more.
async fn wanted(open: &Open, heads: &Heads, id: &str) -> Result<Signed, Ended> {
    if let Some((newest, _)) = &heads.newest
        && (newest.id().starts_with(&format!("{id}@")) || is_meant(newest, id))
    {
        return Ok(newest.clone());
    }
    let signed = open.proposal(heads, id).await?;
    let accepted = open.trust.accept(&signed.note);
    accepted.map_err(|error| failed(format_args!("bundle {}: {error}", signed.id())))
}

fn is_meant(signed: &Signed, id: &str) -> bool {
    let of = id.split_once('@');
    of.is_some_and(|(number, digits)| {
        number == signed.bundle.number.to_string() && signed.digest.begins(digits)
    })
}

/// The gateways that speak, of these names or all.
async fn addressed(open: &Open, names: &[String]) -> Result<Vec<ReplicaState>, Ended> {
    let all = open.desk.replicas().await?;
    if let Some(name) = names.iter().find(|name| !all.iter().any(|one| one.name == **name)) {
        let known: Vec<&str> = all.iter().map(|replica| replica.name.as_str()).collect();
        return Err(failed(format_args!(
            "no gateway is called `{name}`; known: {}",
            known.join(", ")
        )));
    }
    let is_addressed = |one: &ReplicaState| names.is_empty() || names.contains(&one.name);
    Ok(all.into_iter().filter(|one| one.speaks() && is_addressed(one)).collect())
}

fn too_old(signed: &Signed, replicas: &[ReplicaState]) -> Result<(), Ended> {
    let needs = signed.bundle.needs;
    let older =
        replicas.iter().filter(|one| Needs::parse(&one.version).is_none_or(|own| own < needs));
    let older: Vec<String> = older.map(|one| format!("{} ({})", one.name, one.version)).collect();
    match older.is_empty() {
        true => Ok(()),
        false => Err(failed(format_args!(
            "bundle {} needs version {needs}, and these are older: {}",
            signed.bundle.number,
            older.join(", ")
        ))),
    }
}

/// Until all have it; or says who has not.
async fn wait(open: &Open, signed: &Signed, arguments: &BundleArguments) -> Result<Exit, Ended> {
    let number = signed.bundle.number;
    let until = Instant::now() + arguments.wait.unsigned_abs();
    loop {
        let replicas = addressed(open, &arguments.replicas).await?;
        // Some may have their policies from files.
        let lags = |one: &&ReplicaState| one.bundle.is_some_and(|has| has < number);
        let lagging: Vec<&ReplicaState> = replicas.iter().filter(lags).collect();
        if lagging.is_empty() {
            let has = replicas.iter().filter(|one| one.bundle.is_some()).count();
            note(format_args!("in force in {has} gateway(s)"));
            if has < replicas.len() {
                let others = replicas.len() - has;
                note(format_args!("{others} gateway(s) have their policies from files"));
            }
            return Ok(Exit::Done);
        }
        if Instant::now() >= until {
            for one in lagging {
                let has = one.bundle.unwrap_or_default();
                let why = one
                    .bundle_refused
                    .as_ref()
                    .map_or_else(String::new, |(of, why)| format!("; {of} is refused: {why}"));
                note(printable(&format!("{} has bundle {has}{why}", one.name)));
            }
            note("it is given to them, and not in force everywhere");
            return Ok(Exit::Different);
        }
        sleep(LOOK_EVERY).await;
    }
}
