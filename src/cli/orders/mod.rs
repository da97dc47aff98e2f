//! `grantgate freeze`, `unfreeze`, `allow`, `withdraw` and `orders`: what somebody in charge
//! decides for a time, beside the policy.

mod confirm;
mod for_all;
mod list;
mod looked_up;

use std::path::PathBuf;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::policy::caller_id;
use super::{Exit, default_config, fail, note, say, settings};
use crate::config::Settings;
use crate::domain::{CallerId, Order, OrderKind, Scope, Signature, parse_lasting};
use crate::orders::{EditError, edit};
use crate::view::orders::in_words;
pub(super) use for_all::{CountersignArguments, DeliverArguments, countersign, deliver};
use for_all::{ForAll, given};
pub(super) use list::{ListArguments, list};
use looked_up::LookedUp;

/// A drill whose command was ended ends by itself.
const DRILL: SignedDuration = SignedDuration::from_mins(10);

#[derive(Args)]
#[command(after_help = "Example: grantgate freeze --reason \"token of visitor-desk stolen\"\n\n\
    Exit codes: 0 in force on the gateway, 2 ordered but no gateway says that it is in force, \
    1 not ordered, 3 invalid configuration.")]
pub(super) struct FreezeArguments {
    /// Only grants of this caller
    #[arg(long, value_name = "CALLER", value_parser = caller_id, group = "scope")]
    caller: Option<CallerId>,
    /// Only grants for entrances in this zone, such as `zone:server-room`
    #[arg(long, value_name = "ZONE", group = "scope")]
    zone: Option<String>,
    /// Only grants in this workspace, by its name in the configuration
    #[arg(long, value_name = "NAME", group = "scope")]
    workspace: Option<String>,
    /// Only grants for this entrance: its id, or its name in the catalogue
    #[arg(long, value_name = "ENTRANCE", group = "scope")]
    entrance: Option<String>,
    /// End by itself after this time, such as `2h` [default: only when it is lifted]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_lasting)]
    length: Option<SignedDuration>,
    /// Prove that a freeze would be taken up, and stop nobody
    #[arg(long, conflicts_with = "length")]
    drill: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
#[command(after_help = "Example: grantgate unfreeze 7 --reason \"token was replaced\"\n\n\
    Exit codes: 0 grants go through again, 2 lifted but no gateway says so, 1 not lifted, \
    3 invalid configuration.")]
pub(super) struct UnfreezeArguments {
    /// The order's number, which may be left out where there is one freeze only; of all gateways its
    /// name, or the first 8 digits
    #[arg(value_name = "ORDER")]
    order: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
#[command(
    after_help = "Example: grantgate allow visitor-desk d23d7180-c1ee-4bbe-8630-05df5031ce35 \
    --for 2h --reason \"fire inspection\"\n\n\
    Exit codes: 0 in force on the gateway, 2 ordered but no gateway says that it is in force, \
    1 not ordered, 3 invalid configuration."
)]
pub(super) struct AllowArguments {
    /// The caller's id
    #[arg(value_parser = caller_id)]
    caller: CallerId,
    /// The entrance: its id, or its name in the catalogue
    entrance: String,
    /// For how long, such as `2h`; `orders.exception_hours_max` is the most
    #[arg(long = "for", value_name = "TIME", value_parser = parse_lasting)]
    length: SignedDuration,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
#[command(after_help = "Example: grantgate withdraw 8 --reason \"inspection is over\"\n\n\
    Exit codes: 0 withdrawn, 2 withdrawn but no gateway says so, 1 not withdrawn, \
    3 invalid configuration.")]
pub(super) struct WithdrawArguments {
    /// The order's number; of all gateways its name, or the first 8 digits
    #[arg(value_name = "ORDER")]
    order: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Common {
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who orders it [default: the name of the user]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// The gateway's configuration file
    #[arg(long, value_name = "FILE", default_value_os_t = default_config())]
    config: PathBuf,
    #[command(flatten)]
    all: ForAll,
}

/// The name of a user, as this machine's own list has it (passwd(5)).
fn user(id: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name_of = |line: &str| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(id)).then(|| name.to_owned())
    };
    users.lines().find_map(name_of).unwrap_or_else(|| format!("user {id}"))
}

impl Common {
    fn signature(&self) -> Signature {
        // Who became root by sudo is still somebody.
        let names = ["SUDO_USER", "LOGNAME", "USER"].into_iter();
        let mut names = names.filter_map(|name| std::env::var(name).ok().filter(|n| !n.is_empty()));
        let by = self.by.clone().or_else(|| names.next());
        let by = by.unwrap_or_else(|| user(rustix::process::getuid().as_raw()));
        // As the file has it.
        let now = Timestamp::from_microsecond(Timestamp::now().as_microsecond());
        Signature { at: now.unwrap_or_default(), by, why: self.reason.trim().to_owned() }
    }
}

/// What a freeze is about, as far as it can be looked up.
fn scope(arguments: &FreezeArguments, looked_up: &LookedUp) -> Result<Scope, String> {
    let FreezeArguments { caller, zone, workspace, entrance, .. } = arguments;
    match (caller, zone, workspace, entrance) {
        (Some(caller), ..) => looked_up.caller(caller).map(|()| Scope::Caller(caller.clone())),
        (None, Some(zone), ..) => looked_up.zone(zone).map(Scope::Zone),
        (None, None, Some(name), _) => looked_up.workspace(name).map(Scope::Workspace),
        (None, None, None, Some(entrance)) => looked_up.entrance(entrance).map(Scope::Entrance),
        (None, None, None, None) => Ok(Scope::Everything),
    }
}

pub(super) fn freeze(arguments: &FreezeArguments) -> Exit {
    let Common { all, reason, .. } = &arguments.common;
    if all.is_meant() {
        let what = Box::new(|looked_up: &LookedUp, made| {
            let scope = match scope(arguments, looked_up) {
                // The bundle that was looked at may be an old one: nobody is kept from a freeze.
                Err(why) if arguments.caller.is_some() => {
                    note(format_args!("WARNING: {why}"));
                    Scope::Caller(arguments.caller.clone().ok_or_else(String::new)?)
                }
                scope => scope?,
            };
            match arguments.drill {
                true => given(OrderKind::Drill(scope), Some(DRILL), made),
                false => given(OrderKind::Freeze(scope), arguments.length, made),
            }
        });
        let FreezeArguments { caller, zone, entrance, .. } = arguments;
        let lookup = caller.is_some() || zone.is_some() || entrance.is_some();
        return all.order(reason.trim(), lookup, what);
    }
    let settings = match settings(&arguments.common.config) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let scope = match scope(arguments, &LookedUp::of(&settings)) {
        Ok(scope) => scope,
        Err(text) => return fail(text),
    };
    if arguments.drill {
        return drill(&settings, scope, &arguments.common);
    }
    let signature = arguments.common.signature();
    let until = arguments.length.and_then(|length| signature.at.checked_add(length).ok());
    match give(&settings, OrderKind::Freeze(scope), until, signature) {
        Ok(order) => {
            say(in_words(&order));
            let exit = confirm::in_force(&settings, &order).tell();
            note(format_args!("`grantgate unfreeze {} --reason TEXT` lifts it", order.number));
            exit
        }
        Err(exit) => exit,
    }
}

/// Gives an order that stops nobody, looks whether it is taken up, and takes it back.
fn drill(settings: &Settings, scope: Scope, common: &Common) -> Exit {
    let signature = common.signature();
    let until = signature.at.checked_add(DRILL).ok();
    let order = match give(settings, OrderKind::Drill(scope), until, signature) {
        Ok(order) => order,
        Err(exit) => return exit,
    };
    let (number, taken_up) = (order.number, confirm::in_force(settings, &order));
    let lifted = lift(settings, number, common.signature());
    let gone = lifted.map(|_| confirm::lifted(settings, number));
    match (taken_up.seconds(), gone.map(|gone| gone.seconds())) {
        (Some(up), Ok(Some(down))) => {
            say(format_args!(
                "the drill passed: order {number} was taken up and recorded after {up:.2} s, and \
                 given up after {down:.2} s; nobody was stopped"
            ));
            Exit::Done
        }
        (up, _) => {
            let what = if up.is_none() { "taken up" } else { "given up" };
            taken_up.tell();
            fail(format_args!("the drill failed: order {number} was not {what}"))
        }
    }
}

pub(super) fn allow(arguments: &AllowArguments) -> Exit {
    let Common { all, reason, .. } = &arguments.common;
    if all.is_meant() {
        let what = Box::new(|looked_up: &LookedUp, made| {
            let caller = arguments.caller.clone();
            looked_up.caller(&caller)?;
            let entrance = looked_up.entrance(&arguments.entrance)?;
            looked_up.warn_of_rules(&caller, entrance);
            given(OrderKind::Exception(caller, entrance), Some(arguments.length), made)
        });
        return all.order(reason.trim(), true, what);
    }
    let settings = match settings(&arguments.common.config) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let looked_up = LookedUp::of(&settings);
    let caller = &arguments.caller;
    let entrance = looked_up.caller(caller).and_then(|()| looked_up.entrance(&arguments.entrance));
    let entrance = match entrance {
        Ok(entrance) => entrance,
        Err(text) => return fail(text),
    };
    looked_up.warn_of_rules(caller, entrance);
    let signature = arguments.common.signature();
    let until = signature.at.checked_add(arguments.length).ok();
    match give(&settings, OrderKind::Exception(caller.clone(), entrance), until, signature) {
        Ok(order) => {
            say(in_words(&order));
            let exit = confirm::in_force(&settings, &order).tell();
            note(format_args!("`grantgate withdraw {} --reason TEXT` takes it back", order.number));
            exit
        }
        Err(exit) => exit,
    }
}

pub(super) fn unfreeze(arguments: &UnfreezeArguments) -> Exit {
    let Common { all, reason, .. } = &arguments.common;
    if all.is_meant() {
        return match &arguments.order {
            Some(order) => all.lift(order, reason.trim()),
            None => fail("name the signed order; `grantgate orders --database` lists them"),
        };
    }
    let settings = match settings(&arguments.common.config) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let number = match arguments.order.as_deref().map(number).transpose() {
        Err(exit) => return exit,
        Ok(Some(number)) => number,
        Ok(None) => match only_freeze(&settings) {
            Ok(number) => number,
            Err(exit) => return exit,
        },
    };
    take_back(&settings, number, &arguments.common, "freeze")
}

pub(super) fn withdraw(arguments: &WithdrawArguments) -> Exit {
    let Common { all, reason, .. } = &arguments.common;
    if all.is_meant() {
        return all.lift(&arguments.order, reason.trim());
    }
    match (settings(&arguments.common.config), number(&arguments.order)) {
        (Ok(settings), Ok(number)) => take_back(&settings, number, &arguments.common, "exception"),
        (Err(exit), _) | (_, Err(exit)) => exit,
    }
}

/// An order of one gateway goes by its number.
fn number(order: &str) -> Result<u32, Exit> {
    order.parse().map_err(|_| fail(format_args!("`{order}` is no number of an order")))
}

/// The number of the one freeze that there is; where there are several, one must be named.
fn only_freeze(settings: &Settings) -> Result<u32, Exit> {
    let orders = list::read(settings)?;
    let now = Timestamp::now();
    let is_freeze = |order: &&Order| order.holds(now) && order.kind.as_str() == "freeze";
    let freezes: Vec<&Order> = orders.orders().iter().filter(is_freeze).collect();
    match freezes.as_slice() {
        [only] => Ok(only.number),
        [] => Err(fail("nothing is frozen")),
        several => {
            for order in several {
                note(in_words(order));
            }
            Err(fail("there are several freezes; give the number of the one to lift"))
        }
    }
}

fn take_back(settings: &Settings, number: u32, common: &Common, kind: &str) -> Exit {
    let orders = match list::read(settings) {
        Ok(orders) => orders,
        Err(exit) => return exit,
    };
    let found = orders.orders().iter().find(|order| order.number == number);
    if let Some(order) = found.filter(|order| order.kind.as_str() != kind) {
        let command = match order.kind {
            OrderKind::Exception(..) => "withdraw",
            OrderKind::Freeze(_) | OrderKind::Drill(_) => "unfreeze",
        };
        return fail(format_args!(
            "order {number} is of kind `{}`: `grantgate {command}` is for such",
            order.kind.as_str()
        ));
    }
    match lift(settings, number, common.signature()) {
        Ok(order) => {
            say(format_args!("lifted: {}", in_words(&order)));
            confirm::lifted(settings, number).tell()
        }
        Err(exit) => exit,
    }
}

fn give(
    settings: &Settings,
    kind: OrderKind,
    until: Option<Timestamp>,
    given: Signature,
) -> Result<Order, Exit> {
    let most = settings.orders.exception_max;
    let given = edit(&list::place(settings), |file| {
        let number = file.give(kind.clone(), until, given.clone(), most)?;
        let (kind, given) = (kind.clone(), given.clone());
        Ok(Order { number, kind, given, until, lifted: None, directive: None })
    });
    given.map_err(not_done)
}

fn lift(settings: &Settings, number: u32, signature: Signature) -> Result<Order, Exit> {
    edit(&list::place(settings), |file| file.lift(number, signature.clone())).map_err(not_done)
}

fn not_done(error: EditError) -> Exit {
    match error {
        EditError::Invalid(problem) => {
            super::report("error", &[problem]);
            Exit::Invalid
        }
        EditError::Write(..) | EditError::Refused(_) => fail(error),
    }
}
