//! Gives a signed order to gateways, by all ways there are, and waits until they follow it.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::{Instant, sleep, timeout};

use super::known::proposed_id;
use crate::bundle::{Digest, Offer, SignedDirective};
use crate::cli::desk::{Ended, Open, Ways, failed};
use crate::cli::problems::printable;
use crate::cli::{Exit, note, say};
use crate::database::{DatabaseError, ReplicaState};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// An answer of the database is waited for so long.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Gives it to gateways, where enough have signed it; else to those who are to sign it.
pub(super) async fn give(
    ways: &Ways,
    signed: &SignedDirective,
    line: &str,
    wait: SignedDuration,
) -> Result<Exit, Ended> {
    let SignedDirective { directive, signers, .. } = signed;
    let (has, takes) = (signers.len(), ways.trust.signatures_of(directive));
    if has < takes {
        let open = ways.database.as_ref().map_err(|why| {
            failed(format_args!(
                "it takes {takes} signatures, which are gathered in the database, and that cannot be \
                 reached: {why}. Until it can, order it on each gateway, with --config"
            ))
        })?;
        open.desk.sign_directive(&directive.to_string(), line).await?;
        let by = signers.join(", ");
        note(format_args!("signed by {by} ({has} of {takes}): it is not in force"));
        note(format_args!(
            "next: `grantgate countersign {}`, by somebody else",
            proposed_id(signed)
        ));
        return Ok(Exit::Different);
    }
    deliver(ways, signed, wait).await
}

/// Gives one to gateways that enough have signed.
pub(super) async fn deliver(
    ways: &Ways,
    signed: &SignedDirective,
    wait: SignedDuration,
) -> Result<Exit, Ended> {
    tell(ways, signed).await;
    let given = match &ways.database {
        Err(why) => Err(why.clone()),
        Ok(open) => match timeout(ANSWER_MAX, open.desk.direct(signed)).await {
            Ok(Ok(place)) => Ok((open, place)),
            Ok(Err(error)) if ways.direct.is_none() => return Err(error.into()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(DatabaseError::Timeout(ANSWER_MAX.as_secs()).to_string()),
        },
    };
    let (open, place) = match given {
        Ok(given) => given,
        Err(why) => {
            lacks(signed, &why);
            return Ok(Exit::Different);
        }
    };
    let own = Offer { number: place, digest: Digest::of(signed.note.as_bytes()) };
    match confirmed(open, own, wait).await {
        Ok(exit) => Ok(exit),
        Err(error) => {
            let error = printable(&error.to_string());
            note(format_args!("WARNING: it is given, and who follows it is not known: {error}"));
            Ok(Exit::Different)
        }
    }
}

/// Tells gateways themselves, where some are named.
async fn tell(ways: &Ways, signed: &SignedDirective) {
    let Some(direct) = &ways.direct else { return };
    let since = Instant::now();
    let told = direct.tell(signed).await;
    let follow = told.iter().filter(|one| one.why.is_none()).count();
    let after = since.elapsed().as_secs_f64();
    note(format_args!("{follow} gateway(s) follow it, told directly, after {after:.2} s"));
    for one in told {
        if let Some(why) = one.why {
            note(format_args!("WARNING: {} was not told directly: {why}", one.gateway));
        }
    }
}

/// What the database lacks is kept by who ordered it.
fn lacks(signed: &SignedDirective, why: &str) {
    let why = printable(why);
    note(format_args!("WARNING: the database does not say that it has it: {why}"));
    note(
        "Gateways that were not told directly do not follow it. Keep the lines below in a file; once the \
         database is back, `grantgate deliver FILE --database …` gives it to all:",
    );
    say("");
    say(signed.note.trim_end());
}

/// Waits until every gateway follows it that speaks; those that do not are named.
async fn confirmed(open: &Open, own: Offer, wait: SignedDuration) -> Result<Exit, DatabaseError> {
    let since = Instant::now();
    loop {
        let asked = timeout(ANSWER_MAX, open.desk.replicas()).await;
        let all = asked.map_err(|_| DatabaseError::Timeout(ANSWER_MAX.as_secs()))??;
        let gateways = Gateways::new(&all, own);
        if !gateways.all_follow() && since.elapsed() < wait.unsigned_abs() {
            sleep(LOOK_EVERY).await;
            continue;
        }
        let (follow, after) = (gateways.follow.len(), since.elapsed().as_secs_f64());
        let warnings = gateways.warnings(own.number);
        for warning in &warnings {
            note(format_args!("WARNING: {}", printable(warning)));
        }
        if warnings.is_empty() {
            note(format_args!("{follow} gateway(s) follow it, after {after:.2} s"));
            return Ok(Exit::Done);
        }
        return Ok(Exit::Different);
    }
}

/// Who follows a signed order. One that stops still counts while it may grant something.
struct Gateways<'a> {
    follow: Vec<&'a ReplicaState>,
    /// They speak, and do not follow it yet.
    others: Vec<&'a ReplicaState>,
    silent: Vec<&'a ReplicaState>,
}

impl<'a> Gateways<'a> {
    fn new(all: &'a [ReplicaState], own: Offer) -> Self {
        let follows = |one: &&ReplicaState| match one.directives {
            Some(place) if place == own.number => one.directive_digest == Some(own.digest),
            place => place > Some(own.number),
        };
        let left = all.iter().filter(|one| !one.is_gone());
        let (silent, speak): (Vec<_>, Vec<_>) = left.partition(|one| one.is_silent());
        let (follow, others) = speak.into_iter().partition(follows);
        Self { follow, others, silent }
    }

    fn all_follow(&self) -> bool {
        !self.follow.is_empty() && self.others.is_empty()
    }

    /// What keeps anybody from saying that all follow it.
    fn warnings(&self, place: u64) -> Vec<String> {
        let late = self.others.iter().map(|one| match one.directives {
            Some(_) => format!("{} does not follow it yet", one.name),
            None => format!("{} follows no signed orders: order it there", one.name),
        });
        let refused = self.follow.iter().filter_map(|one| {
            Some(format!("{} does not follow it: {}", one.name, one.refuses(place)?))
        });
        let silent = self.silent.iter().map(|ReplicaState { name, silent_s, .. }| {
            format!(
                "{name} has been silent for {silent_s:.0} s: order it there, with --config, or take it \
                 off (`grantgate database retire {name}`)"
            )
        });
        let none = self.follow.is_empty().then(|| "no gateway follows it yet".into());
        late.chain(refused).chain(silent).chain(none).collect()
    }
}
