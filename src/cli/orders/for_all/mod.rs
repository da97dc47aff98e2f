//! Orders for all gateways: signed, and given to them by a database.

mod give;
mod known;
mod list;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp, Unit};

use super::looked_up::LookedUp;
use crate::bundle::{Directed, Directive, SignedDirective};
use crate::cli::database::At;
use crate::cli::desk::{Ended, Signer, Ways, failed, with_ways};
use crate::cli::policy::newest_bundle;
use crate::cli::{Exit, fail, note, say};
use crate::domain::{DirectiveId, OrderKind, parse_length};
use crate::files::read_plain;
use give::{deliver as deliver_by, give};
use known::{all, digest, lifted, one, unfinished};
pub(super) use list::list;

/// A name is looked up for so long.
const LOOK_UP_MAX: Duration = Duration::from_secs(3);

#[derive(Args)]
pub(super) struct ForAll {
    /// Order it on all gateways, by this database: a TOML file with `url`, `[bundle]`, and as needed
    /// `password_file`, `ca_file` and `[direct]`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "by"], requires = "key")]
    database: Option<PathBuf>,
    /// The file of your private key, which signs it
    #[arg(long, value_name = "FILE", requires = "database")]
    key: Option<PathBuf>,
    /// Wait so long at most until all gateways that speak follow it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_length, requires = "database")]
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
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_length)]
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
        with_ways(&self.at(), async |ways| {
            let signer = Signer::of_key(&self.key.clone().unwrap_or_default())?;
            let looked_up = LookedUp::of_bundle(match (&ways.database, lookup) {
                (Ok(open), true) => in_time(newest_bundle(open)).await,
                (Err(why), true) => Err(why.clone()),
                (_, false) => Err("nothing was looked up".into()),
            });
            let now = Timestamp::now();
            let made = now.round(Unit::Second).unwrap_or(now);
            let what = what(&looked_up, made).map_err(failed)?;
            sign(ways, &signer, (what, why, made), self.wait).await
        })
    }

    /// Takes something back.
    pub(super) fn lift(&self, id: &str, why: &str) -> Exit {
        with_ways(&self.at(), async |ways| {
            let signer = Signer::of_key(&self.key.clone().unwrap_or_default())?;
            let id = match &ways.database {
                Ok(open) => {
                    let all = all(open).await?;
                    let found = one(&all, id)?;
                    if let Some((by, _)) = lifted(&all, &found.directive.id) {
                        return Err(failed(format_args!("it was taken back by `{by}` before")));
                    }
                    say(found.directive.to_string().trim_end());
                    say("");
                    found.directive.id.clone()
                }
                Err(why) => DirectiveId::parse(id).ok_or_else(|| {
                    failed(format_args!(
                        "the database cannot be reached, which knows the signed order by its first \
                         digits: write all 32. {why}"
                    ))
                })?,
            };
            let now = Timestamp::now();
            let made = now.round(Unit::Second).unwrap_or(now);
            let what = Directed::Lifted(id);
            sign(ways, &signer, (what, why, made), self.wait).await
        })
    }
}

/// No freeze waits for long because of a name.
async fn in_time<T>(asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let answer = tokio::time::timeout(LOOK_UP_MAX, asked).await;
    answer.unwrap_or_else(|_| Err("the database does not give the newest bundle in time".into()))
}

async fn sign(
    ways: &Ways,
    signer: &Signer,
    (what, why, made): (Directed, &str, Timestamp),
    wait: SignedDuration,
) -> Result<Exit, Ended> {
    let name = ways.trust.name().to_owned();
    let directive = Directive::new(name, (made, signer.name().to_owned()), what, why.to_owned());
    let text = directive.to_string();
    Directive::parse(&text)
        .map_err(|error| failed(format_args!("it cannot be written: {error}")))?;
    let line = signer.sign(&text, &ways.trust)?;
    let signed = ways.trust.gather_directive(&text, std::slice::from_ref(&line)).map_err(failed)?;
    say(text.trim_end());
    give(ways, &signed, &line, wait).await
}

pub(in crate::cli) fn countersign(arguments: &CountersignArguments) -> Exit {
    let Some((id, digits)) = arguments.order.split_once('@') else {
        let text = "write the order as `grantgate orders --database` shows it, with the digits of its \
                    text: what is signed is what was looked at";
        return fail(text);
    };
    let at = At { database: arguments.database.clone() };
    with_ways(&at, async |ways| {
        let open = ways.database.as_ref().map_err(failed)?;
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
        give(ways, signed, &line, arguments.wait).await
    })
}

#[derive(Args)]
#[command(after_help = "Example: grantgate deliver freeze.note --database publisher.toml\n\n\
    `freeze` and its like print such an order where the database could not be reached. What gateways \
    follow already is not done twice.\n\n\
    Exit codes: 0 all gateways follow it, 2 a gateway does not follow yet, 1 not given, 3 invalid file.")]
pub(in crate::cli) struct DeliverArguments {
    /// The file that holds it: its text and signatures
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A TOML file with `url`, `[bundle]`, and as needed `password_file`, `ca_file` and `[direct]`
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// Wait so long at most until all gateways that speak follow it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_length)]
    wait: SignedDuration,
}

pub(in crate::cli) fn deliver(arguments: &DeliverArguments) -> Exit {
    let at = At { database: arguments.database.clone() };
    with_ways(&at, async |ways| {
        let bytes = read_plain(&arguments.file).map_err(failed)?;
        let name = arguments.file.display();
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| failed(format_args!("`{name}` is no signed order: it is not UTF-8")))?;
        // As it is printed, with what the shell or an editor puts around it.
        let text = format!("{}\n", text.trim());
        let signed = ways.trust.accept_directive(&text);
        let signed = signed.map_err(|error| failed(format_args!("`{name}`: {error}")))?;
        say(signed.directive.to_string().trim_end());
        note(format_args!("signed by {}", signed.signers.join(", ")));
        deliver_by(ways, &signed, arguments.wait).await
    })
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
