//! `grantgate policy explain`: why a request would be allowed or denied.

use std::path::PathBuf;

use anstyle::Style;
use clap::Args;
use jiff::Timestamp;

use super::sources::{Files, OrdersArgument, Ready};
use super::workspace::WorkspaceArgument;
use crate::audit::LogReader;
use crate::audit::search::decision_about;
use crate::cli::problems::style;
use crate::cli::{Exit, Format, fail, note, say, say_json};
use crate::domain::{
    Act, CallerId, EntranceId, GranteeKind, Operation, Reason, WorkspaceName, rfc3339,
};
use crate::policy::review::{ExplainedRule, Explanation, Step, explain};
use crate::policy::{Moment, Question};
use crate::view;
use crate::view::orders::in_words_with;

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
    /// To do what: `grant` or `read`
    #[arg(long, value_name = "ACT", default_value = "grant", value_parser = act)]
    act: Act,
    /// How the grantee of a grant is named [default: user_identity]
    #[arg(long, value_name = "FORM", value_parser = grantee_kind)]
    grantee: Option<GranteeKind>,
    /// When (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    at: Option<Timestamp>,
    /// Explain an audited request, by its id, at its own time
    #[arg(long, value_name = "ID", conflicts_with_all = ["caller", "entrance", "act", "grantee", "at", "workspace"])]
    request: Option<String>,
    /// The audit directory, for --request
    #[arg(long, value_name = "DIR", default_value = "audit")]
    audit: PathBuf,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    workspace: WorkspaceArgument,
    #[command(flatten)]
    orders: OrdersArgument,
    #[command(flatten)]
    files: Files,
}

pub(in crate::cli) fn caller_id(text: &str) -> Result<CallerId, String> {
    CallerId::parse(text).map_err(|error| error.to_string())
}

pub(super) fn act(text: &str) -> Result<Act, String> {
    Act::parse(text).ok_or_else(|| "must be `grant` or `read`".into())
}

fn grantee_kind(text: &str) -> Result<GranteeKind, String> {
    GranteeKind::parse(text).ok_or_else(|| "must be `acs_user` or `user_identity`".into())
}

pub(super) fn run(arguments: &Arguments, now: Timestamp) -> Exit {
    let ready = match arguments.files.load(now) {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    let mut asked = match asked(arguments, &ready, now) {
        Ok(asked) => asked,
        Err(error) => return fail(error),
    };
    let orders = match arguments.orders.load(asked.moment.at) {
        Ok(orders) => orders,
        Err(exit) => return exit,
    };
    if arguments.request.is_none() {
        match arguments.workspace.of(&ready, &orders, asked.entrance) {
            Ok(workspace) => asked.workspace = workspace,
            Err(error) => return fail(error),
        }
    }
    let question = asked.question();
    let explanation = explain(&ready.policy, question, &orders);
    match arguments.format {
        Format::Json => {
            let names = ready.names();
            let suspended = ready.known(&orders).is_suspended(question.caller);
            let (policy, explanation) = (&ready.policy, &explanation);
            say_json(&view::policy::explained(policy, names, question, explanation, suspended));
        }
        Format::Human => human(&ready, question, &explanation),
    }
    ready.note_workspace(question.caller, question.workspace);
    ready.note_suspension(question.caller);
    if explanation.evaluation.is_allowed() { Exit::Done } else { Exit::Different }
}

/// A question with a caller of its own.
struct Asked {
    caller: CallerId,
    act: Act,
    entrance: EntranceId,
    workspace: Option<WorkspaceName>,
    moment: Moment,
}

impl Asked {
    fn question(&self) -> Question<'_> {
        let Self { caller, act, entrance, workspace, moment } = self;
        let (act, entrance, moment) = (*act, *entrance, *moment);
        Question { caller, act, entrance, workspace: workspace.as_ref(), moment }
    }
}

/// What is asked: by the arguments, or by the audit log.
fn asked(arguments: &Arguments, ready: &Ready, now: Timestamp) -> Result<Asked, String> {
    let Some(request) = &arguments.request else {
        let (Some(caller), Some(entrance)) = (&arguments.caller, &arguments.entrance) else {
            return Err("a caller and an entrance are needed, or --request".into());
        };
        let (act, at) = (arguments.act, arguments.at.unwrap_or(now));
        let grantee = match (act, arguments.grantee) {
            (Act::Grant, given) => given.or(Some(GranteeKind::UserIdentity)),
            (Act::Read, None) => None,
            (Act::Read, Some(_)) => {
                return Err(
                    "--grantee needs `--act grant`: a request to read names no grantee".into()
                );
            }
        };
        let (caller, entrance) = (caller.clone(), ready.entrance(entrance)?);
        let moment = Moment { at, grantee };
        return Ok(Asked { caller, act, entrance, workspace: None, moment });
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
    let moment = Moment { at: found.time, grantee: found.grantee };
    match (found.operation.map(Operation::act), found.entrance) {
        (Some(act), Some(entrance)) if act == Act::Read || found.grantee.is_some() => {
            let (caller, workspace) = (found.caller, found.workspace);
            Ok(Asked { caller, act, entrance, workspace, moment })
        }
        _ if found.operation == Some(Operation::ListEntrances) && was_judged(&found.reason) => {
            Err("the request was for a list: ask for one of its entrances, with `--act read`"
                .into())
        }
        _ => Err(format!("the request was malformed ({}): no policy was asked", found.reason)),
    }
}

/// Whether this is a reason of policy's.
fn was_judged(reason: &str) -> bool {
    use Reason as R;
    let of_policy = [
        R::AllowedByRule,
        R::AllowedByException,
        R::Frozen,
        R::DeniedByRule,
        R::NoRuleMatches,
        R::ConditionNotMet,
        R::CallerOutsidePolicy,
        R::EntranceOutsidePolicy,
        R::PolicyError,
        R::PolicyPanic,
    ];
    of_policy.iter().any(|known| known.as_str() == reason)
}

fn human(ready: &Ready, question: Question<'_>, found: &Explanation) {
    let Question { caller, act, entrance, workspace, moment } = question;
    let reason = found.evaluation.reason;
    let allowed = found.evaluation.is_allowed();
    let (word, style) =
        if allowed { ("allowed", style("done")) } else { ("denied", style("error")) };
    say(format_args!("{style}{word}{style:#}: {}", reason.as_str()));
    let known = if ready.callers.contains(caller) { "" } else { " (not in the callers file)" };
    say(format_args!("  caller    {caller}{known}"));
    say(format_args!("  entrance  {}", ready.door(entrance)));
    if let Some(workspace) = workspace {
        say(format_args!("  workspace {workspace}"));
    }
    match moment.grantee {
        Some(grantee) => say(format_args!("  grantee   {}", grantee.as_str())),
        None => say(format_args!("  act       {}", act.as_str())),
    }
    say(format_args!("  time      {}", moment.at));
    say(format_args!("  revision  {}", ready.policy.revision()));
    if let Some(order) = &found.order {
        say(format_args!("\n{}", in_words_with(order, ready.names())));
        say(format_args!("without the order: {}", found.by_policy.as_str()));
    }
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
    let (reason, allowed) = (found.by_policy, found.by_policy.permits());
    if reason == Reason::DeniedByRule && found.misses.is_empty() {
        say("\nwithout the deny no rule would allow it either");
    } else if !allowed && found.misses.is_empty() {
        let act = act.as_str();
        say(format_args!(
            "\nno rule allows this caller to {act} anywhere, nor anyone to {act} here"
        ));
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
