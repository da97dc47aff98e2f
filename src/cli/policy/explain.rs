//! `grantgate policy explain`: why a request would be allowed or denied.

use std::path::PathBuf;

use anstyle::Style;
use clap::Args;
use jiff::Timestamp;

use super::sources::{Files, Ready};
use crate::audit::LogReader;
use crate::audit::search::decision_about;
use crate::cli::problems::style;
use crate::cli::{Exit, Format, fail, note, say};
use crate::domain::{CallerId, EntranceId, GranteeKind, Reason, rfc3339};
use crate::policy::Moment;
use crate::policy::review::{ExplainedRule, Explanation, Step, explain};

#[derive(Args)]
#[command(after_help = "Example: grantgate policy explain visitor-desk \
    d23d7180-c1ee-4bbe-8630-05df5031ce35 --at 2026-11-25T20:00:00+01:00\n\n\
    Exit codes: 0 allowed, 2 denied, 1 no such entrance or request, 3 invalid policy.")]
pub(in crate::cli) struct Arguments {
    /// The caller's id
    #[arg(value_parser = caller_id, required_unless_present = "request")]
    caller: Option<CallerId>,
    /// The entrance: its id, or its name in the catalogue
    #[arg(required_unless_present = "request")]
    entrance: Option<String>,
    /// How the grantee is named
    #[arg(long, value_name = "FORM", default_value = "user_identity", value_parser = grantee_kind)]
    grantee: GranteeKind,
    /// When (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    at: Option<Timestamp>,
    /// Explain an audited request, by its id, at its own time
    #[arg(long, value_name = "ID", conflicts_with_all = ["caller", "entrance", "grantee", "at"])]
    request: Option<String>,
    /// The audit directory, for --request
    #[arg(long, value_name = "DIR", default_value = "audit")]
    audit: PathBuf,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    files: Files,
}

pub(super) fn caller_id(text: &str) -> Result<CallerId, String> {
    CallerId::parse(text).map_err(|error| error.to_string())
}

fn grantee_kind(text: &str) -> Result<GranteeKind, String> {
    GranteeKind::parse(text).ok_or_else(|| "must be `acs_user` or `user_identity`".into())
}

pub(super) fn run(arguments: &Arguments, now: Timestamp) -> Exit {
    let ready = match arguments.files.load(now) {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    let (caller, entrance, moment) = match question(arguments, &ready, now) {
        Ok(question) => question,
        Err(error) => return fail(error),
    };
    let explanation = explain(&ready.policy, &caller, entrance, moment);
    match arguments.format {
        Format::Json => say(json(&ready, &caller, entrance, moment, &explanation)),
        Format::Human => human(&ready, &caller, entrance, moment, &explanation),
    }
    if explanation.evaluation.is_allowed() { Exit::Done } else { Exit::Different }
}

/// What is asked: by the arguments, or by the audit log.
fn question(
    arguments: &Arguments,
    ready: &Ready,
    now: Timestamp,
) -> Result<(CallerId, EntranceId, Moment), String> {
    let Some(request) = &arguments.request else {
        let (Some(caller), Some(entrance)) = (&arguments.caller, &arguments.entrance) else {
            return Err("a caller and an entrance are needed, or --request".into());
        };
        let at = arguments.at.unwrap_or(now);
        let moment = Moment { at, grantee: arguments.grantee };
        return Ok((caller.clone(), ready.entrance(entrance)?, moment));
    };
    let found = decision_about(&LogReader::new(&arguments.audit), request)
        .map_err(|error| error.to_string())?;
    let audit = arguments.audit.display();
    let (found, revision) =
        found.ok_or_else(|| format!("`{audit}` has no decision about `{request}`"))?;
    let word = if found.allowed { "allowed" } else { "denied" };
    note(format_args!("recorded: {word} ({}) by {}", found.reason, revision));
    if revision != ready.policy.revision().as_str() {
        note("warning: this is another revision of the policy; what follows is what it says");
    }
    match (found.entrance, found.grantee) {
        (Some(entrance), Some(grantee)) => {
            Ok((found.caller, entrance, Moment { at: found.time, grantee }))
        }
        _ => Err(format!("the request was malformed ({}): no policy was asked", found.reason)),
    }
}

fn human(
    ready: &Ready,
    caller: &CallerId,
    entrance: EntranceId,
    moment: Moment,
    found: &Explanation,
) {
    let reason = found.evaluation.reason;
    let allowed = found.evaluation.is_allowed();
    let (word, style) =
        if allowed { ("allowed", style("done")) } else { ("denied", style("error")) };
    say(format_args!("{style}{word}{style:#}: {}", reason.as_str()));
    let known = if ready.callers.contains(caller) { "" } else { " (not in the callers file)" };
    say(format_args!("  caller    {caller}{known}"));
    say(format_args!("  entrance  {}", ready.door(entrance)));
    say(format_args!("  grantee   {}", moment.grantee.as_str()));
    say(format_args!("  time      {}", moment.at));
    say(format_args!("  revision  {}", ready.policy.revision()));
    for (index, rule) in found.deciding.iter().enumerate() {
        if index == 0 {
            say("\nbecause of");
        }
        deciding(rule);
    }
    for (index, miss) in found.misses.iter().enumerate() {
        if index == 0 {
            say("\nnearest to an allow");
        }
        say(format_args!("  {}  {}", miss.rule, miss.text));
        say(format_args!("    {}", miss.missing));
    }
    if reason == Reason::DeniedByRule && found.misses.is_empty() {
        say("\nwithout the deny no rule would allow it either");
    } else if !allowed && found.misses.is_empty() {
        say("\nno rule allows this caller anything, nor anyone this entrance");
    }
}

fn deciding(rule: &ExplainedRule) {
    say(format_args!("  {}  {}", rule.rule, rule.text));
    for steps in [&rule.subject, &rule.object] {
        if steps.len() > 1 {
            say(format_args!("    {}", chain(steps)));
        }
    }
}

fn chain(steps: &[Step]) -> String {
    let dim = Style::new().dimmed();
    let step = |step: &Step| match &step.link {
        None => step.name.clone(),
        Some(link) => format!(" > {} {dim}({link}){dim:#}", step.name),
    };
    steps.iter().map(step).collect()
}

fn json(
    ready: &Ready,
    caller: &CallerId,
    entrance: EntranceId,
    moment: Moment,
    found: &Explanation,
) -> serde_json::Value {
    let steps = |steps: &[Step]| -> Vec<serde_json::Value> {
        let one = |step: &Step| {
            let link = step.link.as_ref().map(ToString::to_string);
            serde_json::json!({ "name": step.name, "rule": link })
        };
        steps.iter().map(one).collect()
    };
    let deciding: Vec<_> = found
        .deciding
        .iter()
        .map(|rule| {
            serde_json::json!({
                "rule": rule.rule.to_string(), "text": rule.text,
                "caller_chain": steps(&rule.subject), "entrance_chain": steps(&rule.object),
            })
        })
        .collect();
    let misses: Vec<_> = found
        .misses
        .iter()
        .map(|miss| {
            let rule = miss.rule.to_string();
            serde_json::json!({ "rule": rule, "text": miss.text, "missing": miss.missing })
        })
        .collect();
    let reason = found.evaluation.reason;
    serde_json::json!({
        "decision": if found.evaluation.is_allowed() { "allow" } else { "deny" },
        "reason": reason.as_str(),
        "caller": caller.as_str(),
        "entrance_id": entrance.to_string(),
        "entrance_name": ready.door_name(entrance),
        "grantee": moment.grantee.as_str(),
        "time": moment.at.to_string(),
        "revision": ready.policy.revision().as_str(),
        "rules": deciding,
        "nearest": misses,
    })
}
