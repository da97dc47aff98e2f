//! `grantgate policy replay`: audited decisions judged again under another policy.

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use clap::Args;
use jiff::Timestamp;

use super::sources::{Files, Ready};
use crate::audit::search::{AuditedDecision, DecisionsSummary, decisions};
use crate::audit::{LogReader, ReadError};
use crate::cli::problems::report_in;
use crate::cli::progress::progress;
use crate::cli::{Exit, Format, fail, note, say, say_json};
use crate::domain::Act;
use crate::policy::review::{Pair, Past, Replay, Turn};
use crate::view;

/// Pairs of caller and entrance that are listed for people.
const LISTED_MAX: usize = 20;

/// Decisions that are handed over at once, and how many such batches may wait.
const BATCH: usize = 1024;
const BATCHES_WAITING: usize = 16;

#[derive(Args)]
#[command(after_help = "Example: grantgate policy replay --audit /var/lib/grantgate/audit \
    --policy policies/policy.csv.new\n\n\
    Every decision is judged at its own time. Requests that were malformed, and lists, name no\n\
    entrance and are counted as not replayable.\n\n\
    Exit codes: 0 every decision stays; 2 some turn; 1 the log cannot be read; \
    3 invalid policy; 4 damaged records.")]
pub(in crate::cli) struct Arguments {
    /// The audit directory
    #[arg(long, value_name = "DIR", default_value = "audit")]
    audit: PathBuf,
    /// The policy to judge by: a folder, a rules file or a git revision [default: the files]
    #[arg(long, value_name = "NEW")]
    policy: Option<String>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    files: Files,
}

pub(super) fn run(arguments: &Arguments, now: Timestamp) -> Exit {
    let sources = match &arguments.policy {
        None => arguments.files.read(),
        Some(what) => arguments.files.read_other(what),
    };
    let loaded = sources.map_err(|problem| {
        report_in("error", &problem, None);
        Exit::Invalid
    });
    let ready = match loaded.and_then(|sources| sources.load(now)) {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    let (read, replay) = judge(&ready, &LogReader::new(&arguments.audit));
    let summary = match read {
        Ok(summary) => summary,
        Err(error) => return fail(error),
    };
    for problem in &summary.damaged {
        report_in("damaged", problem, None);
    }
    match arguments.format {
        Format::Human => human(&ready, &replay),
        Format::Json => say_json(&view::changes::replayed(
            &ready.policy,
            ready.names(),
            &replay,
            summary.damaged_lines,
        )),
    }
    if !summary.damaged.is_empty() {
        note(format_args!("{} line(s) of the log are no records", summary.damaged_lines));
        Exit::Damaged
    } else if replay.turned.is_empty() {
        Exit::Done
    } else {
        Exit::Different
    }
}

/// Reads on this thread and judges on the others.
fn judge(ready: &Ready, log: &LogReader) -> (Result<DecisionsSummary, ReadError>, Replay) {
    let (sender, receiver) = sync_channel::<Vec<AuditedDecision>>(BATCHES_WAITING);
    let receiver = Mutex::new(receiver);
    let next = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let judged = || {
        let mut replay = Replay::default();
        while let Ok(batch) = next() {
            batch.into_iter().for_each(|decision| replay.add(&ready.policy, past(decision)));
        }
        replay
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let judges: Vec<_> = (1..cores.max(2)).map(|_| scope.spawn(judged)).collect();
        let mut batch = Vec::with_capacity(BATCH);
        let read = decisions(log, progress(), |decision| {
            batch.push(decision);
            if batch.len() == BATCH {
                let _ = sender.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)));
            }
        });
        let _ = sender.send(batch);
        drop(sender);
        let mut replay = Replay::default();
        for judge in judges {
            match judge.join() {
                Ok(judged) => replay.merge(judged),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        (read, replay)
    })
}

fn past(decision: AuditedDecision) -> Past {
    Past {
        seq: decision.seq,
        caller: decision.caller,
        operation: decision.operation,
        workspace: decision.workspace,
        entrance: decision.entrance,
        grantee: decision.grantee,
        at: decision.time,
        allowed: decision.allowed,
        reason: decision.reason,
    }
}

const TURNS: [Turn; 2] = [Turn::DenyToAllow, Turn::AllowToDeny];

fn style(turn: Turn) -> Style {
    match turn {
        Turn::DenyToAllow => AnsiColor::Red.on_default().bold(),
        Turn::AllowToDeny => AnsiColor::Green.on_default().bold(),
    }
}

fn human(ready: &Ready, replay: &Replay) {
    for turn in TURNS {
        let count = replay.count(turn);
        if count == 0 {
            continue;
        }
        let style = style(turn);
        say(format_args!("{style}{}{style:#}: {count} decision(s)", turn.as_str()));
        let pairs = replay.pairs(turn);
        for pair in pairs.iter().take(LISTED_MAX) {
            let Pair { caller, act, entrance, decisions } = *pair;
            let act = if act == Act::Read { " (read)" } else { "" };
            say(format_args!("  {decisions:>8}  {caller}{act}  {}", ready.door(entrance)));
        }
        if pairs.len() > LISTED_MAX {
            let more = pairs.len() - LISTED_MAX;
            say(format_args!("            and {more} more pairs; --format json lists them"));
        }
        say("  first");
        for example in replay.examples.get(&turn).into_iter().flatten().take(3) {
            let past = &example.past;
            let rules: Vec<String> = example.rules.iter().map(ToString::to_string).collect();
            say(format_args!(
                "    seq {} at {} by {}: {} -> {} {}",
                past.seq,
                past.at,
                past.caller,
                past.reason,
                example.reason.as_str(),
                rules.join(", ")
            ));
        }
    }
    let cannot: u64 = replay.not_replayable.values().sum();
    let [opened, closed] = TURNS.map(|turn| replay.count(turn));
    note(format_args!(
        "{} unchanged, {opened} denied that would be allowed, {closed} allowed that would be \
         denied, {cannot} not replayable",
        replay.unchanged
    ));
    let mut reasons: Vec<_> = replay.not_replayable.iter().collect();
    reasons.sort_unstable();
    for (reason, count) in reasons {
        note(format_args!("  not replayable: {count} {reason}: the request named no entrance"));
    }
}
