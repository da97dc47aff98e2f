//! `grantgate policy who` and `doors`: who may grant or read this entrance, and which
//! entrances this caller may grant or read.

use clap::Args;
use jiff::Timestamp;

use super::explain::{act, caller_id};
use super::sources::{Files, OrdersArgument, Ready, SpanArguments};
use super::workspace::WorkspaceArgument;
use crate::cli::{Exit, Format, fail, note, say, say_json};
use crate::domain::{Act, CallerId, EntranceId, Order, WorkspaceName};
use crate::inquiry::{Doing, is_exception};
use crate::policy::RuleRef;
use crate::policy::review::{Access, Allowed, Doors, Span};
use crate::view;
use crate::view::orders::in_words;
use crate::view::policy::{Standing, when};

/// Entrances of one group that are listed for people.
const LISTED_MAX: usize = 20;

#[derive(Args)]
#[command(after_help = "Example: grantgate policy who d23d7180-c1ee-4bbe-8630-05df5031ce35\n\n\
    Exit codes: 0 somebody may, 2 nobody may, 1 no such entrance, 3 invalid policy.")]
pub(in crate::cli) struct WhoArguments {
    /// The entrance: its id, or its name in the catalogue
    entrance: String,
    /// To do what: `grant` or `read`
    #[arg(long, value_name = "ACT", default_value = "grant", value_parser = act)]
    act: Act,
    /// How to print the list
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    workspace: WorkspaceArgument,
    #[command(flatten)]
    span: SpanArguments,
    #[command(flatten)]
    orders: OrdersArgument,
    #[command(flatten)]
    files: Files,
}

#[derive(Args)]
#[command(after_help = "Example: grantgate policy doors visitor-desk --format json\n\n\
    Exit codes: 0 there are some, 2 there is none, 1 no such caller, 3 invalid policy.")]
pub(in crate::cli) struct DoorsArguments {
    /// The caller's id
    #[arg(value_parser = caller_id)]
    caller: CallerId,
    /// To do what: `grant` or `read`
    #[arg(long, value_name = "ACT", default_value = "grant", value_parser = act)]
    act: Act,
    /// Every entrance, not only the first of each group
    #[arg(long)]
    all: bool,
    /// How to print the list
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    workspace: WorkspaceArgument,
    #[command(flatten)]
    span: SpanArguments,
    #[command(flatten)]
    orders: OrdersArgument,
    #[command(flatten)]
    files: Files,
}

pub(super) fn who(arguments: &WhoArguments, now: Timestamp) -> Exit {
    let ready = match arguments.files.load(now) {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    let orders = match arguments.orders.load(now) {
        Ok(orders) => orders,
        Err(exit) => return exit,
    };
    let entrance = ready
        .entrance(&arguments.entrance)
        .and_then(|entrance| Ok((entrance, arguments.workspace.of(&ready, &orders, entrance)?)));
    let (entrance, workspace) = match entrance {
        Ok(found) => found,
        Err(error) => return fail(error),
    };
    let workspace = workspace.as_ref();
    let (span, act) = (arguments.span.span(now), arguments.act);
    let known = ready.known(&orders);
    let (found, orders) = known.who(entrance, Doing { act, workspace, span, now });
    match arguments.format {
        Format::Json => {
            let (policy, names) = (&ready.policy, ready.names());
            let standing =
                |caller: &CallerId| Standing { suspended: known.is_suspended(caller), then: None };
            let found = (&found[..], &orders[..]);
            let entrance = (entrance, workspace);
            say_json(&view::policy::who(policy, names, act, entrance, found, span, standing));
        }
        Format::Human => {
            who_human(&ready, act, (entrance, workspace), &found, span);
            say_orders(&orders);
        }
    }
    found.iter().for_each(|one| ready.note_suspension(&one.caller));
    if found.is_empty() && !orders.iter().any(|order| is_exception(order)) {
        Exit::Different
    } else {
        Exit::Done
    }
}

fn who_human(
    ready: &Ready,
    act: Act,
    (entrance, workspace): (EntranceId, Option<&WorkspaceName>),
    found: &[Allowed],
    span: Span,
) {
    let within = in_workspace(workspace);
    note(format_args!("who may {} {}{within}:", act.as_str(), ready.door(entrance)));
    let width = found.iter().map(|one| one.caller.as_str().len()).max().unwrap_or(0);
    for one in found {
        let when = when(&one.access, &one.conditions, span);
        say(format_args!("  {:width$}  {when}  by {}", one.caller.as_str(), refs(&one.allowed_by)));
        if one.access != Access::Always && !one.denied_by.is_empty() {
            say(format_args!("  {:width$}  denied at times by {}", "", refs(&one.denied_by)));
        }
    }
    note(match found.len() {
        0 => "nobody".to_owned(),
        count => format!("{count} of {} caller(s)", ready.callers.all().len()),
    });
}

pub(super) fn doors(arguments: &DoorsArguments, now: Timestamp) -> Exit {
    let ready = match arguments.files.load(now) {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    let caller = &arguments.caller;
    if !ready.callers.contains(caller) {
        let known: Vec<&str> = ready.callers.ids().take(10).map(CallerId::as_str).collect();
        return fail(format_args!(
            "`{caller}` is not in the callers file; there: {}",
            known.join(", ")
        ));
    }
    let span = arguments.span.span(now);
    let orders = match arguments.orders.load(now) {
        Ok(orders) => orders,
        Err(exit) => return exit,
    };
    let workspaces = match arguments.workspace.of_caller(&ready, &orders, caller) {
        Ok(workspaces) => workspaces,
        Err(error) => return fail(error),
    };
    let (known, act) = (ready.known(&orders), arguments.act);
    let doing = Doing { act, workspace: None, span, now };
    let (found, orders) = known.doors(caller, &workspaces, doing);
    match arguments.format {
        Format::Json => {
            let (policy, names) = (&ready.policy, ready.names());
            let suspended = known.is_suspended(caller);
            let found = (&found[..], &orders[..]);
            say_json(&view::policy::doors(
                policy,
                names,
                act,
                (caller, suspended),
                found,
                span,
                |_, _| None,
            ));
        }
        Format::Human => {
            doors_human(&ready, arguments, &found, span);
            say_orders(&orders);
        }
    }
    workspaces.iter().for_each(|one| ready.note_workspace(caller, one.as_ref()));
    ready.note_suspension(caller);
    if found.is_empty() && !orders.iter().any(|order| is_exception(order)) {
        Exit::Different
    } else {
        Exit::Done
    }
}

fn in_workspace(workspace: Option<&WorkspaceName>) -> String {
    workspace.map_or_else(String::new, |name| format!(" in workspace {name}"))
}

fn doors_human(ready: &Ready, arguments: &DoorsArguments, found: &[Doors], span: Span) {
    note(format_args!("what {} may {}:", arguments.caller, arguments.act.as_str()));
    let most = if arguments.all { usize::MAX } else { LISTED_MAX };
    for group in found {
        let zones =
            if group.zones.is_empty() { String::new() } else { group.zones.join(", ") + "  " };
        say(format_args!(
            "  {zones}{}  by {}{}",
            when(&group.access, &group.conditions, span),
            refs(&group.allowed_by),
            in_workspace(group.workspace.as_ref())
        ));
        for entrance in group.entrances.iter().take(most) {
            say(format_args!("    {}", ready.door(*entrance)));
        }
        if group.entrances.len() > most {
            say(format_args!("    and {} more; --all lists them", group.entrances.len() - most));
        }
        if group.and_every_other {
            say("    every entrance that the policy does not name");
        }
    }
    let entrances: usize = found.iter().map(|group| group.entrances.len()).sum();
    note(format_args!("{entrances} entrance(s) by name"));
}

fn say_orders(orders: &[&Order]) {
    for (index, order) in orders.iter().enumerate() {
        if index == 0 {
            say("but for now");
        }
        say(format_args!("  {}", in_words(order)));
    }
}

fn refs(rules: &[RuleRef]) -> String {
    let shown: Vec<String> = rules.iter().take(5).map(ToString::to_string).collect();
    match rules.len() {
        0..=5 => shown.join(", "),
        more => format!("{} and {} more", shown.join(", "), more - 5),
    }
}
