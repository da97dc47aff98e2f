//! Orders for all gateways: signed, and given to them by a database.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::looked_up::LookedUp;
use crate::bundle::{Digest, Directed, Directive, Offer, SignedDirective};
use crate::cli::database::{At, SILENT_S};
use crate::cli::desk::{Ended, Open, Signer, failed, with};
use crate::cli::duration::argument;
use crate::cli::policy::newest_bundle;
use crate::cli::problems::printable;
use crate::cli::{Exit, Format, note, say, say_json};
use crate::database::{DatabaseError, Placed, RETIRED, ReplicaState, Unfinished};
use crate::domain::{DirectiveId, OrderKind};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A name is looked up for so long.
const LOOK_UP_MAX: Duration = Duration::from_secs(3);

/// Digits that name a signed order among the others.
const DIGITS_MIN: usize = 8;

#[derive(Args)]
pub(super) struct ForAll {
    /// Order it on all gateways, by this database: a TOML file with `url`, `[bundle]`, and as needed
    /// `password_file` and `ca_file`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "by"], requires = "key")]
    database: Option<PathBuf>,
    /// The file of your private key, which signs it
    #[arg(long, value_name = "FILE", requires = "database")]
    key: Option<PathBuf>,
    /// Wait so long at most until all gateways that speak follow it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = argument, requires = "database")]
    wait: SignedDuration,
}

#[derive(Args)]
#[command(
    after_help = "Example: grantgate countersign 6f2d1c0a9b3e4f105d1c0b7e9a3f4c2e@8b1f5c0e2d3a4b6978c1d2e3f4a5b6c7 \
    --key bob.key --database publisher.toml\n\n\
    What allows something takes as many signatures as a policy: taking a freeze back, and exceptions. It \
    is shown once more; the digits behind the `@` are those of the text that was looked at.\n\n\
    Exit codes: 0 all gateways follow it, 2 more signatures are needed, or a gateway does not follow \
    yet, 1 not signed, 3 invalid file."
)]
pub(in crate::cli) struct CountersignArguments {
    /// The signed order as `orders --database` shows it: its name, `@` and the digits of its text
    #[arg(value_name = "ORDER")]
    order: String,
    /// A TOML file with `url`, `[bundle]`, and as needed `password_file` and `ca_file`
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// The file of your private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Wait so long at most until all gateways that speak follow it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = argument)]
    wait: SignedDuration,
}

/// What is looked up before it is ordered.
pub(super) type Wanted<'a> = Box<dyn FnOnce(&LookedUp, Timestamp) -> Result<Directed, String> + 'a>;

impl ForAll {
    /// Whether all gateways are meant.
    pub(super) const fn is_meant(&self) -> bool {
        self.database.is_some()
    }

    fn at(&self) -> At {
        At { database: self.database.clone().unwrap_or_default() }
    }

    /// Orders something; looked up, where that is wanted, in the newest bundle.
    pub(super) fn order(&self, why: &str, lookup: bool, what: Wanted<'_>) -> Exit {
        with(&self.at(), async |open| {
            let signer = Signer::of_key(&self.key.clone().unwrap_or_default())?;
            let looked_up = LookedUp::of_bundle(match lookup {
                true => in_time(newest_bundle(open)).await,
                false => Err("nothing was looked up".into()),
            });
            let now = Timestamp::now();
            let made = now.round(Unit::Second).unwrap_or(now);
            let what = what(&looked_up, made).map_err(failed)?;
            sign(open, &signer, (what, why, made), self.wait).await
        })
    }

    /// Takes something back.
    pub(super) fn lift(&self, id: &str, why: &str) -> Exit {
        with(&self.at(), async |open| {
            let signer = Signer::of_key(&self.key.clone().unwrap_or_default())?;
            let all = all(open).await?;
            let found = one(&all, id)?;
            if let Some((by, _)) = lifted(&all, &found.directive.id) {
                return Err(failed(format_args!("it was taken back by `{by}` before")));
            }
            let now = Timestamp::now();
            let made = now.round(Unit::Second).unwrap_or(now);
            let what = Directed::Lifted(found.directive.id.clone());
            say(found.directive.to_string().trim_end());
            say("");
            sign(open, &signer, (what, why, made), self.wait).await
        })
    }
}

/// No freeze waits for long because of a name.
async fn in_time<T>(asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let answer = tokio::time::timeout(LOOK_UP_MAX, asked).await;
    answer.unwrap_or_else(|_| Err("the database does not give the newest bundle in time".into()))
}

async fn sign(
    open: &Open<'_>,
    signer: &Signer,
    (what, why, made): (Directed, &str, Timestamp),
    wait: SignedDuration,
) -> Result<Exit, Ended> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| failed("there are no random bytes"))?;
    let directive = Directive {
        name: open.trust.name().to_owned(),
        id: DirectiveId::of(bytes),
        made,
        by: signer.name().to_owned(),
        what,
        why: why.to_owned(),
    };
    let text = directive.to_string();
    Directive::parse(&text)
        .map_err(|error| failed(format_args!("it cannot be written: {error}")))?;
    let line = signer.sign(&text, &open.trust)?;
    let signed = open.trust.gather_directive(&text, std::slice::from_ref(&line)).map_err(failed)?;
    say(text.trim_end());
    give(open, &signed, &line, wait).await
}

/// Gives it to gateways, where enough have signed it.
async fn give(
    open: &Open<'_>,
    signed: &SignedDirective,
    line: &str,
    wait: SignedDuration,
) -> Result<Exit, Ended> {
    let SignedDirective { directive, signers, .. } = signed;
    let (has, takes) = (signers.len(), open.trust.signatures_of(directive));
    if has < takes {
        open.desk.sign_directive(&directive.to_string(), line).await?;
        let by = signers.join(", ");
        note(format_args!("signed by {by} ({has} of {takes}): it is not in force"));
        note(format_args!(
            "next: `grantgate countersign {}`, by somebody else",
            proposed_id(signed)
        ));
        return Ok(Exit::Different);
    }
    let place = open.desk.direct(signed).await?;
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

/// Waits until every gateway follows it that speaks; those that do not are named.
async fn confirmed(
    open: &Open<'_>,
    own: Offer,
    wait: SignedDuration,
) -> Result<Exit, DatabaseError> {
    let since = Instant::now();
    loop {
        let asked = tokio::time::timeout(LOOK_UP_MAX, open.desk.replicas()).await;
        let all = asked.map_err(|_| DatabaseError::Timeout(LOOK_UP_MAX.as_secs()))??;
        let is_left = |one: &&ReplicaState| {
            one.state != RETIRED && (one.state != "leaving" || one.confirmed < one.durable)
        };
        let (speak, silent): (Vec<&ReplicaState>, Vec<&ReplicaState>) =
            all.iter().filter(is_left).partition(|one| one.silent_s < SILENT_S);
        let follows = |one: &&ReplicaState| match one.directives {
            Some(place) if place == own.number => one.directive_digest == Some(own.digest),
            place => place > Some(own.number),
        };
        let (follow, others): (Vec<&ReplicaState>, Vec<_>) = speak.into_iter().partition(follows);
        let is_over = since.elapsed() >= wait.unsigned_abs();
        if !is_over && (follow.is_empty() || !others.is_empty()) {
            sleep(LOOK_EVERY).await;
            continue;
        }
        let after = since.elapsed().as_secs_f64();
        let mut warnings: Vec<String> = Vec::new();
        for one in &others {
            warnings.push(match one.directives {
                Some(_) => format!("{} does not follow it yet", one.name),
                None => format!("{} follows no signed orders: order it there", one.name),
            });
        }
        let refused = format!("the signed order at {}: ", own.number);
        for one in &follow {
            let problem = one.directive_problem.as_deref().unwrap_or_default();
            if problem.contains(&refused) {
                warnings.push(format!("{} does not follow it: {problem}", one.name));
            }
        }
        for one in &silent {
            let name = &one.name;
            warnings.push(format!(
                "{name} has been silent for {:.0} s: order it there, with --config, or take it off \
                 (`grantgate database retire {name}`)",
                one.silent_s
            ));
        }
        if follow.is_empty() {
            warnings.push("no gateway follows it yet".into());
        }
        for warning in &warnings {
            note(format_args!("WARNING: {}", printable(warning)));
        }
        if warnings.is_empty() {
            note(format_args!("{} gateway(s) follow it, after {after:.2} s", follow.len()));
            return Ok(Exit::Done);
        }
        return Ok(Exit::Different);
    }
}

pub(in crate::cli) fn countersign(arguments: &CountersignArguments) -> Exit {
    let Some((id, digits)) = arguments.order.split_once('@') else {
        let text = "write the order as `grantgate orders --database` shows it, with the digits of its \
                    text: what is signed is what was looked at";
        return crate::cli::fail(text);
    };
    let at = At { database: arguments.database.clone() };
    with(&at, async |open| {
        let signer = Signer::of_key(&arguments.key)?;
        let given = all(open).await?;
        let of_text = |one: &SignedDirective| digest(one).begins(digits);
        let mut proposed = unfinished(open, &given).await?;
        proposed.retain(of_text);
        let found = one(&proposed, id)?;
        if found.signers.iter().any(|name| name == signer.name()) {
            let name = signer.name();
            return Err(failed(format_args!(
                "`{name}` has signed it already: it takes another key"
            )));
        }
        let text = found.directive.to_string();
        say(text.trim_end());
        if let Directed::Lifted(of) = &found.directive.what {
            say("\nwhich takes back:");
            say(one(&given, of.as_str())?.directive.to_string().trim_end());
        }
        let line = signer.sign(&text, &open.trust)?;
        open.desk.sign_directive(&text, &line).await?;
        let mut proposed = unfinished(open, &given).await?;
        proposed.retain(of_text);
        let signed = one(&proposed, found.directive.id.as_str())?;
        give(open, signed, &line, arguments.wait).await
    })
}

/// Of the text that is signed.
fn digest(of: &SignedDirective) -> Digest {
    Digest::of(of.directive.to_string().as_bytes())
}

/// How a proposed one is named, so that nothing else is signed.
fn proposed_id(of: &SignedDirective) -> String {
    format!("{}@{}", of.directive.id, digest(of).short())
}

/// Lists them.
pub(super) fn list(file: &std::path::Path, (all_of_them, format): (bool, Format)) -> Exit {
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

/// Those that gateways follow, by signatures that count.
async fn all(open: &Open<'_>) -> Result<Vec<SignedDirective>, Ended> {
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
async fn unfinished(
    open: &Open<'_>,
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
fn one<'a>(of: &'a [SignedDirective], id: &str) -> Result<&'a SignedDirective, Ended> {
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
fn lifted<'a>(all: &'a [SignedDirective], id: &DirectiveId) -> Option<(&'a str, &'a str)> {
    let by = |one: &'a SignedDirective| match &one.directive.what {
        Directed::Lifted(of) if of == id => {
            Some((one.directive.by.as_str(), one.directive.why.as_str()))
        }
        Directed::Lifted(_) | Directed::Given(..) => None,
    };
    all.iter().find_map(by)
}

/// An order with its end.
pub(super) fn given(
    kind: OrderKind,
    length: Option<SignedDuration>,
    made: Timestamp,
) -> Result<Directed, String> {
    let until = length.map(|length| made.checked_add(length)).transpose();
    let until = until.map_err(|_| "it ends after the end of time".to_owned())?;
    Ok(Directed::Given(kind, until))
}
