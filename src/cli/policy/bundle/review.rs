//! `grantgate policy review` and `approve`: look at a bundle, and sign it.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::effect::{Effect, effects, ready, show};
use super::fetched::signed_by;
use super::propose::next_step;
use crate::bundle::Signed;
use crate::cli::database::At;
use crate::cli::desk::{Ended, Open, Signer, SignerArguments, failed, with};
use crate::cli::policy::sources::{Ready, SpanArguments};
use crate::cli::{Exit, Format, note, say, say_json};
use crate::view;

#[derive(Args)]
#[command(after_help = "Example: grantgate policy review 44 --database reader.toml\n\n\
    Effects are computed from the signed files, by this program: not by what the database says.\n\n\
    Exit codes: 0 shown, 1 failed, 3 invalid file or policy.")]
pub(in crate::cli) struct ReviewArguments {
    /// The bundle's number, or 44@DIGITS
    #[arg(value_name = "BUNDLE")]
    bundle: String,
    #[command(flatten)]
    at: At,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    span: SpanArguments,
}

#[derive(Args)]
#[command(after_help = "Example: grantgate policy approve 44@5d1c0b7e9a3f4c2e8d6b7a90f1e2d3c4 \
    --key bob.key --database publisher.toml\n\n\
    What it changes is shown once more. The digits are those that `review` showed, so that nothing \
    else is signed than was looked at.\n\n\
    Exit codes: 0 signed, 1 failed, 3 invalid file or policy.")]
pub(in crate::cli) struct ApproveArguments {
    /// The bundle as `review` showed it: 44@DIGITS
    #[arg(value_name = "BUNDLE")]
    bundle: String,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    signer: SignerArguments,
    #[command(flatten)]
    span: SpanArguments,
}

/// A bundle that was looked at.
struct Reviewed {
    signed: Signed,
    new: Ready,
    effects: Vec<Effect>,
}

async fn look(
    open: &Open,
    id: &str,
    (span, now): (&SpanArguments, Timestamp),
) -> Result<Reviewed, Ended> {
    let heads = open.heads().await?;
    let signed = open.proposal(&heads, id).await?;
    let contents = open.contents(&signed).await?;
    let new = ready(&signed.id(), &contents, now)?;
    let effects = effects(open, &heads, (&signed.bundle, &new), (span, now)).await?;
    Ok(Reviewed { signed, new, effects })
}

fn print(open: &Open, Reviewed { signed, new, effects }: &Reviewed) {
    say(signed.bundle.to_string().trim_end());
    say(signed_by(signed, &open.trust));
    say("");
    show(new, effects);
}

pub(in crate::cli::policy) fn review(arguments: &ReviewArguments, now: Timestamp) -> Exit {
    with(&arguments.at, async |open| {
        let reviewed = look(open, &arguments.bundle, (&arguments.span, now)).await?;
        match arguments.format {
            Format::Json => say_json(&json(open, &reviewed)),
            Format::Human => {
                print(open, &reviewed);
                note(next_step(&reviewed.signed, open));
            }
        }
        Ok(Exit::Done)
    })
}

pub(in crate::cli::policy) fn approve(arguments: &ApproveArguments, now: Timestamp) -> Exit {
    if !arguments.bundle.contains('@') {
        let text = "write the bundle as `grantgate policy review` shows it, with its digits: what is \
                    signed is what was looked at";
        return crate::cli::fail(text);
    }
    with(&arguments.at, async |open| {
        let signer = Signer::new(&arguments.signer)?;
        let reviewed = look(open, &arguments.bundle, (&arguments.span, now)).await?;
        let Signed { bundle, signers, .. } = &reviewed.signed;
        if signers.iter().any(|name| name == signer.name()) {
            let text =
                format_args!("`{}` has signed it already: it takes another key", signer.name());
            return Err(failed(text));
        }
        print(open, &reviewed);
        let text = bundle.to_string();
        let line = signer.sign(&text, &open.trust)?;
        open.desk.sign(bundle.number, &text, &line).await?;
        let heads = open.heads().await?;
        let signed = open.proposal(&heads, &reviewed.signed.id()).await?;
        note(signed_by(&signed, &open.trust));
        note(next_step(&signed, open));
        Ok(Exit::Done)
    })
}

#[derive(Serialize)]
struct Shown<'a> {
    bundle: view::bundle::Bundle,
    compared: Vec<Compared<'a>>,
}

#[derive(Serialize)]
struct Compared<'a> {
    with: Option<u64>,
    files: &'a [&'static str],
    callers: Vec<view::bundle::CallerChange<'a>>,
    diff: Option<view::changes::Diff<'a>>,
}

fn json<'a>(open: &Open, reviewed: &'a Reviewed) -> Shown<'a> {
    let Reviewed { signed, new, effects } = reviewed;
    let compared = effects.iter().map(|effect| Compared {
        with: effect.before.as_ref().map(|(before, _)| before.bundle.number),
        files: &effect.files,
        callers: effect
            .callers
            .iter()
            .map(|one| {
                view::bundle::CallerChange::of(one.caller.as_str(), (&one.added, &one.removed))
            })
            .collect(),
        diff: effect.before.as_ref().map(|(_, old)| {
            view::changes::diff(&old.policy, &new.policy, new.names(), &effect.diff)
        }),
    });
    Shown {
        bundle: view::bundle::Bundle::of(signed, open.trust.signatures_min()),
        compared: compared.collect(),
    }
}
