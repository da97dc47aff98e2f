//! `grantgate audit verify`: is the log what it was?

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::endorse::accepted;
use super::search::printable;
use super::source::{Log, Source};
use super::{checkpoints, key};
use crate::audit::proof::{self, AnchorFinding, Verdict, VerifyReport};
use crate::audit::{Checkpoint, ReadError};
use crate::bundle::{Roster, SignedRoster};
use crate::cli::database::trust;
use crate::cli::progress::progress;
use crate::cli::{Exit, Format, fail, note, say, say_json};
use crate::database::Part;
use crate::note::VerifierKey;
use crate::view::audit::{unverified, verified};

/// Findings beyond this number are counted and not printed.
const SHOWN_MAX: usize = 50;

#[derive(Args)]
#[command(
    after_help = "Example: grantgate audit verify /var/lib/grantgate/audit --key audit_signing_key.pub \
    --checkpoint anchored\n\n\
    Reads the files only: nothing of the gateway is needed, and it may go on writing. Without a \
    key the log is compared with itself, which shows accidents and no intent.\n\n\
    Exit codes: 0 verified, 1 cannot be read, 4 damaged or not the anchored log, 5 no checkpoint \
    is signed by the key, unendorsed, or not an audit log, 6 no records, 7 a newer version wrote it."
)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// The log's public key, or the file that holds it; several after a change of keys
    #[arg(long, value_name = "KEY", group = "keys")]
    key: Vec<String>,
    /// Which logs count, with their keys: a file that `audit endorse` wrote, signed by enough of the keys
    /// in the `[bundle]` of the file that names the database
    #[arg(long, value_name = "FILE", requires = "database", group = "keys")]
    roster: Option<PathBuf>,
    /// A file of checkpoints that were kept elsewhere; they must be part of the log
    #[arg(long, value_name = "FILE", requires = "keys")]
    checkpoint: Vec<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let inputs = || -> Result<(Vec<VerifierKey>, Vec<Checkpoint>), Exit> {
        let keys = match &arguments.roster {
            None => arguments.key.iter().map(|text| key(text)).collect::<Result<Vec<_>, _>>()?,
            Some(roster) => endorsed(arguments, roster)?,
        };
        let mut anchored = Vec::new();
        for file in &arguments.checkpoint {
            anchored.extend(checkpoints(file, &keys)?);
        }
        Ok((keys, anchored))
    };
    let (keys, anchored) = match inputs() {
        Ok(inputs) => inputs,
        Err(exit) => return exit,
    };
    let logs = match arguments.source.logs(Part::Whole) {
        Ok(logs) => logs,
        Err(exit) => return exit,
    };
    let several = arguments.source.is_database();
    // What the logs of others have of it, which nobody has changed who has not their keys as well.
    let mut texts: BTreeSet<String> = BTreeSet::new();
    for log in logs.iter().filter(|_| several) {
        // What cannot be read is told below.
        texts.extend(proof::witnessed(&log.reader).unwrap_or_default());
    }
    let signed = |text: &String| keys.iter().find_map(|key| Checkpoint::verify(text, key).ok());
    let witnessed: Vec<Checkpoint> = texts.iter().filter_map(signed).collect();
    let mut exits: Vec<Exit> = Vec::new();
    for log in &logs {
        let Some(origin) = &log.origin else {
            exits.push(one(arguments, log, &keys, (&anchored, Vec::new())));
            continue;
        };
        // The key of one log says nothing of another one.
        let own: Vec<VerifierKey> =
            keys.iter().filter(|key| key.name() == origin).cloned().collect();
        let kept: Vec<Checkpoint> =
            anchored.iter().filter(|kept| kept.origin == *origin).cloned().collect();
        let seen = witnessed.iter().filter(|kept| kept.origin == *origin).cloned().collect();
        let is_unendorsed = arguments.roster.is_some() && own.is_empty();
        exits.push(if is_unendorsed || own.is_empty() && !keys.is_empty() {
            let why = match is_unendorsed {
                true => "unendorsed: the roster does not have it",
                false => "none of the given keys is this log's",
            };
            not_verified(arguments.format, origin, (why, Exit::Foreign))
        } else {
            one(arguments, log, &own, (&kept, seen))
        });
    }
    // Of a roster all are looked for, unless only one log was asked for.
    let is_one_of_many = arguments.roster.is_some() && arguments.source.is_narrowed();
    let mut names: BTreeSet<&str> = keys.iter().map(VerifierKey::name).collect();
    names.retain(|name| !logs.iter().any(|log| log.origin.as_deref() == Some(*name)));
    for name in names.into_iter().filter(|_| several && !is_one_of_many) {
        let why = "the database has no such log";
        exits.push(not_verified(arguments.format, name, (why, Exit::Damaged)));
    }
    worst(exits)
}

/// The keys of the logs that count.
fn endorsed(arguments: &Arguments, roster: &Path) -> Result<Vec<VerifierKey>, Exit> {
    let Some((at, _)) = arguments.source.mirror() else { return Err(Exit::Usage) };
    let SignedRoster { roster, signers } = accepted(roster, &trust(&at)?)?;
    let Roster { number, made, logs, .. } = roster;
    let by = signers.join(", ");
    note(format_args!("roster {number} of {made}, signed by {by}: {} log(s)", logs.len()));
    Ok(logs)
}

fn not_verified(format: Format, log: &str, (why, exit): (&str, Exit)) -> Exit {
    match format {
        Format::Human => say(format_args!("{}: {why}", printable(log))),
        Format::Json => say_json(&unverified(log, why, exit as u8)),
    }
    exit
}

/// Of several logs each is told of; what is worst is told in the end.
fn worst(exits: Vec<Exit>) -> Exit {
    let order = [Exit::Damaged, Exit::Newer, Exit::Foreign, Exit::Failed, Exit::Empty, Exit::Done];
    let found = order.into_iter().find(|exit| exits.contains(exit));
    found.or(exits.first().copied()).unwrap_or(Exit::Empty)
}

fn one(
    arguments: &Arguments,
    log: &Log,
    keys: &[VerifierKey],
    (given, witnessed): (&[Checkpoint], Vec<Checkpoint>),
) -> Exit {
    let named = match &log.origin {
        Some(origin) => origin.clone(),
        None => arguments.source.directory.display().to_string(),
    };
    // What the database keeps proves only that it was not taken back since; it may lack the last.
    let heads = log.heads.iter();
    let kept =
        heads.filter_map(|text| keys.iter().find_map(|key| Checkpoint::verify(text, key).ok()));
    let seen: BTreeSet<u64> = witnessed.iter().map(|kept| kept.size).collect();
    let anchored: Vec<Checkpoint> = given.iter().cloned().chain(kept).chain(witnessed).collect();
    let report = match proof::verify(&log.reader, keys, &anchored, progress()) {
        Ok(report) => report,
        Err(error @ ReadError::Empty(_)) => {
            match &log.origin {
                Some(origin) => say(format_args!("{origin}: no records")),
                None => drop(fail(error)),
            }
            return Exit::Empty;
        }
        Err(error) if error.is_damage() => {
            fail(error);
            return Exit::Damaged;
        }
        Err(error) => return fail(error),
    };
    let mut differing = report.anchors.iter().filter(|(_, found)| *found != AnchorFinding::Agrees);
    let differs_from_witnessed = differing.any(|(size, _)| seen.contains(size));
    let mut exit = judge(&report);
    if log.differing.0 > 0 && exit != Exit::Newer {
        exit = Exit::Damaged;
    }
    match arguments.format {
        Format::Human => {
            if let (Some(origin), Some(name)) = (&log.origin, &log.replica) {
                say(format_args!("{origin}, of {}:", printable(name)));
            }
            if let (count, Some(first)) = log.differing {
                say(format_args!(
                    "{count} record(s) are kept with something else to search for than their lines \
                     have; the first is record {first}"
                ));
            }
            print(&named, &report, exit);
            if differs_from_witnessed {
                note(
                    "note: another gateway's log has a checkpoint that this one does not agree with: it was \
                     told anew, or the database has lost records that it had",
                );
            }
            // A directory has its newest checkpoint beside it; a mirror's own prove nothing of its end.
            let lacks = match log.origin {
                Some(_) => given.is_empty(),
                None => report.anchors.is_empty(),
            };
            if exit == Exit::Done && lacks {
                note(
                    "note: no anchored checkpoint was given: records removed from the end would not show",
                );
            }
        }
        Format::Json => {
            let is_verified = exit == Exit::Done && report.signed;
            let of = log.origin.as_deref().map(|origin| (origin, log.differing.0));
            say_json(&verified(&report, is_verified, exit as u8, of));
        }
    }
    exit
}

fn judge(report: &VerifyReport) -> Exit {
    match report.verdict() {
        Verdict::Whole => Exit::Done,
        Verdict::Damaged => Exit::Damaged,
        Verdict::NotVouchedFor | Verdict::NoLog => Exit::Foreign,
        Verdict::Empty => Exit::Empty,
        Verdict::Newer => Exit::Newer,
    }
}

fn print(directory: &str, report: &VerifyReport, exit: Exit) {
    for finding in report.findings.iter().take(SHOWN_MAX) {
        say(finding);
    }
    let more = report.findings_total.saturating_sub(SHOWN_MAX as u64);
    if more > 0 {
        say(format_args!("and {more} more"));
    }
    for (size, found) in report.anchors.iter().filter(|(_, f)| *f != proof::AnchorFinding::Agrees) {
        say(format_args!("anchored checkpoint of {size} records: {}", found.as_str()));
    }
    if let Some(version) = report.newer {
        say(format_args!(
            "`{directory}` has records of format version {version}; use a newer grantgate"
        ));
    }
    if report.is_not_vouched_for() && report.records > 0 {
        let others: Vec<&str> = report.other_keys.iter().map(String::as_str).collect();
        let by = match others.as_slice() {
            [] if report.unsigned_checkpoints == 0 => "it has no checkpoint yet".to_owned(),
            [] => "its checkpoints are not signed".to_owned(),
            others => format!("its checkpoints are signed by `{}`", others.join("`, `")),
        };
        say(format_args!("`{directory}` is not signed by the given key: {by}"));
    }
    if report.records == 0 && report.foreign_lines > 0 {
        say(format_args!("`{directory}` is not an audit log of grantgate: no line is a record"));
        return;
    }
    print_verdict(report, exit);
}

fn print_verdict(report: &VerifyReport, exit: Exit) {
    let verdict = match exit {
        Exit::Done if report.signed => "verified",
        Exit::Done => "agrees with itself (give --key to verify)",
        Exit::Empty => "no records",
        Exit::Failed
        | Exit::Different
        | Exit::Invalid
        | Exit::Damaged
        | Exit::Foreign
        | Exit::Newer
        | Exit::Usage => "NOT VERIFIED",
    };
    say(format_args!(
        "{verdict}: {} record(s), {} to {}, in {} segment(s); {} checkpoint(s), the last covers {}; \
         {} behind it",
        report.records,
        report.first_seq,
        report.last_seq,
        report.segments,
        report.checkpoints,
        report.verified_to,
        report.uncovered,
    ));
    if let Some((records, links)) = report.pruned {
        say(format_args!(
            "{records} record(s) were pruned; {links} checkpoint(s) lead from them here"
        ));
    }
    let agreeing =
        report.anchors.iter().filter(|(_, f)| *f == proof::AnchorFinding::Agrees).count();
    if agreeing > 0 {
        say(format_args!("{agreeing} anchored checkpoint(s) are part of it"));
    }
    if report.torn_bytes > 0 {
        note(format_args!(
            "note: the last {} byte(s) are no whole record: they are being written, or their gateway \
             was killed",
            report.torn_bytes
        ));
    }
}
