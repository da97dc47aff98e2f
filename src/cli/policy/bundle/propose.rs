//! `grantgate policy push` and `rollback`: propose a bundle.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::{Timestamp, Unit};

use super::effect::{effects, ready, show};
use super::fetched::{Heads, signed_by};
use crate::bundle::{Bundle, Contents, Entry, FILE_BYTES_MAX, FileName, Needs, is_name, is_why};
use crate::cli::database::At;
use crate::cli::desk::{Ended, Open, Signer, SignerArguments, failed, with};
use crate::cli::policy::sources::{Files, Ready, SpanArguments, reported};
use crate::cli::policy::test;
use crate::cli::{Exit, fail, note, say};
use crate::files::read_plain;
use crate::policy::{Policy, PolicySource, SourceFile};

#[derive(Args)]
#[command(
    after_help = "Example: grantgate policy push --why \"DOOR-311: the night shift gets the dock\" \
    --key alice.key --database publisher.toml\n\n\
    The files are checked as `serve` does, the cases of --tests are run, and what the bundle changes \
    for services and doors is shown. Nothing changes for gateways until enough keys have signed and \
    somebody promotes it.\n\n\
    Exit codes: 0 proposed, 1 failed, 2 a case fails, 3 invalid policy or file."
)]
pub(in crate::cli) struct PushArguments {
    /// Why, in one line
    #[arg(long, value_name = "TEXT", value_parser = why)]
    why: String,
    /// Rules to be judged beside, which decide nothing
    #[arg(long, value_name = "FILE")]
    candidate: Option<PathBuf>,
    /// Cases that must hold, where there are any
    #[arg(long, value_name = "PATH", default_value = "policies/tests")]
    tests: PathBuf,
    /// The oldest version of grantgate that can load it [default: the first with bundles]
    #[arg(long, value_name = "VERSION", value_parser = needs)]
    needs: Option<Needs>,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    signer: SignerArguments,
    #[command(flatten)]
    span: SpanArguments,
    #[command(flatten)]
    files: Files,
}

#[derive(Args)]
#[command(after_help = "Example: grantgate policy rollback --to 41 --why \"DOOR-311 was wrong\" \
    --key alice.key --database publisher.toml\n\n\
    A new bundle is proposed that has the files of that one: numbers only rise. It takes as many \
    signatures as any other.\n\n\
    Exit codes: 0 proposed, 1 failed, 3 invalid file.")]
pub(in crate::cli) struct RollbackArguments {
    /// The number of the bundle to go back to
    #[arg(long, value_name = "NUMBER")]
    to: u64,
    /// Why, in one line
    #[arg(long, value_name = "TEXT", value_parser = why)]
    why: String,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    signer: SignerArguments,
    #[command(flatten)]
    span: SpanArguments,
}

fn why(text: &str) -> Result<String, String> {
    match is_why(text) {
        true => Ok(text.to_owned()),
        false => Err("must be one line of 1 to 500 characters".into()),
    }
}

fn needs(text: &str) -> Result<Needs, String> {
    let found = Needs::parse(text).filter(|version| *version <= Needs::own());
    found.ok_or_else(|| format!("must be a version up to {}", Needs::own()))
}

pub(in crate::cli::policy) fn push(arguments: &PushArguments, now: Timestamp) -> Exit {
    let files = match read(arguments, now) {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    with(&arguments.at, async |open| {
        let signer = Signer::new(&arguments.signer)?;
        let heads = open.heads().await?;
        let (contents, new) = files;
        let made = Made {
            why: &arguments.why,
            needs: arguments.needs.unwrap_or(Needs::FIRST),
            contents: &contents,
        };
        propose(open, &heads, &made, &new, &signer, (&arguments.span, now)).await
    })
}

pub(in crate::cli::policy) fn rollback(arguments: &RollbackArguments, now: Timestamp) -> Exit {
    with(&arguments.at, async |open| {
        let signer = Signer::new(&arguments.signer)?;
        let heads = open.heads().await?;
        let Some(found) = open.desk.bundle(arguments.to).await? else {
            return Err(failed(format_args!("there is no bundle {}", arguments.to)));
        };
        let (before, _) = open.accepted(found)?;
        let contents = open.contents(&before).await?;
        let new = ready(&before.id(), &contents, now)?;
        let made = Made { why: &arguments.why, needs: before.bundle.needs, contents: &contents };
        propose(open, &heads, &made, &new, &signer, (&arguments.span, now)).await
    })
}

/// The files as they are on disk, and what they mean.
fn read(arguments: &PushArguments, now: Timestamp) -> Result<(Contents, Ready), Exit> {
    let new = arguments.files.load(now)?;
    let mut contents = Contents::new();
    let sources = &new.sources;
    contents.insert(FileName::Model, sources.policy.model.bytes.clone());
    contents.insert(FileName::Rules, sources.policy.rules.bytes.clone());
    contents.insert(FileName::Callers, sources.callers.bytes.clone());
    let mut add = |name, path: &Path| {
        let bytes = read_plain(path).map_err(fail)?;
        contents.insert(name, bytes.to_vec());
        Ok::<(), Exit>(())
    };
    if arguments.files.entrances.exists() {
        add(FileName::Entrances, &arguments.files.entrances)?;
    }
    if let Some(path) = &arguments.candidate {
        add(FileName::Candidate, path)?;
        let bytes = contents.get(&FileName::Candidate).cloned().unwrap_or_default();
        let rules = SourceFile { name: path.display().to_string(), bytes };
        let model = SourceFile {
            name: sources.policy.model.name.clone(),
            bytes: sources.policy.model.bytes.clone(),
        };
        if let Err(problems) = Policy::load_quietly(&PolicySource { model, rules }, &new.callers) {
            return Err(reported(&problems, None));
        }
    }
    if let Some((name, _)) = contents.iter().find(|(_, bytes)| bytes.len() > FILE_BYTES_MAX) {
        let name = name.as_str();
        return Err(fail(format_args!("`{name}` is larger than {FILE_BYTES_MAX} bytes")));
    }
    if !new.warnings.is_empty() {
        let count = new.warnings.len();
        note(format_args!("{count} warning(s); `grantgate policy check` shows them"));
    }
    if arguments.tests.exists() {
        let failures = test::failures(&new, &arguments.tests, arguments.span.span(now))?;
        for (name, failure) in &failures {
            note(format_args!("error: case `{name}` fails: {failure}"));
        }
        if !failures.is_empty() {
            note("nothing is proposed");
            return Err(Exit::Different);
        }
    }
    Ok((contents, new))
}

/// What is to be proposed.
struct Made<'a> {
    why: &'a str,
    needs: Needs,
    contents: &'a Contents,
}

async fn propose(
    open: &Open,
    heads: &Heads,
    made: &Made<'_>,
    new: &Ready,
    signer: &Signer,
    (span, now): (&SpanArguments, Timestamp),
) -> Result<Exit, Ended> {
    let newest = heads.newest.as_ref().map(|(newest, _)| newest);
    let files: Vec<Entry> =
        made.contents.iter().map(|(name, bytes)| Entry::of(*name, bytes)).collect();
    if let Some(newest) = newest.filter(|newest| newest.bundle.files == files) {
        return Err(failed(format_args!(
            "these files are those of bundle {}, the newest: there is nothing to propose",
            newest.bundle.number
        )));
    }
    if !is_name(signer.name()) {
        return Err(failed(format_args!("the key's name `{}` is not of ASCII", signer.name())));
    }
    let bundle = Bundle {
        name: open.trust.name().to_owned(),
        number: heads.next(),
        parent: newest.map(|newest| newest.digest),
        needs: made.needs,
        made: now.round(Unit::Second).unwrap_or(now),
        by: signer.name().to_owned(),
        why: made.why.to_owned(),
        files,
    };
    let text = bundle.to_string();
    let line = signer.sign(&text, &open.trust)?;
    let signed = open.trust.gather(&text, std::slice::from_ref(&line)).map_err(failed)?;
    show(new, &effects(open, heads, (&bundle, new), (span, now)).await?);
    for bytes in made.contents.values() {
        open.desk.put_file(bytes).await?;
    }
    open.desk.sign(bundle.number, &text, &line).await?;
    say(signed.id());
    note(format_args!("proposed, {}", signed_by(&signed, &open.trust)));
    note(next_step(&signed, open));
    Ok(Exit::Done)
}

/// What comes next, in words.
pub(super) fn next_step(signed: &crate::bundle::Signed, open: &Open) -> String {
    let id = signed.id();
    match signed.signers.len() < open.trust.signatures_min() {
        true => format!("next: `grantgate policy approve {id}`, by somebody else"),
        false => format!("next: `grantgate policy promote {id}`"),
    }
}
