//! `grantgate audit endorse`: says which logs count, in a file that those sign who sign policies.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::{Timestamp, Unit};

use super::key;
use crate::bundle::{Digest, Roster, SignedRoster, Trust};
use crate::cli::database::{At, trust};
use crate::cli::desk::{Ended, Signer, SignerArguments, failed};
use crate::cli::problems::printable;
use crate::cli::{Exit, fail, note as note_of, say};
use crate::files::{read_plain, replace};
use crate::note::{self, VerifierKey};

#[derive(Args)]
#[command(
    after_help = "Example: grantgate audit endorse north-1.pub south-1.pub --roster gateways.roster \
    --why \"the first two gateways\" --key alice.key --database publisher.toml\n\n\
    Each gateway with a name has such a key in its audit directory, `signing.pub`: take it from there, by a way \
    that you trust. With keys, or --remove, the file is written anew with your signature alone; without, it is \
    shown, and with --digest your signature is added. `audit verify --roster` goes by it once as many have signed as for a \
    policy. The file is no secret. Keep it where policies are kept.\n\n\
    Exit codes: 0 signed by enough, 2 more signatures are needed, 1 not signed, 3 invalid file."
)]
pub(in crate::cli) struct Arguments {
    /// Keys of logs to add: each the text of a public key, or the file that holds it
    #[arg(value_name = "KEY")]
    logs: Vec<String>,
    /// The roster; it is made where there is none
    #[arg(long, value_name = "FILE")]
    roster: PathBuf,
    /// A log whose keys no longer count, by its name
    #[arg(long, value_name = "LOG")]
    remove: Vec<String>,
    /// Why, for those who sign and read it; needed for a change
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Sign what was looked at before: the digits that were shown with it
    #[arg(long, value_name = "DIGITS", conflicts_with_all = ["logs", "remove"])]
    digest: Option<String>,
    #[command(flatten)]
    signer: SignerArguments,
    /// A TOML file with `[bundle]`, which says whose signatures count; its database is not asked
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let trust = match trust(&At { database: arguments.database.clone() }) {
        Ok(trust) => trust,
        Err(exit) => return exit,
    };
    match endorse(arguments, &trust) {
        Ok(exit) | Err(Ended::With(exit)) => exit,
        Err(error) => fail(printable(&error.to_string())),
    }
}

fn endorse(arguments: &Arguments, trust: &Trust) -> Result<Exit, Ended> {
    let signer = Signer::new(&arguments.signer)?;
    let before = read(&arguments.roster, trust)?;
    if let Some(roster) = changed(arguments, trust, &signer, before.as_ref())? {
        let text = roster.to_string();
        Roster::parse(&text)
            .map_err(|error| failed(format_args!("it cannot be written: {error}")))?;
        say(text.trim_end());
        return sign(arguments, trust, &signer, (text, Vec::new()));
    }
    let Some((SignedRoster { roster, signers }, note)) = &before else {
        let name = arguments.roster.display();
        return Err(failed(format_args!("there is no `{name}`: name the keys of its first logs")));
    };
    let text = roster.to_string();
    say(text.trim_end());
    let digest = Digest::of(text.as_bytes()).short();
    match &arguments.digest {
        None => {
            let by = signers.join(", ");
            note_of(format_args!("signed by {by}; to sign it, once looked at: --digest {digest}"));
            let is_enough = signers.len() >= trust.signatures_min();
            Ok(if is_enough { Exit::Done } else { Exit::Different })
        }
        Some(looked_at) if *looked_at != digest => {
            Err(failed(format_args!("this is `{digest}`, and not what was looked at")))
        }
        Some(_) if signers.iter().any(|name| name == signer.name()) => {
            let name = signer.name();
            Err(failed(format_args!("`{name}` has signed it already: it takes another key")))
        }
        Some(_) => sign(arguments, trust, &signer, (text, signatures(note))),
    }
}

/// Adds a signature, and writes the roster.
fn sign(
    arguments: &Arguments,
    trust: &Trust,
    signer: &Signer,
    (text, mut lines): (String, Vec<String>),
) -> Result<Exit, Ended> {
    let path = &arguments.roster;
    lines.push(signer.sign(&text, trust)?);
    let written = note::join(&text, &lines);
    let signed = trust.read_roster(&written).map_err(failed)?;
    replace(path, written.as_bytes(), 0o644)
        .map_err(|error| failed(format_args!("`{}` cannot be written: {error}", path.display())))?;
    let (has, takes) = (signed.signers.len(), trust.signatures_min());
    let by = signed.signers.join(", ");
    note_of(format_args!("signed by {by} ({has} of {takes}), {} log(s)", signed.roster.logs.len()));
    if has >= takes {
        return Ok(Exit::Done);
    }
    note_of(format_args!(
        "next: `grantgate audit endorse --roster {} --digest {}`, with another key",
        path.display(),
        Digest::of(text.as_bytes()).short()
    ));
    Ok(Exit::Different)
}

/// The roster as it is, with its text; none where there is no such file.
fn read(path: &Path, trust: &Trust) -> Result<Option<(SignedRoster, String)>, Ended> {
    if matches!(std::fs::symlink_metadata(path), Err(error) if error.kind() == ErrorKind::NotFound)
    {
        return Ok(None);
    }
    let text = text(path)?;
    let signed = trust.read_roster(&text);
    let signed = signed.map_err(|error| failed(format_args!("`{}`: {error}", path.display())))?;
    Ok(Some((signed, text)))
}

fn text(path: &Path) -> Result<String, Ended> {
    let bytes = read_plain(path).map_err(failed)?;
    let text = std::str::from_utf8(&bytes).map(str::to_owned);
    text.map_err(|_| failed(format_args!("`{}` is not UTF-8", path.display())))
}

/// Signed by enough, to go by.
pub(super) fn accepted(path: &Path, trust: &Trust) -> Result<SignedRoster, Exit> {
    let found = text(path).map_err(|error| fail(printable(&error.to_string())))?;
    trust.accept_roster(&found).map_err(|error| {
        fail(format_args!("`{}`: {}", path.display(), printable(&error.to_string())))
    })
}

/// The lines that sign a note, one of each key: it was read before.
fn signatures(note: &str) -> Vec<String> {
    let lines = note::split(note).map(|(_, lines)| lines).unwrap_or_default();
    lines.lines().map(|line| format!("{line}\n")).collect()
}

/// What it is to say from now on; none where nothing is to be changed.
fn changed(
    arguments: &Arguments,
    trust: &Trust,
    signer: &Signer,
    before: Option<&(SignedRoster, String)>,
) -> Result<Option<Roster>, Ended> {
    let Arguments { logs, remove, .. } = arguments;
    if logs.is_empty() && remove.is_empty() {
        return Ok(None);
    }
    if let Some((signed, _)) = before {
        // Whoever has one key alone could have put logs of their own there.
        let (has, takes) = (signed.signers.len(), trust.signatures_min());
        if has < takes {
            return Err(failed(format_args!(
                "the roster has {has} of {takes} signatures: have it signed before it is changed, or put \
                 back the one before"
            )));
        }
    }
    let Some(why) = &arguments.why else {
        return Err(failed("say why it is changed, with --why"));
    };
    let now = Timestamp::now();
    let old = before.map(|(signed, _)| &signed.roster);
    let mut roster = Roster {
        name: trust.name().to_owned(),
        number: old.map_or(1, |old| old.number + 1),
        made: now.round(Unit::Second).unwrap_or(now),
        by: signer.name().to_owned(),
        why: why.trim().to_owned(),
        logs: old.map(|old| old.logs.clone()).unwrap_or_default(),
    };
    for name in remove {
        let (gone, left) = roster.logs.into_iter().partition(|log| log.name() == name);
        roster.logs = left;
        let gone: Vec<VerifierKey> = gone;
        if gone.is_empty() {
            return Err(failed(format_args!("the roster has no log `{name}`")));
        }
    }
    let added = logs.iter().map(|text| key(text)).collect::<Result<Vec<_>, _>>()?;
    roster.add(&added).map_err(failed)?;
    if old.is_some_and(|old| old.logs == roster.logs) {
        return Err(failed("the roster has these logs already: leave them out to sign it"));
    }
    for log in &roster.logs {
        if old.is_none_or(|old| !old.logs.contains(log)) {
            note_of(format_args!("new: {}", log.name()));
        }
    }
    for log in old.iter().flat_map(|old| &old.logs).filter(|log| !roster.logs.contains(log)) {
        note_of(format_args!("gone: {}", log.name()));
    }
    Ok(Some(roster))
}
